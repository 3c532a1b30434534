"""A user's scans, prepared once for the processes that draw: labelled ones, and lesion-free ones.

Every scan goes through the preparation of ``wmhseg segment``. A lesion-free scan is one that the
user says holds nothing to be marked; its mask is empty.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.datasets.cases import Case
from wmhseg.errors import InputError, NoCasesError, RegistrationError
from wmhseg.io import files
from wmhseg.io.progress import Progress
from wmhseg.training.batches import implanting
from wmhseg.training.batches.implanting import Brightness, Site
from wmhseg.training.batches.labelled_input import LabelledInput, read_case, read_lesion_free
from wmhseg.training.batches.split import PatientCase, copies
from wmhseg.training.plan import Plan

_MODEL_AXES = "LPS"  # in which the average brain lies


@dataclass(frozen=True)
class OpenScan:
    """A prepared scan, mapped into memory.

    Attributes:
        stack: (slice, row, column, channel) z-scores.
        mask: (slice, row, column) uint8, 1 where there is a lesion.
        lesions: (slice,) whether a slice holds any, as (slice, 1, 1).
        site: Where lesions can be put; None: nowhere.
    """

    stack: npt.NDArray[np.float32]
    mask: npt.NDArray[np.uint8]
    lesions: npt.NDArray[np.bool_]
    site: Site | None


@dataclass(frozen=True)
class OwnScan:
    """A prepared scan.

    Attributes:
        name: Of the case.
        patient: Whose it is.
        case: Its files.
        folder: Of its arrays.
        slices: Their number.
        lesion_free: Whether the user says that nothing is to be marked.
        has_site: Whether lesions can be put into it.
    """

    name: str
    patient: str
    case: Case
    folder: Path
    slices: int
    lesion_free: bool = False
    has_site: bool = False

    @property
    def files(self) -> dict[str, Path]:
        """What it was read from."""
        paths = {"FLAIR": self.case.flair, "T1": self.case.t1, "wmh": self.case.reference}
        return {name: path for name, path in paths.items() if path is not None}

    def open(self) -> OpenScan:
        """Maps the arrays."""
        stack, mask = (
            np.load(self.folder / f"{name}.npy", mmap_mode="r") for name in ("stack", "mask")
        )
        lesions: npt.NDArray[np.bool_] = (np.asarray(mask).max((1, 2)) > 0)[:, None, None]
        return OpenScan(stack, mask, lesions, _read_site(self.folder) if self.has_site else None)


@dataclass(frozen=True)
class OwnScans:
    """Scans that are ready to be drawn from.

    Attributes:
        scans: Labelled ones, then lesion-free ones.
        field: Rows and columns of the largest slices.
        skipped: Name -> why it cannot be used.
        unplaced: Name -> why no lesions can be put into it.
        copies: Names of scans of several patients that are one and the same.
    """

    scans: tuple[OwnScan, ...]
    field: tuple[int, int]
    skipped: Mapping[str, str]
    unplaced: Mapping[str, str]
    copies: tuple[tuple[str, ...], ...] = ()

    @property
    def labelled(self) -> tuple[OwnScan, ...]:
        """Those with masks."""
        return tuple(scan for scan in self.scans if not scan.lesion_free)

    def without(self, patients: Sequence[str]) -> OwnScans:
        """What is left when some patients are kept aside."""
        away = set(patients)
        return replace(self, scans=tuple(s for s in self.scans if s.patient not in away))

    def describe(self) -> list[str]:
        """What a model card says about them."""
        labelled = self.labelled
        free = len(self.scans) - len(labelled)
        slices = sum(scan.slices for scan in self.scans)
        patients = len({scan.patient for scan in labelled})
        lines = [
            f"{len(labelled)} labelled scans of {patients} patients and {free} lesion-free scans "
            f"of the user, {slices} slices; `split.json` names them.",
        ]
        if self.skipped:
            lines.append(f"{len(self.skipped)} broken subjects were skipped.")
        if self.unplaced:
            lines.append(
                f"{len(self.unplaced)} scans could not be placed in the average brain, so no "
                "lesions were put into them."
            )
        if self.copies:
            lines.append(
                f"FLAIR files under the names of several patients: {len(self.copies)}. Figures of "
                "patients left out are too good."
            )
        return lines


def prepare(
    labelled: Sequence[PatientCase],
    lesion_free: Sequence[PatientCase],
    plan: Plan,
    folder: Path,
    progress: Progress | None = None,
) -> OwnScans:
    """Prepares all scans once, in files that the processes that draw share.

    Args:
        labelled: Cases with masks.
        lesion_free: Cases without, in which nothing is to be marked.
        plan: How to prepare them; it has ``refinement``.
        folder: Where to; what was there is removed. Uses about 0.5 MB a slice.
        progress: Called with (done, total).

    Raises:
        NoCasesError: If no labelled case can be used.
        OutputError: If the folder cannot be written to.
    """
    shutil.rmtree(folder, ignore_errors=True)
    files.check_writable(folder)
    scans: list[OwnScan] = []
    skipped: dict[str, str] = {}
    unplaced: dict[str, str] = {}
    field = 0, 0
    everything = [(one, False) for one in labelled] + [(one, True) for one in lesion_free]
    for done, (one, free) in enumerate(everything, 1):
        name = one.case.name
        try:
            made = (read_lesion_free if free else read_case)(one.case, plan)
        except InputError as error:
            skipped[name] = str(error)
        else:
            # Numbers are safe names of folders; names of cases may not be.
            place = folder / f"{len(scans):04d}"
            files.check_writable(place)
            why_not = _keep(made, place, plan)
            if why_not:
                unplaced[name] = why_not
            shape = made.inputs.way.target.shape
            field = max(field[0], shape[1]), max(field[1], shape[2])
            scans.append(
                OwnScan(name, one.patient, one.case, place, shape[0], free, why_not is None)
            )
        if progress is not None:
            progress(done, len(everything))
    if all(scan.lesion_free for scan in scans):
        first = next(iter(skipped.items()), ("", "none"))
        raise NoCasesError("At least one usable case was expected", received=": ".join(first))
    used = [PatientCase(scan.case, scan.patient) for scan in scans]
    return OwnScans(tuple(scans), field, skipped, unplaced, tuple(copies(used)))


def _keep(made: LabelledInput, place: Path, plan: Plan) -> str | None:
    """Writes down what batches of a scan are made of; why lesions cannot be put into it, or ""."""
    target, stack = made.target, made.stack
    _save(place / "stack.npy", stack)
    _save(place / "mask.npy", (target > 0).astype(np.uint8))
    if plan.refinement is None or plan.refinement.implanting is None:
        return ""
    if plan.preprocessing.orientation != _MODEL_AXES:
        return f"the model takes axes as they are stored, not {_MODEL_AXES}"
    grid = made.inputs.way.target
    try:
        found = implanting.site(stack, target > 0, plan.network_inputs, grid.spacing_mm)
    except RegistrationError as error:
        return str(error)
    _save(place / "likely.npy", found.likely.astype(np.float16))
    own = (np.nan, np.nan) if found.own is None else (found.own.flair, found.own.t1)
    numbers = [found.spacing_mm, found.white, found.noise, found.ceiling, own]
    _save(place / "site.npy", np.array([n for pair in numbers for n in pair], np.float64))
    return None


def _read_site(folder: Path) -> Site:
    likely = np.load(folder / "likely.npy").astype(np.float32)
    numbers = [float(n) for n in np.load(folder / "site.npy")]
    own = None if np.isnan(numbers[9]) else Brightness(numbers[9], numbers[10])
    white, noise, ceiling = ((numbers[at], numbers[at + 1]) for at in (3, 5, 7))
    return Site(likely, (numbers[0], numbers[1], numbers[2]), white, noise, ceiling, own)


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    files.write_atomically(path, lambda file: np.save(file, array, allow_pickle=False))
