"""Real scans with masks as a source of batches.

Every case goes through the preparation of ``wmhseg segment``. Label 1 is the target; label 2
(other pathology) is background. A case that cannot be used is skipped and named.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.datasets.cases import Case
from wmhseg.errors import GridMismatchError, InputError, MissingFileError, NoCasesError
from wmhseg.io import checksums, files, images
from wmhseg.preparation import network_input
from wmhseg.training import augment, model_folder
from wmhseg.training import plan as plans
from wmhseg.training.plan import Augmentation, Plan, Run
from wmhseg.training.split import Split, Subject
from wmhseg.training.stream import Batch, crop, stacked

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ScanSource:
    """Batches of varied slices; an epoch shows every copy of every slice once, in a new order.

    Attributes:
        folders: Folders of prepared cases, see ``prepare``.
        slices: Number of slices of each.
        augmentation: Number of copies, and ranges.
        batch: Slices a batch.
        crop: Side of a random crop in pixels, None for whole slices.
        seed: The run's seed and the attempt.
    """

    folders: tuple[Path, ...]
    slices: tuple[int, ...]
    augmentation: Augmentation
    batch: int
    crop: int | None
    seed: tuple[int, ...]

    per_block = 1

    @property
    def per_epoch(self) -> int:
        """Batches an epoch; what does not fill a batch comes in another epoch."""
        return max(1, sum(self.slices) * self.augmentation.copies // self.batch)

    def open(self) -> Callable[[int], Iterator[Batch]]:
        """Maps the prepared cases into memory, which all processes share."""
        stacks = [np.load(folder / "inputs.npy", mmap_mode="r") for folder in self.folders]
        masks = [np.load(folder / "mask.npy", mmap_mode="r") for folder in self.folders]
        starts = np.cumsum([0, *self.slices])
        order: dict[int, npt.NDArray[np.intp]] = {}

        def draw(number: int) -> Iterator[Batch]:
            epoch, place = divmod(number, self.per_epoch)
            if epoch not in order:
                order.clear()
                order[epoch] = self._order(epoch)
            picked = order[epoch][place * self.batch : (place + 1) * self.batch]
            found = []
            for item in map(int, picked):
                copy, index = divmod(item, int(starts[-1]))
                case = int(np.searchsorted(starts, index, "right")) - 1
                within = index - int(starts[case])
                rng = np.random.default_rng(np.random.SeedSequence([*self.seed, epoch, item]))
                found.append(self._varied(rng, stacks[case][within], masks[case][within], copy))
            yield stacked(found)

        return draw

    def _order(self, epoch: int) -> npt.NDArray[np.intp]:
        """All copies of all slices, mixed; gone through again where they do not fill a batch."""
        items = sum(self.slices) * self.augmentation.copies
        rng = np.random.default_rng(np.random.SeedSequence([*self.seed, epoch]))
        mixed: npt.NDArray[np.intp] = np.resize(rng.permutation(items), max(items, self.batch))
        return mixed

    def _varied(
        self, rng: np.random.Generator, image: Any, mask: Any, copy: int
    ) -> tuple[Any, Any]:
        """Copy 0 is the slice as it is."""
        image, mask = np.asarray(image), np.asarray(mask)
        if copy:
            image, mask = augment.apply(image, mask, augment.draw(rng, self.augmentation))
        return crop(rng, image, mask, self.crop)


@dataclass(frozen=True)
class Prepared:
    """Cases that are ready to be drawn from.

    Attributes:
        folders: Case -> folder of its arrays.
        slices: Case -> number of its slices.
        skipped: Case -> why it is left out.
    """

    folders: Mapping[str, Path]
    slices: Mapping[str, int]
    skipped: Mapping[str, str]


@dataclass(frozen=True)
class ScanData:
    """Prepared cases to train on; see ``wmhseg.training.session.Data``.

    Attributes:
        parted: What is trained on and what is kept aside.
        prepared: All usable cases.
        augmentation: How they are varied.
    """

    parted: Split
    prepared: Prepared
    augmentation: Augmentation

    def identity(self) -> dict[str, str]:
        """Checksum of every file that is trained on."""
        return {
            f"{subject.case.name}/{name}": checksums.sha256_of(path)
            for subject in self.parted.train
            for name, path in _files(subject.case).items()
        }

    def per_epoch(self, run: Run) -> int | None:
        """Batches a pass through all copies."""
        return self.source(run, (run.seed, 0)).per_epoch

    def source(self, run: Run, seed: tuple[int, ...]) -> ScanSource:
        """Batches for a run."""
        names = [subject.case.name for subject in self.parted.train]
        return ScanSource(
            tuple(self.prepared.folders[name] for name in names),
            tuple(self.prepared.slices[name] for name in names),
            self.augmentation,
            run.batch,
            run.crop,
            seed,
        )

    def describe(self) -> list[str]:
        """What a model card says about the data."""
        train = self.parted.train
        places: dict[str, int] = {}
        for subject in train:
            places[subject.place or "unknown"] = places.get(subject.place or "unknown", 0) + 1
        patients = len({subject.patient for subject in train})
        slices = sum(self.prepared.slices[subject.case.name] for subject in train)
        copies = self.augmentation.copies
        found = ", ".join(f"{place} ({count})" for place, count in sorted(places.items()))
        return [
            f"{len(train)} scans of {patients} patients, {slices} slices, each seen "
            f"{copies} times an epoch.",
            f"Scanners: {found}.",
            f"Split {self.parted.how}, fold {self.parted.fold} of {self.parted.folds}: "
            f"{len(self.parted.test)} scans kept aside, {len(self.parted.unused)} not used; "
            "`split.json` names them.",
            f"{len(self.prepared.skipped)} broken subjects were skipped.",
        ]


def _files(case: Case) -> dict[str, Path]:
    found = {"FLAIR": case.flair, "T1": case.t1, "wmh": case.reference}
    return {name: path for name, path in found.items() if path is not None}


def read_case(case: Case, plan: Plan) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Reads and prepares a case.

    Args:
        case: Where its files are.
        plan: How to prepare them.

    Returns:
        Inputs (slice, row, column, channel) and target (slice, row, column), 0 or 1.

    Raises:
        InputError: If a file is missing or damaged, grids differ, or the mask holds labels
            besides 0, 1 and 2.
    """
    if case.problem is not None:
        raise MissingFileError(
            f"A usable case was expected ({case.problem.kind})", received=case.problem.detail
        )
    if case.reference is None or case.flair is None:
        raise MissingFileError("FLAIR and mask were expected", received=", ".join(_files(case)))
    needs_t1 = plan.channels == 2
    if needs_t1 and case.t1 is None and plan.without_t1 == "error":
        raise MissingFileError("A T1 scan was expected", received="none")
    flair = images.read_scan(case.flair, name="FLAIR")
    t1 = images.read_scan(case.t1, name="T1") if needs_t1 and case.t1 else None
    labels, grid = images.read_labels(case.reference)
    difference = flair.grid.difference(grid)
    if difference:
        raise GridMismatchError("FLAIR and mask on one grid were expected", received=difference)
    other = sorted(set(np.unique(labels).tolist()) - {0, 1, 2})
    if other:
        raise InputError("The labels 0, 1 and 2 were expected in the mask", received=other[:5])
    scale = plans.intensity_scale(plan, challenge=case.in_challenge_layout)
    inputs = network_input.prepare(
        flair, t1, model_folder.preset_of(plan, ()), intensity_scale=scale
    )
    return inputs.stack, inputs.way.forward((labels == 1).astype(np.uint8))


