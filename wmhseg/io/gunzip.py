"""Decompresses gzip with bounded memory and bounded input.

The standard library's reader goes through a gzip header byte by byte and through endless empty
members without an end, so a hostile file could keep it busy for hours.
"""

from __future__ import annotations

import io
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PIECE_BYTES = 1 << 16
_IN_VAIN_BYTES = 1 << 20


def decompressed(file: BinaryIO) -> tuple[BinaryIO, bool]:
    """The content of a file from its beginning, whatever its name says.

    Args:
        file: Must be seekable.

    Returns:
        The content, decompressed if it is gzip, and whether it is.
    """
    file.seek(0)
    compressed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return (io.BufferedReader(Gunzip(file), _PIECE_BYTES) if compressed else file), compressed


class Gunzip(io.RawIOBase):
    """Decompressed content of a gzip file, from where the file stands.

    Reading raises EOFError if the stream ends early, and zlib.error if it is damaged or goes on
    without giving anything. Padding behind the last member is left alone, as gzip does.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Reads nothing yet."""
        self._file = file
        self._member: Any = None
        self._pending = b""
        self._read_bytes = 0
        self._made_bytes = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fills the beginning of a buffer; returns how many bytes, 0 at the end."""
        view = memoryview(buffer).cast("B")
        while self._fill():
            data = self._member.decompress(self._pending, len(view))
            ended = self._member.eof
            self._pending = self._member.unused_data if ended else self._member.unconsumed_tail
            if ended:
                self._member = None
            if data:
                self._made_bytes += len(data)
                view[: len(data)] = data
                return len(data)
        return 0

    def _fill(self) -> bool:
        """Makes input and a decompressor ready; False at the end of the last member."""
        if not self._pending:
            if self._read_bytes > 2 * self._made_bytes + _IN_VAIN_BYTES:
                raise zlib.error("more compressed than decompressed bytes")
            self._pending = self._file.read(_PIECE_BYTES)
            self._read_bytes += len(self._pending)
        if not self._pending:
            if self._member is not None:
                raise EOFError("the gzip stream ends early")
            return False
        if self._member is None:
            if self._made_bytes and self._pending[:1] != b"\x1f":
                return False
            self._member = zlib.decompressobj(wbits=31)
        return True
