"""A description of a network, computed with given weights by each engine's own translation."""

from __future__ import annotations

import numpy as np

from wmhseg.networks.graph import Graph


def in_keras(described: Graph, tensors: dict[str, np.ndarray], *taken: np.ndarray) -> np.ndarray:
    """Through Keras; (slice, row, column, channel) of each input, in the graph's order."""
    import keras

    from wmhseg.networks.keras_model import to_keras
    from wmhseg.networks.variables import assign

    model = to_keras(described)
    assign(model, tensors, name="test")
    found = model(list(taken) if len(taken) > 1 else taken[0], training=False)
    return keras.ops.convert_to_numpy(found)


def in_openvino(described: Graph, tensors: dict[str, np.ndarray], *taken: np.ndarray) -> np.ndarray:
    """Through OpenVINO, in float32; arrays as for Keras."""
    from wmhseg.engines.openvino_core import openvino_core
    from wmhseg.engines.openvino_graph import to_openvino

    model = to_openvino(described, tensors, len(taken[0]))
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino_core().compile_model(model, "CPU", exact)
    maps = compiled([np.ascontiguousarray(np.moveaxis(one, 3, 1)) for one in taken])[0]
    return np.moveaxis(maps, 1, 3)
