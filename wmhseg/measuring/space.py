"""From a scan's voxels to MNI space and T1, and back.

Arrays are (slice, row, column); so are positions, LPS millimetres as (z, y, x), unless a name says
otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg.channels import brain_maps, location, placement
from wmhseg.channels.placement import Placement
from wmhseg.geometry import Grid
from wmhseg.measures.marks import Doubles
from wmhseg.measuring.scene import Atlas, Float
from wmhseg.preparation.registration import Rigid

MNI_GRID = Grid(
    (193, 229, 193),
    (1.0, 1.0, 1.0),
    (96.0, 132.0, -78.0),
    (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0),
)
"""The voxels of the MNI 152 template of 2009 (c) at 1 mm, in the order of its files (RAS)."""


@dataclass(frozen=True, eq=False)
class Affine:
    """A map of positions or indices: to = matrix @ from + offset.

    Attributes:
        matrix: (3, 3).
        offset: (3,).
    """

    matrix: Doubles
    offset: Doubles

    def __call__(self, points: npt.ArrayLike) -> Doubles:
        """Maps (n, 3) points."""
        there: Doubles = np.asarray(points, float) @ self.matrix.T + self.offset
        return there

    def then(self, other: Affine) -> Affine:
        """This map, and another after it."""
        return Affine(other.matrix @ self.matrix, other.matrix @ self.offset + other.offset)

    def inverse(self) -> Affine:
        """The way back."""
        back: Doubles = np.linalg.inv(self.matrix).astype(np.float64)
        return Affine(back, -back @ self.offset)


def of_grid(grid: Grid) -> Affine:
    """From indices of a grid to positions."""
    steps = np.array(grid.direction, float).reshape(3, 3) * grid.spacing_mm[::-1]
    return Affine(steps[::-1, ::-1], np.array(grid.origin_mm[::-1], float))


def of_move(move: Rigid) -> Affine:
    """From positions in FLAIR to positions in T1."""
    corners = ((0.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
    zero, *ends = (np.array(move.moved_mm(corner)[::-1]) for corner in corners)
    return Affine(np.column_stack([end - zero for end in ends]), zero)


@dataclass(frozen=True, eq=False)
class InBrain:
    """Where a scan lies in the average brain.

    Attributes:
        placement: As it was found; its coordinates begin at the scan's first voxel.
        to_mni: From indices of the scan to positions in MNI space.
    """

    placement: Placement
    to_mni: Affine

    def white_matter(self, grid: Grid) -> npt.NDArray[np.bool_]:
        """Where the average brain has white matter, (slice, row, column) of the scan's grid."""
        maps = brain_maps.load()
        placed = placement.mapped(
            maps.white_matter, maps, self.placement, grid.shape, grid.spacing_mm
        )
        likely: npt.NDArray[np.bool_] = placed > 0.5
        return likely


def find(volume: Float, scan: str, grid: Grid) -> InBrain:
    """Registers a scan to the average brain.

    Args:
        volume: (slice, row, column) of axial slices in LPS order.
        scan: "T1" or "FLAIR".
        grid: Of the volume.

    Raises:
        RegistrationError: If that does not succeed beyond doubt.
    """
    return of_placement(location.find_place({scan: volume}, grid.spacing_mm), grid)


def of_placement(placed: Placement, grid: Grid) -> InBrain:
    """Where a scan lies that has been placed.

    Args:
        placed: From millimetres of the scan, from its first voxel, to MNI space.
        grid: Of the scan.
    """
    return InBrain(placed, Affine(placed.matrix * np.array(grid.spacing_mm), placed.offset_mm))


def sampled(
    volume: npt.NDArray[np.generic], from_target: Affine, shape: tuple[int, ...], order: int
) -> npt.NDArray[np.generic]:
    """A volume on the voxels of another grid; 0 beyond its ends.

    Args:
        volume: (slice, row, column).
        from_target: From indices of the other grid to indices of the volume.
        shape: Of the other grid.
        order: 0: the nearest voxel; 1: linear.
    """
    values: npt.NDArray[np.generic] = ndimage.affine_transform(
        volume, from_target.matrix, from_target.offset, output_shape=shape, order=order
    )
    return values


def in_mni(volume: Float, brain: InBrain) -> Float:
    """A volume on ``MNI_GRID``, linearly.

    Args:
        volume: (slice, row, column) of the scan that was placed.
        brain: Where it lies.
    """
    back = of_grid(MNI_GRID).then(brain.to_mni.inverse())
    return sampled(volume, back, MNI_GRID.shape, 1).astype(np.float32)


def atlas_on(
    atlas: Atlas, grid: Grid, move: Rigid | None, brain: InBrain | None
) -> npt.NDArray[np.int32]:
    """The labels of an atlas on a scan's voxels, each from the nearest voxel of the atlas.

    Args:
        atlas: The atlas.
        grid: Of the scan.
        move: From the scan to T1, for an atlas on T1.
        brain: Where the scan lies in MNI space, for an atlas there.
    """
    way = of_grid(grid)
    if atlas.space == "mni" and brain is not None:
        way = brain.to_mni
    elif atlas.space == "t1" and move is not None:
        way = way.then(of_move(move))
    there = way.then(of_grid(atlas.grid).inverse())
    return sampled(atlas.volume, there, grid.shape, 0).astype(np.int32)
