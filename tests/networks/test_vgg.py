"""The VGG of the challenge: its size, its names, its way, and both engines."""

from __future__ import annotations

import numpy as np
import pytest
from both_engines import in_keras, in_openvino
from conftest import random_tensors

from wmhseg.errors import PresetError
from wmhseg.networks import graph
from wmhseg.networks.catalogue import describe
from wmhseg.networks.signature import Signature


def signature(field: tuple[int, int] = (24, 40), channels: int = 3) -> Signature:
    return Signature(field, (("scan", channels),), 2, "softmax")


def test_parameters() -> None:
    """VGG16's first four blocks have 7,635,264; then 16 maps of each 3x3, and 64 to 2."""
    behind = sum(9 * maps * 16 + 16 for maps in (64, 128, 256, 512))
    assert 7_635_264 + behind + 64 * 2 + 2 == 7_773_698
    assert describe("vgg", signature(), {}).parameter_count() == 7_773_698
    fewer = describe("vgg", signature(), {"maps": 4}).parameter_count()
    assert fewer == 7_635_264 + behind // 4 + 16 * 2 + 2


def test_names_are_those_of_keras_vgg16() -> None:
    """Names are part of the weight format: a change here makes weights unreadable."""
    shapes = describe("vgg", signature(), {}).variables()
    received = 3
    for block, (maps, count) in enumerate([(64, 2), (128, 2), (256, 3), (512, 3)], start=1):
        for index in range(1, count + 1):
            assert shapes[f"block{block}_conv{index}/kernel"] == (3, 3, received, maps)
            assert shapes[f"block{block}_conv{index}/bias"] == (maps,)
            received = maps
        assert shapes[f"block{block}_maps/kernel"] == (3, 3, maps, 16)
    assert shapes["output/kernel"] == (1, 1, 64, 2)
    assert len(shapes) == 2 * (10 + 4 + 1)


def test_keras_vgg16_of_the_same_weights_computes_the_same_blocks() -> None:
    """Keras' own VGG16, given our random weights, gives what the last block gives here."""
    import keras

    described = describe("vgg", signature((32, 40)), {})
    tensors = random_tensors(described)
    scan = np.random.default_rng(1).normal(size=(1, 32, 40, 3)).astype(np.float32)
    theirs = keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 40, 3))
    theirs = keras.Model(theirs.inputs[0], theirs.get_layer("block4_conv3").output)
    for layer in theirs.layers:
        if layer.weights:
            layer.set_weights([tensors[f"{layer.name}/{kind}"] for kind in ("kernel", "bias")])
    expected = np.asarray(theirs(scan))
    (end,) = (layer for layer in described.layers if layer.name == "block4_conv3_relu")
    short = graph.Graph("short", end)
    kept = {name: tensors[name] for name in short.variables()}
    np.testing.assert_allclose(in_keras(short, kept, scan), expected, rtol=0, atol=1e-5)
    assert expected.std() > 0.01
    keras.utils.clear_session()


def test_maps_of_all_blocks_are_joined_without_a_relu() -> None:
    """A map of -1 of each block reaches the labels as -1: scores 0 and -(1 + 2 + 4 + 8) / 10."""
    described = describe("vgg", signature((8, 8)), {})
    tensors = {name: np.zeros(shape, np.float32) for name, shape in described.variables().items()}
    for block in range(4):
        tensors[f"block{block + 1}_maps/bias"][3] = -1
        tensors["output/kernel"][0, 0, 16 * block + 3, 1] = 2**block / 10
    found = in_keras(described, tensors, np.ones((1, 8, 8, 3), np.float32))
    np.testing.assert_allclose(found[..., 1], 1 / (1 + np.exp(1.5)), atol=1e-6)


@pytest.mark.parametrize("field", [(8, 8), (24, 40), (56, 16)])
def test_openvino_equals_keras(field: tuple[int, int]) -> None:
    described = describe("vgg", signature(field), {"maps": 5})
    tensors = random_tensors(described)
    scan = np.random.default_rng(2).normal(size=(2, *field, 3)).astype(np.float32)
    expected = in_keras(described, tensors, scan)
    assert expected.std() > 0.02
    np.testing.assert_allclose(expected.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(in_openvino(described, tensors, scan), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "options", "message"),
    [
        (signature((20, 24)), {}, r"multiples of 8 was expected\. Received: 20 x 24 pixels"),
        (signature((0, 24)), {}, r"multiples of 8 was expected\. Received: 0 x 24 pixels"),
        (signature(channels=2), {}, r"3 channels were expected\. Received: 2"),
        (signature(), {"maps": 0}, r"1 to 512 maps were expected\. Received: 0"),
        (Signature((8, 8), (("a", 3), ("b", 3)), 2, "softmax"), {}, "One input layer.*a, b"),
    ],
)
def test_what_it_does_not_take(wrong: Signature, options: dict[str, int], message: str) -> None:
    with pytest.raises(PresetError, match=message) as caught:
        describe("vgg", wrong, options)
    assert "\n" not in str(caught.value)
