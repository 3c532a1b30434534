"""From a scan to MNI space and T1: where points land, and volumes there."""

from __future__ import annotations

import math
from dataclasses import replace

import box_brain
import numpy as np
import pytest
from placed_brain import SHAPE, SPACING, known, scan_of

from wmhseg.channels import brain_maps, placement
from wmhseg.geometry import Grid
from wmhseg.io.images import Scan
from wmhseg.measuring import measure, space
from wmhseg.measuring.scene import Atlas, OtherScan, Scene, Wanted
from wmhseg.preparation.registration import Rigid

TURNED = (0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def test_the_mni_grid_is_that_of_the_template() -> None:
    """Its first voxel lies 96 mm left, 132 back and 78 down, in RAS; the last one right, front."""
    way = space.of_grid(space.MNI_GRID)
    corners = way([[0, 0, 0], [192, 228, 192], [78, 132, 96]])
    np.testing.assert_array_equal(
        corners[:, ::-1] * [-1, -1, 1], [[-96, -132, -78], [96, 96, 114], [0, 0, 0]]
    )
    assert space.MNI_GRID.orientation == "RAS"


def test_indices_become_positions_and_back() -> None:
    grid = Grid((4, 5, 6), (3.0, 2.0, 0.5), (10.0, 20.0, 30.0), TURNED)
    way = space.of_grid(grid)
    # One slice up is z + 3; columns run along -y by 0.5, rows along x by 2.
    np.testing.assert_allclose(
        way([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        [[30, 20, 10], [33, 20, 10], [30, 20, 12], [30, 19.5, 10]],
    )
    there = way.then(way.inverse())
    np.testing.assert_allclose(there([[1, 2, 3]]), [[1, 2, 3]])


def test_a_move_leads_from_flair_to_t1() -> None:
    move = Rigid((0.1, -0.2, 0.3), (4.0, 5.0, 6.0), (7.0, 8.0, 9.0))
    point = np.array([1.0, 2.0, 3.0])
    expected = np.array(move.transform().TransformPoint(tuple(point)))
    np.testing.assert_allclose(space.of_move(move)([point[::-1]]), [expected[::-1]])


def brain(placed: placement.Placement) -> tuple[Scan, space.InBrain]:
    grid = Grid(SHAPE, SPACING, (-90.0, -110.0, -60.0))
    return Scan(scan_of(placed, "FLAIR"), grid, "FLAIR"), space.of_placement(placed, grid)


def test_a_placed_brain_fits_the_map_in_mni_space() -> None:
    flair, there = brain(known(0.1, (1.0, 1.05, 0.95), (3.0, 2.0, 1.0)))
    maps = brain_maps.load()
    ventricles = placement.mapped(maps.ventricles, maps, there.placement, SHAPE, SPACING)
    moved = space.in_mni(ventricles, there)
    own = placement.Placement(np.diag([1.0, -1.0, -1.0]), np.array([-78.0, 132.0, 96.0]), 1.0, 1.0)
    expected = placement.mapped(maps.ventricles, maps, own, space.MNI_GRID.shape, (1, 1, 1))
    a, b = moved > 0.5, expected > 0.5
    assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.8  # slices of 5 mm lie between
    white = there.white_matter(flair.grid)
    np.testing.assert_array_equal(
        white, placement.mapped(maps.white_matter, maps, there.placement, SHAPE, SPACING) > 0.5
    )


def test_a_scan_is_placed_and_its_mask_moves_with_it() -> None:
    truth = known(0.05, (1.0, 1.0, 1.0), (2.0, -3.0, 1.0))
    flair, there = brain(truth)
    mask = np.zeros(SHAPE, np.uint8)
    mask[16:20, 40:50, 30:40] = 1
    found = measure.measure(Scene(flair, mask), Wanted(mni=True))
    assert found.brain is not None
    assert found.centres_mni_mm is not None
    expected = there.to_mni(np.array([[17.5, 44.5, 34.5]]))[:, ::-1] * [-1, -1, 1]
    assert np.linalg.norm(found.centres_mni_mm - expected) < 4
    in_mni = np.argwhere(found.mni["wmh"]).mean(0)
    x, y, z = found.centres_mni_mm[0]
    np.testing.assert_allclose(in_mni, [z + 78, y + 132, x + 96], atol=0.6)
    # The head is as large as the average one.
    volume = mask.sum() * np.prod(SPACING)
    assert found.mni["wmh"].sum() == pytest.approx(volume, rel=0.1)
    assert found.mni["flair"].shape == space.MNI_GRID.shape
    assert set(np.unique(found.mni["wmh"])) == {0, 1}


def test_an_atlas_on_t1_goes_through_the_registration() -> None:
    """T1 lies 6 mm to the left of FLAIR: so does its atlas."""
    where = box_brain.grid()
    move = Rigid(shift_mm=(6.0, 0.0, 0.0))
    volume = np.zeros(box_brain.SHAPE, np.int32)
    volume[:, :, 20:] = 3  # columns from 14 of FLAIR
    t1 = Scan(np.ones(box_brain.SHAPE, np.float32), where, "T1")
    scene = box_brain.scene(
        box_brain.mask("brainstem", "4 mm away"),  # columns 10 and 11, 27 and 28
        where,
        t1=OtherScan(t1, move),
        atlas=Atlas(volume, where, {3: "left"}, "t1", "a"),
    )
    found = measure.measure(scene, brain=box_brain.in_brain(where))
    (outside, left) = found.regions
    assert (outside.marked_vox, left.marked_vox) == (4, 12)
    # Columns 14 to 33 of FLAIR; what lies beyond T1 is outside.
    assert left.vox == 20 * 40 * 20
    nearer = replace(scene, t1=OtherScan(t1, Rigid()))
    assert measure.measure(nearer, brain=box_brain.in_brain(where)).regions[1].vox == 20 * 40 * 20


def test_t1_is_filled_on_its_own_voxels() -> None:
    """T1 in another order of axes and 5 columns further: lesions are where they were moved to."""
    where, move = box_brain.grid(), Rigid(shift_mm=(5.0, 0.0, 0.0))
    mask = box_brain.mask("far away", "4 mm away")
    white = box_brain.anatomy() == box_brain.N["white-matter"]
    own = np.where(white, np.float32(100), np.float32(30))
    own[mask > 0] = 60
    t1_grid = replace(where, origin_mm=(-15.0, -15.0, 5.0))
    t1 = Scan(own, t1_grid, "T1")
    scene = box_brain.scene(mask, where, t1=OtherScan(t1, move))
    found = measure.measure(scene, Wanted(filled_t1=True), box_brain.in_brain(where))
    assert found.filled_t1 is not None
    assert found.filled_t1.grid == t1_grid
    np.testing.assert_allclose(found.filled_t1.array[mask > 0], 100, rtol=1e-5)
    np.testing.assert_array_equal(found.filled_t1.array[mask == 0], own[mask == 0])


def test_without_an_anatomy_the_average_brain_says_where_white_matter_is() -> None:
    truth = known(0.0, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    flair, there = brain(truth)
    t1 = Scan(scan_of(truth, "T1"), flair.grid, "T1")
    maps = brain_maps.load()
    sure = placement.mapped(maps.white_matter, maps, truth, SHAPE, SPACING) > 0.95
    place = np.argwhere(sure)[sure.sum() // 2]
    mask = np.zeros(SHAPE, np.uint8)
    mask[place[0], place[1] : place[1] + 2, place[2] : place[2] + 2] = 1
    before = t1.array.copy()
    t1.array[mask > 0] = 40  # like fluid
    scene = Scene(flair, mask, t1=OtherScan(t1, Rigid(), t1.array))
    filled = measure.measure(scene, Wanted(filled_t1=True), there).filled_t1
    assert filled is not None
    white = float(before[sure].mean())
    assert abs(float(filled.array[mask > 0].mean()) - white) < 0.1 * white
    np.testing.assert_array_equal(filled.array[mask == 0], t1.array[mask == 0])


def test_registration_of_t1_takes_points_as_sitk_does() -> None:
    move = Rigid((0.0, 0.0, math.pi / 2), (0.0, 0.0, 0.0))
    np.testing.assert_allclose(move.moved_mm((1.0, 0.0, 0.0)), (0.0, 1.0, 0.0), atol=1e-12)
