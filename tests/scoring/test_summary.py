"""Figures of a study: groups and means by hand."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
from scored_cases import four_cases, made_up

from wmhseg.scoring import metrics, summary
from wmhseg.scoring.summary import Study
from wmhseg.scoring.table import Score


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


def test_recall_by_size_of_groups_counts_lesions_and_not_cases() -> None:
    """Nine lesions, a third found, outweigh one that is; a case of an older table has no sizes."""
    many = made_up("1", 0.5, site="A", small_recall=1 / 3, small_lesions=9.0)
    one = made_up("2", 0.5, site="A", small_recall=1.0, small_lesions=1.0)
    none = made_up("3", 0.5, site="B", small_recall=math.nan, small_lesions=0.0)
    old = Score("4", site="A", values={"dsc": 0.5})
    found = summary.overview(Study("m", "test", (many, one, none, old)))
    small = {name: sizes[0] for name, sizes in found.group_sizes["site"].items()}
    assert small["A"] == summary.SizeClass("small", 10, pytest.approx(0.4))
    assert small["B"].lesions == 0
    assert math.isnan(small["B"].recall)
    assert found.group_sizes["all"]["all"] == found.sizes
    assert found.group_sizes.keys() == found.groups.keys()


def test_limits_of_the_sizes_are_those_that_are_counted() -> None:
    reference, result = np.zeros((3, 40, 30), bool), np.zeros((3, 40, 30), bool)
    for row, size in enumerate((1, 9, 10, 20, 21)):
        reference[1, 4 * row, :size] = True
        result[1, 4 * row, 0] = size in (9, 20)  # one voxel is enough
    values = asdict(metrics.evaluate(reference, result, (1, 1, 1)))
    small, medium, large = summary.recall_by_size([values])
    assert (small.lesions, small.recall) == (2, 0.5)
    assert (medium.lesions, medium.recall) == (2, 0.5)
    assert (large.lesions, large.recall) == (1, 0)
    assert list(summary.SIZE_CLASSES) == list(metrics.SIZE_LIMITS_VOX)


def test_sites_without_scanners_are_shown_once() -> None:
    found = summary.overview(Study("m", "test", (made_up("1", 0.5, site="A"),)))
    assert list(found.groups) == ["all", "site"]
    nowhere = summary.overview(Study("m", "test", (made_up("1", 0.5),)))
    assert list(nowhere.groups) == ["all"]
