"""A table of the subjects in a folder: tasks read it, and need not all search the folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from wmhseg.datasets.subjects import Subject
from wmhseg.io import files

NAME = "subjects.tsv"


def fits(subjects: Sequence[Subject]) -> bool:
    """Whether a table can hold the paths: not those that are no text, or that begin with blanks."""
    paths = [str(path) for s in subjects for path in (s.flair, s.t1) if path is not None]
    return all(path.isprintable() and path == path.strip() for path in paths)


def write(subjects: Sequence[Subject], path: Path) -> None:
    """Writes a table that ``wmhseg batch`` reads.

    Args:
        subjects: With absolute paths.
        path: Of the table.

    Raises:
        OutputError: It cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(("subject", "flair", "t1"))
    writer.writerows((s.name, s.flair or "n/a", s.t1 or "n/a") for s in subjects)
    files.write_text(path, text.getvalue())
