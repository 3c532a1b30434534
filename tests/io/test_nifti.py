"""NIfTI as bytes; how files of every kind fare as images stands in test_images."""

from __future__ import annotations

import gzip
import io
import struct
from typing import Literal

import numpy as np
import pytest
from nifti_files import BIG_ENDIAN, RAMP, VALUES, failing, nifti1, nifti2

from wmhseg import errors
from wmhseg.geometry import Grid
from wmhseg.io import nifti

GRID = Grid((6, 5, 4), (3.0, 1.0, 0.5), (1.0, 2.0, 3.0))
MASK = VALUES % 3 == 0
BODIES: dict[Literal["<", ">"], bytes] = {"<": RAMP, ">": BIG_ENDIAN}


@pytest.mark.parametrize("order", BODIES)
@pytest.mark.parametrize("packed", [False, True])
def test_inspect_says_what_the_header_says(order: Literal["<", ">"], packed: bool) -> None:
    for version, content, offset in (
        (1, nifti1(BODIES[order], order=order), 352),
        (2, nifti2(BODIES[order], order=order, offset=1000), 1000),
    ):
        header = nifti.inspect(io.BytesIO(gzip.compress(content) if packed else content), "scan")
        assert (header.version, header.byte_order, header.compressed) == (version, order, packed)
        assert header.dtype == np.dtype(order + "f4")
        assert header.shape == (6, 5, 4)
        assert (header.offset, header.n_bytes) == (offset, 480)


def test_inspect_begins_at_the_beginning() -> None:
    stream = io.BytesIO(nifti1())
    stream.seek(100)
    assert nifti.inspect(stream, "scan").shape == (6, 5, 4)
    stream = io.BytesIO(b"\0" + nifti1())
    stream.seek(1)
    assert "the scan" in failing(errors.NotNiftiError, nifti.inspect, stream, "scan").lower()


@pytest.mark.parametrize("order", BODIES)
@pytest.mark.parametrize("packed", [False, True])
def test_a_copy_of_the_voxels_is_the_file_made_by_hand(
    order: Literal["<", ">"], packed: bool
) -> None:
    content = nifti2(BODIES[order], order=order, offset=2000)
    source = io.BytesIO(gzip.compress(content) if packed else content)
    target = io.BytesIO()
    nifti.copy_voxels(source, nifti.inspect(source, "scan"), target)
    made = bytearray(
        nifti1(BODIES[order], order=order, codes=(0, 0), units=0, sform=((0,) * 4,) * 3)
    )
    assert target.getvalue() == made


def test_axes_at_their_limits() -> None:
    assert nifti.checked_shape((4, 5, 6, 1, 1), "scan") == (6, 5, 4)
    assert nifti.checked_shape((32767, 2, 2), "scan") == (2, 2, 32767)
    assert nifti.checked_shape((512, 512, 512), "scan") == (512, 512, 512)
    failing(errors.TooLargeError, nifti.checked_shape, (32768, 2, 2), "scan")
    failing(errors.TooLargeError, nifti.checked_shape, (512, 512, 513), "scan")
    failing(errors.DimensionError, nifti.checked_shape, (4, 5), "scan")


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4", "f8", "i1", "u2", "u4", "i8", "u8"])
@pytest.mark.parametrize("order", BODIES)
def test_what_is_written_is_what_is_read(dtype: str, order: str) -> None:
    stream = io.BytesIO()
    nifti.write(stream, VALUES.astype(order + dtype), GRID)
    header = nifti.inspect(stream, "scan")
    assert header.dtype == np.dtype("<" + dtype)
    assert stream.getvalue()[352:] == VALUES.astype("<" + dtype).tobytes()


def test_written_header_field_by_field() -> None:
    """Against nifti1.h: what other programs look at, not only SimpleITK."""
    stream = io.BytesIO()
    nifti.write(stream, MASK.astype(np.uint8), GRID)
    content = stream.getvalue()
    assert len(content) == 352 + 120
    assert struct.unpack_from("<i", content, 0) == (348,)
    assert struct.unpack_from("<8h", content, 40) == (3, 4, 5, 6, 1, 1, 1, 1)
    assert struct.unpack_from("<2h", content, 70) == (2, 8)
    assert struct.unpack_from("<4f", content, 76) == (1, 0.5, 1, 3)  # right-handed
    assert struct.unpack_from("<3f", content, 108) == (352, 1, 0)
    assert content[123] == 2  # mm
    assert struct.unpack_from("<2h", content, 252) == (1, 1)
    # LPS to RAS turns x and y round: half a turn about z.
    assert struct.unpack_from("<6f", content, 256) == (0, 0, 1, -1, -2, 3)
    assert struct.unpack_from("<12f", content, 280) == (
        -0.5, 0, 0, -1, 0, -1, 0, -2, 0, 0, 3, 3,
    )  # fmt: skip
    assert content[344:352] == b"n+1\0\0\0\0\0"
    assert content[352:] == MASK.astype(np.uint8).tobytes()
