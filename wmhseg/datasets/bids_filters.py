"""Which scans of a BIDS data set are asked for: labels, and a file of filters.

The file is of the form that fMRIPrep and its like read, an object of queries for scans::

    {"flair": {"acquisition": "3D", "run": 1}, "t1w": {"ceagent": null}}

An entity has its long name or its short one (``acq``). A value is a text or a number, a list of
them (any will do), ``null`` (a scan whose name lacks the entity) or "*" (any value, but one).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wmhseg import records
from wmhseg.datasets.bids_dataset import SUFFIXES, BidsScan
from wmhseg.datasets.folders import Warn, warned
from wmhseg.errors import UsageError
from wmhseg.io import files

ENTITIES: Mapping[str, str] = {
    "subject": "sub", "session": "ses", "sample": "sample", "task": "task", "acquisition": "acq",
    "ceagent": "ce", "reconstruction": "rec", "run": "run", "echo": "echo", "part": "part",
    "chunk": "chunk", "space": "space", "resolution": "res", "density": "den", "label": "label",
    "description": "desc", "desc": "desc",
}  # fmt: skip
"""Long name of an entity, as filters give it -> its key in names of files."""

_ABSENT, _ANY = None, "*"
_WORDS = {"Query.NONE": _ABSENT, "NONE": _ABSENT, "Query.ANY": _ANY, "ANY": _ANY}
# Queries may say what is known of a scan anyway.
_KNOWN = {
    "datatype": {"anat"},
    "suffix": set(SUFFIXES),
    "extension": {".nii", ".nii.gz", "nii", "nii.gz"},
}
_MAX_BYTES = 1 << 22

Query = Mapping[str, tuple[str | None, ...]]
"""Key of an entity -> values of which one has to be there; None: no such entity; "*": any."""


@dataclass(frozen=True)
class Filters:
    """What is asked for; nothing means everything.

    Attributes:
        subjects: Labels.
        sessions: Labels. As the draft of BIDS for such programs says, scans without a session are
            not subject to it.
        queries: Suffix of scans, "flair" or "t1w" -> what their names must say.
    """

    subjects: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    queries: Mapping[str, Query] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        """Whether anything is asked for."""
        return bool(self.subjects or self.sessions or self.queries)

    def wants(self, scan: BidsScan) -> bool:
        """Whether a scan is what its query asks for, and of a session that is."""
        session = scan.entity("ses")
        if session and self.sessions and session not in self.sessions:
            return False
        query = self.queries.get(scan.name.suffix, {})
        return all(_fits(scan.entity(key), key, values) for key, values in query.items())


def _fits(found: str, key: str, values: tuple[str | None, ...]) -> bool:
    for value in values:
        if value is None or value == _ANY:
            if bool(found) == (value == _ANY):
                return True
        elif found and found == _value(key, value):
            return True
    return False


def _value(key: str, text: str) -> str:
    """A value as names have it: without its key; runs are numbers."""
    text = text.removeprefix(f"{key}-")
    return str(int(text)) if key == "run" and text.isdecimal() else text


def labels(words: Sequence[str], key: str) -> tuple[str, ...]:
    """Labels as they were given on a command line.

    Args:
        words: Labels, with or without their key, or files that hold one a line.
        key: "sub" or "ses".

    Raises:
        InputError: A file cannot be read.
    """
    found: list[str] = []
    for word in words:
        if word.endswith(".txt"):
            with files.reading(word, f'list of labels "{word}"', advice="Name a file.") as file:
                found += file.read(_MAX_BYTES).decode("utf-8-sig", "replace").split()
        else:
            found.append(word)
    return tuple(dict.fromkeys(word.removeprefix(f"{key}-") for word in found))


def read_queries(path: Path, warn: Warn = warned) -> dict[str, Query]:
    """Reads a file of filters.

    Args:
        path: See above for its form.
        warn: Is given a sentence about queries for other scans, which are left out.

    Returns:
        Suffix of a scan, "flair" or "t1w" -> its query; all texts are as names of files have them.

    Raises:
        InputError: It cannot be read.
        UsageError: It is of another form.
    """
    with files.reading(path, f'file of filters "{path}"', advice="Name a JSON file.") as file:
        content = file.read(_MAX_BYTES)
    expected = f'An object of queries, such as {{"flair": {{"run": 1}}}}, was expected in {path}'
    try:
        queries = records.loads(content.decode("utf-8-sig"))
    except ValueError as error:
        raise UsageError(expected, received=error) from error
    if not isinstance(queries, dict) or not all(isinstance(q, dict) for q in queries.values()):
        raise UsageError(expected, received=str(queries)[:80])
    others = sorted(name for name in queries if name.lower() not in SUFFIXES)
    if others:
        warn(f"Queries for scans that are not used are left out of {path}: {', '.join(others)}.")
    return {
        name.lower(): _query(query, f'the query "{name}" of {path}')
        for name, query in queries.items()
        if name not in others
    }


def _query(given: Mapping[str, Any], where: str) -> Query:
    query: dict[str, tuple[str | None, ...]] = {}
    for name, value in given.items():
        values = tuple(_plain(one, name, where) for one in _listed(value))
        if name in _KNOWN:
            if not {str(one).lower() for one in values} & _KNOWN[name]:
                raise UsageError(
                    f"{name}: {' or '.join(sorted(_KNOWN[name]))} was expected in {where}",
                    received=value,
                )
            continue
        key = ENTITIES.get(name, name)
        if key not in ENTITIES.values():
            raise UsageError(
                f"Names of entities were expected in {where}: {', '.join(ENTITIES)}",
                received=f'"{name}"',
            )
        query[key] = values
    return query


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _plain(value: Any, name: str, where: str) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, type(None))):
        raise UsageError(
            f"{name}: a text, a whole number, null or a list of these was expected in {where}",
            received=value,
        )
    text = None if value is None else str(value)
    return _WORDS.get(text, text) if text is not None else None
