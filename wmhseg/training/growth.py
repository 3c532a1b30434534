"""Starting one network from the weights of another.

What fits is copied. A kernel of another size is cut or gets a border of zeros, and a convolution
that a deeper stack has on top starts as one that passes its input on (the input comes from a ReLU,
so the ReLU behind it changes nothing). A U-Net with 5x5 kernels in its first stage therefore gives
a Stack-Net with 5x5 kernels that computes the same before its first step.

Source of the idea: T. Chen, I. Goodfellow, J. Shlens. Net2Net: accelerating learning via knowledge
transfer. ICLR 2016.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.errors import WeightsError
from wmhseg.networks import variables

Float = npt.NDArray[np.float32]
_STACKED = re.compile(r"(?P<stage>.+_conv)(?P<number>[2-9]|[1-9][0-9]+)/(?P<kind>kernel|bias)")


def grow(own: Mapping[str, Float], start: Mapping[str, Float]) -> tuple[dict[str, Float], str]:
    """Gives a network the weights of a related one.

    Args:
        own: Weights of the network as it is; variable -> array, kernels (row, column, received,
            made).
        start: Weights to start from, of the same or a related network.

    Returns:
        New weights for every variable of ``own``, and a sentence that says what was done; the
        sentence is empty if no kernel could be taken.
    """
    made: dict[str, Float] = {}
    taken = resized = added = kernels = 0
    for path, array in own.items():
        made[path] = array
        given = start.get(path)
        if given is None:
            identity = _passing_on(path, array, start)
            if identity is not None:
                made[path], added = identity, added + 1
        elif given.shape == array.shape:
            made[path], taken = given, taken + 1
            kernels += given.ndim > 1
        else:
            changed = _resized(given, array.shape)
            if changed is not None:
                made[path], resized = changed, resized + 1
                kernels += 1
    if not kernels:
        return made, ""
    sentence = f"{taken} of {len(own)} arrays taken"
    sentence += f", {resized} cut or extended" if resized else ""
    sentence += f", {added} made to pass their input on" if added else ""
    return made, sentence


def _resized(given: Float, shape: tuple[int, ...]) -> Float | None:
    """A kernel in another odd size, or the first one for FLAIR alone; None if nothing fits."""
    if len(shape) != 4 or given.ndim != 4 or given.shape[3] != shape[3]:
        return None
    # The first convolution: FLAIR is channel 0, and weights of a modality that is new start at 0.
    modalities = {given.shape[2], shape[2]} == {1, 2}
    if given.shape[2] != shape[2] and not modalities:
        return None
    if any(side % 2 == 0 for side in (*given.shape[:2], *shape[:2])):
        return None
    made = np.zeros(shape, np.float32)
    rows, columns = (
        (slice((old - both) // 2, (old + both) // 2), slice((new - both) // 2, (new + both) // 2))
        for old, new in zip(given.shape[:2], shape[:2], strict=True)
        for both in [min(old, new)]
    )
    received = slice(min(given.shape[2], shape[2]))
    made[rows[1], columns[1], received] = given[rows[0], columns[0], received]
    return made


def _passing_on(path: str, array: Float, start: Mapping[str, Float]) -> Float | None:
    """The convolution that leaves its input as it is, where the start has a shorter stack."""
    stacked = _STACKED.fullmatch(path)
    if stacked is None or f"{stacked['stage']}1/kernel" not in start:
        return None
    if stacked["kind"] == "bias":
        return np.zeros_like(array)
    rows, columns, received, filters = array.shape
    if received != filters or rows % 2 == 0 or columns % 2 == 0:
        return None
    made = np.zeros_like(array)
    made[rows // 2, columns // 2] = np.eye(filters, dtype=np.float32)
    return made


def take_start(model: Any, tensors: variables.Tensors, *, name: str) -> str:
    """Puts the weights of a related network, grown, into a network.

    Args:
        model: A Keras model of this package.
        tensors: Weights of the same or of a related network.
        name: What to call them in messages.

    Returns:
        A sentence that says what was taken.

    Raises:
        WeightsError: If there is nothing to take.
    """
    made, sentence = grow(variables.collect(model), tensors)
    if not sentence:
        raise WeightsError(
            "Weights that share at least one kernel with the network were expected", received=name
        )
    variables.assign(model, made, name=name)
    return sentence
