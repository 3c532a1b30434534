"""Pictures out: PNG, complete or not at all."""

from __future__ import annotations

import os
import struct
import zlib

import numpy as np
import numpy.typing as npt

from wmhseg.errors import UsageError
from wmhseg.io.files import PathLike, write_bytes


def write_picture(path: PathLike, picture: npt.NDArray[np.uint8]) -> None:
    """Writes a picture as PNG, in a folder that is made if needed.

    Args:
        path: Ends in ".png"; an existing file (or link) is replaced.
        picture: (row, column, 3), red, green and blue.

    Raises:
        UsageError: If the suffix is another.
        OutputNotWritableError: If the place cannot be written to.
        DiskFullError: If the disk has no room.
    """
    check_picture_name(path)
    write_bytes(path, png(picture))


def check_picture_name(path: PathLike) -> None:
    """Raises UsageError unless the name of a picture ends in .png."""
    if not os.fspath(path).lower().endswith(".png"):
        raise UsageError("The name of a picture should end in .png", received=path)


def png(picture: npt.NDArray[np.uint8]) -> bytes:
    """PNG, second edition: signature, header, one zlib stream of unfiltered rows, end.

    SimpleITK could write it, but to a file only and without a word about a full disk.
    """

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    rows, columns, _ = picture.shape
    eight_bit_rgb = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    lines = np.zeros((rows, 1 + 3 * columns), np.uint8)  # a 0 in front: no filter
    lines[:, 1:] = picture.reshape(rows, -1)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", eight_bit_rgb)
        + chunk(b"IDAT", zlib.compress(lines.tobytes(), 9))
        + chunk(b"IEND", b"")
    )
