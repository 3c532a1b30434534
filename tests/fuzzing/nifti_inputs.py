"""Scans: both versions of NIfTI, read and looked over as ``wmhseg check`` does."""

from __future__ import annotations

import gzip
import json
import random
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from nifti_files import nifti1, nifti2

from wmhseg.checking import examine, findings, headers
from wmhseg.io import files, forms, images, nifti

from . import damage
from .targets import Files, Target

_FLOATS = (0.0, -1.0, 1e-38, 1e38, 3.4e38, -0.0, 0.5, 1e-6, 1e9, 1e-30, 1e30, 25.4, 1000.0, 2.0,
           1e-45, float("nan"), float("inf"), -float("inf"))  # fmt: skip
_SHORTS = (0, 1, 2, 3, -1, 4, 7, 8, 32767, -32768, 256, 512, 1290, 5)
_TYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8",
    1280: "u8",
}  # fmt: skip
_UNREAD_TYPES = (0, 1, 32, 128, 1536, 1792, 2048, 2304, 255, -1)

# Where the fields of nifti1.h and nifti2.h lie: first bytes of all numbers of one kind.
_PLACES = {
    348: {
        "h": (*range(40, 56, 2), 68, 70, 72, 74, 252, 254),
        "f": (*range(76, 124, 4), 124, 128, 140, 144, *range(256, 328, 4)),
        "b": (38, 39, 123, *range(344, 352)),
    },
    540: {
        "h": (12, 14),
        "q": (*range(16, 80, 8), 168, 224, 232),
        "d": (80, 88, 96, *range(104, 168, 8), 176, 184, 192, 200, *range(352, 496, 8)),
        "i": (0, 344, 348, 496, 500, 504),
        "b": (*range(4, 12), 524),
    },
}
# dim, datatype, pixdim, vox_offset, slope, codes, quatern, srow: place and kind of the first.
_FIELDS = {
    348: {"dim": (40, "h"), "type": (70, "h"), "pixdim": (76, "f"), "offset": (108, "f"),
          "slope": (112, "f"), "codes": (252, "h"), "quatern": (256, "f"), "srow": (280, "f"),
          "unit": (123, "B")},
    540: {"dim": (16, "q"), "type": (12, "h"), "pixdim": (104, "d"), "offset": (168, "q"),
          "slope": (176, "d"), "codes": (344, "i"), "quatern": (352, "d"), "srow": (400, "d"),
          "unit": (500, "i")},
}  # fmt: skip


def _put(content: bytearray, field: str, *values: float) -> None:
    """Sets the first numbers of a field, if there is a header; large ones wrap around."""
    if len(content) < 4:
        return
    version1 = content[:4] in (b"\\\1\0\0", b"\0\0\1\\")
    order = "<" if content[0] else ">"
    at, kind = _FIELDS[348 if version1 else 540][field]
    width = struct.calcsize(kind)
    if at + width * len(values) > len(content):
        return
    if kind in "fd":
        try:
            raw = struct.pack(f"{order}{len(values)}{kind}", *values)
        except OverflowError:  # beyond float32
            raw = struct.pack(f"{order}{len(values)}{kind}", *[float("inf")] * len(values))
    else:
        whole = map(int, map(float, values)) if np.isfinite(values).all() else [0] * len(values)
        wrapped = (v % (1 << 8 * width) for v in whole)
        raw = struct.pack(f"{order}{len(values)}{kind.upper()}", *wrapped)
    content[at : at + len(raw)] = raw


# The corpus --------------------------------------------------------------------------------------


Sides = tuple[float, float, float]
_COARSE = (7.5, 7.5, 7.5)


