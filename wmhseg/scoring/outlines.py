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
# neighbouring blocks belong to it. The last one is the outline itself. See percentile_mm.
_ZONES = (((0, 2, 2), 1), ((0, 1, 1), 1), ((0, 0, 0), 0))


def common_box(truth: Mask, found: Mask) -> tuple[slice, slice, slice]:
    """Bounding box of both masks with a voxel of margin, cut at the edges of the image.

    Inside the box a mask erodes as in the whole image: the margin keeps the background next to it,
    and a side without margin is an edge of the image.
    """
    slices = np.any(truth, axis=(1, 2)) | np.any(found, axis=(1, 2))
    plane = np.any(truth, axis=0) | np.any(found, axis=0)
    spans = [np.flatnonzero(used) for used in (slices, plane.any(axis=1), plane.any(axis=0))]
    z, y, x = (slice(max(s[0] - 1, 0), s[-1] + 2) if s.size else slice(0, 1) for s in spans)
    return z, y, x


def _grow(mask: Mask, axes: tuple[int, ...]) -> Mask:
    """Add to a mask its copies shifted by one voxel, forth and back, along each axis in turn."""
    for axis in axes:
        lines = np.moveaxis(mask, axis, 0)
        grown = lines.copy(order="K")
        grown[1:] |= lines[:-1]
        grown[:-1] |= lines[1:]
        mask = np.moveaxis(grown, 0, axis)
    return mask


def outlines(truth: Mask, found: Mask) -> tuple[Integers, Integers]:
    """Outline voxels of two masks, each of shape (3, voxels), counted from a common corner."""
    box = common_box(truth, found)
    first, second = (
        np.vstack(np.unravel_index(np.flatnonzero(mask & _grow(~mask, _IN_PLANE)), mask.shape))
        for mask in (np.ascontiguousarray(truth[box]), np.ascontiguousarray(found[box]))
    )
    return first, second


def search_tree(voxels: Integers, spacing_mm: Floats) -> cKDTree:
    """Search tree over voxels; points of a grid need no balancing."""
    return cKDTree(voxels.T * spacing_mm, 32, compact_nodes=False, balanced_tree=False)


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


def percentile_mm(voxels: Integers, others: Integers, spacing_mm: Floats) -> float:
    """The percentile of the distances from each voxel of an outline to another outline.

    Only the largest distances enter a high percentile, so the search runs from the outside in. A
    voxel inside a zone around the other outline lies no further from it than the zone reaches;
    once enough of the voxels searched so far lie at least that far away, zero can stand for all
    others.
    """
    tree, points_mm = search_tree(others, spacing_mm), voxels.T * spacing_mm
    n_voxels = len(points_mm)
    n_needed = n_voxels - math.floor(_PERCENTILE / 100 * (n_voxels - 1))
    distances_mm = np.zeros(n_voxels)
    left = np.ones(n_voxels, dtype=bool)
    for halvings, margin in _ZONES:
        shifts = np.array(halvings)[:, np.newaxis]
        inside = _in_zone(voxels, others, shifts, margin)
        ring = left & ~inside
        distances_mm[ring] = tree.query(points_mm[ring])[0]
        left &= inside
        reach_mm = np.linalg.norm(((margin + 1) * 2 ** shifts[:, 0] - 1) * spacing_mm)
        if np.count_nonzero(distances_mm >= reach_mm) >= n_needed:
            break
    return float(np.percentile(distances_mm, _PERCENTILE))
