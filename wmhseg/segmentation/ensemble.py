"""From stacks of slices to the mean probability over the members of an ensemble.

Stacks are (slice, row, column, channel), one for each port of the networks; probabilities (slice,
row, column, label).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from wmhseg.engines import sharing
from wmhseg.engines.interface import Batch, Engine
from wmhseg.io.progress import Progress
from wmhseg.segmentation import postprocessing
from wmhseg.weights.store import Model

Float = npt.NDArray[np.float32]


def _length(stacks: Batch) -> int:
    """Number of slices, the same in all stacks."""
    (slices,) = {len(stack) for stack in stacks.values()}
    return slices


def _batches(stacks: Batch, size: int) -> Iterator[tuple[slice, Batch]]:
    """Yields batches of at most one size."""
    slices = _length(stacks)
    for first in range(0, slices, size):
        where = slice(first, min(first + size, slices))
        yield where, {port: stack[where] for port, stack in stacks.items()}


def _flipped(stack: Float) -> Float:
    """The columns in reverse order."""
    return np.ascontiguousarray(stack[:, :, ::-1])


def label_probabilities(
    stacks: Mapping[str, Float],
    model: Model,
    engine: Engine,
    head: slice | None = None,
    *,
    batch: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Float]:
    """The mean probability of each label that masks are made of.

    Args:
        stacks: Port -> (slice, row, column, channel) float32, as the model's preset prepares it.
        model: The ensemble.
        engine: What computes.
        head: The slices that hold the head, None for all.
        batch: See ``mean_probability``.
        progress: See ``mean_probability``.

    Returns:
        WMH, then the other labels -> (slice, row, column) float32 in [0, 1]; 0 in the slices that
        post-processing empties.

    Raises:
        ModelError: If weights are missing, damaged, or not the network's.
    """
    preset = model.preset
    kept = postprocessing.kept_slices(_length(stacks), preset.postprocessing, head)
    part = {port: stack[kept] for port, stack in stacks.items()}
    mean = mean_probability(part, model, engine, batch=batch, progress=progress)
    probabilities = {}
    for label in preset.marked:
        probability = np.zeros((_length(stacks), *mean.shape[1:3]), np.float32)
        probability[kept] = mean[..., preset.labels.names.index(label)]
        probabilities[label] = probability
    return probabilities


def mean_probability(
    stacks: Mapping[str, Float],
    model: Model,
    engine: Engine,
    *,
    batch: int | None = None,
    progress: Progress | None = None,
) -> Float:
    """Averages the probabilities of all members of an ensemble.

    Where the preset says so, each member also sees every slice with its columns in reverse order,
    left for right; its answer is turned back and counts as much, at twice the time. Slices without
    any content (one value in each channel) are computed once for all.

    Args:
        stacks: Port -> (slice, row, column, channel) float32, as the model's preset prepares it.
        model: The ensemble.
        engine: What computes.
        batch: Slices computed at once, None for what suits the engine; bounds the memory and
            does not change the result.
        progress: Called with (done, total), counted in slices times members.

    Returns:
        (slice, row, column, label) float32 in [0, 1].

    Raises:
        ModelError: If weights are missing, damaged, or not the network's.
    """
    members, flips = model.preset.members, model.preset.flips
    chosen, copied_to = _without_copies(stacks)
    repeated = len(chosen) < len(copied_to)
    if repeated:
        stacks = {port: stack[chosen] for port, stack in stacks.items()}
    slices = len(chosen)
    signature = model.preset.signature
    total = np.zeros((slices, *signature.field, signature.labels), np.float32)
    for number, member in enumerate(members):
        with sharing.alone(engine):
            engine.load(model, member)
            for where, part in _batches(stacks, max(1, batch or engine.batch)):
                total[where] += engine.predict(part)
                if flips:
                    flipped = {port: _flipped(stack) for port, stack in part.items()}
                    total[where] += _flipped(engine.predict(flipped))
                if progress is not None:
                    progress(number * slices + where.stop, len(members) * slices)
    mean = total / np.float32(len(members) * (2 if flips else 1))
    return mean[copied_to] if repeated else mean


def _without_copies(stacks: Batch) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Finds slices of one value in each channel of every port that an earlier slice equals.

    Returns:
        Indices of the slices to compute, and for each slice its place among them.
    """
    first: dict[bytes, int] = {}
    chosen: list[int] = []
    places = []
    for index, scans in enumerate(zip(*stacks.values(), strict=True)):
        corners = [scan[0, 0] for scan in scans]
        constant = all((s == corner).all() for s, corner in zip(scans, corners, strict=True))
        # Bytes, so that no two numbers that differ in anything count as one.
        key = b"".join(corner.tobytes() for corner in corners) if constant else b""
        if key and key in first:
            places.append(first[key])
            continue
        if key:
            first[key] = len(chosen)
        places.append(len(chosen))
        chosen.append(index)
    return np.array(chosen, np.intp), np.array(places, np.intp)
