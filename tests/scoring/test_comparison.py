"""Tables of scores against each other and against the teams of 2017: hand-derived numbers."""

from __future__ import annotations

import math

import pytest
from scored_cases import SHIFTED, made_up

from wmhseg import errors
from wmhseg.scoring import comparison
from wmhseg.scoring.table import Score


def test_place_says_what_it_is_not() -> None:
    placed = comparison.place([made_up("1", 0.85), made_up("2", 0.95)], "mine")
    text = "\n".join(placed.to_markdown())
    assert "not blind" in text
    assert "rounded to two decimals" in text
    assert "110 test scans. These are 2 scored cases" in text
    assert "| DSC | 0.900 | 2 | 0 | 0.0000 |" in text  # better than all published
    assert f"position {placed.standing.position} of 21" in text
    assert "**mine**" in text
    assert "0.0076" in text  # sysu media, as printed
    test_set = [made_up(str(i), 0.5, split="test") for i in range(110)]
    assert placed.remarks[1:]
    assert len(comparison.place(test_set, "mine").remarks) == 1
    told = comparison.place([*test_set, Score("x")], "mine").remarks
    assert told[1:] == ("1 cases were not scored and do not count.",)


def test_place_needs_numbers() -> None:
    with pytest.raises(errors.NoCasesError):
        comparison.place([Score("1")], "mine")
    with pytest.raises(errors.UsageError, match="none for H95"):
        comparison.place([made_up("1", 0.5, h95_mm=math.nan)], "mine")


def test_compare_by_hand() -> None:
    """Six pairs that all rise: p = 2 / 2**6, effect 1; H95 rises too, which is worse."""
    first = [made_up(str(i), 0.1 * i, h95_mm=i) for i in range(1, 7)]
    second = [made_up(str(i), 0.1 * i + 0.01 * i, h95_mm=2.0 * i) for i in range(1, 8)]
    found = comparison.compare(first, second, ("a", "b"), ["dsc", "h95_mm", "recall"])
    assert found.cases == ("1", "2", "3", "4", "5", "6")
    assert found.only == ((), ("7",))
    assert found.metrics["dsc"].p == pytest.approx(2 / 64)
    assert found.metrics["dsc"].p_adjusted == pytest.approx(2 / 64 * 3 / 2)
    assert found.metrics["dsc"].effect == 1
    assert found.metrics["dsc"].mean_difference == pytest.approx(0.035)
    assert found.means["h95_mm"] == (3.5, 7)
    assert [found.better(m) for m in ("dsc", "h95_mm", "recall")] == ["b", "a", ""]
    text = "\n".join(found.to_markdown())
    assert "b minus a, on 6 cases that both have." in text
    assert "| Lesion recall | 6 | 0 | 1.000 | 1.000 | 0.000 (0.000 to 0.000) | 1 | 1 |" in text


def test_compare_refuses_and_warns() -> None:
    one = [made_up("1", 0.5)]
    with pytest.raises(errors.NoCasesError, match="none in common"):
        comparison.compare(one, [made_up("2", 0.5)], ("a", "b"))
    with pytest.raises(errors.UsageError, match="colour"):
        comparison.compare(one, one, ("a", "b"), ["dsc", "colour"])
    bare = [Score("1", values=SHIFTED)]
    with pytest.raises(errors.TableError, match="assd_mm"):
        comparison.compare(one, bare, ("a", "b"), ["assd_mm"])
    assert comparison.compare(one, bare, ("a", "b")).other_references == ()
    other = [made_up("1", 0.5, reference_ml=7.0)]
    assert comparison.compare(one, other, ("a", "b")).other_references == ("1",)
