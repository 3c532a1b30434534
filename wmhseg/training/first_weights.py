"""The weights of a network before its first step, where they are not those of another.

Keras draws them (He's normal distribution for what a ReLU follows); here they are changed where
training would else not begin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wmhseg.networks import graph, variables
from wmhseg.networks.graph import Graph
from wmhseg.training.classes import BACKGROUND
from wmhseg.weights.inputs import Input, Labels

WIDE = ("8-bit", "top-hat")
"""Ways to make a channel whose values spread to -127 and 128 and not around 1."""

WIDTH = 64
"""So many times as wide as z-scores these are, about."""

_RARE = 4.0  # logits between the background and the rest at the start


def wide_kernels(described: Graph, inputs: Sequence[Input]) -> dict[str, list[int]]:
    """The kernels that see channels of 8 bit, and which of their channels these are.

    Args:
        described: The network.
        inputs: What it takes.
    """
    found = {}
    for layer in described.layers:
        kernel = f"{layer.name}/kernel"
        seen = [x.name for x in layer.inputs if isinstance(x.operation, graph.InputLayer)]
        if kernel in layer.variables() and seen:
            of_port = [one for one in inputs if one.port == seen[0]]
            places = [place for place, one in enumerate(of_port) if one.how in WIDE]
            if places:
                found[kernel] = places
    return found


def begin(
    model: Any, described: Graph, inputs: Sequence[Input], labels: Labels, *, rare: bool
) -> None:
    """Changes the random weights of a new network.

    Args:
        model: The Keras model of the network.
        described: What it was built from.
        inputs: What it takes.
        labels: What it says.
        rare: Start near probability 0 of all lesions: they are rare, and the Dice loss is steepest
            there.
    """
    tensors = variables.collect(model)
    for path, places in wide_kernels(described, inputs).items():
        # Else all maps would be 64 times as large as with z-scores, and the biases, which Adam
        # moves by the learning rate whatever their gradient, would not matter for ages.
        tensors[path][:, :, places] /= WIDTH
    if rare:
        tensors["output/kernel"] = tensors["output/kernel"] * np.float32(0.1)
        if labels.activation == "softmax":
            tensors["output/bias"][labels.names.index(BACKGROUND)] += _RARE
        else:
            tensors["output/bias"] -= _RARE
    variables.assign(model, tensors, name="the first weights")
