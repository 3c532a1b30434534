"""The lesions of a mask, one by one: as lists of voxels, so that measuring costs what they hold.

Arrays are (slice, row, column).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg.measures.lesions import CONNECTIVITY

Mask = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Lesions:
    """The lesions (26-connected) of a mask, the largest first.

    Of lesions of one size that comes first whose first voxel comes first.

    Attributes:
        shape: Of the mask.
        voxels: (n, 3) indices (slice, row, column), in the order of the array.
        of: (n,) to which lesion each belongs, from 0.
        count: Number of lesions.
    """

    shape: tuple[int, ...]
    voxels: Integers
    of: Integers
    count: int

    @cached_property
    def sizes_vox(self) -> Integers:
        """(lesion,) number of voxels."""
        return np.bincount(self.of, minlength=self.count)

    def at(self, volume: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """(n,) what a volume of the mask's shape says in each voxel."""
        values: npt.NDArray[Any] = volume[tuple(self.voxels.T)]
        return values

    def number(self, voxels: npt.ArrayLike) -> Integers:
        """(lesion,) how many of its voxels are among some.

        Args:
            voxels: (n,) bool.
        """
        return np.bincount(self.of[np.asarray(voxels, bool)], minlength=self.count)

    def mean(self, values: npt.ArrayLike) -> Doubles:
        """(lesion,) mean of (n,) values."""
        total = np.bincount(self.of, np.asarray(values, float), self.count)
        means: Doubles = total / self.sizes_vox
        return means

    def highest(self, values: npt.ArrayLike) -> Doubles:
        """(lesion,) largest of (n,) values."""
        found = np.full(self.count, -np.inf)
        np.maximum.at(found, self.of, np.asarray(values, float))
        return found

    def lowest(self, values: npt.ArrayLike) -> Doubles:
        """(lesion,) smallest of (n,) values."""
        return -self.highest(-np.asarray(values, float))

    def volume(self) -> npt.NDArray[Any]:
        """The lesions as labels from 1, 0 outside, in the smallest unsigned type that holds them.

        Returns:
            (slice, row, column) of the mask's shape.
        """
        kind = np.uint16 if self.count < 1 << 16 else np.uint32
        labels = np.zeros(self.shape, kind)
        labels[tuple(self.voxels.T)] = self.of + 1
        return labels


def find(mask: npt.NDArray[Any]) -> Lesions:
    """Finds the lesions of a mask.

    Args:
        mask: (slice, row, column), 0 or 1, or bool.
    """
    box = bounding_box(mask)
    labels, count = ndimage.label(mask[box], structure=CONNECTIVITY)
    voxels = np.argwhere(labels)
    raw = labels[tuple(voxels.T)].astype(np.int64) - 1
    order = np.argsort(-np.bincount(raw, minlength=count), kind="stable")
    place = np.empty(count, np.int64)
    place[order] = np.arange(count)
    first = np.array([part.start for part in box])
    return Lesions(mask.shape, voxels + first, place[raw], int(count))


def bounding_box(mask: npt.NDArray[Any]) -> Box:
    """The smallest part of an array that holds all that is not 0; of nothing, one voxel."""
    spans = []
    for axis in range(3):
        held = np.flatnonzero(mask.any(tuple({0, 1, 2} - {axis})))
        spans.append(slice(int(held[0]), int(held[-1]) + 1) if held.size else slice(0, 1))
    return spans[0], spans[1], spans[2]
