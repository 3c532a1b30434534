"""A scan and the file it is written to, byte by byte and without the package's own writer.

Arrays are (column, row, slice), as NIfTI stores them, and affines lead to RAS millimetres.
"""

from __future__ import annotations

import gzip
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from wmhseg.io import images

Array = npt.NDArray[Any]
Kind = Literal["both", "qform", "sform", "stale qform", "stale sform", "other qform", "none"]

TYPES = {
    "uint8": 2, "int16": 4, "int32": 8, "float32": 16, "float64": 64, "uint16": 512,
    "uint32": 768, "int64": 1024, "uint64": 1280,
}  # fmt: skip
UNITS = {"metres": (1, 1e-3), "millimetres": (2, 1.0), "micrometres": (3, 1e3), "unnamed": (0, 1.0)}
"""Name -> the number in the header, and how many of them are a millimetre."""

# Of nifti1.h and nifti2.h: name -> (type, count) and the byte offsets in either.
_FIELDS: dict[str, tuple[str, str, int, int, int]] = {
    "dim": ("h", "q", 8, 40, 16),
    "datatype": ("h", "h", 1, 70, 12),
    "bitpix": ("h", "h", 1, 72, 14),
    "pixdim": ("f", "d", 8, 76, 104),
    "vox_offset": ("f", "q", 1, 108, 168),
    "slope": ("f", "d", 1, 112, 176),
    "inter": ("f", "d", 1, 116, 184),
    "units": ("B", "i", 1, 123, 500),
    "qform_code": ("h", "i", 1, 252, 344),
    "sform_code": ("h", "i", 1, 254, 348),
    "quatern": ("f", "d", 6, 256, 352),
    "srow": ("f", "d", 12, 280, 400),
}
PLACING = ("pixdim", "units", "qform_code", "sform_code", "quatern", "srow")
"""What a mask has to repeat."""


@dataclass(frozen=True)
class Encoding:
    """How a scan is stored.

    Attributes:
        dtype: Of a voxel.
        scaling: Slope and intercept in the header.
        version: Of NIfTI, 1 or 2.
        order: "<" or ">".
        gzip: Whether it is compressed, whatever the name says.
        extension: Bytes of content of an extension, 0 for none.
        trailing: Whether there is a fourth axis of one volume.
        unit: Of lengths, see ``UNITS``.
        forms: Which forms there are; "stale" ones have the code 0 and say something else, an
            "other qform" has a code and is overruled by the sform.
        codes: Of qform and sform where there are any.
        name: Of the file.
        decimals: To which the numbers of the sform are rounded.
    """

    dtype: str = "int16"
    scaling: tuple[float, float] = (1.0, 0.0)
    version: int = 1
    order: str = "<"
    gzip: bool = True
    extension: int = 0
    trailing: bool = False
    unit: str = "millimetres"
    forms: Kind = "both"
    codes: tuple[int, int] = (1, 1)
    name: str = "scan.nii.gz"
    decimals: int = 12


