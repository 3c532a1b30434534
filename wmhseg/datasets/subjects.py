"""Who is to be segmented: found in a folder, or named in a table. No reference is needed.

These layouts may stand in one folder; ".nii" will do for ".nii.gz", and hidden files and folders
are left out:

* The challenge's: ``<id>/pre/FLAIR.nii.gz`` and ``T1.nii.gz``; ``orig`` beside ``pre`` is left out.
* Flat: the same without ``pre``. The folder may be a subject itself.
* Pairs: ``<id>_FLAIR.nii.gz`` and ``<id>_T1.nii.gz`` beside each other.
* BIDS: ``sub-…[_ses-…]…_FLAIR.nii.gz`` and ``…_T1w.nii.gz``; ``derivatives`` are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wmhseg.datasets.folders import files_below, stem_of
from wmhseg.datasets.scan_names import ORIGINAL, PREPARED, scan_name
from wmhseg.datasets.tables import read_table
from wmhseg.errors import NoCasesError

_NOT_AVAILABLE = ("", "n/a")


@dataclass(frozen=True)
class Subject:
    """Somebody to segment.

    Attributes:
        name: What the subject is called.
        flair: FLAIR scan, None if the problem says why there is none.
        t1: T1 scan, None if there is none.
        problem: Why the subject cannot be segmented, "" if it can.
    """

    name: str
    flair: Path | None
    t1: Path | None = None
    problem: str = ""


def find_subjects(data: Path) -> list[Subject]:
    """Find everybody with a FLAIR or T1 scan in a folder.

    Args:
        data: The folder; see the layouts above.

    Returns:
        Subjects in natural order of their paths. Of several scans of one kind none is guessed:
        that subject carries a problem. Subjects of one name in different folders all appear.

    Raises:
        MissingFileError: There is no such folder.
        UnreadableFileError: A folder in it cannot be read.
        NoCasesError: It holds no FLAIR scan.
    """
    people: dict[tuple[str, Path], dict[str, list[Path]]] = {}
    for path in files_below(data):
        scan = _scan_of(data, path)
        if scan is not None:
            name, home, contrast = scan
            people.setdefault((name, home), {"FLAIR": [], "T1": []})[contrast].append(path)
    if not any(scans["FLAIR"] for scans in people.values()):
        raise NoCasesError(
            "FLAIR scans as in the challenge (<id>/pre/FLAIR.nii.gz), in BIDS (sub-01_FLAIR.nii.gz)"
            f" or flat (<id>_FLAIR.nii.gz) were expected below {data}",
            received="none",
            advice="Or name a table with the columns subject, flair and t1.",
        )
    return [_subject(name, scans["FLAIR"], scans["T1"]) for (name, _), scans in people.items()]


def read_subjects(path: Path) -> list[Subject]:
    """Reads a table of subjects.

    Args:
        path: Comma-separated if its name ends in .csv, otherwise tab-separated; with the columns
            subject, flair and, if wanted, t1 (empty or n/a: none). Paths are relative to it.

    Returns:
        The subjects in their order.

    Raises:
        InputError: The table cannot be read.
        TableError: It is not of this form.
    """
    table = read_table(path)
    columns = {name.strip().lower(): name for name in table.columns}
    if table.rows and not {"subject", "flair"} <= set(columns):
        raise table.lacking("subject", "flair")
    subjects = []
    for row in table.rows:
        values = {name: row[column].strip() for name, column in columns.items()}
        scans = (values.get(name, "") for name in ("flair", "t1"))
        flair, t1 = (None if s.lower() in _NOT_AVAILABLE else path.parent / s for s in scans)
        problem = "" if flair else "no FLAIR scan is named in the table"
        subjects.append(Subject(values["subject"], flair, t1, problem))
    return subjects


def _scan_of(data: Path, path: Path) -> tuple[str, Path, str] | None:
    """Name of the subject, the folder that tells namesakes apart, and the contrast."""
    folder = path.parent
    scan = scan_name(stem_of(path))
    if scan is None or "derivatives" in folder.relative_to(data).parts:
        return None
    if scan.owner or scan.bids:
        return scan.owner, folder, scan.contrast
    if folder.name == ORIGINAL and (folder.parent / PREPARED).is_dir():
        return None
    home = folder.parent if folder.name == PREPARED else folder
    return home.name if home != data else data.resolve().name, home, scan.contrast


def _subject(name: str, flair: list[Path], t1: list[Path]) -> Subject:
    for contrast, scans in (("FLAIR", flair), ("T1", t1)):
        if len(scans) > 1:
            names = " and ".join(str(path) for path in scans)
            return Subject(name, None, problem=f"several {contrast} scans: {names}")
    if not flair:
        return Subject(name, None, problem=f"no FLAIR scan beside {t1[0]}")
    return Subject(name, flair[0], t1[0] if t1 else None)
