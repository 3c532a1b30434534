"""From stacks of slices to the mean probability over the members of an ensemble.

Stacks are (slice, row, column, channel), one for each port of the networks; probabilities (slice,
row, column, label).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wmhseg.channels.network_input import NetworkInput
from wmhseg.engines import sharing
from wmhseg.engines.interface import Batch, Engine
from wmhseg.io.progress import Progress
from wmhseg.segmentation import postprocessing
from wmhseg.weights.inputs import WMH
from wmhseg.weights.preset import Preset
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


@dataclass(frozen=True)
class Said:
    """What an ensemble says of a scan, (slice, row, column) float32 in [0, 1] each.

    It is 0 in the slices that post-processing empties.

    Attributes:
        labels: WMH, then the other labels that masks are made of -> mean probability.
        members: Name of a member -> its own probability of WMH; empty unless asked for.
    """

    labels: dict[str, Float]
    members: dict[str, Float]


def member_names(preset: Preset) -> list[str]:
    """What the members of an ensemble are called: by their files, or by numbers."""
    names = [Path(member.file).stem for member in preset.members]
    return names if len(set(names)) == len(names) else [str(n) for n in range(len(names))]


def label_probabilities(
    inputs: NetworkInput,
    model: Model,
    engine: Engine,
    *,
    batch: int | None = None,
    progress: Progress | None = None,
    members: bool = False,
) -> Said:
    """The probability of each label that masks are made of.

    Args:
        inputs: Stacks as the model's preset prepares them, and where the head is.
        model: The ensemble.
        engine: What computes.
        batch: See ``mean_probability``.
        progress: See ``mean_probability``.
        members: Keep what each member says as well.

    Raises:
        ModelError: If weights are missing, damaged, or not the network's.
    """
    preset, length = model.preset, _length(inputs.stacks)
    kept = postprocessing.kept_slices(length, preset.postprocessing, inputs.head)
    part = {port: stack[kept] for port, stack in inputs.stacks.items()}
    each: list[Float] | None = [] if members else None
    mean = mean_probability(part, model, engine, batch=batch, progress=progress, each=each)

    def placed(said: Float, label: str) -> Float:
        probability = np.zeros((length, *said.shape[1:3]), np.float32)
        probability[kept] = said[..., preset.labels.names.index(label)]
        return probability

    own = zip(member_names(preset), each, strict=True) if each is not None else ()
    return Said(
        {label: placed(mean, label) for label in preset.marked},
        {name: placed(said, WMH) for name, said in own},
    )


def mean_probability(
    stacks: Mapping[str, Float],
    model: Model,
    engine: Engine,
    *,
    batch: int | None = None,
    progress: Progress | None = None,
    each: list[Float] | None = None,
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
        each: Gets what each member says, in the form of what is returned.

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
        own = None if each is None else np.zeros_like(total)
        with sharing.alone(engine):
            engine.load(model, member)
            for where, part in _batches(stacks, max(1, batch or engine.batch)):
                answers = [engine.predict(part)]
                if flips:
                    flipped = {port: _flipped(stack) for port, stack in part.items()}
                    answers.append(_flipped(engine.predict(flipped)))
                for answer in answers:
                    total[where] += answer
                if own is not None:
                    own[where] = sum(answers) / np.float32(len(answers))
                if progress is not None:
                    progress(number * slices + where.stop, len(members) * slices)
        if each is not None and own is not None:
            each.append(own[copied_to] if repeated else own)
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
