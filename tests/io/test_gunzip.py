"""Decompressing what may be hostile; test_images has the streams that never give anything."""

from __future__ import annotations

import errno
import gzip
import io
import tracemalloc
import zlib
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wmhseg.io.gunzip import decompressed


def content_of(data: bytes) -> bytes:
    return decompressed(io.BytesIO(data))[0].read()


@given(members=st.lists(st.binary(max_size=300), min_size=1), n_bytes=st.integers(1, 400))
def test_gives_all_members_in_pieces_of_any_size(members: list[bytes], n_bytes: int) -> None:
    stream, compressed = decompressed(io.BytesIO(b"".join(map(gzip.compress, members))))
    pieces = list(iter(lambda: stream.read(n_bytes), b""))
    assert compressed
    assert b"".join(pieces) == b"".join(members)
    assert all(len(piece) == n_bytes for piece in pieces[:-1])


@given(st.binary(max_size=50).filter(lambda data: data[:2] != b"\x1f\x8b"))
def test_what_is_no_gzip_is_given_as_it_is(data: bytes) -> None:
    file = io.BytesIO(data)
    file.seek(0, io.SEEK_END)
    stream, compressed = decompressed(file)
    assert not compressed
    assert stream.read() == data


def test_padding_is_left_alone_and_damage_is_not() -> None:
    packed = gzip.compress(b"content")
    assert content_of(packed + bytes(100)) == b"content"
    for cut in range(2, len(packed)):
        with pytest.raises(EOFError):
            content_of(packed[:cut])
    for data in (packed[:-1] + b"\1", packed + b"\x1f\x8b\0\0", b"\x1f\x8b" + bytes(20)):
        with pytest.raises(zlib.error):
            content_of(data)


def test_memory_is_bounded() -> None:
    bomb = gzip.compress(bytes(1 << 26))
    tracemalloc.start()
    try:
        stream = decompressed(io.BytesIO(bomb))[0]
        total = sum(len(piece) for piece in iter(lambda: stream.read(1 << 16), b""))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 1 << 26
    assert peak < 1 << 20


def test_errors_of_the_file_come_through() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if size == 2:
                return b"\x1f\x8b"
            raise OSError(errno.EIO, "Input/output error")

    file: BinaryIO = Broken()
    with pytest.raises(OSError, match="Input/output error"):
        decompressed(file)[0].read()
