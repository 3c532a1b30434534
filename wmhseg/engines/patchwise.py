"""Networks that say something of the patch around a pixel, for pixels inside the brain alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wmhseg.engines.interface import Batch, Float
from wmhseg.networks import graph
from wmhseg.networks.graph import Graph, Layer
from wmhseg.networks.variables import Tensors

PATCHES = 64
"""Patches in one call."""


def layer_of(described: Graph) -> Layer | None:
    """The layer of patches that a network consists of, or None if it is not one of this kind."""
    end = described.output
    if not isinstance(end.operation, graph.Inside):
        return None
    return end.inputs[0] if isinstance(end.inputs[0].operation, graph.Patchwise) else None


class CompiledPatchwise:
    """A network of patches, compiled."""

    def __init__(self, layer: Layer, tensors: Tensors, compiled: Callable[[Any], Any]) -> None:
        """Compiles.

        Args:
            layer: See ``layer_of``; the first layer that it takes is 0 outside the brain.
            tensors: The weights.
            compiled: What compiles an OpenVINO model.
        """
        from wmhseg.engines.openvino_graph import to_openvino

        assert isinstance(layer.operation, graph.Patchwise)
        described = layer.operation.described
        self._ports = [taken.name for taken in layer.inputs]
        self._side = described.inputs[0].size[0]
        self._labels = layer.size[2]
        self._request = compiled(to_openvino(described, tensors, PATCHES))

    def __call__(self, batch: Batch) -> Float:
        """Computes port -> (slice, row, column, channel) to (slice, row, column, label)."""
        scan, *more = (batch[port] for port in self._ports)
        found = np.zeros((*scan.shape[:3], self._labels), np.float32)
        found[..., 0] = 1
        around = (self._side // 2, self._side // 2 - 1)
        for number, one in enumerate(scan):
            places = np.nonzero((one != 0).any(-1))
            padded = np.pad(np.moveaxis(one, 2, 0), ((0, 0), around, around))
            windows = np.lib.stride_tricks.sliding_window_view(padded, [self._side] * 2, (1, 2))
            for first in range(0, len(places[0]), PATCHES):
                rows, columns = (axis[first : first + PATCHES] for axis in places)
                # Indices in the middle, the channel before them: (channel, patch, row, column).
                given = [np.moveaxis(windows[:, rows, columns], 0, 1)]
                given += [stack[number, rows, columns, :, None, None] for stack in more]
                found[number, rows, columns] = self._of_patches(given)[: len(rows)]
        return found

    def _of_patches(self, given: list[Float]) -> Float:
        """What is said of some patches, (patch, label); as many as one call takes."""
        arrays = []
        for values in given:
            full = np.zeros((PATCHES, *values.shape[1:]), np.float32)
            full[: len(values)] = values
            arrays.append(full)
        maps: Float = self._request.infer(arrays, share_inputs=True, share_outputs=True)[0]
        return maps[:, :, 0, 0]
