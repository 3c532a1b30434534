"""Lesions one by one: order, sizes, diameters, centres."""

from __future__ import annotations

import box_brain
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.distance import pdist

from wmhseg.geometry import Grid
from wmhseg.measures import extents, lesions, marks


def test_the_largest_comes_first_and_of_equals_the_first() -> None:
    found = marks.find(box_brain.mask())
    assert found.sizes_vox.tolist() == [48, 16, 12, 8, 4, 4, 3]
    labels = found.volume()
    assert labels.dtype == np.uint16
    # Two of 4 voxels: that in the lower slice, or of one slice in the front, has the lower number.
    assert np.unique(labels[box_brain.BOXES["brainstem"]]).tolist() == [5]
    assert np.unique(labels[box_brain.BOXES["deep grey"]]).tolist() == [6]
    np.testing.assert_array_equal(labels > 0, box_brain.mask() > 0)


def test_nothing_is_no_lesion() -> None:
    found = marks.find(np.zeros((3, 4, 5), np.uint8))
    assert (found.count, len(found.voxels)) == (0, 0)
    assert not found.volume().any()
    assert extents.diameters_mm(found, (1, 1, 1)).shape == (0,)
    assert extents.centres_vox(found).shape == (0, 3)


@pytest.mark.parametrize(
    ("box", "spacing_mm", "expected_mm"),
    [
        (np.s_[1, 1, 1], (5, 1, 1), 1.0),
        (np.s_[1:4, 1, 1], (5, 1, 1), 1.0),  # slices do not count
        (np.s_[1, 1:5, 1], (5, 2, 1), 8.0),
        # From the middle of the first pixel's upper side to that of the last one's lower side.
        (np.s_[1, 1, 1:7], (5, 2, 0.5), (2**2 + 2.5**2) ** 0.5),
        # 4 rows and 3 columns: from the top of one corner to the bottom of the other.
        (np.s_[1, 1:5, 1:4], (5, 1, 1), (4**2 + 2**2) ** 0.5),
    ],
)
def test_diameters_of_boxes(
    box: tuple[slice, ...], spacing_mm: tuple[float, float, float], expected_mm: float
) -> None:
    mask = np.zeros((6, 8, 9), np.uint8)
    mask[box] = 1
    np.testing.assert_allclose(
        extents.diameters_mm(marks.find(mask), spacing_mm), [expected_mm], rtol=1e-12
    )


def test_a_disc_is_as_wide_as_it_was_drawn() -> None:
    rows, columns = np.indices((80, 80)) - 39.5
    mask = np.zeros((3, 80, 80), np.uint8)
    mask[1] = rows**2 + columns**2 <= 30**2
    (diameter,) = extents.diameters_mm(marks.find(mask), (1, 1, 1))
    assert diameter == pytest.approx(60, abs=1)


@given(st.integers(0, 2**32 - 1))
def test_lesions_are_what_labelling_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = (rng.random((4, 9, 8)) < rng.uniform(0, 0.5)).astype(np.uint8)
    found, spacing_mm = marks.find(mask), (2.0, 0.7, 1.1)
    labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
    assert found.count == count
    assert sorted(found.sizes_vox.tolist()) == sorted(np.bincount(labels[mask > 0])[1:].tolist())
    assert (np.diff(found.sizes_vox) <= 0).all()
    total = lesions.summarise(mask, 0.5)
    assert total.volume_ml == found.sizes_vox.sum() * 0.5
    values = rng.random(mask.shape)
    own = found.volume()
    sides = np.array([[0.5, 0], [-0.5, 0], [0, 0.5], [0, -0.5]])
    widest = extents.diameters_mm(found, spacing_mm)
    for lesion in range(count):
        inside = own == lesion + 1
        assert found.highest(found.at(values))[lesion] == values[inside].max()
        assert found.lowest(found.at(values))[lesion] == values[inside].min()
        assert found.mean(found.at(values))[lesion] == pytest.approx(values[inside].mean())
        planes = [np.argwhere(plane) for plane in inside if plane.any()]
        spread = max(
            pdist((plane[:, None] + sides).reshape(-1, 2) * spacing_mm[1:]).max()
            for plane in planes
        )
        assert widest[lesion] == pytest.approx(spread)


def test_centres_lie_in_the_scanner_as_nifti_counts() -> None:
    """Columns to the left and rows to the back are -x and -y of RAS."""
    mask = box_brain.mask("4 mm away")  # slices 9, 10; rows 17 to 19; columns 27, 28
    centre = extents.centres_vox(marks.find(mask))
    np.testing.assert_allclose(centre, [[9.5, 18, 27.5]])
    grid = Grid(box_brain.SHAPE, (3.0, 1.0, 0.5), (-20.0, -15.0, 5.0))
    np.testing.assert_allclose(
        extents.to_ras_mm(centre, grid),
        [[-(-20 + 27.5 * 0.5), -(-15 + 18 * 1.0), 5 + 9.5 * 3.0]],
    )
