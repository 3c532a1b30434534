"""The uResNet: its size, its elements, and both engines."""

from __future__ import annotations

import numpy as np
import pytest
from both_engines import in_keras, in_openvino
from conftest import random_tensors

from wmhseg.errors import PresetError
from wmhseg.networks import graph
from wmhseg.networks.catalogue import describe
from wmhseg.networks.graph import Layer
from wmhseg.networks.signature import Signature


def signature(field: tuple[int, int] = (24, 40), channels: int = 1, labels: int = 3) -> Signature:
    return Signature(field, (("scan", channels),), labels, "softmax")


def test_parameters() -> None:
    """The paper's million, as decided on; each further channel has 3x3 and 1x1 taps to 32 maps."""
    assert describe("uresnet", signature(), {}).parameter_count() == 1_044_547
    assert describe("uresnet", signature(channels=3), {}).parameter_count() == (
        1_044_547 + 2 * 10 * 32
    )
    assert describe("uresnet", signature(labels=5), {}).parameter_count() == 1_044_547 + 2 * 33


def elements(layers: tuple[Layer, ...]) -> list[tuple[str, int]]:
    """Residual elements: ReLU of the sum of a 3x3 and a 1x1 convolution of the same maps."""
    found = []
    for layer in layers:
        if isinstance(layer.operation, graph.Relu):
            added = layer.inputs[0]
            kinds = [getattr(taken.operation, "kernel", 0) for taken in added.inputs]
            if isinstance(added.operation, graph.Addition) and kinds == [3, 1]:
                (taken,) = {id(x.inputs[0]): x.inputs[0] for x in added.inputs}.values()
                found.append((f"{taken.name} -> {layer.name}", layer.size[2]))
    return found


def test_eight_elements_three_deconvolutions_one_convolution() -> None:
    layers = describe("uresnet", signature((32, 48)), {}).layers
    assert elements(layers) == [
        ("scan -> down1_relu", 32),
        ("down1_pool -> down2_relu", 64),
        ("down2_pool -> down3_relu", 128),
        ("down3_pool -> down4_relu", 256),
        ("up3_sum -> up3_relu", 128),
        ("up2_sum -> up2_relu", 64),
        ("up1_sum -> up1_relu", 32),
        ("up1_relu -> last_relu", 32),
    ]
    grown = [x for x in layers if isinstance(x.operation, graph.GrowingConvolution)]
    assert [x.size for x in grown] == [(8, 12, 128), (16, 24, 64), (32, 48, 32)]
    sums = {x.name: [y.name for y in x.inputs] for x in layers if x.name.endswith("_sum")}
    assert sums == {
        f"up{level}_sum": [f"up{level}_grow_relu", f"down{level}_relu"] for level in (3, 2, 1)
    }
    alone = [x.name for x in layers if getattr(x.operation, "activation", None)]
    assert alone == ["output"]


def test_random_weights_keep_what_passes_through_in_size() -> None:
    """Glorot fits a sum of two convolutions: neither fades nor grows by a factor of 10."""
    import keras

    from wmhseg.networks.keras_model import to_keras

    keras.utils.set_random_seed(3)
    described = describe("uresnet", signature((32, 32)), {})
    (end,) = (layer for layer in described.layers if layer.name == "last_relu")
    model = to_keras(graph.Graph("short", end))
    scan = np.random.default_rng(1).normal(size=(4, 32, 32, 1)).astype(np.float32)
    found = np.asarray(model(scan, training=False))
    assert 0.1 < np.sqrt((found**2).mean()) < 10
    keras.utils.clear_session()


@pytest.mark.parametrize(("field", "channels"), [((8, 8), 1), ((24, 40), 2), ((56, 16), 1)])
def test_openvino_equals_keras(field: tuple[int, int], channels: int) -> None:
    described = describe("uresnet", signature(field, channels), {})
    tensors = random_tensors(described)
    # Sums of two convolutions grow from element to element. With responses of some units, as of
    # trained weights, a float32's last digits are below 1e-5 of a probability, whatever the
    # processor's order of sums; with hundreds they are not.
    tensors["output/kernel"] *= 0.1
    scan = np.random.default_rng(2).normal(size=(2, *field, channels)).astype(np.float32)
    expected = in_keras(described, tensors, scan)
    assert expected.std() > 0.02
    np.testing.assert_allclose(expected.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(in_openvino(described, tensors, scan), expected, rtol=0, atol=1e-5)


def test_a_field_that_is_no_multiple_of_8() -> None:
    with pytest.raises(PresetError, match=r"multiples of 8 was expected\. Received: 64 x 60 p"):
        describe("uresnet", signature((64, 60)), {})


@pytest.mark.parametrize("start", ["glorot", "he"])
def test_how_elements_start(start: str) -> None:
    described = describe("uresnet", signature(), {"start": start})
    of_elements = [
        layer.operation for layer in described.layers if layer.name.endswith(("_conv", "_project"))
    ]
    assert len(of_elements) == 16
    assert {one.start for one in of_elements if isinstance(one, graph.Convolution)} == {start}


def test_another_start() -> None:
    with pytest.raises(PresetError, match="start out of glorot, he"):
        describe("uresnet", signature(), {"start": "zero"})
