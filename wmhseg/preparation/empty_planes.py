"""Empty planes around a scan that somebody added: cut off before anything is judged, and put back.

Where the networks' field lies, which end slices are emptied, and what counts as tissue depend on
the borders of a scan. Planes of one value that were added to it mean nothing, and must not matter.

They are told from empty planes of the scan's own by what comes next. A scan as acquired is full of
noise up to its borders, or ends within the head. Where air was set to 0 the head begins with a few
voxels: nobody can say then where the scan once ended, and its borders stay as they are.

Arrays are (slice, row, column).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from wmhseg import geometry
from wmhseg.geometry import Array, Grid, Turn
from wmhseg.io.images import Scan

Parts = tuple[slice, slice, slice]

# Share of the first plane that is not of one value: less of it is the tip of a head. In scans with
# air set to 0 it was below 0.006, in others from 0.08.
_FULL = 0.03
_LEAST_PLANES = 2  # of an image


@dataclass(frozen=True)
class EmptyPlanes:
    """Empty planes at the sides of a scan.

    Attributes:
        source: Grid of the scan with them.
        kept: What of its array is left without them.
    """

    source: Grid
    kept: Parts

    @property
    def target(self) -> Grid:
        """Grid of the scan without them."""
        return _part(self.source, self.kept)

    def forward(self, array: Array) -> Array:
        """Cuts them off; a view.

        Raises:
            DimensionError: If the array is not of the source's shape.
        """
        self.source.check_shape(array)
        return array[self.kept]

    def restore(self, array: Array) -> Array:
        """Adds them again, as zeros; the array itself where there are none.

        Raises:
            DimensionError: If the array is not of the target's shape.
        """
        target = self.target
        target.check_shape(array)
        if target == self.source:
            return array
        restored = np.zeros(self.source.shape, array.dtype)
        restored[self.kept] = array
        return restored

    def cut(self, scan: Scan) -> Scan:
        """The scan without them; the scan itself where there are none."""
        if self.target == self.source:
            return scan
        array = np.ascontiguousarray(self.forward(scan.array))
        return replace(scan, array=array, grid=self.target)


def none(scan: Scan) -> EmptyPlanes:
    """Nothing to cut off a scan."""
    slices, rows, columns = (slice(0, n) for n in scan.grid.shape)
    return EmptyPlanes(scan.grid, (slices, rows, columns))


def around(flair: Scan, t1: Scan | None) -> tuple[EmptyPlanes, EmptyPlanes]:
    """Finds empty planes that were added to a scan, or to a pair alike.

    Args:
        flair: The FLAIR scan.
        t1: The T1 scan; what lies on a grid of its own is left alone.

    Returns:
        What was added to FLAIR, and to T1 (none, if there is no T1).
    """
    turn = None if t1 is None else geometry.turn_between(t1.grid, flair.grid)
    arrays = [flair.array]
    if t1 is not None and turn is not None:
        arrays.append(turn.forward(t1.array))
    found = EmptyPlanes(flair.grid, _kept(arrays))
    if t1 is None or turn is None:
        return found, none(t1 or flair)
    return found, EmptyPlanes(t1.grid, _turned_back(found.kept, turn))


def _part(grid: Grid, kept: Parts) -> Grid:
    """The grid of a part of an array."""
    shape = (kept[0].stop - kept[0].start, kept[1].stop - kept[1].start,
             kept[2].stop - kept[2].start)  # fmt: skip
    if shape == grid.shape:
        return grid
    first = [part.start * mm for part, mm in zip(kept, grid.spacing_mm, strict=True)]
    matrix = np.array(grid.direction, float).reshape(3, 3)
    x, y, z = np.array(grid.origin_mm) + matrix @ np.array(first[::-1], float)
    return replace(grid, shape=shape, origin_mm=(float(x), float(y), float(z)))


def _turned_back(kept: Parts, turn: Turn) -> Parts:
    """The same part of the array before it was turned."""
    parts = list(kept)
    for axis, flip, part in zip(turn.axes, turn.flips, kept, strict=True):
        n = turn.source.shape[axis]
        parts[axis] = slice(n - part.stop, n - part.start) if flip else part
    return parts[0], parts[1], parts[2]


def _kept(arrays: Sequence[Array]) -> Parts:
    """What is left of arrays of one shape without the planes that were added to all."""
    core = [_between(arrays, axis) for axis in range(3)]
    kept = []
    for axis, (first, last) in enumerate(core):
        n = arrays[0].shape[axis]
        within = tuple(
            slice(0, n) if other == axis else slice(*core[other])
            for other, n in enumerate(arrays[0].shape)
        )
        planes = [np.moveaxis(array[within], axis, 0) for array in arrays]
        start = first if first and _is_full(planes, first, first - 1) else 0
        stop = last if last < n and _is_full(planes, last - 1, last) else n
        kept.append(slice(start, stop) if stop - start >= _LEAST_PLANES else slice(0, n))
    return kept[0], kept[1], kept[2]


def _between(arrays: Sequence[Array], axis: int) -> tuple[int, int]:
    """The first plane, and the one behind the last, that is not of one value in all arrays."""
    planes = [np.moveaxis(array, axis, 0) for array in arrays]
    n = len(planes[0])
    first = next((place for place in range(n) if not _is_empty(planes, place)), 0)
    last = next((place for place in reversed(range(first, n)) if not _is_empty(planes, place)), -1)
    return first, last + 1 if last >= 0 else n


def _is_empty(planes: Sequence[Array], place: int) -> bool:
    return all(bool((stack[place] == stack[place].flat[0]).all()) for stack in planes)


def _is_full(planes: Sequence[Array], place: int, empty: int) -> bool:
    """Whether a plane is filled with something else than the empty one before it."""
    shares = (float((stack[place] != stack[empty].flat[0]).mean()) for stack in planes)
    return max(shares) > _FULL
