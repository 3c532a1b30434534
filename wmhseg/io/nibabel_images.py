"""Images of nibabel as scans, by the attributes they have: nibabel itself is not needed.

Their arrays are (column, row, slice), which turned around is (slice, row, column) as everywhere
here, and their affines lead to RAS. The forms of a NIfTI header are kept for the results.
"""

from __future__ import annotations

import contextlib
from typing import Any, Protocol

import numpy as np

from wmhseg.errors import InputError, UsageError
from wmhseg.geometry import Grid
from wmhseg.io import forms, images, nifti
from wmhseg.io.images import Scan
from wmhseg.io.nifti import Header

_UNITS_MM = {"meter": 1000.0, "micron": 0.001}
_NIFTI2_BYTES = 540
_NEAR = 1e-3  # of a voxel: header and affine say the same


class SpatialImage(Protocol):
    """What an image of nibabel has, as far as it is used here."""

    affine: Any
    header: Any
    dataobj: Any


def is_one(source: object) -> bool:
    """Whether something is such an image."""
    return all(hasattr(source, name) for name in ("affine", "header", "dataobj"))


def scan(image: SpatialImage, *, name: str) -> Scan:
    """Makes a scan of an image of nibabel, with the checks of ``images.read_scan``.

    Args:
        image: Grey values; 4D with one volume counts as 3D.
        name: How to call it in messages, such as "FLAIR".

    Raises:
        UsageError: If it does not hold real numbers, or has no affine.
        InputError: As of ``images.scan_from_array``; NotNiftiError if its affine places no voxels.
    """
    label = f"{name} image"
    if image.affine is None:
        raise UsageError(
            f"An affine was expected of the {label}",
            received="none",
            advice="Give the array, with spacing_mm=(slice, row, column).",
        )
    values = np.asarray(image.dataobj)
    shape = nifti.checked_shape(values.shape, label)
    affine = np.array(image.affine, float)
    if affine.shape == (4, 4):
        affine[:3] *= _unit_mm(image.header)
    grid, header = forms.grid_of(affine, shape), None
    # What is asked of a header beyond its affine may fail: then there is none.
    with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError, InputError):
        found = _header(image.header, label)
        if _same_place(forms.grid(found), grid):
            grid, header = forms.grid(found), found
    array = images.scan_from_array(
        values.reshape(values.shape[:3]).T, grid.spacing_mm, name=name
    ).array
    return Scan(array, grid, name, header)


def _unit_mm(header: Any) -> float:
    """Millimetres in the header's unit; what is unnamed counts as millimetres."""
    units = getattr(header, "get_xyzt_units", None)
    return _UNITS_MM.get(units()[0], 1.0) if units else 1.0


def _header(header: Any, label: str) -> Header:
    """The header as of a single file, whatever kind of file it came from."""
    own = header.copy()
    size = int(own["sizeof_hdr"])
    own["magic"] = b"n+2" if size == _NIFTI2_BYTES else b"n+1"
    own["vox_offset"] = size + 4
    return nifti.parse(own.binaryblock, label)


def _same_place(one: Grid, other: Grid) -> bool:
    """Whether two grids of one shape put their corners to the same places, but for rounding."""
    if one.shape != other.shape:
        return False
    corners = [_corners(grid) for grid in (one, other)]
    apart = np.linalg.norm(corners[0] - corners[1], axis=1).max()
    return bool(apart < _NEAR * min(other.spacing_mm))


def _corners(grid: Grid) -> Any:
    index = np.array(list(np.ndindex(2, 2, 2))) * (np.array(grid.shape[::-1]) - 1)
    steps = np.array(grid.direction).reshape(3, 3) * np.array(grid.spacing_mm[::-1])
    return index @ steps.T + np.array(grid.origin_mm)
