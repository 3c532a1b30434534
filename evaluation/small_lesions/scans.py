"""Synthetic scans, drawn from their number and segmented as ``wmhseg segment`` would.

What other measures on synthetic scans share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wmhseg import errors
from wmhseg.channels.network_input import NetworkInput
from wmhseg.engines.interface import Engine
from wmhseg.geometry import Grid, Way, turn_to
from wmhseg.segmentation import prediction
from wmhseg.segmentation.prediction import Prediction
from wmhseg.synthesis.heads import Head
from wmhseg.synthesis.recipe import Recipe
from wmhseg.synthesis.scan import SyntheticScan, as_seen, draw_scan
from wmhseg.training.batches import drawn
from wmhseg.weights.methods import METHODS
from wmhseg.weights.store import Model


@dataclass(frozen=True)
class SeenScan:
    """A synthetic scan as networks see it.

    Attributes:
        scan: Its channels and what is marked in it.
        spacing_mm: Distance of slices, rows and columns.
    """

    scan: SyntheticScan
    spacing_mm: tuple[float, float, float]

    @property
    def grid(self) -> Grid:
        """Where its voxels lie."""
        slices, rows, columns, _ = self.scan.inputs.shape
        return Grid((slices, rows, columns), self.spacing_mm)


def seen(seed: int, number: int, heads: Sequence[Head], recipe: Recipe) -> SeenScan:
    """Draws a scan.

    Args:
        seed: Of the measure, apart from every seed of a training plan.
        number: Of the scan: it says all that is drawn.
        heads: Anatomies to choose from.
        recipe: Ranges to draw from.
    """
    rng = np.random.default_rng([seed, number])
    drawing = draw_scan(rng, heads, recipe)
    return SeenScan(as_seen(rng, drawing, recipe), drawing.spacing_mm)


def segmented(one: SeenScan, model: Model, engine: Engine) -> Prediction:
    """Segments a scan as ``wmhseg segment`` would.

    Raises:
        UsageError: If the model prepares scans in another way than synthetic ones are drawn for.
    """
    if model.preset.preprocessing != METHODS["synthetic"].preprocessing:
        raise errors.UsageError(
            "A model with the pre-processing of the preset synthetic was expected, as the scans "
            "are drawn for it",
            received=model.preset.name,
        )
    stacks = drawn.stacks_of(one.scan, model.preset.inputs)
    way = Way((turn_to(one.grid, "stored"),))
    return prediction.predict(NetworkInput(stacks, way, {}, ()), model, engine)
