"""Reading and writing images, whatever the files hold."""

# mypy: untyped-calls-exclude="SimpleITK"

from __future__ import annotations

import errno
import gzip
import math
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from nifti_files import (
    BIG_ENDIAN,
    PLAIN_SFORM,
    RAMP,
    SIZES,
    VALUES,
    failing,
    nifti1,
    nifti2,
    saved,
    unprivileged,
)

from wmhseg import errors
from wmhseg.geometry import Grid
from wmhseg.io import gunzip, images, pictures

pytestmark = pytest.mark.filterwarnings("error")  # a user would see them beside the one line

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("WMHSEG_SHARED", ROOT.parent / "shared"))
SHEARED = ((1, 0.3, 0, 10), (0, 1, 0, 20), (0, 0, 1, 30))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


def close(a: Grid, b: Grid, angle: float = 1e-5) -> None:
    assert a.shape == b.shape
    for one, other in ((a.spacing_mm, b.spacing_mm), (a.origin_mm, b.origin_mm)):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(a.direction, b.direction, atol=angle)


# What can be read -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.nii", nifti1()),
        ("packed.nii.gz", gzip.compress(nifti1())),
        ("swapped.nii", nifti1(BIG_ENDIAN, order=">")),
        ("version2.nii", nifti2()),
        ("version2.nii.gz", gzip.compress(nifti2())),
        ("version2_swapped.nii", nifti2(BIG_ENDIAN, order=">")),
        ("version2_extended.nii", nifti2(offset=544 + 4096)),
        ("one_volume.nii", nifti1(ndim=4)),
        ("five_axes.nii", nifti1(ndim=5)),
        ("packed_but_named.nii", gzip.compress(nifti1())),
        ("plain_but_named.nii.gz", nifti1()),
        ("CAPITALS.NII.GZ", gzip.compress(nifti1())),
        ("no_suffix", nifti1()),
        (".nii", nifti1()),
        ("wrong.hdr", gzip.compress(nifti1())),
        ("été 扫描.nii", nifti1()),
        ("not\udcffunicode.nii", nifti1()),  # SimpleITK by itself ends the program here
        ("new\nline.nii", nifti1()),
        ("members.nii.gz", gzip.compress(nifti1()[:400]) + gzip.compress(nifti1()[400:])),
        ("padded.nii.gz", gzip.compress(nifti1()) + bytes(512)),
        ("followed.nii", nifti1() + b"more"),
        (
            "extended.nii",
            nifti1(offset=368, extension=b"\1\0\0\0" + struct.pack("<2i", 16, 6) + b"comment\0"),
        ),
        ("bad_extension.nii", nifti1(offset=368, extension=b"\1\0\0\0" + b"\xff" * 16)),
    ],
    ids=lambda value: ascii(value) if isinstance(value, str) else "",
)
def test_reads_every_kind_of_single_file(tmp_path: Path, name: str, content: bytes) -> None:
    scan = images.read_scan(saved(tmp_path, content, name), name="FLAIR")
    assert scan.name == "FLAIR"
    assert scan.array.dtype == np.float32
    np.testing.assert_array_equal(scan.array, VALUES)
    # The sform puts voxel 0 at RAS (10, 20, 30); its x and y axes run against those of LPS.
    close(
        scan.grid,
        Grid((6, 5, 4), (1.0, 1.0, 1.0), (-10.0, -20.0, 30.0), (-1, 0, 0, 0, -1, 0, 0, 0, 1)),
    )


def test_a_prepared_copy_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    images.read_scan(saved(tmp_path, nifti2(), "two"), name="T1")
    assert list((tmp_path / "tmp").iterdir()) == []
    (tmp_path / "tmp").rmdir()
    path = saved(tmp_path, nifti1(), "no_suffix")
    line = failing(errors.UnreadableFileError, images.read_scan, path, name="T1")
    assert "temporary folder" in line
    assert images.read_scan(saved(tmp_path, nifti1()), name="T1").array.any()  # needs none


@pytest.mark.parametrize("link", [lambda p: p, lambda p: p.name], ids=["absolute", "relative"])
def test_follows_links(tmp_path: Path, link: Callable[[Path], Path | str]) -> None:
    target = saved(tmp_path, gzip.compress(nifti1()), "real")
    (tmp_path / "link").symlink_to(link(target))
    (tmp_path / "second.nii.gz").symlink_to("link")
    for name in ("link", "second.nii.gz"):
        np.testing.assert_array_equal(images.read_labels(tmp_path / name)[0], VALUES)


@pytest.mark.parametrize(
    ("code", "dtype"),
    [(2, "u1"), (4, "i2"), (8, "i4"), (16, "f4"), (64, "f8"), (256, "i1"), (512, "u2"),
     (768, "u4"), (1024, "i8"), (1280, "u8")],
)  # fmt: skip
def test_grey_types_are_read_and_labels_keep_them(tmp_path: Path, code: int, dtype: str) -> None:
    body = VALUES.astype("<" + dtype).tobytes()
    path = saved(tmp_path, nifti1(body, kind=(code, 8 * np.dtype(dtype).itemsize)))
    labels, grid = images.read_labels(path)
    assert labels.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(labels, VALUES)
    scan = images.read_scan(path, name="FLAIR")
    assert scan.array.dtype == np.float32
    np.testing.assert_array_equal(scan.array, VALUES)
    assert scan.grid == grid


