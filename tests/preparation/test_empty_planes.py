"""Empty planes that were added to a scan: found, cut off both scans, and put back."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from wmhseg import errors
from wmhseg.geometry import Grid, Turn
from wmhseg.io.images import Scan
from wmhseg.preparation import empty_planes
from wmhseg.preparation.empty_planes import EmptyPlanes

GRID = Grid((9, 20, 22), (4.0, 1.0, 0.9), (-7.0, 11.0, 3.0), (0, -1, 0, 1, 0, 0, 0, 0, 1))
WIDTHS = ((2, 1), (0, 5), (3, 4))
RNG = np.random.default_rng(5)
NOISE = RNG.normal(10, 3, GRID.shape).astype(np.float32)


def padded(array: np.ndarray, value: float, widths: tuple[tuple[int, int], ...] = WIDTHS) -> Scan:
    """A scan with planes of a value added around it, where they belong in space."""
    before = np.array([first * mm for (first, _), mm in zip(widths, GRID.spacing_mm, strict=True)])
    origin = np.array(GRID.origin_mm) - np.array(GRID.direction).reshape(3, 3) @ before[::-1]
    whole = np.pad(array, widths, constant_values=value)
    grid = replace(GRID, shape=whole.shape, origin_mm=tuple(origin.tolist()))
    return Scan(whole, grid, "FLAIR")


def cut_off(flair: Scan, t1: Scan | None) -> tuple[EmptyPlanes, Scan, Scan | None]:
    """What was added to FLAIR, and both scans without it."""
    added, added_t1 = empty_planes.around(flair, t1)
    return added, added.cut(flair), None if t1 is None else added_t1.cut(t1)


@pytest.mark.parametrize("value", [0.0, 7.0, -32768.0])
def test_what_was_added_is_cut_off_and_put_back(value: float) -> None:
    scan = padded(NOISE, value)
    added, core, _ = cut_off(scan, None)
    np.testing.assert_array_equal(core.array, NOISE)
    assert core.array.flags.c_contiguous
    assert core.grid == added.target
    assert core.grid.difference(GRID, tolerance_vox=1e-9) == ""
    mask = np.ones(GRID.shape, np.uint8)
    restored = added.restore(mask)
    assert restored.dtype == np.uint8
    np.testing.assert_array_equal(restored, np.pad(mask, WIDTHS))
    np.testing.assert_array_equal(added.forward(restored), mask)
    with pytest.raises(errors.DimensionError):
        added.restore(restored)
    with pytest.raises(errors.DimensionError):
        added.forward(mask)


def test_a_scan_without_is_the_same_object() -> None:
    scan = Scan(NOISE, GRID, "FLAIR")
    added, core, t1 = cut_off(scan, None)
    assert core is scan
    assert t1 is None
    assert added.restore(NOISE) is NOISE
    assert empty_planes.none(scan) == added


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", [(False, False, False), (True, False, True)])
def test_a_pair_stays_on_one_grid_in_any_order_of_axes(
    axes: tuple[int, int, int], flips: tuple[bool, bool, bool]
) -> None:
    flair = padded(NOISE, 0)
    shown = padded(-NOISE, 5)
    turn = Turn(shown.grid, axes, flips)
    t1 = Scan(turn.forward(shown.array), turn.target, "T1")
    added, _, cut = cut_off(flair, t1)
    assert added.target.shape == GRID.shape
    assert cut is not None
    again = Turn(added.target, axes, flips)
    np.testing.assert_array_equal(cut.array, again.forward(-NOISE))
    assert cut.grid.difference(again.target, tolerance_vox=1e-9) == ""


def test_what_only_one_scan_lacks_stays() -> None:
    t1 = padded(NOISE, 0).array.copy()
    t1[0, 4, 5] = 1  # T1 shows something where FLAIR is empty
    scan = padded(NOISE, 0)
    added, _, _ = cut_off(scan, replace(scan, array=t1, name="T1"))
    assert added.kept[0] == slice(0, 11)
    assert added.kept[2] == slice(3, 25)


def test_t1_on_a_grid_of_its_own_is_left_alone() -> None:
    scan = padded(NOISE, 0)
    t1 = Scan(NOISE, replace(GRID, origin_mm=(0.3, 0.0, 0.0)), "T1")
    _, core, same = cut_off(scan, t1)
    assert core.array.shape == NOISE.shape
    assert same is t1


def test_air_that_was_set_to_0_is_no_padding() -> None:
    """Behind the empty planes a head begins with a few voxels: they may be the scan's own."""
    array = np.zeros((20, 40, 40), np.float32)
    offsets = (np.indices(array.shape) - np.array([9.5, 19.5, 19.5]).reshape(-1, 1, 1, 1)) / [
        [[[7.6]]], [[[15.6]]], [[[15.6]]]
    ]  # fmt: skip
    array[(offsets**2).sum(0) <= 1] = 300
    scan = Scan(array, Grid(array.shape, (4.0, 1.0, 1.0)), "FLAIR")
    assert cut_off(scan, None)[1] is scan
    # One that ends within the head was cut there, and what follows was added.
    cut = np.pad(array[10:], ((6, 0), (0, 0), (0, 0)))
    scan = Scan(cut, Grid(cut.shape, (4.0, 1.0, 1.0)), "FLAIR")
    added, _, _ = cut_off(scan, None)
    assert added.kept[0] == slice(6, 16)


def test_something_is_always_left() -> None:
    array = np.zeros((6, 6, 6), np.float32)
    array[3] = RNG.normal(size=(6, 6))
    added, core, _ = cut_off(Scan(array, Grid(array.shape, (1.0, 1.0, 1.0)), "x"), None)
    assert min(core.array.shape) >= 2
    assert added.kept[0] == slice(0, 6)
