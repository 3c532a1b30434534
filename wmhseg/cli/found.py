"""What a command would take, for ``--dry-run``: a row a subject, printed in one way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from wmhseg.cli.console import print_json

Row = Mapping[str, str | Path | None]
"""Column -> name, file or reason; None where there is none."""

ABOUT = "print what was found, and why not, a row a subject; run nothing"


def print_found(rows: Sequence[Row], *, as_json: bool = False) -> None:
    """Prints a table.

    Args:
        rows: At least one; all of the same columns.
        as_json: Whether to print JSON, in which None is null, in place of tabs and n/a.
    """
    texts = [{c: None if v is None else str(v) for c, v in row.items()} for row in rows]
    if as_json:
        print_json(texts)
        return
    print("\t".join(texts[0]))
    for row in texts:
        cells = ("n/a" if cell is None else cell for cell in row.values())
        print("\t".join(" ".join(cell.split()) for cell in cells))
