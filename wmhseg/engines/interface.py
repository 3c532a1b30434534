"""What an engine is, and what all engines check.

Batches are (slice, row, column, channel) for each input layer (port) of the network; probabilities
(slice, row, column, label).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from wmhseg.engines.runtime import Runtime
from wmhseg.errors import WeightsError
from wmhseg.networks import catalogue
from wmhseg.networks.graph import Graph
from wmhseg.weights.preset import Member
from wmhseg.weights.store import Model

Float = npt.NDArray[np.float32]
Batch = Mapping[str, Float]
"""Port -> (slice, row, column, channel)."""


class Engine(Protocol):
    """Computes one member at a time: whatever can do this can take Keras' place.

    Attributes:
        runtime: What it computes with and on, for the report.
    """

    runtime: Runtime

    @property
    def batch(self) -> int:
        """Slices at once that suit the current member best."""
        ...

    def load(self, model: Model, member: Member) -> None:
        """Makes a member current.

        Raises:
            ModelError: If its weights are missing, damaged, or not the network's.
        """

    def predict(self, batch: Batch) -> Float:
        """Computes the current member's probabilities.

        Args:
            batch: For each port of the model's signature (slice, row, column, channel) float32,
                as the preset prepares it; any number of slices.

        Returns:
            (slice, row, column, label) float32, labels in the order of the preset.
        """


def describe(model: Model, member: Member) -> Graph:
    """The network of a member.

    Raises:
        PresetError: If there is no such network, or it does not take the preset's inputs, labels
            and the member's options.
        WeightsError: If it has another number of parameters than the preset says.
    """
    described = catalogue.describe(member.network, model.preset.signature, member.options)
    if described.parameter_count() != member.parameters:
        raise WeightsError(
            f"A network of {member.parameters:,} parameters was expected",
            received=f"{described.parameter_count():,} in {member.network} with {member.options}",
        )
    return described
