"""From a stack of slices to the mean probability over the members of an ensemble.

Stacks are (slice, row, column, channel); probabilities (slice, row, column).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from wmhseg.engines.interface import Engine
from wmhseg.io.progress import Progress
from wmhseg.weights.store import Model

Float = npt.NDArray[np.float32]


def _batches(stack: Float, size: int) -> Iterator[tuple[slice, Float]]:
    """Yields batches of one size: the last is filled up, so that one compiled graph serves all."""
    for first in range(0, len(stack), size):
        part = stack[first : first + size]
        missing = size - len(part)
        if missing:
            part = np.concatenate([part, np.zeros((missing, *part.shape[1:]), part.dtype)])
        yield slice(first, first + size - missing), part


def mean_probability(
    stack: Float,
    model: Model,
    engine: Engine,
    *,
    batch: int | None = None,
    progress: Progress | None = None,
) -> Float:
    """Averages the probabilities of all members of an ensemble.

    Slices without any content (one value in each channel) are computed once for all.

    Args:
        stack: (slice, row, column, channel) float32, as the model's preset prepares it. Slices
            that post-processing empties need not be in it.
        model: The ensemble.
        engine: What computes.
        batch: Slices computed at once, None for what suits the engine; bounds the memory and
            does not change the result.
        progress: Called with (done, total), counted in slices times members.

    Returns:
        (slice, row, column) float32 in [0, 1].

    Raises:
        ModelError: If weights are missing, damaged, or not the network's.
    """
    members = model.preset.members
    chosen, copied_to = _without_copies(stack)
    repeated = len(chosen) < len(stack)
    if repeated:
        stack = stack[chosen]
    total = np.zeros(stack.shape[:3], np.float32)
    size = max(1, min(batch or engine.batch, len(stack)))
    for number, member in enumerate(members):
        engine.load(model, member)
        for where, part in _batches(stack, size):
            total[where] += engine.predict(part)[: where.stop - where.start]
            if progress is not None:
                progress(number * len(stack) + where.stop, len(members) * len(stack))
    mean = total / np.float32(len(members))
    return mean[copied_to] if repeated else mean


def _without_copies(stack: Float) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Finds slices of one value in each channel that an earlier slice equals.

    Returns:
        Indices of the slices to compute, and for each slice its place among them.
    """
    first: dict[bytes, int] = {}
    chosen: list[int] = []
    places = []
    for index, scan in enumerate(stack):
        corner = scan[0, 0]
        # Bytes, so that no two numbers that differ in anything count as one.
        key = corner.tobytes() if (scan == corner).all() else b""
        if key and key in first:
            places.append(first[key])
            continue
        if key:
            first[key] = len(chosen)
        places.append(len(chosen))
        chosen.append(index)
    return np.array(chosen, np.intp), np.array(places, np.intp)