@pytest.mark.parametrize(
    ("scaling", "factor", "shift"),
    [
        ((0.5, 3), 0.5, 3),
        ((math.nan, math.nan), 1, 0),
        ((0, 0), 1, 0),
        ((-2, 0), -2, 0),
        ((0, 7), 1, 0),
        ((math.nan, 9), 1, 0),
    ],
)
def test_slope_and_intercept(
    tmp_path: Path, scaling: tuple[float, float], factor: float, shift: float
) -> None:
    content = nifti1(VALUES.astype("<i2").tobytes(), kind=(4, 16), scaling=scaling)
    scan = images.read_scan(saved(tmp_path, content), name="FLAIR")
    np.testing.assert_allclose(scan.array, factor * VALUES + shift)


def test_labels_may_be_constant(tmp_path: Path) -> None:
    labels, grid = images.read_labels(saved(tmp_path, nifti1(bytes(120), kind=(2, 8))))
    assert labels.dtype == np.uint8
    assert not labels.any()
    assert grid.shape == labels.shape == (6, 5, 4)


def test_spacing_is_in_array_order_and_in_mm(tmp_path: Path) -> None:
    sform = ((0.0005, 0, 0, 0), (0, 0.001, 0, 0), (0, 0, 0.003, 0.02))
    content = nifti1(pixdim=(0.0005, 0.001, 0.003), units=1, sform=sform)  # metres
    grid = images.read_scan(saved(tmp_path, content), name="FLAIR").grid
    np.testing.assert_allclose(grid.spacing_mm, (3, 1, 0.5), rtol=1e-6)
    np.testing.assert_allclose(grid.origin_mm, (0, 0, 20), rtol=1e-6)


QUARTER_TURN = (0, 0, math.sqrt(0.5))  # about z: x goes to y in RAS
TURNED = (0, 1, 0, -1, 0, 0, 0, 0, 1)  # the same in LPS, where x and y both change sign
STRAIGHT = (-1, 0, 0, 0, -1, 0, 0, 0, 1)


