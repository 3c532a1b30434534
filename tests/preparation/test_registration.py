"""Registration on a phantom head: small known moves, and pairs that do not match."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk
from lopsided_head import GRID, SHAPE, pair
from scipy import ndimage

from wmhseg.geometry import Grid
from wmhseg.io.images import Scan
from wmhseg.preparation import registration
from wmhseg.preparation.registration import Rigid, T1Place


@pytest.fixture(scope="module")
def moved() -> tuple[Scan, Scan, Rigid]:
    """T1 turned by 9 degrees and shifted by 10 mm, on another grid."""
    flair, t1 = pair()
    move = Rigid((0.0, 0.0, math.radians(9)), (6.0, -8.0, 0.0), (0.0, 0.0, 0.0))
    grid = Grid((30, 72, 66), (3.7, 2.8, 2.9), (-96.0, -100.0, -50.0))
    # What lies at p goes to move(p), so the new grid looks back.
    back = Rigid((0.0, 0.0, math.radians(-9)), centre_mm=(0.0, 0.0, 0.0))
    x, y, z = back.transform().TransformPoint(tuple(-s for s in move.shift_mm))
    other = registration.resample(t1, grid, Rigid(back.rotation_rad, (x, y, z)))
    return flair, other, move


def test_a_known_move_is_found_and_found_again(moved: tuple[Scan, Scan, Rigid]) -> None:
    flair, t1, move = moved
    found = registration.register(flair, t1)
    assert found.succeeded
    truth, got = move.transform(), found.move.transform()
    points = [(x, y, z) for x in (-60, 60) for y in (-60, 60) for z in (-40, 40)]
    off = [math.dist(truth.TransformPoint(p), got.TransformPoint(p)) for p in points]
    assert max(off) < 1.5  # half a pixel of 3 mm
    threads = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    try:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1 if threads > 1 else 2)
        assert registration.register(flair, t1) == found  # to the last bit
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def test_the_move_is_told_in_words() -> None:
    move = Rigid((0.0, 0.0, math.radians(9)), (3.0, 4.0, 12.0))
    assert move.angle_deg == pytest.approx(9)
    assert move.distance_mm == pytest.approx(13)


def test_the_score_falls_with_the_distance(moved: tuple[Scan, Scan, Rigid]) -> None:
    flair, t1, move = moved
    scores = [
        registration.edge_agreement(
            flair, t1, Rigid(move.rotation_rad, (6.0 + shift, -8.0, 0.0), move.centre_mm)
        )
        for shift in (0, 4, 8)
    ]
    assert scores[0] > registration.LEAST_AGREEMENT > scores[2]
    assert scores[0] > scores[1] > scores[2]


def test_another_head_is_reported() -> None:
    flair, _ = pair(0)
    _, t1 = pair(1)
    assert registration.edge_agreement(flair, t1) < registration.LEAST_AGREEMENT
    found = registration.register(flair, t1)
    assert not found.succeeded
    assert found.starts == 14  # 2, and 12 with the head turned


def test_resampling_on_the_own_grid_is_the_identity() -> None:
    _, t1 = pair()
    same = registration.resample(t1, GRID)
    np.testing.assert_allclose(same.array, t1.array, atol=1e-3)
    assert same.grid == GRID


def test_there_and_back_between_grids(moved: tuple[Scan, Scan, Rigid]) -> None:
    """A blob drawn on FLAIR lands where the move takes its centre."""
    flair, t1, move = moved
    blob = np.zeros(SHAPE, np.float32)
    blob[10:16, 20:30, 20:30] = 1
    there = registration.on_t1_grid(blob, flair.grid, T1Place(t1.grid, move))
    assert there.shape == t1.grid.shape

    def centre(values: np.ndarray, grid: Grid) -> np.ndarray:
        index = np.array(ndimage.center_of_mass(values)) * grid.spacing_mm
        return np.array(grid.origin_mm) + index[::-1]

    wanted = move.transform().TransformPoint(centre(blob, GRID).tolist())
    assert centre(there, t1.grid) == pytest.approx(np.array(wanted), abs=0.5)
    volumes = [v.sum() * g.voxel_ml for v, g in ((blob, GRID), (there, t1.grid))]
    assert volumes[0] == pytest.approx(volumes[1], rel=0.03)


def test_coverage() -> None:
    flair, t1 = pair()
    assert registration.covered_share(flair, t1, Rigid()) == 1
    # The field of view is 112 mm high, the head 96: a shift of a whole field shows nothing.
    assert registration.covered_share(flair, t1, Rigid(shift_mm=(0.0, 0.0, 200.0))) == 0
