"""Synthetic scans as a source of batches.

Processes that draw import this module, so it must not load Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.channels import making
from wmhseg.geometry import Fit, Grid
from wmhseg.io import checksums
from wmhseg.preparation import intensity
from wmhseg.synthesis import heads, scan
from wmhseg.synthesis.recipe import Recipe
from wmhseg.synthesis.scan import Drawing, SyntheticScan
from wmhseg.training import classes, model_folder
from wmhseg.training.batches.stream import TrainingBatch, as_batch, crop
from wmhseg.training.plan import Plan, Run, Synthesis
from wmhseg.weights.inputs import How, Input
from wmhseg.weights.preset import Preset

Stacks = dict[str, making.Float]
"""Port -> (slice, row, column, channel)."""


@dataclass(frozen=True)
class SyntheticData:
    """Label maps to draw scans from; see ``wmhseg.training.session.Data``.

    Attributes:
        labels: Folder of whole-head label maps.
        plan: How scans are drawn, mixed and shown; it has ``synthesis``.
    """

    labels: Path
    plan: Plan

    def identity(self) -> dict[str, str]:
        """Checksum of every label map."""
        return {
            path.relative_to(self.labels).as_posix(): checksums.sha256_of(path)
            for path in self._maps()
        }

    @property
    def _synthesis(self) -> Synthesis:
        assert self.plan.synthesis is not None
        return self.plan.synthesis

    def per_epoch(self, run: Run) -> int | None:
        """None: a synthetic scan is never seen twice."""
        return None

    def field(self, run: Run) -> tuple[int, int]:
        """Rows and columns of what a run is shown."""
        return (run.crop, run.crop) if run.crop else self._synthesis.recipe.field

    def source(self, run: Run, seed: tuple[int, ...]) -> SyntheticSource:
        """Batches for a run."""
        shown = model_folder.preset_of(self.plan, ())
        return SyntheticSource(self.labels, self._synthesis, run.batch, run.crop, shown, seed)

    def describe(self) -> list[str]:
        """What a model card says about the data."""
        count = len(self._maps())
        return [f"Synthetic scans drawn from {count} whole-head label maps; no real image."]

    def _maps(self) -> list[Path]:
        return heads.head_files(self.labels)


@dataclass(frozen=True)
class SyntheticSource:
    """Blocks of synthetic scans, their slices mixed and randomly cropped.

    Attributes:
        labels: Folder of whole-head label maps.
        synthesis: How scans are drawn and mixed.
        batch: Slices a batch.
        crop: Side of the crop in pixels, None for whole slices.
        shown: What networks take of a scan, and what they say.
        seed: The run's seed and the attempt.
    """

    labels: Path
    synthesis: Synthesis
    batch: int
    crop: int | None
    shown: Preset
    seed: tuple[int, ...]

    @property
    def per_block(self) -> int:
        """Batches a block; slices left over at its end are dropped."""
        return self.synthesis.scans * self.synthesis.slices // self.batch

    def open(self) -> Callable[[int], Iterator[TrainingBatch]]:
        """Loads the label maps."""
        anatomies = heads.load_heads(self.labels)

        def draw(block: int) -> Iterator[TrainingBatch]:
            rng = np.random.default_rng(np.random.SeedSequence([*self.seed, block]))
            pool = []
            for _ in range(self.synthesis.scans):
                drawing = scan.draw_scan(rng, anatomies, self.synthesis.recipe)
                (stack,) = as_shown(rng, drawing, self.synthesis.recipe, self.shown).values()
                numbers = numbers_of(drawing)
                target = classes.targets(numbers, self.shown.labels)
                for index in slices_of_interest(rng, numbers > 0, self.synthesis.slices):
                    pool.append(crop(rng, stack[index], target[index], self.crop))
            order = rng.permutation(len(pool))
            for first in range(0, self.per_block * self.batch, self.batch):
                yield as_batch([pool[index] for index in order[first : first + self.batch]])

        return draw


def as_shown(rng: np.random.Generator, drawing: Drawing, recipe: Recipe, shown: Preset) -> Stacks:
    """A synthetic scan as networks take it, by the functions of inference.

    Args:
        rng: Source of randomness, where ``scan.draw_scan`` left it.
        drawing: What was drawn, of the networks' field.
        recipe: Says how often T1 is missing.
        shown: The model: its inputs and its preprocessing.
    """
    method = shown.preprocessing
    volumes = {"FLAIR": drawing.flair, "T1": drawing.t1}
    made: dict[How, Mapping[str, npt.NDArray[Any]]] = {}
    if any(one.how == "z-score" for one in shown.inputs):
        made["z-score"] = {
            name: scan.normalise(rng, volume, method) for name, volume in volumes.items()
        }
    without_t1 = rng.random() < recipe.without_t1
    if without_t1 or not shown.takes_t1:
        del volumes["T1"]
    others = tuple(one for one in shown.inputs if one.how != "z-score")
    if others:
        if method.ceiling is not None:
            volumes = {k: intensity.limit(v, method.ceiling) for k, v in volumes.items()}
        slices, rows, columns = drawing.flair.shape
        fit = Fit(Grid((slices, rows, columns), drawing.spacing_mm), (rows, columns))
        made |= making.made(volumes, fit, replace(shown, inputs=others))
    given = {
        how: {name: volume for name, volume in scans.items() if name != "T1" or not without_t1}
        for how, scans in made.items()
    }
    return making.stacked(given, shown.inputs)


def numbers_of(drawing: Drawing) -> npt.NDArray[np.uint8]:
    """What a mask of a drawn scan would hold: 0, 1 for WMH, 2 for stroke."""
    numbers: npt.NDArray[np.uint8] = drawing.target.astype(np.uint8)
    stroke = getattr(drawing, "stroke", None)
    if stroke is not None:
        numbers[stroke] = classes.NAMES.index(classes.STROKE)
    return numbers


def stacks_of(scan: SyntheticScan, inputs: Sequence[Input]) -> Stacks:
    """A normalised synthetic scan as networks of z-scores take it."""
    drawn = {"FLAIR": scan.inputs[..., 0], "T1": scan.inputs[..., 1]}
    return making.stacked({"z-score": drawn}, inputs)


def slices_of_interest(
    rng: np.random.Generator, target: npt.NDArray[np.bool_], count: int
) -> npt.NDArray[np.intp]:
    """Picks slices of a scan; one with a lesion is twice as likely to be picked as another.

    Args:
        rng: Source of randomness.
        target: (slice, row, column).
        count: How many; if the scan has fewer, it is gone through again.

    Returns:
        Indices in random order, none twice before all are in.

    Reference:
        P. S. Efraimidis, P. G. Spirakis. Weighted random sampling with a reservoir. Information
        Processing Letters 97 (2006) 181-185.
    """
    weight = 1.0 + target.any((1, 2))
    order = np.argsort(-(rng.random(len(target)) ** (1 / weight)))
    picked: npt.NDArray[np.intp] = np.resize(order, count)
    return picked
