"""Voxel grids, and the ways between them and back.

Axis order: arrays are (slice, row, column), which is (z, y, x) of a SimpleITK image. Physical
coordinates are LPS millimetres (x to the Left, y to the Posterior, z to the Superior), as in
DICOM and SimpleITK. A grid in orientation "LPS" therefore has rows running from front to back
and columns from the patient's right to left: the usual radiological view.

What changes an array's grid is a frozen record that can undo it: ``Turn`` (order of axes), ``Fit``
(size of the slices), ``preparation.resampling.Resampling`` (voxel size). Each does one thing, and
``Way`` composes them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from wmhseg.errors import DimensionError, UsageError

Array = npt.NDArray[Any]
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

    def check_shape(self, array: Array) -> None:
        """Checks that an array has the grid's shape: NumPy would spread one slice over all.

        Raises:
            DimensionError: If it has another.
        """
        if array.shape != self.shape:
            raise DimensionError(
                f"An array of the grid's shape {self.shape} was expected", received=array.shape
            )

    def difference(self, other: Grid, *, tolerance_vox: float = 0.1) -> str:
        """Says how another grid differs, "" if both are the same in the same order of axes.

        Args:
            other: Grid to compare with; see ``turn_between`` for other orders of axes.
            tolerance_vox: Largest distance of corresponding corner voxels: headers round.
        """
        if self.shape != other.shape:
            return f"sizes {_size(self)} and {_size(other)} (columns x rows x slices)"
        apart = np.array(
            [_position(self, corner) - _position(other, corner) for corner in np.ndindex(2, 2, 2)]
        )
        along = apart @ np.array(self.direction, float).reshape(3, 3)
        gap_vox = np.linalg.norm(along / self.spacing_mm[::-1], axis=1).max()
        gap_mm = np.linalg.norm(apart, axis=1).max()
        alike = gap_vox <= tolerance_vox
        return "" if alike else f"positions in space, up to {gap_mm:.2f} mm apart"


def _size(grid: Grid) -> str:
    return " x ".join(str(n) for n in reversed(grid.shape))


def _position(grid: Grid, corner: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """LPS position of a corner voxel; ``corner`` holds 0 (first) or 1 (last) for each axis."""
    index = [c * (n - 1) * s for c, n, s in zip(corner, grid.shape, grid.spacing_mm, strict=True)]
    matrix = np.array(grid.direction).reshape(3, 3)
    position: npt.NDArray[np.float64] = np.array(grid.origin_mm) + matrix @ np.array(index[::-1])
    return position


def _nearest_axes(direction: tuple[float, ...] | Array) -> list[tuple[int, int, float]]:
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


# From one grid to another and back ---------------------------------------------------------------


class GridTransform(Protocol):
    """What brings arrays from one grid to another, and back."""

    @property
    def source(self) -> Grid:
        """Grid of what ``forward`` takes and ``restore`` returns."""

    @property
    def target(self) -> Grid:
        """Grid of what ``forward`` returns and ``restore`` takes."""

    def forward(self, array: Array, /) -> Array:
        """Brings an array from the source to the target grid."""

    def restore(self, array: Array, /) -> Array:
        """Brings an array from the target back to the source grid."""


@dataclass(frozen=True)
class Turn:
    """Axes permuted and flipped: the same voxels in the same places, in another order.

    Attributes:
        source: Grid before.
        axes: For each axis of the target, the axis of the source it comes from.
        flips: For each axis of the target, whether it runs against the source's.
    """

    source: Grid
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    @property
    def target(self) -> Grid:
        """Grid after."""
        corner = [0, 0, 0]
        matrix = np.array(self.source.direction, float).reshape(3, 3)
        cosines = []
        for axis, flip in zip(self.axes, self.flips, strict=True):
            corner[axis] = int(flip)
            cosines.append(matrix[:, 2 - axis] * (-1.0 if flip else 1.0))
        x, y, z = _position(self.source, tuple(corner))
        direction = tuple(float(v) for v in np.column_stack(cosines[::-1]).ravel())
        slices, rows, columns = (self.source.shape[axis] for axis in self.axes)
        slice_mm, row_mm, column_mm = (self.source.spacing_mm[axis] for axis in self.axes)
        return Grid(
            (slices, rows, columns),
            (slice_mm, row_mm, column_mm),
            (float(x), float(y), float(z)),
            direction,
        )

    @property
    def _strides(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)

    def forward(self, array: Array) -> Array:
        """Permutes and flips an array.

        Args:
            array: (slice, row, column) of the source.

        Returns:
            (slice, row, column) of the target; a view.

        Raises:
            DimensionError: If the array is not of the source's shape.
        """
        self.source.check_shape(array)
        return array.transpose(self.axes)[self._strides]

    def restore(self, array: Array) -> Array:
        """Permutes and flips an array back.

        Args:
            array: (slice, row, column) of the target.

        Returns:
            (slice, row, column) of the source, contiguous; the array itself where nothing turns.

        Raises:
            DimensionError: If the array is not of the target's shape.
        """
        self.target.check_shape(array)
        return np.ascontiguousarray(array[self._strides].transpose(np.argsort(self.axes)))


def turn_to(grid: Grid, orientation: str) -> Turn:
    """Plans how to turn the axes of a grid to named sides of the body.

    Args:
        grid: Grid of the scan.
        orientation: "stored" takes the array as it lies in the file, as the published programs
            do. A code such as "LPS" permutes and flips axes (never resamples) so that column,
            row and slice index rise to the named sides.

    Returns:
        The turn, for every array on this grid.

    Raises:
        UsageError: If the code does not name three different axes.
    """
    if orientation == "stored":
        return Turn(grid, (0, 1, 2), (False, False, False))
    wanted = orientation.upper()
    sides = {ax[side]: (n, side) for n, ax in enumerate(_LETTERS) for side in (0, 1)}
    named = {sides[letter][0] for letter in wanted if letter in sides}
    if len(wanted) != 3 or len(named) != 3:
        raise UsageError(
            'An orientation such as "LPS", or "stored", was expected', received=f'"{orientation}"'
        )
    nearest = {axis: (index, sign > 0) for index, axis, sign in _nearest_axes(grid.direction)}
    axes, flips = [], []
    for letter in reversed(wanted):  # array order: slice, row, column
        axis, side = sides[letter]
        index, positive = nearest[axis]
        axes.append(2 - index)
        flips.append(positive != bool(side))
    return Turn(grid, (axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2]))


def turn_between(source: Grid, target: Grid) -> Turn | None:
    """Finds the turn after which the voxels of one grid lie where another's do.

    None if there is none: to a tenth of a voxel, see ``Grid.difference``.
    """
    own, wanted = (np.array(grid.direction, float).reshape(3, 3) for grid in (source, target))
    a, b, c = sorted((2 - axis, 2 - i, sign < 0) for i, axis, sign in _nearest_axes(wanted.T @ own))
    turn = Turn(source, (a[1], b[1], c[1]), (a[2], b[2], c[2]))
    return None if turn.target.difference(target) else turn


@dataclass(frozen=True)
class Fit:
    """Rows and columns cropped and padded, centred, to the field of a network.

    Attributes:
        source: Grid before.
        field: Rows and columns after.
        shift: Rows and columns by which what is kept lies behind the middle.
    """

    source: Grid
    field: tuple[int, int]
    shift: tuple[int, int] = (0, 0)

    @property
    def target(self) -> Grid:
        """Grid after: the voxels stay where they are, some are cut off and some are added."""
        shape = (self.source.shape[0], *self.field)
        first = [
            (kept.start - before) * mm
            for kept, (before, _), mm in zip(
                self._cropping, self._padding, self.source.spacing_mm, strict=True
            )
        ]
        matrix = np.array(self.source.direction, float).reshape(3, 3)
        x, y, z = np.array(self.source.origin_mm) + matrix @ np.array(first[::-1], float)
        return replace(self.source, shape=shape, origin_mm=(float(x), float(y), float(z)))

    @property
    def _cropping(self) -> tuple[slice, slice, slice]:
        """What of the source is kept."""
        slices, *sides = self.source.shape
        # An odd difference leaves the larger half at the end, as the authors' program does.
        starts = (
            min(max(0, (n - f) // 2 + by), max(0, n - f))
            for n, f, by in zip(sides, self.field, self.shift, strict=True)
        )
        rows, columns = (
            slice(start, start + min(f, n))
            for start, f, n in zip(starts, self.field, sides, strict=True)
        )
        return slice(0, slices), rows, columns

    @property
    def _padding(self) -> tuple[tuple[int, int], ...]:
        """How many are added before and after, along each axis."""
        pairs = [(0, 0)]
        for n, f in zip(self.source.shape[1:], self.field, strict=True):
            missing = max(0, f - n)
            pairs.append((missing // 2, missing - missing // 2))
        return tuple(pairs)

    def crop(self, array: Array) -> Array:
        """Cuts off rows and columns beyond the field; a view.

        Raises:
            DimensionError: If the array is not of the source's shape.
        """
        self.source.check_shape(array)
        return array[self._cropping]

    def pad(self, cropped: Array, value: float) -> Array:
        """Adds rows and columns of ``value`` up to the field, to what ``crop`` returned."""
        return np.pad(cropped, self._padding, constant_values=value)

    def forward(self, array: Array) -> Array:
        """Crops, then pads with zeros. Intensities may be changed between: see ``crop``, ``pad``.

        Raises:
            DimensionError: If the array is not of the source's shape.
        """
        return self.pad(self.crop(array), 0)

    def restore(self, array: Array) -> Array:
        """Takes padding off, and brings what was cropped back as zeros.

        Args:
            array: (slice, row, column) with the field's rows and columns.

        Returns:
            A new array of the source's shape and the array's type.

        Raises:
            DimensionError: If the array is not of the target's shape.
        """
        self.target.check_shape(array)
        cropping = self._cropping
        inner = tuple(
            slice(before, before + kept.stop - kept.start)
            for (before, _), kept in zip(self._padding, cropping, strict=True)
        )
        restored = np.zeros(self.source.shape, array.dtype)
        restored[cropping] = array[inner]
        return restored


@dataclass(frozen=True)
class Way:
    """Several transforms, one after the other, as one.

    Attributes:
        parts: At least one; each begins on the grid on which the one before ends.

    Example:
        >>> turn = turn_to(Grid((2, 3, 4), (5.0, 1.0, 1.0)), "RAS")
        >>> way = Way((turn, Fit(turn.target, (6, 6))))
        >>> stack = way.forward(np.ones((2, 3, 4)))
        >>> stack.shape, way.restore(stack).shape
        ((2, 6, 6), (2, 3, 4))
    """

    parts: tuple[GridTransform, ...]

    def __post_init__(self) -> None:
        """Checks that the parts join.

        Raises:
            UsageError: If there is none, or one begins on another grid.
        """
        if not self.parts:
            raise UsageError("At least one transform was expected on a way", received="none")
        for number, (one, other) in enumerate(pairwise(self.parts), 1):
            if one.target != other.source:
                raise UsageError(
                    f"Part {number + 1} of the way was expected to begin where part {number} ends",
                    received=one.target.difference(other.source) or "slightly different grids",
                )

    @property
    def source(self) -> Grid:
        """Grid at the beginning."""
        return self.parts[0].source

    @property
    def target(self) -> Grid:
        """Grid at the end."""
        return self.parts[-1].target

    def then(self, further: Way) -> Way:
        """Goes on along another way.

        Raises:
            UsageError: If that one does not begin where this one ends.
        """
        return Way(self.parts + further.parts)

    def forward(self, array: Array) -> Array:
        """Brings an array from the source to the target.

        Args:
            array: (slice, row, column) of the source.

        Raises:
            DimensionError: If the array is not of the source's shape.
        """
        for part in self.parts:
            array = part.forward(array)
        return array

    def restore(self, array: Array, *, to: Grid | None = None) -> Array:
        """Brings an array from the target back to the source, or only a part of the way.

        Args:
            array: (slice, row, column) of the target.
            to: Grid between two parts at which to stop, the first one on the way that is equal;
                None for the source.

        Returns:
            (slice, row, column) on that grid.

        Raises:
            DimensionError: If the array is not of the target's shape.
            UsageError: If the way does not lead over that grid.
        """
        stops = [self.source, *(part.target for part in self.parts)]
        if to is not None and to not in stops:
            raise UsageError(
                "A grid on the way was expected",
                received=to.difference(self.source) or "a slightly different grid",
            )
        first = 0 if to is None else stops.index(to)
        for part in reversed(self.parts[first:]):
            array = part.restore(array)
        return array
