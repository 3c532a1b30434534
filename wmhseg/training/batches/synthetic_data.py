"""Synthetic scans as a source of batches.

Processes that draw import this module, so it must not load Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wmhseg.channels import making
from wmhseg.io import checksums
from wmhseg.synthesis import heads, scan
from wmhseg.synthesis.scan import SyntheticScan
from wmhseg.training.batches.stream import TrainingBatch, as_batch, crop
from wmhseg.training.plan import Run, Synthesis
from wmhseg.weights.inputs import Input


@dataclass(frozen=True)
class SyntheticData:
    """Label maps to draw scans from; see ``wmhseg.training.session.Data``.

    Attributes:
        labels: Folder of whole-head label maps.
        synthesis: How scans are drawn and mixed.
        inputs: What the networks take.
    """

    labels: Path
    synthesis: Synthesis
    inputs: tuple[Input, ...]

    def identity(self) -> dict[str, str]:
        """Checksum of every label map."""
        return {
            path.relative_to(self.labels).as_posix(): checksums.sha256_of(path)
            for path in self._maps()
        }

    def per_epoch(self, run: Run) -> int | None:
        """None: a synthetic scan is never seen twice."""
        return None

    def source(self, run: Run, seed: tuple[int, ...]) -> SyntheticSource:
        """Batches for a run."""
        return SyntheticSource(self.labels, self.synthesis, run.batch, run.crop, self.inputs, seed)

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
        inputs: What the networks take.
        seed: The run's seed and the attempt.
    """

    labels: Path
    synthesis: Synthesis
    batch: int
    crop: int | None
    inputs: tuple[Input, ...]
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
                made = scan.make_scan(rng, anatomies, self.synthesis.recipe)
                (stack,) = stacks_of(made, self.inputs).values()  # plans have one input layer
                for index in slices_of_interest(rng, made.target, self.synthesis.slices):
                    pool.append(crop(rng, stack[index], made.target[index], self.crop))
            order = rng.permutation(len(pool))
            for first in range(0, self.per_block * self.batch, self.batch):
                yield as_batch([pool[index] for index in order[first : first + self.batch]])

        return draw


def stacks_of(scan: SyntheticScan, inputs: Sequence[Input]) -> dict[str, making.Float]:
    """A synthetic scan as networks take it: port -> (slice, row, column, channel)."""
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
