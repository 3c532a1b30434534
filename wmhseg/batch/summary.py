"""What became of each subject: a row of the summary, and the table of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from wmhseg import errors
from wmhseg.io import files

SUMMARY = "summary.tsv"
DONE, SKIPPED, FAILED, WAITING = "done", "done before", "failed", "not run"
COLUMNS = (
    "subject", "status", "volume_ml", "lesion_count", "seconds", "warnings", "exit_code", "error",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What the summary says about one subject.

    Attributes:
        subject: Its name.
        status: "done", "done before", "failed" or "not run".
        volume_ml: Of the mask, None if there is none.
        lesion_count: As above.
        seconds: Wall-clock time, None if nothing was run.
        warnings: Sentences.
        exit_code: What ``wmhseg segment`` would have ended with; None while it has not run.
        error: One line, "" if there was none.
    """

    subject: str
    status: str = WAITING
    volume_ml: float | None = None
    lesion_count: int | None = None
    seconds: float | None = None
    warnings: tuple[str, ...] = ()
    exit_code: int | None = None
    error: str = ""


def write_summary(path: Path, rows: Iterable[Row]) -> None:
    """Writes the table of all subjects, complete or not at all.

    Args:
        path: Tab-separated.
        rows: One a subject.

    Raises:
        OutputError: It cannot be written.
    """
    lines = ["\t".join(COLUMNS)]
    for row in rows:
        values = {**asdict(row), "warnings": " | ".join(row.warnings)}
        cells = ["n/a" if values[c] is None else str(values[c]) for c in COLUMNS]
        lines.append("\t".join(" ".join(cell.split()) for cell in cells))
    files.write_text(path, "\n".join(lines) + "\n")


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
