"""The table of scores: one row a case, as a record and as CSV or TSV."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from wmhseg.datasets import tables
from wmhseg.datasets.cases import Problem, ProblemKind
from wmhseg.datasets.results import OTHERS
from wmhseg.datasets.tables import Table
from wmhseg.errors import TableError
from wmhseg.io import files
from wmhseg.scoring.metrics import Metrics
from wmhseg.scoring.official import PRINTED, Official

VALUES: tuple[str, ...] = tuple(f.name for f in fields(Metrics) if f.name != "notes")
"""Columns of numbers, named as the fields of ``Metrics``."""

COUNTS = frozenset(name for name in VALUES if name.endswith("_lesions"))
"""Those of them that are whole numbers."""

_PLACE = ("case", "split", "site", "scanner")
_OFFICIAL = tuple(f"official_{name}" for name in PRINTED)
_STOPPED = "official_stopped"
_COLUMNS = (*_PLACE, "problem", *VALUES, *_OFFICIAL, _STOPPED, "notes", "detail", "fingerprint")
# Behind these, where a result has another label: column -> its metric.
_OF_OTHERS = {label: {f"{label}_{name}": name for name in VALUES} for label in OTHERS}
_REQUIRED = ("case", *PRINTED)
_BETWEEN_NOTES = " | "
_MAX_BYTES = 1 << 26


@dataclass(frozen=True)
class Score:
    """What is known about one case.

    Attributes:
        case: Name of the case.
        split: "training", "test" or "".
        site: Where it was scanned, "" if unknown.
        scanner: Which of the site's scanners.
        values: The metrics by name, empty if it was not scored. NaN: undefined.
        problem: What is wrong with it, None for nothing. With an empty reference there are
            values as well.
        notes: How unusual values were read, why a metric is NaN, whether the geometry differs.
        official: What the organisers' script said, None if it was not run.
        fingerprint: Changes with everything that the values depend on.
        others: Label besides WMH that result and reference have -> its metrics by name.
    """

    case: str
    split: str = ""
    site: str = ""
    scanner: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    problem: Problem | None = None
    notes: tuple[str, ...] = ()
    official: Official | None = None
    fingerprint: str = ""
    others: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def scored(self) -> bool:
        """Whether there are values."""
        return bool(self.values)

    @property
    def place(self) -> str:
        """Site and scanner, "" if unknown."""
        return f"{self.site} {self.scanner}".strip()


def finite(scores: Iterable[Score], name: str) -> list[float]:
    """The values of one metric that are not NaN, of all scored cases."""
    values = np.array([s.values[name] for s in scores if name in s.values])
    return [float(value) for value in values[~np.isnan(values)]]


def write_table(path: Path, scores: Iterable[Score]) -> None:
    """Write the table of scores.

    Args:
        path: .tsv for tabs; anything else has commas.
        scores: One row each.

    Raises:
        OutputError: It cannot be written.
    """
    files.write_text(path, to_text(scores, "\t" if path.suffix == ".tsv" else ","))


def to_text(scores: Iterable[Score], delimiter: str = ",") -> str:
    """The table of scores as text that ``from_text`` reads back to equal records.

    Args:
        scores: One row each.
        delimiter: Between two columns.

    Returns:
        The text, with a line of names first.
    """
    text, scores = io.StringIO(), list(scores)
    more = [
        column
        for label, columns in _OF_OTHERS.items()
        if any(label in score.others for score in scores)
        for column in columns
    ]
    columns = [*_COLUMNS, *more]
    writer = csv.DictWriter(text, columns, delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    for score in scores:
        row = {name: getattr(score, name) for name in (*_PLACE, "fingerprint")}
        row |= {name: _number_text(name, value) for name, value in score.values.items()}
        for label, values in score.others.items():
            row |= {
                column: _number_text(name, values[name])
                for column, name in _OF_OTHERS[label].items()
            }
        if score.official is not None:
            named = score.official.values.items()
            row |= {f"official_{name}": _number_text(name, value) for name, value in named}
            row[_STOPPED] = score.official.stopped
        if score.problem is not None:
            row |= {"problem": str(score.problem.kind), "detail": score.problem.detail}
        writer.writerow(row | {"notes": _BETWEEN_NOTES.join(score.notes)})
    return text.getvalue()


def read_table(path: Path) -> list[Score]:
    """Read a table of scores.

    Args:
        path: A table as ``write_table`` makes it, or any CSV or TSV with the columns ``case``,
            ``dsc``, ``h95_mm``, ``avd_percent``, ``recall`` and ``f1``; see ``datasets.tables``.

    Returns:
        One score a row. Columns that are missing are missing in ``values`` too.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It cannot be read.
        TableError: It is not such a table, or a case stands in it twice with values.
    """
    return _scores(tables.read_table(path))


def from_text(text: str, name: str) -> list[Score]:
    """Read a table of scores from its text.

    Args:
        text: See ``datasets.tables`` for its form.
        name: What to call it in messages; its ending counts as that of a file's name.

    Returns:
        As of ``read_table``.

    Raises:
        TableError: As of ``read_table``.
    """
    return _scores(tables.parse_table(text, Path(name)))


def _scores(table: Table) -> list[Score]:
    columns = table.named(*_COLUMNS, *(c for columns in _OF_OTHERS.values() for c in columns))
    missing = [column for column in _REQUIRED if column not in columns]
    if missing:
        raise TableError(
            f"A table with the columns {', '.join(_REQUIRED)} was expected",
            received=f"{table.path} without {', '.join(missing)}",
            advice="Make one with wmhseg evaluate.",
        )
    scores = [
        _parsed(table.where(number), {name: row[column] for name, column in columns.items()})
        for number, row in enumerate(table.rows)
    ]
    counts = Counter(score.case for score in scores if score.scored)
    twice = [case for case, count in counts.items() if count > 1]
    if twice:
        raise TableError(
            "Each case once was expected", received=f"{table.path}: {', '.join(twice)}"
        )
    return scores


def _number_text(name: str, value: float) -> str:
    """A number that reads back as itself."""
    return f"{value:.0f}" if name in COUNTS else repr(float(value))


def _parsed(where: str, row: Mapping[str, str]) -> Score:
    def number(name: str) -> float:
        try:
            value = float(row[name])
        except ValueError:
            value = math.inf
        if math.isinf(value):
            raise TableError(
                f"A finite number or nan was expected as {name} in {where}",
                received=f'"{row[name]}"',
            )
        return value

    if not row["case"].strip():
        raise TableError(f"The name of a case was expected in {where}", received="an empty cell")
    kind = row.get("problem", "")
    if kind not in ("", *ProblemKind):
        raise TableError(f"A known problem was expected in {where}", received=kind)
    # A row without any value is a case that was not scored.
    scored = any(row.get(name) for name in VALUES)
    stopped = row.get(_STOPPED, "")
    values = {n: number(f"official_{n}") for n in PRINTED if row.get(f"official_{n}")}
    return Score(
        **{name: row.get(name, "") for name in (*_PLACE, "fingerprint")},
        values={name: number(name) for name in VALUES if name in row} if scored else {},
        problem=Problem(ProblemKind(kind), row.get("detail", "")) if kind else None,
        notes=tuple(note for note in row.get("notes", "").split(_BETWEEN_NOTES) if note),
        official=Official(values, stopped) if values or stopped else None,
        others={
            label: {name: number(column) for column, name in columns.items() if column in row}
            for label, columns in _OF_OTHERS.items()
            if any(row.get(column) for column in columns)
        },
    )
