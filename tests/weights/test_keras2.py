"""The reader of Keras-2 HDF5 weights: equal to Keras on good files, safe on hostile ones."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tracemalloc
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import h5py
import numpy as np
import pytest
from conftest import of_scan
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras2_files import legacy_name, random_value, write_legacy

from wmhseg.errors import MissingFileError, UnreadableFileError, WeightsError
from wmhseg.networks import catalogue
from wmhseg.networks.keras_model import to_keras
from wmhseg.weights import keras2

# A network small enough to reason about: two convolutions around a batch normalisation.
SMALL = [
    ("one/kernel", (3, 3, 2, 4)),
    ("one/bias", (4,)),
    ("norm/gamma", (4,)),
    ("norm/beta", (4,)),
    ("norm/moving_mean", (4,)),
    ("norm/moving_variance", (4,)),
    ("two/kernel", (1, 1, 4, 1)),
    ("two/bias", (1,)),
]
NAMES = {"one": "conv2d_37", "norm": "batch_normalization_5", "two": "conv2d_2"}


def small_values(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {variable: random_value(variable, shape, rng) for variable, shape in SMALL}


@pytest.fixture
def small(tmp_path):
    """A good file of the small network, for a test to damage."""
    path = tmp_path / "0.h5"
    with h5py.File(path, "w") as file:
        write_legacy(file, small_values(), NAMES)
    return path


@pytest.fixture(autouse=True)
def same_process(request, monkeypatch):
    """Starting a child takes half a second, so only the tests that ask for ``child`` do."""
    if "child" not in request.fixturenames:
        monkeypatch.setattr(keras2, "_contents_from_child", keras2.contents)


@pytest.fixture
def child():
    """Makes ``read`` use its child process."""


def replace(path: Path, name: str, **dataset: object) -> None:
    with h5py.File(path, "r+") as file:
        del file[name]
        file.create_dataset(name, **dataset)


KERNEL = "conv2d_37/conv2d_37/kernel:0"
BIAS = "conv2d_37/conv2d_37/bias:0"


def assert_small(result: dict[str, np.ndarray]) -> None:
    assert list(result) == [variable for variable, _ in SMALL]
    for variable, value in small_values().items():
        assert result[variable].dtype == np.float32
        np.testing.assert_array_equal(result[variable], value)


# --- the same output as Keras ---------------------------------------------------------------


NETWORKS = {
    "unet": ("unet", 2, {}),
    "unet-flair": ("unet", 1, {}),
    "unet-bn": ("unet", 2, {"batch_norm": True}),
    "stacknet": ("stacknet", 2, {"kernel": 5, "depth": 3}),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_gives_the_output_of_keras_own_legacy_loading(name, tmp_path):
    network, channels, options = NETWORKS[name]
    signature = of_scan((32, 32), channels)
    described = catalogue.describe(network, signature, options)
    ours, keras_own = (to_keras(described) for _ in range(2))
    expected = list(described.variables().items())
    rng = np.random.default_rng(7)
    values = {variable: random_value(variable, shape, rng) for variable, shape in expected}
    layers = dict.fromkeys(variable.split("/")[0] for variable in values)
    names = {layer: legacy_name(layer, index) for index, layer in enumerate(layers)}
    assert list(names.values()) != sorted(names.values())
    path = tmp_path / "0.h5"
    with h5py.File(path, "w") as file:
        write_legacy(file, values, names)

    keras_own.load_weights(str(path))  # Keras 3 reads a legacy .h5 in topological order
    tensors = keras2.read(path, expected)
    for variable in ours.weights:
        variable.assign(tensors[variable.path])

    scan = rng.normal(0, 1, (2, 32, 32, ours.input_shape[-1])).astype(np.float32)
    probability = np.asarray(ours(scan, training=False))
    reference = np.asarray(keras_own(scan, training=False))
    np.testing.assert_allclose(probability, reference, rtol=0, atol=1e-5)
    # The comparison says nothing about saturated or constant maps, or about unused layers.
    assert reference.std() > 0.01
    ours.get_layer("dec2_conv2").kernel.assign(tensors["dec2_conv2/kernel"][::-1])
    assert np.abs(np.asarray(ours(scan, training=False)) - reference).max() > 1e-3


def test_expected_weights_are_topological():
    described = catalogue.describe("unet", of_scan((16, 16), 2), {"batch_norm": True})
    expected = list(described.variables().items())
    assert expected[:7] == [
        ("enc1_conv1/kernel", (5, 5, 2, 64)),
        ("enc1_conv1/bias", (64,)),
        ("enc1_conv1_bn/gamma", (64,)),
        ("enc1_conv1_bn/beta", (64,)),
        ("enc1_conv1_bn/moving_mean", (64,)),
        ("enc1_conv1_bn/moving_variance", (64,)),
        ("enc1_conv2/kernel", (5, 5, 64, 64)),
    ]
    assert expected[-2:] == [("output/kernel", (1, 1, 64, 1)), ("output/bias", (1,))]
    levels = ["enc1", "enc2", "enc3", "enc4", "bottom", "dec4", "dec3", "dec2", "dec1", "output"]
    assert list(dict.fromkeys(name.split("/")[0].split("_")[0] for name, _ in expected)) == levels


# --- the kinds of good file -----------------------------------------------------------------


def test_reads_the_layout_of_keras_2(small, child):
    assert_small(keras2.read(small, SMALL))


def test_reads_what_keras_3_saves_as_a_whole_model(tmp_path):
    import keras

    inputs = keras.Input((8, 8, 2))
    x = keras.layers.Conv2D(4, 3, name="one")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    model = keras.Model(inputs, keras.layers.Conv2D(1, 1, name="two")(x))
    for variable in model.weights:
        variable.assign(small_values()[variable.path])
    assert [(v.path, tuple(v.shape)) for v in model.weights] == SMALL
    model.save(tmp_path / "whole.h5")
    with h5py.File(tmp_path / "whole.h5", "r+") as file:
        assert "model_config" in file.attrs
        file.attrs["model_config"] = b"neither JSON nor looked at"
    assert_small(keras2.read(tmp_path / "whole.h5", SMALL))


@pytest.mark.parametrize("chunks", [1, 3, 5])
def test_reads_name_lists_split_in_chunks(small, chunks):
    with h5py.File(small, "r+") as file:
        for group, name in ((file, "layer_names"), (file["conv2d_37"], "weight_names")):
            names = group.attrs[name]
            del group.attrs[name]
            for index, part in enumerate(np.array_split(names, min(chunks, len(names)))):
                group.attrs[f"{name}{index}"] = part
    assert_small(keras2.read(small, SMALL))


@pytest.mark.parametrize("kind", ["S", h5py.string_dtype(), h5py.string_dtype("ascii")])
def test_reads_names_of_fixed_and_variable_length(small, kind):
    """Older h5py wrote fixed length, newer ones write variable length."""
    with h5py.File(small, "r+") as file:
        for group, name in ((file, "layer_names"), (file["conv2d_37"], "weight_names")):
            names = [str(text) for text in group.attrs[name]]
            group.attrs[name] = np.array(names, dtype=kind)
            variable = group.attrs.get_id(name).get_type().is_variable_str()
            assert variable == (kind != "S")
    assert_small(keras2.read(small, SMALL))


def test_order_of_weights_inside_a_layer_is_free(small):
    with h5py.File(small, "r+") as file:
        attributes = file["batch_normalization_5"].attrs
        attributes["weight_names"] = attributes["weight_names"][::-1]
    assert_small(keras2.read(small, SMALL))


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<f2"])
def test_other_float_types_become_float32(small, dtype):
    values = np.linspace(-2, 2, 4).astype(dtype)
    replace(small, BIAS, data=values)
    bias = keras2.read(small, SMALL)["one/bias"]
    assert bias.dtype == np.float32
    np.testing.assert_array_equal(bias, values.astype(np.float32))


def test_user_block_before_the_data(tmp_path):
    with h5py.File(tmp_path / "0.h5", "w", userblock_size=1024) as file:
        write_legacy(file, small_values(), NAMES)
    assert_small(keras2.read(tmp_path / "0.h5", SMALL))


@pytest.mark.parametrize("version", ["earliest", "v110", "latest"])
def test_reads_every_generation_of_hdf5(tmp_path, version):
    with h5py.File(tmp_path / "0.h5", "w", libver=version) as file:
        write_legacy(file, small_values(), NAMES)
    assert_small(keras2.read(tmp_path / "0.h5", SMALL))


@pytest.mark.parametrize("attribute", ["backend", "keras_version"])
def test_missing_origin_is_accepted_as_keras_does(small, attribute):
    with h5py.File(small, "r+") as file:
        del file.attrs[attribute]
    assert_small(keras2.read(small, SMALL))


# --- files of something else ----------------------------------------------------------------


@pytest.mark.parametrize("child", [True, False])
def test_pointers_and_links_in_place_of_a_file(tmp_path, child, monkeypatch):
    pointer = tmp_path / "pointer.h5"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\n")
    link = tmp_path / "link.h5"
    link.symlink_to("nowhere.h5")
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    with pytest.raises(WeightsError, match=r"Git LFS pointer.*git lfs pull"):
        keras2.read(pointer, [])
    with pytest.raises(MissingFileError, match=r"a link to a file that is not there.*link\.h5"):
        keras2.read(link, [])


def test_missing_file(tmp_path, child):
    with pytest.raises(MissingFileError, match="absent"):
        keras2.read(tmp_path / "absent.h5", SMALL)


def test_folder_and_pipe_are_unreadable(tmp_path):
    os.mkfifo(tmp_path / "pipe.h5")
    for path in (tmp_path, tmp_path / "pipe.h5"):
        with pytest.raises(UnreadableFileError, match="not a regular file"):
            keras2.read(path, SMALL)


@pytest.mark.parametrize(
    "content", [b"", b"<!DOCTYPE html><html></html>" * 100, b"\x89HDF\r\n\x1a\n", b"\0" * 4096]
)
def test_not_hdf5(tmp_path, content):
    (tmp_path / "0.h5").write_bytes(content)
    with pytest.raises(WeightsError, match=r"0\.h5.*Download"):
        keras2.read(tmp_path / "0.h5", SMALL)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(kept=st.floats(0, 1, exclude_max=True))
def test_truncated_at_any_place(small, kept):
    content = small.read_bytes()
    path = small.with_name("cut.h5")
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(WeightsError):
        keras2.read(path, SMALL)


def test_keras_3_weight_file_is_named_as_such(tmp_path):
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.save_weights(tmp_path / "x.weights.h5")
    with pytest.raises(WeightsError, match="Keras 3"):
        keras2.read(tmp_path / "x.weights.h5", SMALL)


@pytest.mark.parametrize("origin", [b"theano", np.bytes_(b"theano"), "theano"])
def test_theano_is_refused(small, origin):
    with h5py.File(small, "r+") as file:
        file.attrs["backend"] = origin
    with pytest.raises(WeightsError, match="written under Theano"):
        keras2.read(small, SMALL)


def test_keras_1_is_refused(small):
    with h5py.File(small, "r+") as file:
        file.attrs["keras_version"] = b"1.2.2"
    with pytest.raises(WeightsError, match=r"of Keras 1\.2\.2"):
        keras2.read(small, SMALL)


# --- files of another network: the first layer that differs is named ------------------------


def test_wrong_shape(small):
    replace(small, KERNEL, data=np.zeros((3, 3, 1, 4), np.float32))
    with pytest.raises(WeightsError) as raised:
        keras2.read(small, SMALL)
    message = str(raised.value)
    assert "Layer one was expected with kernel (3, 3, 2, 4), bias (4,)" in message
    assert "layer conv2d_37 with kernel (3, 3, 1, 4), bias (4,)" in message


def test_same_number_of_values_in_another_shape_is_refused(small):
    replace(small, KERNEL, data=np.zeros((3, 3, 4, 2), np.float32))
    with pytest.raises(WeightsError, match=r"kernel \(3, 3, 4, 2\)"):
        keras2.read(small, SMALL)


@pytest.mark.parametrize(
    ("missing", "named"), [("one", "Layer one"), ("norm", "Layer norm"), ("two", "Layer two")]
)
def test_missing_layer(tmp_path, missing, named):
    values = {k: v for k, v in small_values().items() if not k.startswith(missing + "/")}
    with h5py.File(tmp_path / "0.h5", "w") as file:
        write_legacy(file, values, NAMES)
    with pytest.raises(WeightsError, match=named) as raised:
        keras2.read(tmp_path / "0.h5", SMALL)
    assert "has 2 layers with weights, the network 3" in str(raised.value)


def test_extra_layer(tmp_path):
    values = {**small_values(), "three/kernel": np.zeros((1, 1, 1, 1), np.float32)}
    with h5py.File(tmp_path / "0.h5", "w") as file:
        write_legacy(file, values, {**NAMES, "three": "conv2d_9"})
    with pytest.raises(WeightsError, match="end was expected after layer two") as raised:
        keras2.read(tmp_path / "0.h5", SMALL)
    assert "layer conv2d_9 with kernel (1, 1, 1, 1)" in str(raised.value)


def test_missing_and_extra_weight_in_a_layer(tmp_path):
    for number, change in enumerate([{}, {"one/alpha": np.zeros(4, np.float32)}]):
        values = small_values() | change
        if not change:
            del values["one/bias"]
        path = tmp_path / f"{number}.h5"
        with h5py.File(path, "w") as file:
            write_legacy(file, values, NAMES)
        with pytest.raises(WeightsError, match="Layer one was expected"):
            keras2.read(path, SMALL)


def test_file_without_any_layer(tmp_path):
    with h5py.File(tmp_path / "0.h5", "w") as file:
        file.attrs["layer_names"] = []
    with pytest.raises(WeightsError, match=r"Layer one was expected.*no such layer"):
        keras2.read(tmp_path / "0.h5", SMALL)


# --- hostile files --------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_not_finite_in_float32(small, value):
    data = np.zeros((3, 3, 2, 4), np.float64)
    data[1, 2, 0, 3] = value
    replace(small, KERNEL, data=data)
    with pytest.raises(WeightsError, match="Finite values were expected in one/kernel"):
        keras2.read(small, SMALL)


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        ([1, 2, 3, 4], np.int32),
        ([True, False, True, False], np.bool_),
        ([1j, 2, 3, 4], np.complex64),
        ([b"a", b"b", b"c", b"d"], "S1"),
        (["a", "b", "c", "d"], h5py.string_dtype()),
        ([1, 2, 3, 4], np.longdouble),
        ([(1.0,), (2.0,), (3.0,), (4.0,)], [("x", "<f4")]),
        ([np.void(b"\x80\x04N.")] * 4, "V4"),
        (None, h5py.ref_dtype),
    ],
)
def test_only_floats_of_2_4_or_8_bytes(small, data, dtype):
    if data is None:
        replace(small, BIAS, shape=(4,), dtype=dtype)
    else:
        replace(small, BIAS, data=np.array(data, dtype=dtype), dtype=dtype)
    with pytest.raises(WeightsError, match="not of a float type"):
        keras2.read(small, SMALL)


def test_floats_that_ieee_does_not_know(small):
    odd = h5py.h5t.IEEE_F32LE.copy()
    odd.set_ebias(100)
    with h5py.File(small, "r+") as file:
        del file[BIAS]
        layer = file["conv2d_37/conv2d_37"].id
        dataset = h5py.h5d.create(layer, b"bias:0", odd, h5py.h5s.create_simple((4,)))
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ones(4, np.float32))
    with pytest.raises(WeightsError, match="not of a float type"):
        keras2.read(small, SMALL)


def test_soft_links_are_refused(small):
    for target in (f"/{KERNEL}", "/conv2d_37/conv2d_37/loop"):  # a good target, and a dangling one
        with h5py.File(small, "r+") as file:
            layer = file["conv2d_37/conv2d_37"]
            if "kept" not in layer:
                layer.move("kernel:0", "kept")
            else:
                del layer["kernel:0"]
            layer["kernel:0"] = h5py.SoftLink(target.replace("kernel:0", "kept"))
        with pytest.raises(WeightsError, match="soft or external link"):
            keras2.read(small, SMALL)


def test_loops_of_links_end(small):
    with h5py.File(small, "r+") as file:
        del file["conv2d_2"]
        file["conv2d_2"] = h5py.SoftLink("/conv2d_2")
    with pytest.raises(WeightsError, match="soft or external link"):
        keras2.read(small, SMALL)
    with h5py.File(small, "r+") as file:
        del file["conv2d_2"]
        file["conv2d_2"] = file["/"]  # a hard link from the root to itself
    with pytest.raises(WeightsError, match="Layer two was expected"):
        keras2.read(small, SMALL)


def test_child_hands_on_names_errors_and_advice(small, child):
    with h5py.File(small, "r+") as file:
        file.attrs["backend"] = "theano"
    with pytest.raises(WeightsError, match=r"written under Theano.*save the weights again"):
        keras2.read(small, SMALL)


def test_child_reads_relative_and_odd_names(small, child, monkeypatch):
    odd = small.with_name("-ü 1.h5")
    small.rename(odd)
    monkeypatch.chdir(odd.parent)
    assert_small(keras2.read(Path(odd.name), SMALL))


def damage_first_heap(path: Path) -> None:
    """Makes the first text of the first heap an entry of size 0."""
    content = bytearray(path.read_bytes())
    entry = content.index(b"GCOL") + 16
    content[entry : entry + 16] = bytes(16)
    path.write_bytes(content)


def test_child_that_never_ends_is_ended(small, child, monkeypatch):
    """HDF5 1.14.6 runs for ever on such a heap; a later release may report it."""
    damage_first_heap(small)
    monkeypatch.setattr(keras2, "_CHILD_SECONDS", 5)
    with pytest.raises(WeightsError, match="readable Keras-2 HDF5 file was expected"):
        keras2.read(small, SMALL)


def test_child_that_never_ends_uses_little_of_a_processor(small, child):
    """Also where nobody waits for it any more: a program that was killed left it running."""
    damage_first_heap(small)
    with pytest.raises(WeightsError, match="readable Keras-2 HDF5 file was expected") as caught:
        keras2.read(small, SMALL)
    if "no contents found" in str(caught.value):  # not so where HDF5 reports it
        assert "no contents found in 1 s of a processor" in str(caught.value)


def test_child_that_claims_memory_is_refused(small, child):
    """A list of names whose first one claims to be 4 GB long, in a file of 20 kB."""
    content = bytearray(small.read_bytes())
    heap = content.index(b"GCOL").to_bytes(8, "little")
    text = content.index(heap) - 4  # a text: length (4 bytes), address of its heap, index
    content[text : text + 4] = b"\xff\xff\xff\xff"
    small.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    with pytest.raises(WeightsError, match="readable Keras-2 HDF5 file was expected"):
        keras2.read(small, SMALL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert max(after - before, 0) * 1024 < 2**30


def test_child_that_crashes_is_reported(small, child, monkeypatch):
    monkeypatch.setattr(keras2, "_CHILD_CODE", "import os; os.abort()")
    with pytest.raises(WeightsError, match="ended with -6"):
        keras2.read(small, SMALL)
    monkeypatch.setattr(keras2, "_CHILD_CODE", "import a_module_that_is_not_there")
    with pytest.raises(WeightsError, match="ModuleNotFoundError"):
        keras2.read(small, SMALL)


# The other file is a pipe, so that opening it would hang until the time limit.
OTHER_FILE = """
import sys
from pathlib import Path
from wmhseg.weights import keras2
from wmhseg.errors import WeightsError
assert not {"keras", "h5py", "tensorflow", "torch", "jax"} & set(sys.modules)
for name in sys.argv[1:]:
    try:
        print(name, keras2.contents(Path(name)))
    except WeightsError as error:
        print(error)
