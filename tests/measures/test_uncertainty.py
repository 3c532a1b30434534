"""The curve, and how members agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from wmhseg.measures import marks, uncertainty
from wmhseg.measures.uncertainty import Point


def bar(first: int, last: int, row: int = 1) -> np.ndarray:
    mask = np.zeros((3, 5, 12), bool)
    mask[1, row, first:last] = True
    return mask


def test_disagreement_is_one_minus_the_mean_overlap() -> None:
    ensemble = marks.find(bar(2, 6))  # 4 voxels
    members = [
        bar(2, 6),  # the same: 1
        bar(4, 10),  # 2 shared of 8: 1/4
        bar(8, 10),  # another lesion: 0
        bar(2, 4) | bar(5, 8),  # 2 of 4, and 1 of 6: the better one counts
    ]
    found = uncertainty.disagreement(ensemble, members)
    assert found.structural.tolist() == pytest.approx([1 - (1 + 0.25 + 0 + 0.5) / 4])
    assert found.agreement.tolist() == [0.75]
    assert found.vox == (4, 6, 2, 5)
    assert found.lesions == (1, 1, 1, 2)


def test_each_lesion_has_its_own() -> None:
    ensemble = marks.find(bar(2, 6) | bar(2, 5, row=3))
    found = uncertainty.disagreement(ensemble, [bar(2, 6), bar(2, 6)])
    assert found.structural.tolist() == [0, 1]
    assert found.agreement.tolist() == [1, 0]
    nothing = uncertainty.disagreement(ensemble, [np.zeros((3, 5, 12), bool)])
    assert nothing.structural.tolist() == [1, 1]
    empty = marks.find(np.zeros((3, 5, 12), bool))
    assert uncertainty.disagreement(empty, [bar(2, 6)]).structural.shape == (0,)


def test_the_curve_counts_what_is_above() -> None:
    probability = np.zeros((3, 5, 12), np.float32)
    probability[1, 1, 2:7] = [0.9, 0.5, 0.2, 0.5, 0.9]
    assert uncertainty.curve(probability, (0.1, 0.3, 0.5, 0.9)) == [
        Point(0.1, 5, 1),
        Point(0.3, 4, 2),
        Point(0.5, 2, 2),
        Point(0.9, 0, 0),  # 0.9 as float32 is not above
    ]


@given(st.integers(0, 2**32 - 1))
def test_the_curve_is_that_of_each_threshold_alone(seed: int) -> None:
    probability = np.random.default_rng(seed).random((4, 6, 5)).astype(np.float32) ** 3
    points = uncertainty.curve(probability)
    assert [point.threshold for point in points] == list(uncertainty.THRESHOLDS)
    assert [point.vox for point in points] == sorted((p.vox for p in points), reverse=True)
    for point in points:
        mask = probability > point.threshold
        assert point.vox == mask.sum()
        assert point.lesions == ndimage.label(mask, np.ones((3, 3, 3)))[1]


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(0.5, (0.3, 0.7)), (0.7, (0.5, 0.9)), (0.85, (0.65, 0.95)), (0.1, (0.05, 0.3)),
     (0.98, (0.78, 0.98)), (0.01, (0.01, 0.21))],
)  # fmt: skip
def test_a_range_holds_the_threshold_of_the_mask(
    threshold: float, expected: tuple[float, float]
) -> None:
    assert uncertainty.around(threshold) == expected
