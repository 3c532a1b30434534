"""Results in a folder of ``batch`` or ``bids``: a row each, with what was written beside it."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wmhseg.datasets import tables
from wmhseg.errors import InputError, NoCasesError
from wmhseg.io import checksums, files

TABLES = ("summary.tsv", "group_wmh.tsv")
"""Of ``batch`` and of ``bids``."""
SHOWN = {
    "wmh_percent_of_tiv": "% of TIV",
    "periventricular_continuity_ml": "Periventricular, ml",
    "deep_continuity_ml": "Deep, ml",
    "members_lowest_ml": "Networks from, ml",
    "members_highest_ml": "to, ml",
}
"""Measures that a page about many results shows -> their names there."""
RATINGS = ("good", "correct", "exclude")
_MAX_BYTES = 1 << 20
_ICON = re.compile(rb'<link rel="icon" href="(data:image/jpeg;base64,[A-Za-z0-9+/=]{1,20000})">')
_HEAD_BYTES = 1 << 15


@dataclass(frozen=True)
class Result:
    """What a group page says about one result.

    Attributes:
        name: Of the subject or scan.
        status: As the table says.
        volume_ml: None if there is none.
        lesions: As above.
        warnings: Sentences or a number of them, as the table says.
        error: Why there is no result, or "".
        report: Address of its page, from the folder; "" if there is none.
        picture: A small picture as an address of its own data; "" if there is none.
        rating: Rating, comment, rater, and the checksum of the mask that was rated; None if nobody
            has rated it.
        outdated: Whether the mask that was rated is not the one that is there.
        measures: Columns of ``SHOWN`` that the table has -> what was measured.
    """

    name: str
    status: str
    volume_ml: float | None
    lesions: int | None
    warnings: str
    error: str
    report: str = ""
    picture: str = ""
    rating: Mapping[str, str] | None = None
    outdated: bool = False
    measures: Mapping[str, float] = field(default_factory=dict)


def read(folder: Path) -> list[Result]:
    """Reads what a folder holds.

    Args:
        folder: Output of ``batch`` (``summary.tsv``) or ``bids`` (``group_wmh.tsv``).

    Raises:
        NoCasesError: If it holds neither table, or no row.
        InputError: If the table cannot be read.
    """
    table = next((folder / name for name in TABLES if (folder / name).is_file()), None)
    if table is None:
        raise NoCasesError(
            f'A folder of "wmhseg batch" ({TABLES[0]}) or "wmhseg bids" ({TABLES[1]}) was expected',
            received=f'"{folder}" without these tables',
            advice='Run "wmhseg bids … group" first if it is one of bids.',
        )
    rows = tables.read_table(table, lenient=True).rows
    if not rows:
        raise NoCasesError(f"At least one row was expected in {table}", received="none")
    pages, ratings = _pages(folder)
    return [_result(folder, row, pages, ratings) for row in rows]


def _result(
    folder: Path,
    row: Mapping[str, str],
    pages: Mapping[str, Path],
    ratings: Mapping[str, Mapping[str, str]],
) -> Result:
    name = _cell(row, "subject") or _cell(row, "scan") or _cell(row, "participant_id")
    page = pages.get(name)
    count = _number(row.get("lesion_count"))
    rating = ratings.get(name)
    measured = {column: _number(row.get(column)) for column in SHOWN}
    return Result(
        name=name,
        status=_cell(row, "status"),
        volume_ml=_number(row.get("volume_ml")),
        lesions=None if count is None else int(count),
        warnings=_cell(row, "warnings"),
        error=_cell(row, "error"),
        report="" if page is None else page.relative_to(folder).as_posix(),
        picture="" if page is None else _picture(page),
        rating=rating,
        outdated=rating is not None and _is_of_another_mask(rating, _mask(folder, row, name)),
        measures={column: value for column, value in measured.items() if value is not None},
    )


def _mask(folder: Path, row: Mapping[str, str], name: str) -> Path:
    """The mask of a row, which need not be there."""
    return folder / (_cell(row, "filename") or Path(name, "result.nii.gz"))


def _is_of_another_mask(rating: Mapping[str, str], mask: Path) -> bool:
    """Whether somebody has rated a mask that is not there any more."""
    rated = rating["mask_sha256"]
    with contextlib.suppress(InputError):
        return bool(rated) and checksums.sha256_of(mask) != rated
    return bool(rated)


def _cell(row: Mapping[str, str], name: str) -> str:
    value = row.get(name) or ""
    return "" if tables.is_missing(value) else value.strip()


def _number(cell: str | None) -> float | None:
    try:
        value = float(cell or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _pages(folder: Path) -> tuple[dict[str, Path], dict[str, Mapping[str, str]]]:
    """Name of a result -> its page, and -> its rating; the newest rating counts."""
    pages: dict[str, Path] = {}
    found: dict[str, tuple[str, Mapping[str, str]]] = {}
    for place, folders, names in os.walk(folder):
        folders[:] = [one for one in folders if not one.startswith(".")]
        for name in names:
            path = Path(place) / name
            if name == "report.html":
                pages[path.parent.name] = path
            elif name.endswith("_report.html"):
                pages[re.sub(r"(_space-\w+)?(_label-\w+)?(_desc-\w+)?_report\.html$", "", name)] = (
                    path
                )
            elif name.endswith("rating.json"):
                rating = _rating(path)
                if rating is None:
                    continue
                # In the folder of a result it is about this one, whatever its page is called.
                for owner in {rating["name"], path.parent.name}:
                    if rating["date"] >= found.get(owner, ("", {}))[0]:
                        found[owner] = (rating["date"], rating)
    return pages, {name: rating for name, (_, rating) in found.items()}


def _rating(path: Path) -> dict[str, str] | None:
    """A rating that a page has saved; None if it is something else."""
    told: Any = None
    with (
        contextlib.suppress(InputError, ValueError, RecursionError),
        files.reading(path, "rating", advice="") as file,
    ):
        told = json.loads(file.read(_MAX_BYTES))
    if not isinstance(told, dict) or told.get("kind") != "wmhseg rating":
        return None
    words = {
        key: told[key] if isinstance(told.get(key), str) else ""
        for key in ("name", "rating", "comment", "by", "date", "mask_sha256")
    }
    return words if words["rating"] in RATINGS and words["name"] else None


def _picture(page: Path) -> str:
    """The small picture that a page carries as its icon."""
    with contextlib.suppress(InputError), files.reading(page, "report", advice="") as file:
        found = _ICON.search(file.read(_HEAD_BYTES))
        if found is not None:
            return found[1].decode("ascii")
    return ""
