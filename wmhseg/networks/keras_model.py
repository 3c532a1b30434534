"""A network's description as a Keras model. Arrays are (slice, row, column, channel)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import keras
import numpy as np
from keras import layers, ops

from wmhseg.networks import graph
from wmhseg.networks.graph import Graph, Layer

# Said to every layer, since a user's Keras configuration may hold another default.
FORMAT = "channels_last"

Types = Literal["float32", "bfloat16"]
"""What layers compute in; weights are float32 in either."""

_STARTS = {"he": "he_normal", "glorot": "glorot_uniform"}
_POLICIES: dict[Types, str] = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def to_keras(described: Graph, *, types: Types = "float32") -> keras.Model:
    """Builds a Keras model with random weights, whatever types the host program has set.

    Args:
        described: The network. Its layers' names become those of the model's layers.
        types: What it computes in; its weights are float32.

    Returns:
        A model from (slice, row, column, channel) to (slice, row, column, map). Where there are
        several inputs, it takes a list in the order of ``described.inputs``.
    """
    with _computing_in(types):
        return _model(described)


@contextmanager
def _computing_in(types: Types) -> Iterator[None]:
    """Sets Keras' types of number for layers that are built inside, and puts them back."""
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy(_POLICIES[types])
    try:
        yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])


def _model(described: Graph) -> keras.Model:
    made: dict[str, Any] = {}
    built: dict[str, keras.layers.Layer] = {}
    for layer in described.layers:
        taken = [made[x.name] for x in layer.inputs]
        if isinstance(layer.operation, graph.InputLayer):
            made[layer.name] = keras.Input(layer.size, name=layer.name)
        else:
            built[layer.name] = _again(layer, built) if layer.shares else _layer(layer)
            made[layer.name] = built[layer.name](taken if len(taken) > 1 else taken[0])
    inputs = [made[layer.name] for layer in described.inputs]
    return keras.Model(
        inputs if len(inputs) > 1 else inputs[0], made[described.output.name], name=described.name
    )


def _layer(layer: Layer) -> keras.layers.Layer:
    """The Keras layer that does what a layer of the description does."""
    where: dict[str, Any] = {"name": layer.name, "data_format": FORMAT}
    match layer.operation:
        case graph.Convolution():
            return _convolution(layer.operation, where)
        case graph.GrowingConvolution(filters, kernel, bias):
            return layers.Conv2DTranspose(
                filters, kernel, strides=2, padding="same", use_bias=bias, **where
            )
        case graph.BatchNorm(epsilon):
            return layers.BatchNormalization(epsilon=epsilon, name=layer.name)
        case graph.Concatenation():
            return layers.Concatenate(name=layer.name)
        case graph.Addition():
            return layers.Add(name=layer.name)
        case graph.Scaling(factor):
            return layers.Rescaling(factor, name=layer.name)
        case graph.Dropout(share):
            return layers.Dropout(share, name=layer.name)
        case graph.Inside() | graph.Patchwise():
            return _of_scans(layer)
        case graph.Relu():
            return layers.Activation("relu", name=layer.name)
        case _:
            return _resizing(layer.operation, where)


def _resizing(operation: graph.Operation, where: dict[str, Any]) -> keras.layers.Layer:
    """What changes rows and columns alone."""
    match operation:
        case graph.MaxPool():
            return layers.MaxPooling2D(2, **where)
        case graph.MeanPool(side, stride):
            # In float32, as some backends add many pixels up in the type that they come in.
            where |= {"dtype": "float32"} if side > 1 else {}
            return layers.AveragePooling2D(side, strides=stride, padding="valid", **where)
        case graph.Doubling():
            return layers.UpSampling2D(2, interpolation="nearest", **where)
        case graph.Enlarging(factor):
            return layers.UpSampling2D(factor, interpolation="bilinear", **where)
        case graph.Crop(sides):
            return layers.Cropping2D(sides, **where)
        case graph.Pad(sides):
            return layers.ZeroPadding2D(sides, **where)
        case _:
            raise TypeError(f"A known operation was expected. Received: {operation}.")


def _again(layer: Layer, built: dict[str, keras.layers.Layer]) -> keras.layers.Layer:
    """A layer that uses the variables of an earlier one; convolutions may differ in dilation."""
    owner = built[layer.shares or layer.name]
    if isinstance(layer.operation, graph.Convolution):
        return _ConvolvingAgain(owner, layer.operation, name=layer.name)
    return owner


class _ConvolvingAgain(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """A convolution with another layer's kernel and bias."""

    def __init__(self, owner: Any, operation: graph.Convolution, name: str) -> None:
        super().__init__(name=name)
        self.owner, self.operation = owner, operation

    def call(self, taken: Any) -> Any:
        """Takes and gives (slice, row, column, map)."""
        made = ops.conv(
            taken,
            self.owner.kernel,
            padding=self.operation.padding,
            data_format=FORMAT,
            dilation_rate=self.operation.dilation,
        )
        return ops.add(made, self.owner.bias) if self.operation.bias else made


def _of_scans(layer: Layer) -> keras.layers.Layer:
    """What takes a scan as it is."""
    if isinstance(layer.operation, graph.Patchwise):
        return _Patchwise(layer.operation.described, name=layer.name, dtype="float32")
    return _Inside(name=layer.name, dtype="float32")


class _Patchwise(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """See ``graph.Patchwise``: a row of patches at a time."""

    def __init__(self, described: Graph, **named: Any) -> None:
        super().__init__(**named)
        self.inner = _model(described)
        self.side, _, self.channels = described.inputs[0].size

    def call(self, taken: Any) -> Any:
        """Takes a scan and further maps; (slice, row, column, channel) each."""
        scan, *more = taken if isinstance(taken, list | tuple) else [taken]
        _, rows, columns, _ = scan.shape
        around = (self.side // 2, self.side // 2 - 1)
        padded = ops.pad(scan, ((0, 0), around, around, (0, 0)))

        def of_row(row: Any) -> Any:
            strip = ops.take(padded, row + ops.arange(self.side), axis=1)
            windows = np.arange(columns)[:, None] + np.arange(self.side)
            patches = ops.transpose(ops.take(strip, windows, axis=2), (0, 2, 1, 3, 4))
            given = [ops.reshape(patches, (-1, self.side, self.side, self.channels))]
            for one in more:
                pixels = ops.take(one, row, axis=1)
                given.append(ops.reshape(pixels, (-1, 1, 1, one.shape[-1])))
            found = self.inner(given if more else given[0], training=False)
            return ops.reshape(found, (-1, columns, found.shape[-1]))

        return ops.transpose(ops.map(of_row, ops.arange(rows)), (1, 0, 2, 3))


class _Inside(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """See ``graph.Inside``."""

    def call(self, taken: list[Any]) -> Any:
        """Takes probabilities and what is 0 outside; (slice, row, column, channel) each."""
        probability, scan = taken
        inside = ops.any(ops.not_equal(scan, 0), axis=-1, keepdims=True)
        sure = ops.one_hot(0, probability.shape[-1], dtype="float32")
        return ops.where(inside, probability, sure)


def _convolution(operation: graph.Convolution, where: dict[str, Any]) -> keras.layers.Layer:
    where |= {
        "padding": operation.padding,
        "dilation_rate": operation.dilation,
        "use_bias": operation.bias,
    }
    size = operation.filters, operation.kernel
    if operation.activation is not None:
        # float32 whatever the policy, so that probabilities near 0 and 1 keep their digits.
        return layers.Conv2D(*size, activation=operation.activation, dtype="float32", **where)
    return layers.Conv2D(*size, kernel_initializer=_STARTS[operation.start], **where)
