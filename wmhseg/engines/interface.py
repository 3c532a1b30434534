"""What an engine is, and what all engines check.

Batches are (slice, row, column, channel); probabilities (slice, row, column).
"""

from __future__ import annotations

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


class Engine(Protocol):
    """Computes one member at a time: whatever can do this can take Keras' place.

    Attributes:
        runtime: What it computes with and on, for the report.
        batch: Slices at once that suit it best.
    """

    runtime: Runtime
    batch: int

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


def describe(model: Model, member: Member) -> Graph:
    """The network of a member.

    Raises:
        PresetError: If there is no such network, or it does not take the member's options.
        WeightsError: If it has another number of parameters than the preset says.
    """
    preset = model.preset
    field = preset.preprocessing.field
    described = catalogue.describe(member.network, field, preset.channels, member.options)
    if described.parameter_count() != member.parameters:
        raise WeightsError(
            f"A network of {member.parameters:,} parameters was expected",
            received=f"{described.parameter_count():,} in {member.network} with {member.options}",
        )
    return described
