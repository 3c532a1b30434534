"""What a NIfTI header says about a scan's making, and what it cannot say.

``nifti`` has checked the header; here its fields are put into words. NIfTI keeps the distance
between slices but not their thickness, no echo or repetition time and no name of a sequence, so
gaps and contrast cannot be read from it. Where voxels lie is read by ``io.forms``. Source of the
fields: nifti1.h, https://nifti.nimh.nih.gov
"""

from __future__ import annotations

from wmhseg.io.nifti import UNIT_BITS, Header

_NAMED_UNITS = {0: "unnamed", 1: "metres", 2: "millimetres", 3: "micrometres"}


def unit(header: Header) -> str:
    """Name of the unit of lengths; what is unnamed counts as millimetres."""
    number = int(header.record["xyzt_units"]) & UNIT_BITS
    return _NAMED_UNITS.get(number, f"unit {number}")


def description(header: Header) -> str:
    """The free text of the header, as far as it can be printed."""
    raw = bytes(header.record["descrip"]).split(b"\0")[0]
    return "".join(c for c in raw.decode("latin-1") if c.isprintable()).strip()


def slice_axis(header: Header) -> int | None:
    """Which axis of the array (slice, row, column) the scanner's slices follow; None if unsaid."""
    number = int(header.record["dim_info"]) >> 4 & 3
    return 3 - number if number else None
