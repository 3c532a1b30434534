"""Weight files of Keras 2, as HDF5 lays them out."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from unittest import mock

import h5py
import numpy as np
from keras2_files import random_value, write_legacy

from wmhseg.weights import keras2

from . import damage, hdf5_bytes
from .targets import Files, Target

EXPECTED = [
    ("one/kernel", (3, 3, 2, 4)),
    ("one/bias", (4,)),
    ("norm/gamma", (4,)),
    ("norm/beta", (4,)),
    ("norm/moving_mean", (4,)),
    ("norm/moving_variance", (4,)),
    ("two/kernel", (1, 1, 4, 1)),
    ("two/bias", (1,)),
]
_NAMES = {"one": "conv2d_37", "norm": "batch_normalization_5", "two": "conv2d_2"}
_KERNEL = "conv2d_37/conv2d_37/kernel:0"
_SHAPE = (3, 3, 2, 4)


def _good(file: h5py.File, group: str = "/", dtype: str = "<f4") -> None:
    rng = np.random.default_rng(0)
    values = {name: random_value(name, shape, rng).astype(dtype) for name, shape in EXPECTED}
    write_legacy(file.require_group(group), values, _NAMES)


def _kernel(file: h5py.File, **made: object) -> None:
    """Puts another dataset in the place of the first kernel."""
    _good(file)
    del file[_KERNEL]
    file.create_dataset(_KERNEL, **({"shape": _SHAPE, "dtype": "<f4"} | made))


def _attribute(file: h5py.File, place: str, name: str, value: object) -> None:
    _good(file)
    file[place].attrs[name] = value


def _link(file: h5py.File, link: object) -> None:
    _good(file)
    del file[_KERNEL]
    file[_KERNEL] = link


def _virtual(file: h5py.File) -> None:
    """A kernel that lies in another file; made so that no time is stored."""
    _good(file)
    del file[_KERNEL]
    space = h5py.h5s.create_simple(_SHAPE)
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_virtual(space, b"/dev/shm/other.h5", b"a", space)
    made.set_obj_track_times(False)
    kind = h5py.h5t.py_create(np.dtype("<f4"))
    h5py.h5d.create(file.id, _KERNEL.encode(), kind, space, made)


def _enclosed(file: h5py.File) -> None:
    """A group that holds itself."""
    _good(file)
    file["conv2d_37/conv2d_37/again"] = file["conv2d_37"]
    file.attrs["layer_names"] = [b"conv2d_37", b"conv2d_37/conv2d_37/again"]


def _split_names(file: h5py.File) -> None:
    _good(file)
    names = file.attrs["layer_names"]
    del file.attrs["layer_names"]
    file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:2], names[2:]


def _variants() -> list[Callable[[h5py.File], object]]:
    ones = np.ones(_SHAPE, np.float32)
    compound = np.dtype([("a", "<f4"), ("b", "<i4")])
    text = h5py.string_dtype()
    kernels: list[dict[str, object]] = [
        {}, {"data": ones, "chunks": True}, {"data": ones, "compression": "gzip"},
        {"data": ones, "fletcher32": True, "chunks": True}, {"dtype": "<i4"}, {"dtype": compound},
        {"dtype": text}, {"data": ones * np.nan}, {"data": ones.astype(">f4")},
        {"data": ones.astype("<f8") * 1e300}, {"shape": ()}, {"shape": (0,)}, {"shape": (3, 3)},
        {"dtype": h5py.enum_dtype({"a": 1})}, {"dtype": h5py.vlen_dtype(np.float32)},
        {"data": ones[0], "shape": (3, 2, 4)}, {"dtype": "<c8"}, {"dtype": bool},
        {"data": ones, "maxshape": (None, 3, 2, 4)}, {"external": [("/dev/shm/x", 0, 288)]},
        {"dtype": h5py.ref_dtype}, {"data": h5py.Empty("f4")},
    ]  # fmt: skip
    for one in kernels:
        if "data" in one:
            data = one["data"]
            one |= {"shape": getattr(data, "shape", None), "dtype": getattr(data, "dtype", None)}
    names: list[tuple[str, str, object]] = [
        ("/", "layer_names", [b"a"] * 3), ("/", "layer_names", np.zeros(0)),
        ("/", "layer_names", b"conv2d_37"), ("/", "layer_names", np.arange(5)),
        ("/", "layer_names", [b"n%d" % i for i in range(1025)]),
        ("/", "layer_names", np.array(["conv2d_37", "é", "../x"], dtype=text)),
        ("/", "layer_names", np.array([[b"conv2d_37", b"/"], [b"a//b", b"."]])),
        ("/", "layer_names", [b"x" * 2000]), ("/", "layer_names", [b"\xff\xfe"]),
        ("/", "backend", b"theano"), ("/", "backend", 7), ("/", "keras_version", "1.2.2"),
        ("/", "backend", [b"a", b"b"]), ("/conv2d_37", "weight_names", [b"conv2d_37/kernel:0"]),
        ("/conv2d_37", "weight_names", [b"conv2d_37/kernel:0"] * 2),
        ("/conv2d_37", "weight_names", np.zeros((2, 0))),
        ("/conv2d_37", "weight_names", [b"conv2d_37"]), ("/", "layer_names", h5py.Empty("f8")),
        ("/", "unknown", np.zeros(900)),
    ]  # fmt: skip
    links = [h5py.SoftLink("/conv2d_2"), h5py.SoftLink("/nowhere"),
             h5py.ExternalLink("/dev/shm/other.h5", "/a")]  # fmt: skip
    return [
        *(partial(_good, dtype=name) for name in ("<f4", "<f2", "<f8", ">f4")),
        partial(_good, group="model_weights"),
        lambda file: file.create_group("layers"),
        *(partial(_kernel, **one) for one in kernels),
        *(partial(_attribute, place=place, name=name, value=v) for place, name, v in names),
        *(partial(_link, link=link) for link in links),
        _virtual, _enclosed, _split_names,
    ]  # fmt: skip


def _corpus() -> list[Files]:
    made = []
    for version in ("earliest", "latest"):
        for write in _variants():
            held = io.BytesIO()
            with h5py.File(held, "w", libver=version) as file:
                write(file)
            made.append(hdf5_bytes.sealed(held.getvalue(), timeless=True))
    held = io.BytesIO()
    with h5py.File(held, "w", userblock_size=512) as file:
        _good(file)
    made += [held.getvalue(), b"", b"<!DOCTYPE html>", b"\x89HDF\r\n\x1a\n", *damage.POINTERS]
    return [{"0.h5": content} for content in made]


def _swapped(rng: random.Random, content: bytearray) -> None:
    """Text in it says something else of the same length."""
    words = (b"conv2d_37", b"conv2d_2", b"kernel:0", b"layer_names", b"weight_names", b"backend")
    word = rng.choice(words)
    content[:] = content.replace(word, rng.choice(words).ljust(len(word), b"\0")[: len(word)], 1)


def _address(rng: random.Random, content: bytearray) -> None:
    """A number that leads elsewhere in the file: structures that overlap and go in circles."""
    places = [at for at in range(0, len(content) - 7, 8) if any(content[at : at + 8])]
    if len(places) > 1:
        at, other = rng.choice(places), rng.choice(places)
        target = rng.choice((other, int.from_bytes(content[other : other + 8], "little")))
        content[at : at + 8] = target.to_bytes(8, "little")


_KINDS = (*damage.ANY, damage.number, damage.number, damage.flip, damage.overwrite, _address,
          _address, _swapped, damage.pointer)  # fmt: skip


def _damaged(rng: random.Random, corpus: Sequence[Files]) -> Files:
    content = rng.choice(corpus[:5] if rng.random() < 0.5 else corpus)["0.h5"]
    if rng.random() < 0.03:
        return {"0.h5": bytes(damage.splice(rng, content, rng.choice(corpus)["0.h5"]))}
    made = bytes(damage.several(rng, content, _KINDS))
    return {"0.h5": hdf5_bytes.sealed(made) if rng.random() < 0.4 else made}


def _read(folder: Path, given: Files) -> None:
    """All of the reader, but for the process of its own in which it has HDF5 look at a file."""
    with mock.patch.object(keras2, "_contents_from_child", keras2.contents):
        _read_guarded(folder, given)


def _read_guarded(folder: Path, given: Files) -> None:
    found = keras2.read(folder / next(iter(given)), EXPECTED)
    assert [(name, array.shape) for name, array in found.items()] == EXPECTED
    assert all(np.isfinite(array).all() for array in found.values())


def make() -> Target:
    modules = ("wmhseg.weights.keras2",)
    return Target("hdf5", _corpus(), _damaged, _read, modules, 5.0, 0.25, _read_guarded)