"""


def test_no_other_file_is_opened(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    names = ["whole.h5", "layer.h5", "weight.h5", "virtual.h5", "unlimited.h5", "raw.h5"]
    values = {variable: small_values()[variable] for variable in ("one/kernel", "one/bias")}
    for name in names:
        with h5py.File(tmp_path / name, "w") as file:
            write_legacy(file, values, NAMES, weightless=False)
    with h5py.File(tmp_path / "whole.h5", "w") as file:
        file["model_weights"] = h5py.ExternalLink(str(pipe), "/")
    with h5py.File(tmp_path / "layer.h5", "r+") as file:
        del file["conv2d_37"]
        file["conv2d_37"] = h5py.ExternalLink(str(pipe), "/conv2d_37")
    with h5py.File(tmp_path / "weight.h5", "r+") as file:
        del file[KERNEL]
        file[KERNEL] = h5py.ExternalLink(str(pipe), KERNEL)
    for name, shape, most in (("virtual.h5", (4,), (4,)), ("unlimited.h5", (4,), (None,))):
        with h5py.File(tmp_path / name, "r+") as file:
            del file[BIAS]
            layout = h5py.VirtualLayout(shape, np.float32, maxshape=most)
            source = h5py.VirtualSource(str(pipe), "x", shape=shape, maxshape=most)
            if most == (None,):
                layout[: h5py.h5s.UNLIMITED] = source[: h5py.h5s.UNLIMITED]
            else:
                layout[:] = source
            file.create_virtual_dataset(BIAS, layout)
    (tmp_path / "raw").write_bytes(small_values()["one/bias"].tobytes())
    with h5py.File(tmp_path / "raw.h5", "r+") as file:
        del file[BIAS]
        file.create_dataset(BIAS, (4,), np.float32, external=[(str(pipe), 0, 16)])

    command = [sys.executable, "-c", OTHER_FILE, *(str(tmp_path / name) for name in names)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    lines = result.stdout.splitlines()
    assert len(lines) == len(names), result.stdout
    words = ["link", "link", "link", "virtual", "virtual", "another file"]
    for line, word in zip(lines, words, strict=True):
        assert word in line


@pytest.mark.parametrize(
    "options", [{"compression": "gzip"}, {"chunks": (3, 3, 2, 4)}, {"maxshape": (None,) * 4}]
)
def test_filters_and_chunks_are_refused(small, options):
    replace(small, KERNEL, data=np.zeros((3, 3, 2, 4), np.float32), **options)
    with pytest.raises(WeightsError, match="compressed or chunked"):
        keras2.read(small, SMALL)


@pytest.mark.parametrize("options", [{}, {"chunks": (1024, 1024)}])
def test_huge_declared_shape_takes_no_memory(small, options):
    replace(small, KERNEL, shape=(2**20, 2**20), dtype=np.float32, **options)
    assert small.stat().st_size < 10**6
    tracemalloc.start()
    with pytest.raises(WeightsError, match="Layer one was expected"):
        keras2.read(small, SMALL)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 4 * 10**6


def test_every_shape_is_compared_before_any_value_is_read(small, monkeypatch):
    replace(small, "conv2d_2/conv2d_2/bias:0", data=np.zeros(2, np.float32))

    def no_reading(*_: object) -> None:
        raise AssertionError("a value was read")

    monkeypatch.setattr(keras2, "load", no_reading)
    monkeypatch.setattr(h5py.Dataset, "__getitem__", no_reading)
    with pytest.raises(WeightsError, match="Layer two was expected"):
        keras2.read(small, SMALL)


def test_values_never_written_are_not_zeros(small):
    replace(small, KERNEL, shape=(3, 3, 2, 4), dtype=np.float32)
    with pytest.raises(WeightsError, match=r"kernel \(3, 3, 2, 4\) without its values"):
        keras2.read(small, SMALL)


@pytest.mark.parametrize("place", ["layer_names", "weight_names"])
@pytest.mark.parametrize(
    "value",
    [
        np.arange(4.0),
        np.array([b"\x80\x04\x95"], dtype=h5py.opaque_dtype(np.dtype("V3"))),
        np.array([b"conv2d_37"], dtype=np.void(b"123456789").dtype),
        np.array([b"\xff\xfe"]),
        np.array([b"../conv2d_37"]),
        np.array([b"/conv2d_37"]),
        np.array([b"."]),
        np.array([b"absent"]),
        np.array([b"conv2d_37", b"conv2d_37"]),
        np.array([b"x" * 2000]),
        np.array([b"n%d" % index for index in range(2000)]),
    ],
    ids=lambda value: str(value.ravel()[:1])[:20],
)
def test_attributes_that_are_not_lists_of_names(small, place, value):
    with h5py.File(small, "r+") as file:
        group = file if place == "layer_names" else file["conv2d_37"]
        group.attrs[place] = value
    with pytest.raises(WeightsError):
        keras2.read(small, SMALL)


def test_attribute_of_vlen_objects_is_not_read(small):
    with h5py.File(small, "r+") as file:
        values = np.empty(1, dtype=object)
        values[0] = np.arange(3, dtype=np.uint8)
        file.attrs.create("layer_names", values, dtype=h5py.vlen_dtype(np.uint8))
    with pytest.raises(WeightsError, match="Text was expected in the attribute layer_names"):
        keras2.read(small, SMALL)


@pytest.mark.parametrize("place", ["layer_names", "backend", "weight_names"])
def test_long_texts_are_refused(small, place):
    with h5py.File(small, "r+") as file:
        group = file["conv2d_37"] if place == "weight_names" else file
        group.attrs.create(place, "x" * 10**6, dtype=h5py.string_dtype())
    with pytest.raises(WeightsError, match="short texts") as raised:
        keras2.read(small, SMALL)
    assert len(str(raised.value)) < 1000


def test_names_of_a_thousand_layers_are_read(tmp_path):
    expected = [(f"layer{index}/bias", (1,)) for index in range(1000)]
    values = {variable: np.zeros(1, np.float32) for variable, _ in expected}
    names = {f"layer{index}": f"batch_normalization_{index}" for index in range(1000)}
    with h5py.File(tmp_path / "0.h5", "w") as file:
        write_legacy(file, values, names)
    assert len(keras2.read(tmp_path / "0.h5", expected)) == 1000


def test_group_in_place_of_a_weight(small):
    with h5py.File(small, "r+") as file:
        del file[KERNEL]
        file.create_group(KERNEL)
    with pytest.raises(WeightsError, match="kernel a group or type"):
        keras2.read(small, SMALL)


def test_dataset_in_place_of_a_layer(small):
    replace(small, "conv2d_37", data=np.zeros(3, np.float32))
    with pytest.raises(WeightsError):
        keras2.read(small, SMALL)
