"""What became of each subject: a row of the summary, and the table of all of them.

Several batches may write into one folder, one after the other or at once. The table is therefore
never that of one run alone: the rows of other subjects stay, and those that are done are read from
what their folders say.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wmhseg import errors, records
from wmhseg.datasets.folders import natural
from wmhseg.io import files
from wmhseg.io.stamps import Stamp
from wmhseg.reporting import provenance

SUMMARY = "summary.tsv"
DONE, SKIPPED, FAILED, WAITING = "done", "done before", "failed", "not run"
OUTDATED = "outdated"
COLUMNS = (
    "subject", "status", "volume_ml", "lesion_count", "seconds", "warnings", "exit_code", "error",
    "scans", "flair", "t1", "model", "preset", "threshold",
    "reader",
)  # fmt: skip
_TEXTS = COLUMNS[8:]
MEASURES = (
    "periventricular_continuity_ml", "deep_continuity_ml", "juxtacortical_continuity_ml",
    "infratentorial_ml", "deep_grey_ml", "strive_wmh_ml", "tiv_ml", "white_matter_ml",
    "ventricles_ml", "wmh_percent_of_tiv", "fazekas_periventricular_estimate",
    "fazekas_deep_estimate", "thresholds_lowest_ml", "thresholds_highest_ml",
    "members_lowest_ml", "members_highest_ml",
)  # fmt: skip
"""Columns of measures.tsv; the table has those that are known of any subject."""
# Columns of another label, each behind its name: a table has those of the labels in it.
_OF_LABEL = ("_volume_ml", "_lesion_count")
_NONE = "n/a"
LOOK, METHOD = "look", "method"
"""Keys of a stamp: what the file system said of the scans, and a mark of what they were made by."""
_OF_STAMP = {*provenance.KEYS, LOOK, METHOD, "fingerprint"}
_MAX_BYTES = 1 << 28


@dataclass(frozen=True)
class Other:
    """What is marked as another label.

    Attributes:
        volume_ml: Of its mask.
        lesion_count: Connected parts.
    """

    volume_ml: float
    lesion_count: int


@dataclass(frozen=True)
class Row:
    """What the summary says about one subject.

    Attributes:
        subject: Its name.
        status: "done", "done before", "failed", "not run" or, of ``collect`` alone, "outdated".
        volume_ml: Of the mask, None if there is none.
        lesion_count: As above.
        seconds: Wall-clock time, None if nothing was run.
        warnings: Sentences.
        exit_code: What ``wmhseg segment`` would have ended with; None while it has not run.
        error: One line, "" if there was none.
        scans: What the mask was made from, "FLAIR and T1" or "FLAIR"; "" if there is none, or if
            an older version made it.
        flair: Path of the scan, as it was given; "" if there is none.
        t1: As above, used or not.
        model: Name of the model, "" if there is no mask.
        preset: Name of its method, see ``wmhseg.weights.methods``.
        threshold: Of the probability.
        reader: Whose rules the mask was made by; "" as of ``scans``.
        others: Label besides WMH that the model marks -> how much of it there is.
        measures: Columns of ``MEASURES`` that are known -> what was measured.
    """

    subject: str
    status: str = WAITING
    volume_ml: float | None = None
    lesion_count: int | None = None
    seconds: float | None = None
    warnings: tuple[str, ...] = ()
    exit_code: int | None = None
    error: str = ""
    scans: str = records.added("")
    flair: str = records.added("")
    t1: str = records.added("")
    model: str = records.added("")
    preset: str = records.added("")
    threshold: str = records.added("")
    reader: str = records.added("")
    others: dict[str, Other] = field(default_factory=dict, metadata=records.ADDED)
    measures: dict[str, float] = field(default_factory=dict, metadata=records.ADDED)


def mask_in(folder: Path) -> Path:
    """The mask of the subject whose folder it is."""
    return folder / "result.nii.gz"


def stamp_in(folder: Path) -> Stamp:
    """What says that a subject's mask and report are complete, and what they were made from."""
    return Stamp(folder / "done.json", (mask_in(folder), folder / "result.json"))


def row_of(facts: Any) -> Row | None:
    """The row that a stamp holds, None if it is somebody else's."""
    if not isinstance(facts, dict):
        return None
    try:
        return records.parse(Row, {k: v for k, v in facts.items() if k not in _OF_STAMP})
    except records.MismatchError:
        return None


