"""Which cases are trained on and which are kept aside, always by patient.

The patient of a case stands in a table with the columns ``case`` and ``patient``. Without a table
it is the subject of a BIDS-like name (``sub-01_ses-2`` is a visit of ``sub-01``), and otherwise
every case is a patient of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wmhseg import records
from wmhseg.datasets.cases import Case
from wmhseg.datasets.folders import Warn, natural, warned
from wmhseg.datasets.subjects import find_subjects
from wmhseg.datasets.tables import is_missing, read_table
from wmhseg.errors import TableError, UsageError
from wmhseg.io.checksums import sha256_of

_SEED = 20170914  # fixed, so that fold 2 of 5 is the same for everybody with the same cases
# "14a" and "14b", or "p3_v1" and "p3_v2".
_VISIT = re.compile(
    r"(.*\d)[-_ ]?[a-z]|(.+)[-_ ](?:v|visit|ses|session|tp|time|scan)[-_ ]?\d+", re.IGNORECASE
)
_BIDS_SUBJECT = re.compile(r"(sub-[0-9A-Za-z+]+)(?:_.*)?")


@dataclass(frozen=True)
class PatientCase:
    """A case, and the patient whose it is."""

    case: Case
    patient: str

    @property
    def place(self) -> str:
        """Site and scanner, such as "Amsterdam/GE3T"."""
        return "/".join(part for part in (self.case.site, self.case.scanner) if part)


@dataclass(frozen=True)
class Split:
    """One way to part the cases.

    Attributes:
        how: As it was asked for, such as "k-fold:5".
        fold: Number of the part, from 1.
        folds: Number of parts.
        train: Cases to train on.
        test: Cases kept aside.
        unused: Cases of neither: in "cross-scanner", other scans of patients kept aside.
    """

    how: str
    fold: int
    folds: int
    train: tuple[PatientCase, ...]
    test: tuple[PatientCase, ...] = ()
    unused: tuple[PatientCase, ...] = ()


def with_patients(cases: Sequence[Case], table: Path | None = None) -> list[PatientCase]:
    """Says whose each case is.

    Args:
        cases: The cases.
        table: Table with the columns case and patient, or None; see ``datasets.tables``. Cases
            that are not there may stand in it, with or without a patient.

    Raises:
        TableError: If the table is none, has other columns, does not name the patient of every
            case, or names two of one.
        InputError: If it cannot be read.
    """
    if table is None:
        return [PatientCase(case, _patient(case.name)) for case in cases]
    known = _read(table)
    missing = [case.name for case in cases if case.name not in known]
    if missing:
        raise TableError(
            f"A patient for every case was expected in {table}",
            received=f"none for {', '.join(missing[:10])}",
        )
    return [PatientCase(case, known[case.name]) for case in cases]


def lesion_free(folder: str | None, table: str | None, warn: Warn = warned) -> list[PatientCase]:
    """Scans without masks, and whose they are; those a table does not name are people of their own.

    Args:
        folder: Of scans, as ``wmhseg batch`` finds them; None for none.
        table: As of ``with_patients``, or None.
        warn: Is given a sentence about what was found and is not used.

    Raises:
        TableError: If the table is none, or names two patients of one.
        InputError: If it or the folder cannot be read.
    """
    if folder is None:
        return []
    known = {} if table is None else _read(Path(table))
    return [
        PatientCase(
            Case(one.name, flair=one.flair, t1=one.t1, scan_problem=one.problem),
            known.get(one.name, _patient(one.name)),
        )
        for one in find_subjects(Path(folder), warn)
    ]


def check_visits(cases: Sequence[PatientCase]) -> None:
    """Makes sure that no two patients have names that look like visits of one.

    Raises:
        UsageError: If a letter or the number of a visit is all that two names differ in: whose
            they are has to be said, as a wrong guess would make a false measurement.
    """
    stems: dict[str, list[str]] = {}
    for patient in _patients(cases):
        match = _VISIT.fullmatch(patient)
        if match:
            stems.setdefault(match[1] or match[2], []).append(patient)
    for names in stems.values():
        if len(names) > 1:
            raise UsageError(
                "A table that says whose each scan is (--patients TABLE) was expected, as some "
                "names look like visits of one patient",
                received=", ".join(names[:5]),
                advice="Its columns are case and patient; visits of a patient have one patient.",
            )


def copies(cases: Sequence[PatientCase]) -> list[tuple[str, ...]]:
    """Finds one FLAIR file that several patients have: kept aside, it was trained on all the same.

    Args:
        cases: With scans that can be read.

    Returns:
        Names of cases, for each such file. A scan that was saved anew is not found.

    Raises:
        InputError: If a scan cannot be read.
    """
    by_size: dict[int, list[PatientCase]] = {}
    for one in cases:
        if one.case.flair is not None:
            by_size.setdefault(one.case.flair.stat().st_size, []).append(one)
    by_content: dict[str, list[PatientCase]] = {}
    for alike in by_size.values():
        if len(alike) > 1:
            for one in alike:
                assert one.case.flair is not None
                by_content.setdefault(sha256_of(one.case.flair), []).append(one)
    return [
        tuple(one.case.name for one in same)
        for same in by_content.values()
        if len({one.patient for one in same}) > 1
    ]


def told_copies(names: Sequence[str]) -> str:
    """Says which cases have one FLAIR scan, and what that does to figures."""
    return (
        f"{', '.join(names)} have the same FLAIR scan but are different patients: figures of one "
        "that is left out are too good, as the others are trained on. Leave all but one out, or "
        "say in --patients TABLE that they are one patient."
    )


def _patient(name: str) -> str:
    match = _BIDS_SUBJECT.fullmatch(name)
    return match[1] if match else name


def _read(path: Path) -> dict[str, str]:
    """Case -> patient, of every row that names one."""
    table = read_table(path)
    columns = table.named("case", "patient")
    if len(columns) < 2:
        raise table.lacking("case", "patient")
    patients: dict[str, str] = {}
    places: dict[str, str] = {}
    for number, row in enumerate(table.rows):
        case, patient = (row[columns[name]].strip() for name in ("case", "patient"))
        where = table.where(number)
        if not case:
            raise TableError(
                f"The name of a case was expected in {where}",
                received=f"an empty cell beside the patient {patient or 'none'}",
            )
        if is_missing(patient):
            continue
        # One of two patients would be the wrong one, and a split by patient none.
        if patients.setdefault(case, patient) != patient:
            raise TableError(
                f"One patient for the case {case} was expected",
                received=f"{patients[case]} in {places[case]}, {patient} in {where}",
            )
        places.setdefault(case, where)
    return patients


def split(cases: Sequence[PatientCase], how: str, fold: int) -> Split:
    """Parts the cases.

    Args:
        cases: All cases.
        how: "none" trains on all. "k-fold:K" makes K parts of the patients, those of each scanner
            spread evenly. "loso" keeps one patient aside. "cross-scanner" keeps one scanner
            aside, and all other scans of its patients out of the training.
        fold: Which part is kept aside, from 1.

    Raises:
        UsageError: If there is no such split or fold, or nothing is left to train on.
    """
    name, _, number = how.partition(":")
    if name == "none" and not number:
        kept_aside: list[list[PatientCase]] = [[]]
    elif name == "k-fold" and number.isdecimal() and int(number) > 1:
        kept_aside = _by_patient(cases, _folds(cases, int(number)))
    elif name == "loso" and not number:
        kept_aside = _by_patient(cases, [[patient] for patient in _patients(cases)])
    elif name == "cross-scanner" and not number:
        places = sorted({c.place for c in cases}, key=natural)
        kept_aside = [[c for c in cases if c.place == place] for place in places]
    else:
        raise UsageError(
            "A split none, k-fold:K with K from 2, loso or cross-scanner was expected",
            received=how,
        )
    if not 1 <= fold <= len(kept_aside):
        raise UsageError(f"A fold from 1 to {len(kept_aside)} was expected", received=fold)
    test = kept_aside[fold - 1]
    away = {c.patient for c in test}
    train = [c for c in cases if c.patient not in away]
    if not train or (name != "none" and not test):
        raise UsageError(
            f"Cases on both sides of the split {how} were expected",
            received=f"{len(train)} to train on and {len(test)} kept aside",
        )
    unused = [c for c in cases if c.patient in away and c not in test]
    return Split(how, fold, len(kept_aside), tuple(train), tuple(test), tuple(unused))


def _patients(cases: Sequence[PatientCase]) -> list[str]:
    return sorted({c.patient for c in cases}, key=natural)


def _folds(cases: Sequence[PatientCase], count: int) -> list[list[str]]:
    """Deals the patients out, scanner by scanner, in a random order that is always the same."""
    place = {c.patient: c.place for c in reversed(cases)}
    shuffled = list(np.random.default_rng(_SEED).permutation(_patients(cases)))
    dealt = sorted(map(str, shuffled), key=lambda patient: natural(place[patient]))
    return [dealt[start::count] for start in range(count)]


def _by_patient(
    cases: Sequence[PatientCase], folds: Sequence[Sequence[str]]
) -> list[list[PatientCase]]:
    return [[c for c in cases if c.patient in set(patients)] for patients in folds]


def to_json(parted: Split, skipped: Mapping[str, str]) -> str:
    """Writes a split down.

    Args:
        parted: The split.
        skipped: Cases that were left out before -> why.
    """
    groups = {"train": parted.train, "test": parted.test, "unused": parted.unused}
    content = {
        "split": parted.how,
        "fold": parted.fold,
        "folds": parted.folds,
        **{
            name: [{"case": c.case.name, "patient": c.patient, "scanner": c.place} for c in group]
            for name, group in groups.items()
        },
        "skipped": dict(skipped),
    }
    return records.json_text(content)
