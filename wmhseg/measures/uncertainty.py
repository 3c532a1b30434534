"""How sure a mask is: its members' own lesions, and what other thresholds would mark.

Arrays are (slice, row, column).

Reference:
    N. Molchanova et al., Comput Biol Med 184 (2025) 109336, arXiv:2311.08931 (lesion structural
    uncertainty: 1 - the mean over the members of the overlap, as intersection over union, of a
    lesion of the ensemble with the member's lesion that overlaps it most).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg.measures.lesions import CONNECTIVITY
from wmhseg.measures.marks import Doubles, Lesions, bounding_box

THRESHOLDS = tuple(round(0.05 * n, 2) for n in range(1, 20))
"""Of the curve of volume and count: 0.05 to 0.95."""

_AROUND = 0.2
_ENDS = (0.05, 0.95)


@dataclass(frozen=True)
class Point:
    """What a threshold marks.

    Attributes:
        threshold: Voxels with a higher probability are marked.
        vox: Number of voxels.
        lesions: Number of lesions (26-connected).
    """

    threshold: float
    vox: int
    lesions: int


def curve(
    probability: npt.NDArray[np.floating], thresholds: Sequence[float] = THRESHOLDS
) -> list[Point]:
    """Volume and count against the threshold; no other rule is applied.

    Args:
        probability: (slice, row, column), 0 where nothing counts.
        thresholds: Rising.
    """
    points = []
    for threshold in thresholds:
        # What is marked lies within what the threshold before marked.
        mask = probability > threshold
        box = bounding_box(mask)
        probability = probability[box]
        _, count = ndimage.label(mask[box], structure=CONNECTIVITY)
        points.append(Point(threshold, int(np.count_nonzero(mask)), int(count)))
    return points


def around(threshold: float) -> tuple[float, float]:
    """The thresholds that volume and count are given between: 0.2 below and above a mask's."""
    low, high = _ENDS
    return (
        round(max(min(low, threshold), threshold - _AROUND), 4),
        round(min(max(high, threshold), threshold + _AROUND), 4),
    )


@dataclass(frozen=True, eq=False)
class Disagreement:
    """How far members agree with the lesions of their ensemble.

    Attributes:
        structural: (lesion,) 1 - mean overlap with the members' lesions: 0, all mark just this, to
            1, none marks any of it.
        agreement: (lesion,) share of the members that mark a part of it.
        vox: Of each member, how many voxels it marks, and
        lesions: how many lesions.
    """

    structural: Doubles
    agreement: Doubles
    vox: tuple[int, ...]
    lesions: tuple[int, ...]


def disagreement(lesions: Lesions, members: Sequence[npt.NDArray[Any]]) -> Disagreement:
    """Compares lesions with what each member marks.

    Args:
        lesions: Of the ensemble.
        members: At least one mask (slice, row, column), bool or 0 and 1.
    """
    overlap = np.zeros((len(members), lesions.count))
    sizes, counts = [], []
    for row, mask in zip(overlap, members, strict=True):
        box = bounding_box(mask)
        labels = np.zeros(lesions.shape, np.int32)
        labels[box], count = ndimage.label(mask[box], structure=CONNECTIVITY)
        size = np.bincount(labels[box].ravel(), minlength=count + 1)
        size[0] = 0
        row[:] = _best_overlap(lesions, labels, size)
        sizes.append(int(size.sum()))
        counts.append(int(count))
    return Disagreement(1 - overlap.mean(0), (overlap > 0).mean(0), tuple(sizes), tuple(counts))


def _best_overlap(
    lesions: Lesions, labels: npt.NDArray[np.int32], sizes: npt.NDArray[np.int64]
) -> Doubles:
    """(lesion,) intersection over union with the one of the others that overlaps it most."""
    own = lesions.at(labels).astype(np.int64)
    both = own > 0
    numbers, shared = np.unique(lesions.of[both] * len(sizes) + own[both], return_counts=True)
    lesion, other = np.divmod(numbers, len(sizes))
    best = np.zeros(lesions.count)
    union = lesions.sizes_vox[lesion] + sizes[other] - shared
    np.maximum.at(best, lesion, shared / union)
    return best
