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
from wmhseg.errors import InputError, LabelsError, NoCasesError
from wmhseg.io import checksums, files
from wmhseg.io.progress import Progress
from wmhseg.training import classes, model_folder
from wmhseg.training import plan as plans
from wmhseg.training.batches import augment, patches
from wmhseg.training.batches.counted import counted
from wmhseg.training.batches.labelled_input import LabelledInput, read_case
from wmhseg.training.batches.patches import PatchCase
from wmhseg.training.batches.real_patches import POOLS, RealPatches, opened
from wmhseg.training.batches.split import PatientCase, Split
from wmhseg.training.batches.stream import TrainingBatch, as_batch, crop
from wmhseg.training.plan import LESION_LOSSES, Augmentation, Loss, Plan, Run, Sampling
from wmhseg.weights.inputs import Input


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
        by_lesion: Whether targets tell lesions apart, see ``counted``.
    """

    folders: tuple[Path, ...]
    slices: tuple[int, ...]
    augmentation: Augmentation
    batch: int
    crop: int | None
    inputs: tuple[Input, ...]
    field: tuple[int, int]
    seed: tuple[int, ...]
    by_lesion: bool = False

    per_block = 1

    @property
    def per_epoch(self) -> int:
        """Batches an epoch; slices left over at its end are not shown in it."""
        return max(1, sum(self.slices) * self.augmentation.copies // self.batch)

    def open(self) -> Callable[[int], Iterator[TrainingBatch]]:
        """Maps the prepared cases into memory, which all processes share."""
        name = f"inputs-{self.inputs[0].port}.npy"
        stacks = [np.load(folder / name, mmap_mode="r") for folder in self.folders]
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
        return crop(rng, image, counted(mask) if self.by_lesion else mask, self.crop)


@dataclass(frozen=True)
class PreparedCases:
    """Cases that are ready to be drawn from.

    Attributes:
        folders: Case -> folder of its arrays.
        slices: Case -> number of its slices.
        voxels: Case -> number of its voxels of WMH, of stroke and elsewhere, where patches are cut.
        skipped: Case -> why it is left out.
        inputs: What the channels of the arrays are.
        field: Rows and columns of the largest slices.
        has_stroke: Whether the networks know strokes.
        off_scale: Cases that are not on the challenge's intensity scale and were kept so.
    """

    folders: Mapping[str, Path]
    slices: Mapping[str, int]
    voxels: Mapping[str, tuple[int, int, int]]
    skipped: Mapping[str, str]
    inputs: tuple[Input, ...]
    field: tuple[int, int]
    off_scale: tuple[str, ...] = ()
    has_stroke: bool = False


@dataclass(frozen=True)
class ScanData:
    """Prepared cases to train on; see ``wmhseg.training.session.Data``.

    Attributes:
        parted: What is trained on and what is kept aside.
        prepared: All usable cases.
        augmentation: How they are varied.
        sampling: Patches that are shown, None for slices.
        loss: The loss of runs that name none.
    """

    parted: Split
    prepared: PreparedCases
    augmentation: Augmentation
    sampling: Sampling | None = None
    loss: Loss = "dice"

    def check(self) -> None:
        """Checks that there is what a plan wants to show.

        Raises:
            LabelsError: If patches are to be cut around voxels of a label that there is not.
        """
        if self.sampling is None:
            return
        names = [one.case.name for one in self.parted.train]
        held = np.sum([self.prepared.voxels[name] for name in names], 0)
        wanted = (self.sampling.wmh > 0, self.sampling.stroke > 0 and self.prepared.has_stroke)
        for label, share, count in zip(classes.NAMES[1:], wanted, held, strict=False):
            if share and not count:
                number = classes.NAMES.index(label)
                raise LabelsError(
                    f"Voxels of {label} (label {number}) in the masks of the training were "
                    "expected, as this plan cuts patches around them",
                    received=f"none in {len(names)} cases",
                    advice="Take a plan of WMH alone, such as --preset published.",
                )

    def identity(self, *, held_out: bool = False) -> dict[str, str]:
        """Checksum of every file that is trained on, or also of those kept aside."""
        return {
            f"{one.case.name}/{name}": checksums.sha256_of(path)
            for one in self.parted.train + self.parted.test * held_out
            for name, path in _files(one.case).items()
        }

    def held_out(self) -> Iterator[PatchCase]:
        """The cases that are kept aside."""
        for one in self.parted.test:
            yield opened(self.prepared.folders[one.case.name], self.prepared.inputs)

    def per_epoch(self, run: Run) -> int | None:
        """Batches a pass through all copies."""
        return self.source(run, (run.seed, 0)).per_epoch

    def field(self, run: Run) -> tuple[int, int]:
        """Rows and columns of what a run is shown."""
        side = run.crop if self.sampling is None else self.sampling.side
        return (side, side) if side else self.prepared.field

    def source(self, run: Run, seed: tuple[int, ...]) -> ScanSource | RealPatches:
        """Batches for a run."""
        names = [one.case.name for one in self.parted.train]
        if self.sampling is not None:
            return RealPatches(
                tuple(self.prepared.folders[name] for name in names),
                tuple(self.prepared.voxels[name] for name in names),
                (self.sampling, self.augmentation),
                run.batch,
                self.prepared.inputs,
                seed,
            )
        return ScanSource(
            tuple(self.prepared.folders[name] for name in names),
            tuple(self.prepared.slices[name] for name in names),
            self.augmentation,
            run.batch,
            run.crop,
            self.prepared.inputs,
            _at_least(self.prepared.field, run.crop or 0),
            seed,
            (run.loss or self.loss) in LESION_LOSSES,
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
    voxels: dict[str, tuple[int, int, int]] = {}
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
            voxels[name] = _keep(made, place, plan)
            slices[name], rows, columns = made.inputs.way.target.shape
            field = max(field[0], rows), max(field[1], columns)
            if kept and not all(scale.on_scale for scale in made.inputs.scales.values()):
                off_scale.append(name)
        if progress is not None:
            progress(done, len(cases))
    if not slices:
        first = next(iter(skipped.items()), ("", "none"))
        raise NoCasesError("At least one usable case was expected", received=": ".join(first))
    return PreparedCases(
        folders,
        slices,
        voxels,
        skipped,
        plan.network_inputs,
        field,
        tuple(off_scale),
        classes.STROKE in plan.network_labels.names,
    )


def patch_cases(cases: Sequence[Case], plan: Plan) -> Iterator[PatchCase]:
    """Reads and prepares cases that patches are cut of, one after the other.

    Raises:
        InputError: If one cannot be used.
    """
    for case in cases:
        made = read_case(case, plan)
        target = made.target
        pool = patches.pool_of(target, plan.network_labels, made.region, made.flair_here)
        yield PatchCase(made.inputs.stacks, target, pool)


def _keep(made: LabelledInput, place: Path, plan: Plan) -> tuple[int, int, int]:
    """Writes down what batches of a case are made of; how many voxels of each kind it holds."""
    for port, stack in made.inputs.stacks.items():
        _save(place / f"inputs-{port}.npy", stack)
    target = made.target
    _save(place / "mask.npy", target)
    if plan.sampling is None:
        return 0, 0, 0
    pool = patches.pool_of(target, plan.network_labels, made.region, made.flair_here)
    for kind in POOLS:
        _save(place / f"pool-{kind}.npy", getattr(pool, kind))
    return len(pool.wmh), len(pool.stroke), len(pool.elsewhere)


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    files.write_atomically(path, lambda file: np.save(file, array, allow_pickle=False))
