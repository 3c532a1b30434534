"""Tables that people write by hand or save from a spreadsheet: tabs or commas, a line of names."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from wmhseg.errors import TableError
from wmhseg.io import files

_MAX_BYTES = 1 << 26


@dataclass(frozen=True)
class Table:
    """A table that was read.

    Attributes:
        path: Its file.
        columns: Their names, in order, as they are written.
        rows: Column -> value of each line below the names; empty lines are left out.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]

    def lacking(self, *required: str) -> TableError:
        """The error to raise because columns are missing.

        Args:
            required: Names of the columns that are needed.
        """
        mark = "commas" if _separator(self.path) == "," else "tabs"
        return TableError(
            f"A table with the columns {' and '.join(required)} was expected, separated by {mark}",
            received=", ".join(self.columns) or "an empty file",
            advice=f"The table is {self.path}.",
        )


def read_table(path: Path, *, lenient: bool = False) -> Table:
    """Reads a table.

    Args:
        path: UTF-8, with or without a byte order mark. Comma-separated if its name ends in .csv,
            otherwise tab-separated.
        lenient: Replace what is no UTF-8, fill up short lines with "" and cut long ones, where it
            would be an error otherwise.

    Returns:
        The table; an empty file has no columns.

    Raises:
        InputError: The file cannot be read.
        TableError: It is no table.
    """
    with files.reading(path, f'table "{path}"', advice="Name a .tsv or .csv file.") as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise TableError("A table was expected", received=f"more than {_MAX_BYTES} bytes: {path}")
    try:
        text = content.decode("utf-8-sig", "replace" if lenient else "strict")
        source = io.StringIO(text, newline="")
        lines = csv.reader(source, delimiter=_separator(path), strict=not lenient)
        columns = next(lines, [])
        rows = []
        for cells in filter(None, lines):
            if len(cells) != len(columns) and not lenient:
                raise TableError(
                    f"A value for each of the columns {', '.join(columns)} was expected",
                    received=f"{len(cells)} in line {lines.line_num}",
                    advice=f"The table is {path}.",
                )
            cells += [""] * (len(columns) - len(cells))
            rows.append(dict(zip(columns, cells, strict=False)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise TableError(
            "A table in UTF-8 was expected", received=error, advice=f"The table is {path}."
        ) from error
    return Table(path, tuple(columns), tuple(rows))


def _separator(path: Path) -> str:
    return "," if path.suffix.lower() == ".csv" else "\t"
