"""Safetensors: weight files, and the checkpoints of a training."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from wmhseg.errors import WeightsError
from wmhseg.networks import catalogue, variables
from wmhseg.networks.graph import Graph
from wmhseg.networks.signature import Signature
from wmhseg.training import checkpoint, growth
from wmhseg.weights import tensor_files
from wmhseg.weights.inputs import inputs_of_channels

from . import damage
from .targets import Files, Target

_SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8,
          "U32": 4, "U16": 2, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "C64": 8}  # fmt: skip
_SHAPES = {
    "enc1_conv1/kernel": (3, 3, 2, 4),
    "enc1_conv1/bias": (4,),
    "output/kernel": (1, 1, 4, 1),
}
_STATE = {"losses": (7,), "attempt": (1,), "seconds": (1,)}


def packed(header: Any, body: bytes) -> bytes:
    """A safetensors file of any header."""
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


def _file(shapes: dict[str, tuple[int, ...]], kind: str, values: bytes | None = None) -> bytes:
    header: dict[str, Any] = {}
    at = 0
    for name, shape in shapes.items():
        size = int(np.prod(shape)) * _SIZES[kind]
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    body = np.random.default_rng(0).integers(0, 60, at).astype("u1").tobytes()
    return packed(header, body if values is None else (values * at)[:at])


def _corpus() -> list[Files]:
    both = _SHAPES | _STATE
    made = [_file(both, kind) for kind in _SIZES]
    made += [_file(both, "F32")] * 6 + [_file(_SHAPES, "F16")] * 2
    made += [
        _file(both, "F32", b"\xff"),
        _file(both, "F64", b"\x7f"),
        _file({"losses": (), "attempt": (1,), "seconds": (1,)}, "F32"),
        _file({"losses": (2, 3), "attempt": (1,), "seconds": (1,)}, "F32"),
        _file({"losses": (0,), "attempt": (0,), "seconds": ()}, "F32"),
        _file({"enc1_conv1/kernel": (5, 5, 1, 4), "enc1_conv2/kernel": (2, 2, 4, 4)}, "F32"),
        _file({"enc1_conv1/kernel": (3, 2, 4)}, "F32"),
        packed({"__metadata__": {"a": "b"}}, b""),
        packed({}, b""),
        b"",
        b"\x89HDF\r\n\x1a\n",
        struct.pack("<Q", 1 << 40),
        *damage.POINTERS,
    ]
    return [{"0.safetensors": content} for content in made]


def _entry(rng: random.Random, header: dict[str, Any], body: bytes) -> None:
    """Another type, shape or place of one array."""
    entry = header.get(rng.choice(list(header) or [""]))
    if not isinstance(entry, dict):
        return
    what = rng.choice(("dtype", "shape", "data_offsets"))
    entry[what] = {
        "dtype": lambda: rng.choice((*_SIZES, "F4", "f32", "", "F6_E2M3")),
        "shape": lambda: rng.choice(([], [0], [1 << 40, 1 << 40], [-1], [4, 1], [1], [1.0], [4])),
        "data_offsets": lambda: rng.sample((0, 4, 16, len(body), 1 << 63, -1, 288), 2),
    }[what]()


def _values(rng: random.Random, body: bytes) -> bytes:
    """Other numbers, not all of them finite."""
    if rng.random() < 0.5:
        return bytes(damage.several(rng, body, damage.ANY))
    at = 4 * rng.randrange(1 + len(body) // 4)
    odd = rng.choice((b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\xff\xff\x7f\x7f", b"\0\0\x80?"))
    return body[:at] + odd + body[at + 4 :]


def _damaged(rng: random.Random, corpus: Sequence[Files]) -> Files:
    content = rng.choice(corpus)["0.safetensors"]
    size = struct.unpack("<Q", content[:8].ljust(8, b"\xff"))[0]
    if rng.random() < 0.35 or not 0 < size <= len(content):
        kinds = (*damage.ANY, damage.pointer)
        return {"0.safetensors": bytes(damage.several(rng, content, kinds))}
    header, body = json.loads(content[8 : 8 + size]), content[8 + size :]
    for _ in range(rng.choice((1, 1, 2))):
        what = rng.randrange(4)
        if what == 0:
            body = _values(rng, body)
        elif what == 1:
            header = damage.damaged_value(rng, header)
        elif isinstance(header, dict):
            _entry(rng, header, body)
    if rng.random() < 0.1:
        text = bytes(damage.json_text(rng, header))
        return {"0.safetensors": struct.pack("<Q", len(text)) + text + body}
    return {"0.safetensors": packed(header, body)}


@cache
def _network() -> Graph:
    return catalogue.describe("unet", Signature((16, 16), (("scan", 2),)), {"kernel": 3})


def _read(folder: Path, given: Files) -> None:
    path = folder / next(iter(given))
    tensors = tensor_files.read_tensors(path)
    assert all(array.dtype == np.float32 for array in tensors.values())
    assert all(np.isfinite(array).all() for array in tensors.values())
    start = growth.Start(path.name, tensors)
    channels = growth.channels_of(_network(), inputs_of_channels(2, "error"), start)
    own = {name: np.zeros(shape, np.float32) for name, shape in _SHAPES.items()}
    grown, _ = growth.grow(own, tensors, {k: v for k, v in channels.items() if k in own})
    assert grown.keys() == own.keys()
    tensor_files.write_tensors(folder / "again.safetensors", tensors)
    again = tensor_files.read_tensors(folder / "again.safetensors")
    (folder / "again.safetensors").unlink()
    assert all(np.array_equal(tensors[name], array) for name, array in again.items())
    try:
        variables.check(_SHAPES, tensors, name=path.name)
    except WeightsError:
        checkpoint.peek(path)


def make() -> Target:
    modules = ("wmhseg.weights.tensor_files", "wmhseg.training.checkpoint")
    return Target("tensors", _corpus(), _damaged, _read, modules)