@dataclass(frozen=True)
class Stored:
    """A scan in some order of axes, on some part of space.

    Attributes:
        values: What the voxels mean, float32.
        number: For each voxel its place in the original's flat array, -1 where it has none.
        affine: 4 x 4, to RAS millimetres.
        how: How it is to be written.
    """

    values: Array
    number: Array
    affine: Array
    how: Encoding

    @property
    def spacing_mm(self) -> Array:
        """Sides of a voxel."""
        sides: Array = np.linalg.norm(self.affine[:3, :3], axis=0)
        return sides

    def cut(self, parts: tuple[slice, ...]) -> Stored:
        """A part of it, or with negative steps the whole turned round."""
        firsts = [part.indices(n)[0] for part, n in zip(parts, self.values.shape, strict=True)]
        steps = [part.step or 1 for part in parts]
        affine = self.affine @ np.diag([*steps, 1.0])
        affine[:3, 3] = (self.affine @ [*firsts, 1])[:3]
        return replace(self, values=self.values[parts], number=self.number[parts], affine=affine)

    def turned(self, axes: tuple[int, ...], flips: tuple[bool, ...]) -> Stored:
        """With its axes in another order and direction."""
        affine = self.affine[:, [*axes, 3]]
        moved = replace(
            self,
            values=self.values.transpose(axes),
            number=self.number.transpose(axes),
            affine=affine,
        )
        return moved.cut(tuple(slice(None, None, -1 if flip else None) for flip in flips))

    def padded(self, widths: tuple[tuple[int, int], ...], value: float) -> Stored:
        """With voxels of one value around it."""
        affine = self.affine.copy()
        affine[:3, 3] = (self.affine @ [*(-before for before, _ in widths), 1])[:3]
        values = np.pad(self.values, widths, constant_values=value)
        return replace(
            self,
            values=values,
            number=np.pad(self.number, widths, constant_values=-1),
            affine=affine,
        )

    def in_las(self) -> Stored:
        """Turned as nearly as can be to columns to the left, rows to the front, slices upwards."""
        axes = along(self.affine)
        wanted = (-1, 1, 1)
        flips = tuple(
            bool(np.sign(self.affine[side, axis]) != sign)
            for side, (axis, sign) in enumerate(zip(axes, wanted, strict=True))
        )
        return self.turned(axes, flips)


def along(affine: Array) -> tuple[int, int, int]:
    """The axes of the array that run left-right, back-front and up-down."""
    weight = np.abs(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0))
    found = [0, 0, 0]
    for _ in range(3):
        side, axis = np.unravel_index(int(np.argmax(weight)), (3, 3))
        found[side] = int(axis)
        weight[side] = -1
        weight[:, axis] = -1
    return found[0], found[1], found[2]


def original(path: Path, name: str) -> Stored:
    """A scan as it lies in a file."""
    scan = images.read_scan(path, name=name)
    values = np.ascontiguousarray(scan.array.transpose(2, 1, 0))
    flip = np.diag([-1.0, -1.0, 1.0])
    affine = np.eye(4)
    axes = np.array(scan.grid.direction).reshape(3, 3) * scan.grid.spacing_mm[::-1]
    affine[:3, :3] = flip @ axes
    affine[:3, 3] = flip @ scan.grid.origin_mm
    number = np.arange(values.size, dtype=np.int32).reshape(values.shape)
    whole = bool(np.array_equal(values, np.rint(values)))
    fits = whole and values.min() >= -(2**15) and values.max() < 2**15
    return Stored(values, number, affine, Encoding(dtype="int16" if fits else "float32"))


# Writing ----------------------------------------------------------------------------------------


def encoded(values: Array, how: Encoding) -> Array | None:
    """The numbers to store, None if they would not give back the values exactly."""
    slope, inter = (float(np.float32(number)) for number in how.scaling)
    if slope == 0 or slope != slope:  # none
        slope, inter = 1.0, 0.0
    wanted = (values.astype(np.float64) - inter) / slope
    dtype = np.dtype(how.dtype)
    if dtype.kind in "iu":
        wanted = np.rint(wanted)
        limits = np.iinfo(dtype)
        if wanted.min() < limits.min or wanted.max() > limits.max:
            return None
    stored = wanted.astype(dtype)
    back = (stored.astype(np.float64) * slope + inter).astype(np.float32)
    return stored if np.array_equal(back, values) else None


def _elsewhere(affine: Array) -> Array:
    """A form that says something else: moved, and mirrored."""
    moved = affine @ np.diag([-1.0, 1.0, 1.0, 1.0])
    moved[:3, 3] += (55.0, -20.0, 13.0)
    return moved


