"""From probability to mask.

Arrays are (slice, row, column).
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg.measures.lesions import CONNECTIVITY
from wmhseg.weights.preset import Postprocessing


def end_slices(slices: int, share: float) -> int:
    """Number of slices emptied at either end: ``share`` of them, rounded down.

    Args:
        slices: Slices of the scan.
        share: Part of them, such as 0.10.
    """
    # The share is meant as it is written: in binary, 0.29 * 100 is 28.999999999999996.
    return math.floor(Fraction(str(share)) * slices)


def kept_slices(slices: int, post: Postprocessing) -> slice:
    """The slices that post-processing leaves alone; only these need to be computed."""
    cut = end_slices(slices, post.end_slices)
    return slice(cut, slices - cut)


def to_mask(probability: npt.NDArray[np.float32], post: Postprocessing) -> npt.NDArray[np.uint8]:
    """Thresholds a probability map and empties the end slices.

    Args:
        probability: (slice, row, column), axial slices, in the order of the network.
        post: Threshold (strictly above counts) and share of end slices.

    Returns:
        uint8 mask of the same shape, 0 or 1.
    """
    mask = np.zeros(probability.shape, np.uint8)
    kept = kept_slices(len(probability), post)
    mask[kept] = probability[kept] > post.threshold
    return mask


def without_doubtful(
    probability: npt.NDArray[np.float32], post: Postprocessing
) -> npt.NDArray[np.float32]:
    """Removes the lesions (26-connected) that are nowhere probable enough.

    Args:
        probability: (slice, row, column), on the voxels that the network saw: interpolation
            flattens peaks.
        post: Threshold, share of end slices, and the probability that a lesion has to exceed.

    Returns:
        The map with these lesions set to 0, or the map itself where no such probability is set.
    """
    if post.lesion_peak == 0:
        return probability
    mask = to_mask(probability, post)
    labels, count = ndimage.label(mask, structure=CONNECTIVITY)
    inside = mask > 0
    peaks = np.zeros(count + 1, np.float32)
    np.maximum.at(peaks, labels[inside], probability[inside])
    doubtful = peaks <= post.lesion_peak
    doubtful[0] = False  # the background
    left: npt.NDArray[np.float32] = np.where(doubtful[labels], np.float32(0), probability)
    return left


def without_small(
    mask: npt.NDArray[np.uint8], voxel_ml: float, post: Postprocessing
) -> npt.NDArray[np.uint8]:
    """Removes the lesions (26-connected) that are too small.

    Args:
        mask: (slice, row, column), 0 or 1.
        voxel_ml: Volume of a voxel in millilitres.
        post: Holds the smallest volume.

    Returns:
        uint8 mask of the same shape, 0 or 1.
    """
    if post.min_lesion_mm3 == 0:
        return mask
    labels, _ = ndimage.label(mask, structure=CONNECTIVITY)
    sizes = np.bincount(labels[mask > 0], minlength=1)
    # A hair below, so that a lesion of exactly that volume stays whatever the rounding.
    enough = sizes * voxel_ml >= post.min_lesion_mm3 / 1000 * (1 - 1e-9)
    enough[0] = False
    left: npt.NDArray[np.uint8] = enough[labels].astype(np.uint8)
    return left
