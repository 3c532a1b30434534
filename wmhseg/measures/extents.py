"""How wide lesions are, and where their centres lie.

Arrays are (slice, row, column) of axial slices.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from wmhseg.geometry import Grid, Triple
from wmhseg.measures.marks import Doubles, Lesions

_FEW = 64  # points: below, comparing all is faster than looking for the outer ones
# The middles of a pixel's sides, from its centre, (row, column).
_SIDES = np.array([[-0.5, 0.0], [0.5, 0.0], [0.0, -0.5], [0.0, 0.5]])


def diameters_mm(lesions: Lesions, spacing_mm: Triple) -> Doubles:
    """The largest diameter of each lesion within one axial slice.

    It is measured between the middles of the sides of pixels, so that n square pixels in a row
    are n pixels long (the largest Feret diameter).

    Args:
        lesions: Of axial slices.
        spacing_mm: Distance between slices, rows and columns.

    Returns:
        (lesion,).
    """
    largest = np.zeros(lesions.count)
    if not lesions.count:
        return largest
    order = np.lexsort((*lesions.voxels.T[::-1], lesions.of))
    lines = np.column_stack([lesions.of, lesions.voxels])[order]
    # Of each row of a lesion in a slice only the outermost pixels count.
    new = np.any(np.diff(lines[:, :3], axis=0), axis=1)
    ends = lines[np.r_[True, new] | np.r_[new, True]]
    starts = np.flatnonzero(np.r_[True, np.any(np.diff(ends[:, :2], axis=0), axis=1)])
    for part in np.split(ends, starts[1:]):
        points = (part[:, None, 2:] + _SIDES).reshape(-1, 2) * spacing_mm[1:]
        if len(points) > _FEW:
            points = points[ConvexHull(points).vertices]
        lesion = part[0, 0]
        largest[lesion] = max(largest[lesion], pdist(points).max())
    return largest


def centres_vox(lesions: Lesions) -> Doubles:
    """(lesion, 3): the mean index (slice, row, column) of the voxels of each lesion."""
    return np.column_stack([lesions.mean(index) for index in lesions.voxels.T]).reshape(-1, 3)


def to_ras_mm(index: npt.NDArray[np.floating], grid: Grid) -> Doubles:
    """Where places lie in the scanner, as NIfTI counts: x to the right, y to the front, z up.

    Args:
        index: (n, 3) indices (slice, row, column), with fractions.
        grid: Of the voxels.

    Returns:
        (n, 3) x, y and z in mm.
    """
    direction = np.array(grid.direction, float).reshape(3, 3)
    lps = np.array(grid.origin_mm) + (index * grid.spacing_mm)[:, ::-1] @ direction.T
    ras: Doubles = lps * [-1.0, -1.0, 1.0]
    return ras