def _fields(scan: Stored, stored: Array) -> dict[str, Any]:
    how = scan.how
    unit, per_mm = UNITS[how.unit]
    codes = {
        "qform": (how.codes[0], 0),
        "sform": (0, how.codes[1]),
        "stale qform": (0, how.codes[1]),
        "stale sform": (how.codes[0], 0),
        "none": (0, 0),
    }.get(how.forms, how.codes)
    q = _elsewhere(scan.affine) if how.forms in ("stale qform", "other qform") else scan.affine
    s = _elsewhere(scan.affine) if how.forms == "stale sform" else scan.affine
    axes = q[:3, :3] / scan.spacing_mm
    handed = -1.0 if np.linalg.det(axes) < 0 else 1.0
    x, y, z, w = Rotation.from_matrix(axes * [1, 1, handed]).as_quat()
    quatern = np.array([x, y, z]) * (-1.0 if w < 0 else 1.0)
    placed = [*quatern, *(q[:3, 3] * per_mm)]
    rows = np.round(s[:3], how.decimals) * per_mm
    sizes = stored.shape
    return {
        "dim": (3 + how.trailing, *sizes, 1, 1, 1, 1),
        "datatype": TYPES[how.dtype],
        "bitpix": 8 * stored.dtype.itemsize,
        "pixdim": (handed, *(scan.spacing_mm * per_mm), 0, 0, 0, 0),
        "slope": how.scaling[0],
        "inter": how.scaling[1],
        "units": unit,
        "qform_code": codes[0],
        "sform_code": codes[1],
        "quatern": np.zeros(6) if how.forms in ("sform", "none") else placed,
        "srow": np.zeros(12) if how.forms in ("qform", "none") else rows.ravel(),
    }


def content(scan: Stored) -> bytes:
    """The bytes of the file.

    Raises:
        ValueError: If its encoding cannot express its values.
    """
    how = scan.how
    if how.forms == "none":
        scan = scan.in_las()
    stored = encoded(scan.values, how)
    if stored is None:
        raise ValueError(f"{how.dtype} with {how.scaling} does not hold the values")
    second = how.version == 2
    size = 540 if second else 348
    head = bytearray(size)
    offset = size + 4 + (16 + how.extension) // 16 * 16 * bool(how.extension)
    struct.pack_into(how.order + "i", head, 0, size)
    magic_at, magic = (4, b"n+2\0\r\n\x1a\n") if second else (344, b"n+1\0")
    head[magic_at : magic_at + len(magic)] = magic
    for name, value in (_fields(scan, stored) | {"vox_offset": offset}).items():
        one, two, count, first_at, second_at = _FIELDS[name]
        numbers = np.atleast_1d(np.asarray(value)).tolist()
        kind, at = (two, second_at) if second else (one, first_at)
        if kind in "hqiB":
            numbers = [int(n) for n in numbers]
        struct.pack_into(f"{how.order}{count}{kind}", head, at, *numbers)
    gap = b"\0\0\0\0"
    if how.extension:
        length = offset - size - 4
        gap = b"\1\0\0\0" + struct.pack(how.order + "ii", length, 6) + b"x" * (length - 8)
    body = stored.astype(stored.dtype.newbyteorder(how.order)).tobytes("F")
    whole = bytes(head) + gap + body
    return gzip.compress(whole, 1, mtime=0) if how.gzip else whole


# Reading ----------------------------------------------------------------------------------------


def fields(path: Path) -> dict[str, Array]:
    """What a header says, read by byte offsets; and under "body" what follows it."""
    raw = path.read_bytes()
    raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    order = ">" if raw[0] == 0 else "<"
    second = struct.unpack_from(order + "i", raw)[0] == 540
    found = {}
    for name, (one, two, count, first_at, second_at) in _FIELDS.items():
        kind, at = (two, second_at) if second else (one, first_at)
        numbers = np.frombuffer(raw, np.dtype(kind).newbyteorder(order), count, at)
        found[name] = numbers.astype(numbers.dtype.newbyteorder("="))
    found["body"] = np.frombuffer(raw, np.uint8, offset=int(found["vox_offset"][0]))
    return found
