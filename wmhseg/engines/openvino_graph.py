"""A network's description and weights as an OpenVINO model. Arrays are (slice, map, row, column).

The model is built straight from the arrays: neither Keras nor TensorFlow is needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from openvino import Model, opset1, opset13

from wmhseg.networks import graph
from wmhseg.networks.graph import Graph, Layer
from wmhseg.networks.variables import Tensors


def to_openvino(described: Graph, tensors: Tensors, batch: int) -> Model:
    """Builds the model.

    Args:
        described: The network.
        tensors: All its variables, in Keras' shapes.
        batch: Slices in one call. A fixed number lets OpenVINO plan its memory once.

    Returns:
        A model from (slice, channel, row, column), one for each of ``described.inputs`` in their
        order, to (slice, map, row, column), float32.
    """
    made: dict[str, Any] = {}
    for layer in described.layers:
        node = _node(layer, [made[x.name] for x in layer.inputs], tensors, batch)
        node.set_friendly_name(layer.name)
        made[layer.name] = node
    output = opset13.result(made[described.output.name])
    return Model([output], [made[layer.name] for layer in described.inputs], described.name)


def _node(layer: Layer, taken: list[Any], tensors: Tensors, batch: int) -> Any:
    """The operation that does what a layer of the description does."""
    match layer.operation:
        case graph.InputLayer((rows, columns, channels)):
            return opset13.parameter([batch, channels, rows, columns], np.float32)
        case graph.Convolution(activation=activation):
            return _activated(activation, _convolution(layer, taken[0], tensors))
        case graph.GrowingConvolution(_, kernel):
            # OpenVINO wants (received, made, row, column) here.
            weights = tensors[f"{layer.name}/kernel"].transpose(2, 3, 0, 1)
            pad = [kernel // 2 - 1] * 2
            return opset13.convolution_backprop_data(
                taken[0], _constant(weights), [2, 2], pads_begin=pad, pads_end=pad
            )
        case graph.BatchNorm(epsilon):
            values = [
                _constant(tensors[f"{layer.name}/{kind}"])
                for kind in ("gamma", "beta", "moving_mean", "moving_variance")
            ]
            return opset13.batch_norm_inference(taken[0], *values, epsilon)
        case graph.MaxPool():
            # The later version has a second output, the indices.
            return opset1.max_pool(taken[0], [2, 2], [0, 0], [0, 0], [2, 2])
        case graph.Doubling():
            twice = opset13.constant(np.array([2, 2], np.float32))
            rows_columns = _whole([2, 3])
            return opset13.interpolate(taken[0], twice, "nearest", "scales", axes=rows_columns)
        case graph.Concatenation():
            return opset13.concat(taken, 1)
        case graph.Addition():
            return opset13.add(*taken)
        case graph.Crop() | graph.Pad():
            return _resized(layer.operation, layer.size, taken[0])
        case _:
            return opset13.relu(taken[0])


def _resized(operation: graph.Crop | graph.Pad, size: graph.Size, taken: Any) -> Any:
    """Crops, or pads with zeros, to rows and columns of ``size``."""
    (top, bottom), (left, right) = operation.sides
    if isinstance(operation, graph.Pad):
        before, after = _whole([0, 0, top, left]), _whole([0, 0, bottom, right])
        return opset13.pad(taken, before, after, "constant", opset13.constant(np.float32(0)))
    rows, columns, _ = size
    start, stop = _whole([top, left]), _whole([top + rows, left + columns])
    return opset13.slice(taken, start, stop, _whole([1, 1]), _whole([2, 3]))


def _convolution(layer: Layer, taken: Any, tensors: Tensors) -> Any:
    """A convolution with its bias."""
    kernel = tensors[f"{layer.name}/kernel"].transpose(3, 2, 0, 1)
    total = kernel.shape[2] - 1
    node = opset13.convolution(
        taken,
        _constant(kernel),
        [1, 1],
        [total // 2] * 2,
        [total - total // 2] * 2,
        [1, 1],
    )
    return opset13.add(node, _constant(tensors[f"{layer.name}/bias"].reshape(1, -1, 1, 1)))


def _activated(activation: str | None, node: Any) -> Any:
    """Probabilities: map by map, or over all maps of a pixel."""
    if activation == "softmax":
        return opset13.softmax(node, 1)
    return opset13.sigmoid(node) if activation == "sigmoid" else node


def _constant(array: npt.NDArray[np.float32]) -> Any:
    return opset13.constant(np.ascontiguousarray(array))


def _whole(values: list[int]) -> Any:
    return opset13.constant(np.array(values, np.int64))
