"""T1 with lesions filled, so that programs that measure the brain do not take them for grey matter.

A voxel of a lesion gets the mean of the white matter around it, weighted by a Gaussian of 3 mm, and
noise of half the spread of white matter about such means. The noise has a seed: equal scans give
equal results. Voxels outside of lesions are not touched. Arrays are (slice, row, column).

References:
    M. Sdika, D. Pelletier, Hum Brain Mapp 30 (2009) 1060-1067 (mean of the white matter around).
    S. Valverde et al., NeuroImage Clin 6 (2014) 86-92 (noise of half the spread).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg.errors import EmptyMaskError
from wmhseg.geometry import Triple
from wmhseg.measures.marks import Mask, bounding_box

Float = npt.NDArray[np.float32]

_REACH_MM = 3.0  # of the Gaussian
_TRUNCATE = 4.0
_LEAST_WEIGHT = 1e-4  # less white matter around than this is none
_SPREAD = 0.5
_TYPICAL = 2.5  # white matter is within so many standard deviations, as the median tells them
_MAD = 1.4826  # makes a standard deviation of a median deviation
_SEED = 17


def white_matter(t1: Float, likely: Mask, lesions: Mask) -> Mask:
    """White matter without lesions: where it is likely, and T1 shows what it shows there.

    Args:
        t1: (slice, row, column).
        likely: Where white matter is likely to be.
        lesions: Where lesions are.

    Raises:
        EmptyMaskError: If there is none.
    """
    healthy = likely & ~lesions
    values = t1[healthy]
    if not values.size:
        raise EmptyMaskError(
            "White matter without lesions was expected in the T1 image, to fill lesions like it",
            received="none",
            advice="Check that T1 and FLAIR show one head, and that the mask is not all of it.",
        )
    middle = float(np.median(values))
    spread = _MAD * float(np.median(np.abs(values - middle)))
    kept: Mask = healthy & (np.abs(t1 - middle) <= _TYPICAL * spread)
    return kept if kept.any() else healthy


def fill(t1: Float, lesions: Mask, white: Mask, spacing_mm: Triple) -> Float:
    """Fills lesions like the white matter around them.

    Args:
        t1: (slice, row, column).
        lesions: What to fill.
        white: White matter without lesions; at least one voxel.
        spacing_mm: Distance between slices, rows and columns.

    Returns:
        A new array; it differs from T1 in lesions only.
    """
    filled = t1.copy()
    if not lesions.any():
        return filled
    sigma = _REACH_MM / np.array(spacing_mm)
    room = np.ceil(_TRUNCATE * sigma).astype(int) + 1
    box = tuple(
        slice(max(0, part.start - n), part.stop + n)
        for part, n in zip(bounding_box(lesions), room, strict=True)
    )
    values, weight, inside = t1[box], white[box].astype(np.float32), lesions[box]
    around = ndimage.gaussian_filter(weight, sigma, truncate=_TRUNCATE, mode="constant")
    total = ndimage.gaussian_filter(weight * values, sigma, truncate=_TRUNCATE, mode="constant")
    enough = around > _LEAST_WEIGHT
    elsewhere = np.float32(t1[white].mean(dtype=np.float64))
    mean = np.where(enough, total / np.where(enough, around, 1), elsewhere)
    there = white[box]
    spread = float((values[there] - mean[there]).std(dtype=np.float64)) if there.any() else 0.0
    noise = np.random.default_rng(_SEED).standard_normal(int(inside.sum()))
    filled[box][inside] = mean[inside] + (_SPREAD * spread * noise).astype(np.float32)
    return filled
