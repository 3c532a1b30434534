"""A BIDS data set: whether a folder is one, and which FLAIR and T1w scans its subjects have.

Only ``sub-<label>/[ses-<label>/]anat`` is looked into, so that derivatives, sourcedata, code and
whatever else lies beside the subjects is left out. Links to files and folders are followed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wmhseg import records
from wmhseg.datasets.bids import BidsName, parse
from wmhseg.datasets.folders import Warn, files_below, left_out, natural, stem_of, warned
from wmhseg.errors import (
    InputError,
    InvalidDatasetError,
    MissingFileError,
    UnreadableFileError,
)
from wmhseg.io import files

DESCRIPTION = "dataset_description.json"
SUFFIXES = ("flair", "t1w")
"""Of the scans that are of use, in lower case."""

_MAX_BYTES = 1 << 24
_FOLDER = re.compile(r"(sub|ses)-([0-9a-zA-Z+]+)")
_NOT_MAGNITUDE = {"phase", "real", "imag"}


@dataclass(frozen=True)
class BidsScan:
    """A scan of a data set.

    Attributes:
        path: The file.
        name: What its name says.
    """

    path: Path
    name: BidsName

    def entity(self, key: str) -> str:
        """Value of an entity, "" if the name has none. Runs are numbers: 01 is 1."""
        value = self.name.entities.get(key, "")
        return str(int(value)) if key == "run" and value.isdecimal() else value


@dataclass(frozen=True)
class Person:
    """A subject's folder.

    Attributes:
        label: As in ``sub-<label>``.
        sessions: Labels of its sessions in natural order; "" is the folder itself, which is there
            if it has scans or no sessions.
        scans: Session -> its FLAIR and T1w scans, in natural order.
    """

    label: str
    sessions: tuple[str, ...]
    scans: dict[str, list[BidsScan]] = field(default_factory=dict)

    def of(self, session: str, suffix: str) -> list[BidsScan]:
        """Its scans of a session, with a suffix of ``SUFFIXES``."""
        return [scan for scan in self.scans.get(session, ()) if scan.name.suffix == suffix]


def check_data_set(root: Path) -> dict[str, Any]:
    """Makes sure that a folder is a BIDS data set, as far as this program needs it to be.

    Args:
        root: The folder.

    Returns:
        What its ``dataset_description.json`` holds.

    Raises:
        MissingFileError: There is no such folder.
        InvalidDatasetError: It has no ``dataset_description.json``, or one that is no JSON object.
    """
    if not root.is_dir():
        raise MissingFileError("The folder of a BIDS data set was expected", received=root)
    expected = f"A BIDS data set, with {DESCRIPTION}, was expected in {root}"
    try:
        with files.reading(root / DESCRIPTION, DESCRIPTION, advice="") as file:
            content = records.loads(file.read(_MAX_BYTES).decode("utf-8-sig"))
    except MissingFileError as error:
        raise InvalidDatasetError(
            expected,
            received="no such file",
            advice='A file with {"Name": "My study", "BIDSVersion": "1.10.0"} will do; or use '
            "wmhseg batch, which asks for none.",
        ) from error
    except (InputError, ValueError) as error:
        raise InvalidDatasetError(expected, received=f"one that is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise InvalidDatasetError(expected, received=f"{json.dumps(content)[:80]}, no JSON object")
    return content


def find_people(root: Path, warn: Warn = warned) -> list[Person]:
    """Everybody in a data set, with scans or without.

    Args:
        root: Its folder.
        warn: Is given a sentence about what is passed over.

    Returns:
        In natural order.

    Raises:
        UnreadableFileError: The folder cannot be read.
        InvalidDatasetError: No folder in it is called ``sub-<label>``.
    """
    if not os.access(root, os.R_OK | os.X_OK):
        raise UnreadableFileError("A readable folder was expected", received=root)
    people = [_person(folder, warn) for folder in _folders(root, "sub", warn)]
    if not people:
        raise InvalidDatasetError(
            f"A BIDS data set, with folders called sub-<label>, was expected in {root}",
            received="none",
            advice="For folders of another kind there is wmhseg batch.",
        )
    return people


def _folders(root: Path, key: str, warn: Warn) -> list[Path]:
    """Folders called by an entity, in natural order."""
    try:
        entries = [entry.name for entry in os.scandir(root) if entry.is_dir()]
    except OSError as error:
        warn(f"{root} is passed over, whatever it holds: {error.strerror}.")
        return []
    named = sorted((name for name in entries if name.startswith(f"{key}-")), key=natural)
    odd = [root / name for name in named if not _FOLDER.fullmatch(name)]
    if odd:
        warn(left_out("Folders whose labels are not of letters and digits alone", odd))
    return [root / name for name in named if _FOLDER.fullmatch(name)]


def _person(folder: Path, warn: Warn) -> Person:
    label = folder.name.partition("-")[2]
    places = {"": folder, **{f.name.partition("-")[2]: f for f in _folders(folder, "ses", warn)}}
    scans = {}
    for session, place in places.items():
        found = sorted(_scans(place / "anat", warn), key=lambda scan: natural(scan.path.name))
        strangers = [s.path for s in found if _owner(s) != (label, session)]
        if strangers:
            warn(left_out(f"Scans that are not named after their folder {place}", strangers))
        scans[session] = [s for s in found if _owner(s) == (label, session)]
    sessions = [session for session in places if session or scans[""] or len(places) == 1]
    return Person(label, tuple(sessions), {session: scans[session] for session in sessions})


def _owner(scan: BidsScan) -> tuple[str, str]:
    return scan.entity("sub"), scan.entity("ses")


def _scans(folder: Path, warn: Warn) -> Iterator[BidsScan]:
    """FLAIR and T1w scans of a folder; parts that are no magnitudes are left out."""
    if not os.path.isdir(folder):
        return
    try:
        paths = list(files_below(folder, warn))
    except UnreadableFileError as error:
        warn(f"{folder} is passed over. {error}")
        return
    for path in paths:
        name = parse(stem_of(path))
        if path.parent == folder and name is not None and name.suffix in SUFFIXES:
            scan = BidsScan(path, name)
            if scan.entity("part") not in _NOT_MAGNITUDE:
                yield scan
