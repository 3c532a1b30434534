"""NIfTI as bytes: what headers say and what stands behind them, in open binary streams.

``inspect`` trusts nothing. It checks a header by hand and counts the (decompressed) bytes of the
voxels, in bounded memory: SimpleITK alone takes a short file for complete, NaN for 0 and colours
for grey values, and believes any size. Its decisions:

* Only single files are read, NIfTI-1 or NIfTI-2 in either byte order. Content tells gzip.
* One volume of real numbers is an image, whatever the number of its axes.
* A qform or sform that is in use must be finite. An sform that is sheared, or contradicts pixdim
  about the voxel size, is refused; rounding is let pass.
* A slope of 0 or NaN means none, and no intercept either, which SimpleITK would add. A slope beyond
  float32 is refused, which SimpleITK would ignore.

``write`` makes NIfTI-1, or NIfTI-2 where it repeats the forms of such a scan. Source of the
layouts: nifti1.h and nifti2.h, https://nifti.nimh.nih.gov
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from wmhseg.errors import (
    DimensionError,
    NonFiniteError,
    NotNiftiError,
    TooLargeError,
    TruncatedFileError,
)
from wmhseg.geometry import Grid
from wmhseg.io import files
from wmhseg.io.gunzip import decompressed

MAX_VOXELS = 512 * 512 * 512
"""Largest image that is read: about 0.5 GB as float32 (and at most 2.3 GB while a float64 file
is being read)."""

MAX_AXIS_VOX = 32767
"""Longest axis: what NIfTI-1, the format of the results, can express."""

CONVERT = (
    "Convert it to one NIfTI file (.nii.gz), for instance with dcm2niix (DICOM) or "
    "mri_convert (.hdr/.img, NRRD, MGZ)."
)
"""Advice on a file of another kind."""

_DAMAGED = "The header is damaged: convert the image again from its source."
_MAX_HEADER_BYTES = 1 << 24  # with extensions: float32, as in NIfTI-1, is exact only up to here
_SPACING_RANGE = (1e-6, 1e6)  # in the file's unit, which may be metres or micrometres
_MAX_POSITION = 1e9  # largest believable number in an affine, in the file's unit
_SLOPE_RANGE = (1e-30, 1e30)
_CHUNK_BYTES = 1 << 20
_TAIL_BYTES = 1 << 16

_FIELDS = (  # those that are needed: name, count, (type, byte offset) in NIfTI-1 and NIfTI-2
    ("sizeof_hdr", (), ("i4", 0), ("i4", 0)),
    ("dim_info", (), ("u1", 39), ("u1", 524)),
    ("dim", 8, ("i2", 40), ("i8", 16)),
    ("datatype", (), ("i2", 70), ("i2", 12)),
    ("bitpix", (), ("i2", 72), ("i2", 14)),
    ("pixdim", 8, ("f4", 76), ("f8", 104)),
    ("vox_offset", (), ("f4", 108), ("i8", 168)),
    ("scl_slope", (), ("f4", 112), ("f8", 176)),
    ("scl_inter", (), ("f4", 116), ("f8", 184)),
    ("xyzt_units", (), ("u1", 123), ("i4", 500)),
    ("descrip", (), ("S80", 148), ("S80", 240)),
    ("qform_code", (), ("i2", 252), ("i4", 344)),
    ("sform_code", (), ("i2", 254), ("i4", 348)),
    ("quatern", 3, ("f4", 256), ("f8", 352)),
    ("qoffset", 3, ("f4", 268), ("f8", 376)),
    ("srow", (3, 4), ("f4", 280), ("f8", 400)),
    ("magic", (), ("S4", 344), ("S8", 4)),
)


def _layout(version: int, size: int) -> np.dtype[np.void]:
    table = {
        "names": [name for name, *_ in _FIELDS],
        "formats": [(places[version - 1][0], count) for _, count, *places in _FIELDS],
        "offsets": [places[version - 1][1] for _, _, *places in _FIELDS],
        "itemsize": size,
    }
    return np.dtype(table)  # type: ignore[call-overload,no-any-return]


_NIFTI1, _NIFTI2 = _layout(1, 348), _layout(2, 540)
_EXTENSION_MARK = bytes(4)
"""Between header and voxels of a file without extensions."""

_SINGLE_FILE = {348: b"n+1", 540: b"n+2\0\r\n\x1a\n"}
_FORM_FIELDS = (
    "pixdim", "xyzt_units", "qform_code", "sform_code", "quatern", "qoffset", "srow",
)  # fmt: skip
UNIT_BITS = 7
"""Those of xyzt_units that name the unit of lengths."""

SCANNER, MNI_152 = 1, 4
"""Spaces that a form may name."""

_MILLIMETRE = 2
MOST_SHEAR = 0.008
"""Largest cosine between two axes of an sform: what rounding to two decimals makes."""

_VOXEL_TYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8",
    1280: "u8",
}  # fmt: skip
_COMPLEX, _COLOURS = "complex numbers", "RGB colours"
_REFUSED_TYPES = {32: _COMPLEX, 1792: _COMPLEX, 128: _COLOURS, 2304: _COLOURS}
_OTHER_FORMATS = (
    (128, b"DICM", "a DICOM file"),
    (0, b"NRRD", "an NRRD file"),
    (0, b"\0\0\0\1", "an MGH or MGZ file"),
    (0, b"ObjectType", "a MetaImage header"),
    (0, b"\x89HDF", "an HDF5 or MINC file"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x1f\x8b", "gzip inside gzip"),
)


@dataclass(frozen=True)
class Header:
    """What a checked header says.

    Attributes:
        record: The raw fields.
        byte_order: Of the file's numbers.
        dtype: Of a voxel, as it is stored.
        offset: Where the voxels begin, in bytes.
        shape: Slices, rows, columns.
        compressed: Whether the file is gzip.
    """

    record: np.void
    byte_order: Literal["<", ">"]
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, int, int]
    compressed: bool

    @property
    def version(self) -> int:
        """1 or 2."""
        return 1 if self.record.itemsize == _NIFTI1.itemsize else 2

    @property
    def scaling(self) -> tuple[float, float]:
        """Slope and intercept that count: a slope of 0 or NaN means that neither does."""
        slope, intercept = float(self.record["scl_slope"]), float(self.record["scl_inter"])
        return (1.0, 0.0) if slope == 0 or math.isnan(slope) else (slope, intercept)

    @property
    def n_bytes(self) -> int:
        """Of all voxels."""
        return math.prod(self.shape) * self.dtype.itemsize


# Reading ----------------------------------------------------------------------------------------


def inspect(file: BinaryIO, label: str) -> Header:
    """Checks the header and that the voxels it claims are there; allocates none of them.

    Args:
        file: From its beginning NIfTI-1 or NIfTI-2, gzip or plain; must be seekable.
        label: How to call it in messages.

    Returns:
        The header.

    Raises:
        NotNiftiError: If it is something else, or its header is damaged or of an unsupported kind.
        TruncatedFileError: If it ends early or its gzip stream is damaged.
        DimensionError: If it is not 3D (4D with one volume counts as 3D) or an axis has 1 voxel.
        TooLargeError: If it claims more than MAX_VOXELS, or MAX_AXIS_VOX along an axis.
        NonFiniteError: If a voxel is NaN or infinite.
        OSError: If the stream cannot be read.
    """
    content, compressed = decompressed(file)
    try:
        header = _parse(content, compressed, label)
        found = header.record.itemsize
        for chunk in _chunks(content, header.offset - found):
            found += len(chunk)
        bad = 0
        for chunk in _chunks(content, header.n_bytes):
            found += len(chunk)
            bad += _count_non_finite(chunk, header.dtype)
        # gzip's checksum comes after the data: look for it, but not through an endless tail.
        content.read(_TAIL_BYTES)
    except (EOFError, zlib.error) as error:
        raise _truncated(
            f"The gzip stream of the {label} should be complete", str(error)
        ) from error
    wanted = header.offset + header.n_bytes
    if found < wanted:
        raise _truncated(
            f"The {label} should hold {wanted} bytes, as its header says", f"{found} bytes"
        )
    check_finite(bad, math.prod(header.shape), label)
    return header


def parse(raw: bytes, label: str) -> Header:
    """Checks a header that has no voxels behind it; errors as of ``inspect``.

    Args:
        raw: Its bytes.
        label: How to call it in messages.
    """
    return _parse(io.BytesIO(raw), False, label)


def check_finite(n_bad_vox: int, n_vox: int, label: str) -> None:
    """Refuses an image of ``n_vox`` voxels with ``n_bad_vox`` that are NaN or infinite.

    Raises:
        NonFiniteError: If there is one.
    """
    if n_bad_vox:
        raise NonFiniteError(
            f"The {label} should hold finite numbers only",
            received=f"{n_bad_vox} of {n_vox} voxels are NaN or infinite",
            advice="Replace them (for instance by 0) or convert the image again.",
        )


def checked_shape(sizes: tuple[int, ...], label: str) -> tuple[int, int, int]:
    """Checks the axes of an image.

    Args:
        sizes: Columns, rows, slices and further axes, in voxels.
        label: How to call it in messages.

    Returns:
        Slices, rows, columns.

    Raises:
        DimensionError: If it is not 3D (4D with one volume counts as 3D) or an axis has 1 voxel.
        TooLargeError: If it has more than MAX_VOXELS, or MAX_AXIS_VOX along an axis.
    """
    shown = " x ".join(str(n) for n in sizes)
    if len(sizes) < 3 or any(n != 1 for n in sizes[3:]) or any(n < 2 for n in sizes[:3]):
        raise DimensionError(
            f"The {label} should be one 3D volume with at least 2 voxels along each axis",
            received=f"{shown} voxels",
            advice="Take one volume out of a series, and whole volumes instead of single slices.",
        )
    count = math.prod(sizes)
    if count > MAX_VOXELS or max(sizes) > MAX_AXIS_VOX:
        raise TooLargeError(
            f"The {label} should have at most {MAX_VOXELS} voxels, {MAX_AXIS_VOX} along an axis",
            received=f"a header that claims {shown} = {count} voxels",
            advice="Resample the image, or convert it again if its header is damaged.",
        )
    return sizes[2], sizes[1], sizes[0]


def _chunks(content: BinaryIO, n_bytes: int) -> Iterator[bytes]:
    """The next ``n_bytes`` (fewer if there are fewer) in pieces, cut between voxels."""
    while n_bytes and (chunk := content.read(min(n_bytes, _CHUNK_BYTES))):
        n_bytes -= len(chunk)
        yield chunk


def _count_non_finite(chunk: bytes, dtype: np.dtype[Any]) -> int:
    """Counts NaN and infinity among voxels as stored: SimpleITK turns both into 0."""
    if dtype.kind != "f":
        return 0
    values = np.frombuffer(chunk, dtype, len(chunk) // dtype.itemsize)
    return values.size - int(np.count_nonzero(np.isfinite(values)))


def _parse(content: BinaryIO, compressed: bool, label: str) -> Header:
    """Reads and checks the header at the beginning of the content."""
    raw = content.read(_NIFTI1.itemsize)
    order: Literal["<", ">"] = ">" if raw[:1] == b"\0" else "<"
    known = (t for t in (_NIFTI1, _NIFTI2) if raw[:4] == struct.pack(order + "i", t.itemsize))
    layout = next(known, None)
    if layout is None:
        raise _not_nifti(raw, label)
    size = layout.itemsize
    raw += content.read(size - len(raw))
    if len(raw) < size:
        raise _truncated(
            f"The {label} should begin with a header of {size} bytes", f"{len(raw)} bytes"
        )
    record = np.frombuffer(raw, layout.newbyteorder(order))[0]
    magic = bytes(record["magic"])
    if magic != _SINGLE_FILE[size]:
        pair = layout is _NIFTI1 or magic.startswith(b"ni2")
        what = "the header of an .hdr/.img pair" if pair else "an unknown kind of NIfTI"
        raise NotNiftiError(f"The {label} should be one NIfTI file", received=what, advice=CONVERT)
    shape = checked_shape(_axes(record, label), label)
    _check_form(record, label)
    _check_scaling(record, label)
    offset = _checked_offset(record, label)
    dtype = _checked_type(record, label).newbyteorder(order)
    return Header(record, order, dtype, offset, shape, compressed)


def _not_nifti(raw: bytes, label: str) -> TruncatedFileError | NotNiftiError:
    if not raw:
        return _truncated(f"The {label} should hold an image", "an empty file")
    what, advice = files.pointer(raw)
    if what:
        return NotNiftiError(f"The {label} should be a NIfTI file", received=what, advice=advice)
    known = (what for at, magic, what in _OTHER_FORMATS if raw[at : at + len(magic)] == magic)
    return NotNiftiError(
        f"The {label} should be a NIfTI file",
        received=next(known, f"a file that begins with the bytes {raw[:8].hex(' ')}"),
        advice=CONVERT,
    )


def _damaged(expected: str, received: str) -> NotNiftiError:
    return NotNiftiError(expected, received=received, advice=_DAMAGED)


def _truncated(expected: str, received: str) -> TruncatedFileError:
    return TruncatedFileError(
        expected, received=received, advice="Copy, download or convert the file again."
    )


def _axes(record: np.void, label: str) -> tuple[int, ...]:
    n_axes = int(record["dim"][0])
    if not 1 <= n_axes <= 7:
        raise DimensionError(
            f"The {label} should have 3 axes", received=f"{n_axes} axes", advice=_DAMAGED
        )
    return tuple(int(n) for n in record["dim"][1 : n_axes + 1])


def _checked_type(record: np.void, label: str) -> np.dtype[Any]:
    """Type of one voxel."""
    code = int(record["datatype"])
    if code not in _VOXEL_TYPES:
        raise NotNiftiError(
            f"The {label} should hold grey values (integers or floating numbers up to 64 bits)",
            received=_REFUSED_TYPES.get(code, f"the data type {code}"),
            advice="Convert it to an image with one number per voxel.",
        )
    return np.dtype(_VOXEL_TYPES[code])


def _checked_offset(record: np.void, label: str) -> int:
    offset, least = float(record["vox_offset"]), record.itemsize + len(_EXTENSION_MARK)
    if not least <= offset <= _MAX_HEADER_BYTES:  # false for NaN as well
        raise _damaged(
            f"The voxels of the {label} should begin between the bytes {least} and "
            f"{_MAX_HEADER_BYTES} of the file",
            f"{offset:g}",
        )
    return int(offset)


def _check_form(record: np.void, label: str) -> None:
    """Checks voxel sizes and position: finite, believable and in agreement."""
    pixdim = [float(p) for p in record["pixdim"][1:4]]
    low, high = _SPACING_RANGE
    if not all(low <= p <= high for p in pixdim):
        raise _damaged(
            f"The voxel sizes (pixdim) of the {label} should be positive", _listed(pixdim)
        )
    qform, sform = int(record["qform_code"]) > 0, int(record["sform_code"]) > 0
    quaternion = [float(v) for v in record["quatern"]]
    rotation = [*quaternion, *(float(v) for v in record["qoffset"])]
    if qform and not (_believable(rotation) and math.hypot(*quaternion) < 1.01):
        raise _damaged(
            f"The qform of the {label} should be a rotation and a position", _listed(rotation)
        )
    if not sform:
        return
    matrix = np.array(record["srow"].tolist())  # astype would warn of a signalling NaN
    if not _believable(matrix.ravel().tolist()):
        raise _damaged(
            f"The sform of the {label} should hold finite numbers",
            "; ".join(_listed(row) for row in matrix),
        )
    if not _right_angled(matrix[:, :3]):
        raise NotNiftiError(
            f"The axes of the {label} should be at right angles",
            received="a sheared or empty sform",
            advice="Resample the image onto a grid without shear; if its qform is right, set the "
            "code of the sform to 0.",
        )
    lengths = [math.hypot(*column) for column in matrix[:, :3].T]
    if not all(math.isclose(a, b, rel_tol=0.01) for a, b in zip(lengths, pixdim, strict=True)):
        raise NotNiftiError(
            f"The sform of the {label} and its pixdim should name the same voxel size",
            received=f"{_listed(lengths)} and {_listed(pixdim)}",
            advice="Correct the header, or resample the image, with the program that wrote it.",
        )


def _right_angled(matrix: npt.NDArray[np.float64]) -> bool:
    products = matrix.T @ matrix  # at most _MAX_POSITION squared: no overflow
    lengths = np.sqrt(np.diag(products))
    rest = np.abs(products - np.diag(np.diag(products)))
    return bool(lengths.all() and (rest <= MOST_SHEAR * np.outer(lengths, lengths)).all())


def _believable(values: list[float]) -> bool:
    return all(abs(v) <= _MAX_POSITION for v in values)  # false for NaN as well


def _check_scaling(record: np.void, label: str) -> None:
    slope, intercept = float(record["scl_slope"]), float(record["scl_inter"])
    low, high = _SLOPE_RANGE
    # SimpleITK would take a slope that is out of float32's range for none at all.
    if (slope and not math.isnan(slope) and not low <= abs(slope) <= high) or abs(intercept) > high:
        raise _damaged(
            f"The slope and intercept of the {label} should be ordinary numbers",
            _listed([slope, intercept]),
        )


def _listed(values: Iterable[float]) -> str:
    return " ".join(f"{v:g}" for v in values)


# Writing ----------------------------------------------------------------------------------------


def copy_voxels(source: BinaryIO, header: Header, target: BinaryIO) -> None:
    """Writes the voxels of a file again as NIfTI-1 without forms, uncompressed.

    For a program that reads no NIfTI-2, refuses a form that is accepted here, or adds an intercept
    that does not count.

    Args:
        source: What ``inspect`` accepted; must be seekable.
        header: What it returned.
        target: Where to write.

    Raises:
        OSError: If a stream cannot be read or written.
    """
    old = header.record
    new = np.zeros((), _NIFTI1.newbyteorder(header.byte_order))
    _mark_as(new, header.shape)
    new["pixdim"] = 1
    new["datatype"], new["bitpix"] = old["datatype"], old["bitpix"]
    with np.errstate(invalid="ignore"):  # a signalling NaN, which means none as any other
        new["scl_slope"], new["scl_inter"] = header.scaling
    content, _ = decompressed(source)
    for _chunk in _chunks(content, header.offset):
        pass
    target.write(new.tobytes() + _EXTENSION_MARK)
    target.writelines(_chunks(content, header.n_bytes))


def write(
    file: BinaryIO,
    array: npt.NDArray[Any],
    grid: Grid,
    scan: Header | None = None,
    *,
    space: int = SCANNER,
) -> None:
    """Writes a plain NIfTI file.

    Args:
        file: Where to write.
        array: (slice, row, column) in one of the types that can be read.
        grid: Where its voxels lie; of the array's shape.
        scan: Header of a file with the same voxels, whose forms, codes, units and voxel sizes are
            repeated to the bit, in a file of its version; None for sform and qform of the grid.
        space: What these forms name as their space: ``SCANNER`` or ``MNI_152``.

    Raises:
        OSError: If the stream cannot be written.
    """
    dtype = array.dtype.newbyteorder("<")
    file.write(_encode(grid, dtype, scan, space))
    for plane in array:
        file.write(plane.astype(dtype).tobytes())


def _encode(grid: Grid, dtype: np.dtype[Any], scan: Header | None, space: int) -> bytes:
    layout = _NIFTI1 if scan is None or scan.version == 1 else _NIFTI2
    header = np.zeros((), layout.newbyteorder("<"))
    _mark_as(header, grid.shape)
    header["datatype"] = {kind: code for code, kind in _VOXEL_TYPES.items()}[dtype.str[1:]]
    header["bitpix"] = 8 * dtype.itemsize
    header["scl_slope"] = 1
    if scan is None:
        _place(header, grid, space)
    else:
        for field in _FORM_FIELDS:
            header[field] = scan.record[field]
    return header.tobytes() + _EXTENSION_MARK


def _place(header: npt.NDArray[np.void], grid: Grid, space: int) -> None:
    """Sets qform and sform to those of a grid."""
    flip = np.diag([-1.0, -1.0, 1.0])  # NIfTI is RAS, SimpleITK LPS
    rotation = flip @ np.array(grid.direction, float).reshape(3, 3)
    spacing = np.array(grid.spacing_mm[::-1])
    origin = flip @ np.array(grid.origin_mm)
    handedness = -1.0 if np.linalg.det(rotation) < 0 else 1.0
    header["pixdim"] = (handedness, *spacing, 0, 0, 0, 0)
    header["xyzt_units"] = _MILLIMETRE
    header["qform_code"] = header["sform_code"] = space
    header["quatern"] = _quaternion(rotation * [1, 1, handedness])
    header["qoffset"] = origin
    header["srow"] = np.column_stack([rotation * spacing, origin])


def _mark_as(header: npt.NDArray[np.void], shape: tuple[int, int, int]) -> None:
    """Sets what every file that is written here has in common, and the shape."""
    size = header.dtype.itemsize
    header["sizeof_hdr"] = size
    header["dim"] = (3, *shape[::-1], 1, 1, 1, 1)
    header["vox_offset"] = size + len(_EXTENSION_MARK)
    header["magic"] = _SINGLE_FILE[size]


def _quaternion(r: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The parts b, c, d of the unit quaternion of a rotation, with a >= 0.

    Every column of the matrix below is a multiple of (b, c, d, a), as it is 4 times their outer
    product; the one with the largest diagonal is exact enough for every angle, 180 degrees too.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = r
    outer = np.array(
        [
            [1 + xx - yy - zz, xy + yx, xz + zx, zy - yz],
            [xy + yx, 1 - xx + yy - zz, yz + zy, xz - zx],
            [xz + zx, yz + zy, 1 - xx - yy + zz, yx - xy],
            [zy - yz, xz - zx, yx - xy, 1 + xx + yy + zz],
        ]
    )
    column = outer[:, int(np.argmax(np.diag(outer)))]
    part: npt.NDArray[np.float64] = column[:3] / math.copysign(math.hypot(*column), column[3])
    return part