def head(kind: str, *, seed: int = 0, noise: float = 12.0, mm: Sides = _COARSE) -> np.ndarray:
    """A coarse head, (slice, row, column): scalp, skull, brain, ventricles.

    Args:
        kind: "t1", "flair", "t2", or "bare" for a brain alone.
        seed: Of the noise.
        noise: Its strength.
        mm: Sides of a voxel: column, row, slice.
    """
    rng = np.random.default_rng(seed)
    sides = np.array(mm[::-1]).reshape(-1, 1, 1, 1)
    shape = [round(200 / side) for side in mm[::-1]]
    places = (np.indices(shape) - (np.array(shape).reshape(-1, 1, 1, 1) - 1) / 2) * sides
    far = np.sqrt(((places / np.array([88, 92, 75]).reshape(-1, 1, 1, 1)) ** 2).sum(0))
    values = {"t1": (420, 60, 500, 380, 90), "flair": (300, 40, 330, 420, 60),
              "t2": (300, 60, 250, 330, 900), "bare": (0, 0, 330, 420, 60)}[kind]  # fmt: skip
    scan = np.zeros(shape)
    for value, edge in zip(values, (1.0, 0.92, 0.84, 0.7, 0.3), strict=True):
        scan[far < edge] = value
    scan[(far < 0.7) & (far > 0.32)] = values[2]
    scan = np.abs(scan + rng.normal(0, noise, scan.shape)) if noise else scan
    return np.rint(scan)


def _filed(scan: np.ndarray, mm: Sides = _COARSE, shift: float = 0.0) -> bytes:
    """A file of an array."""
    form = [(*(mm[i] * (i == j) for j in range(3)), -90 + shift) for i in range(3)]
    body = (scan.astype(np.int64) & 0xFFFF).astype("<u2").tobytes()  # large numbers wrap around
    return nifti1(body, sizes=scan.shape[::-1], kind=(4, 16), pixdim=mm, sform=form)


