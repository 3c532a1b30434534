"""Who is to be segmented: found in a folder, or named in a table. No reference is needed.

``scans`` says which layouts of folders are known. ``derivatives`` of BIDS are left out.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from wmhseg.datasets.bids import parse
from wmhseg.datasets.contents import not_there
from wmhseg.datasets.folders import Warn, files_below, left_out, stem_of, warned
from wmhseg.datasets.scans import (
    FLAIR,
    T1,
    Chosen,
    Group,
    Layout,
    choose,
    choose_in_bids,
    groups,
    is_derived,
)
from wmhseg.datasets.tables import is_missing, read_table
from wmhseg.errors import MissingFileError, NoCasesError, TableError

_COLUMNS = ("subject", "flair", "t1")


@dataclass(frozen=True)
class Subject:
    """Somebody to segment.

    Attributes:
        name: What the subject is called.
        flair: FLAIR scan, None if the problem says why there is none.
        t1: T1 scan, None if there is none.
        problem: Why the subject cannot be segmented, "" if it can.
        where: The line of a table that names the subject, "" if none does.
        notes: Sentences on how the scans were chosen; they stand among the result's warnings.
    """

    name: str
    flair: Path | None
    t1: Path | None = None
    problem: str = ""
    where: str = field(default="", compare=False)
    notes: tuple[str, ...] = ()


def find_subjects(data: Path, warn: Warn = warned) -> list[Subject]:
    """Find everybody with a FLAIR scan in a folder.

    Args:
        data: The folder; see ``scans`` for its layout.
        warn: Is given a sentence about what was found and is not used: T1 scans without a FLAIR
            scan, and folders that cannot be read.

    Returns:
        Subjects in natural order of their paths. Of several scans of one kind none is guessed:
        that subject carries a problem. Subjects of one name in different folders all appear.

    Raises:
        MissingFileError: There is no such folder.
        UnreadableFileError: It cannot be read.
        NoCasesError: It holds no FLAIR scan.
    """
    paths = [path for path in files_below(data, warn) if not is_derived(data, path)]
    subjects: list[Subject] = []
    alone: list[Path] = []
    for group in groups(data, paths):
        if not group.scans[FLAIR]:
            alone += group.scans[T1]
        elif group.layout is Layout.BIDS:
            subjects += _subjects_of_bids(group)
        else:
            subjects.append(_subject(group.name, choose(group.scans[FLAIR], group.scans[T1])))
    if not subjects:
        raise NoCasesError(
            "FLAIR scans as in the challenge (<id>/pre/FLAIR.nii.gz), in BIDS (sub-01_FLAIR.nii.gz)"
            f" or flat (<id>_FLAIR.nii.gz) were expected below {data}",
            received=f"{len(alone)} T1 scans alone" if alone else "none",
            advice="Or name a table with the columns subject, flair and t1. Folders called "
            "sourcedata, code and derivatives are left out.",
        )
    if alone:
        warn(left_out("T1 scans without a FLAIR scan of the same subject", alone))
    return subjects


def why_not(subject: Subject) -> str:
    """Why somebody cannot be segmented, as far as names and the beginnings of files tell; or ""."""
    return subject.problem or not_there({"FLAIR scan": subject.flair, "T1 scan": subject.t1})


def _subjects_of_bids(group: Group) -> list[Subject]:
    """Those of one person and session: one a run."""
    runs: dict[str, list[Path]] = {}
    for path in group.scans[FLAIR]:
        name = parse(stem_of(path))
        runs.setdefault(name.case if name is not None else group.name, []).append(path)
    return [_subject(name, choose_in_bids(flair, group.scans[T1])) for name, flair in runs.items()]


def _subject(name: str, chosen: Chosen) -> Subject:
    return Subject(name, chosen.flair, chosen.t1, chosen.problem)


def read_subjects(path: Path) -> list[Subject]:
    """Reads a table of subjects.

    Args:
        path: See ``tables`` for its form; with the columns subject, flair and, if wanted, t1
            (empty or n/a: none). Paths are relative to it.

    Returns:
        The subjects in their order.

    Raises:
        MissingFileError: There is no such file.
        InputError: The table cannot be read.
        TableError: It is not of this form.
    """
    if not os.path.lexists(path):  # whoever slipped may have meant a folder, as most do
        raise MissingFileError(
            f'A folder of scans or a table of subjects was expected at "{path}"',
            received="no such file or folder",
            advice="Check the path.",
        )
    table = read_table(path)
    columns = table.named(*_COLUMNS)
    if table.rows and not set(_COLUMNS[:2]) <= set(columns):
        raise table.lacking(*_COLUMNS[:2])
    subjects = []
    for number, row in enumerate(table.rows):
        values = {name: row[column].strip() for name, column in columns.items()}
        where = table.where(number)
        if not values["subject"]:
            raise TableError(
                f"The name of a subject was expected in {where}",
                received=f"an empty cell before {values['flair'] or 'no FLAIR scan'}",
            )
        scans = (values.get(name, "") for name in _COLUMNS[1:])
        flair, t1 = (None if is_missing(s) else path.parent / s for s in scans)
        problem = "" if flair else f"no FLAIR scan is named in {where}"
        subjects.append(Subject(values["subject"], flair, t1, problem, where))
    return subjects