def write_summary(
    path: Path, rows: Sequence[Row], look: Callable[[Path], Stamp] | None = None
) -> None:
    """Writes the table of all subjects, complete or not at all.

    Args:
        path: Tab-separated. The rows in it of subjects that are not among ``rows`` stay.
        rows: One a subject of this run.
        look: Look into the folders beside the table as well, for the stamp that this names of each:
            what is done is in the table afterwards, and what is not there any more does not stand
            in it as done.

    Raises:
        OutputError: It cannot be written.
    """
    with files.locked(path.parent):
        table = {_key(row): row for row in stored_rows(path)}
        if look is not None:
            own = {row.subject for row in rows}
            found = {_key(row): row for row in _finished(path.parent, look, own)}
            kept = {k: row for k, row in table.items() if row.status not in (DONE, SKIPPED)}
            table = kept | found
        for row in rows:
            table.pop(_key(row), None)
        others = sorted(table.values(), key=lambda row: natural(row.subject))
        every = [*rows, *others]
        labels = sorted({label for row in every for label in row.others})
        measured = [name for name in MEASURES if any(name in row.measures for row in every)]
        columns = (*COLUMNS, *(label + c for label in labels for c in _OF_LABEL), *measured)
        lines = ["\t".join(columns), *(_line(row, columns) for row in every)]
        files.write_text(path, "\n".join(lines) + "\n")


def _key(row: Row) -> str:
    """A name as the table writes it."""
    return files.printable(_one_line(row.subject))


def _one_line(cell: str) -> str:
    return " ".join(cell.split())


def _line(row: Row, columns: Sequence[str]) -> str:
    values = {**vars(row), "warnings": " | ".join(row.warnings)}
    values |= {name: values[name] or _NONE for name in _TEXTS}
    values |= {name: f"{value:.10g}" for name, value in row.measures.items()}
    for label, other in row.others.items():
        found = (other.volume_ml, other.lesion_count)
        values |= {label + c: value for c, value in zip(_OF_LABEL, found, strict=True)}
    cells = [_NONE if values.get(c) is None else str(values[c]) for c in columns]
    return "\t".join(map(_one_line, cells))


def stored_rows(path: Path) -> Iterator[Row]:
    """Rows of a table that ``write_summary`` wrote; lines that say nothing are left out.

    Args:
        path: Of the table; none there has no rows.
    """
    try:
        with files.reading(path, f'summary "{path}"', advice="") as file:
            text = file.read(_MAX_BYTES).decode("utf-8-sig", "replace")
    except errors.InputError:
        return  # none yet
    # Cells are written without quotes or line ends: not a table of csv's.
    names, *lines = (line.rstrip("\r").split("\t") for line in text.split("\n"))
    for cells in lines:
        row = dict(zip(names, cells, strict=False))
        if row.get("subject"):
            read = Row(
                row["subject"],
                row.get("status", WAITING),
                _number(row.get("volume_ml")),
                _whole(row.get("lesion_count")),
                _number(row.get("seconds")),
                tuple(filter(None, row.get("warnings", "").split(" | "))),
                _whole(row.get("exit_code")),
                row.get("error", ""),
            )
            texts: dict[str, Any] = {name: row.get(name, "").removeprefix(_NONE) for name in _TEXTS}
            yield replace(read, others=_others(row), measures=_measures(row), **texts)


def _measures(cells: Mapping[str, str]) -> dict[str, float]:
    """What a line says about measures."""
    found = {name: _number(cells.get(name)) for name in MEASURES}
    return {name: value for name, value in found.items() if value is not None}


def _others(cells: Mapping[str, str]) -> dict[str, Other]:
    """What a line says about labels besides WMH."""
    found = {}
    for name in cells:
        label = name.removesuffix(_OF_LABEL[0])
        if label and label != name:
            volume_ml = _number(cells[name])
            count = _whole(cells.get(label + _OF_LABEL[1]))
            if volume_ml is not None and count is not None:
                found[label] = Other(volume_ml, count)
    return found


def _number(cell: str | None) -> float | None:
    try:
        return float(cell or "")
    except ValueError:
        return None


def _whole(cell: str | None) -> int | None:
    return int(cell) if cell and cell.isdecimal() else None


def _finished(
    output: Path, stamp_of: Callable[[Path], Stamp], known: Container[str]
) -> Iterator[Row]:
    """The row of every folder, but for those of known subjects, that holds a complete result."""
    try:
        entries = (e for e in os.scandir(output) if e.name not in known and e.name[0] != ".")
        names = [entry.name for entry in entries if entry.is_dir()]
    except OSError:
        return
    for name in names:
        row = row_of(stamp_of(output / name).facts())
        if row is not None:
            yield replace(row, subject=name)  # a folder may have been given another name


def check_all_done(rows: Sequence[Row], summary: Path) -> None:
    """Ends with an error if a subject has no result.

    Args:
        rows: One a subject.
        summary: The table, for the message.

    Raises:
        SubjectsFailedError: It counts and names them.
    """
    failed = [row.subject for row in rows if row.status not in (DONE, SKIPPED)]
    if failed:
        more = ", …" if len(failed) > 10 else ""
        raise errors.SubjectsFailedError(
            f"A result for each of {len(rows)} subjects was expected",
            received=f"none for {len(failed)} ({', '.join(failed[:10])}{more})",
            advice=f"{summary} says why. Run again to go on with these.",
        )
