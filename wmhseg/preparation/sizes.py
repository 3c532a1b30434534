"""Voxels and fields of a size that a scan of a head can have.

A header that says otherwise is wrong, and so would be every volume: nothing is segmented then. The
limits leave room for single slabs, newborns and generous fields of view.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import numpy.typing as npt

from wmhseg.errors import UnsuitableScanError, UsageError
from wmhseg.geometry import Grid
from wmhseg.io import forms
from wmhseg.io.images import Scan
from wmhseg.preparation import intensity

VOXEL_MM = (0.1, 20.0)
"""Side of a voxel, slice distances included."""

FIELD_MM = (30.0, 700.0)
"""Sides of the image; of a slab of few slices one may be shorter."""

SKIN_AND_BONE_MM = 10.0
"""Less than what usually lies over the brain at the forehead and the back of the head, 12 to 15."""

HEAD_MM = 350.0
"""No head, with its neck, is longer in any direction."""

_SPECKS = 0.01  # of the voxels in the fullest slice, row or column: less is no head
_UNITS = {1000.0: "metres", 0.001: "micrometres"}
_OTHER_UNITS = {1000.0: "metres", 10.0: "centimetres", 0.1: "tenths of a millimetre"}


def check_size(scan: Scan) -> None:
    """Refuses a scan that by its header is far smaller or larger than a head.

    Raises:
        UnsuitableScanError: If it is.
    """
    if _possible(scan.grid):
        return
    raise UnsuitableScanError(
        f"Voxels of {VOXEL_MM[0]:g} to {VOXEL_MM[1]:g} mm and a field of {FIELD_MM[0]:g} to "
        f"{FIELD_MM[1]:g} mm were expected of the {scan.name} image, as heads have",
        received=size(scan.grid),
        advice=_advice(scan),
    )


def check_order(scan: Scan) -> None:
    """Refuses an array whose axes or voxel sizes were given in another order than is meant.

    A head in it would be larger than any: slices taken for columns, say.

    Args:
        scan: Of an array, with the voxel size that came with it.

    Raises:
        UsageError: If it is.
    """
    extent = _extent(intensity.foreground(scan.array))
    if _is_head(extent, scan.grid.spacing_mm):
        return
    orders = dict.fromkeys(permutations(scan.grid.spacing_mm))
    fitting = [order for order in orders if _is_head(extent, order)]
    advice = "Give its voxel size in mm, in this order."
    if extent[0] > min(extent) and scan.grid.spacing_mm[0] == max(scan.grid.spacing_mm):
        advice = (
            "Its slices seem to be another axis than the first, as in nibabel's arrays: give "
            "array.T, or the image in place of its array."
        )
    elif fitting:
        advice = (
            "With " + " or ".join(f"spacing_mm={_listed(o)}" for o in fitting) + " it would be."
        )
    raise UsageError(
        f"A {scan.name} array (slice, row, column) and spacing_mm in this order were expected",
        received=f"spacing_mm={_listed(scan.grid.spacing_mm)}, which makes a head of "
        + " x ".join(f"{n * s:.0f}" for n, s in zip(extent, scan.grid.spacing_mm, strict=True))
        + " mm",
        advice=advice,
    )


def _listed(spacing_mm: Sequence[float]) -> str:
    return f"({', '.join(f'{side:g}' for side in spacing_mm)})"


def _is_head(extent: Sequence[int], spacing_mm: Sequence[float]) -> bool:
    return all(n * side <= HEAD_MM for n, side in zip(extent, spacing_mm, strict=True))


def _extent(head: npt.NDArray[np.bool_]) -> list[int]:
    """Voxels from one end of the head to the other along each axis, without specks."""
    extent = []
    for axis in range(3):
        counts = head.sum(tuple({0, 1, 2} - {axis}))
        held = np.flatnonzero(counts > _SPECKS * counts.max())
        extent.append(int(held[-1] - held[0]) + 1 if held.size else 0)
    return extent


def check_voxel(grid: Grid, name: str) -> None:
    """Refuses voxels that no scan has, of an image that may show any part of a head.

    Args:
        grid: Of the image.
        name: How to call it in the message.

    Raises:
        UnsuitableScanError: If a side is out of range.
    """
    if not all(VOXEL_MM[0] <= side <= VOXEL_MM[1] for side in grid.spacing_mm):
        raise UnsuitableScanError(
            f"Voxels of {VOXEL_MM[0]:g} to {VOXEL_MM[1]:g} mm were expected of the {name}",
            received=size(grid),
            advice="Correct the voxel sizes, or their unit, in the header.",
        )


def size(grid: Grid) -> str:
    """Voxel size and field in words."""
    sides = (grid.spacing_mm, _field(grid))
    voxel, field = (" x ".join(f"{side:.4g}" for side in three[::-1]) for three in sides)
    return f"voxels of {voxel} mm, a field of {field} mm"


def _field(grid: Grid) -> list[float]:
    return [n * side for n, side in zip(grid.shape, grid.spacing_mm, strict=True)]


def _possible(grid: Grid, times: float = 1.0) -> bool:
    field = sorted(side * times for side in _field(grid))
    sides = all(VOXEL_MM[0] <= side * times <= VOXEL_MM[1] for side in grid.spacing_mm)
    return sides and FIELD_MM[0] <= field[1] and field[2] <= FIELD_MM[1]


def _advice(scan: Scan) -> str:
    """What the writer of the header may have meant."""
    unit_mm = 1.0 if scan.header is None else forms.unit_mm(scan.header)
    if unit_mm != 1 and _possible(scan.grid, 1 / unit_mm):
        return (
            f"The header names {_UNITS[unit_mm]} as its unit but its numbers are a head's in "
            "millimetres: a slip of the program that wrote it. Set the unit (xyzt_units) to "
            "millimetres."
        )
    for times, name in _OTHER_UNITS.items():
        if _possible(scan.grid, times):
            return (
                f"The numbers would be a head's in {name}: correct the voxel sizes in the header, "
                "or give them in mm."
            )
    return "Correct the voxel sizes in the header, or convert the image again from its source."