def _pairs() -> list[list[bytes]]:
    """Heads for ``wmhseg check``, alone and in pairs; few, as they take longer."""
    thick, between = (5.0, 5.0, 12.0), (6.0, 6.0, 11.0)
    flair, t1 = head("flair"), head("t1", seed=1)
    ghost = flair.copy()
    ghost[:, :, :4] += 200
    blocks = np.indices(flair.shape)
    labels = (blocks // 5 * np.array([1, 7, 43]).reshape(-1, 1, 1, 1)).sum(0)
    return [
        [_filed(flair), _filed(t1)],
        [_filed(t1), _filed(flair)],
        [_filed(flair), _filed(flair * 2)],
        [_filed(head("bare", noise=0)), _filed(t1, shift=3)],
        [_filed(flair), _filed(t1[::-1].transpose(2, 1, 0))],
        [_filed(head("t2", mm=(6.5, 6.5, 6.5)), (6.5, 6.5, 6.5))],
        [_filed(head("flair", mm=thick), thick), _filed(head("bare", mm=thick), thick)],
        [_filed(head("flair", mm=between), between)],
        [_filed(ghost), _filed(np.where(t1 > 480, 1500, t1))],
        [_filed(flair[:13]), _filed(t1[:, 6:20])],
        [_filed(flair * 150), _filed(t1 - 300)],
        [_filed(labels), _filed(blocks[0] % 30)],
        [_filed(flair, (0.5, 0.5, 0.5))],
        [_filed(flair, (2000.0, 2000.0, 2000.0))],
        [_filed(np.random.default_rng(2).integers(0, 30, flair.shape))],
    ]


def _corpus() -> list[Files]:
    noisy = np.random.default_rng(0).integers(0, 900, 120)
    made: list[bytes] = []
    for order in "<>":
        for code, name in _TYPES.items():
            dtype = np.dtype(name).newbyteorder(order)
            body = (noisy % 100).astype(dtype).tobytes()
            kind = (code, 8 * dtype.itemsize)
            made += [nifti1(body, order=order, kind=kind), nifti2(body, order=order, kind=kind)]
    turned = ((0, -2, 0, 10), (1.5, 0, 0, 20), (0, 0, 3, 30))
    rounded = ((1, 0.006, 0, 10), (0, 1, 0, 20), (0, 0, 1, 30))
    made += [
        nifti1(codes=(1, 1)),
        nifti1(codes=(1, 0), quatern=(0.5, 0.5, 0.5), qoffset=(1, 2, 3)),
        nifti1(codes=(1, 0), quatern=(0.6, 0.6, 0.6)),
        nifti1(codes=(2, 3), quatern=(0, 1, 0)),
        nifti1(codes=(1, 1), quatern=(0.70710677, 1e-30, 0.70710677)),
        nifti1(codes=(0, 0), pixdim=(2, 3, 4), units=0),
        nifti1(codes=(0, 2), sform=turned, pixdim=(1.5, 2, 3)),
        nifti1(codes=(1, 2), sform=rounded, units=10),
        nifti1(sform=((1, 0.5, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0))),
        nifti1(ndim=4, scaling=(2, -3), units=3),
        nifti1(ndim=7, scaling=(0, 5)),
        nifti1(sizes=(4, 5, 3, 2), ndim=4),
        nifti1(sizes=(4, 30, 1), ndim=2),
        nifti1(scaling=(float("nan"), 0), units=1, pixdim=(0.001,) * 3, codes=(0, 0)),
        nifti1(scaling=(1e-38, 0)),
        nifti1(offset=384.0, extension=b"\1\0\0\0" + struct.pack("<ii", 32, 6) + bytes(24)),
        nifti1(np.full(120, 7, "<f4").tobytes()),
        nifti1(np.full(120, np.nan, "<f4").tobytes()),
        nifti1((noisy - 400).astype("<i2").tobytes(), kind=(4, 16)),
        nifti1(magic=b"ni1\0"),
        nifti1(bytes(120 * 8), kind=(32, 64)),
        nifti1(sizes=(1290, 1290, 1290)),
        b"",
        b"\0" * 128 + b"DICM",
        b"NRRD0004\n",
        b"PK\3\4",
        *damage.POINTERS,
    ]
    plain = [{"scan.nii": content} for content in made]
    packed = [{"scan.nii.gz": gzip.compress(c, mtime=0)} for c in made[::7]]
    couples = [dict(zip(("flair.nii", "t1.nii"), pair, strict=False)) for pair in _pairs()]
    return [*plain, *packed, *couples]


# Damage -----------------------------------------------------------------------------------------


def _field(rng: random.Random, content: bytearray) -> None:
    """Any fields of the header."""
    version2 = len(content) > 544 and content[4:7] == b"n+2"
    places = _PLACES[540 if version2 else 348]
    order = "<" if content[:1] > b"\0" else ">"
    for _ in range(rng.randint(1, 4)):
        kind = rng.choice(list(places))
        size = struct.calcsize(kind)
        at = rng.choice(places[kind])
        if kind in "fd":
            value = rng.choice(_FLOATS) if rng.random() < 0.7 else rng.uniform(-1e3, 1e3)
            raw = struct.pack(order + kind, value) if rng.random() < 0.9 else rng.randbytes(size)
        else:
            whole = rng.choice(_SHORTS) if rng.random() < 0.7 else rng.getrandbits(8 * size)
            raw = (whole % (1 << 8 * size)).to_bytes(size, "little" if order == "<" else "big")
        content[at : at + size] = raw


def _sizes(rng: random.Random, content: bytearray) -> None:
    """Other axes: too many, too few, too long; more voxels than there are."""
    some = rng.choice((
        (3, 2048, 1024, 1024), (3, 32767, 32767, 2), (3, 512, 512, 512), (3, 1290, 1290, 1290),
        (4, 4, 5, 6, 1), (4, 4, 5, 3, 2), (2, 4, 30), (3, 4, 5, -6), (0, 4, 5, 6), (8, 4, 5, 6),
        (3, 120, 1, 1), (3, 2, 30, 2), (7, 4, 5, 6, 1, 1, 1, 1), (3, 1 << 40, 2, 2), (1, 120),
        (3, 32768, 2, 2), (5, 2, 3, 20, 1, 1), (3, rng.randint(1, 9), rng.randint(1, 9), 3),
    ))  # fmt: skip
    _put(content, "dim", *some)


def _type(rng: random.Random, content: bytearray) -> None:
    code = rng.choice((*_TYPES, *_UNREAD_TYPES))
    bits = (
        8 * np.dtype(_TYPES.get(code, "f4")).itemsize if rng.random() < 0.7 else rng.choice(_SHORTS)
    )
    _put(content, "type", code, bits)


def _scaling(rng: random.Random, content: bytearray) -> None:
    _put(content, "slope", *(rng.choice(_FLOATS) for _ in range(2)))


def _rotation(rng: random.Random) -> np.ndarray:
    a = np.array([rng.gauss(0, 1) for _ in range(9)]).reshape(3, 3)
    turned = np.linalg.qr(a)[0]
    if rng.random() < 0.5:
        turned = np.eye(3)[rng.sample(range(3), 3)] * [rng.choice((-1, 1)) for _ in range(3)]
    return turned


def _form(rng: random.Random, content: bytearray) -> None:
    """Forms that could be, with small and large faults: shear, mirrors, rounding, overflow."""
    size = 10 ** rng.uniform(-2, 2) if rng.random() < 0.3 else rng.choice((1.0, 2.0, 0.5, 1000.0))
    pixdim = [size * rng.choice((1, 1, 2, 3)) for _ in range(3)]
    matrix = _rotation(rng) * pixdim
    fault = rng.randrange(8)
    if fault == 0:
        matrix += np.array([rng.gauss(0, 0.003 * size) for _ in range(9)]).reshape(3, 3)
    elif fault == 1:
        matrix[:, rng.randrange(3)] *= rng.choice((0, 1.005, 1.02, -1, 1e-20, 1e20))
    elif fault == 2:
        matrix[rng.randrange(3)] = rng.choice(_FLOATS)
    elif fault == 3:
        matrix[abs(matrix) < 1e-9] = rng.choice((1e-30, -1e-38, 1e-16))
    elif fault == 4:
        matrix = np.round(matrix, 2)
    offset = [rng.choice((0.0, -90.0, 12.5, 1e9, 2e9, rng.uniform(-200, 200))) for _ in range(3)]
    rows = np.column_stack([matrix, offset])
    _put(content, "srow", *rows.ravel().tolist())
    _put(content, "pixdim", rng.choice((1, -1, 0)), *pixdim)
    quaternion = [rng.gauss(0, 1) for _ in range(4)]
    length = float(np.linalg.norm(quaternion)) * rng.choice((1, 1, 1, 0.9, 0.995, 0.0001))
    _put(content, "quatern", *(v / length for v in quaternion[:3]), *offset)
    _put(content, "codes", rng.choice((0, 1, 2, 5, -1, 9)), rng.choice((0, 1, 1, 2, 4, -3)))


def _offset(rng: random.Random, content: bytearray) -> None:
    """Extensions that claim, or are, far too much."""
    claimed = rng.choice((0, -1, 7, 2**31 - 1, 16, rng.randrange(1 << 20)))
    _put(content, "offset", rng.choice((353.0, 1e6, 1e30, 2.0**24, 400.5, -352.0, 368.0)))
    content[348:352] = b"\1\0\0\0"
    content[352:352] = struct.pack("<ii", claimed, 6) + bytes(rng.randrange(1 << 9))


def _voxels(rng: random.Random, content: bytearray) -> None:
    """Other voxels: extreme, all alike, a few not finite."""
    start = min(len(content), 352 if content[:1] in b"\\\0" else 544)
    body = bytearray(content[start:])
    what = rng.randrange(4)
    if what == 0:
        body = bytearray(rng.choice((b"\0", b"\xff", b"\x7f", b"\1")) * len(body))
    elif what == 1:
        body = bytearray(rng.randbytes(len(body)))
    elif what == 2 and body:
        odd = rng.choice((b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\xff\xff\x7f\x7f", b"\1\0\0\0"))
        at = 4 * rng.randrange(1 + len(body) // 4)
        body[at : at + 4] = odd
    else:
        values = np.frombuffer(bytes(body[: len(body) // 2 * 2]), "<i2")
        body = bytearray((values * rng.choice((-1, 2, 100)) + rng.choice((0, -500))).tobytes())
    content[start:] = body


def _order(rng: random.Random, content: bytearray) -> None:
    """The mark of the byte order alone is turned round."""
    content[:4] = content[:4][::-1]


KINDS: tuple[damage.Damage, ...] = (
    _field, _field, _field, _sizes, _type, _scaling, _form, _form, _form, _offset, _voxels, _order,
    damage.pointer, damage.flip, damage.overwrite, damage.cut, damage.grow, damage.noise,
)  # fmt: skip
_NAMES = ("scan.nii", "scan.nii", "scan.nii.gz", "scan", "s\ncan.nii", "\u00e9.nii.gz", ".nii")


def _damaged(rng: random.Random, corpus: Sequence[Files]) -> Files:
    pair = rng.random() < 0.01
    start = len(corpus) - len([1 for one in corpus if "flair.nii" in one])
    given = rng.choice(corpus[start:] if pair else corpus[:start])
    made = {}
    for name, content in given.items():
        plain = bytearray(gzip.decompress(content) if name.endswith(".gz") else content)
        if len(plain) < 352 and rng.random() < 0.8:
            plain = bytearray(corpus[rng.randrange(40)]["scan.nii"])
        if not pair or rng.random() < 0.6:
            plain = damage.several(rng, bytes(plain), KINDS)
            if rng.random() < 0.02:
                plain = damage.splice(rng, bytes(plain), corpus[rng.randrange(40)]["scan.nii"])
        if not pair:
            name = rng.choice(_NAMES)
        if rng.random() < 0.25:
            plain = bytearray(gzip.compress(bytes(plain), 1, mtime=0))
            if rng.random() < 0.2:
                damage.flip(rng, plain)
        made[name] = bytes(plain)
    return made


# Reading ----------------------------------------------------------------------------------------


def look_over(folder: Path, given: Files) -> None:
    """Reads scans as ``wmhseg check`` does, and at times does more with them."""
    paths = [folder / name for name in given]
    scans = [images.read_scan(p, name=n) for p, n in zip(paths, ("FLAIR", "T1"), strict=False)]
    told = findings.to_dict(examine.examine(*scans))
    json.dumps(told, allow_nan=False)
    scan, header = scans[0], scans[0].header
    assert header is not None
    headers.slice_axis(header)
    again = zlib.crc32(given[paths[0].name]) % 4
    if again == 0:
        labels, grid = images.read_labels(paths[0])
        assert labels.shape == grid.shape == scan.array.shape
    elif again == 1:
        _check_voxels(paths[0], scan)
    elif again == 2:
        _check_forms_kept(folder / "mask.nii", scan)


def _check_voxels(path: Path, scan: images.Scan) -> None:
    """What SimpleITK reads of a file without scaling is what stands in it."""
    header = scan.header
    assert header is not None
    slope, intercept = (float(header.record[f]) for f in ("scl_slope", "scl_inter"))
    if intercept or not (slope in (0, 1) or np.isnan(slope)):
        return
    with files.reading(path, "scan", advice="") as file:
        content, _ = nifti.decompressed(file)
        content.read(header.offset)
        stored = np.frombuffer(content.read(header.n_bytes), header.dtype).reshape(header.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        same = np.array_equal(stored.astype(np.float32), scan.array)
    assert same, "other voxels than in the file"


def _check_forms_kept(path: Path, scan: images.Scan) -> None:
    """A mask carries the forms of its scan to the bit."""
    images.write_mask(path, np.zeros(scan.array.shape, np.uint8), scan.grid, scan.header)
    try:
        with files.reading(path, "mask", advice="") as file:
            written = nifti.inspect(file, "mask")
        assert forms.grid(written) == scan.grid, "the mask lies elsewhere"
        for field in ("qform_code", "sform_code", "pixdim", "quatern", "qoffset", "srow"):
            mine, its = (np.asarray(h.record[field]) for h in (written, scan.header))
            with np.errstate(invalid="ignore"):  # a signalling NaN
                mine, its = mine.astype("<f8"), its.astype("<f8")
            assert mine.tobytes() == its.tobytes(), f"another {field}"
    finally:
        path.unlink()


def make() -> Target:
    import SimpleITK  # noqa: F401 - loaded before memory is limited and processes are forked

    return Target("nifti", _corpus(), _damaged, look_over, (
        "wmhseg.io.nifti", "wmhseg.io.forms", "wmhseg.io.images", "wmhseg.checking.headers",
        "wmhseg.checking.examine", "wmhseg.checking.voxels", "wmhseg.preparation.levels",
    ))  # fmt: skip
