"""Damage to bytes of any kind, and to JSON values; each is chosen by the generator it is given."""

from __future__ import annotations

import copy
import json
import random
import struct
from collections.abc import Callable, Sequence
from typing import Any

Damage = Callable[[random.Random, bytearray], None]

_INTEGERS = (0, 1, 2, 7, 8, 127, 128, 255, 256, 32767, 65535, 1 << 20, (1 << 31) - 1, 1 << 31,
             (1 << 32) - 1, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)  # fmt: skip
POINTERS = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 120\n",
    b"/annex/objects/MD5E-s120--d41d8cd98f00b204e9800998ecf8427e.nii.gz\n",
    b"../../.git/annex/objects/aa/bb/MD5E-s1--d4/MD5E-s1--d4",
    b"version https://git-lfs",
)


def flip(rng: random.Random, content: bytearray) -> None:
    """Turns single bits over."""
    for _ in range(rng.randint(1, 8) if content else 0):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def overwrite(rng: random.Random, content: bytearray) -> None:
    """Other bytes here and there."""
    for _ in range(rng.randint(1, 12) if content else 0):
        content[rng.randrange(len(content))] = rng.choice((0, 255, 32, 34, rng.randrange(256)))


def number(rng: random.Random, content: bytearray) -> None:
    """Another whole number at an even place: a size, an address, a count."""
    for _ in range(rng.randint(1, 3)):
        size = rng.choice((1, 2, 4, 8))
        if len(content) < size:
            return
        at = rng.randrange(0, len(content) - size + 1)
        at -= at % size
        value = rng.choice(_INTEGERS) if rng.random() < 0.6 else rng.randrange(2 * len(content))
        content[at : at + size] = (value % (1 << 8 * size)).to_bytes(
            size, rng.choice(("little", "little", "big"))
        )


def cut(rng: random.Random, content: bytearray) -> None:
    """Ends early."""
    del content[rng.randrange(len(content) + 1) :]


def grow(rng: random.Random, content: bytearray) -> None:
    """Goes on with zeros or noise."""
    size = rng.randrange(1 << rng.randint(1, 12))
    content += bytes(size) if rng.random() < 0.5 else rng.randbytes(size)


def lose(rng: random.Random, content: bytearray) -> None:
    """A piece is missing."""
    at = rng.randrange(len(content) + 1)
    del content[at : at + rng.randint(1, 64)]


def insert(rng: random.Random, content: bytearray) -> None:
    """A piece too much."""
    at = rng.randrange(len(content) + 1)
    content[at:at] = rng.randbytes(rng.randint(1, 64))


def move(rng: random.Random, content: bytearray) -> None:
    """A piece stands in another place as well."""
    size = rng.randint(1, 64)
    source, target = rng.randrange(len(content) + 1), rng.randrange(len(content) + 1)
    content[target : target + size] = content[source : source + size]


def noise(rng: random.Random, content: bytearray) -> None:
    """Nothing but noise, behind the first bytes or not."""
    content[rng.choice((0, 4, 8, 16)) :] = rng.randbytes(rng.randrange(2000))


def pointer(rng: random.Random, content: bytearray) -> None:
    """What programs for large files leave in the place of one."""
    told = rng.choice(POINTERS)
    content[: rng.choice((0, len(told), len(content)))] = told


ANY: tuple[Damage, ...] = (flip, overwrite, number, cut, grow, lose, insert, move, noise)


def several(
    rng: random.Random, content: bytes, kinds: Sequence[Damage], most: int = 3
) -> bytearray:
    """Damages content once or a few times."""
    made = bytearray(content)
    for _ in range(rng.choice((1, 1, rng.randint(1, most)))):
        rng.choice(kinds)(rng, made)
    return made


def splice(rng: random.Random, one: bytes, other: bytes) -> bytearray:
    """The beginning of one file and the end of another."""
    return bytearray(one[: rng.randrange(len(one) + 1)] + other[rng.randrange(len(other) + 1) :])


# JSON -------------------------------------------------------------------------------------------

_TEXTS = ("", "a", "\0", "\ud800", "\u202e", "x" * 200, "é", "LPS", "stored", "null", "1", "../a",
          "a/b", "FLAIR", "T1", "WMH", "unet", "stacknet", "softmax", "sigmoid", "scan", "zero",
          "\n", "0" * 64, "0.safetensors", "NaN")  # fmt: skip
