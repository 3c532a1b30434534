"""Which slices of a result are drawn: those that show the most lesions, and some without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg.measures.lesions import CONNECTIVITY

# Of the part that holds the head, what lies below and above is left out where slices without marks
# are chosen: neck and vertex.
_BELOW, _ABOVE = 0.12, 0.06


@dataclass(frozen=True)
class Marks:
    """What is marked in each slice.

    Attributes:
        count: Lesions in all.
        lesions: For each slice the numbers of the lesions that it shows.
        areas: For each slice the marked voxels.
        rows: First marked row, and the one behind the last; (0, 0) if nothing is marked.
        columns: As above.
    """

    count: int
    lesions: tuple[frozenset[int], ...]
    areas: tuple[int, ...]
    rows: tuple[int, int] = (0, 0)
    columns: tuple[int, int] = (0, 0)

    def shown_in(self, slices: Sequence[int]) -> int:
        """How many lesions are seen in some slices."""
        return len(frozenset[int]().union(*(self.lesions[index] for index in slices)))

    @property
    def marked(self) -> list[int]:
        """Slices with marks."""
        return [index for index, area in enumerate(self.areas) if area]


def marks(mask: npt.NDArray[np.uint8]) -> Marks:
    """Finds the lesions of every slice.

    Args:
        mask: (slice, row, column), 0 or 1; a lesion is what touches, corners included.
    """
    areas = np.count_nonzero(mask, axis=(1, 2))
    none = tuple(frozenset[int]() for _ in mask)
    if not areas.any():
        return Marks(0, none, tuple(areas.tolist()))
    held = [np.flatnonzero(mask.any(axis)) for axis in ((1, 2), (0, 2), (0, 1))]
    box = [(int(ends[0]), int(ends[-1]) + 1) for ends in held]
    labels, count = ndimage.label(mask[tuple(slice(*ends) for ends in box)], CONNECTIVITY)
    lesions = list(none)
    for index, plane in enumerate(labels, box[0][0]):
        lesions[index] = frozenset(np.unique(plane[plane > 0]).tolist())
    return Marks(int(count), tuple(lesions), tuple(areas.tolist()), box[1], box[2])


def together(each: Sequence[Marks]) -> Marks:
    """What is marked in each slice, whatever the label.

    Args:
        each: Marks of one label each, of the same slices; at least one.
    """
    if len(each) == 1:
        return each[0]
    before = [sum(other.count for other in each[:number]) for number in range(len(each))]
    lesions = tuple(
        frozenset(
            first + number for first, found in zip(before, here, strict=True) for number in found
        )
        for here in zip(*(one.lesions for one in each), strict=True)
    )
    areas = tuple(sum(here) for here in zip(*(one.areas for one in each), strict=True))
    some = [one for one in each if one.count]
    rows = _widest([one.rows for one in some])
    columns = _widest([one.columns for one in some])
    return Marks(sum(one.count for one in each), lesions, areas, rows, columns)


def _widest(spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """From the first beginning to the last end, (0, 0) for none."""
    return (min(s[0] for s in spans), max(s[1] for s in spans)) if spans else (0, 0)


def choose(found: Marks, head: tuple[int, int], panels: int, without: int) -> list[int]:
    """Chooses slices for one picture.

    The slice with the largest marked area comes first, then always the one that shows the most
    lesions not yet seen, then those farthest from what is shown. Those without marks, so that what
    was missed can be seen, are an even choice of all such slices of the head.

    Args:
        found: What is marked.
        head: First slice of the head, and the one behind the last.
        panels: Most slices.
        without: How many of them without marks, where there are so many; more where fewer slices
            have marks.

    Returns:
        Slices, rising.
    """
    first, behind = head
    inside = range(
        first + int(_BELOW * (behind - first)), behind - int(_ABOVE * (behind - first))
    ) or range(len(found.areas))
    bare = [index for index in inside if not found.areas[index]]
    with_marks = _telling(found, panels - min(without, len(bare)))
    return sorted(with_marks + _evenly(bare, panels - len(with_marks)))


def all_marked(found: Marks, head: tuple[int, int], without: int) -> list[int]:
    """All slices with marks and some without, as ``choose`` chooses them."""
    return choose(found, head, len(found.marked) + without, without)


def _telling(found: Marks, most: int) -> list[int]:
    """Slices with marks, the most telling ones first."""
    left = found.marked
    chosen: list[int] = []
    unseen = frozenset[int]().union(*found.lesions)

    def gain(index: int) -> tuple[int, int, int]:
        near = min((abs(index - other) for other in chosen), default=0)
        new = len(found.lesions[index] & unseen)
        return (new, near if not new else 0, found.areas[index])

    while left and len(chosen) < most:
        best = max(left, key=gain if chosen else found.areas.__getitem__)
        chosen.append(best)
        left.remove(best)
        unseen -= found.lesions[best]
    return chosen


def _evenly(free: Sequence[int], count: int) -> list[int]:
    """Every so manieth of the free slices."""
    count = min(count, len(free))
    return [free[int((part + 0.5) / count * len(free))] for part in range(count)]
