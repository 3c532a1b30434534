"""Writes the layout of Keras-2 weight files, for the tests that read them."""

from __future__ import annotations

import h5py
import numpy as np


def random_value(variable: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Keeps activations near 1 (He scaling), so that no sigmoid saturates and hides an error."""
    if variable.endswith("kernel"):
        return rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape).astype(np.float32)
    if variable.endswith(("gamma", "moving_variance")):
        return rng.uniform(0.7, 1.3, shape).astype(np.float32)
    return rng.normal(0, 0.1, shape).astype(np.float32)


def legacy_name(layer: str, index: int) -> str:
    """Names as Keras 2 gives them, in an order that is not alphabetical."""
    return f"{'batch_normalization' if layer.endswith('_bn') else 'conv2d'}_{(index * 7 + 36) % 53}"


def write_legacy(
    group: h5py.Group,
    values: dict[str, np.ndarray],
    names: dict[str, str],
    *,
    weightless: bool = True,
) -> None:
    """Writes what save_weights of Keras 2 wrote, layers without weights included."""
    layers: dict[str, dict[str, np.ndarray]] = {}
    for variable, value in values.items():
        layer, short = variable.split("/")
        layers.setdefault(names[layer], {})[short] = value
    if weightless:
        layers = {"input_1": {}, **layers, "zero_padding2d_1": {}}
    group.attrs["layer_names"] = [name.encode() for name in layers]
    group.attrs["backend"] = b"tensorflow"
    group.attrs["keras_version"] = b"2.0.5"
    for name, weights in layers.items():
        layer_group = group.create_group(name)
        layer_group.attrs["weight_names"] = [f"{name}/{short}:0".encode() for short in weights]
        for short, value in weights.items():
            layer_group[f"{name}/{short}:0"] = value
