"""From probability to mask, and from mask to volumes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wmhseg.geometry import Fit, Grid, Way
from wmhseg.measures import lesions
from wmhseg.segmentation import postprocessing, prediction
from wmhseg.weights.processing import Postprocessing

PROBABILITIES = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 12), st.integers(1, 4), st.integers(1, 4)),
    elements=st.floats(0, 1, width=32),
)


@pytest.mark.parametrize(
    ("slices", "share", "expected"),
    [
        (48, 0.10, 4),  # 4.8
        (48, 0.125, 6),
        (83, 0.10, 8),  # 8.3
        (83, 0.125, 10),  # 10.375
        (100, 0.29, 29),  # 28.999999999999996 in binary
        (1000, 0.001, 1),
        (10, 0.1, 1),
        (9, 0.1, 0),
        (7, 0.125, 0),
        (8, 0.125, 1),
        (20, 0.0, 0),
        (1, 0.49, 0),
        (2, 0.4999999999, 0),
        (100, 1e-7, 0),
    ],
)
def test_end_slices_by_hand(slices: int, share: float, expected: int) -> None:
    assert postprocessing.end_slices(slices, share) == expected
    kept = postprocessing.kept_slices(slices, Postprocessing(end_slices=share))
    assert (kept.start, kept.stop) == (expected, slices - expected)


@given(st.integers(0, 999), st.integers(1, 1000))
def test_end_slices_of_a_decimal_share(thousandths: int, slices: int) -> None:
    assert postprocessing.end_slices(slices, thousandths / 1000) == slices * thousandths // 1000


@given(st.floats(0, 0.5, exclude_max=True), st.integers(1, 2000))
def test_some_slices_are_always_kept(share: float, slices: int) -> None:
    kept = postprocessing.kept_slices(slices, Postprocessing(end_slices=share))
    assert 0 <= kept.start < kept.stop <= slices


def test_mask_by_hand() -> None:
    probability = np.zeros((10, 1, 3), np.float32)
    probability[:] = np.float32([0.45, np.nextafter(np.float32(0.45), np.float32(1)), 1])
    mask = postprocessing.to_mask(probability, Postprocessing(threshold=0.45, end_slices=0.25))
    assert mask.dtype == np.uint8
    # Strictly above; floor(2.5) = 2 slices at either end.
    np.testing.assert_array_equal(mask[:, 0], [[0, 0, 0]] * 2 + [[0, 1, 1]] * 6 + [[0, 0, 0]] * 2)


@pytest.mark.parametrize("threshold", [0.4, 0.45, 0.5])
def test_a_probability_at_the_threshold_is_no_lesion(threshold: float) -> None:
    probability = np.full((1, 1, 1), threshold, np.float32)
    assert not postprocessing.to_mask(probability, Postprocessing(threshold, 0)).any()


@given(PROBABILITIES, *[st.floats(0, 1, exclude_max=True)] * 2)
def test_a_larger_threshold_never_adds_voxels(
    probability: np.ndarray, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    loose = postprocessing.to_mask(probability, Postprocessing(low, 0.1))
    strict = postprocessing.to_mask(probability, Postprocessing(high, 0.1))
    assert (strict <= loose).all()


def without_small(mask: np.ndarray, smallest: float) -> np.ndarray:
    """Voxels are of 1.5 mm3."""
    post = Postprocessing(min_lesion_mm3=smallest)
    return postprocessing.without_small(mask, 0.0015, post)


def whole(probability: np.ndarray, post: Postprocessing) -> np.ndarray:
    """All of it, on a scan with voxels of 1 mm3 that is the network's input as it is."""
    grid = Grid(probability.shape, (1.0, 1.0, 1.0))
    way = Way((Fit(grid, grid.shape[1:]),))
    mask, restored = prediction.from_probability(probability, way, post)
    np.testing.assert_array_equal(restored, probability)
    return mask


def test_lesions_go_by_their_highest_probability() -> None:
    probability = np.zeros((4, 5, 6), np.float32)
    probability[0, 0, 0], probability[1, 1, 1] = 0.6, 0.9  # one lesion, over a corner
    probability[0, 4, :4] = 0.75
    probability[3, 4, 5] = 0.5  # not above the threshold
    mask = postprocessing.to_mask(probability, Postprocessing(0.5, 0))
    assert mask.sum() == 6
    below = float(np.nextafter(np.float32(0.9), np.float32(0)))
    for peak, voxels in ((0, 6), (0.6, 6), (0.75, 2), (below, 2), (float(np.float32(0.9)), 0)):
        post = Postprocessing(0.5, 0, lesion_peak=peak)
        left = postprocessing.without_doubtful(probability, post)
        assert (left > 0.5).sum() == voxels, peak
        # What is left is as it was, and what is below the threshold stays.
        assert ((left == probability) | ((left == 0) & (mask > 0))).all()
        assert (whole(probability, post) == (left > 0.5)).all()


