"""Both ends of a network: what is asked for is what is described."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import of_scan

from wmhseg.errors import PresetError
from wmhseg.networks import catalogue
from wmhseg.networks.catalogue import NETWORKS
from wmhseg.networks.graph import Addition, Convolution, Graph, Inside, Layer
from wmhseg.networks.signature import Signature

pytestmark = pytest.mark.any_processor

TWO = Signature((16, 24), (("near", 2), ("wide", 2)), 3, "softmax")


def joined(signature: Signature) -> Graph:
    """The sum of two ports of the same size."""
    ports = tuple(signature.input_layer(port) for port, _ in signature.inputs)
    return Graph("joined", signature.output_layer(Layer(Addition(), ports, "sum")))


def test_one_scan() -> None:
    signature = of_scan((16, 24), 2)
    assert signature == Signature((16, 24), (("scan", 2),), 1, "sigmoid")
    assert signature.only_input().size == (16, 24, 2)
    assert signature.only_input().name == "scan"


def test_both_ends_are_those_asked_for() -> None:
    described = joined(TWO)
    assert [(layer.name, layer.size) for layer in described.inputs] == [
        ("near", (16, 24, 2)),
        ("wide", (16, 24, 2)),
    ]
    assert described.output.size == (16, 24, 3)
    assert described.output.operation == Convolution(3, 1, "softmax")
    TWO.check(described)


@pytest.mark.parametrize("network", ["unet", "stacknet"])
def test_the_published_networks_take_one_port_and_any_labels(network: str) -> None:
    with pytest.raises(PresetError, match=rf"{network} takes.*One input layer.*near, wide"):
        catalogue.describe(network, TWO, {})
    three = Signature((16, 16), (("scan", 5),), 3, "softmax")
    described = catalogue.describe(network, three, {})
    assert described.output.size == (16, 16, 3)
    assert described.variables()["output/kernel"] == (1, 1, 64, 3)
    assert described.variables()["enc1_conv1/kernel"][2] == 5


def half(signature: Signature) -> Graph:
    return Graph("half", signature.output_layer(signature.input_layer("near")))


def one_label(signature: Signature) -> Graph:
    described = joined(signature)
    return Graph("one", Layer(Convolution(1, 1, "softmax"), described.output.inputs, "output"))


def scores(signature: Signature) -> Graph:
    described = joined(signature)
    return Graph("scores", Layer(Convolution(3, 1), described.output.inputs, "output"))


def namesake(signature: Signature) -> Graph:
    taken = Layer(Addition(), tuple(joined(signature).inputs), "near")
    return Graph("namesake", signature.output_layer(taken))


def scores_inside(signature: Signature) -> Graph:
    """What is left alone inside has to be probabilities."""
    described = scores(signature)
    near = described.inputs[0]
    return Graph("inside", Layer(Inside(), (described.output, near), "inside"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (half, "The inputs .*wide.* were expected"),
        (one_label, r"An output of \(16, 24, 3\) with softmax.*\(16, 24, 1\)"),
        (scores, r"An output of \(16, 24, 3\) with softmax.*with None"),
        (scores_inside, r"An output of \(16, 24, 3\) with softmax.*with None"),
        (namesake, "Layers of different names"),
    ],
)
def test_what_a_network_leaves_out_is_an_error(
    monkeypatch: pytest.MonkeyPatch, wrong: Callable[[Signature], Graph], message: str
) -> None:
    monkeypatch.setitem(NETWORKS, "wrong", wrong)
    with pytest.raises(PresetError, match=message):
        catalogue.describe("wrong", TWO, {})
