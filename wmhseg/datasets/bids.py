"""Names as BIDS gives them."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path

_BIDS_MASK = re.compile(r"(sub-[0-9a-z+]+(?:_[0-9a-z]+-[0-9a-z+]+)*)_(?:mask|dseg)", re.IGNORECASE)


SCAN_NAME = re.compile(r"(sub-[0-9a-z+]+(?:_[0-9a-z]+-[0-9a-z+]+)*)_(FLAIR|T1w)", re.IGNORECASE)


_BIDS_LABELS = ("wmh", "lesion")


_BIDS_NAMING = ("sub", "ses", "run")


def case_name(entities: str) -> str:
    """The entities that tell cases apart."""
    parts = dict(part.split("-", 1) for part in entities.split("_"))
    return "_".join(f"{key}-{parts[key]}" for key in _BIDS_NAMING if key in parts)


def mask_owner(stem: str) -> str:
    """Name of the case that a BIDS-like mask belongs to, "" for other files."""
    match = _BIDS_MASK.fullmatch(stem)
    if match is None:
        return ""
    parts = dict(part.split("-", 1) for part in match[1].split("_"))
    return case_name(match[1]) if parts.get("label", "").lower() in _BIDS_LABELS else ""


def read_participants(path: Path) -> dict[str, Mapping[str, str]]:
    """Rows of a participants.tsv by their participant_id."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    rows = csv.DictReader(text.splitlines(), delimiter="\t", restval="")
    return {row["participant_id"]: row for row in rows if row.get("participant_id")}