@pytest.mark.parametrize(
    ("codes", "sform", "direction"),
    [
        ((1, 1), PLAIN_SFORM, STRAIGHT),
        ((1, 4), PLAIN_SFORM, STRAIGHT),  # whatever its code, an sform wins
        ((1, 0), PLAIN_SFORM, TURNED),
        ((1, -1), PLAIN_SFORM, TURNED),
        ((0, 4), PLAIN_SFORM, STRAIGHT),
        ((1, 0), SHEARED, TURNED),  # what is not used may be anything
        ((0, 0), PLAIN_SFORM, (1, 0, 0, 0, -1, 0, 0, 0, 1)),  # LAS, as of Analyze
    ],
)
def test_which_form_places_the_image(
    tmp_path: Path,
    codes: tuple[int, int],
    sform: Sequence[Sequence[float]],
    direction: tuple[int, ...],
) -> None:
    # -x of RAS is +x of LPS: the turned direction is diag(-1,-1,1) @ Rz(90).
    expected = np.array(direction).reshape(3, 3)
    if direction is TURNED:
        expected = np.diag([-1, -1, 1]) @ [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    content = nifti1(codes=codes, sform=sform, quatern=QUARTER_TURN)
    grid = images.read_scan(saved(tmp_path, content), name="FLAIR").grid
    np.testing.assert_allclose(np.array(grid.direction).reshape(3, 3), expected, atol=1e-6)


def test_nothing_is_printed_by_compiled_code(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rounding = ((1, 1e-41, 0, 10), (0, 1, 0, 20), (0, 0, 1, 30))
    noisy = nifti1(codes=(1, 4), sform=rounding)  # pages about "suspicious return value"
    images.read_scan(saved(tmp_path, noisy), name="FLAIR")
    rounded = ((1, 0.005, 0, 10), (0, 1, 0, 20), (0, 0, 1, 30))
    sheared = saved(tmp_path, nifti1(sform=rounded))  # a warning and an exception
    images.read_scan(sheared, name="FLAIR")
    assert capfd.readouterr() == ("", "")
    os.write(2, b"still there")
    assert capfd.readouterr().err == "still there"
    assert SimpleITK.ProcessObject.GetGlobalWarningDisplay()


@pytest.mark.parametrize("noisy", [False, True])
def test_lines_of_other_threads_are_not_lost(
    noisy: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Standard error stays that of the others, whether the header makes ITK print or not."""
    tiny = 1e-41 if noisy else 0
    path = saved(tmp_path, nifti1(codes=(1, 4), sform=((1, tiny, 0, 10), *PLAIN_SFORM[1:])))
    done = threading.Event()
    written = []

    def write() -> None:
        while not done.is_set():
            os.write(2, f"line {len(written)}\n".encode())
            written.append(1)
            time.sleep(1e-4)

    with ThreadPoolExecutor(3) as pool:
        writer = pool.submit(write)
        readers = [pool.submit(images.read_scan, path, name="T1") for _ in range(200)]
        for reader in readers:
            reader.result()
        done.set()
        writer.result()
    shown = capfd.readouterr().err
    assert len(written) > 100
    numbers = [int(n) for n in re.findall(r"line (\d+)\n", shown)]
    assert sorted(numbers) == list(range(len(written)))
    # Only a page that a line has fallen into stays: it cannot be told from something else.
    assert noisy or len(shown.splitlines()) == len(written)


def test_readers_in_threads_give_standard_error_back(tmp_path: Path) -> None:
    path = saved(tmp_path, nifti1())
    before = os.fstat(2)
    with ThreadPoolExecutor(8) as pool:
        scans = list(pool.map(lambda _: images.read_scan(path, name="T1"), range(200)))
    assert all(scan.array.max() == 119 for scan in scans)
    assert os.path.samestat(os.fstat(2), before)


# What cannot ------------------------------------------------------------------------------------


def replaced(content: bytes, offset: int, code: str, *values: float | bytes) -> bytes:
    changed = bytearray(content)
    struct.pack_into(code, changed, offset, *values)
    return bytes(changed)


def flipped(content: bytes, index: int) -> bytes:
    changed = bytearray(content)
    changed[index] ^= 0x10
    return bytes(changed)


NAN, INF = math.nan, math.inf
PACKED = gzip.compress(nifti1(np.random.default_rng(0).random(120).astype("<f4").tobytes()))
BAD_CONTENT = {
    # contents: (error, exit code, word of the line)
    "empty": (b"", errors.TruncatedFileError, 83, "empty"),
    "one byte": (b"\x5c", errors.NotNiftiError, 82, "5c"),
    "text": (b"hello world" * 100, errors.NotNiftiError, 82, "68 65"),
    "dicom": (bytes(128) + b"DICM" + bytes(300), errors.NotNiftiError, 82, "DICOM"),
    "nrrd": (b"NRRD0004\n" + bytes(400), errors.NotNiftiError, 82, "NRRD"),
    "mgz": (gzip.compress(b"\0\0\0\1" + bytes(400)), errors.NotNiftiError, 82, "MGZ"),
    "twice packed": (gzip.compress(PACKED), errors.NotNiftiError, 82, "gzip inside"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", errors.NotNiftiError, 82, "LFS"),
    "annex pointer": (b"/annex/objects/MD5E-s7--1.nii\n", errors.NotNiftiError, 82, "datalad get"),
    "link as text": (
        b"../../../.git/annex/objects/x/MD5E-s7--1.nii", errors.NotNiftiError, 82, "datalad get"
    ),
    "pair": (nifti1(magic=b"ni1\0"), errors.NotNiftiError, 82, ".hdr/.img"),
    "analyze": (nifti1(magic=bytes(4)), errors.NotNiftiError, 82, ".hdr/.img"),
    "magic 2": (replaced(nifti2(), 4, "8s", b"n+3"), errors.NotNiftiError, 82, "unknown"),
    "rgb": (nifti1(RAMP * 3, kind=(128, 24)), errors.NotNiftiError, 82, "RGB"),
    "complex": (nifti1(RAMP * 2, kind=(32, 64)), errors.NotNiftiError, 82, "complex"),
    "type 77": (nifti1(kind=(77, 32)), errors.NotNiftiError, 82, "77"),
    "pixdim 0": (nifti1(pixdim=(1, 0, 1)), errors.NotNiftiError, 82, "1 0 1"),
    "pixdim -1": (nifti1(pixdim=(-1, 1, 1)), errors.NotNiftiError, 82, "-1 1 1"),
    "pixdim nan": (nifti1(pixdim=(1, 1, NAN)), errors.NotNiftiError, 82, "nan"),
    "pixdim 1e30": (nifti1(pixdim=(1, 1, 1e30)), errors.NotNiftiError, 82, "1e+30"),
    "sform nan": (nifti1(sform=((NAN,) * 4,) * 3), errors.NotNiftiError, 82, "sform"),
    "sform signalling nan": (
        replaced(nifti1(), 280, "4s", b"\1\0\xa0\x7f"), errors.NotNiftiError, 82, "nan"
    ),
    "sform inf": (
        nifti1(sform=((1, 0, 0, INF), *PLAIN_SFORM[1:])), errors.NotNiftiError, 82, "0 inf"
    ),
    "sform zero": (nifti1(sform=((0,) * 4,) * 3), errors.NotNiftiError, 82, "empty sform"),
    "sform scale": (nifti1(pixdim=(1, 1, 2)), errors.NotNiftiError, 82, "1 1 1 and 1 1 2"),
    "sform scale, qform": (
        nifti1(pixdim=(1, 1, 2), codes=(1, 1)), errors.NotNiftiError, 82, "1 1 1 and 1 1 2"
    ),
    "shear, qform": (
        nifti1(codes=(1, 1), sform=SHEARED), errors.NotNiftiError, 82, "right angles"
    ),
    "shear": (
        nifti1(sform=((1, 0.01, 0, 0), *PLAIN_SFORM[1:])), errors.NotNiftiError, 82, "right angles"
    ),
    "qform nan": (nifti1(codes=(1, 1), quatern=(NAN, 0, 0)), errors.NotNiftiError, 82, "qform"),
    "qform long": (nifti1(codes=(1, 0), quatern=(2, 3, 4)), errors.NotNiftiError, 82, "2 3 4"),
    "qoffset inf": (nifti1(codes=(1, 0), qoffset=(INF, 0, 0)), errors.NotNiftiError, 82, "inf"),
    "slope inf": (nifti1(scaling=(INF, 0)), errors.NotNiftiError, 82, "inf"),
    "slope 1e300": (nifti2(slope=1e300), errors.NotNiftiError, 82, "1e+300"),
    "slope 1e-300": (nifti2(slope=1e-300), errors.NotNiftiError, 82, "1e-300"),
    "inter inf": (nifti1(scaling=(1, -INF)), errors.NotNiftiError, 82, "inf"),
    "offset 0": (nifti1(offset=0), errors.NotNiftiError, 82, "352"),
    "offset nan": (nifti1(offset=NAN), errors.NotNiftiError, 82, "nan"),
    "offset 1 GB": (nifti1(offset=1e9), errors.NotNiftiError, 82, "1e+09"),
    "offset 2^62": (replaced(nifti2(), 168, "<q", 1 << 62), errors.NotNiftiError, 82, "e+18"),
    "offset -1": (replaced(nifti2(), 168, "<q", -1), errors.NotNiftiError, 82, "-1"),
    "symmetric": (replaced(nifti1(), 68, "<h", 1005), errors.NotNiftiError, 82, "SimpleITK"),
    "header only": (nifti1(b""), errors.TruncatedFileError, 83, "352 bytes"),
    "half header": (nifti1()[:200], errors.TruncatedFileError, 83, "200 bytes"),
    "half header 2": (nifti2()[:400], errors.TruncatedFileError, 83, "400 bytes"),
    "in offset": (nifti1(b"", offset=4096), errors.TruncatedFileError, 83, "352 bytes"),
    "one short": (nifti1()[:-1], errors.TruncatedFileError, 83, "831 bytes"),
    "packed short": (gzip.compress(nifti1()[:-1]), errors.TruncatedFileError, 83, "831 bytes"),
    "packed cut": (PACKED[:-200], errors.TruncatedFileError, 83, "ends early"),
    "checksum cut": (PACKED[:-5], errors.TruncatedFileError, 83, "ends early"),
    "checksum": (flipped(PACKED, -6), errors.TruncatedFileError, 83, "incorrect data check"),
    "packed length": (flipped(PACKED, -2), errors.TruncatedFileError, 83, "length"),
    "bit of data": (flipped(PACKED, 300), errors.TruncatedFileError, 83, "gzip"),
    "gzip magic": (b"\x1f\x8b", errors.TruncatedFileError, 83, "gzip"),
    "gzip of nothing": (gzip.compress(b""), errors.TruncatedFileError, 83, "empty"),
    "4D": (nifti1(RAMP * 2, ndim=4, sizes=(*SIZES, 2)), errors.DimensionError, 84, "6 x 2 voxels"),
    "vectors": (
        nifti1(RAMP * 3, ndim=5, sizes=(*SIZES, 1, 3)), errors.DimensionError, 84, "6 x 1 x 3"
    ),
    "2D": (nifti1(ndim=2), errors.DimensionError, 84, "4 x 5 voxels"),
    "one slice": (nifti1(sizes=(4, 5, 1)), errors.DimensionError, 84, "4 x 5 x 1"),
    "negative": (nifti1(sizes=(4, -5, 6)), errors.DimensionError, 84, "-5"),
    "no axes": (nifti1(ndim=0), errors.DimensionError, 84, "0 axes"),
    "8 axes": (nifti1(ndim=8), errors.DimensionError, 84, "8 axes"),
    "nan": (
        nifti1(RAMP[:-8] + struct.pack("<2f", NAN, INF)), errors.NonFiniteError, 86, "2 of 120"
    ),
    "nan, swapped": (
        nifti1(BIG_ENDIAN[:-8] + struct.pack(">2f", NAN, -INF), order=">"),
        errors.NonFiniteError, 86, "2 of 120",
    ),
    "nan, double": (
        gzip.compress(nifti2(struct.pack("<120d", *range(119), NAN), kind=(64, 64))),
        errors.NonFiniteError, 86, "1 of 120",
    ),
    "constant": (nifti1(bytes(480)), errors.ConstantImageError, 87, "all 0"),
    "1e9 voxels": (nifti1(sizes=(1000, 1000, 1000)), errors.TooLargeError, 89, "= 1000000000 "),
    "2^45 voxels": (nifti1(sizes=(32767,) * 3), errors.TooLargeError, 89, "= 35181150961663 "),
    "2^186 voxels": (nifti2(sizes=(1 << 62,) * 3), errors.TooLargeError, 89, str(1 << 186)),
    "long axis": (nifti2(sizes=(32768, 2, 2)), errors.TooLargeError, 89, "32768"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_CONTENT)
def test_refuses_bad_content_in_one_line(tmp_path: Path, case: str) -> None:
    content, kind, exit_code, word = BAD_CONTENT[case]
    path = saved(tmp_path, content)
    line = failing(kind, images.read_scan, path, name="FLAIR")
    assert kind.exit_code == exit_code
    assert word in line
    assert "FLAIR" in line
    assert str(path) in line
    if kind is not errors.ConstantImageError:
        assert word in failing(kind, images.read_labels, path)


def test_links_to_files_that_are_not_there(tmp_path: Path) -> None:
    link = tmp_path / "scan.nii.gz"
    link.symlink_to("elsewhere.nii.gz")
    line = failing(errors.MissingFileError, images.read_scan, link, name="FLAIR")
    assert "a link to a file that is not there, elsewhere.nii.gz" in line
    assert "annex" not in line
    link.unlink()
    link.symlink_to("../.git/annex/objects/3v/0K/MD5E-s7--1.nii.gz")
    line = failing(errors.MissingFileError, images.read_scan, link, name="FLAIR")
    assert "a link to a file that is not there" in line
    assert "datalad get" in line


def test_fault_25(shared: Path) -> None:
    """The link itself got lost on the way: it is a file that says where it led to."""
    data = shared / "faults" / "25-dangling-link-message" / "data"
    scan = data / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz"
    line = failing(errors.NotNiftiError, images.read_scan, scan, name="FLAIR")
    assert "a link to a file that is not there" in line
    assert "datalad get" in line


def test_values_beyond_float32(tmp_path: Path) -> None:
    path = saved(tmp_path, nifti1(struct.pack("<120d", *range(119), -1e300), kind=(64, 64)))
    line = failing(errors.NonFiniteError, images.read_scan, path, name="FLAIR")
    assert "1 of 120" in line
    assert images.read_labels(path)[0].min() == -1e300


def test_content_counts_and_not_the_name(tmp_path: Path) -> None:
    """A damaged image says the same under every name."""
    lines = {
        failing(errors.TruncatedFileError, images.read_scan, path, name="T1").replace(
            f"/{name}", ""
        )
        for name in ("a.nii", "a.nii.gz", "a")
        for path in [saved(tmp_path, nifti1()[:-1], name)]
    }
    assert len(lines) == 1


def test_missing_files(tmp_path: Path) -> None:
    (tmp_path / "dangling.nii").symlink_to("nowhere.nii")
    (tmp_path / "file").touch()
    for name in ("none.nii", "dangling.nii", "file/scan.nii", "nul\0.nii", "half\ud800.nii"):
        line = failing(errors.MissingFileError, images.read_scan, tmp_path / name, name="FLAIR")
        assert line.startswith('The FLAIR image "')
    assert errors.MissingFileError.exit_code == 80


def test_unreadable_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.nii.gz")
    (tmp_path / "loop.nii").symlink_to("loop.nii")
    (tmp_path / "folder.nii").mkdir()
    (tmp_path / "pipe.nii").symlink_to("fifo.nii.gz")
    words = {
        "fifo.nii.gz": "a pipe", "pipe.nii": "a pipe", "folder.nii": "a folder",
        "loop.nii": "symbolic links", "x" * 300: "too long",
    }  # fmt: skip
    for name, word in words.items():
        path = tmp_path / name
        assert word in failing(errors.UnreadableFileError, images.read_labels, path)
    assert "device" in failing(errors.UnreadableFileError, images.read_labels, "/dev/zero")
    assert errors.UnreadableFileError.exit_code == 81


def test_unreadable_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.nii")
        assert "socket" in failing(errors.UnreadableFileError, images.read_labels, "s.nii")


def test_permissions_for_reading(tmp_path: Path) -> None:
    path = saved(tmp_path, nifti1())
    path.chmod(0)
    with unprivileged():
        line = failing(errors.UnreadableFileError, images.read_scan, path, name="FLAIR")
    assert "Permission denied" in line


def test_a_pipe_that_takes_the_files_place_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "fifo")
    regular = os.stat(saved(tmp_path, nifti1()))
    monkeypatch.setattr(os, "stat", lambda _: regular)
    failing(errors.UnreadableFileError, images.read_scan, tmp_path / "fifo", name="FLAIR")


def test_a_broken_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(gunzip.Gunzip):
        def readinto(self, _: object) -> int:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(gunzip, "Gunzip", Broken)
    path = saved(tmp_path, PACKED)
    line = failing(errors.UnreadableFileError, images.read_scan, path, name="FLAIR")
    assert "Input/output error" in line


# Hostile files: memory and effort ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (nifti1(sizes=(1000, 1000, 1000)), errors.TooLargeError),
        (nifti1(sizes=(500, 500, 500)), errors.TruncatedFileError),  # allowed, but not there
        (gzip.compress(nifti1(sizes=(500, 500, 500))), errors.TruncatedFileError),
        (gzip.compress(nifti1(bytes(1 << 26), sizes=(500, 500, 500))), errors.TruncatedFileError),
        (gzip.compress(nifti1(b"") + bytes(1 << 26)), errors.ConstantImageError),
        (gzip.compress(nifti1(offset=1 << 24)), errors.TruncatedFileError),
    ],
    ids=["1e9", "short", "packed", "bomb for voxels", "bomb behind voxels", "extension"],
)
def test_claims_cost_no_memory(
    tmp_path: Path, content: bytes, kind: type[errors.WmhsegError]
) -> None:
    path = saved(tmp_path, content)
    tracemalloc.start()
    try:
        failing(kind, images.read_scan, path, name="FLAIR")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 << 20


def test_claims_cost_no_memory_in_compiled_code_either(tmp_path: Path) -> None:
    claims = nifti1(sizes=(500, 500, 500))  # 0.5 GB
    names = [
        str(saved(tmp_path, claims, "a.nii")),
        str(saved(tmp_path, gzip.compress(claims), "b")),
    ]
    small = str(saved(tmp_path, nifti1(), "small.nii"))
    code = f"""
import resource, wmhseg.io.images as images
from wmhseg.errors import TruncatedFileError
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
images.read_scan({small!r}, name="FLAIR")
before = peak()
for name in {names!r}:
    try: images.read_scan(name, name="FLAIR")
    except TruncatedFileError: pass
    else: raise SystemExit("was read")
print(peak() - before)
"""
    grown_kb = int(subprocess.check_output([sys.executable, "-c", code], cwd=ROOT))
    assert grown_kb < 20_000


def test_nothing_behind_the_voxels_is_decompressed(tmp_path: Path) -> None:
    """Damage that comes 8 MB after the last voxel is never met, so nor would be 8 TB of zeros."""
    bomb = gzip.compress(nifti1() + bytes(8 << 20))[:-8] + b"damaged!"
    scan = images.read_scan(saved(tmp_path, bomb, "bomb.nii.gz"), name="FLAIR")
    np.testing.assert_array_equal(scan.array, VALUES)


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(b"") * 200_000,
        b"\x1f\x8b\x08\x08" + bytes(6) + b"name" * 1_000_000,  # a file name without an end
        gzip.compress(b"")[:10] + b"\0\0\0\xff\xff" * 800_000,  # deflate blocks without content
        gzip.compress(nifti1(sizes=(500, 500, 500))) + gzip.compress(b"") * 200_000,
    ],
    ids=["members", "name", "blocks", "later members"],
)
def test_streams_that_never_give_anything(tmp_path: Path, content: bytes) -> None:
    path = saved(tmp_path, content)
    line = failing(errors.TruncatedFileError, images.read_scan, path, name="FLAIR")
    assert "more compressed than decompressed" in line


QUIET = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def outcome(read: Callable[[Path], Any], path: Path) -> Any:
    try:
        return read(path)
    except errors.InputError as error:
        return error


def read_or_refuse(path: Path) -> None:
    """The law of reading: whatever the bytes are, a sound scan or one clear line."""
    for read in (lambda p: images.read_scan(p, name="FLAIR"), images.read_labels):
        result = outcome(read, path)
        if isinstance(result, errors.InputError):
            assert "\n" not in str(result)
            assert result.received
            assert result.exit_code in range(81, 90)
            continue
        array, grid = (result.array, result.grid) if isinstance(result, images.Scan) else result
        assert np.isfinite(array).all()
        assert array.shape == grid.shape
        assert np.isfinite((*grid.spacing_mm, *grid.origin_mm)).all()
        matrix = np.array(grid.direction).reshape(3, 3)
        np.testing.assert_allclose(matrix.T @ matrix, np.eye(3), atol=1e-2)


@QUIET
@given(
    content=st.binary(max_size=1000), packed=st.booleans(), start=st.sampled_from([0, 4, 44, 348])
)
@example(content=b"\x1f\x8b", packed=False, start=0)
def test_random_bytes(folder: Path, content: bytes, packed: bool, start: int) -> None:
    content = nifti1()[:start] + content
    read_or_refuse(saved(folder, gzip.compress(content) if packed else content, "random.nii.gz"))


BASES = [nifti1(codes=(1, 1)), nifti2(), nifti1(BIG_ENDIAN, order=">"), nifti1(codes=(1, 4))]
EDITS = st.lists(
    st.tuples(
        st.integers(0, 547),
        st.one_of(
            st.binary(min_size=1, max_size=2),
            st.sampled_from([NAN, INF, -1.0, 0.0, 1e-41, 1e30]).map(lambda v: struct.pack("<f", v)),
            st.sampled_from([0, 1, -1, 5, 32767]).map(lambda v: struct.pack("<h", v)),
        ),
    ),
    min_size=1,
    max_size=4,
)


@QUIET
@given(base=st.sampled_from(BASES), edits=EDITS, cut=st.integers(0, 900), packed=st.booleans())
def test_mutated_headers(
    folder: Path,
    capfd: pytest.CaptureFixture[str],
    base: bytes,
    edits: list[tuple[int, bytes]],
    cut: int,
    packed: bool,
) -> None:
    edited = bytearray(base)
    for offset, value in edits:
        edited[offset : offset + len(value)] = value
    content = bytes(edited[: len(edited) - max(0, cut - 600)])
    read_or_refuse(saved(folder, gzip.compress(content) if packed else content, "mutated.nii"))
    assert capfd.readouterr().err == ""


@QUIET
@given(at=st.integers(0, len(PACKED) - 1), bit=st.integers(0, 7), cut=st.integers(0, 300))
def test_mutated_streams(folder: Path, at: int, bit: int, cut: int) -> None:
    content = bytearray(PACKED)
    content[at] ^= 1 << bit
    del content[len(content) - max(0, cut - 150) :]
    read_or_refuse(saved(folder, bytes(content), "stream.nii.gz"))


# Scans out of memory ----------------------------------------------------------------------------


def test_scan_from_image_keeps_grid_and_copies() -> None:
    image = SimpleITK.GetImageFromArray(VALUES.astype(np.int16))
    image.SetSpacing((0.5, 1, 3))
    image.SetOrigin((1, 2, 3))
    scan = images.scan_from_image(image, name="FLAIR")
    assert scan.grid == Grid((6, 5, 4), (3, 1, 0.5), (1, 2, 3))
    image[0, 0, 0] = 7
    np.testing.assert_array_equal(scan.array, VALUES)


def test_scan_from_image_of_one_volume() -> None:
    image = SimpleITK.JoinSeries(SimpleITK.GetImageFromArray(VALUES.astype(np.float32)))
    assert image.GetDimension() == 4
    np.testing.assert_array_equal(images.scan_from_image(image, name="T1").array, VALUES)


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (SimpleITK.Image(4, 5, SimpleITK.sitkFloat32), errors.DimensionError),
        (SimpleITK.Image(4, 5, 1, SimpleITK.sitkFloat32), errors.DimensionError),
        (SimpleITK.Image([4, 5, 6, 2], SimpleITK.sitkFloat32), errors.DimensionError),
        (SimpleITK.Image([4, 5, 6], SimpleITK.sitkVectorUInt8, 3), errors.NotNiftiError),
        (SimpleITK.Image([4, 5, 6], SimpleITK.sitkComplexFloat32), errors.NotNiftiError),
        (SimpleITK.Image(4, 5, 6, SimpleITK.sitkFloat32), errors.ConstantImageError),
        (SimpleITK.GetImageFromArray(np.full((2, 2, 2), NAN)), errors.NonFiniteError),
    ],
)
def test_scan_from_image_checks(image: SimpleITK.Image, kind: type[errors.WmhsegError]) -> None:
    assert "FLAIR image" in failing(kind, images.scan_from_image, image, name="FLAIR")


def test_scan_from_array() -> None:
    scan = images.scan_from_array(VALUES[:, ::-1], (3, 1, 0.5), name="FLAIR")
    assert scan.grid == Grid((6, 5, 4), (3.0, 1.0, 0.5))
    assert scan.array.dtype == np.float32
    assert scan.array.flags.c_contiguous
    assert not np.shares_memory(scan.array, VALUES)
    np.testing.assert_array_equal(scan.array, VALUES[:, ::-1])


@pytest.mark.parametrize(
    ("array", "spacing", "kind"),
    [
        (VALUES[0], (1, 1, 1), errors.DimensionError),
        (VALUES[:1], (1, 1, 1), errors.DimensionError),
        (np.stack([VALUES, VALUES]), (1, 1, 1), errors.DimensionError),
        (VALUES * 0, (1, 1, 1), errors.ConstantImageError),
        (np.where(VALUES == 3, np.inf, 0), (1, 1, 1), errors.NonFiniteError),
        (VALUES * 1j, (1, 1, 1), errors.UsageError),
        (VALUES.astype(str), (1, 1, 1), errors.UsageError),
        (VALUES, (1, 1), errors.UsageError),
        (VALUES, (1, 0, 1), errors.UsageError),
        (VALUES, (1, NAN, 1), errors.UsageError),
        (np.broadcast_to(np.float32(0), (1000, 1000, 1000)), (1, 1, 1), errors.TooLargeError),
    ],
)
def test_scan_from_array_checks(
    array: np.ndarray, spacing: Any, kind: type[errors.WmhsegError]
) -> None:
    failing(kind, images.scan_from_array, array, spacing, name="FLAIR")


def test_to_image_is_the_way_back() -> None:
    grid = Grid((6, 5, 4), (3, 1, 0.5), (1, 2, 3), (0, -1, 0, 1, 0, 0, 0, 0, 1))
    image = images.to_image(VALUES % 7 > 2, grid)
    assert image.GetPixelID() == SimpleITK.sitkUInt8
    assert image.GetSpacing() == (0.5, 1, 3)
    scan = images.scan_from_image(image, name="mask")
    assert scan.grid == grid
    np.testing.assert_array_equal(scan.array, VALUES % 7 > 2)
    failing(errors.DimensionError, images.to_image, VALUES[1:], grid)


# Writing ----------------------------------------------------------------------------------------

GRID = Grid((6, 5, 4), (3.0, 1.0, 0.5), (1.0, 2.0, 3.0))
MASK = VALUES % 3 == 0


@pytest.mark.parametrize("name", ["mask.nii.gz", "mask.nii"])
def test_written_values_and_types(tmp_path: Path, name: str) -> None:
    images.write_mask(tmp_path / name, MASK, GRID)
    mask, grid = images.read_labels(tmp_path / name)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, MASK)
    close(grid, GRID)
    probability = np.random.default_rng(1).random((6, 5, 4))
    images.write_probability(tmp_path / name, probability, GRID)  # replaces
    again, grid = images.read_labels(tmp_path / name)
    assert again.dtype == np.float32
    np.testing.assert_array_equal(again, probability.astype(np.float32))
    assert [p.name for p in tmp_path.iterdir()] == [name]


unit = st.floats(-1, 1)
turns = st.tuples(unit, unit, unit, unit).filter(lambda q: math.hypot(*q) > 0.1)
millimetres = st.floats(0.1, 10)


def rotation(quaternion: tuple[float, ...]) -> np.ndarray:
    """Rotation matrix by Rodrigues' formula: another way than the module's."""
    a, *axis = np.array(quaternion) / math.hypot(*quaternion)
    cross = np.cross(np.eye(3), axis)
    matrix: np.ndarray = np.eye(3) - 2 * a * cross + 2 * cross @ cross
    return matrix


@settings(QUIET, max_examples=40)
@given(
    turn=turns,
    mirror=st.booleans(),
    spacing=st.tuples(millimetres, millimetres, millimetres),
    origin=st.tuples(*[st.floats(-100, 100)] * 3),
)
@example(turn=(0.0, 1.0, 0.0, 0.0), mirror=False, spacing=(1.0, 1.0, 1.0), origin=(0.0,) * 3)
@example(turn=(0.0, 0.0, 1.0, 0.0), mirror=True, spacing=(1.0, 1.0, 1.0), origin=(0.0,) * 3)
@example(turn=(1e-9, 0.7, 0.0, -0.7), mirror=True, spacing=(1.0, 1.0, 1.0), origin=(0.0,) * 3)
def test_the_grid_survives_in_sform_and_qform(
    folder: Path,
    turn: tuple[float, ...],
    mirror: bool,
    spacing: Any,
    origin: tuple[float, float, float],
) -> None:
    matrix = rotation(turn) @ np.diag([1, 1, -1 if mirror else 1])
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(3), atol=1e-12)
    grid = Grid((6, 5, 4), spacing, origin, tuple(matrix.ravel()))
    images.write_mask(folder / "grid.nii", MASK, grid)
    content = (folder / "grid.nii").read_bytes()
    # A qform leaves out a = sqrt(1 - b^2 - c^2 - d^2): near half a turn, where a is 0, float32's
    # 6e-8 becomes sqrt(2 * 3 * 6e-8) = 6e-4 in a, and twice that in the matrix.
    for codes, angle in (((1, 1), 1e-5), ((0, 1), 1e-5), ((1, 0), 1.2e-3)):
        path = saved(folder, replaced(content, 252, "<2h", *codes), "form.nii")
        close(images.read_labels(path)[1], grid, angle)


def test_writing_a_scans_mask_keeps_its_header(tmp_path: Path) -> None:
    tilt = math.radians(10)
    sform = (
        (0.9, 0, 0, -80),
        (0, 0.9 * math.cos(tilt), -3 * math.sin(tilt), -100),
        (0, 0.9 * math.sin(tilt), 3 * math.cos(tilt), -40),
    )
    path = saved(tmp_path, nifti1(pixdim=(0.9, 0.9, 3), sform=sform))
    scan = images.read_scan(path, name="FLAIR")
    images.write_mask(tmp_path / "mask.nii.gz", MASK, scan.grid)
    again = images.read_labels(tmp_path / "mask.nii.gz")[1]
    close(again, scan.grid)
    assert again.difference(scan.grid, tolerance_vox=1e-4) == ""
    written = gzip.decompress((tmp_path / "mask.nii.gz").read_bytes())
    stored = np.array(struct.unpack_from("<12f", written, 280)).reshape(3, 4)
    np.testing.assert_allclose(stored, sform, rtol=1e-6, atol=1e-5)


def test_equal_arguments_make_equal_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images.write_mask(tmp_path / "a.nii.gz", MASK, GRID)
    monkeypatch.setattr(time, "time", lambda: 4e8)
    images.write_mask(tmp_path / "b.nii.gz", MASK.astype(float), GRID)
    images.write_mask(tmp_path / "c.nii.gz", np.asfortranarray(MASK), GRID)
    a, b, c = ((tmp_path / f"{name}.nii.gz").read_bytes() for name in "abc")
    assert a == b == c


@pytest.mark.parametrize(
    ("write", "array", "kind"),
    [
        (images.write_mask, VALUES, errors.UsageError),
        (images.write_mask, np.where(MASK, NAN, 0), errors.UsageError),
        (images.write_mask, MASK[1:], errors.DimensionError),
        (images.write_probability, np.where(MASK, NAN, 0), errors.UsageError),
        (images.write_probability, MASK * 1.5, errors.UsageError),
        (images.write_probability, MASK * -0.5, errors.UsageError),
        (images.write_probability, MASK[:, 1:], errors.DimensionError),
    ],
)
def test_wrong_results_are_not_written(
    tmp_path: Path, write: Callable[..., None], array: np.ndarray, kind: type[errors.WmhsegError]
) -> None:
    failing(kind, write, tmp_path / "result.nii.gz", array, GRID)
    assert list(tmp_path.iterdir()) == []


def test_wrong_suffix_is_not_written(tmp_path: Path) -> None:
    for name in ("mask", "mask.mgz", "mask.nii.gz.png"):
        failing(errors.UsageError, images.write_mask, tmp_path / name, MASK, GRID)
    assert list(tmp_path.iterdir()) == []


PICTURE = np.random.default_rng(2).integers(0, 256, (3, 5, 3), np.uint8)


def test_a_picture_is_the_png_that_others_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "Overlay.PNG"
    pictures.write_picture(path, PICTURE)
    image = SimpleITK.ReadImage(str(path), imageIO="PNGImageIO")  # checks every checksum
    assert image.GetPixelIDValue() == SimpleITK.sitkVectorUInt8
    assert image.GetSize() == (5, 3)  # columns, rows
    np.testing.assert_array_equal(SimpleITK.GetArrayViewFromImage(image), PICTURE)
    pictures.write_picture(path, PICTURE[:, ::-1])  # replaces; not contiguous
    again = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    np.testing.assert_array_equal(again, PICTURE[:, ::-1])
    assert [p.name for p in path.parent.iterdir()] == ["Overlay.PNG"]


def test_a_picture_of_another_format_is_refused(tmp_path: Path) -> None:
    line = failing(errors.UsageError, pictures.write_picture, tmp_path / "a.jpg", PICTURE)
    assert "a.jpg" in line
    failing(errors.UsageError, pictures.write_picture, tmp_path / "a.png", PICTURE, PICTURE)
    assert list(tmp_path.iterdir()) == []


def test_a_pdf_has_pages_and_neither_dates_nor_names(tmp_path: Path) -> None:
    path = tmp_path / "new" / "name-of-a-file.PDF"
    page = np.full((210, 297, 3), 80, np.uint8)
    pictures.write_picture(path, page, page[::-1], page)
    content = path.read_bytes()
    assert content.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b", content)) == 3
    # A4 on its side, in points of 1/72 inch.
    assert {tuple(map(round, map(float, box.split()))) for box in re.findall(
        rb"/MediaBox \[ 0 0 ([\d. ]+) \]", content)} == {(842, 595)}  # fmt: skip
    for told in (b"Date", b"name-of-a-file", bytes(tmp_path)):
        assert told not in content
    again = tmp_path / "again.pdf"
    pictures.write_picture(again, page, page[::-1], page)
    assert again.read_bytes() == content


def test_a_signalling_nan_is_a_slope_of_none_without_a_word(tmp_path: Path) -> None:
    """Found by the fuzzer: making a number of 4 bytes of it warned of an invalid value."""
    content = bytearray(nifti2())
    content[176:184] = b"\1\0\0\0\0\0\xf0\x7f"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scan = images.read_scan(saved(tmp_path, bytes(content)), name="FLAIR")
    np.testing.assert_array_equal(scan.array, np.frombuffer(RAMP, "<f4").reshape(6, 5, 4))


def test_importing_is_cheap() -> None:
    code = "import sys, wmhseg.io.images; print('SimpleITK' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT) == b"False\n"


@pytest.mark.parametrize("name", ["FLAIR.nii.gz", "T1.nii.gz"])
def test_real_scans_agree_with_simpleitk(tmp_path: Path, name: str) -> None:
    found = sorted(SHARED.glob(f"data/raw/**/{name}"))
    if not found:
        pytest.skip("the shared data are not here")
    scan = images.read_scan(found[0], name=name)
    reference = SimpleITK.ReadImage(str(found[0]), SimpleITK.sitkFloat32)
    np.testing.assert_array_equal(scan.array, SimpleITK.GetArrayViewFromImage(reference))
    assert scan.grid == images.scan_from_image(reference, name=name).grid
    images.write_mask(tmp_path / name, scan.array > scan.array.mean(), scan.grid, scan.header)
    assert images.read_labels(tmp_path / name)[1] == scan.grid
