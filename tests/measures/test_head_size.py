"""An intracranial volume that no adult has is said to be one; the limits come from publications."""

from __future__ import annotations

import math
import re

import pytest
from conftest import ROOT

from wmhseg.measures import head_size


def test_the_limits_are_what_the_published_volumes_make_of_them() -> None:
    """Three standard deviations around the means that the documentation names."""
    page = (ROOT / "docs" / "measures.md").read_text("utf-8")
    cell = r"\| ([\d.]+) \(([\d.]+)\) "
    rows = re.findall(rf"^\| .*\[(?:19|20)\] \|.*{cell}{cell}\|$", page, re.M)
    assert len(rows) == 2
    groups = [(float(row[n]), float(row[n + 1])) for row in rows for n in (0, 2)]
    lowest = min(mean - 3 * deviation for mean, deviation in groups)
    highest = max(mean + 3 * deviation for mean, deviation in groups)
    assert 100 * math.floor(lowest / 100) == head_size.LOWEST_ML
    assert 100 * math.ceil(highest / 100) == head_size.HIGHEST_ML
    low, high = f"{head_size.LOWEST_ML:.0f}", f"{head_size.HIGHEST_ML:,.0f}"
    assert f"below {low} or above {high} ml" in page


@pytest.mark.parametrize("tiv_ml", [head_size.LOWEST_ML, 1289, 1538.2, head_size.HIGHEST_ML])
def test_the_head_of_an_adult_is_not_doubted(tiv_ml: float) -> None:
    assert head_size.doubt(tiv_ml) is None


@pytest.mark.parametrize(
    ("tiv_ml", "words"),
    [(0, "of 0 ml; few adults have under 900 ml"), (899.4, "few adults have under 900 ml"),
     (2000.6, "few adults have over 2000 ml"), (2262, "of 2262 ml; few adults have over 2000 ml")],
)  # fmt: skip
def test_another_one_is(tiv_ml: float, words: str) -> None:
    told = head_size.doubt(tiv_ml)
    assert told is not None
    assert words in told
    assert "voxel size" in told
