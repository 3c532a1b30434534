"""Headers of HDF5 files of the newer layout: times taken out, checksums made right again.

A damaged header with a wrong checksum is refused before anything in it is believed. Source of the
layout: HDF5 file format specification, version 3.0; of the checksum: R. Jenkins, lookup3.c.
"""

from __future__ import annotations

import struct

_ALL = 0xFFFFFFFF
_SUPERBLOCK, _HEADER = b"\x89HDF\r\n\x1a\n", b"OHDR\x02"
_SUPERBLOCK_BYTES = 44  # versions 2 and 3, with addresses of 8 bytes
_MIX = (("a", "c", 4, "b"), ("b", "a", 6, "c"), ("c", "b", 8, "a"),
        ("a", "c", 16, "b"), ("b", "a", 19, "c"), ("c", "b", 4, "a"))  # fmt: skip
_LAST = (("c", "b", 14), ("a", "c", 11), ("b", "a", 25), ("c", "b", 16), ("a", "c", 4),
         ("b", "a", 14), ("c", "b", 24))  # fmt: skip


def _turned(value: int, bits: int) -> int:
    return (value << bits | value >> 32 - bits) & _ALL


def checksum(content: bytes) -> int:
    """The hash lookup3 of some bytes."""
    start = (0xDEADBEEF + len(content)) & _ALL
    s = dict.fromkeys("abc", start)
    at = 0
    while len(content) - at > 12:
        _add(s, content[at : at + 12])
        for x, y, bits, z in _MIX:
            s[x] = (s[x] - s[y]) & _ALL ^ _turned(s[y], bits)
            s[y] = (s[y] + s[z]) & _ALL
        at += 12
    if at == len(content):
        return s["c"]
    _add(s, content[at:].ljust(12, b"\0"))
    for x, y, bits in _LAST:
        s[x] = ((s[x] ^ s[y]) - _turned(s[y], bits)) & _ALL
    return s["c"]


def _add(s: dict[str, int], twelve: bytes) -> None:
    for name, value in zip("abc", struct.unpack("<3I", twelve), strict=True):
        s[name] = (s[name] + value) & _ALL


def sealed(content: bytes, *, timeless: bool = False) -> bytes:
    """A file whose headers have the checksums that belong to them.

    Args:
        content: The file; another than HDF5 of the newer layout is returned as it is.
        timeless: Take the times out of the headers.
    """
    made = bytearray(content)
    if made[:8] == _SUPERBLOCK and made[8:9] in (b"\x02", b"\x03"):
        _seal(made, 0, _SUPERBLOCK_BYTES)
    at = made.find(_HEADER)
    while at >= 0 and at + 32 <= len(made):
        flags = made[at + 5]
        size_at = at + 6 + 16 * bool(flags & 32) + 4 * bool(flags & 16)
        size_bytes = 1 << (flags & 3)
        if timeless and flags & 32:
            made[at + 6 : at + 22] = bytes(16)
        size = int.from_bytes(made[size_at : size_at + size_bytes], "little")
        _seal(made, at, size_at + size_bytes - at + size)
        at = made.find(_HEADER, at + 1)
    return bytes(made)


def _seal(content: bytearray, at: int, size: int) -> None:
    end = at + size
    if end + 4 <= len(content):
        content[end : end + 4] = struct.pack("<I", checksum(bytes(content[at:end])))
