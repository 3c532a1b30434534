"""Tables that people write by hand or save from a spreadsheet: one rule for all that are read.

A line of names, then rows. A file whose name ends in .csv is separated by commas, semicolons or
tabs, whichever its line of names has most of; any other one by tabs, or, if its line of names has
no tab, by semicolons or (but for .tsv) commas. Cells may stand in quotes, the file may begin with
a byte order mark. Rows whose cells are all empty are left out, and cells that are missing at the
end of a row are empty; a row with more cells than there are columns is an error, which names its
line. Names of columns that are looked for may be written in capitals and with blanks around them.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from wmhseg.errors import TableError
from wmhseg.io import files

_MAX_BYTES = 1 << 26
_MARKS = {",": "commas", ";": "semicolons", "\t": "tabs"}


@dataclass(frozen=True)
class Table:
    """A table that was read.

    Attributes:
        path: Its file.
        columns: Their names, in order, as they are written.
        rows: Column -> value of each line below the names; empty rows are left out.
        lines: Number of the line that each row ends on, in order.
        separator: What stands between cells.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    lines: tuple[int, ...] = ()
    separator: str = "\t"

    def named(self, *wanted: str) -> dict[str, str]:
        """The columns of some names, whatever the case of their letters.

        Args:
            wanted: Names in lower case.

        Returns:
            Each name that there is -> as it is written.

        Raises:
            TableError: If there are two columns of one of these names.
        """
        found: dict[str, str] = {}
        for name in self.columns:
            plain = name.strip().lower()
            if plain in wanted and plain in found:
                raise TableError(
                    f"One column called {plain} was expected in {self.path}",
                    received="more than one",
                )
            if plain in wanted:
                found[plain] = name
        return found

    def where(self, row: int) -> str:
        """Which line of which file a row is, for messages."""
        return f"line {self.lines[row]} of {self.path}"

    def lacking(self, *required: str) -> TableError:
        """The error to raise because columns are missing.

        Args:
            required: Names of the columns that are needed.
        """
        mark = _MARKS[self.separator]
        return TableError(
            f"A table with the columns {' and '.join(required)} was expected, separated by {mark}",
            received=", ".join(self.columns) or "an empty file",
            advice=f"The table is {self.path}.",
        )


def read_table(path: Path, *, lenient: bool = False) -> Table:
    """Reads a table.

    Args:
        path: UTF-8; see above for its form.
        lenient: Replace what is no UTF-8 and cut long rows, where it would be an error otherwise.

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
    except UnicodeDecodeError as error:
        raise TableError(
            "A table in UTF-8 was expected", received=error, advice=f"The table is {path}."
        ) from error
    return parse_table(text, path, lenient=lenient)


def parse_table(text: str, path: Path, *, lenient: bool = False) -> Table:
    """Takes the text of a table apart.

    Args:
        text: See above for its form.
        path: Its file: the name's ending counts.
        lenient: As of ``read_table``.

    Raises:
        TableError: It is no table.
    """
    text = text.removeprefix("\ufeff")
    separator = _separator(path, text)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=not lenient)
    columns: list[str] = []
    rows, numbers = [], []
    try:
        for cells in lines:
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns = cells
                continue
            if any(cell.strip() for cell in cells[len(columns) :]) and not lenient:
                raise TableError(
                    f"At most {len(columns)} cells, one for each of the columns "
                    f"{', '.join(columns)}, were expected in line {lines.line_num} of {path}",
                    received=f"{len(cells)} cells",
                )
            cells += [""] * (len(columns) - len(cells))
            rows.append(dict(zip(columns, cells, strict=False)))
            numbers.append(lines.line_num)
    except csv.Error as error:
        raise TableError(
            f"A table was expected, with quotes around whole cells in line {lines.line_num}",
            received=error,
            advice=f"The table is {path}.",
        ) from error
    return Table(path, tuple(columns), tuple(rows), tuple(numbers), separator)


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is nothing: it is empty or n/a."""
    return cell.strip().lower() in ("", "n/a")


def _separator(path: Path, text: str) -> str:
    names = next((line for line in text.splitlines() if line.strip()), "")
    ending = path.suffix.lower()
    if "\t" in names and ending != ".csv":
        return "\t"
    likely = {".csv": ",;\t", ".tsv": "\t;"}.get(ending, "\t;,")
    return max(likely, key=names.count)
