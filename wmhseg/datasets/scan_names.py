"""What a scan is called: the one rule by which scans are known in every layout.

* ``FLAIR``, ``T1``, ``T1w``: the folder says whose scan it is. The challenge keeps such scans in
  ``<id>/pre/`` and, as they were before its preparation, in ``<id>/orig/``.
* ``<id>_FLAIR``, ``<id>-T1``: the name says it.
* ``sub-…[_ses-…]…_FLAIR``, ``…_T1w``: BIDS, whose entities say it.

Upper and lower case are the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from wmhseg.datasets import bids

PREPARED, ORIGINAL = "pre", "orig"
"""The challenge's folders of scans, after and before its preparation."""

_CONTRASTS = {"flair": "FLAIR", "t1": "T1", "t1w": "T1"}
_BIDS_SUFFIXES = ("flair", "t1w")
_PLAIN = re.compile(r"(?:(?P<owner>.+)[-_])?(?P<contrast>FLAIR|T1w?)", re.IGNORECASE)


@dataclass(frozen=True)
class ScanName:
    """What the name of a file says about the scan in it.

    Attributes:
        contrast: "FLAIR" or "T1".
        owner: Whose scan it is, "" if only the folder says so.
        bids: Whether the name is one of BIDS.
    """

    contrast: str
    owner: str = ""
    bids: bool = False


def scan_name(stem: str) -> ScanName | None:
    """Reads the name of a scan, None for other files.

    Args:
        stem: Name of a file without its ending.

    >>> scan_name("p7_t1w")
    ScanName(contrast='T1', owner='p7', bids=False)
    """
    name = bids.parse(stem)
    if name is not None and name.suffix in _BIDS_SUFFIXES:
        return ScanName(_CONTRASTS[name.suffix], name.case, bids=True)
    match = _PLAIN.fullmatch(stem)
    if match is None:
        return None
    return ScanName(_CONTRASTS[match["contrast"].lower()], match["owner"] or "")


def challenge_scans(case: Path) -> dict[str, Path]:
    """Where the challenge keeps the prepared scans of a case: contrast -> file, there or not."""
    return {name: case / PREPARED / f"{name}.nii.gz" for name in ("FLAIR", "T1")}
