"""Pixels of the size that networks have seen, and the way back: resampling along the axes.

Every sample is a weighted mean of its neighbours with weights that sum to 1, so that a constant
stays constant. The weights fall linearly to 0 at a distance of one voxel, of the coarser of the two
grids: linear interpolation towards finer voxels, averaging without aliasing towards coarser ones.

Grids are centred on each other. Arrays are (slice, row, column).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wmhseg.geometry import Grid
from wmhseg.io import nifti

if TYPE_CHECKING:
    from scipy import sparse

FloatArray = npt.NDArray[np.float32]

KEPT_PIXEL_MM = (0.85, 1.22)
"""Pixels that are left alone: those of the challenge's scanners (to 1.21 mm), with room to the
sizes at the rim of what networks see in training (``methods.TRAINING_PIXEL_MM``)."""

LEAST_SLICE_MM = 0.8
"""Slices nearer to each other than this are averaged; thick ones are never cut into thinner."""

TARGET_MM = 1.0
"""What pixels and slices outside these ranges are brought to."""

FITTING_MM = (1.0, 1.1, 1.2)
"""Pixels that are tried, in this order, where the brain does not fit into the network's field."""


@dataclass(frozen=True)
class Resampling:
    """The way from one grid to another with the same axes and centre, and back.

    Attributes:
        source: Grid of the scan.
        target: Grid the networks work on; equal to the source where nothing is to be done.
    """

    source: Grid
    target: Grid

    @property
    def changes(self) -> bool:
        """Whether the two grids differ."""
        return self.source != self.target

    def forward(self, volume: FloatArray) -> FloatArray:
        """Brings a volume from the source to the target grid.

        Raises:
            DimensionError: If the volume is not of the source's shape.
        """
        return _resampled(volume, self.source, self.target)

    def restore(self, volume: FloatArray) -> FloatArray:
        """Brings a volume from the target back to the source grid.

        Raises:
            DimensionError: If the volume is not of the target's shape.
        """
        return _resampled(volume, self.target, self.source)


def kept(grid: Grid) -> bool:
    """Whether both pixel sides are in the range of the training."""
    low, high = KEPT_PIXEL_MM
    # A hair of room: headers round.
    return all(low - 1e-3 <= size <= high + 1e-3 for size in grid.spacing_mm[1:])


def fitting_pixel(
    grid: Grid, field: tuple[int, int], brain_mm: tuple[float, float]
) -> float | None:
    """The pixel that is needed for the brain to fit into the network's field.

    Args:
        grid: Of the scan.
        field: Rows and columns that the network sees.
        brain_mm: Extent of the brain along rows and columns.

    Returns:
        A side in mm, or None if the brain fits as it is.
    """

    def fits(sides: tuple[float, float]) -> bool:
        sizes = zip(grid.shape[1:], grid.spacing_mm[1:], sides, field, brain_mm, strict=True)
        return all(min(n * old, mm) <= f * new + 1e-3 for n, old, new, f, mm in sizes)

    _, row_mm, column_mm = grid.spacing_mm
    if fits((row_mm, column_mm) if kept(grid) else (TARGET_MM, TARGET_MM)):
        return None
    return next((side for side in FITTING_MM if fits((side, side))), FITTING_MM[-1])


def plan(grid: Grid, pixel_mm: float | None = None) -> Resampling:
    """Plans the way to pixels, and slice distances, of the size seen in training.

    Args:
        grid: Of an axial scan: axis 0 is the slices.
        pixel_mm: Side of the pixels; None: both sides become 1 mm when one of them is out of range.

    Returns:
        The way.

    Raises:
        TooLargeError: If that would make more voxels than are read from a file.
    """
    slices, rows, columns = grid.spacing_mm
    if pixel_mm is not None or not kept(grid):
        rows = columns = pixel_mm or TARGET_MM
    if slices < LEAST_SLICE_MM - 1e-3:
        slices = TARGET_MM
    spacing = (slices, rows, columns)
    if spacing == grid.spacing_mm:
        return Resampling(grid, grid)
    shape = tuple(
        n if new == size else max(2, math.ceil(n * size / new - 1e-6))
        for n, size, new in zip(grid.shape, grid.spacing_mm, spacing, strict=True)
    )
    # Before anything is allocated.
    nifti.checked_shape(shape[::-1], "image, with pixels of the size seen in training,")
    # The centre stays: origin + direction * half the extent is the same for both.
    half = np.array(
        [
            ((n - 1) * size - (count - 1) * new) / 2
            for n, size, count, new in zip(grid.shape, grid.spacing_mm, shape, spacing, strict=True)
        ]
    )
    x, y, z = np.array(grid.origin_mm) + np.array(grid.direction).reshape(3, 3) @ half[::-1]
    origin = (float(x), float(y), float(z))
    target = replace(
        grid, shape=(shape[0], shape[1], shape[2]), spacing_mm=spacing, origin_mm=origin
    )
    return Resampling(grid, target)


def _resampled(volume: FloatArray, source: Grid, target: Grid) -> FloatArray:
    source.check_shape(volume)
    for axis in range(3):
        before = source.shape[axis], source.spacing_mm[axis]
        after = target.shape[axis], target.spacing_mm[axis]
        if before != after:
            volume = _along(volume, axis, _weights(before, after))
    return volume


def _weights(before: tuple[int, float], after: tuple[int, float]) -> sparse.csr_matrix:
    """One row a new voxel: what it takes of each old one."""
    from scipy import sparse  # here: most scans are left alone, and it takes a while to load

    (n_old, old_mm), (n_new, new_mm) = before, after
    position = (np.arange(n_new) - (n_new - 1) / 2) * (new_mm / old_mm) + (n_old - 1) / 2
    reach = max(1.0, new_mm / old_mm)
    # Beyond the edge the outermost voxel goes on.
    position = position.clip(0, n_old - 1)
    width = 2 * math.ceil(reach) + 1
    first = np.floor(position).astype(int) - math.ceil(reach)
    index = first[:, None] + np.arange(width + 1)
    weight = np.maximum(0, 1 - np.abs(index - position[:, None]) / reach)
    weight[(index < 0) | (index >= n_old)] = 0
    weight /= weight.sum(1, keepdims=True)
    row = np.repeat(np.arange(n_new), width + 1)
    values = (weight.ravel(), (row, index.clip(0, n_old - 1).ravel()))
    return sparse.csr_matrix(values, shape=(n_new, n_old))


def _along(volume: FloatArray, axis: int, weights: sparse.csr_matrix) -> FloatArray:
    front = np.moveaxis(volume, axis, 0)
    flat = weights.astype(np.float32) @ np.ascontiguousarray(front).reshape(front.shape[0], -1)
    back = np.moveaxis(flat.reshape(-1, *front.shape[1:]), 0, axis)
    return np.ascontiguousarray(back, dtype=np.float32)
