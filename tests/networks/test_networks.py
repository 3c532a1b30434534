"""One harness that every published network goes through."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from conftest import of_scan

from wmhseg.errors import PresetError
from wmhseg.networks.catalogue import NETWORKS, describe
from wmhseg.networks.keras_model import to_keras

# What is built, by Keras alone; test_layers and the engines' tests hold it against OpenVINO.
pytestmark = pytest.mark.any_processor

# (kernel, maps) of each convolution but the output, level by level, from the papers. The last
# two of enc4 are 3x3 and 4x4. Stack-Net replaces the lists of the first stages.
PLAIN = {
    "enc1": [(5, 64), (5, 64)],
    "enc2": [(3, 96), (3, 96)],
    "enc3": [(3, 128), (3, 128)],
    "enc4": [(3, 256), (4, 256)],
    "bottom": [(3, 512), (3, 512)],
    "dec4": [(3, 256), (3, 256)],
    "dec3": [(3, 128), (3, 128)],
    "dec2": [(3, 96), (3, 96)],
    "dec1": [(3, 64), (3, 64)],
}
SKIPS = {"dec4": 256, "dec3": 128, "dec2": 96, "dec1": 64}  # maps that join from the encoder

# Variant -> (network, options): every network of the table, each argument at least once.
VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    "unet": ("unet", {}),
    "unet-k3": ("unet", {"kernel": 3}),
    "unet-bn": ("unet", {"batch_norm": True}),
    "unet-flair": ("unet", {"channels": 1}),
    "stacknet": ("stacknet", {}),
    "stacknet-k5": ("stacknet", {"kernel": 5}),
    "stacknet-bn": ("stacknet", {"batch_norm": True, "depth": 2}),
    "stacknet-1": ("stacknet", {"depth": 1, "channels": 1}),
    "stacknet-all": ("stacknet", {"depth": 3, "stacked_stages": 4}),
}
UNETS = {network for network, _ in VARIANTS.values()}


@pytest.fixture(autouse=True)
def release_models():
    """Keras keeps each model of a session, and one of these takes 35 MB."""
    yield
    keras.utils.clear_session()


def made(network: str, field: tuple[int, int], channels: int = 2, **options) -> keras.Model:
    return to_keras(NETWORKS[network](of_scan(field, channels), **options))


def build(variant: str, field: tuple[int, int] = (16, 16)) -> keras.Model:
    network, options = VARIANTS[variant]
    return made(network, field, **options)


def table(variant: str) -> dict[str, list[tuple[int, int]]]:
    """Returns the convolutions that the papers ask for, by level."""
    network, options = VARIANTS[variant]
    levels = dict(PLAIN)
    if network == "unet":
        levels["enc1"] = [(options.get("kernel", 5), 64)] * 2
    else:
        for stage in range(1, options.get("stacked_stages", 2) + 1):
            maps = PLAIN[f"enc{stage}"][0][1]
            levels[f"enc{stage}"] = [(options.get("kernel", 3), maps)] * options.get("depth", 5)
    return levels


def convolutions(model: keras.Model) -> list[keras.layers.Conv2D]:
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]


def predict(model: keras.Model, scan: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(scan.astype(np.float32), training=False))


def sigmoid(value: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-value))


def test_every_network_of_the_table_is_covered():
    """The two U-Nets here, the others in a file of their own."""
    others = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    assert set(NETWORKS) <= UNETS | others


# --- sizes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "options", "trainable", "other"),
    [
        # Published: the papers. Batch norm: 3200 maps, a scale and a shift each.
        ("unet", {}, 8_742_209, 0),
        ("unet", {"batch_norm": True}, 8_748_609, 6_400),
        ("stacknet", {"kernel": 3}, 9_034_529, 0),
        ("stacknet", {"kernel": 5}, 9_986_849, 0),
        # One channel fewer in 64 kernels of 5x5: 1600 fewer.
        ("unet", {"channels": 1}, 8_740_609, 0),
        # 3x3 in place of 5x5, 16 taps fewer: 16 * (2 + 64) * 64 = 67,584 fewer.
        ("unet", {"kernel": 3}, 8_674_625, 0),
        # A pair of 3x3 in the first two stages is the U-Net with kernel 3.
        ("stacknet", {"depth": 2}, 8_674_625, 0),
        # One layer more: 9*64*64 + 64 = 36,928 and 9*96*96 + 96 = 83,040, together 119,968.
        ("stacknet", {"depth": 1}, 8_554_657, 0),
        ("stacknet", {"depth": 3}, 8_794_593, 0),
        ("stacknet", {"depth": 4}, 8_914_561, 0),
        ("stacknet", {"depth": 6}, 9_154_497, 0),
        # Only the first stage stacked: three layers of 83,040 fewer than with two.
        ("stacknet", {"stacked_stages": 1}, 8_785_409, 0),
    ],
)
def test_parameter_counts(network, options, trainable, other):
    model = made(network, (200, 200), **options)
    count = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    assert (count, model.count_params() - count) == (trainable, other)


@pytest.mark.parametrize(
    ("variant", "before_output"),
    [("unet", 18), ("unet-bn", 18), ("stacknet", 24), ("stacknet-k5", 24), ("stacknet-all", 22)],
)
def test_number_of_convolutions(variant, before_output):
    assert len(convolutions(build(variant))) == before_output + 1


@pytest.mark.parametrize("variant", VARIANTS)
def test_kernels_and_names(variant):
    """Names are part of the weight format: a change here makes weights unreadable."""
    model = build(variant)
    channels = model.input_shape[-1]
    expected = []
    for level, pairs in table(variant).items():
        for index, (kernel, maps) in enumerate(pairs, start=1):
            received = channels + (SKIPS.get(level, 0) if index == 1 else 0)
            expected.append((f"{level}_conv{index}", (kernel, kernel, received, maps)))
            channels = maps
    expected.append(("output", (1, 1, 64, 1)))
    layers = convolutions(model)
    assert [(layer.name, tuple(layer.kernel.shape)) for layer in layers] == expected
    assert {layer.padding for layer in layers[:-1]} == {"same"}


@pytest.mark.parametrize("variant", ["unet", "unet-bn", "stacknet", "stacknet-k5"])
def test_sizes_at_200_are_those_of_the_paper(variant):
    model = build(variant, (200, 200))
    sizes = {
        "enc1": (200, 64),
        "enc2": (100, 96),
        "enc3": (50, 128),
        "enc4": (25, 256),
        "bottom": (12, 512),
        "dec4": (24, 256),
        "dec3": (48, 128),
        "dec2": (96, 96),
        "dec1": (192, 64),
        "output": (200, 1),
    }
    for layer in convolutions(model):
        side, maps = sizes[layer.name.split("_")[0]]
        assert tuple(layer.output.shape) == (None, side, side, maps), layer.name


@pytest.mark.parametrize(
    ("variant", "field"),
    [(variant, (31, 49)) for variant in VARIANTS] + [("unet", (16, 16)), ("stacknet", (16, 47))],
)
def test_any_field_gives_probabilities_of_its_size(variant, field):
    model = build(variant, field)
    scan = np.random.default_rng(1).normal(0, 1, (1, *field, model.input_shape[-1]))
    probability = predict(model, scan)
    assert probability.shape == (1, *field, 1)
    assert probability.dtype == np.float32
    assert np.isfinite(probability).all()
    assert 0 <= probability.min() < probability.max() <= 1


def test_challenge_field():
    probability = predict(build("unet", (132, 256)), np.ones((1, 132, 256, 2)))
    assert probability.shape == (1, 132, 256, 1)


@pytest.mark.parametrize("network", sorted(UNETS))
@pytest.mark.parametrize("field", [(15, 200), (200, 15), (0, 0), (-16, 16)])
def test_fields_too_small_for_four_poolings(network, field):
    with pytest.raises(ValueError, match=r"16 x 16 pixels was expected. Received: \("):
        NETWORKS[network](of_scan(field, 2))


@pytest.mark.parametrize("options", [{"depth": 0}, {"stacked_stages": 0}, {"stacked_stages": 5}])
def test_stacks_out_of_range(options):
    with pytest.raises(ValueError, match=r"expected\. Received:"):
        NETWORKS["stacknet"](of_scan((16, 16), 2), **options)


@pytest.mark.parametrize("kernel", [1.5, 3.0, True, "3"])
def test_options_are_of_the_type_of_their_defaults(kernel):
    """Found by the fuzzer: a kernel 1.5 pixels wide was taken, and failed far from there."""
    with pytest.raises(PresetError, match="kernel should be of the type int"):
        describe("unet", of_scan((32, 32), 2), {"kernel": kernel})


@pytest.mark.parametrize("variant", ["unet", "unet-bn", "stacknet"])
def test_batch_equals_one_by_one(variant):
    model = build(variant, (32, 48))
    scan = np.random.default_rng(2).normal(0, 1, (5, 32, 48, 2))
    together = predict(model, scan)
    single = np.concatenate([predict(model, scan[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(together, single, rtol=0, atol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 1e-3  # the slices do differ


@pytest.mark.parametrize("types", ["float32", "bfloat16"])
def test_a_network_computes_in_what_was_asked_for_whatever_the_host_has_set(types):
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float16")
    keras.config.set_dtype_policy("mixed_float16")
    try:
        described = NETWORKS["unet"](of_scan((16, 16), 2))
        model = to_keras(described, types=types)
        assert keras.config.floatx() == "float16"
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])
    layer = model.get_layer("bottom_conv1")
    assert (layer.compute_dtype, layer.variable_dtype) == (types, "float32")
    assert model.output.dtype == "float32"  # probabilities keep their digits


def test_channels_stay_last_whatever_the_users_configuration():
    keras.config.set_image_data_format("channels_first")
    try:
        model = build("unet-bn", (16, 32))
    finally:
        keras.config.set_image_data_format("channels_last")
    assert tuple(model.output.shape) == (None, 16, 32, 1)
    assert {tuple(layer.output.shape[1:3]) for layer in convolutions(model)} == {
        (16 >> level, 32 >> level) for level in range(5)
    }


# --- topology, derived by hand --------------------------------------------------------------
#
# Every convolution is made a copy of one map: all taps 0 but the one over the pixel itself. In a
# 'same' convolution that is tap (k - 1) // 2: 2 of 5, 1 of 3, and 1 of 4, since an even kernel
# pads one pixel more at the end. A decoder level then copies either the map that comes up from
# below (map 0 of the concatenation) or the one that crosses over (the first after those from
# below), and the output is the sigmoid of some max-pooled, cropped, doubled and padded input.


def make_copying(model: keras.Model, crossing: str | None) -> None:
    """Lets the maps of the level ``crossing`` come from the encoder, all others from below."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            ones = np.ones(layer.gamma.shape, np.float32)
            layer.set_weights([ones, 0 * ones, 0 * ones, ones - layer.epsilon])
    for layer in convolutions(model):
        kernel = np.zeros(layer.kernel.shape, np.float32)
        level, *rest = layer.name.split("_")
        below = kernel.shape[2] - SKIPS.get(level, 0)
        source = below if level == crossing and rest == ["conv1"] else 0
        tap = (kernel.shape[0] - 1) // 2
        kernel[tap, tap, source, 0] = 1
        layer.set_weights([kernel, np.zeros(layer.bias.shape, np.float32)])


