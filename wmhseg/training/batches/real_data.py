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

from wmhseg.channels import network_input
from wmhseg.channels.network_input import NetworkInput
from wmhseg.datasets.cases import Case
from wmhseg.datasets.contents import not_there
from wmhseg.errors import GridMismatchError, InputError, LabelsError, MissingFileError, NoCasesError
from wmhseg.io import checksums, files
from wmhseg.io.progress import Progress
from wmhseg.preparation import labelled
from wmhseg.training import classes, model_folder
from wmhseg.training import plan as plans
from wmhseg.training.batches import augment
from wmhseg.training.batches.split import PatientCase, Split
from wmhseg.training.batches.stream import TrainingBatch, as_batch, crop
from wmhseg.training.plan import Augmentation, Plan, Run
from wmhseg.weights.inputs import Input, Labels


@dataclass(frozen=True)
class ScanSource:
    """Batches of varied slices; an epoch shows every copy of every slice once, in a new order.

    Attributes:
        folders: Folders of prepared cases, see ``prepare``.
        slices: Number of slices of each.
        augmentation: Number of copies, and ranges.
        batch: Slices a batch.
        crop: Side of a random crop in pixels, None for whole slices.
        inputs: What the channels of the cases are.
        field: Rows and columns that smaller slices are continued to.
        seed: The run's seed and the attempt.
    """

    folders: tuple[Path, ...]
    slices: tuple[int, ...]
    augmentation: Augmentation
    batch: int
    crop: int | None
    inputs: tuple[Input, ...]
    field: tuple[int, int]
    seed: tuple[int, ...]

    per_block = 1

    @property
    def per_epoch(self) -> int:
        """Batches an epoch; slices left over at its end are not shown in it."""
        return max(1, sum(self.slices) * self.augmentation.copies // self.batch)

    def open(self) -> Callable[[int], Iterator[TrainingBatch]]:
        """Maps the prepared cases into memory, which all processes share."""
        stacks = [np.load(folder / "inputs.npy", mmap_mode="r") for folder in self.folders]
        masks = [np.load(folder / "mask.npy", mmap_mode="r") for folder in self.folders]
        starts = np.cumsum([0, *self.slices])
        order: dict[int, npt.NDArray[np.intp]] = {}

        def draw(number: int) -> Iterator[TrainingBatch]:
            epoch, place = divmod(number, self.per_epoch)
            if epoch not in order:
                order.clear()
                order[epoch] = self._order(epoch)
            picked = order[epoch][place * self.batch : (place + 1) * self.batch]
            slices = []
            for item in map(int, picked):
                copy, index = divmod(item, int(starts[-1]))
                case = int(np.searchsorted(starts, index, "right")) - 1
                within = index - int(starts[case])
                rng = np.random.default_rng(np.random.SeedSequence([*self.seed, epoch, item]))
                slices.append(self._varied(rng, stacks[case][within], masks[case][within], copy))
            yield as_batch(slices)

        return draw

    def _order(self, epoch: int) -> npt.NDArray[np.intp]:
        """Numbers of all copies of all slices, mixed; repeated if they are fewer than a batch."""
        items = sum(self.slices) * self.augmentation.copies
        rng = np.random.default_rng(np.random.SeedSequence([*self.seed, epoch]))
        mixed: npt.NDArray[np.intp] = np.resize(rng.permutation(items), max(items, self.batch))
        return mixed

    def _varied(
        self, rng: np.random.Generator, image: Any, mask: Any, copy: int
    ) -> tuple[Any, Any]:
        """One copy of a slice, cropped; copy 0 is the slice as it is."""
        image, mask = np.asarray(image), np.asarray(mask)
        if copy:
            variation = augment.draw(rng, self.augmentation)
            image, mask = augment.apply(image, mask, variation, self.inputs)
        image, mask = continued(image, mask, self.field)
        return crop(rng, image, mask, self.crop)


@dataclass(frozen=True)
class PreparedCases:
    """Cases that are ready to be drawn from.

    Attributes:
        folders: Case -> folder of its arrays.
        slices: Case -> number of its slices.
        skipped: Case -> why it is left out.
        inputs: What the channels of the arrays are.
        field: Rows and columns of the largest slices.
        off_scale: Cases that are not on the challenge's intensity scale and were kept so.
    """

    folders: Mapping[str, Path]
    slices: Mapping[str, int]
    skipped: Mapping[str, str]
    inputs: tuple[Input, ...]
    field: tuple[int, int]
    off_scale: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScanData:
    """Prepared cases to train on; see ``wmhseg.training.session.Data``.

    Attributes:
        parted: What is trained on and what is kept aside.
        prepared: All usable cases.
        augmentation: How they are varied.
    """

    parted: Split
    prepared: PreparedCases
    augmentation: Augmentation

    def identity(self) -> dict[str, str]:
        """Checksum of every file that is trained on."""
        return {
            f"{one.case.name}/{name}": checksums.sha256_of(path)
            for one in self.parted.train
            for name, path in _files(one.case).items()
        }

    def per_epoch(self, run: Run) -> int | None:
        """Batches a pass through all copies."""
        return self.source(run, (run.seed, 0)).per_epoch

    def field(self, run: Run) -> tuple[int, int]:
        """Rows and columns of what a run is shown."""
        return (run.crop, run.crop) if run.crop else self.prepared.field

    def source(self, run: Run, seed: tuple[int, ...]) -> ScanSource:
        """Batches for a run."""
        names = [one.case.name for one in self.parted.train]
        return ScanSource(
            tuple(self.prepared.folders[name] for name in names),
            tuple(self.prepared.slices[name] for name in names),
            self.augmentation,
            run.batch,
            run.crop,
            self.prepared.inputs,
            _at_least(self.prepared.field, run.crop or 0),
            seed,
        )

    def describe(self) -> list[str]:
        """What a model card says about the data."""
        train = self.parted.train
        places: dict[str, int] = {}
        for one in train:
            places[one.place or "unknown"] = places.get(one.place or "unknown", 0) + 1
        patients = len({one.patient for one in train})
        slices = sum(self.prepared.slices[one.case.name] for one in train)
        copies = self.augmentation.copies
        scanners = ", ".join(f"{place} ({count})" for place, count in sorted(places.items()))
        return [
            f"{len(train)} scans of {patients} patients, {slices} slices, each seen "
            f"{copies} times an epoch.",
            f"Scanners: {scanners}.",
            f"Split {self.parted.how}, fold {self.parted.fold} of {self.parted.folds}: "
            f"{len(self.parted.test)} scans kept aside, {len(self.parted.unused)} not used; "
            "`split.json` names them.",
            f"{len(self.prepared.skipped)} broken subjects were skipped.",
        ]


def continued(image: Any, mask: Any, field: tuple[int, int]) -> tuple[Any, Any]:
    """Continues a slice, centred, to the field by the values of its border, and its mask by 0.

    Args:
        image: (row, column, channel), not larger than the field.
        mask: (row, column).
        field: Rows and columns.
    """
    missing = [size - own for size, own in zip(field, mask.shape, strict=True)]
    if not any(missing):
        return image, mask
    sides = [(n // 2, n - n // 2) for n in missing]
    return np.pad(image, [*sides, (0, 0)], mode="edge"), np.pad(mask, sides)


def _at_least(field: tuple[int, int], side: int) -> tuple[int, int]:
    return max(field[0], side), max(field[1], side)


def _files(case: Case) -> dict[str, Path]:
    paths = {"FLAIR": case.flair, "T1": case.t1, "wmh": case.reference}
    return {name: path for name, path in paths.items() if path is not None}


@dataclass(frozen=True)
class LabelledInput:
    """What the networks take of a case, and what they should say.

    Attributes:
        inputs: The scans as the networks take them.
        labels: (slice, row, column) of the mask on the scan's own voxels: 0, 1 and 2.
        network_labels: What the networks say.
    """

    inputs: NetworkInput
    labels: npt.NDArray[Any]
    network_labels: Labels

    @property
    def stack(self) -> npt.NDArray[np.float32]:
        """(slice, row, column, channel); networks of plans have one input layer."""
        (stack,) = self.inputs.stacks.values()
        return stack

    @property
    def target(self) -> npt.NDArray[np.uint8]:
        """(slice, row, column) on the network's voxels, see ``classes.targets``."""
        numbers = self.inputs.way.forward(self.labels.astype(np.uint8))
        return classes.targets(numbers, self.network_labels)


def read_case(case: Case, plan: Plan) -> LabelledInput:
    """Reads, checks and prepares a case.

    Args:
        case: Where its files are.
        plan: How to prepare them.

    Raises:
        InputError: If a file is missing or damaged, grids differ, or the mask holds labels
            besides 0, 1 and 2.
    """
    chosen = model_folder.preset_of(plan, ())
    scans = labelled.read_labelled(case, with_t1=chosen.takes_t1)
    if case.t1 is None and not chosen.works_without_t1:
        raise MissingFileError("A T1 scan was expected", received="none")
    difference = scans.flair.grid.difference(scans.grid)
    if difference:
        raise GridMismatchError("FLAIR and mask on one grid were expected", received=difference)
    other = sorted(set(np.unique(scans.labels).tolist()) - {0, 1, 2})
    if other:
        raise LabelsError("The labels 0, 1 and 2 were expected in the mask", received=other[:5])
    scale = plans.intensity_scale(plan, chosen)
    inputs = network_input.prepare(scans.flair, scans.t1, chosen, intensity_scale=scale)
    return LabelledInput(inputs, scans.labels, chosen.labels)


def why_not(case: Case, plan: Plan) -> str:
    """Why ``read_case`` would refuse a case, as far as names and first bytes tell; or ""."""
    chosen = model_folder.preset_of(plan, ())
    t1 = case.t1 if chosen.takes_t1 else None
    if case.problem is not None:
        return str(case.problem)
    if case.flair is None:
        return case.scan_problem
    if t1 is None and not chosen.works_without_t1:
        return "no T1 scan, which this plan needs"
    return not_there({"FLAIR scan": case.flair, "T1 scan": t1, "mask": case.reference})


def prepare(
    cases: Sequence[PatientCase], plan: Plan, folder: Path, progress: Progress | None = None
) -> PreparedCases:
    """Prepares all cases once, in files that the processes that draw share.

    Args:
        cases: The cases.
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
    off_scale: list[str] = []
    field = 0, 0
    kept = plans.intensity_scale(plan, model_folder.preset_of(plan, ())) == "keep"
    for done, one in enumerate(cases, 1):
        name = one.case.name
        try:
            made = read_case(one.case, plan)
        except InputError as error:
            skipped[name] = str(error)
        else:
            # Numbers are safe names of folders; names of cases may not be.
            place = folders[name] = folder / f"{len(slices):04d}"
            files.check_writable(place)
            _save(place / "inputs.npy", made.stack)
            _save(place / "mask.npy", made.target)
            slices[name] = len(made.stack)
            field = max(field[0], made.stack.shape[1]), max(field[1], made.stack.shape[2])
            if kept and not all(scale.on_scale for scale in made.inputs.scales.values()):
                off_scale.append(name)
        if progress is not None:
            progress(done, len(cases))
    if not slices:
        first = next(iter(skipped.items()), ("", "none"))
        raise NoCasesError("At least one usable case was expected", received=": ".join(first))
    return PreparedCases(folders, slices, skipped, plan.network_inputs, field, tuple(off_scale))


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    files.write_atomically(path, lambda file: np.save(file, array, allow_pickle=False))
