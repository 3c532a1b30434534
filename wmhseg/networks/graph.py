"""The language networks are described in: a graph of layers that belongs to no engine.

A network is described once, in a module of its own (``unet``, ``stacknet``); ``keras_model`` makes
a Keras model of the description for training and as the reference, ``engines.openvino_graph`` what
a processor runs fastest. Sizes are (row, column, channel). Kernels lie as Keras keeps them, in
memory and in weight files: (row, column, received, made) in convolutions, (row, column, made,
received) in transposed ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Size = tuple[int, int, int]
Start = Literal["he", "glorot"]
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
    """A convolution.

    Attributes:
        filters: Maps it makes.
        kernel: Side of the square kernel in pixels.
        activation: What makes probabilities of the maps, in float32 whatever the rest is computed
            in: "sigmoid" map by map, "softmax" over all maps of a pixel; None leaves them.
        padding: "same" surrounds what comes in with zeros, so that the size stays; even kernels
            pad one pixel more at the end. "valid" computes where the kernel lies inside.
        dilation: Steps in pixels between the taps of the kernel.
        bias: Whether it adds a number to each map.
        start: What its random weights are drawn from: "he" suits one ReLU after it, "glorot" what
            is not followed by one, or is added to something first. Probabilities start as glorot.
    """

    filters: int
    kernel: int
    activation: Literal["sigmoid", "softmax"] | None = None
    padding: Literal["same", "valid"] = "same"
    dilation: int = 1
    bias: bool = True
    start: Start = "he"

    @property
    def reach(self) -> int:
        """Pixels from its first tap to its last."""
        return self.dilation * (self.kernel - 1)


@dataclass(frozen=True)
class GrowingConvolution:
    """A transposed convolution of stride 2 that doubles rows and columns.

    Value x[i] is added to y[2 i + k - floor((kernel - 2) / 2)] with the weight of tap k; what
    falls outside is lost.

    Attributes:
        filters: Maps it makes.
        kernel: Side of the square kernel in pixels, 2 or more.
        bias: Whether it adds a number to each map.
    """

    filters: int
    kernel: int
    bias: bool = False


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
class MeanPool:
    """The mean of side x side pixels.

    Attributes:
        side: Rows and columns of pixels.
        stride: Pixels from one mean to the next; the last that are not whole are left out.
    """

    side: int
    stride: int


@dataclass(frozen=True)
class Doubling:
    """Every pixel becomes 2 x 2 of its value."""


@dataclass(frozen=True)
class Enlarging:
    """Bilinear enlargement; beyond the centres of the outermost pixels their values go on.

    Attributes:
        factor: How many times rows and columns become more.
    """

    factor: int


@dataclass(frozen=True)
class Concatenation:
    """The maps of all inputs, one after the other."""


@dataclass(frozen=True)
class Addition:
    """The sum of the inputs."""


@dataclass(frozen=True)
class Scaling:
    """Every value times the same number."""

    factor: float


@dataclass(frozen=True)
class Dropout:
    """In training, a random share of the values becomes 0 and the others grow; else nothing.

    Attributes:
        share: From 0 to below 1.
    """

    share: float


@dataclass(frozen=True)
class Inside:
    """Leaves probabilities where an input holds something; elsewhere the first label is sure.

    It takes the probabilities, and an input layer of the same rows and columns; a pixel of which
    all channels are 0 is outside.
    """


@dataclass(frozen=True)
class Patchwise:
    """What another network says of the patch around every pixel, zeros around the field.

    It takes what that network takes, in the order of its inputs: first the scan, of which the patch
    of side s around row r has rows r - s / 2 to r + s / 2 - 1, columns alike; then maps of the
    field's size, of which that network gets a pixel. That network gives one pixel of labels.

    Attributes:
        described: The network.
    """

    described: Graph


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
    | MeanPool
    | Doubling
    | Enlarging
    | Concatenation
    | Addition
    | Scaling
    | Dropout
    | Inside
    | Patchwise
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
        shares: Name of an earlier layer of the same kind whose variables it uses in place of its
            own.
        size: Rows, columns and maps of what comes out.
    """

    operation: Operation
    inputs: tuple[Layer, ...]
    name: str
    shares: str | None = None
    size: Size = field(init=False)

    def __post_init__(self) -> None:
        """Computes the size once."""
        object.__setattr__(self, "size", _size(self.operation, [x.size for x in self.inputs]))

    def variable(self, kind: str) -> str:
        """What weight files call one of its variables, such as its "kernel"."""
        return f"{self.shares or self.name}/{kind}"

    def variables(self) -> dict[str, tuple[int, ...]]:
        """Its variables, as weight files name them, and their shapes."""
        shapes: dict[str, tuple[int, ...]] = {}
        match self.operation:
            case Patchwise(described):
                return described.variables()
            case Convolution(filters, kernel, bias=bias):
                shapes["kernel"] = (kernel, kernel, self.inputs[0].size[2], filters)
                shapes |= {"bias": (filters,)} if bias else {}
            case GrowingConvolution(filters, kernel, bias):
                shapes["kernel"] = (kernel, kernel, filters, self.inputs[0].size[2])
                shapes |= {"bias": (filters,)} if bias else {}
            case BatchNorm():
                kinds = ("gamma", "beta", "moving_mean", "moving_variance")
                shapes |= {kind: (self.size[2],) for kind in kinds}
        return {self.variable(kind): shape for kind, shape in shapes.items()}

    def multiplications(self) -> int:
        """Multiply-accumulates of its convolution for one slice; other layers count 0."""
        match self.operation:
            case Convolution(filters, kernel):
                pixels = self.size[0] * self.size[1]
            case GrowingConvolution(filters, kernel):
                pixels = self.inputs[0].size[0] * self.inputs[0].size[1]
            case Patchwise(described):
                return self.size[0] * self.size[1] * described.multiplications()
            case _:
                return 0
        return pixels * kernel * kernel * self.inputs[0].size[2] * filters


def _size(operation: Operation, inputs: list[Size]) -> Size:
    """Size of what an operation makes of inputs of these sizes."""
    match operation:
        case InputLayer(size):
            return size
        case Concatenation():
            return (*inputs[0][:2], sum(size[2] for size in inputs))
        case Patchwise(described):
            return (*inputs[0][:2], described.output.size[2])
    rows, columns = (_side(operation, axis, inputs[0][axis]) for axis in (0, 1))
    if isinstance(operation, Convolution | GrowingConvolution):
        return rows, columns, operation.filters
    return rows, columns, inputs[0][2]


def _side(operation: Operation, axis: int, pixels: int) -> int:
    """Rows (axis 0) or columns (axis 1) that an operation makes of so many."""
    match operation:
        case Convolution(padding="valid"):
            return pixels - operation.reach
        case MaxPool():
            return pixels // 2
        case MeanPool(side, stride):
            return (pixels - side) // stride + 1
        case GrowingConvolution() | Doubling():
            return 2 * pixels
        case Enlarging(factor):
            return factor * pixels
        case Crop(sides):
            return pixels - sum(sides[axis])
        case Pad(sides):
            return pixels + sum(sides[axis])
        case _:
            return pixels


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
