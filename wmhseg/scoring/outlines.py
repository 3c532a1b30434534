"""Outlines of masks, and how far they are apart.

Masks are boolean (slice, row, column); "in-plane" means rows and columns. ``metrics`` reads the
distances of the WMH segmentation challenge from these.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_PERCENTILE = 95.0  # of the outline distances, each way
_IN_PLANE = (1, 2)  # axes
# Zones around an outline, widest first: blocks of 2 ** n voxels on each axis, and how many
# neighbouring blocks belong to it. The last one is the outline itself.
_ZONES = (((0, 2, 2), 1), ((0, 1, 1), 1), ((0, 0, 0), 0))


def _grow(mask: Mask, axes: tuple[int, ...]) -> Mask:
    """Add to a mask its copies shifted by one voxel, forth and back, along each axis in turn."""
    for axis in axes:
        lines = np.moveaxis(mask, axis, 0)
        grown = lines.copy(order="K")
        grown[1:] |= lines[:-1]
        grown[:-1] |= lines[1:]
        mask = np.moveaxis(grown, 0, axis)
    return mask


def outline(mask: Mask) -> Integers:
    """Outline of a mask: the mask without its in-plane erosion by a 3 x 3 square.

    What lies outside the array erodes nothing.

    Args:
        mask: Boolean (slice, row, column).

    Returns:
        Indices of the outline's voxels, shape (3, voxels).
    """
    voxels = np.unravel_index(np.flatnonzero(mask & _grow(~mask, _IN_PLANE)), mask.shape)
    return np.vstack(voxels)


class OutlineDistances:
    """Distances from each voxel of an outline to the nearest voxel of another outline.

    Each is searched for once, and only when a figure needs it.
    """

    def __init__(self, voxels: Integers, others: Integers, spacing_mm: Floats) -> None:
        """Prepare the search.

        Args:
            voxels: Indices of one outline, shape (3, voxels), one voxel or more.
            others: Indices of the other, shape (3, others), one voxel or more.
            spacing_mm: Voxel size in mm: (slice, row, column), shape (3,).
        """
        self._voxels, self._others, self._spacing_mm = voxels, others, spacing_mm
        self._points_mm = voxels.T * spacing_mm
        # Points of a grid need no balancing.
        self._tree = cKDTree(others.T * spacing_mm, 32, compact_nodes=False, balanced_tree=False)
        self._distances_mm = np.zeros(len(self))
        self._open = np.ones(len(self), dtype=bool)

    def __len__(self) -> int:
        """Number of distances: voxels of the first outline."""
        return int(self._voxels.shape[1])

    def total_mm(self) -> float:
        """Sum of all distances."""
        self._search(self._open)
        return float(self._distances_mm.sum())

    def percentile_mm(self) -> float:
        """The 95th percentile of the distances, interpolated linearly.

        Only the largest distances enter a high percentile, so the search runs from the outside in.
        A voxel inside a zone around the other outline lies no further from it than the zone
        reaches; once enough of the voxels searched so far lie at least that far away, zero can
        stand for all others.
        """
        n_needed = len(self) - math.floor(_PERCENTILE / 100 * (len(self) - 1))
        for halvings, margin in _ZONES:
            if not self._open.any():
                break
            shifts = np.array(halvings)[:, np.newaxis]
            self._search(self._open & ~_in_zone(self._voxels, self._others, shifts, margin))
            reach_mm = np.linalg.norm(((margin + 1) * 2 ** shifts[:, 0] - 1) * self._spacing_mm)
            if np.count_nonzero(self._distances_mm >= reach_mm) >= n_needed:
                break
        return float(np.percentile(self._distances_mm, _PERCENTILE))

    def _search(self, chosen: Mask) -> None:
        """Fill in the distances of the chosen voxels, a mask of shape (voxels,)."""
        self._distances_mm[chosen] = self._tree.query(self._points_mm[chosen])[0]
        self._open = self._open & ~chosen


def _in_zone(voxels: Integers, others: Integers, halvings: Integers, margin: int) -> Mask:
    """Which voxels have one of the others in their block, or with a margin of 1 in the next one.

    Args:
        voxels: Indices, shape (3, voxels).
        others: Indices, shape (3, others).
        halvings: Binary logarithm of the block size on each axis, shape (3, 1).
        margin: 0 or 1.

    Returns:
        Shape (voxels,).
    """
    own, targets = voxels >> halvings, others >> halvings
    blocks = np.zeros(np.maximum(own.max(axis=1), targets.max(axis=1)) + 1, dtype=bool)
    blocks[tuple(targets)] = True
    if margin:
        blocks = _grow(blocks, (0, 1, 2))
    return np.asarray(blocks[tuple(own)])
