"""The two forms of a NIfTI header, qform and sform, and which of them places the voxels.

Believed is what FSL, SPM and nibabel believe: the sform if its code is above 0, else the qform if
its code is above 0, else the assumption that these programs make of Analyze files: stored with
columns to the patient's left, rows to the front and slices upwards (LAS), the middle of the image
at the origin. SimpleITK, which chooses by other rules, is not asked.

Headers are rounded, so that the axes of an sform may be slightly off right angles: they are taken
at right angles, as near as can be. ``nifti`` has refused more than that. Results carry both forms
as the scan does (``nifti.write``), whichever is believed here.

Source of the fields: nifti1.h, https://nifti.nimh.nih.gov
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wmhseg.errors import NotNiftiError
from wmhseg.geometry import Grid
from wmhseg.io.nifti import MOST_SHEAR, UNIT_BITS, Header

Matrix = npt.NDArray[np.float64]

CODES = ("unknown", "scanner", "aligned", "Talairach", "MNI 152", "template")
UNITS_MM = {1: 1000.0, 2: 1.0, 3: 0.001}
"""Millimetres in a unit of lengths: metres, millimetres, micrometres."""

_SKEW = 1e-6  # cosine of two axes: less is how float32 holds right angles
_ROUNDINGS = 3  # of a quaternion's numbers, in units of their precision
_TO_LPS = np.array([-1.0, -1.0, 1.0])  # NIfTI is RAS


@dataclass(frozen=True)
class Forms:
    """The two ways in which a header places its voxels in space.

    Attributes:
        qform_code: 0 when there is no qform, else what its space is (``CODES``).
        sform_code: The same of the sform.
        distance_mm: Largest distance between the places that both give to one corner of the
            image; 0 if there are not two.
        mirrored: Whether one of two is the other's mirror image: left and right are at stake.
        straightened_mm: How far the believed form puts a corner from where it is taken to be,
            because its axes are not quite at right angles or as long as pixdim says.
    """

    qform_code: int
    sform_code: int
    distance_mm: float
    mirrored: bool
    straightened_mm: float = 0.0

    @property
    def believed(self) -> str:
        """Name of the form that places the voxels, "" if there is none."""
        return "sform" if self.sform_code else "qform" if self.qform_code else ""


def code_name(code: int) -> str:
    """What a form's code means."""
    return CODES[code] if 0 <= code < len(CODES) else f"code {code}"


def forms(header: Header) -> Forms:
    """Compares the qform and the sform of a header.

    Args:
        header: As ``nifti.inspect`` returns it.

    Returns:
        What both say about the corners of the image.
    """
    codes = _codes(header)
    written = _affine(header)
    taken = np.column_stack([_axes(header) * _sizes(header), written[:, 3]])
    straightened_mm = _gap(written, taken, header)
    if not all(codes):
        return Forms(*codes, 0.0, False, straightened_mm)
    q, s = _qform(header), _sform(header)
    signs = [np.sign(np.linalg.det(m[:, :3])) for m in (q, s)]
    return Forms(*codes, _gap(q, s, header), bool(signs[0] * signs[1] < 0), straightened_mm)


def grid(header: Header) -> Grid:
    """Where the voxels of a file lie.

    Args:
        header: As ``nifti.inspect`` returns it.

    Returns:
        The grid of the believed form.
    """
    unit = unit_mm(header)
    x, y, z = (float(v) * unit for v in _affine(header)[:, 3] * _TO_LPS)
    column_mm, row_mm, slice_mm = (float(v) * unit for v in _sizes(header))
    # Adding 0 makes 0 of -0, which would be another number to those who compare.
    direction = tuple(float(v) + 0.0 for v in (_axes(header) * _TO_LPS[:, None]).ravel())
    return Grid(header.shape, (slice_mm, row_mm, column_mm), (x, y, z), direction)


