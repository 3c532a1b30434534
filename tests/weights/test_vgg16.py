"""Keras' public VGG16 as a start: both layouts of the file, and what is no such file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import random_tensors

from wmhseg.errors import MissingFileError, WeightsError
from wmhseg.networks.catalogue import describe
from wmhseg.networks.signature import Signature
from wmhseg.training import growth
from wmhseg.weights import keras2, vgg16
from wmhseg.weights.inputs import Input

MAPS = {1: (64, 2), 2: (128, 2), 3: (256, 3), 4: (512, 3), 5: (2, 3)}  # the last is not looked at
Names = Callable[[str, str], str]


def of_2016(layer: str, kind: str) -> str:
    """As in the public file: block1_conv1/block1_conv1_W_1:0."""
    return f"{layer}_{'W' if kind == 'kernel' else 'b'}_1:0"


def of_keras_2(layer: str, kind: str) -> str:
    return f"{layer}/{kind}:0"


def write(path: Path, names: Names, **attributes: bytes) -> dict[str, np.ndarray]:
    """Writes five blocks and layers without weights; returns what the first four hold.

    Values tell their array: its number and a part that differs within it.
    """
    values: dict[str, np.ndarray] = {}
    received = 3
    with h5py.File(path, "w") as file:
        order = ["input_1"]
        for block, (maps, count) in MAPS.items():
            for number in range(1, count + 1):
                layer = f"block{block}_conv{number}"
                order.append(layer)
                group = file.create_group(layer)
                written = []
                for kind, shape in (("kernel", (3, 3, received, maps)), ("bias", (maps,))):
                    array = np.resize(np.arange(1009, dtype=np.float32) / 2048, shape)
                    array += len(values)
                    group[names(layer, kind)] = array
                    written.append(names(layer, kind).encode())
                    values[f"{layer}/{kind}"] = array
                group.attrs["weight_names"] = written
                received = maps
            order.append(f"block{block}_pool")
            file.create_group(order[-1]).attrs["weight_names"] = []
        file.create_group("input_1").attrs["weight_names"] = []
        file.attrs["layer_names"] = [name.encode() for name in order]
        for name, text in attributes.items():
            file.attrs[name] = text
    return {name: array for name, array in values.items() if not name.startswith("block5")}


@pytest.mark.parametrize(
    ("names", "attributes"),
    [
        (of_2016, {}),  # the public file names neither
        (of_2016, {"backend": b"tensorflow", "keras_version": b"1.2.2"}),
        (of_keras_2, {"backend": b"tensorflow", "keras_version": b"2.1.6"}),
    ],
)
def test_both_layouts_are_read(tmp_path: Path, names: Names, attributes: dict[str, bytes]) -> None:
    """The first time through the child process, as users do."""
    expected = write(tmp_path / "vgg16.h5", names, **attributes)
    found = vgg16.read(tmp_path / "vgg16.h5")
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.fixture
def same_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader's child process takes seconds on a busy machine."""
    monkeypatch.setattr(keras2, "_contents_from_child", keras2.contents)


@pytest.fixture
def file(tmp_path: Path, same_process: None) -> Path:
    write(tmp_path / "vgg16.h5", of_2016)
    return tmp_path / "vgg16.h5"


def test_all_ten_convolutions_of_the_network_start_from_it(file: Path) -> None:
    """In the order of the channels: the first of ours gets what saw blue."""
    inputs = tuple(Input(name, name, "z-score", "error", "scan") for name in ("T1", "FLAIR"))
    inputs += (Input("again", "FLAIR", "z-score", "error", "scan"),)
    described = describe("vgg", Signature((8, 8), (("scan", 3),), 2, "softmax"), {})
    start = growth.Start(file.name, vgg16.read(file))
    assert growth.channels_of(described, inputs, start) == {}
    own = random_tensors(described)
    made, sentence = growth.grow(own, start.tensors, {})
    assert sentence == "20 of 30 arrays taken"
    for name in own:
        expected = start.tensors[name] if name.startswith("block") and "conv" in name else own[name]
        assert made[name] is expected


def reshaped(file: h5py.File) -> None:
    name = "block3_conv2/block3_conv2_W_1:0"
    del file[name]
    file[name] = np.zeros((3, 3, 128, 256), np.float32)


def without_a_layer(file: h5py.File) -> None:
    names = [x.decode() if isinstance(x, bytes) else x for x in file.attrs["layer_names"]]
    file.attrs["layer_names"] = [name for name in names if name != "block4_conv3"]


def linked(file: h5py.File) -> None:
    del file["block2_conv1/block2_conv1_b_1:0"]
    file["block2_conv1/block2_conv1_b_1:0"] = h5py.ExternalLink("/etc/passwd", "/")


def packed(file: h5py.File) -> None:
    """A small file of many zeros."""
    del file["block2_conv1/block2_conv1_b_1:0"]
    file["block2_conv1"].create_dataset(
        "block2_conv1_b_1:0", data=np.zeros(128, np.float32), compression="gzip"
    )


def not_a_number(file: h5py.File) -> None:
    file["block1_conv2/block1_conv2_b_1:0"][5] = np.nan


def from_theano(file: h5py.File) -> None:
    file.attrs["backend"] = b"theano"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (reshaped, r"kernel \(3, 3, 256, 256\) of VGG16's layer block3_conv2.*\(3, 3, 128, 256\)"),
        (without_a_layer, r"layer block4_conv3 was expected\. Received: nothing"),
        (linked, "a soft or external link"),
        (packed, r"block2_conv1 was expected\. Received: a compressed or chunked dataset"),
        (not_a_number, "Finite values were expected in block1_conv2/bias"),
        (from_theano, "under Theano"),
    ],
)
def test_other_files_are_refused_in_one_line(
    file: Path, damage: Callable[[h5py.File], None], message: str
) -> None:
    with h5py.File(file, "r+") as opened:
        damage(opened)
    with pytest.raises(WeightsError, match=message) as caught:
        vgg16.read(file)
    assert "\n" not in str(caught.value)


def test_a_truncated_file(file: Path) -> None:
    content = file.read_bytes()
    for kept in (1000, len(content) // 2, len(content) - 100_000):
        file.write_bytes(content[:kept])
        with pytest.raises(WeightsError, match="expected") as caught:
            vgg16.read(file)
        assert "\n" not in str(caught.value)


def test_what_is_no_such_file(tmp_path: Path, same_process: None) -> None:
    (tmp_path / "page.h5").write_text("<html>Not found</html>")
    with pytest.raises(WeightsError, match="A readable Keras-2 HDF5 file was expected"):
        vgg16.read(tmp_path / "page.h5")
    with pytest.raises(MissingFileError, match=r"none\.h5"):
        vgg16.read(tmp_path / "none.h5")
