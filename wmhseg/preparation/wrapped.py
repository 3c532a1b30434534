"""Scans whose unsigned 16-bit numbers were stored as signed ones, and their repair.

Whoever reads a scan, to segment or to measure it, repairs it here: one scan has the same numbers,
and is warned of in the same words, by every way.
"""

from __future__ import annotations

from dataclasses import replace

from wmhseg.io.images import Scan
from wmhseg.preparation import intensity


def defect(name: str) -> str:
    """What is wrong with such a scan, as the beginning of a sentence.

    Args:
        name: What the scan is called in messages, such as "FLAIR".
    """
    return f"The {name} image holds unsigned 16-bit numbers stored as signed ones"


def warning(name: str) -> str:
    """What is said of such a scan when it has been repaired.

    Args:
        name: As of ``defect``.
    """
    return f"{defect(name)}: 65536 was added to its negative, really brightest, voxels."


def repaired(scan: Scan) -> tuple[Scan, list[str]]:
    """A scan with the numbers that were meant, 0 to 65535, and what is to be said about it.

    Args:
        scan: As it is stored.

    Returns:
        The scan, and sentences for the report: itself and none where nothing wrapped around.
    """
    if not intensity.is_wrapped(scan.array):
        return scan, []
    return replace(scan, array=intensity.unwrap(scan.array)), [warning(scan.name)]
