"""Gzip streams: members, headers, bombs; compared with what Python's own reader makes of them."""

from __future__ import annotations

import gzip
import io
import random
import struct
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from wmhseg.io import gunzip

from . import damage, nifti_inputs
from .targets import Files, Target

_SMALL = 1 << 20  # what is compared with Python's reader


def member(rng: random.Random, content: bytes) -> bytes:
    """One member: any fields in its header, any kind of blocks."""
    flags = rng.choice((0, 0, 1, 2, 4, 8, 16, 31, 0xE0, rng.randrange(256)))
    head = bytearray(b"\x1f\x8b\x08") + bytes((flags,)) + rng.randbytes(6)
    if flags & 4:
        size = rng.choice((0, 3, 300, 65535))
        head += struct.pack("<H", size) + bytes(size)
    if flags & 8:
        head += b"scan.nii" * rng.choice((1, 1, 100)) + b"\0"
    if flags & 16:
        head += b"a comment\0"
    if flags & 2:
        head += struct.pack("<H", zlib.crc32(bytes(head)) & 0xFFFF)
    way = rng.choice((zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE))
    packer = zlib.compressobj(rng.choice((0, 1, 6, 9)), zlib.DEFLATED, -15, 8, way)
    packed = packer.compress(content[: len(content) // 2])
    if rng.random() < 0.3:
        packed += packer.flush(rng.choice((zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH)))
    packed += packer.compress(content[len(content) // 2 :]) + packer.flush()
    check, size = zlib.crc32(content), len(content)
    if rng.random() < 0.05:
        check ^= 1
    if rng.random() < 0.05:
        size += rng.choice((1, -1, 1 << 30))
    return bytes(head) + packed + struct.pack("<II", check, size & 0xFFFFFFFF)


@cache
def bomb(power: int) -> bytes:
    """A member that unpacks to that power of 2 zeros."""
    return gzip.compress(bytes(1 << power), 9, mtime=0)


def _corpus() -> list[Files]:
    rng = random.Random(0)
    made = []
    for given in nifti_inputs.make().corpus[:60]:
        content = next(iter(given.values()))
        half = len(content) // 2
        made += [
            member(rng, content),
            member(rng, content[:half]) + member(rng, b"") + member(rng, content[half:]),
            content,
        ]
    made += [b"", b"\x1f", b"\x1f\x8b", gzip.compress(b"", mtime=0) * 3000]
    made += [made[0] + bytes(600), made[0] + b"rubbish", made[0][:-6], bomb(22)]
    return [{"scan.nii.gz": content} for content in made]


def _parted(rng: random.Random, content: bytes) -> bytes:
    """Content as one member or several."""
    edges = [
        0,
        *sorted(rng.choices(range(len(content) + 1), k=rng.choice((0, 0, 1, 3)))),
        len(content),
    ]
    return b"".join(member(rng, content[a:b]) for a, b in pairwise(edges))


_EMPTY = gzip.compress(b"", mtime=0)
_ENDINGS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    *[lambda rng, content: content] * 8,
    *[lambda rng, content: bytes(damage.several(rng, content, damage.ANY))] * 8,
    lambda rng, content: content + rng.choice((bytes(3000), b"rubbish", b"\x1f\x8b", b"\x1f")),
    lambda rng, content: content + rng.choice((bytes(rng.randrange(4000)), rng.randbytes(9))),
    lambda rng, content: content[: -rng.randint(1, 12)],
    lambda rng, content: content + _EMPTY * (1 << rng.randint(1, 12)),
)
_SELDOM: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    lambda rng, content: content + bomb(rng.choice((16, 20, 20, 22, 22, 24, 26))),
    lambda rng, content: gzip.compress(content, mtime=0),
    lambda rng, content: _EMPTY * (1 << rng.randint(1, 16)),
    # A header whose name never ends.
    lambda rng, content: b"\x1f\x8b\x08\x08" + bytes(6) + b"x" * (1 << rng.randint(1, 21)),
)


def _damaged(rng: random.Random, corpus: Sequence[Files]) -> Files:
    content = next(iter(rng.choice(corpus[:180]).values()))
    if rng.random() < 0.7 and content[:2] != b"\x1f\x8b":
        if rng.random() < 0.3:
            content = bytes(damage.several(rng, content, nifti_inputs.KINDS, 1))
        content = _parted(rng, content)
    kinds = _SELDOM if rng.random() < 0.05 else _ENDINGS
    name = rng.choice(("scan.nii.gz", "scan.nii.gz", "scan.nii", "scan"))
    return {name: rng.choice(kinds)(rng, content)}


def _read(folder: Path, given: Files) -> None:
    content = next(iter(given.values()))
    if len(content) < 1 << 16:
        _compare(content)
    nifti_inputs.look_over(folder, given)


def _compare(content: bytes) -> None:
    """Where Python's reader is content, both give the same; neither is asked for a bomb."""
    stream, compressed = gunzip.decompressed(io.BytesIO(content))
    if not compressed:
        return
    try:
        ours = _all(stream)
    except (EOFError, zlib.error):  # what it says it raises
        return
    theirs, why = _as_python_reads(content)
    # Python goes on behind a padding of zeros; gzip, zlib and so SimpleITK do not. Other things
    # behind the last member are an error there, and let be here.
    if not why and ours != theirs:
        assert ours == _up_to_padding(content)[:_SMALL], "other bytes than Python's gzip"
    assert not why or "Not a gzipped file" in why, f"Python's gzip says: {why}"


def _up_to_padding(content: bytes) -> bytes:
    """What the members before the first zero hold."""
    made = b""
    while content[:1] == b"\x1f":
        member = zlib.decompressobj(wbits=31)
        made += member.decompress(content)
        content = member.unused_data
    assert content[:1] == b"\0", "bytes lost"
    return made


def _as_python_reads(content: bytes) -> tuple[bytes, str]:
    """What Python's reader makes of it, and its complaint."""
    try:
        return _all(gzip.GzipFile(fileobj=io.BytesIO(content))), ""  # type: ignore[arg-type]
    except gzip.BadGzipFile as error:
        return b"", str(error)


def _all(stream: BinaryIO) -> bytes:
    """What a stream gives, as far as it is compared."""
    made = bytearray()
    while len(made) < _SMALL and (piece := stream.read(_SMALL - len(made))):
        made += piece
    return bytes(made)


def make() -> Target:
    return Target("gzip", _corpus(), _damaged, _read, ("wmhseg.io.gunzip",))
