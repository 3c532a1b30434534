"""Starting one network from the weights of another.

What fits is copied. A kernel of another size is cut or gets a border of zeros; one that sees the
scans gives what it has for each, and 0 for a scan that is new to it; and a convolution
that a deeper stack has on top starts as one that passes its input on (the input comes from a ReLU,
so the ReLU behind it changes nothing). A U-Net with 5x5 kernels in its first stage therefore gives
a Stack-Net with 5x5 kernels that computes the same before its first step. An output of other labels
begins at 0: what a trained network hands to it is large, and random sums of that would be so sure
of anything that they hardly learn.

Source of the idea: T. Chen, I. Goodfellow, J. Shlens. Net2Net: accelerating learning via knowledge
transfer. ICLR 2016.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.errors import WeightsError
from wmhseg.networks import graph, variables
from wmhseg.networks.graph import Graph
from wmhseg.records import MismatchError
from wmhseg.weights.inputs import Input, inputs_of_channels

Float = npt.NDArray[np.float32]
_STACKED = re.compile(r"(?P<stage>.+_conv)(?P<number>[2-9]|[1-9][0-9]+)/(?P<kind>kernel|bias)")


@dataclass(frozen=True)
class Start:
    """What a network starts from.

    Attributes:
        name: What to call it in messages.
        tensors: Weights of the same or of a related network.
        inputs: What that network takes; None where nothing but a weight file is there. Then its
            channels tell it, as in presets of format 1.
    """

    name: str
    tensors: variables.Tensors
    inputs: tuple[Input, ...] | None = None


_OUTPUT = ("output/kernel", "output/bias")

Channels = Mapping[str, Sequence[int | None]]
"""Kernel that sees an input layer -> for each of its channels that of the start, None if new."""


def channels_of(described: Graph, inputs: Sequence[Input], start: Start) -> Channels:
    """Finds the channels of a start: those made from the same scan in the same way.

    Args:
        described: The network that is to start.
        inputs: What it takes.
        start: What it starts from.

    Returns:
        The kernels whose channels are known in both networks, and share at least one.
    """
    found: dict[str, list[int | None]] = {}
    for layer in described.layers:
        path = f"{layer.name}/kernel"
        seen = layer.inputs[0] if isinstance(layer.operation, graph.Convolution) else None
        if seen is None or not isinstance(seen.operation, graph.InputLayer):
            continue
        given = start.tensors.get(path)
        if given is None or given.ndim != 4:
            continue
        left = dict(enumerate(_kinds(_known(start, given.shape[2]), seen.name)))
        if len(left) != given.shape[2]:
            continue
        channels: list[int | None] = []
        for kind in _kinds(inputs, seen.name):
            channel = next((number for number, one in left.items() if one == kind), None)
            if channel is not None:
                del left[channel]  # each goes to one channel, or its part would count twice
            channels.append(channel)
        if any(channel is not None for channel in channels):
            found[path] = channels
    return found


def _known(start: Start, channels: int) -> tuple[Input, ...]:
    if start.inputs is not None:
        return start.inputs
    try:
        return inputs_of_channels(channels, "error")
    except MismatchError:
        return ()


def _kinds(inputs: Sequence[Input], port: str) -> list[tuple[str, str]]:
    """What makes a channel: its scan, and how it is made from it."""
    return [(one.scan, one.how) for one in inputs if one.port == port]


def grow(
    own: Mapping[str, Float], start: Mapping[str, Float], channels: Channels
) -> tuple[dict[str, Float], str]:
    """Gives a network the weights of a related one.

    Args:
        own: Weights of the network as it is; variable -> array, kernels (row, column, received,
            made).
        start: Weights to start from, of the same or a related network.
        channels: See ``channels_of``.

    Returns:
        New weights for every variable of ``own``, and a sentence that says what was done; the
        sentence is empty if no kernel could be taken.
    """
    made: dict[str, Float] = {}
    taken = resized = added = kernels = 0
    other_labels = False
    for path, array in own.items():
        made[path] = array
        given = start.get(path)
        if given is None:
            identity = _passing_on(path, array, start)
            if identity is not None:
                made[path], added = identity, added + 1
            continue
        kept = _received(given, channels[path]) if path in channels else given
        if kept is given and given.shape == array.shape:
            made[path], taken = given, taken + 1
            kernels += given.ndim > 1
        else:
            changed = _resized(kept, array.shape)
            if changed is not None:
                made[path], resized = changed, resized + 1
                kernels += 1
            elif path in _OUTPUT:
                made[path], other_labels = np.zeros_like(array), True
    if not kernels:
        return made, ""
    sentence = f"{taken} of {len(own)} arrays taken"
    sentence += f", {resized} cut or extended" if resized else ""
    sentence += f", {added} made to pass their input on" if added else ""
    sentence += ", the output begun at 0 as it has other labels" if other_labels else ""
    return made, sentence


def _resized(given: Float, shape: tuple[int, ...]) -> Float | None:
    """A kernel in another odd size; None if it does not fit."""
    if len(shape) != 4 or given.ndim != 4 or given.shape[2:] != shape[2:]:
        return None
    even = any(side % 2 == 0 for side in (*given.shape[:2], *shape[:2]))
    if even and given.shape != shape:
        return None
    made = np.zeros(shape, np.float32)
    rows, columns = (
        (slice((old - both) // 2, (old + both) // 2), slice((new - both) // 2, (new + both) // 2))
        for old, new in zip(given.shape[:2], shape[:2], strict=True)
        for both in [min(old, new)]
    )
    made[rows[1], columns[1]] = given[rows[0], columns[0]]
    return made


def _received(given: Float, channels: Sequence[int | None]) -> Float:
    """A kernel for other channels: what a new one brings is not looked at yet."""
    if list(channels) == list(range(given.shape[2])):
        return given
    made = np.zeros((*given.shape[:2], len(channels), given.shape[3]), np.float32)
    for place, channel in enumerate(channels):
        if channel is not None:
            made[:, :, place] = given[:, :, channel]
    return made


def _passing_on(path: str, array: Float, start: Mapping[str, Float]) -> Float | None:
    """The convolution that leaves its input as it is, where the start has a shorter stack."""
    stacked = _STACKED.fullmatch(path)
    if stacked is None or f"{stacked['stage']}1/kernel" not in start:
        return None
    if stacked["kind"] == "bias":
        return np.zeros_like(array)
    rows, columns, received, filters = array.shape
    if received != filters or rows % 2 == 0 or columns % 2 == 0:
        return None
    made = np.zeros_like(array)
    made[rows // 2, columns // 2] = np.eye(filters, dtype=np.float32)
    return made


def as_it_is(described: Graph, inputs: Sequence[Input], start: Start) -> variables.Tensors:
    """Weights of exactly this network, not changed.

    Args:
        described: The network.
        inputs: What it takes.
        start: Where the weights come from.

    Raises:
        WeightsError: If they are not of this network, or of one that takes other inputs.
    """
    wanted = described.variables()
    found = {path: array.shape for path, array in start.tensors.items()}
    differing = sorted(
        path for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path)
    )
    if differing:
        raise WeightsError(
            f"Weights of exactly the network {described.name} were expected, to take them as "
            "they are (steps 0)",
            received=f"{start.name}, other at {len(differing)} of {len(wanted)} variables, such "
            f"as {differing[0]}",
            advice="Name another start_from, or the network and options that these weights are of.",
        )
    if start.inputs is not None and _shown(start.inputs) != _shown(inputs):
        raise WeightsError(
            "Weights of a network of the plan's inputs were expected, to take them as they are "
            "(steps 0)",
            received=f"{start.name}, of {_told(start.inputs)}, not {_told(inputs)}",
        )
    return start.tensors


def _shown(inputs: Sequence[Input]) -> list[tuple[str, str, str, int]]:
    """What makes the channels, in their order."""
    return [(one.scan, one.how, one.port, one.slice) for one in inputs]


def _told(inputs: Sequence[Input]) -> str:
    return ", ".join(f"{one.scan} ({one.how})" for one in inputs)


def take_start(model: Any, described: Graph, inputs: Sequence[Input], start: Start) -> str:
    """Puts the weights of a related network, grown, into a network.

    Args:
        model: A Keras model of this package.
        described: What it was built from.
        inputs: What it takes.
        start: The related network.

    Returns:
        A sentence that says what was taken.

    Raises:
        WeightsError: If there is nothing to take.
    """
    channels = channels_of(described, inputs, start)
    made, sentence = grow(variables.collect(model), start.tensors, channels)
    if not sentence:
        raise WeightsError(
            "Weights that share at least one kernel with the network were expected",
            received=start.name,
        )
    variables.assign(model, made, name=start.name)
    return sentence
