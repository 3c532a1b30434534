"""Outlines of masks: which voxels, and how far apart."""

from __future__ import annotations

import numpy as np
import pytest

from wmhseg.scoring.outlines import OutlineDistances, outline


def square(first: int, last: int) -> np.ndarray:
    """A square of voxels in slice 1, rows and columns first to last."""
    mask = np.zeros((3, 12, 12), bool)
    mask[1, first : last + 1, first : last + 1] = True
    return mask


def test_outline_is_in_plane() -> None:
    """Of 4 x 4 voxels the inner 2 x 2 are no outline, though slices above are empty."""
    first, second = outline(square(3, 6)), outline(square(4, 5))
    assert (first.shape, second.shape) == ((3, 12), (3, 4))
    assert (first[1:].min(), first[1:].max()) == (3, 6)
    assert (second[1:].min(), second[1:].max()) == (4, 5)


def test_what_fills_the_image_has_no_outline() -> None:
    assert outline(np.ones((2, 5, 5), bool)).size == 0


def line_mm(*, total_first: bool) -> OutlineDistances:
    """Distances of 0, 2, 4 ... 40 mm, from a line of 21 voxels to its first one."""
    line = np.stack([np.zeros(21, int), np.zeros(21, int), np.arange(21)])
    found = OutlineDistances(line, line[:, :1], np.array([5.0, 1.0, 2.0]))
    if total_first:
        assert found.total_mm() == pytest.approx(2 * 210)
    return found


@pytest.mark.parametrize("total_first", [False, True])
def test_percentile_of_distances(total_first: bool) -> None:
    """The 95th percentile of 21 lies on the 20th, 38 mm; the sum changes nothing."""
    found = line_mm(total_first=total_first)
    assert len(found) == 21
    assert found.percentile_mm() == pytest.approx(38)
    assert found.total_mm() == pytest.approx(2 * 210)
    assert found.percentile_mm() == pytest.approx(38)
