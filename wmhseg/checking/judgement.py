"""What a scan's contrast, and a pair, look like: findings that judge by a ``Look``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from wmhseg import geometry
from wmhseg.checking.findings import Finding, Level
from wmhseg.checking.voxels import Look
from wmhseg.io.images import Scan

_GLANCE_VOX = 200_000
SURELY_T1, EXCHANGED = 0.09, (0.25, 0.45)
"""Shares of brighter tissue (``Look.brighter``) for which a run is stopped: a FLAIR file below the
first in both, or a pair below the second and above the third in both. docs/check.md has the error
rates."""

# With a larger share of the largest slice's area in the uppermost one nobody knows where the vertex
# is, below which contrasts are judged.
_VERTEX_CUT = 0.6
# How much of what is not air two scans have in common (DSC): with more than the second both are
# without skull or neither is, with less than the first only one is.
_ONE_STRIPPED, _ALIKE = 0.65, 0.75
_SAME_IMAGE = 0.9999  # correlation: copies that were only scaled or rounded


def contrast(seen: Look, name: str) -> Finding:
    """Says whether a scan looks like what it is given for; an error only beyond doubt."""
    shares = [None if np.isnan(share) else round(share, 3) for share in seen.brighter]
    values = {"likely": seen.kind, "brighter_shares": shares}
    if seen.kind == "unknown":
        text = f"{name}: the contrast cannot be told from its voxels."
        return Finding("contrast", Level.NOTE, name, text, values)
    if seen.kind == name:
        return Finding("contrast", Level.OK, name, f"{name}: looks like {name}.", values)
    if (seen.kind, name) != ("T1", "FLAIR") or max(seen.brighter) >= SURELY_T1 or _cut(seen):
        text = (
            f"{name}: whether this is {name} cannot be told, it could be {seen.kind}: look at it."
        )
        return Finding("contrast", Level.WARNING, name, text, values)
    text = f"{name}: this looks like {seen.kind}, not like {name}."
    return Finding("contrast", Level.ERROR, name, text, values)


def _same_image(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> bool:
    """Whether two scans hold the same picture, on whatever scale."""
    if one.shape != other.shape:
        return False
    if np.array_equal(one, other):
        return True
    step = max(1, one.size // _GLANCE_VOX)
    a, b = (array.reshape(-1)[::step].astype(np.float64) for array in (one, other))
    a, b = a - a.mean(), b - b.mean()
    spread = math.sqrt(float((a**2).mean()) * float((b**2).mean()))
    return 0 < spread < math.inf and float((a * b).mean()) / spread > _SAME_IMAGE


def exchanged(looks: Sequence[Look]) -> bool:
    """Whether each of two scans looks like the other beyond doubt."""
    if [seen.kind for seen in looks] != ["T1", "FLAIR"]:
        return False
    if any(_cut(seen) for seen in looks):
        return False
    low, high = EXCHANGED
    return max(looks[0].brighter) < low and min(looks[1].brighter) > high


def _cut(seen: Look) -> bool:
    return seen.top_share > _VERTEX_CUT


def pair(scans: Sequence[Scan], looks: Sequence[Look]) -> Iterator[Finding]:
    """Says how FLAIR and T1 go together."""

    def found(topic: str, level: Level, text: str) -> Finding:
        return Finding(topic, level, "pair", text)

    flair, t1 = scans
    if _same_image(flair.array, t1.array):
        yield found("pair", Level.ERROR, "FLAIR and T1 are one and the same image.")
    elif exchanged(looks):
        yield found(
            "contrast",
            Level.ERROR,
            "FLAIR and T1 are exchanged: the FLAIR file looks like T1, and the T1 file like FLAIR.",
        )
    difference = flair.grid.difference(t1.grid)
    if not difference:
        yield found("grid", Level.OK, "FLAIR and T1 lie on one grid.")
    elif geometry.turn_between(t1.grid, flair.grid) is not None:
        yield found("grid", Level.OK, "FLAIR and T1 lie on one grid, stored in two orders of axes.")
    else:
        yield found("grid", Level.NOTE, f"FLAIR and T1 lie on different grids: {difference}.")
    stripped = one_stripped(looks)
    if stripped:
        yield found("skull", Level.WARNING, "Only one of FLAIR and T1 has its skull removed.")
    elif stripped is None:
        text = "Whether the skull is there in both of FLAIR and T1, or in neither, cannot be told."
        yield found("skull", Level.NOTE, text)
    if looks[1].enhanced:
        yield found(
            "contrast agent",
            Level.NOTE,
            "T1: much is far brighter than white matter, perhaps after gadolinium; the networks "
            "were not trained on such scans.",
        )


def one_stripped(looks: Sequence[Look]) -> bool | None:
    """Whether only one of two scans has its skull removed; None if it cannot be told.

    One mask for both leaves two scans of one outline; a brain is far smaller than a field of view,
    and than a head.
    """
    flair, t1 = looks
    if not (flair.filled or t1.filled):
        return False  # brain extraction leaves no air as it was
    differ = {flair.skull, t1.skull} == {True, False}
    if flair.support.shape != t1.support.shape:
        return None if None in (flair.skull, t1.skull) else differ
    a, b = (int(seen.support.sum()) for seen in looks)
    common = 2 * int((flair.support & t1.support).sum()) / max(1, a + b)
    if common > _ALIKE:
        return False
    smaller = flair if a < b else t1
    return True if common < _ONE_STRIPPED and smaller.filled and not smaller.skull else None
