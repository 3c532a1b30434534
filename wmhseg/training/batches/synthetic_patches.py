"""Patches of synthetic scans as a source of batches.

Processes that draw import this module, so it must not load Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wmhseg.preparation import intensity
from wmhseg.synthesis import heads, scan
from wmhseg.training import classes
from wmhseg.training.batches import drawn, patches
from wmhseg.training.batches.drawn import Stacks
from wmhseg.training.batches.stream import TrainingBatch, as_batch
from wmhseg.training.plan import Sampling, Synthesis
from wmhseg.weights.preset import Preset


@dataclass(frozen=True)
class SyntheticPatches:
    """Blocks of synthetic scans, their patches mixed.

    Attributes:
        labels: Folder of whole-head label maps.
        synthesis: How scans are drawn and mixed; ``slices`` is the number of patches of each.
        sampling: Which patches.
        batch: Patches a batch.
        shown: What networks take of a scan, and what they say.
        seed: The run's seed and the attempt.
    """

    labels: Path
    synthesis: Synthesis
    sampling: Sampling
    batch: int
    shown: Preset
    seed: tuple[int, ...]

    @property
    def per_block(self) -> int:
        """Batches a block; patches left over at its end are dropped."""
        return self.synthesis.scans * self.synthesis.slices // self.batch

    def open(self) -> Callable[[int], Iterator[TrainingBatch]]:
        """Loads the label maps."""
        anatomies = heads.load_heads(self.labels)
        count, how = self.synthesis.slices, self.synthesis.recipe

        def draw(block: int) -> Iterator[TrainingBatch]:
            rng = np.random.default_rng(np.random.SeedSequence([*self.seed, block]))
            draw_scan = partial(scan.draw_scan, rng, anatomies, how)
            # Cut when a batch needs them: cut at once, patches would take gigabytes.
            scans: list[tuple[Stacks, npt.NDArray[np.uint8]]] = []
            places: list[tuple[int, int]] = []
            for number in range(self.synthesis.scans):
                drawing, shown = drawn.in_place(rng, draw_scan, how, self.shown)
                target = classes.targets(drawn.numbers_of(drawing), self.shown.labels)
                region = shown.brain
                if region is None:
                    region = intensity.foreground(drawing.flair)
                pool = patches.pool_of(target, self.shown.labels, region, drawing.flair)
                scans.append((shown.stacks, target))
                picked = patches.pick(rng, pool, self.sampling, count).tolist()
                places += [(number, voxel) for voxel in picked]
            order = rng.permutation(len(places))
            # Of an empty scan nothing is picked; what is there then goes round.
            order = np.resize(order, self.per_block * self.batch)
            for first in range(0, len(order), self.batch):
                batch = []
                for index in order[first : first + self.batch]:
                    number, voxel = places[index]
                    stacks, target = scans[number]
                    batch.append(patches.around(rng, stacks, target, voxel, self.sampling))
                yield as_batch(batch)

        return draw
