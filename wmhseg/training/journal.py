"""Tables that grow while a training runs; a resumed one drops what its checkpoint lacks."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from wmhseg.errors import ResumeError
from wmhseg.io import files


class Journal:
    """A CSV file whose rows carry a step."""

    def __init__(self, path: Path, columns: Sequence[str], step: int) -> None:
        """Opens a table as it was after a step.

        Args:
            path: The file; it is made if needed.
            columns: Names of its columns, "step" among them.
            step: Rows of later steps are dropped: they will come again.

        Raises:
            ResumeError: If the file is there and is no such table.
        """
        self.path, self.columns = path, tuple(columns)
        try:
            self.rows = [row for row in read(path) if int(row["step"]) <= step]
        except (KeyError, ValueError) as error:
            raise _no_table(path, f"a row without a step ({error})") from None
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

    Raises:
        ResumeError: If it is no table.
    """
    if not path.exists():
        return []
    try:
        content = path.read_text(encoding="utf-8")
        complete = content[: content.rfind("\n") + 1]
        rows = list(csv.DictReader(complete.splitlines()))
    except (UnicodeDecodeError, csv.Error) as error:
        raise _no_table(path, error) from None
    return [row for row in rows if None not in row and None not in row.values()]


def _no_table(path: Path, received: object) -> ResumeError:
    return ResumeError(
        f"The table of this training was expected in {path}",
        received=received,
        advice="Train into a new folder, or move that file away.",
    )