def test_small_lesions_go_by_volume() -> None:
    mask = np.zeros((4, 5, 6), np.uint8)
    mask[0, 0, 0] = mask[1, 1, 1] = 1  # 2 voxels, connected over a corner between slices
    mask[0, 4, :4] = 1  # 4 voxels
    mask[3, 4, 5] = 1  # 1 voxel
    # A voxel of 3 x 1 x 0.5 mm is 1.5 mm3: the lesions have 3, 6 and 1.5 mm3.
    for smallest, voxels in ((0, 7), (1.5, 7), (1.6, 6), (3, 6), (3.1, 4), (6, 4), (6.1, 0)):
        left = without_small(mask, smallest)
        assert left.sum() == voxels
        assert left.dtype == np.uint8
        assert (left <= mask).all()


def test_a_lesion_of_exactly_the_least_volume_stays_however_the_header_rounds() -> None:
    mask = np.zeros((2, 5, 6), np.uint8)
    mask[1, 1:3] = mask[1, 3, :2] = 1  # 14 voxels
    for sides_mm in ((0.7, 0.9, 1.1), (6.5, 0.9, 0.9)):
        exact = 14 * float(np.prod(sides_mm))
        sides = np.float32(sides_mm) / 1000
        rounded_ml = float(np.prod(sides.astype(float) * 1000)) / 1000
        post = Postprocessing(min_lesion_mm3=exact)
        for voxel_ml in (rounded_ml, rounded_ml * (1 - 2e-7)):
            assert postprocessing.without_small(mask, voxel_ml, post).sum() == 14


@given(PROBABILITIES, *[st.floats(0, 1, exclude_max=True)] * 3, st.floats(0, 20))
def test_a_larger_threshold_never_adds_large_lesions(
    probability: np.ndarray, one: float, other: float, peak: float, smallest: float
) -> None:
    """A lesion that survives the stricter threshold is part of a larger one at the looser."""
    low, high = sorted((one, other))
    loose, strict = (
        whole(probability, post)
        for post in (Postprocessing(t, 0.1, smallest, peak) for t in (low, high))
    )
    assert (strict <= loose).all()


def test_summary_by_hand() -> None:
    mask = np.zeros((4, 5, 6), np.uint8)
    mask[0, 0, 0] = mask[1, 1, 1] = 1  # connected over a corner between slices
    mask[0, 4, :4] = 1
    mask[3, 4, 5] = 1
    # A voxel of 3 x 1 x 0.5 mm is 0.0015 ml.
    found = lesions.summarise(mask, 0.0015)
    assert found.count == 3
    assert found.volume_ml == pytest.approx(7 * 0.0015)
    assert found.largest_ml == pytest.approx(4 * 0.0015)


def test_summary_of_nothing() -> None:
    found = lesions.summarise(np.zeros((2, 3, 4), np.uint8), 0.001)
    assert found == lesions.LesionSummary(0.0, 0, 0.0)
    assert type(found.volume_ml) is float


@given(hnp.arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 1)))
def test_summary_does_not_depend_on_the_side_one_looks_from(mask: np.ndarray) -> None:
    found = lesions.summarise(mask, 0.002)
    assert found == lesions.summarise(np.ascontiguousarray(mask.transpose(2, 0, 1)[::-1]), 0.002)
    assert found.volume_ml == pytest.approx(mask.sum() * 0.002)
    assert found.largest_ml <= found.volume_ml + 1e-12


# Padding ----------------------------------------------------------------------------------------

OF_HEAD = Postprocessing(end_slices=0.1, end_slices_of="head")


@pytest.mark.parametrize(("below", "above"), [(28, 0), (0, 28), (20, 8), (8, 0), (200, 0)])
def test_padding_does_not_count(below: int, above: int) -> None:
    """Of a head of 20 slices two are emptied at either end, wherever it lies."""
    slices, head = 20 + below + above, slice(below, below + 20)
    kept = postprocessing.kept_slices(slices, OF_HEAD, head)
    lost = postprocessing.lost_slices(slices, OF_HEAD, head)
    if lost:
        assert kept == slice(below + 2, below + 18)
    else:  # hardly more than was intended, at either end
        assert max(0, kept.start - below) <= 3
        assert max(0, below + 20 - kept.stop) <= 3
    scan = replace(OF_HEAD, end_slices_of="scan")
    cut = slices // 10
    assert postprocessing.kept_slices(slices, scan, head) == slice(cut, slices - cut)
    told = postprocessing.warnings(slices, scan, head)
    assert len(told) == bool(lost)
    assert postprocessing.warnings(slices, OF_HEAD, head) == []


@given(st.integers(2, 300), st.integers(0, 3), st.integers(0, 3))
def test_scans_without_padding_are_cut_as_published(slices: int, below: int, above: int) -> None:
    head = slice(below * slices // 60, slices - above * slices // 60)
    plain = postprocessing.kept_slices(slices, replace(OF_HEAD, end_slices_of="scan"))
    assert postprocessing.kept_slices(slices, OF_HEAD, head) == plain


def test_padding_by_a_mask() -> None:
    probability = np.ones((40, 2, 2), np.float32)
    mask = postprocessing.to_mask(probability, OF_HEAD, slice(28, 40))
    assert np.flatnonzero(mask.any((1, 2))).tolist() == list(range(29, 39))
