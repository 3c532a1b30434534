"""Real and synthetic scans in one batch: what a model is adapted to a user's scans with.

Part of every batch is cut from the user's scans, as they are or with lesions put into them
(``implanting``), the rest from synthetic scans (``synthetic_data``), so that nothing is forgotten.

Processes that draw import this module, so it must not load Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.io import checksums
from wmhseg.training.batches import augment, implanting
from wmhseg.training.batches.own_scans import OpenScan, OwnScan, OwnScans
from wmhseg.training.batches.patches import PatchCase
from wmhseg.training.batches.real_data import continued
from wmhseg.training.batches.stream import TrainingBatch, as_batch, crop
from wmhseg.training.batches.synthetic_data import (
    SyntheticData,
    SyntheticSource,
    slices_of_interest,
)
from wmhseg.training.plan import Augmentation, Plan, Refinement, Run
from wmhseg.weights.inputs import Input

_REAL = 11  # sets what is drawn of real scans apart from all else that a seed draws
_OF_A_VERSION = 12  # slices taken of one drawing of implanted lesions


@dataclass(frozen=True)
class RealSource:
    """Slices of a user's scans, as they are and with implanted lesions.

    Every scan is as likely as another, whatever its number of slices; slices with a lesion are
    twice as likely as others.

    Attributes:
        scans: What is drawn from.
        how: How slices are varied, and what is implanted.
        batch: Slices a batch.
        per_block: Batches a block.
        crop: Side of a random crop in pixels, None for whole slices.
        inputs: What the channels are.
        field: Rows and columns that smaller slices are continued to.
        seed: The run's seed and the attempt.
    """

    scans: tuple[OwnScan, ...]
    how: tuple[Augmentation, Refinement]
    batch: int
    per_block: int
    crop: int | None
    inputs: tuple[Input, ...]
    field: tuple[int, int]
    seed: tuple[int, ...]

    def open(self) -> Callable[[int], Iterator[TrainingBatch]]:
        """Maps the prepared scans into memory, which all processes share."""
        opened = [scan.open() for scan in self.scans]
        usual = implanting.usual([one.site for one in opened if one.site is not None])
        sites = [number for number, one in enumerate(opened) if one.site is not None]

        def draw(block: int) -> Iterator[TrainingBatch]:
            rng = np.random.default_rng(np.random.SeedSequence([*self.seed, _REAL, block]))
            count = self.per_block * self.batch
            put = self.how[1].implanting
            share = put.share if put is not None and sites else 0.0
            implanted = round(share * count)
            pool = [self._as_it_is(rng, opened) for _ in range(count - implanted)]
            while put is not None and len(pool) < count:
                one = opened[sites[int(rng.integers(len(sites)))]]
                few = min(_OF_A_VERSION, count - len(pool))
                pool += self._implanted(rng, one, (put, usual), few)
            order = rng.permutation(count)
            for first in range(0, count, self.batch):
                yield as_batch([pool[index] for index in order[first : first + self.batch]])

        return draw

    def _as_it_is(self, rng: np.random.Generator, opened: Sequence[OpenScan]) -> tuple[Any, Any]:
        one = opened[int(rng.integers(len(opened)))]
        (index,) = slices_of_interest(rng, one.lesions, 1)
        return self._varied(rng, one.stack[index], one.mask[index])

    def _implanted(
        self,
        rng: np.random.Generator,
        one: OpenScan,
        how: tuple[Any, implanting.Brightness],
        count: int,
    ) -> list[tuple[Any, Any]]:
        assert one.site is not None
        made = implanting.implant(rng, one.stack, one.site, how, self.inputs)
        mask = (np.asarray(one.mask[made.slices]) > 0) | made.lesions
        picked = slices_of_interest(rng, mask, count)
        return [self._varied(rng, made.stack[i], mask[i].astype(np.uint8)) for i in picked]

    def _varied(self, rng: np.random.Generator, image: Any, mask: Any) -> tuple[Any, Any]:
        """A copy of a slice, cropped."""
        variation = augment.draw(rng, self.how[0])
        image = np.asarray(image, np.float32)
        image, mask = augment.apply(image, np.asarray(mask), variation, self.inputs)
        image, mask = continued(image, mask, self.field)
        return crop(rng, image, mask, self.crop)


@dataclass(frozen=True)
class MixedSource:
    """Batches of real slices, then synthetic ones.

    Attributes:
        real: Slices of the user's scans.
        synthetic: Synthetic slices; as many batches a block.
    """

    real: RealSource
    synthetic: SyntheticSource

    @property
    def per_block(self) -> int:
        """Batches a block."""
        return self.real.per_block

    def open(self) -> Callable[[int], Iterator[TrainingBatch]]:
        """Opens both."""
        own, drawn = self.real.open(), self.synthetic.open()

        def draw(block: int) -> Iterator[TrainingBatch]:
            for (real, marked), (made, target) in zip(own(block), drawn(block), strict=True):
                yield _joined(real, made), np.concatenate([marked, target])

        return draw


def _joined(first: Any, second: Any) -> npt.NDArray[np.float32]:
    """Inputs of two batches, both of one port."""
    joined: npt.NDArray[np.float32] = np.concatenate([first, second])
    return joined


@dataclass(frozen=True)
class MixedData:
    """A user's scans and synthetic ones; see ``wmhseg.training.session.Data``.

    Attributes:
        own: The user's scans, those that are trained on.
        synthetic: Synthetic scans; None if all slices are real.
        plan: How both are shown; it has ``refinement``.
    """

    own: OwnScans
    synthetic: SyntheticData | None
    plan: Plan

    @property
    def _how(self) -> tuple[Augmentation, Refinement]:
        assert self.plan.augmentation is not None
        assert self.plan.refinement is not None
        return self.plan.augmentation, self.plan.refinement

    def identity(self, *, held_out: bool = False) -> dict[str, str]:
        """Checksum of every file that is trained on."""
        files = {
            f"{scan.name}/{name}": checksums.sha256_of(path)
            for scan in self.own.scans
            for name, path in scan.files.items()
        }
        drawn = {} if self.synthetic is None else self.synthetic.identity()
        return files | {f"labels/{name}": value for name, value in drawn.items()}

    def held_out(self) -> Iterator[PatchCase]:
        """None: no patches are cut."""
        return iter(())

    def per_epoch(self, run: Run) -> int | None:
        """None: a synthetic scan is never seen twice."""
        return None

    def field(self, run: Run) -> tuple[int, int]:
        """Rows and columns of what a run is shown."""
        return (run.crop, run.crop) if run.crop else self._largest

    @property
    def _largest(self) -> tuple[int, int]:
        assert self.plan.synthesis is not None
        fields = [self.own.field]
        if self.synthetic is not None:
            fields.append(self.plan.synthesis.recipe.field)
        return max(rows for rows, _ in fields), max(columns for _, columns in fields)

    def source(self, run: Run, seed: tuple[int, ...]) -> RealSource | MixedSource:
        """Batches for a run."""
        assert self.plan.synthesis is not None
        number = real_slices(self._how[1].real, run.batch)
        drawn = None
        if self.synthetic is not None and number < run.batch:
            made = self.synthetic.source(replace(run, batch=run.batch - number), seed)
            assert isinstance(made, SyntheticSource)
            drawn = made
        whole = self.plan.synthesis.scans * self.plan.synthesis.slices
        per_block = max(1, whole // run.batch) if drawn is None else drawn.per_block
        rows, columns = self.own.field
        field = max(rows, run.crop or 0), max(columns, run.crop or 0)
        real = RealSource(
            self.own.scans,
            self._how,
            number,
            per_block,
            run.crop,
            self.plan.network_inputs,
            field if run.crop else self._largest,
            seed,
        )
        return real if drawn is None else MixedSource(real, drawn)

    def describe(self) -> list[str]:
        """What a model card says about the data."""
        how = self._how[1]
        lines = self.own.describe()
        if self.synthetic is not None:
            # Beside scans of the user, "no real image" would be misread.
            lines += [one.replace("; no real image", "") for one in self.synthetic.describe()]
        share = 1.0 if self.synthetic is None else how.real
        lines.append(f"{share:.0%} of the slices were cut from scans of the user.")
        if how.implanting is not None and any(scan.has_site for scan in self.own.scans):
            lines.append(
                f"{how.implanting.share:.0%} of these come from copies of the scans with lesions "
                "put into them."
            )
        return lines


def real_slices(share: float, batch: int) -> int:
    """How many slices of a batch are real: the share, at least one, and all only if all are."""
    most = batch if share == 1 else max(1, batch - 1)
    return int(np.clip(round(share * batch), 1, most))
