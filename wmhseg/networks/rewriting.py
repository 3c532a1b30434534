"""Exact changes of a network that make it cheaper to compute.

A convolution of a doubled picture reads each pixel of the small one several times. Along one axis,
with u[j] = x[floor(j / 2)] and taps w[-1], w[0], w[1],

    y[2i]     = w[-1] x[i-1] + (w[0] + w[1]) x[i]
    y[2i + 1] = (w[-1] + w[0]) x[i] + w[1] x[i+1]

which is a transposed convolution of x with stride 2, padding 1 and the four taps
w[1], w[1] + w[0], w[0] + w[-1], w[-1]: the reversed taps convolved with (1, 1). It holds at the
borders as well, since the zeros around u (a 'same' convolution) are those around x: u[-1] and
u[2n] are where x[-1] and x[n] would be. The decoder's first convolutions, which take the doubled
maps and the encoder's, are split into that and a plain convolution of the encoder's maps: 16 taps
for 4 pixels in place of 36, for all maps that come from below.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from wmhseg.networks.graph import (
    Addition,
    Concatenation,
    Convolution,
    Doubling,
    Graph,
    GrowingConvolution,
    Layer,
)

Float = npt.NDArray[np.float32]


def grown_kernel(kernel: Float) -> Float:
    """The transposed convolution that equals doubling followed by a 'same' convolution.

    Args:
        kernel: (row, column, received, made), an odd number of rows and columns.

    Returns:
        Kernel of stride 2, (row, column, made, received), with one row and one column more; sums
        are made in float64.
    """
    grown = kernel[::-1, ::-1].astype(np.float64)
    for axis in (0, 1):
        before, after = [(0, 0)] * 4, [(0, 0)] * 4
        before[axis], after[axis] = (1, 0), (0, 1)
        grown = np.pad(grown, before) + np.pad(grown, after)
    return grown.transpose(0, 1, 3, 2).astype(np.float32)


def merge_doublings(
    described: Graph, tensors: Mapping[str, Float]
) -> tuple[Graph, dict[str, Float]]:
    """Replaces each doubling that a convolution follows by a transposed convolution.

    Args:
        described: The network.
        tensors: Its weights; variable -> array.

    Returns:
        A network that computes the same, up to float32's rounding, and its weights. Layers that
        nothing is changed in keep their names.
    """
    made: dict[str, Layer] = {}
    new = dict(tensors)
    for layer in described.layers:
        inputs = tuple(made[x.name] for x in layer.inputs)
        made[layer.name] = _merged(layer, inputs, new) or replace(layer, inputs=inputs)
    finished = Graph(described.name, made[described.output.name])
    return finished, {name: new[name] for name in finished.variables()}


def _merged(layer: Layer, inputs: tuple[Layer, ...], tensors: dict[str, Float]) -> Layer | None:
    """The sum that a convolution of (doubled, other maps) becomes; None for all other layers."""
    operation = layer.operation
    if not isinstance(operation, Convolution) or operation.kernel % 2 == 0 or layer.shares:
        return None
    if operation != Convolution(operation.filters, operation.kernel, start=operation.start):
        return None
    joined = inputs[0]
    if not isinstance(joined.operation, Concatenation) or len(joined.inputs) != 2:
        return None
    doubled, other = joined.inputs
    if not isinstance(doubled.operation, Doubling):
        return None
    below, name = doubled.size[2], layer.name
    kernel = tensors[f"{name}/kernel"]
    grown = GrowingConvolution(operation.filters, operation.kernel + 1)
    tensors[f"{name}_below/kernel"] = grown_kernel(kernel[:, :, :below])
    tensors[f"{name}_across/kernel"] = kernel[:, :, below:]
    tensors[f"{name}_across/bias"] = tensors[f"{name}/bias"]
    return Layer(
        Addition(),
        (
            Layer(grown, doubled.inputs, f"{name}_below"),
            Layer(operation, (other,), f"{name}_across"),
        ),
        name,
    )
