"""NIfTI files made by hand, and what several test modules do with files."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wmhseg import errors

SIZES = (4, 5, 6)  # columns, rows, slices
VALUES = np.arange(120).reshape(6, 5, 4)
RAMP = VALUES.astype("<f4").tobytes()
BIG_ENDIAN = VALUES.astype(">f4").tobytes()
PLAIN_SFORM = ((1, 0, 0, 10), (0, 1, 0, 20), (0, 0, 1, 30))


def nifti1(
    body: bytes = RAMP,
    *,
    order: str = "<",
    sizes: Sequence[int] = SIZES,
    ndim: int = 3,
    pixdim: Sequence[float] = (1, 1, 1),
    kind: tuple[int, int] = (16, 32),
    offset: float = 352.0,
    scaling: tuple[float, float] = (1, 0),
    units: int = 2,
    codes: tuple[int, int] = (0, 1),
    quatern: Sequence[float] = (0, 0, 0),
    qoffset: Sequence[float] = (0, 0, 0),
    sform: Sequence[Sequence[float]] = PLAIN_SFORM,
    magic: bytes = b"n+1\0",
    extension: bytes = bytes(4),
) -> bytes:
    """A NIfTI-1 file made by hand from the byte offsets of nifti1.h."""
    head = bytearray(348)
    dims = (ndim, *sizes, *(1,) * (7 - len(sizes)))
    struct.pack_into(order + "i", head, 0, 348)
    struct.pack_into(order + "8h", head, 40, *dims)
    struct.pack_into(order + "2h", head, 70, *kind)
    struct.pack_into(order + "8f", head, 76, 1, *pixdim, 1, 1, 1, 1)
    struct.pack_into(order + "3f", head, 108, offset, *scaling)
    head[123] = units
    struct.pack_into(order + "2h", head, 252, *codes)
    struct.pack_into(order + "6f", head, 256, *quatern, *qoffset)
    struct.pack_into(order + "12f", head, 280, *(v for row in sform for v in row))
    head[344:348] = magic
    return bytes(head) + extension + body


def nifti2(
    body: bytes = RAMP,
    *,
    order: str = "<",
    sizes: Sequence[int] = SIZES,
    kind: tuple[int, int] = (16, 32),
    offset: int = 544,
    slope: float = 1.0,
) -> bytes:
    """A NIfTI-2 file made by hand from the byte offsets of nifti2.h."""
    head = bytearray(540)
    struct.pack_into(order + "i8s2h", head, 0, 540, b"n+2\0\r\n\x1a\n", *kind)
    struct.pack_into(order + "8q", head, 16, 3, *sizes, 1, 1, 1, 1)
    struct.pack_into(order + "8d", head, 104, 1, 1, 1, 1, 1, 1, 1, 1)
    struct.pack_into(order + "q2d", head, 168, offset, slope, 0)
    struct.pack_into(order + "2i", head, 344, 0, 1)
    struct.pack_into(order + "12d", head, 400, *(v for row in PLAIN_SFORM for v in row))
    struct.pack_into(order + "i", head, 500, 2)
    return bytes(head) + bytes(offset - 540) + body


def saved(folder: Path, content: bytes, name: str = "scan.nii") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def failing(
    kind: type[errors.WmhsegError], call: Callable[..., object], *args: Any, **more: Any
) -> str:
    """The one clear line of the error that the call must end with."""
    with pytest.raises(kind) as caught:
        call(*args, **more)
    assert type(caught.value) is kind
    line = str(caught.value)
    assert "\n" not in line
    assert line.isprintable()
    assert "Received:" in line
    assert line.endswith(".")
    return line


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may read and write everything, so tests of permissions become nobody for a moment."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
