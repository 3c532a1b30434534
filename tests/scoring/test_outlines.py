"""Outlines of masks: which voxels, and how far apart."""

from __future__ import annotations

import numpy as np
import pytest

from wmhseg.scoring import outlines


def box(first: int, last: int) -> np.ndarray:
    """A square of voxels in slice 1, rows and columns first to last."""
    mask = np.zeros((3, 12, 12), bool)
    mask[1, first : last + 1, first : last + 1] = True
    return mask


def test_outline_is_in_plane() -> None:
    """Of 4 x 4 voxels the inner 2 x 2 are no outline, though slices above are empty."""
    first, second = outlines.outlines(box(3, 6), box(4, 5))
    assert (first.shape, second.shape) == ((3, 12), (3, 4))
    # Counted from the common corner: one voxel before the box.
    assert (first[1:].min(), first[1:].max()) == (1, 4)
    assert (second[1:].min(), second[1:].max()) == (2, 3)


def test_what_fills_the_image_has_no_outline() -> None:
    full = np.ones((2, 5, 5), bool)
    assert outlines.outlines(full, full)[0].size == 0


def test_common_box_keeps_a_margin() -> None:
    assert outlines.common_box(box(3, 4), box(6, 6)) == (slice(0, 3), slice(2, 8), slice(2, 8))
    assert outlines.common_box(box(0, 1), box(1, 1))[1] == slice(0, 3)  # cut at the edge


def test_percentile_of_distances() -> None:
    """Distances 0, 2, 4 ... 40 mm: the 95th percentile of 21 lies on the 20th, 38 mm."""
    line = np.stack([np.zeros(21, int), np.zeros(21, int), np.arange(21)])
    found = outlines.percentile_mm(line, line[:, :1], np.array([5.0, 1.0, 2.0]))
    assert found == pytest.approx(38)
