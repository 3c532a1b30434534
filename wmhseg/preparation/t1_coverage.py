"""Where T1 shows nothing of the head that FLAIR shows: slices beyond its last one, parts of slices.

A registered T1 has a field of view that is known. One that somebody resampled to FLAIR's grid was
filled up with zeros: there its data end along a straight line, as fields of view do. A brain
without skull ends in a curve, all around, and misses nothing.

Arrays are (slice, row, column) in the model's axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wmhseg.preparation import intensity

Float = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

# Of the area in the fullest slice: less of it is a speck, and no head.
_LEAST_HEAD = 0.01
# Share of FLAIR's head that T1 shows in its last slice if it was cut off there.
_FULL = 0.3
# Shares of the head in a slice: what is missing counts from the first; from the second on nothing
# worth a second look is left.
_PART, _ALL = 0.02, 0.95
# Directions in which a field of view may end, and share of all that is missing in a slice that
# one or two straight cuts have to explain.
_DIRECTIONS, _EXPLAINED, _CUTS = 72, 0.7, 2
_BAND_VOX, _FULL_WIDTH = 8, 0.5
_STRAYS_PERCENT = 0.1  # of T1's voxels may lie beyond its end


@dataclass(frozen=True)
class Unseen:
    """Where T1 shows nothing.

    Attributes:
        slices: Slices of the head in which it shows nothing, (slice,).
        parts: Voxels in the other slices in which it shows nothing; None: nowhere.
    """

    slices: Mask
    parts: Mask | None = None

    @property
    def partly(self) -> Mask:
        """Slices of which it shows a part, (slice,)."""
        if self.parts is None:
            return np.zeros(len(self.slices), bool)
        partly: Mask = np.asarray(self.parts.any((1, 2)))
        return partly


def more_than_specks(areas: npt.NDArray[np.intp]) -> Mask:
    """Slices that hold so much of the head that it is one, (slice,)."""
    held: Mask = areas > _LEAST_HEAD * areas.max(initial=1)
    return held


def find(head: Mask, t1: Float, seen: Mask | None = None) -> Unseen:
    """Finds where T1 shows nothing.

    Args:
        head: What is bright in FLAIR.
        t1: T1, 0 where it was filled up.
        seen: T1's field of view where it is known.
    """
    slices = _slices(head, t1)
    areas = head.sum((1, 2))
    held = more_than_specks(areas)
    parts = np.zeros(head.shape, bool)
    if seen is not None:
        parts = ~seen
    for place in np.flatnonzero(held & ~slices):
        missing = head[place] & (t1[place] == 0)
        if missing.sum() > _PART * areas[place] and missing.sum() < areas[place]:
            parts[place] |= _beyond(head[place], missing)
    lost = (parts & head).sum((1, 2)) / np.maximum(areas, 1)
    slices = slices | (held & (lost >= _ALL))
    parts[slices | ~held | (lost < _PART)] = False
    return Unseen(slices, parts if parts.any() else None)


def _slices(flair: Mask, t1: Float) -> Mask:
    """Slices of the head in which T1 has no data, (slice,).

    A T1 without skull ends where the brain does, in slices with little in them; one that does not
    reach as far as FLAIR ends in full ones.
    """
    head, shown = flair.sum((1, 2)), intensity.foreground(t1).sum((1, 2))
    empty: Mask = np.array([plane.min() == plane.max() for plane in t1])
    if not empty.any() or empty.all():
        return np.zeros(len(t1), bool)
    full = np.flatnonzero(~empty & (shown > _FULL * head))
    data = np.flatnonzero(~empty)
    unseen = empty & more_than_specks(head)
    for place in np.flatnonzero(unseen):
        nearest = data[np.argmin(np.abs(data - place))]
        unseen[place] = nearest in full
    return unseen


def _beyond(head: Mask, missing: Mask) -> Mask:
    """What lies beyond the straight lines along which T1 ends in a slice; nothing if in a curve."""
    angles = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
    normals = np.stack([np.cos(angles), np.sin(angles)])
    shown = np.argwhere(head & ~missing) @ normals
    whole = np.argwhere(intensity.fill_holes(head[None])[0]) @ normals  # with dark bone
    ends = np.percentile(shown, 100 - _STRAYS_PERCENT, axis=0)
    lost = np.argwhere(missing) @ normals > ends
    # Beside a straight end T1 is as wide as the head.
    last = [((points > ends - _BAND_VOX) & (points <= ends)).sum(0) for points in (shown, whole)]
    lost &= last[0] > _FULL_WIDTH * last[1]
    left = np.ones(len(lost), bool)
    least = _PART * int(head.sum())
    chosen = []
    for _ in range(_CUTS):
        counts = lost[left].sum(0)
        best = int(np.argmax(counts))
        if counts[best] < least:
            break
        chosen.append(best)
        left &= ~lost[:, best]
    if 1 - left.mean() < _EXPLAINED:
        return np.zeros(head.shape, bool)
    rows, columns = np.indices(head.shape)
    beyond = np.zeros(head.shape, bool)
    for best in chosen:
        beyond |= rows * normals[0, best] + columns * normals[1, best] > ends[best]
    return beyond
