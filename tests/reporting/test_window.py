"""The window by the brain: what is bright beside it does not make the brain grey."""

from __future__ import annotations

import lopsided_head
import numpy as np
import pytest

from wmhseg.reporting.window import look_at

HEAD = lopsided_head.pair()[0].array
CLASSES = lopsided_head.head(0)
SPACING_MM = lopsided_head.GRID.spacing_mm


def grey_of_tissue(volume: np.ndarray) -> np.ndarray:
    """Grey values, as they are drawn, of what lies inside the skull."""
    return look_at(volume.astype(np.float32), SPACING_MM).window.grey(volume)[CLASSES >= 2]


def test_tissue_is_neither_black_nor_white() -> None:
    grey = grey_of_tissue(HEAD)
    # 400 of 300 for white matter is no lesion.
    assert 100 < np.median(grey) < 170
    assert np.percentile(grey, 99) < 240


@pytest.mark.parametrize("times", [20.0, 1e4])
def test_a_hot_voxel_changes_nothing(times: float) -> None:
    hot = HEAD.copy()
    hot[13, 30, 30] *= times
    hot[20, 5, 5] = hot.max()
    change = grey_of_tissue(hot).astype(int) - grey_of_tissue(HEAD)
    assert np.percentile(np.abs(change), 99) <= 2


@pytest.mark.parametrize("times", [3.0, 30.0])
def test_a_bright_remnant_leaves_the_brain_as_it_is(times: float) -> None:
    """A piece of skull, fat or an eye, a hundredth of the volume."""
    remnant = np.s_[6:20, 6:11, 20:40]
    bright = HEAD.copy()
    bright[remnant] *= times
    assert bright[remnant].size > 0.01 * bright.size
    change = grey_of_tissue(bright).astype(int) - grey_of_tissue(HEAD)
    elsewhere = np.ones(HEAD.shape, bool)
    elsewhere[remnant] = False
    assert np.abs(change[elsewhere[CLASSES >= 2]]).max() <= 2


@pytest.mark.parametrize("times", [3.0, 30.0])
def test_what_is_bright_deep_in_the_head_darkens_little(times: float) -> None:
    bright = HEAD.copy()
    bright[8:16, 20:36, 20:32] *= times
    assert np.median(grey_of_tissue(bright)) > 100


@pytest.mark.parametrize(("factor", "offset"), [(1e-3, 0.0), (50.0, 0.0), (2.0, -900.0)])
def test_another_scale_gives_the_same_picture(factor: float, offset: float) -> None:
    change = grey_of_tissue(HEAD * factor + offset).astype(int) - grey_of_tissue(HEAD)
    assert np.abs(change).max() <= (2 if offset == 0 else 12)


def test_the_head_is_found_and_specks_are_not() -> None:
    placed = np.pad(HEAD, ((0, 0), (40, 20), (10, 30)))
    placed[5:20, 2, 2] = 500
    look = look_at(placed, SPACING_MM)
    rows, columns = (np.flatnonzero((CLASSES > 0).any(other)) for other in ((0, 2), (0, 1)))
    for found, wanted, before in ((look.rows, rows, 40), (look.columns, columns, 10)):
        assert 0 <= wanted[0] + before - found[0] <= 3
        assert 0 <= found[1] - wanted[-1] - 1 - before <= 3


def test_what_is_no_head_is_drawn_all_the_same() -> None:
    volume = -np.ones((4, 5, 6), np.float32)
    volume[1, 1, 1] = -2
    look = look_at(volume, (1, 1, 1))
    assert (look.slices, look.rows, look.columns) == ((0, 4), (0, 5), (0, 6))
    assert np.ptp(look.window.grey(volume)) == 255
