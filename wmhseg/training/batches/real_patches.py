"""Patches of real scans with masks as a source of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.networks.location import LOCATION
from wmhseg.training.batches import augment, patches
from wmhseg.training.batches.patches import PatchCase, Pool
from wmhseg.training.batches.stream import TrainingBatch, as_batch
from wmhseg.training.plan import Augmentation, Sampling
from wmhseg.weights.inputs import Input

POOLS = ("wmh", "stroke", "elsewhere", "bright")
"""Kinds of voxels, see ``patches.Pool``: each case has a file of them."""

_CHOICE = 7  # sets the choice of voxels apart from all else that a seed draws


@dataclass(frozen=True)
class RealPatches:
    """Batches of patches; an epoch shows each once, in a new order.

    Which voxels with a lesion are taken is drawn once, those without in every epoch anew.

    Attributes:
        folders: Folders of prepared cases, see ``real_data.prepare``.
        voxels: Number of voxels of WMH, of stroke and elsewhere in each.
        how: Which patches, and how they are varied.
        batch: Patches a batch.
        inputs: What the channels of the cases are.
        seed: The run's seed and the attempt.
    """

    folders: tuple[Path, ...]
    voxels: tuple[tuple[int, int, int], ...]
    how: tuple[Sampling, Augmentation]
    batch: int
    inputs: tuple[Input, ...]
    seed: tuple[int, ...]

    per_block = 1

    @property
    def _taken(self) -> list[tuple[int, int]]:
        """Number of voxels of WMH and of stroke that are taken of each case."""
        sampling, _ = self.how
        return [
            (round(sampling.wmh * wmh), round(sampling.stroke * stroke))
            for wmh, stroke, _ in self.voxels
        ]

    @property
    def _items(self) -> tuple[int, int]:
        """Patches with and without a lesion at their voxel, in an epoch."""
        sampling, augmentation = self.how
        lesions = sum(map(sum, self._taken))
        others = round(lesions * sampling.elsewhere / (1 - sampling.elsewhere))
        return lesions * augmentation.copies, others * augmentation.copies

    @property
    def per_epoch(self) -> int:
        """Batches an epoch; patches left over at its end are not shown in it."""
        return max(1, sum(self._items) // self.batch)

    def open(self) -> Callable[[int], Iterator[TrainingBatch]]:
        """Maps the prepared cases into memory, which all processes share."""
        cases = [opened(folder, self.inputs) for folder in self.folders]
        chosen = [self._chosen(number, case) for number, case in enumerate(cases)]
        starts = np.cumsum([0, *map(len, chosen)])
        elsewhere = np.cumsum([0, *(others for _, _, others in self.voxels)])
        order: dict[int, npt.NDArray[np.intp]] = {}

        def draw(number: int) -> Iterator[TrainingBatch]:
            epoch, place = divmod(number, self.per_epoch)
            if epoch not in order:
                order.clear()
                order[epoch] = self._order(epoch)
            picked = order[epoch][place * self.batch : (place + 1) * self.batch]
            shown = []
            for item in map(int, picked):
                rng = np.random.default_rng(np.random.SeedSequence([*self.seed, epoch, item]))
                if item < self._items[0]:
                    index = item % int(starts[-1])
                    case = int(np.searchsorted(starts, index, "right")) - 1
                    voxel = int(chosen[case][index - starts[case]])
                else:
                    index = int(rng.integers(elsewhere[-1]))
                    case = int(np.searchsorted(elsewhere, index, "right")) - 1
                    voxel = self._other(rng, cases[case], index - int(elsewhere[case]))
                shown.append(self._patch(rng, cases[case], voxel))
            yield as_batch(shown)

        return draw

    def _chosen(self, number: int, case: PatchCase) -> npt.NDArray[np.int64]:
        """The voxels with a lesion that patches of a case are cut around."""
        rng = np.random.default_rng(np.random.SeedSequence([*self.seed, _CHOICE, number]))
        parts = [
            voxels[np.sort(rng.choice(len(voxels), count, replace=False))]
            for voxels, count in zip(
                (case.pool.wmh, case.pool.stroke), self._taken[number], strict=True
            )
        ]
        return np.concatenate(parts)

    def _order(self, epoch: int) -> npt.NDArray[np.intp]:
        """Numbers of all patches, mixed; repeated if they are fewer than a batch."""
        items = sum(self._items)
        rng = np.random.default_rng(np.random.SeedSequence([*self.seed, epoch]))
        mixed: npt.NDArray[np.intp] = np.resize(rng.permutation(items), max(items, self.batch))
        return mixed

    def _other(self, rng: np.random.Generator, case: PatchCase, index: int) -> int:
        """A voxel without a lesion: the one of this number, or one of the bright ones."""
        bright = case.pool.bright
        if rng.random() < self.how[0].bright and len(bright):
            return int(bright[rng.integers(len(bright))])
        return int(case.pool.elsewhere[index])

    def _patch(self, rng: np.random.Generator, case: PatchCase, voxel: int) -> Any:
        sampling, augmentation = self.how
        inputs, target = patches.around(rng, case.stacks, case.target, voxel, sampling)
        variation = augment.draw(rng, augmentation)
        if sampling.kind == "voxels" or LOCATION in inputs:  # told of places: nothing is moved
            return inputs, target
        (port,) = inputs
        image, target = augment.apply(inputs[port], target, variation, self.inputs)
        return {port: image}, target


def opened(folder: Path, inputs: tuple[Input, ...]) -> PatchCase:
    """Maps a prepared case into memory."""

    def mapped(name: str) -> Any:
        return np.load(folder / f"{name}.npy", mmap_mode="r")

    stacks = {port: mapped(f"inputs-{port}") for port in dict.fromkeys(one.port for one in inputs)}
    pool = Pool(**{kind: mapped(f"pool-{kind}") for kind in POOLS})
    return PatchCase(stacks, mapped("mask"), pool)
