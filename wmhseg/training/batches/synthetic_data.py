"""Synthetic scans as a source of batches.

Processes that draw import this module, so it must not load Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wmhseg.errors import LabelsError
from wmhseg.io import checksums
from wmhseg.synthesis import heads, scan
from wmhseg.training import classes, model_folder
from wmhseg.training.batches import drawn
from wmhseg.training.batches.counted import counted
from wmhseg.training.batches.patches import PatchCase
from wmhseg.training.batches.stream import BatchSource, TrainingBatch, as_batch, crop
from wmhseg.training.batches.synthetic_patches import SyntheticPatches
from wmhseg.training.plan import (
    LESION_LOSSES,
    Plan,
    Run,
    Synthesis,
    fitting_of,
    synthesis_of,
)
from wmhseg.weights.preset import Preset


@dataclass(frozen=True)
class SyntheticData:
    """Label maps to draw scans from; see ``wmhseg.training.session.Data``.

    Attributes:
        labels: Folder of whole-head label maps.
        plan: How scans are drawn, mixed and shown; it has ``synthesis``.
    """

    labels: Path
    plan: Plan

    def identity(self, *, held_out: bool = False) -> dict[str, str]:
        """Checksum of every label map."""
        return {
            path.relative_to(self.labels).as_posix(): checksums.sha256_of(path)
            for path in self._maps()
        }

    def held_out(self) -> Iterator[PatchCase]:
        """None: what is synthetic is drawn anew."""
        return iter(())

    def _synthesis(self, run: Run) -> Synthesis:
        synthesis = synthesis_of(self.plan, run)
        assert synthesis is not None
        return synthesis

    def per_epoch(self, run: Run) -> int | None:
        """None: a synthetic scan is never seen twice."""
        return None

    def field(self, run: Run) -> tuple[int, int]:
        """Rows and columns of what a run is shown."""
        sampling = self.plan.sampling
        side = run.crop if sampling is None else sampling.side
        return (side, side) if side else self._synthesis(run).recipe.field

    def source(self, run: Run, seed: tuple[int, ...]) -> BatchSource:
        """Batches for a run."""
        shown, how = model_folder.preset_of(self.plan, ()), self._synthesis(run)
        if self.plan.sampling is not None:
            return SyntheticPatches(self.labels, how, self.plan.sampling, run.batch, shown, seed)
        by_lesion = fitting_of(self.plan, run).loss in LESION_LOSSES
        return SyntheticSource(self.labels, how, run.batch, run.crop, shown, seed, by_lesion)

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
        by_lesion: Whether targets tell lesions apart, see ``counted``.
    """

    labels: Path
    synthesis: Synthesis
    batch: int
    crop: int | None
    shown: Preset
    seed: tuple[int, ...]
    by_lesion: bool = False

    @property
    def per_block(self) -> int:
        """Batches a block; slices left over at its end are dropped."""
        return self.synthesis.scans * self.synthesis.slices // self.batch

    def open(self) -> Callable[[int], Iterator[TrainingBatch]]:
        """Loads the label maps.

        Raises:
            LabelsError: If structures are to be told and a head does not know its sides.
        """
        anatomies = heads.load_heads(self.labels)
        anatomical = self.shown.labels.anatomical
        recipe = self.synthesis.recipe
        if anatomical:
            _check_sides(self.labels, anatomies)

        def draw(block: int) -> Iterator[TrainingBatch]:
            rng = np.random.default_rng(np.random.SeedSequence([*self.seed, block]))
            draw_scan = partial(scan.draw_scan, rng, anatomies, recipe, structures=anatomical)
            pool = []
            for _ in range(self.synthesis.scans):
                drawing, shown = drawn.in_place(rng, draw_scan, recipe, self.shown)
                numbers = drawn.numbers_of(drawing)
                told = drawing.structures if anatomical else numbers
                target = classes.targets(told, self.shown.labels)
                for index in slices_of_interest(rng, numbers > 0, self.synthesis.slices):
                    wanted = counted(target[index]) if self.by_lesion else target[index]
                    planes = {port: stack[index].copy() for port, stack in shown.stacks.items()}
                    pool.append(crop(rng, planes, wanted, self.crop))
            order = rng.permutation(len(pool))
            for first in range(0, self.per_block * self.batch, self.batch):
                yield as_batch([pool[index] for index in order[first : first + self.batch]])

        return draw


def _check_sides(folder: Path, anatomies: Sequence[heads.Head]) -> None:
    """Makes sure that all heads of a folder know left and right."""
    for path, head in zip(heads.head_files(folder), anatomies, strict=True):
        if not head.knows_sides:
            raise LabelsError(
                f"A head that knows left and right was expected in {path.name}, to tell structures",
                received="one made by an earlier version",
                advice="Make the heads again with python -m wmhseg.synthesis.make_heads, into "
                "another folder.",
            )


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
