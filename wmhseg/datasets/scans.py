"""Which scans a folder holds, and which of them belong together: one set of rules for all commands.

These layouts may stand in one folder; ".nii" will do for ".nii.gz", and hidden files and folders
are left out, as are ``sourcedata`` and ``code``, which BIDS says are no part of the data:

* The challenge's: ``<id>/pre/FLAIR.nii.gz`` and ``T1.nii.gz``; ``orig`` beside ``pre`` is left out.
* Flat: the same without ``pre``. The folder may be a subject itself.
* Pairs: ``<id>_FLAIR.nii.gz`` and ``<id>_T1.nii.gz`` beside each other.
* BIDS: ``sub-…[_ses-…]…_FLAIR.nii.gz`` and ``…_T1w.nii.gz``. To a FLAIR scan belongs the T1 scan of
  its subject, session and run, or, if that run has none, the only one of its subject and session.
  Of several it is the one whose other entities (such as ``acq``) are FLAIR's as well.

Of several scans that are left none is guessed: that is a problem, and the scans are named.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from wmhseg.datasets import bids
from wmhseg.datasets.folders import stem_of
from wmhseg.datasets.scan_names import ORIGINAL, PREPARED, scan_name

FLAIR, T1 = "FLAIR", "T1"
_NO_DATA = {"sourcedata", "code"}
_DERIVED = "derivatives"
# Entities that say what was made of a scan, not which scan it is.
_OF_RESULTS = {"label", "space", "desc", "res", "den"}


class Layout(Enum):
    """How a scan's name and folder say whose it is."""

    FOLDER = "the folder"
    PAIR = "the name"
    BIDS = "entities"


_Key = tuple[str, Path, Layout]


@dataclass(frozen=True)
class Group:
    """Scans of one person, session and folder.

    Attributes:
        name: The person (and, in BIDS, session).
        home: The folder that tells namesakes apart; in the challenge's layout that above ``pre``.
        layout: How they were found.
        scans: "FLAIR" and "T1" -> files, in natural order.
    """

    name: str
    home: Path
    layout: Layout
    scans: dict[str, list[Path]] = field(default_factory=lambda: {FLAIR: [], T1: []})


@dataclass(frozen=True)
class Chosen:
    """The scans that are used, or why there are none.

    Attributes:
        flair: FLAIR scan, None if the problem says why there is none.
        t1: T1 scan, None if there is none.
        problem: "" if all is well.
    """

    flair: Path | None = None
    t1: Path | None = None
    problem: str = ""


def is_data(data: Path, path: Path) -> bool:
    """Whether a file is part of a data set, not of what BIDS keeps beside it."""
    return not _NO_DATA & set(path.parent.relative_to(data).parts)


def is_derived(data: Path, path: Path) -> bool:
    """Whether somebody made it of other data."""
    return _DERIVED in path.relative_to(data).parts


def groups(data: Path, paths: Iterable[Path]) -> list[Group]:
    """Sorts scans by whose they are.

    Args:
        data: The folder that is searched.
        paths: Files below it; those that are no scans are left out.

    Returns:
        In the order of the paths.
    """
    found: dict[_Key, Group] = {}
    for path in paths:
        place = _place(data, path) if is_data(data, path) else None
        if place is not None:
            contrast, key = place
            found.setdefault(key, Group(*key)).scans[contrast].append(path)
    return list(found.values())


def _place(data: Path, path: Path) -> tuple[str, _Key] | None:
    """Contrast of a scan, and person, home and layout; None for other files."""
    stem, folder = stem_of(path), path.parent
    scan = scan_name(stem)
    if scan is None:
        return None
    name = bids.parse(stem) if scan.bids else None
    if name is not None:
        return scan.contrast, (name.session, folder, Layout.BIDS)
    if scan.owner:
        return scan.contrast, (scan.owner, folder, Layout.PAIR)
    if folder.name == ORIGINAL and (folder.parent / PREPARED).is_dir():
        return None
    # The folder that is searched may be called pre: what it lies in is not looked at.
    home = folder.parent if folder.name == PREPARED and folder != data else folder
    name_of_home = home.name if home != data else data.resolve().name
    return scan.contrast, (name_of_home, home, Layout.FOLDER)


def choose(flair: Sequence[Path], t1: Sequence[Path], sought: str = "") -> Chosen:
    """The scans to use, if there is no doubt about them.

    Args:
        flair: Files that may be the FLAIR scan.
        t1: Files that may be its T1 scan.
        sought: What to say was looked for if there is no FLAIR scan.
    """
    for contrast, scans in ((FLAIR, flair), (T1, t1)):
        if len(scans) > 1:
            return Chosen(problem=f"several {contrast} scans: {' and '.join(map(str, scans))}")
    if not flair:
        return Chosen(problem=f"no FLAIR scan{sought and ': '}{sought}")
    return Chosen(flair[0], t1[0] if t1 else None)


def sought_in(home: Path) -> str:
    """Where the FLAIR scan of a folder was looked for."""
    return f"no {PREPARED}/FLAIR.nii.gz, {PREPARED}/FLAIR.nii, FLAIR.nii.gz or FLAIR.nii in {home}"


def choose_in_bids(flair: Sequence[Path], t1: Sequence[Path], sought: str = "") -> Chosen:
    """As ``choose``, with BIDS' rules on which T1 scan belongs to a FLAIR scan."""
    if len(flair) != 1:
        return choose(flair, (), sought)
    return choose(flair, closest(t1, stem_of(flair[0])))


def closest(paths: Sequence[Path], stem: str) -> Sequence[Path]:
    """The files of BIDS that belong to another one of the same subject and session.

    Args:
        paths: Files of that subject and session.
        stem: Name of the other one, without its ending.

    Returns:
        Those of the same run or else all, and of several those with the same entities, if any.
    """
    own = _entities(stem)
    known = [(path, _entities(stem_of(path))) for path in paths]
    kept = [(path, e) for path, e in known if e.get("run") == own.get("run")] or known
    same = [(path, e) for path, e in kept if e == own]
    return [path for path, _ in (same if len(kept) > 1 and same else kept)]


def _entities(stem: str) -> dict[str, str]:
    """Entities that tell scans apart; runs are numbers, so that 01 is 1."""
    name = bids.parse(stem)
    pairs = dict(name.entities) if name is not None else {}
    if pairs.get("run", "").isdecimal():
        pairs["run"] = str(int(pairs["run"]))
    return {key: value for key, value in pairs.items() if key not in _OF_RESULTS}
