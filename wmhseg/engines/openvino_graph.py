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


def to_openvino(
    described: Graph, tensors: Tensors, batch: int, *, maps_last: bool = False
) -> Model:
    """Builds the model.

    Args:
        described: The network.
        tensors: All its variables, in Keras' shapes.
        batch: Slices in one call. A fixed number lets OpenVINO plan its memory once.
        maps_last: Whether what comes out is (slice, row, column, map).

    Returns:
        A model from (slice, channel, row, column), one for each of ``described.inputs`` in their
        order, to (slice, map, row, column), float32.
    """
    made: dict[str, Any] = {}
    for layer in described.layers:
        node = _node(layer, [made[x.name] for x in layer.inputs], tensors, batch)
        node.set_friendly_name(layer.name)
        made[layer.name] = node
    output = made[described.output.name]
    if maps_last:
        output = opset13.transpose(output, _whole([0, 2, 3, 1]))
    return Model(
        [opset13.result(output)], [made[layer.name] for layer in described.inputs], described.name
    )


def _node(layer: Layer, taken: list[Any], tensors: Tensors, batch: int) -> Any:
    """The operation that does what a layer of the description does."""
    match layer.operation:
        case graph.InputLayer((rows, columns, channels)):
            return opset13.parameter([batch, channels, rows, columns], np.float32)
        case graph.Convolution() as operation:
            node = _convolution(layer, operation, taken[0], tensors)
            return _activated(operation.activation, node)
        case graph.GrowingConvolution(bias=bias):
            node = _growing(layer, taken[0], tensors)
            return _biased(layer, node, tensors) if bias else node
        case graph.BatchNorm(epsilon):
            kinds = ("gamma", "beta", "moving_mean", "moving_variance")
            values = [_constant(tensors[layer.variable(kind)]) for kind in kinds]
            return opset13.batch_norm_inference(taken[0], *values, epsilon)
        case graph.Concatenation():
            return opset13.concat(taken, 1)
        case graph.Addition():
            return opset13.add(*taken)
        case graph.Inside():
            return _inside(*taken)
        case _:
            return _alone(layer, taken[0])


def _alone(layer: Layer, taken: Any) -> Any:
    """What looks at every value alone, or changes rows and columns."""
    match layer.operation:
        case graph.Scaling(factor):
            return opset13.multiply(taken, opset13.constant(np.float32(factor)))
        case graph.Dropout():
            return taken
        case graph.Relu():
            return opset13.relu(taken)
        case _:
            return _resized(layer, taken)


def _resized(layer: Layer, taken: Any) -> Any:
    """What changes rows and columns alone."""
    match layer.operation:
        case graph.MaxPool():
            # The later version has a second output, the indices.
            return opset1.max_pool(taken, [2, 2], [0, 0], [0, 0], [2, 2])
        case graph.MeanPool(side, stride):
            # Means of rows, then of columns: the same, of 2 numbers a side and not of its square.
            for sides, steps in (([side, 1], [stride, 1]), ([1, side], [1, stride])):
                taken = opset13.avg_pool(taken, steps, [0, 0], [0, 0], sides, True)
            return taken
        case graph.Doubling():
            return _enlarged(taken, 2, "nearest")
        case graph.Enlarging(factor):
            return _enlarged(taken, factor, "linear_onnx")
        case graph.Pad(((top, bottom), (left, right))):
            before, after = _whole([0, 0, top, left]), _whole([0, 0, bottom, right])
            return opset13.pad(taken, before, after, "constant", opset13.constant(np.float32(0)))
        case graph.Crop(((top, _), (left, _))):
            rows, columns, _ = layer.size
            start, stop = _whole([top, left]), _whole([top + rows, left + columns])
            return opset13.slice(taken, start, stop, _whole([1, 1]), _whole([2, 3]))
        case _:
            raise TypeError(f"A known operation was expected. Received: {layer.operation}.")


def _inside(probability: Any, scan: Any) -> Any:
    """Probabilities where a channel of the scan is not 0; elsewhere the first label is sure."""
    something = opset13.not_equal(scan, opset13.constant(np.float32(0)))
    inside = opset13.reduce_logical_or(something, _whole([1]), True)
    sure = np.zeros((1, probability.get_output_shape(0)[1], 1, 1), np.float32)
    sure[:, 0] = 1
    return opset13.select(inside, probability, _constant(sure))


def _enlarged(taken: Any, factor: int, how: str) -> Any:
    """More rows and columns; the centres of pixels are at halves, OpenVINO's default."""
    times, axes = opset13.constant(np.array([factor, factor], np.float32)), _whole([2, 3])
    return opset13.interpolate(taken, times, how, "scales", axes=axes)


def _growing(layer: Layer, taken: Any, tensors: Tensors) -> Any:
    """A transposed convolution without its bias."""
    # OpenVINO wants (received, made, row, column) here.
    kernel = tensors[layer.variable("kernel")].transpose(3, 2, 0, 1)
    total = kernel.shape[2] - 2
    return opset13.convolution_backprop_data(
        taken,
        _constant(kernel),
        [2, 2],
        pads_begin=[total // 2] * 2,
        pads_end=[total - total // 2] * 2,
    )


def _convolution(layer: Layer, operation: graph.Convolution, taken: Any, tensors: Tensors) -> Any:
    """A convolution with its bias."""
    kernel = tensors[layer.variable("kernel")].transpose(3, 2, 0, 1)
    total = operation.reach if operation.padding == "same" else 0
    node = opset13.convolution(
        taken,
        _constant(kernel),
        [1, 1],
        [total // 2] * 2,
        [total - total // 2] * 2,
        [operation.dilation] * 2,
    )
    return _biased(layer, node, tensors) if operation.bias else node


def _biased(layer: Layer, node: Any, tensors: Tensors) -> Any:
    return opset13.add(node, _constant(tensors[layer.variable("bias")].reshape(1, -1, 1, 1)))


def _activated(activation: str | None, node: Any) -> Any:
    """Probabilities: map by map, or over all maps of a pixel."""
    if activation == "softmax":
        return opset13.softmax(node, 1)
    return opset13.sigmoid(node) if activation == "sigmoid" else node


def _constant(array: npt.NDArray[np.float32]) -> Any:
    return opset13.constant(np.ascontiguousarray(array))


def _whole(values: list[int]) -> Any:
    return opset13.constant(np.array(values, np.int64))