def grid_of(affine: Matrix, shape: tuple[int, int, int]) -> Grid:
    """Where voxels lie that a matrix places, as nibabel's images have it.

    Args:
        affine: From (column, row, slice) to RAS millimetres, 4 x 4.
        shape: Slices, rows, columns.

    Raises:
        NotNiftiError: If its numbers are no voxels', or its axes are not at right angles.
    """
    columns = affine[:3, :3]
    sides = np.linalg.norm(columns, axis=0)
    if affine.shape != (4, 4) or not (np.isfinite(affine).all() and sides.all()):
        raise NotNiftiError("An affine of 4 x 4 finite numbers was expected", received=affine)
    axes = columns / sides
    if np.abs(axes.T @ axes - np.eye(3)).max() > MOST_SHEAR:
        raise NotNiftiError(
            "An affine whose axes are at right angles was expected",
            received="a sheared one",
            advice="Resample the image to a grid without shear.",
        )
    x, y, z = (float(v) + 0.0 for v in affine[:3, 3] * _TO_LPS)
    column_mm, row_mm, slice_mm = map(float, sides)
    direction = tuple(float(v) + 0.0 for v in (_right_angles(columns) * _TO_LPS[:, None]).ravel())
    return Grid(shape, (slice_mm, row_mm, column_mm), (x, y, z), direction)


def unit_mm(header: Header) -> float:
    """Millimetres in the header's unit of lengths; what is unnamed counts as millimetres."""
    return UNITS_MM.get(int(header.record["xyzt_units"]) & UNIT_BITS, 1.0)


def _codes(header: Header) -> tuple[int, int]:
    record = header.record
    return max(int(record["qform_code"]), 0), max(int(record["sform_code"]), 0)


def _sizes(header: Header) -> Matrix:
    """Sides of a voxel along columns, rows and slices, in the file's unit."""
    return np.array(header.record["pixdim"][1:4].tolist(), float)


def _affine(header: Header) -> Matrix:
    """The believed form as a matrix of 3 x 4, RAS, as it is written."""
    qform_code, sform_code = _codes(header)
    if sform_code:
        return _sform(header)
    if qform_code:
        return _qform(header)
    sizes = _sizes(header) * [-1.0, 1.0, 1.0]
    middle = (np.array(header.shape[::-1], float) - 1) / 2
    return np.column_stack([np.diag(sizes), -middle * sizes])


def _axes(header: Header) -> Matrix:
    """Its axes, at right angles and of length 1."""
    return _right_angles(_affine(header)[:, :3])


def _right_angles(columns: Matrix) -> Matrix:
    """The directions of columns, as near to theirs as right angles allow."""
    axes: Matrix = columns / np.linalg.norm(columns, axis=0)
    if np.abs(axes.T @ axes - np.eye(3)).max() > _SKEW:
        left, _, right = np.linalg.svd(axes)  # nearest matrix with columns at right angles
        axes = left @ right
    return axes


def _gap(one: Matrix, other: Matrix, header: Header) -> float:
    """Largest distance in mm between the places that two matrices give to a corner."""
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(header.shape[::-1], float) - 1)
    apart = (corners @ (one[:, :3] - other[:, :3]).T) + (one[:, 3] - other[:, 3])
    return float(np.linalg.norm(apart, axis=1).max()) * unit_mm(header)


def _sform(header: Header) -> Matrix:
    return np.array(header.record["srow"].tolist(), float).reshape(3, 4)


def _qform(header: Header) -> Matrix:
    """The qform as a matrix of 3 x 4: method 2 of nifti1.h."""
    record = header.record
    quatern = record["quatern"]
    b, c, d = (float(v) for v in quatern)
    rest, norm = 1 - (b * b + c * c + d * d), math.hypot(b, c, d)
    # What is left of 1 after three rounded numbers is no angle: nibabel draws the line here.
    if rest < _ROUNDINGS * np.finfo(quatern.dtype).eps:
        a, b, c, d = 0.0, b / norm, c / norm, d / norm
    else:
        a = math.sqrt(rest)
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    handed = np.array([1.0, 1.0, -1.0 if float(record["pixdim"][0]) < 0 else 1.0])
    offset = np.array(record["qoffset"].tolist(), float)
    return np.column_stack([rotation * (_sizes(header) * handed), offset])
