"""Voxel grids, and the way from a scan to a stack of network-sized axial slices and back.

Axis order: arrays are (slice, row, column), which is (z, y, x) of a SimpleITK image. Physical
coordinates are LPS millimetres (x to the Left, y to the Posterior, z to the Superior), as in
DICOM and SimpleITK. A grid in orientation "LPS" therefore has rows running from front to back
and columns from the patient's right to left: the usual radiological view.

Every forward step is undone by the frozen record it returns; a step that cannot be undone does
not exist.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.errors import DimensionError, UsageError

Triple = tuple[float, float, float]
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
_LETTERS = (("R", "L"), ("A", "P"), ("I", "S"))


@dataclass(frozen=True)
class Grid:
    """Where the voxels of an array lie.

    Attributes:
        shape: Slices, rows, columns.
        spacing_mm: Distance between slices, rows and columns (array order).
        origin_mm: LPS position of voxel [0, 0, 0], as (x, y, z).
        direction: 3x3 cosines, row-major as SimpleITK gives them: column 0 is the direction of
            increasing column index, column 1 of the row index, column 2 of the slice index.

    >>> import wmhseg
    >>> grid = wmhseg.Grid((4, 5, 6), spacing_mm=(3, 1, 0.5))
    >>> grid.orientation, grid.voxel_ml
    ('LPS', 0.0015)
    >>> grid.difference(wmhseg.Grid((4, 5, 7), spacing_mm=(3, 1, 0.5)))
    'sizes 6 x 5 x 4 and 7 x 5 x 4 (columns x rows x slices)'
    """

    shape: tuple[int, int, int]
    spacing_mm: Triple
    origin_mm: Triple = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = _IDENTITY

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(np.prod(self.spacing_mm)) / 1000

    @property
    def orientation(self) -> str:
        """Nearest orientation code, such as "LPS": where column, row and slice index rise to."""
        letters = ["", "", ""]
        for index, axis, sign in _nearest_axes(self.direction):
            letters[index] = _LETTERS[axis][sign > 0]
        return "".join(letters)

    @property
    def tilt_deg(self) -> float:
        """Largest angle between an axis of the grid and the side of the body it is named after."""
        cosines = [abs(cosine) for _, _, cosine in _nearest_axes(self.direction)]
        return math.degrees(math.acos(min(1.0, *cosines)))

    def difference(self, other: Grid, *, tolerance_mm: float = 0.05) -> str:
        """Says how another grid differs, "" if both are the same.

        Args:
            other: Grid to compare with.
            tolerance_mm: Largest distance between corresponding corner voxels.
        """
        if self.shape != other.shape:
            return f"sizes {_size(self)} and {_size(other)} (columns x rows x slices)"
        gap = max(
            float(np.linalg.norm(_position(self, corner) - _position(other, corner)))
            for corner in np.ndindex(2, 2, 2)
        )
        if gap <= tolerance_mm:
            return ""
        return f"positions in space, up to {gap:.2f} mm apart"


def _size(grid: Grid) -> str:
    return " x ".join(str(n) for n in reversed(grid.shape))


def _position(grid: Grid, corner: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """LPS position of a corner voxel; ``corner`` holds 0 (first) or 1 (last) for each axis."""
    index = [c * (n - 1) * s for c, n, s in zip(corner, grid.shape, grid.spacing_mm, strict=True)]
    matrix = np.array(grid.direction).reshape(3, 3)
    position: npt.NDArray[np.float64] = np.array(grid.origin_mm) + matrix @ np.array(index[::-1])
    return position


def _nearest_axes(direction: tuple[float, ...]) -> list[tuple[int, int, float]]:
    """Pairs each index axis (x, y, z) with its nearest physical axis and the sign.

    Largest cosines are settled first, so oblique grids get three different axes.
    """
    cosines = np.array(direction, float).reshape(3, 3)
    weight = np.abs(cosines)
    pairs = []
    for _ in range(3):
        axis, index = np.unravel_index(int(np.argmax(weight)), (3, 3))
        pairs.append((int(index), int(axis), float(cosines[axis, index])))
        weight[axis, :] = -1
        weight[:, index] = -1
    return sorted(pairs)


@dataclass(frozen=True)
class Conformation:
    """The way from a scan's array to a stack of axial slices of one size, and back.

    ``orient``, ``crop`` and ``pad`` go forward and are applied in this order; intensities may be
    changed between them. ``restore`` undoes all three: cropped borders come back as zeros.

    Attributes:
        source: Grid of the scan.
        axes: For each axis of the stack, the axis of the scan it comes from.
        flips: For each axis of the stack, whether it runs against the scan's.
        field: Rows and columns of the stack.
    """

    source: Grid
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    field: tuple[int, int]

    @property
    def oriented_shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns after ``orient``."""
        a, b, c = (self.source.shape[axis] for axis in self.axes)
        return a, b, c

    @property
    def oriented_spacing_mm(self) -> Triple:
        """Distance between slices, rows and columns after ``orient``."""
        a, b, c = (self.source.spacing_mm[axis] for axis in self.axes)
        return a, b, c

    @property
    def oriented_grid(self) -> Grid:
        """Grid of what ``orient`` returns: the same voxels in the same places, in other order."""
        corner = [0, 0, 0]
        matrix = np.array(self.source.direction, float).reshape(3, 3)
        columns = []
        for axis, flip in zip(self.axes, self.flips, strict=True):
            corner[axis] = int(flip)
            columns.append(matrix[:, 2 - axis] * (-1.0 if flip else 1.0))
        x, y, z = _position(self.source, tuple(corner))
        direction = tuple(float(v) for v in np.column_stack(columns[::-1]).ravel())
        origin = (float(x), float(y), float(z))
        return Grid(self.oriented_shape, self.oriented_spacing_mm, origin, direction)

    @property
    def slices(self) -> int:
        """Number of slices of the stack."""
        return self.oriented_shape[0]

    @property
    def _cropping(self) -> tuple[slice, slice, slice]:
        # An odd difference leaves the larger half at the end, as the authors' program does.
        starts = [
            max(0, (n - f) // 2) for n, f in zip(self.oriented_shape[1:], self.field, strict=True)
        ]
        rows, columns = (
            slice(s, s + min(f, n))
            for s, f, n in zip(starts, self.field, self.oriented_shape[1:], strict=True)
        )
        return slice(None), rows, columns

    @property
    def _padding(self) -> tuple[tuple[int, int], ...]:
        pairs: list[tuple[int, int]] = [(0, 0)]
        for n, f in zip(self.oriented_shape[1:], self.field, strict=True):
            missing = max(0, f - n)
            pairs.append((missing // 2, missing - missing // 2))
        return tuple(pairs)

    def orient(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Permutes and flips the scan's array into (slice, row, column) of the stack; a view."""
        if array.shape != self.source.shape:
            raise DimensionError(
                f"An array of the scan's shape {self.source.shape} was expected",
                received=array.shape,
            )
        steps = tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)
        return array.transpose(self.axes)[steps]

    def crop(self, oriented: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Cuts rows and columns beyond the field away, centred; a view."""
        return oriented[self._cropping]

    def pad(self, cropped: npt.NDArray[Any], value: float) -> npt.NDArray[Any]:
        """Adds rows and columns of ``value`` up to the field, centred."""
        return np.pad(cropped, self._padding, constant_values=value)

    def restore(self, stack: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Brings a stack back to the scan's matrix.

        Args:
            stack: (slice, row, column) with the field's rows and columns.

        Returns:
            Array of the scan's shape and the stack's type; 0 outside the field.

        Raises:
            DimensionError: If the stack is of another shape.
        """
        # Asked, as NumPy would spread a stack of one slice over all.
        if stack.shape != (self.slices, *self.field):
            raise DimensionError(
                f"A stack of the shape {(self.slices, *self.field)} was expected",
                received=stack.shape,
            )
        inner = tuple(
            slice(before, before + min(f, n))
            for (before, _), f, n in zip(
                self._padding, (self.slices, *self.field), self.oriented_shape, strict=True
            )
        )
        oriented = np.zeros(self.oriented_shape, stack.dtype)
        oriented[self._cropping] = stack[inner]
        steps = tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)
        inverse = np.argsort(self.axes)
        return np.ascontiguousarray(oriented[steps].transpose(inverse))


def conform(grid: Grid, field: tuple[int, int], orientation: str) -> Conformation:
    """Plans the way from a scan to a stack of axial slices.

    Args:
        grid: Grid of the scan.
        field: Rows and columns that the network takes, in pixels.
        orientation: "stored" takes the array as it lies in the file, as the published programs
            do. A code such as "LPS" permutes and flips axes (never resamples) so that column,
            row and slice index rise to the named sides.

    Returns:
        The conformation, to be applied to every image on this grid.

    Raises:
        UsageError: If the code does not name three different axes.
    """
    if orientation == "stored":
        return Conformation(grid, (0, 1, 2), (False, False, False), field)
    wanted = orientation.upper()
    sides = {
        letter: (axis, side)
        for axis, pair in enumerate(_LETTERS)
        for side, letter in enumerate(pair)
    }
    if (
        len(wanted) != 3
        or any(letter not in sides for letter in wanted)
        or (len({sides[letter][0] for letter in wanted}) != 3)
    ):
        raise UsageError(
            'An orientation such as "LPS", or "stored", was expected', received=f'"{orientation}"'
        )
    found = {axis: (index, sign > 0) for index, axis, sign in _nearest_axes(grid.direction)}
    axes, flips = [], []
    for letter in reversed(wanted):  # array order: slice, row, column
        axis, side = sides[letter]
        index, positive = found[axis]
        axes.append(2 - index)
        flips.append(positive != bool(side))
    return Conformation(grid, (axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2]), field)
