"""What was found when scans were looked over, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from wmhseg.errors import UnsuitableScanError

# What the preparation of a scan says itself, with what it did about it.
_SAID_BY_PREPARATION = ("level", "scale", "slices", "wrapped", "grid", "orientation")
# Signs of one cause: the scan does not show the whole brain.
_COVERAGE = ("coverage", "top", "bottom")


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        topic: What it is about, one word that programs can rely on.
        level: How much it matters.
        scan: "FLAIR", "T1", or "pair".
        text: A sentence.
        values: The figures behind it.

    >>> import wmhseg
    >>> finding = wmhseg.check("FLAIR.nii.gz")[0]
    >>> finding.scan, finding.topic, finding.level == "ok"
    ('FLAIR', 'type', True)
    """

    topic: str
    level: Level
    scan: str
    text: str
    values: dict[str, Any] = field(default_factory=dict)


def warnings(findings: Sequence[Finding], *, t1_coverage_known: bool = False) -> list[str]:
    """The sentences that a segmentation's report should repeat, one for each cause.

    Args:
        findings: As ``examine`` returns them, FLAIR's first.
        t1_coverage_known: Whether registration has measured, and says, how much of the head T1
            shows.

    Returns:
        Warnings and errors, but for what the preparation itself says. Of the signs that a part of
        the brain is missing, a scan's first one; T1's if FLAIR has none like it.
    """
    doubts = [
        f
        for f in findings
        if f.level in (Level.WARNING, Level.ERROR) and f.topic not in _SAID_BY_PREPARATION
    ]
    flair, t1 = (
        [f for f in doubts if f.topic in _COVERAGE and f.scan == name] for name in ("FLAIR", "T1")
    )
    missing = flair[:1]
    if not t1_coverage_known and not {f.topic for f in flair} & {f.topic for f in t1}:
        missing += t1[:1]
    return [f.text for f in doubts if f.topic not in _COVERAGE or f in missing]


def brain_mm(findings: Sequence[Finding]) -> tuple[float, float] | None:
    """Rows and columns of the brain in FLAIR, mm; None if nobody knows.

    Args:
        findings: As ``examine`` returns them.
    """
    sizes = (f.values["brain_mm"] for f in findings if f.scan == "FLAIR" and "brain_mm" in f.values)
    rows, columns = next(sizes, (0.0, 0.0))
    return (rows, columns) if rows and columns else None


def to_dict(findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings as plain values, with the worst level in front."""
    worst = max((list(Level).index(f.level) for f in findings), default=0)
    return {
        "worst": str(list(Level)[worst]),
        "findings": [
            {
                **asdict(f),
                "level": str(f.level),
                "values": {k: _plain(v) for k, v in f.values.items()},
            }
            for f in findings
        ],
    }


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity, and headers may hold both: they become null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def check_suitable(
    findings: Sequence[Finding],
    advice: str = "Look at the scans and check the names of the files.",
) -> None:
    """Ends with an error if a finding is one.

    Args:
        findings: As ``examine`` returns them.
        advice: What to do about it.

    Raises:
        UnsuitableScanError: It repeats the sentences.
    """
    wrong = [f.text for f in findings if f.level is Level.ERROR]
    if wrong:
        raise UnsuitableScanError(
            "A FLAIR scan of a head, and T1 of the same head where there are two, were expected",
            received=" ".join(wrong),
            advice=advice,
        )