def prepare(
    found: Sequence[Subject], plan: Plan, folder: Path, progress: Progress | None = None
) -> Prepared:
    """Prepares all cases once, in files that the processes that draw share.

    Args:
        found: The cases.
        plan: How to prepare them.
        folder: Where to; what was there is removed. Uses about 0.3 MB a slice.
        progress: Called with (done, total).

    Returns:
        The cases that can be used, and why others cannot.

    Raises:
        NoCasesError: If no case can be used.
        OutputError: If the folder cannot be written to.
    """
    shutil.rmtree(folder, ignore_errors=True)
    files.check_writable(folder)
    folders: dict[str, Path] = {}
    slices: dict[str, int] = {}
    skipped: dict[str, str] = {}
    for done, subject in enumerate(found, 1):
        name = subject.case.name
        try:
            stack, target = read_case(subject.case, plan)
        except InputError as error:
            skipped[name] = str(error)
        else:
            # Numbers are safe names of folders; names of cases may not be.
            place = folders[name] = folder / f"{len(slices):04d}"
            files.check_writable(place)
            _save(place / "inputs.npy", stack)
            _save(place / "mask.npy", target)
            slices[name] = len(stack)
        if progress is not None:
            progress(done, len(found))
    if not slices:
        first = next(iter(skipped.items()), ("", "none"))
        raise NoCasesError("At least one usable case was expected", received=": ".join(first))
    return Prepared(folders, slices, skipped)


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    files.write_atomically(path, lambda file: np.save(file, array, allow_pickle=False))
