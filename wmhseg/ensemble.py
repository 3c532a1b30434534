"""From a stack of slices to the mean probability over the members of an ensemble.

Stacks are (slice, row, column, channel); probabilities (slice, row, column).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from wmhseg import weights
from wmhseg.errors import WeightsError
from wmhseg.preset import Member
from wmhseg.runtime import Runtime
from wmhseg.weights import Model

Float = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]

# Slices computed at once. More gains nothing on a CPU (a slice fills it) and costs about 0.1 GB
# each; the result does not depend on it.
BATCH = 4


class Engine(Protocol):
    """Computes one member at a time: whatever can do this can take Keras' place."""

    def load(self, model: Model, member: Member) -> None:
        """Makes a member current.

        Raises:
            ModelError: If its weights are missing, damaged, or not the network's.
        """

    def predict(self, batch: Float) -> Float:
        """Computes the current member's probabilities.

        Args:
            batch: (slice, row, column, channel) float32, z-scored.

        Returns:
            (slice, row, column) float32.
        """


class KerasEngine:
    """The reference engine: float32, any Keras backend.

    Networks of one kind are built once and given one member's weights after the other.
    """

    def __init__(self, runtime: Runtime) -> None:
        """Takes the backend and device to compute on."""
        self._runtime = runtime
        self._built: dict[tuple[Any, ...], Any] = {}
        self._network: Any = None

    def load(self, model: Model, member: Member) -> None:
        """See Engine."""
        tensors = weights.load(model, member)
        with self._runtime.scope():
            self._network = self._build(model, member)
            weights.assign(self._network, tensors, name=member.file)

    def _build(self, model: Model, member: Member) -> Any:
        from wmhseg import networks

        preset = model.preset
        field = preset.preprocessing.field
        key = (member.network, field, preset.channels, tuple(sorted(member.options.items())))
        if key not in self._built:
            self._built[key] = networks.build(
                member.network, field, preset.channels, member.options
            )
        network = self._built[key]
        if network.count_params() != member.parameters:
            raise WeightsError(
                f"A network of {member.parameters:,} parameters was expected",
                received=f"{network.count_params():,} in {member.network} with {member.options}",
            )
        return network

    def predict(self, batch: Float) -> Float:
        """See Engine."""
        with self._runtime.scope():
            out = self._network.predict_on_batch(batch)
        return np.asarray(out, np.float32)[..., 0]


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
    batch: int = BATCH,
    progress: Progress | None = None,
) -> Float:
    """Averages the probabilities of all members of an ensemble.

    Args:
        stack: (slice, row, column, channel) float32, as the model's preset prepares it. Slices
            that post-processing empties need not be in it.
        model: The ensemble.
        engine: What computes.
        batch: Slices computed at once; bounds the memory.
        progress: Called with (done, total), counted in slices times members.

    Returns:
        (slice, row, column) float32 in [0, 1].

    Raises:
        ModelError: If weights are missing, damaged, or not the network's.
    """
    members = model.preset.members
    total = np.zeros(stack.shape[:3], np.float32)
    size = max(1, min(batch, len(stack)))
    for number, member in enumerate(members):
        engine.load(model, member)
        for where, part in _batches(stack, size):
            total[where] += engine.predict(part)[: where.stop - where.start]
            if progress is not None:
                progress(number * len(stack) + where.stop, len(members) * len(stack))
    return total / np.float32(len(members))
