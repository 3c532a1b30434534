"""From probability to mask.

Arrays are (slice, row, column).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg.measures.lesions import CONNECTIVITY
from wmhseg.weights.processing import OtherLabel, Postprocessing


def end_slices(slices: int, share: float) -> int:
    """Number of slices emptied at either end: ``share`` of them, rounded down.

    Args:
        slices: Slices of the scan.
        share: Part of them, such as 0.10.
    """
    # The share is meant as it is written: in binary, 0.29 * 100 is 28.999999999999996.
    return math.floor(Fraction(str(share)) * slices)


# Padding is told from an uncovered vertex by its share of the slices, and counts only where it
# costs clearly more of the head than intended: scans without it are treated as published.
_PADDED, _CLEARLY_MORE = 0.9, 1.5


def kept_slices(slices: int, post: Postprocessing, head: slice | None = None) -> slice:
    """The slices that post-processing leaves alone; only these need to be computed.

    Args:
        slices: Slices of the scan.
        post: Share of end slices, and of what.
        head: The slices that hold the head, None for all.
    """
    cut = end_slices(slices, post.end_slices)
    if post.end_slices_of == "head" and head is not None and lost_slices(slices, post, head):
        own = end_slices(head.stop - head.start, post.end_slices)
        return slice(head.start + own, head.stop - own)
    return slice(cut, slices - cut)


def lost_slices(slices: int, post: Postprocessing, head: slice) -> int:
    """Slices of the head that are emptied because of padding, were those of the scan counted.

    Args:
        slices: Slices of the scan.
        post: Share of end slices.
        head: The slices that hold the head.

    Returns:
        All emptied slices that hold the head; 0 if they are not clearly more than the same share
        of the head's own slices at one end.
    """
    cut, held = end_slices(slices, post.end_slices), head.stop - head.start
    below: int = max(0, cut - head.start)
    above: int = max(0, head.stop - (slices - cut))
    intended = end_slices(held, post.end_slices)
    if held > _PADDED * slices or max(below, above) <= _CLEARLY_MORE * intended:
        return 0
    return below + above


def warnings(slices: int, post: Postprocessing, head: slice | None) -> list[str]:
    """Says when slices of the head are emptied because the scan is padded.

    Args:
        slices: Slices of the scan.
        post: Share of end slices, and of what.
        head: The slices that hold the head, None if nobody looked.
    """
    if head is None or post.end_slices_of == "head":
        return []
    lost = lost_slices(slices, post, head)
    if not lost:
        return []
    return [
        f"{lost} slices that this method empties hold the head, as {post.end_slices:.0%} of all "
        f"{slices} slices are counted at either end: crop the empty ones."
    ]


def to_mask(
    probability: npt.NDArray[np.float32], post: Postprocessing, head: slice | None = None
) -> npt.NDArray[np.uint8]:
    """Thresholds a probability map and empties the end slices.

    Args:
        probability: (slice, row, column), axial slices, in the order of the network.
        post: Threshold (strictly above counts) and share of end slices.
        head: The slices that hold the head, None for all.

    Returns:
        uint8 mask of the same shape, 0 or 1.
    """
    mask = np.zeros(probability.shape, np.uint8)
    kept = kept_slices(len(probability), post, head)
    mask[kept] = probability[kept] > post.threshold
    return mask


def to_other_masks(
    others: Mapping[str, npt.NDArray[np.float32]],
    wmh: npt.NDArray[np.float32],
    rules: Sequence[OtherLabel],
    kept: slice,
) -> dict[str, npt.NDArray[np.uint8]]:
    """Marks the labels besides WMH: where they are probable enough, and WMH is not more so.

    A voxel has one label at most: of several that it could have, the most probable one, or of
    equally probable ones the first.

    Args:
        others: Label -> probability (slice, row, column).
        wmh: Probability of WMH, same shape.
        rules: Of each label.
        kept: The slices that are not emptied.

    Returns:
        Label -> uint8 mask of the same shape, 0 or 1, in the order of the rules.
    """
    masks: dict[str, npt.NDArray[np.uint8]] = {}
    highest = np.zeros_like(wmh[kept])  # of the labels so far; no probability marked is 0
    for rule in rules:
        said = others[rule.label][kept]
        fits = (said > rule.threshold) & (said >= wmh[kept]) & (said > highest)
        for earlier in masks.values():
            earlier[kept][fits] = 0
        mask = np.zeros(wmh.shape, np.uint8)
        mask[kept] = fits
        masks[rule.label] = mask
        highest = np.where(fits, said, highest)
    return masks


def without_doubtful(
    probability: npt.NDArray[np.float32], post: Postprocessing, head: slice | None = None
) -> npt.NDArray[np.float32]:
    """Removes the lesions (26-connected) that are nowhere probable enough.

    Args:
        probability: (slice, row, column), on the voxels that the network saw: interpolation
            flattens peaks.
        post: Threshold, share of end slices, and the probability that a lesion has to exceed.
        head: The slices that hold the head, None for all.

    Returns:
        The map with these lesions set to 0, or the map itself where no such probability is set.
    """
    if post.lesion_peak == 0:
        return probability
    mask = to_mask(probability, post, head)
    labels, count = ndimage.label(mask, structure=CONNECTIVITY)
    inside = mask > 0
    peaks = np.zeros(count + 1, np.float32)
    np.maximum.at(peaks, labels[inside], probability[inside])
    doubtful = peaks <= post.lesion_peak
    doubtful[0] = False  # the background
    left: npt.NDArray[np.float32] = np.where(doubtful[labels], np.float32(0), probability)
    return left


def without_small(
    mask: npt.NDArray[np.uint8], voxel_ml: float, post: Postprocessing | OtherLabel
) -> npt.NDArray[np.uint8]:
    """Removes the lesions (26-connected) that are too small.

    Args:
        mask: (slice, row, column), 0 or 1.
        voxel_ml: Volume of a voxel in millilitres.
        post: Holds the smallest volume, of WMH or of another label.

    Returns:
        uint8 mask of the same shape, 0 or 1.
    """
    if post.min_lesion_mm3 == 0:
        return mask
    labels, _ = ndimage.label(mask, structure=CONNECTIVITY)
    sizes = np.bincount(labels[mask > 0], minlength=1)
    # A hair below, so that a lesion of exactly that volume stays whatever the rounding: sides of
    # voxels stand in headers as float32, perhaps in metres.
    enough = sizes * voxel_ml >= post.min_lesion_mm3 / 1000 * (1 - 1e-6)
    enough[0] = False
    left: npt.NDArray[np.uint8] = enough[labels].astype(np.uint8)
    return left
