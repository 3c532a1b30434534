"""Figures of a study: groups and means by hand."""

from __future__ import annotations

import pytest
from scored_cases import four_cases, made_up

from wmhseg.scoring import summary
from wmhseg.scoring.summary import Study


def test_overview_by_hand() -> None:
    found = summary.overview(four_cases())
    everything = found.groups["all"]["all"]
    assert (everything["dsc"].n, everything["dsc"].mean, everything["dsc"].median) == (
        3, pytest.approx(0.5), pytest.approx(0.4),
    )  # fmt: skip
    assert (everything["h95_mm"].n, everything["h95_mm"].n_nan) == (2, 1)
    assert everything["dsc"].mean_low < 0.5 < everything["dsc"].mean_high
    assert {name: m["dsc"].n for name, m in found.groups["site"].items()} == {"A": 2, "B": 1}
    assert list(found.groups["scanner"]) == ["A x", "A y", "B"]
    assert found.volumes is not None
    assert found.volumes.bias_ml == pytest.approx(2 / 3)
    # One of one, one of one, two of four lesions.
    assert found.sizes[0] == summary.SizeClass("small", 6, pytest.approx(4 / 6))


def test_sites_without_scanners_are_shown_once() -> None:
    found = summary.overview(Study("m", "test", (made_up("1", 0.5, site="A"),)))
    assert list(found.groups) == ["all", "site"]
    nowhere = summary.overview(Study("m", "test", (made_up("1", 0.5),)))
    assert list(nowhere.groups) == ["all"]
