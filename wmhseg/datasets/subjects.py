"""Somebody to segment: which scans of whom a folder holds. No image is read here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from wmhseg.datasets.bids import SCAN_NAME, case_name
from wmhseg.datasets.folders import files_below, stem_of
from wmhseg.errors import NoCasesError

_PLAIN_SCAN = re.compile(r"(?:(.+)[-_])?(FLAIR|T1w?)", re.IGNORECASE)


@dataclass(frozen=True)
class Subject:
    """Somebody to segment; no reference is needed.

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
        data: ``<id>/pre/FLAIR.nii.gz`` and ``T1.nii.gz`` as in the challenge, the same without
            ``pre``, BIDS (``sub-…[_ses-…]…_FLAIR``, ``_T1w``; derivatives are left out), or
            ``<id>_FLAIR`` and ``<id>_T1`` beside each other.

    Returns:
        Subjects in natural order of their paths. Of several scans of one kind none is guessed:
        that subject carries a problem. Subjects of one name in different folders all appear.

    Raises:
        MissingFileError: There is no such folder.
        UnreadableFileError: A folder in it cannot be read.
        NoCasesError: It holds no FLAIR scan.
    """
    found: dict[tuple[str, Path], dict[str, list[Path]]] = {}
    for path in files_below(data):
        place = _scan_of(data, path)
        if place is not None:
            name, home, kind = place
            found.setdefault((name, home), {"flair": [], "t1": []})[kind].append(path)
    if not any(scans["flair"] for scans in found.values()):
        raise NoCasesError(
            "FLAIR scans as in the challenge (<id>/pre/FLAIR.nii.gz), in BIDS (sub-01_FLAIR.nii.gz)"
            f" or flat (<id>_FLAIR.nii.gz) were expected below {data}",
            received="none",
            advice="Or name a table with the columns subject, flair and t1.",
        )
    return [_subject(name, scans["flair"], scans["t1"]) for (name, _), scans in found.items()]


def _scan_of(data: Path, path: Path) -> tuple[str, Path, str] | None:
    """Name of the subject, the folder that tells namesakes apart, and the kind of scan."""
    stem, folder = stem_of(path), path.parent
    if "derivatives" in folder.relative_to(data).parts:
        return None
    if match := SCAN_NAME.fullmatch(stem):
        return case_name(match[1]), folder, _kind_of(match[2])
    if match := _PLAIN_SCAN.fullmatch(stem):
        if match[1]:
            return match[1], folder, _kind_of(match[2])
        if folder.name == "orig" and (folder.parent / "pre").is_dir():
            return None  # the challenge's scans before preparation
        home = folder.parent if folder.name == "pre" else folder
        return home.name if home != data else data.resolve().name, home, _kind_of(match[2])
    return None


def _kind_of(suffix: str) -> str:
    return "flair" if suffix.lower() == "flair" else "t1"


def _subject(name: str, flair: list[Path], t1: list[Path]) -> Subject:
    for kind, scans in (("FLAIR", flair), ("T1", t1)):
        if len(scans) > 1:
            names = " and ".join(str(path) for path in scans)
            return Subject(name, None, problem=f"several {kind} scans: {names}")
    if not flair:
        return Subject(name, None, problem=f"no FLAIR scan beside {t1[0]}")
    return Subject(name, flair[0], t1[0] if t1 else None)
