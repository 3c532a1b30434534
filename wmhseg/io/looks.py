"""Whether files are what they were, without reading them: their sizes and times.

Reading is the sure way, and takes hours where there are 50,000 scans. What the file system says of
a file costs a thousandth of that. It is trusted to say "unchanged" only: size, the time of the last
change of content and that of the last change of anything, which no program can set, must all be
the same. Where one differs nothing is known, and the content must be read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

_RESTED_S = 2.0  # the coarsest clock of a file system in use, FAT's

Look = list[list[int]]
"""Of each file: bytes, nanoseconds of the last change of content, and of the last of anything."""


def look(paths: Sequence[Path]) -> Look | None:
    """What the file system says of files.

    Args:
        paths: In an order that is always the same; links are followed.

    Returns:
        None if one is not there, or has changed so short a time ago that it could change once more
        without a sign.
    """
    seen: Look = []
    latest_s = time.time() - _RESTED_S
    for path in paths:
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            return None
        if max(found.st_mtime, found.st_ctime) > latest_s:
            return None
        seen.append([found.st_size, found.st_mtime_ns, found.st_ctime_ns])
    return seen


def unchanged(stored: object, today: Look | None) -> bool:
    """Whether files are surely what they were when ``stored`` was written down.

    Args:
        stored: What ``look`` returned then, from JSON; anything else is no such thing.
        today: What it returns now.
    """
    return bool(today) and stored == today
