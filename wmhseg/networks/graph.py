"""The language networks are described in: a graph of layers that belongs to no engine.

A network is described once, in a module of its own (``unet``, ``stacknet``); ``keras_model`` makes
a Keras model of the description for training and as the reference, ``engines.openvino_graph`` what
a processor runs fastest. Sizes are (row, column, channel); kernels (row, column, received, made),
as Keras keeps them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Size = tuple[int, int, int]
Sides = tuple[tuple[int, int], tuple[int, int]]  # rows (start, end), columns (start, end)


@dataclass(frozen=True)
class InputLayer:
    """An input layer: a network has one or several.

    Attributes:
        size: Rows, columns, channels.
    """

    size: Size


@dataclass(frozen=True)
class Convolution:
    """A 'same' convolution with a bias; even kernels pad one pixel more at the end.

    Attributes:
        filters: Maps it makes.
        kernel: Side of the square kernel in pixels.
        activation: What makes probabilities of the maps, in float32 whatever the rest is computed
            in: "sigmoid" map by map, "softmax" over all maps of a pixel; None leaves them.
    """

    filters: int
    kernel: int
    activation: Literal["sigmoid", "softmax"] | None = None


@dataclass(frozen=True)
class GrowingConvolution:
    """A transposed convolution of stride 2 that doubles rows and columns; it has no bias.

    Value x[i] is added to y[2 i + k - (kernel - 2) / 2] with the weight of tap k.

    Attributes:
        filters: Maps it makes.
        kernel: Side of the square kernel in pixels, even.
    """

    filters: int
    kernel: int


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalisation with the statistics of training.

    Attributes:
        epsilon: Added to the variance.
    """

    epsilon: float = 1e-3


@dataclass(frozen=True)
class Relu:
    """max(x, 0)."""


@dataclass(frozen=True)
class MaxPool:
    """The largest of 2 x 2 pixels; an odd last row or column is left out."""


@dataclass(frozen=True)
class Doubling:
    """Every pixel becomes 2 x 2 of its value."""


@dataclass(frozen=True)
class Concatenation:
    """The maps of all inputs, one after the other."""


@dataclass(frozen=True)
class Addition:
    """The sum of the inputs."""


@dataclass(frozen=True)
class Crop:
    """Leaves out rows and columns at the sides."""

    sides: Sides


@dataclass(frozen=True)
class Pad:
    """Adds rows and columns of zeros at the sides."""

    sides: Sides


Operation = (
    InputLayer
    | Convolution
    | GrowingConvolution
    | BatchNorm
    | Relu
    | MaxPool
    | Doubling
    | Concatenation
    | Addition
    | Crop
    | Pad
)


@dataclass(frozen=True, eq=False)
class Layer:
    """One step of a network, and what it is applied to.

    Attributes:
        operation: What it does.
        inputs: The layers whose output it takes.
        name: Unique in a network; its variables are stored under it.
        size: Rows, columns and maps of what comes out.
    """

    operation: Operation
    inputs: tuple[Layer, ...]
    name: str
    size: Size = field(init=False)

    def __post_init__(self) -> None:
        """Computes the size once."""
        object.__setattr__(self, "size", _size(self.operation, [x.size for x in self.inputs]))

    def variables(self) -> dict[str, tuple[int, ...]]:
        """Its variables, as weight files name them, and their shapes."""
        match self.operation:
            case Convolution(filters, kernel):
                shape = (kernel, kernel, self.inputs[0].size[2], filters)
                return {f"{self.name}/kernel": shape, f"{self.name}/bias": (filters,)}
            case GrowingConvolution(filters, kernel):
                return {f"{self.name}/kernel": (kernel, kernel, self.inputs[0].size[2], filters)}
            case BatchNorm():
                kinds = ("gamma", "beta", "moving_mean", "moving_variance")
                return {f"{self.name}/{kind}": (self.size[2],) for kind in kinds}
            case _:
                return {}

    def multiplications(self) -> int:
        """Multiply-accumulates of its convolution for one slice; other layers count 0."""
        match self.operation:
            case Convolution(filters, kernel):
                pixels = self.size[0] * self.size[1]
            case GrowingConvolution(filters, kernel):
                pixels = self.inputs[0].size[0] * self.inputs[0].size[1]
            case _:
                return 0
        return pixels * kernel * kernel * self.inputs[0].size[2] * filters


def _size(operation: Operation, inputs: list[Size]) -> Size:
    """Size of what an operation makes of inputs of these sizes."""
    match operation:
        case InputLayer(size):
            return size
        case Convolution(filters, _):
            return (*inputs[0][:2], filters)
        case GrowingConvolution(filters, _):
            return 2 * inputs[0][0], 2 * inputs[0][1], filters
        case MaxPool():
            return inputs[0][0] // 2, inputs[0][1] // 2, inputs[0][2]
        case Doubling():
            return 2 * inputs[0][0], 2 * inputs[0][1], inputs[0][2]
        case Concatenation():
            return (*inputs[0][:2], sum(size[2] for size in inputs))
        case Crop(sides):
            rows, columns = (n - sum(side) for n, side in zip(inputs[0], sides, strict=False))
            return rows, columns, inputs[0][2]
        case Pad(sides):
            rows, columns = (n + sum(side) for n, side in zip(inputs[0], sides, strict=False))
            return rows, columns, inputs[0][2]
        case _:
            return inputs[0]


@dataclass(frozen=True, eq=False)
class Graph:
    """A network.

    Attributes:
        name: What it is called.
        output: Its last layer; the others are found from there.
    """

    name: str
    output: Layer

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, each after those it takes."""
        return tuple(_walk(self.output, set()))

    @property
    def inputs(self) -> tuple[Layer, ...]:
        """All input layers, in the order in which layers first take them."""
        return tuple(layer for layer in self.layers if isinstance(layer.operation, InputLayer))

    def variables(self) -> dict[str, tuple[int, ...]]:
        """All variables, as weight files name them, and their shapes."""
        return {k: v for layer in self.layers for k, v in layer.variables().items()}

    def parameter_count(self) -> int:
        """Numbers in all variables together."""
        return sum(math.prod(shape) for shape in self.variables().values())

    def multiplications(self) -> int:
        """Multiply-accumulates of all convolutions for one slice."""
        return sum(layer.multiplications() for layer in self.layers)


def _walk(layer: Layer, seen: set[int]) -> Iterator[Layer]:
    """Yields a layer after all that it needs, each once."""
    if id(layer) not in seen:
        seen.add(id(layer))
        for taken in layer.inputs:
            yield from _walk(taken, seen)
        yield layer
