"""Tables that grow while a training runs; a resumed one drops what its checkpoint lacks."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from wmhseg.io import files


class Journal:
    """A CSV file whose rows carry a step."""

    def __init__(self, path: Path, columns: Sequence[str], step: int) -> None:
        """Opens a table as it was after a step.

        Args:
            path: The file; it is made if needed.
            columns: Names of its columns, "step" among them.
            step: Rows of later steps are dropped: they will come again.
        """
        self.path, self.columns = path, tuple(columns)
        self.rows = [row for row in read(path) if int(row["step"]) <= step]
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(self.rows)
        files.write_text(path, text.getvalue())

    def add(self, *values: object) -> None:
        """Appends a row; values in the order of the columns."""
        self.rows.append(dict(zip(self.columns, map(str, values), strict=True)))
        with self.path.open("a", newline="", encoding="utf-8") as handle:
            csv.writer(handle, lineterminator="\n").writerow(values)


def read(path: Path) -> list[dict[str, str]]:
    """Complete rows of a table; none if there is no such file.

    A program that was killed may have left half a row at the end: it is dropped.
    """
    if not path.exists():
        return []
    content = path.read_text(encoding="utf-8")
    complete = content[: content.rfind("\n") + 1]
    rows = csv.DictReader(complete.splitlines())
    return [row for row in rows if None not in row and None not in row.values()]