# Field 57 x 48. Rows shrink 57 -> 28 -> 14 -> 7 -> 3 and grow 3 -> 6 -> 12 -> 24 -> 48, so the
# crops are 7-6 = 1, 14-12 = 2, 28-24 = 4, 57-48 = 9 rows, and 0, 1, 2, 4 of them at the start
# (the larger half is at the end). Columns fit: 48 -> 3 -> 48. Level -> (pixels a value stands for,
# rows cropped at the start); the 48 rows go back to rows 4 to 51 of 57.
CROSSINGS = {None: (16, 0), "dec4": (8, 0), "dec3": (4, 1), "dec2": (2, 2), "dec1": (1, 4)}


@pytest.mark.parametrize("variant", ["unet", "unet-bn", "stacknet", "stacknet-k5", "stacknet-all"])
def test_path_of_each_level(variant):
    model = build(variant, (57, 48))
    scan = np.random.default_rng(3).uniform(0, 4, (1, 57, 48, 2))  # positive: ReLU keeps it
    for crossing, (pixels, first) in CROSSINGS.items():
        make_copying(model, crossing)
        rows = 48 // pixels
        flair = scan[0, : 57 // pixels * pixels, :, 0]
        pooled = flair.reshape(57 // pixels, pixels, 48 // pixels, pixels).max(axis=(1, 3))
        grown = np.kron(pooled[first : first + rows], np.ones((pixels, pixels)))
        expected = np.full((57, 48), 0.5)  # sigmoid of the zeros padded
        expected[4:52] = sigmoid(grown)
        received = predict(model, scan)[0, :, :, 0]
        np.testing.assert_allclose(received, expected, atol=1e-5, err_msg=str(crossing))


def test_transposed_field_gives_the_transposed_crop():
    model = build("unet", (48, 57))
    make_copying(model, "dec1")
    scan = np.zeros((1, 48, 57, 2))
    scan[0, :, 4] = scan[0, :, 51] = 3  # the first and the last column that are kept
    scan[0, :, 3] = scan[0, :, 52] = 3  # their neighbours are cut off
    columns = np.flatnonzero((predict(model, scan)[0, :, :, 0] > 0.9).all(axis=0))
    assert columns.tolist() == [4, 51]


def test_second_channel_reaches_the_output():
    model = build("unet")
    make_copying(model, "dec1")
    layer = model.get_layer("enc1_conv1")
    kernel = np.zeros(layer.kernel.shape, np.float32)
    kernel[2, 2, 1, 0] = 1  # T1 in place of FLAIR
    layer.set_weights([kernel, np.zeros(64, np.float32)])
    scan = np.random.default_rng(4).uniform(0, 4, (1, 16, 16, 2))
    np.testing.assert_allclose(predict(model, scan)[..., 0], sigmoid(scan[..., 1]), atol=1e-5)


@pytest.mark.parametrize("variant", ["unet", "unet-bn", "stacknet-bn", "stacknet-all"])
def test_relu_follows_each_convolution_or_its_normalisation(variant):
    """A constant 2 comes down to max(2 - 5, 0) + 5 = 5 at each pair of layers, not to 2."""
    model = build(variant)
    make_copying(model, None)
    has_norm = VARIANTS[variant][1].get("batch_norm", False)
    layers = convolutions(model)
    for first, second in pairwise(layers):
        changed = []
        for layer, shift in ((first, -5), (second, 5)):
            normalised = has_norm and layer.name != "output"
            shifted = model.get_layer(f"{layer.name}_bn").beta if normalised else layer.bias
            before = keras.ops.convert_to_numpy(shifted)
            shifted.assign(before + shift * (np.arange(before.size) == 0))
            changed.append((shifted, before))
        probability = predict(model, np.full((1, 16, 16, 2), 2.0))
        np.testing.assert_allclose(probability, sigmoid(np.float64(5)), atol=1e-5)
        for shifted, before in changed:
            shifted.assign(before)


# --- backends -------------------------------------------------------------------------------

PREDICT = """
import sys
import keras, numpy as np
from wmhseg.networks import catalogue
from wmhseg.networks.keras_model import to_keras
from wmhseg.networks.signature import Signature
assert keras.backend.backend() == sys.argv[1]
values = np.load(sys.argv[2])
signature = Signature((32, 48), (("scan", 2),))
model = to_keras(catalogue.describe("unet", signature, {"batch_norm": True}))
for variable in model.weights:
    variable.assign(values[variable.path])
result = model(values["scan"], training=False)
np.save(sys.argv[3], keras.ops.convert_to_numpy(result))
"""


def test_backends_agree(tmp_path):
    model = build("unet-bn", (32, 48))
    rng = np.random.default_rng(5)
    values = {"scan": rng.normal(0, 1, (2, 32, 48, 2)).astype(np.float32)}
    for variable in model.weights:
        shape = tuple(variable.shape)
        if variable.path.endswith("kernel"):
            value = rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)
        else:
            value = rng.uniform(0.8, 1.2, shape) - variable.path.endswith(("bias", "beta", "mean"))
        values[variable.path] = value.astype(np.float32)
        variable.assign(values[variable.path])
    np.savez(tmp_path / "values.npz", **values)
    expected = predict(model, values["scan"])
    assert expected.std() > 0.01  # neither constant nor saturated

    others = {"tensorflow", "jax", "torch"} - {keras.backend.backend()}
    missing = {name for name in others if not importlib.util.find_spec(name)}
    runs = {}
    for backend in others - missing:
        command = [sys.executable, "-c", PREDICT, backend]
        command += [str(tmp_path / "values.npz"), str(tmp_path / f"{backend}.npy")]
        environment = os.environ | {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
        runs[backend] = subprocess.Popen(
            command,
            cwd=Path(__file__).resolve().parents[2],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
    for backend, run in runs.items():
        _, messages = run.communicate(timeout=900)
        assert run.returncode == 0, f"{backend}: {messages}"
    for backend in runs:
        received = np.load(tmp_path / f"{backend}.npy")
        np.testing.assert_allclose(received, expected, rtol=0, atol=1e-4, err_msg=backend)
    if missing:
        pytest.skip(f"agreed, but not installed and so not compared: {', '.join(sorted(missing))}")
