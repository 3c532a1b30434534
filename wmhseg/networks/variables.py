"""A network's variables: what they must be, and how they get into a Keras model and out of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.errors import WeightsError

Tensors = dict[str, npt.NDArray[np.float32]]
"""Path of a variable, such as "enc1_conv1/kernel" -> array in Keras' shape."""


def collect(model: Any) -> Tensors:
    """Takes the weights out of a Keras model: variable path -> float32 array."""
    from keras import ops

    # Copies: what some backends hand out is their own memory, which training would change.
    return {v.path: np.array(ops.convert_to_numpy(v.value), np.float32) for v in model.weights}


def check(
    expected: Mapping[str, tuple[int, ...]],
    tensors: Mapping[str, npt.NDArray[np.float32]],
    *,
    name: str,
) -> None:
    """Raises unless weights are those of a network.

    Args:
        expected: Variable path -> shape.
        tensors: Variable path -> array.
        name: What to call the weights in messages.

    Raises:
        WeightsError: If a variable is missing, left over, or of another shape.
    """
    received = {path: array.shape for path, array in tensors.items()}
    if expected != received:
        differing = sorted(
            path
            for path in expected.keys() | received.keys()
            if expected.get(path) != received.get(path)
        )
        first = differing[0]
        raise WeightsError(
            f"{name}: {first} was expected to be {expected.get(first, 'absent')}",
            received=f"{received.get(first, 'nothing')} ({len(differing)} of {len(expected)} "
            "variables differ)",
            advice="The weights are not of this network, or of another number of channels.",
        )


def assign(model: Any, tensors: Mapping[str, npt.NDArray[np.float32]], *, name: str) -> None:
    """Puts weights into a Keras model.

    Args:
        model: A Keras model of this package.
        tensors: Variable path -> array, exactly the model's.
        name: What to call the weights in messages.

    Raises:
        WeightsError: If a variable is missing, left over, or of another shape.
    """
    check({v.path: tuple(v.shape) for v in model.weights}, tensors, name=name)
    for variable in model.weights:
        variable.assign(tensors[variable.path])
