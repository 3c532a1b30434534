"""Reads the weights of a Keras-2 HDF5 file (``0.h5``) as plain numbers.

The layout is the one ``model.save_weights("x.h5")`` wrote: the root attribute ``layer_names``, a
group a layer with the attribute ``weight_names``, and the datasets these name, for example
``conv2d_37/conv2d_37/kernel:0``. Layer names are arbitrary, their order is topological. Of a
whole model (``model.save("x.h5")``) the group ``model_weights`` is read and nothing else, so the
stored configuration of the model is never looked at.

A weight file comes from elsewhere, so the reader takes names, shapes and numbers and no more:

* Only hard links are walked. HDF5 opens the target of an external link while it resolves a
  name, so each link is looked at before its name is used.
* A dataset must lie uncompressed and in one piece inside the file, as Keras writes it. That
  leaves out virtual datasets and external storage (other files), filters (plug-ins that HDF5
  would load) and decompression bombs.
* Every type and shape is compared with the network before the first number is read.
* The HDF5 library itself cannot be trusted with a damaged file: a wrong byte in a heap of names
  makes version 1.14.6 run for ever or claim 4 GB. So it only makes the table of contents, in a
  child process with limits of time and memory. The numbers are read here, without it.

Files written under Theano are refused. Turning their kernels by 180 degrees, as Keras 2 did,
is not enough here: Theano pads the even 4x4 kernel of the U-Net on the other side.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wmhseg.errors import MissingFileError, UnreadableFileError, WeightsError
from wmhseg.io import files

Shape = tuple[int, ...]


class Entry(NamedTuple):
    """Where one weight lies in the file; ``dtype`` is a numpy name such as ``<f4``."""

    shape: Shape
    dtype: str
    offset_bytes: int


# A weight, or in its place the words for something that is not an array kept in the file.
Contents = list[tuple[str, dict[str, Entry | str]]]

_MAX_LAYERS = 1024  # the networks here have about 100
_MAX_WEIGHTS = 16  # of one layer; batch normalisation has 4
_MAX_NAME_BYTES = 1024
_FLOATS = ("<f2", "<f4", "<f8", ">f2", ">f4", ">f8")
_CHILD_SECONDS = 60  # it takes half a second, most of it to start Python
_CHILD_CPU_SECONDS = 1  # for the contents alone, which take some milliseconds
_CHILD_BYTES = 2 * 2**30  # of address space, of which Python, numpy and h5py take about 0.3
_CHILD_CODE = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    "from wmhseg.weights import keras2; keras2.print_contents(sys.argv[2], sys.argv[3] == '1')"
)


def read(path: Path, expected: Sequence[tuple[str, Shape]]) -> dict[str, NDArray[np.float32]]:
    """Reads the weights of a Keras-2 HDF5 file.

    The layers of the file that have weights are paired in order with those of the network;
    inside a layer the last part of a weight's name (``kernel``, ``gamma``, ...) decides.

    Args:
        path: The file.
        expected: (variable path, shape) in topological order, as ``Graph.variables`` has them.

    Returns:
        Variable path -> float32 array of the expected shape. Kernels are (row, column, input
        channel, output channel).

    Raises:
        MissingFileError: If the file does not exist.
        UnreadableFileError: If it cannot be read.
        WeightsError: If it is not HDF5, is damaged, or does not hold what the network needs; the
            first layer that differs is named.
    """
    entries = _match(table(path), expected, path)
    return {name: load(entries[name], name, path) for name, _ in expected}


def table(path: Path, *, keras1: bool = False) -> Contents:
    """Returns ``contents(path)``, made where nothing in the file can do harm.

    Raises:
        WmhsegError: As ``read`` does.
    """
    _check_readable(path)
    return _contents_from_child(path, keras1)


def contents(path: Path, keras1: bool = False) -> Contents:
    """Returns the table of contents of a Keras-2 HDF5 file, in this process.

    Args:
        path: The file.
        keras1: Whether files of Keras 1 are welcome.

    Returns:
        For each layer with weights, in the order of the file: its name, and the last part of
        each weight's name -> where it lies, or what is there in its place.

    Raises:
        WeightsError: If the file is not HDF5, is damaged, or is not laid out as Keras 2 does.
    """
    try:
        with _h5py().File(path, mode="r", locking=False) as file:
            return _layers(_weights_group(file, path, keras1), path)
    except WeightsError:
        raise
    except Exception as error:  # h5py raises nearly every class of error for a damaged file
        raise _damaged(path, error) from error


def print_contents(name: str, keras1: bool = False) -> None:
    """Prints the contents of the file ``name`` as JSON: what the child process does."""
    _h5py()  # before memory is limited: a library that cannot be loaded is another matter
    with contextlib.suppress(ImportError):  # no such limits on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_CHILD_BYTES, _CHILD_BYTES))
        # Not a limit of the system, which counts in whole seconds and from the beginning.
        signal.setitimer(signal.ITIMER_PROF, _CHILD_CPU_SECONDS)
    try:
        answer: dict[str, Any] = {"layers": contents(Path(name), keras1)}
    except WeightsError as error:
        answer = {"error": [error.expected, error.received, error.advice]}
    print(json.dumps(answer))


def _contents_from_child(path: Path, keras1: bool = False) -> Contents:
    """Returns ``contents(path)`` made by a child process that may hang, crash or starve."""
    root = str(Path(__file__).resolve().parents[2])
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _CHILD_CODE, root, os.fspath(path), str(int(keras1))],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_CHILD_SECONDS,
            check=False,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # its buffers count as memory
        )
    except subprocess.TimeoutExpired as error:
        raise _damaged(path, f"no contents found in {_CHILD_SECONDS} s") from error
    if done.returncode == -getattr(signal, "SIGPROF", 0) < 0:
        raise _damaged(path, f"no contents found in {_CHILD_CPU_SECONDS} s of a processor")
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise _damaged(path, f"{lines[-1]} (reader ended with {done.returncode})")
    answer = json.loads(done.stdout)
    if "error" in answer:
        expected, received, advice = answer["error"]
        raise WeightsError(expected, received=received, advice=advice)
    return [
        (
            layer,
            {
                short: entry
                if isinstance(entry, str)
                else Entry(tuple(entry[0]), entry[1], entry[2])
                for short, entry in weights.items()
            },
        )
        for layer, weights in answer["layers"]
    ]


def _h5py() -> Any:
    """Imports h5py late, so that this module costs nothing where no such file is read."""
    return importlib.import_module("h5py")


def _damaged(path: Path, reason: object) -> WeightsError:
    return WeightsError(
        "A readable Keras-2 HDF5 file was expected",
        received=f"{path}: {reason}",
        advice="Download the file again; a web page may have been saved in its place.",
    )


def _check_readable(path: Path) -> None:
    """Raises unless ``path`` is a regular file that this process may read."""
    try:
        if stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            with path.open("rb") as file:
                what, advice = files.pointer(file.read(64))
            if what:
                raise WeightsError(f"Weights were expected in {path}", received=what, advice=advice)
            return
    except FileNotFoundError as error:
        kind = "a link to a file that is not there: " if path.is_symlink() else ""
        raise MissingFileError("A weight file was expected", received=f"{kind}{path}") from error
    except OSError as error:
        raise UnreadableFileError(
            "A readable weight file was expected", received=f"{path}: {error.strerror}"
        ) from error
    raise UnreadableFileError("A weight file was expected", received=f"{path}, not a regular file")


def _match(layers: Contents, expected: Sequence[tuple[str, Shape]], path: Path) -> dict[str, Entry]:
    """Pairs layers in order and returns {variable path: entry}, all shapes compared."""
    needed: dict[str, dict[str, Shape]] = {}
    for variable, shape in expected:
        layer, short = variable.rsplit("/", 1)
        needed.setdefault(layer, {})[short] = tuple(shape)
    counts = f"{path} has {len(layers)} layers with weights, the network {len(needed)}"
    found: dict[str, Entry] = {}
    absent: tuple[str, dict[str, Any]] = ("", {})
    for (layer, shapes), (name, weights) in zip_longest(needed.items(), layers, fillvalue=absent):
        entries = {short: entry for short, entry in weights.items() if isinstance(entry, Entry)}
        if {short: entry.shape for short, entry in entries.items()} != shapes or len(
            entries
        ) != len(weights):
            there = f"layer {name} with {_listing(weights)}" if name else "no such layer"
            raise WeightsError(
                f"Layer {layer} was expected with {_listing(shapes)}"
                if layer
                else f"The end was expected after layer {list(needed)[-1]}",
                received=f"{there}; {counts}",
                advice="Choose the preset whose network, channels and batch normalisation "
                "fit this file.",
            )
        found |= {f"{layer}/{short}": entry for short, entry in entries.items()}
    return found


def _listing(weights: Mapping[str, Entry | Shape | str]) -> str:
    return ", ".join(
        f"{short} {entry.shape if isinstance(entry, Entry) else entry}"
        for short, entry in weights.items()
    )


def load(entry: Entry, name: str, path: Path) -> NDArray[np.float32]:
    """Reads the values of a weight whose shape is the expected one.

    Args:
        entry: Where it lies.
        name: What to call it in messages.
        path: The file.

    Raises:
        WeightsError: If the file ends too early, or values are not finite.
    """
    if entry.dtype not in _FLOATS:
        raise _damaged(path, f"{entry.dtype} in {name}")
    size = math.prod(entry.shape)
    with path.open("rb") as file:
        file.seek(entry.offset_bytes)
        stored = np.fromfile(file, dtype=entry.dtype, count=size)
    if stored.size != size:
        raise _damaged(path, f"it ends inside {name}")
    with np.errstate(over="ignore"):
        values = stored.astype(np.float32).reshape(entry.shape)
    if not np.isfinite(values).all():
        raise WeightsError(
            f"Finite values were expected in {name}",
            received=f"NaN, infinity or values beyond float32 in {path}",
        )
    return values


# --- the table of contents; all below runs in the child process -------------------------------


def _weights_group(file: Any, path: Path, keras1: bool) -> Any:
    """Returns the group that holds the layers and checks which Keras wrote it."""
    group = file
    if not _has_names(file) and file.id.links.exists(b"model_weights"):
        group = _walk(file, "model_weights", path)
    if not _has_names(group):
        raise WeightsError(
            "A Keras-2 weight file with the attribute layer_names was expected",
            received=path,
            advice="Files of Keras 3 (.weights.h5, .keras) have another layout.",
        )
    if _text(group, "backend", path) == "theano":
        raise WeightsError(
            "A weight file written under TensorFlow was expected",
            received=f"{path}, written under Theano",
            advice="Theano turns kernels and pads even ones differently; "
            "save the weights again under TensorFlow.",
        )
    version = _text(group, "keras_version", path)
    if version.startswith("1.") and not keras1:
        raise WeightsError(
            "A weight file of Keras 2 was expected", received=f"{path}, of Keras {version}"
        )
    return group


def _layers(group: Any, path: Path) -> Contents:
    """Lists the layers with weights below the group that names them."""
    layers: Contents = []
    names = _names(group, "layer_names", _MAX_LAYERS, path)
    if len(set(names)) != len(names):
        raise WeightsError("Each layer listed once was expected", received=f"{names} in {path}")
    for name in names:
        layer = _walk(group, name, path)
        weights: dict[str, Entry | str] = {}
        for weight_name in _names(layer, "weight_names", _MAX_WEIGHTS, path):
            short = weight_name.rsplit("/", 1)[-1].split(":", 1)[0]
            if short in weights:
                raise WeightsError(
                    f"Weights with different names were expected in layer {name}",
                    received=f"{short} twice in {path}",
                )
            weights[short] = _entry(_walk(layer, weight_name, path))
        if weights:
            layers.append((name, weights))
    return layers


def _walk(group: Any, name: str, path: Path) -> Any:
    """Follows ``name`` (parts separated by ``/``) through hard links only.

    ``group[name]`` would resolve every kind of link, so the type of each link is asked for
    first, by a call that resolves nothing.
    """
    h5py = _h5py()
    node = group
    for part in name.split("/"):
        encoded = part.encode()
        if (
            part in ("", ".")
            or not isinstance(node, h5py.Group)
            or not node.id.links.exists(encoded)
        ):
            raise WeightsError(f"{name!r} was expected in the weight file", received=path)
        if node.id.links.get_info(encoded).type != h5py.h5l.TYPE_HARD:
            raise WeightsError(
                f"{name!r} was expected inside the weight file",
                received=f"{path}: a soft or external link",
                advice="Links are not followed; they may lead to other files.",
            )
        node = node[part]
    return node


def _entry(node: Any) -> Entry | str:
    """Returns where the values lie, or what is there in place of an array kept in the file."""
    h5py = _h5py()
    if not isinstance(node, h5py.Dataset):
        return "a group or type"
    # Asked before the shape: HDF5 opens the sources of a virtual dataset to find its shape.
    creation = node.id.get_create_plist()
    if creation.get_layout() == h5py.h5d.VIRTUAL:
        return "a virtual dataset"
    if creation.get_layout() != h5py.h5d.CONTIGUOUS:
        return "a compressed or chunked dataset"
    if creation.get_external_count() > 0:
        return "a dataset in another file"
    kind = node.id.get_type()
    if (
        not isinstance(kind, h5py.h5t.TypeFloatID)
        or node.dtype.str not in _FLOATS
        or not kind.equal(h5py.h5t.py_create(node.dtype))  # HDF5 knows floats that IEEE does not
    ):
        return "a dataset that is not of a float type"
    shape = tuple(int(size) for size in node.shape or ())
    offset_bytes = node.id.get_offset()
    # HDF5 fills in values that were never written, so such a layer would pass as all zero.
    if offset_bytes is None or node.id.get_storage_size() != math.prod(shape) * node.dtype.itemsize:
        return f"{shape} without its values"
    return Entry(shape, node.dtype.str, int(offset_bytes))


def _has_names(group: Any) -> bool:
    return next(_chunks(group, "layer_names"), None) is not None


def _chunks(group: Any, name: str) -> Iterator[str]:
    """Yields the attributes a list is stored in: ``name``, or ``name0``, ``name1``, ...

    Keras splits a list whose header would pass 64 kB.
    """
    if name in group.attrs:
        yield name
        return
    for index in count():
        if f"{name}{index}" not in group.attrs:
            return
        yield f"{name}{index}"


def _names(group: Any, name: str, limit: int, path: Path) -> list[str]:
    """Reads a list of at most ``limit`` names kept in one attribute or in several."""
    names: list[str] = []
    for number, chunk in enumerate(_chunks(group, name), start=1):
        names += _strings(group, chunk, limit, path)
        if max(len(names), number) > limit:
            raise WeightsError(f"At most {limit} names were expected in {name}", received=path)
    return names


def _text(group: Any, name: str, path: Path) -> str:
    """Reads a single text, or returns an empty one where the attribute is absent."""
    if name not in group.attrs:
        return ""
    return "".join(_strings(group, name, 1, path))


def _strings(group: Any, name: str, limit: int, path: Path) -> list[str]:
    """Reads an attribute of text after checking its type and size."""
    attribute = group.attrs.get_id(name)
    elements = int(attribute.get_space().get_select_npoints())
    if elements == 0:  # Keras writes an empty list as an empty array of float64
        return []
    kind = attribute.get_type()
    if not isinstance(kind, _h5py().h5t.TypeStringID):
        raise WeightsError(f"Text was expected in the attribute {name}", received=path)
    texts: list[str] = []
    # The size of a name of variable length is known only once it is read.
    if elements <= limit and (kind.is_variable_str() or kind.get_size() <= _MAX_NAME_BYTES):
        values = np.atleast_1d(group.attrs[name]).ravel()
        texts = [value.decode() if isinstance(value, bytes) else str(value) for value in values]
    if not texts or max(map(len, texts)) > _MAX_NAME_BYTES:
        raise WeightsError(
            f"At most {limit} short texts were expected in the attribute {name}",
            received=f"{elements} in {path}",
        )
    return texts
