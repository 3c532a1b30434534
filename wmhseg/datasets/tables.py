"""Tables of subjects to segment."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from wmhseg import errors
from wmhseg.datasets.subjects import Subject
from wmhseg.io import files

_MAX_TABLE_BYTES = 1 << 24


_NONE = ("", "n/a")


def read_subjects(table: Path) -> list[Subject]:
    """Reads a table of subjects.

    Args:
        table: Comma-separated if its name ends in .csv, otherwise tab-separated; with the columns
            subject, flair and, if wanted, t1 (empty or n/a: none). Paths are relative to it.

    Returns:
        The subjects in their order.

    Raises:
        InputError: The table cannot be read.
        TableError: It is not of this form.
    """
    with files.reading(table, f'table "{table}"', advice="Name a .tsv or .csv file.") as file:
        raw = file.read(_MAX_TABLE_BYTES + 1)
    if len(raw) > _MAX_TABLE_BYTES:
        raise errors.TableError(
            "A table of subjects was expected", received=f"more than {_MAX_TABLE_BYTES} bytes"
        )
    try:
        text = raw.decode("utf-8-sig")
        separator = "," if table.suffix.lower() == ".csv" else "\t"
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise errors.TableError(
            "A table of subjects in UTF-8 was expected", received=error, advice=str(table)
        ) from error
    found = []
    for number, row in enumerate(rows, start=2):
        values = {str(key).strip().lower(): value for key, value in row.items()}
        if not {"subject", "flair"} <= set(values) or None in row or None in row.values():
            raise errors.TableError(
                "A table with the columns subject, flair and t1 was expected, "
                + ("separated by commas" if separator == "," else "separated by tabs"),
                received=f"line {number} with the columns {', '.join(map(str, row))}",
                advice=f"See docs/batch.md. The table is {table}.",
            )
        paths = [str(values.get(key) or "").strip() for key in ("flair", "t1")]
        flair, t1 = (None if p.lower() in _NONE else table.parent / p for p in paths)
        problem = "" if flair else "no FLAIR scan is named in the table"
        found.append(Subject(str(values["subject"]).strip(), flair, t1, problem))
    return found