_NUMBERS = (0, 1, -1, 2, 3, 5, 15, 16, 20, 64, 200, 1024, 1 << 31, 1 << 63, 10**40, 0.5, -0.0, 1.0,
            3.0, 1e308, 1e-308, 0.999, float("nan"), float("inf"), -float("inf"))  # fmt: skip


def any_value(rng: random.Random, depth: int = 0) -> Any:
    """Any JSON value."""
    kind = rng.randrange(7 if depth < 3 else 5)
    if kind == 0:
        return rng.choice((None, True, False))
    if kind in (1, 2):
        return rng.choice(_NUMBERS) if rng.random() < 0.8 else rng.uniform(-1e3, 1e3)
    if kind in (3, 4):
        return rng.choice(_TEXTS)
    several = range(rng.randint(0, 3))
    if kind == 5:
        return [any_value(rng, depth + 1) for _ in several]
    return {rng.choice(_TEXTS): any_value(rng, depth + 1) for _ in several}


def _places(value: Any) -> list[tuple[Any, Any]]:
    """All (container, key) below a value."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        keys = one if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        for key in keys:
            found.append((one, key))
            waiting.append(one[key])
    return found


def _drop(rng: random.Random, holder: Any, key: Any) -> None:
    del holder[key]


def _add(rng: random.Random, holder: Any, key: Any) -> None:
    if isinstance(holder, dict):
        holder[rng.choice(_TEXTS)] = any_value(rng)
    else:
        holder.insert(key, copy.deepcopy(rng.choice(holder)))


def _rename(rng: random.Random, holder: Any, key: Any) -> None:
    value = holder.pop(key)
    if isinstance(holder, dict):
        holder[rng.choice(_TEXTS)] = value
    else:
        holder.append(value)


def _vary(rng: random.Random, holder: Any, key: Any) -> None:
    """A number nearby, a text with other letters."""
    one = holder[key]
    if isinstance(one, str):
        holder[key] = several(rng, one.encode("utf-8", "replace"), ANY[:8]).decode(
            "utf-8", "replace"
        )
    elif isinstance(one, (int, float)):
        holder[key] = rng.choice((-one, one + 1, one - 1, one * 2, one * 0.5, one * 1.0, 0))


def _alike(rng: random.Random, holder: Any, key: Any) -> None:
    """Another of its kind, which may well be right."""
    alike = [v for v in (*_NUMBERS, *_TEXTS, True, False) if type(v) is type(holder[key])]
    holder[key] = rng.choice(alike or [None])


def _replace(rng: random.Random, holder: Any, key: Any) -> None:
    holder[key] = any_value(rng)


_CHANGES = (_drop, _add, _rename, _vary, _vary, _alike, _alike, _alike, _replace, _replace)


def damaged_value(rng: random.Random, value: Any) -> Any:
    """A JSON value with one to three changes anywhere in it."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = _places(value)
        if not places or rng.random() < 0.02:
            return any_value(rng)
        rng.choice(_CHANGES)(rng, *rng.choice(places))
    return value


def json_text(rng: random.Random, value: Any) -> bytearray:
    """A JSON value as text, now and then of an odd kind, now and then damaged."""
    ascii_only, indent = rng.random() < 0.5, rng.choice((None, 0, 2))
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    content = bytearray(text.encode("utf-8", rng.choice(("surrogatepass", "replace"))))
    odd = rng.randrange(40)
    if odd == 0:
        content[:0] = b"\xef\xbb\xbf"
    elif odd == 1:
        content = bytearray(text.encode(rng.choice(("utf-16", "utf-32")), "replace"))
    elif odd == 2:
        depth = 1 << rng.randint(1, 17)
        content = bytearray(rng.choice((b"[", b'{"a":', b"[[1],")) * depth)
    elif odd == 3:
        digits = b"9" * (1 << rng.randint(1, 14))
        content = content.replace(b"1", digits, 1)
    elif odd == 4:
        content = content.replace(b"{", b'{"format": 2, "name": "a", ', 1)
    elif odd in (5, 6, 7):
        content = several(rng, bytes(content), ANY)
    elif odd == 8:
        pointer(rng, content)
    elif odd == 9:
        content = bytearray(struct.pack("<I", rng.getrandbits(32)) + bytes(rng.randrange(2000)))
    return content
