"""What a NIfTI header says about a scan's making, and what it cannot say.

``nifti`` has checked the header; here its fields are put into words. NIfTI keeps the distance
between slices but not their thickness, no echo or repetition time and no name of a sequence, so
gaps and contrast cannot be read from it. Source of the fields: nifti1.h, https://nifti.nimh.nih.gov
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wmhseg.io.nifti import Header

Matrix = npt.NDArray[np.float64]

CODES = ("unknown", "scanner", "aligned", "Talairach", "MNI 152", "template")
_UNITS_MM = {1: 1000.0, 2: 1.0, 3: 0.001}
_UNIT_BITS = 7
_NAMED_UNITS = {0: "unnamed", 1: "metres", 2: "millimetres", 3: "micrometres"}


@dataclass(frozen=True)
class Forms:
    """The two ways in which a header places its voxels in space.

    Attributes:
        qform_code: 0 when there is no qform, else what its space is (``CODES``).
        sform_code: The same of the sform.
        distance_mm: Largest distance between the places that both give to one corner of the
            image; 0 if there are not two.
        mirrored: Whether one of two is the other's mirror image: left and right are at stake.
    """

    qform_code: int
    sform_code: int
    distance_mm: float
    mirrored: bool


def code_name(code: int) -> str:
    """What a form's code means."""
    return CODES[code] if 0 <= code < len(CODES) else f"code {code}"


def unit(header: Header) -> str:
    """Name of the unit of lengths; what is unnamed counts as millimetres."""
    number = int(header.record["xyzt_units"]) & _UNIT_BITS
    return _NAMED_UNITS.get(number, f"unit {number}")


def description(header: Header) -> str:
    """The free text of the header, as far as it can be printed."""
    raw = bytes(header.record["descrip"]).split(b"\0")[0]
    return "".join(c for c in raw.decode("latin-1") if c.isprintable()).strip()


def slice_axis(header: Header) -> int | None:
    """Which axis of the array (slice, row, column) the scanner's slices follow; None if unsaid."""
    number = int(header.record["dim_info"]) >> 4 & 3
    return 3 - number if number else None


def forms(header: Header) -> Forms:
    """Compares the qform and the sform of a header.

    Args:
        header: As ``nifti.inspect`` returns it.

    Returns:
        What both say about the corners of the image.
    """
    record = header.record
    codes = int(record["qform_code"]), int(record["sform_code"])
    if min(codes) <= 0:
        return Forms(max(codes[0], 0), max(codes[1], 0), 0.0, False)
    q = _qform(header)
    s = np.array(record["srow"].tolist(), float).reshape(3, 4)
    last = np.array(header.shape[::-1], float) - 1
    corners = np.array(list(np.ndindex(2, 2, 2))) * last
    apart = (corners @ (q[:, :3] - s[:, :3]).T) + (q[:, 3] - s[:, 3])
    scale = _UNITS_MM.get(int(record["xyzt_units"]) & _UNIT_BITS, 1.0)
    signs = [np.sign(np.linalg.det(m[:, :3])) for m in (q, s)]
    distance_mm = float(np.linalg.norm(apart, axis=1).max()) * scale
    return Forms(*codes, distance_mm, bool(signs[0] * signs[1] < 0))


def _qform(header: Header) -> Matrix:
    """The qform as a matrix of 3 x 4: method 2 of nifti1.h."""
    record = header.record
    b, c, d = (float(v) for v in record["quatern"])
    norm = math.hypot(b, c, d)
    if norm > 1:  # rounding
        b, c, d = b / norm, c / norm, d / norm
    a = math.sqrt(max(0.0, 1 - b * b - c * c - d * d))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    first, *sizes = (float(p) for p in record["pixdim"][:4])
    handed = np.array([1.0, 1.0, -1.0 if first < 0 else 1.0])
    offset = np.array(record["qoffset"].tolist(), float)
    return np.column_stack([rotation * (np.array(sizes) * handed), offset])
