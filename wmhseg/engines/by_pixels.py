"""Networks of few places and much to say about each: computed for the pixels that matter alone.

A network whose last part looks at every pixel for itself is cut where that begins: OpenVINO
computes what comes before, and the rest for lists of the pixels inside the brain. Of large valid
convolutions that it begins with, ``spectral`` computes the same pixels alone. It is an exact
rewriting, up to float32's rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from wmhseg.engines import spectral
from wmhseg.engines.interface import Batch, Float
from wmhseg.networks import graph
from wmhseg.networks.graph import Graph, Layer
from wmhseg.networks.variables import Tensors

PIXELS = 4096
"""Pixels in one call of the last part."""

SMALLEST_KERNEL = 12
"""Of a convolution that is worth it."""

_PIXELWISE = (
    graph.Relu, graph.BatchNorm, graph.Concatenation, graph.Addition, graph.Scaling, graph.Dropout,
)  # fmt: skip


@dataclass(frozen=True)
class Cut:
    """A network in parts.

    Attributes:
        large: The convolutions that are computed by frequencies.
        whole: Other layers that are computed at all pixels.
        last: What follows them, for lists of pixels: (1, PIXELS, channel) of each of these and
            each input layer that it takes, under their names.
        within: Name of the input layer that is 0 outside the brain.
    """

    large: tuple[Layer, ...]
    whole: tuple[Layer, ...]
    last: Graph
    within: str


def cut(described: Graph) -> Cut | None:
    """Cuts a network, or returns None if it is not one of this kind."""
    end = described.output
    if not isinstance(end.operation, graph.Inside):
        return None
    made: dict[str, Layer] = {}
    if not _on_pixels(end.inputs[0], made):
        return None
    last = Graph(f"{described.name}-pixels", made[end.inputs[0].name])
    if not last.output.inputs:  # nothing is left for lists
        return None
    taken = {layer.name for layer in last.inputs}
    before = [layer for layer in described.layers if layer.name in taken and layer.inputs]
    large = tuple(layer for layer in before if _is_large(layer))
    whole = tuple(layer for layer in before if not _is_large(layer))
    return Cut(large, whole, last, end.inputs[1].name) if before else None


def _is_large(layer: Layer) -> bool:
    operation = layer.operation
    return (
        isinstance(operation, graph.Convolution)
        and operation.padding == "valid"
        and operation.activation is None
        and SMALLEST_KERNEL <= operation.kernel <= spectral.LARGEST_KERNEL
    )


def _on_pixels(layer: Layer, made: dict[str, Layer]) -> bool:
    """Describes a layer for lists of pixels; False where it looks at a pixel's neighbours.

    A layer that takes what does is where the lists begin.
    """
    if layer.name in made:
        return True
    listed = Layer(graph.InputLayer((1, PIXELS, layer.size[2])), (), layer.name)
    if _is_large(layer) or isinstance(layer.operation, graph.InputLayer):
        made[layer.name] = listed
        return True
    one = isinstance(layer.operation, graph.Convolution) and layer.operation.kernel == 1
    if not (one or isinstance(layer.operation, _PIXELWISE)):
        return False
    if not all(_on_pixels(taken, made) for taken in layer.inputs):
        made[layer.name] = listed
        return True
    made[layer.name] = replace(layer, inputs=tuple(made[x.name] for x in layer.inputs))
    return True


@dataclass(frozen=True)
class _Before:
    """What comes before lists of pixels, compiled.

    Attributes:
        layer: Where the lists begin.
        request: Computes it, or what it takes.
        ports: Names of the input layers that are needed.
    """

    layer: Layer
    request: Any
    ports: tuple[str, ...]

    def __call__(self, taken: dict[str, Float]) -> Float:
        """(row, column, map) of port -> (row, column, channel); valid until the next call."""
        arrays = [
            np.ascontiguousarray(np.moveaxis(taken[port], 2, 0)[None], np.float32)
            for port in self.ports
        ]
        maps: Float = self.request.infer(arrays, share_inputs=True, share_outputs=True)[0][0]
        return maps


def _before(layer: Layer, end: Layer, tensors: Tensors, compiled: Callable[[Any], Any]) -> _Before:
    from wmhseg.engines.openvino_graph import to_openvino

    part = Graph(f"{layer.name}-before", end)
    request = compiled(to_openvino(part, tensors, 1, maps_last=True))
    return _Before(layer, request, tuple(x.name for x in part.inputs))


@dataclass(frozen=True)
class _Large:
    """A large convolution, ready."""

    before: _Before
    weights: Float
    bias: Float
    multiply: spectral.Multiply

    @property
    def dilation(self) -> int:
        operation = self.before.layer.operation
        assert isinstance(operation, graph.Convolution)
        return operation.dilation


class CompiledByPixels:
    """A network that was cut, compiled."""

    def __init__(
        self,
        parts: Cut,
        tensors: Tensors,
        compiled: Callable[[Any], Any],
        exactly: Callable[[Any], Any],
    ) -> None:
        """Compiles all parts.

        Args:
            parts: The network.
            tensors: Its weights.
            compiled: What compiles an OpenVINO model.
            exactly: The same in float32 in any case: frequencies need its digits.
        """
        from wmhseg.engines.openvino_graph import to_openvino
        from wmhseg.engines.openvino_spectral import Multiplications

        self._parts = parts
        self._whole = [_before(layer, layer, tensors, compiled) for layer in parts.whole]
        self._last = compiled(to_openvino(parts.last, tensors, 1))
        multiply: dict[tuple[int, int, int], spectral.Multiply] = {}
        self._large: list[_Large] = []
        for layer in parts.large:
            kernel = tensors[layer.variable("kernel")]
            size = (kernel.shape[0], kernel.shape[2], kernel.shape[3])
            if size not in multiply:
                multiply[size] = Multiplications(*size, exactly)
            bias = tensors.get(layer.variable("bias"), np.zeros(kernel.shape[3], np.float32))
            self._large.append(
                _Large(
                    _before(layer, layer.inputs[0], tensors, compiled),
                    spectral.frequencies(kernel),
                    bias,
                    multiply[size],
                )
            )

    def __call__(self, batch: Batch) -> Float:
        """Computes port -> (slice, row, column, channel) to (slice, row, column, label)."""
        within = batch[self._parts.within]
        labels = self._parts.last.output.size[2]
        found = np.zeros((*within.shape[:3], labels), np.float32)
        found[..., 0] = 1
        for number, one in enumerate(within):
            inside = (one != 0).any(-1)
            if inside.any():
                taken = {port: stack[number] for port, stack in batch.items()}
                found[number][inside] = self._pixels(taken, inside)
        return found

    def _pixels(self, taken: dict[str, Float], inside: spectral.Bool) -> Float:
        """Probabilities of the pixels inside, (pixel, label)."""
        known: dict[str, Float] = {one.layer.name: one(taken)[inside] for one in self._whole}
        for large in self._large:
            maps = large.before(taken)
            known[large.before.layer.name] = large.bias + spectral.correlate(
                maps, large.weights, inside, large.dilation, large.multiply
            )
        names = [layer.name for layer in self._parts.last.inputs]
        lists = [known[name] if name in known else taken[name][inside] for name in names]
        found = np.empty((len(lists[0]), self._parts.last.output.size[2]), np.float32)
        for first in range(0, len(found), PIXELS):
            part = [_filled(one[first : first + PIXELS]) for one in lists]
            maps = self._last.infer(part, share_inputs=True, share_outputs=True)[0]
            some = found[first : first + PIXELS]
            some[:] = maps[0, :, 0, : len(some)].T
        return found


def _filled(values: Float) -> Float:
    """(pixel, channel) as (1, channel, 1, PIXELS), zeros at the end."""
    made = np.zeros((1, values.shape[1], 1, PIXELS), np.float32)
    made[0, :, 0, : len(values)] = values.T
    return made
