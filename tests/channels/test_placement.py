"""Scans whose place in the average brain is known, as they are made of its maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from placed_brain import MIDDLE, SHAPE, SPACING, known, scan_of

from evaluation.package_data import brain_maps as making_maps
from wmhseg.channels import brain_maps, placement
from wmhseg.channels.brain_maps import BrainMaps
from wmhseg.channels.placement import Placement
from wmhseg.datasets.cases import find_cases
from wmhseg.io import images


def apart_mm(one: Placement, other: Placement) -> float:
    """How far apart two placements put the places within 50 mm of the scan's middle."""
    corners = np.array([MIDDLE + np.subtract(c, 0.5) * 70 for c in np.ndindex(2, 2, 2)])
    gaps = [p.matrix @ corners.T + p.offset_mm[:, None] for p in (one, other)]
    return float(np.linalg.norm(gaps[0] - gaps[1], axis=0).max())


@pytest.mark.parametrize(
    ("turn", "size", "shift_mm", "scan"),
    [
        (0.0, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), "T1"),
        (0.15, (1.0, 1.0, 1.0), (8.0, -6.0, 5.0), "T1"),
        (-0.1, (1.1, 0.93, 1.06), (-12.0, 4.0, -3.0), "T1"),
        (0.1, (0.95, 1.08, 1.1), (-5.0, 3.0, 4.0), "FLAIR"),
    ],
)
def test_a_known_place_is_found(
    turn: float, size: tuple[float, float, float], shift_mm: tuple[float, ...], scan: str
) -> None:
    truth = known(turn, size, shift_mm)
    found = placement.place(scan_of(truth, scan), SPACING, brain_maps.load(), scan)
    assert apart_mm(found, truth) < 4
    assert found.quality > 0.9


def test_the_same_scan_has_the_same_place_however_bright() -> None:
    volume = scan_of(known(0.1, (1.0, 1.05, 0.95), (3.0, 2.0, 1.0)))
    once, again, brighter = (
        placement.place(one, SPACING, brain_maps.load()) for one in (volume, volume, volume * 8)
    )
    np.testing.assert_array_equal(once.matrix, again.matrix)
    np.testing.assert_array_equal(once.offset_mm, again.offset_mm)
    assert apart_mm(once, brighter) < 0.1


def test_what_lies_below_the_brain_does_not_count() -> None:
    """The maps have no cerebellum: what is there moves nothing."""
    truth = known(0.0, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    volume, maps = scan_of(truth), brain_maps.load()
    below = placement.mapped(maps.brain.astype(np.float32), maps, truth, SHAPE, SPACING) > 0.5
    below = np.flip(np.logical_or.accumulate(np.flip(below, 0), 0), 0) & (volume < 20)
    with_more = np.where(below, np.float32(80), volume)
    found = placement.place(with_more, SPACING, brain_maps.load())
    assert apart_mm(found, truth) < 5


def test_coordinates_and_positions_agree() -> None:
    placed = known(0.3, (1.1, 0.9, 1.2), (5.0, 6.0, 7.0))
    shape = (3, 4, 5)
    every = np.argwhere(np.ones(shape, bool))
    grids = placed.coordinates_mm(shape, SPACING)
    np.testing.assert_allclose(
        np.stack([grid.ravel() for grid in grids], 1), placed.atlas_mm(every, SPACING), atol=1e-3
    )
    by_hand = placed.matrix @ (np.array([2, 1, 4]) * SPACING) + placed.offset_mm
    np.testing.assert_allclose([grid[2, 1, 4] for grid in grids], by_hand, atol=1e-3)


# The maps -----------------------------------------------------------------------------------------


def test_the_maps_lie_where_mni_space_says() -> None:
    """Left is at higher x; white matter on both sides, ventricles beside the middle."""
    maps = brain_maps.load()
    z, y, x = (mm - o for mm, o in zip((16.0, 0.0, 0.0), maps.origin_mm, strict=True))
    place = [round(part / 2) for part in (z, y, x)]
    assert maps.spacing_mm == (2.0, 2.0, 2.0)
    row = maps.ventricles[place[0], place[1]]
    held = (np.flatnonzero(row > 0.5) - place[2]) * 2
    assert held.size
    assert abs(held).max() < 30
    assert maps.brain[tuple(place)]
    assert 0.5 < maps.wmh.max() <= 1
    assert 1200 < maps.brain.sum() * 8 / 1000 < 1500  # ml


def test_blocks_are_averaged(tmp_path: Path) -> None:
    """Eight voxels become one, in their middle; 63 steps of the largest probability."""
    wmh = np.zeros((4, 4, 5), np.float32)
    wmh[:2, 2:, :2] = 0.4
    wmh[2, 0, 2] = 0.4
    rest = {name: np.zeros_like(wmh) for name in brain_maps.NAMES}
    stored = making_maps.thinned({**rest, "wmh": wmh}, (-3.0, 4.0, 5.0), (1.0, 1.0, 1.0))
    assert stored["wmh"].shape == (2, 2, 3)
    assert stored["wmh"].dtype == np.uint8
    assert stored["wmh"][0, 1, 0] == 63
    assert stored["wmh"][1, 0, 1] == 8  # an eighth of 63 steps
    assert np.count_nonzero(stored["wmh"]) == 2
    assert stored["units"][0] == pytest.approx(0.4 / 63)
    assert list(stored["origin_mm"]) == [-2.5, 4.5, 5.5]
    assert list(stored["spacing_mm"]) == [2, 2, 2]


def test_the_stored_maps_are_made_by_the_command(shared: Path, tmp_path: Path) -> None:
    made = tmp_path / "maps.npz"
    words = ["--priors", str(shared / "data" / "priors"), "--output", str(made)]
    assert making_maps.main(words) == 0
    with np.load(made) as new, np.load(making_maps.OUTPUT) as stored:
        assert sorted(new) == sorted(stored)
        for name in stored:
            np.testing.assert_array_equal(new[name], stored[name])
    assert making_maps.OUTPUT.stat().st_size < 500_000


def at_1_mm(shared: Path) -> BrainMaps:
    maps, origin_mm, spacing_mm = making_maps.read(shared / "data" / "priors")
    return brain_maps.compose(maps, origin_mm, spacing_mm)


@pytest.mark.slow
def test_finer_maps_place_scans_alike(shared: Path) -> None:
    """With the maps as published, at 1 mm, the nine cases lie where they lie with those at 2 mm."""
    fine, apart = at_1_mm(shared), {}
    for case in find_cases(shared / "data" / "cases"):
        assert case.t1 is not None
        scan = images.read_scan(case.t1, name="T1")
        spacing_mm = scan.grid.spacing_mm
        found = [
            placement.place(scan.array, spacing_mm, maps) for maps in (brain_maps.load(), fine)
        ]
        inside = placement.mapped(
            fine.brain.astype(np.float32), fine, found[1], scan.grid.shape, spacing_mm
        )
        voxels = np.argwhere(inside > 0.5)[::101]
        gaps = found[0].atlas_mm(voxels, spacing_mm) - found[1].atlas_mm(voxels, spacing_mm)
        apart[case.name] = float(np.linalg.norm(gaps, axis=1).max())
    print({name: round(mm, 2) for name, mm in apart.items()})
    assert len(apart) == 9
    assert max(apart.values()) < 3
