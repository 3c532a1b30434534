"""Brain masks, intensity scale and z-score: array work without files or networks.

Arrays are (slice, row, column), as everywhere in this package.

Reference:
    H. Li et al., NeuroImage 183 (2018) 650-665, section 3.1 (masks and Gaussian normalisation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg.errors import ConstantImageError, EmptyMaskError
from wmhseg.weights.processing import Preprocessing

FloatArray = npt.NDArray[np.float32]
MaskArray = npt.NDArray[np.bool_]

# Connectivity inside a slice only: label() then treats a stack as independent slices in one call.
_IN_PLANE_4 = ndimage.generate_binary_structure(3, 1) & np.array([[[False]], [[True]], [[False]]])
_IN_PLANE_8 = np.ones((3, 3, 3), bool) & np.array([[[False]], [[True]], [[False]]])

# A threshold is taken as 25 % of the median intensity of the head when a scan's own scale is
# unknown: below grey and white matter in FLAIR and T1, above the noise of air.
_THRESHOLD_OF_MEDIAN = 0.25
_FOREGROUND_OF_P995 = 0.1
# Masks made at the fixed threshold and at the adapted one agree this well (DSC) on a scan that is
# on the challenge's scale.
_SAME_SCALE_DSC = 0.95
# How much of the signed 16-bit range, on both sides, numbers that wrapped around are seen to fill,
# and how much of it below 0 is ringing in air rather than a wrapped number.
_NEARLY_ALL = 0.9
_AIR_OF_RANGE = 0.01


def fill_holes(mask: MaskArray) -> MaskArray:
    """Fills, slice by slice, background that does not touch the slice's border (4-connected).

    Args:
        mask: (slice, row, column).

    Returns:
        The filled mask, same shape.
    """
    # A border of background makes "touches the border" one component a slice.
    background = np.pad(~mask, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    labels, _ = ndimage.label(background, structure=_IN_PLANE_4)
    inside: MaskArray = labels != labels[:, :1, :1]
    return inside[:, 1:-1, 1:-1]


def largest_component_per_slice(mask: MaskArray) -> MaskArray:
    """Keeps the largest 8-connected component of every slice.

    The paper does not name the connectivity: 8 is the dual of the 4-connected holes. Of several
    components of equal size the first in raster order stays.

    Args:
        mask: (slice, row, column).

    Returns:
        The mask without all smaller components, same shape; empty slices stay empty.
    """
    labels, count = ndimage.label(mask, structure=_IN_PLANE_8)
    if count == 0:
        return mask.copy()
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    # Labels rise from slice to slice, so the slice of a label is that of its first voxel.
    keep = np.zeros(count + 1, bool)
    for plane in labels:
        present = np.unique(plane)
        best = present[np.argmax(sizes[present])]
        keep[best] = best != 0
    kept: MaskArray = keep[labels]
    return kept


def brain_mask(volume: FloatArray, threshold: float, *, largest_component: bool) -> MaskArray:
    """Makes the mask inside which a scan's mean and standard deviation are taken.

    Args:
        volume: (slice, row, column), on the scale that the threshold is meant for.
        threshold: Lowest intensity that belongs to the mask.
        largest_component: Keep only each slice's largest component before holes are filled
            (as the paper says; the authors' released program does not).

    Returns:
        Boolean mask, same shape.
    """
    mask: MaskArray = volume >= threshold
    if largest_component:
        mask = largest_component_per_slice(mask)
    return fill_holes(mask)


def zscore(volume: FloatArray, mask: MaskArray, *, name: str) -> FloatArray:
    """Subtracts the mean and divides by the standard deviation of the voxels in the mask.

    Args:
        volume: (slice, row, column).
        mask: Boolean, same shape.
        name: What the volume is called in messages, such as "FLAIR".

    Returns:
        float32, same shape.

    Raises:
        EmptyMaskError: If no voxel is in the mask.
        ConstantImageError: If all voxels in the mask have one value.
    """
    values = volume[mask].astype(np.float64)
    if values.size == 0:
        raise EmptyMaskError(
            f"Some voxels of the {name} image above the brain-mask threshold were expected",
            received=f"none; the largest value is {float(volume.max()):.6g}",
            advice="If the scan is much darker than those of the challenge, let wmhseg adapt it: "
            "--intensity-scale adapt.",
        )
    mean, deviation = values.mean(), values.std()
    if deviation <= 1e-12 * max(1.0, abs(mean)):
        raise ConstantImageError(
            f"Different intensities inside the head in the {name} image were expected",
            received=f"{mean:.6g} in all {values.size} voxels of the brain mask",
            advice="Check that the file is the scan and not a mask.",
        )
    scores: FloatArray = ((volume - mean) / deviation).astype(np.float32)
    return scores


@dataclass(frozen=True)
class ScaleFinding:
    """What the intensity scale of one scan is, against the one a threshold is meant for.

    Attributes:
        factor: Multiplying the scan by this brings it to the threshold's scale.
        on_scale: Whether masks made with and without the factor are practically the same.
        agreement: DSC between those two masks, 0 to 1.
    """

    factor: float
    on_scale: bool
    agreement: float


def tissue_median(volume: FloatArray) -> float:
    """Median of the voxels brighter than 10 % of the 99.5th percentile of the positive ones.

    Args:
        volume: (slice, row, column).

    Returns:
        What stands for the brightness of tissue; 0.0 for a volume without positive values.
    """
    positive = volume[volume > 0]
    if positive.size == 0:
        return 0.0
    # A regular sample bounds the cost on large volumes; 200,000 voxels fix a median well.
    sample = positive[:: max(1, positive.size // 200_000)]
    foreground = sample[sample > _FOREGROUND_OF_P995 * np.percentile(sample, 99.5)]
    return float(np.median(foreground)) if foreground.size else 0.0


def foreground(volume: FloatArray) -> MaskArray:
    """Voxels at least a quarter as bright as the tissue median: the head, on any scale.

    Args:
        volume: (slice, row, column).
    """
    median = tissue_median(volume)
    return volume >= _THRESHOLD_OF_MEDIAN * median if median > 0 else np.zeros(volume.shape, bool)


def scale_factor(volume: FloatArray, threshold: float) -> float:
    """Finds the factor that brings a scan to the scale a mask threshold is meant for.

    It puts the threshold at a quarter of the tissue median. It depends on ratios only, so a scan
    times any positive number is brought to the same values.

    Args:
        volume: (slice, row, column).
        threshold: The mask threshold on the target scale, such as 70 for FLAIR.

    Returns:
        The factor; 1.0 for a volume without positive values.
    """
    median = tissue_median(volume)
    return threshold / (_THRESHOLD_OF_MEDIAN * median) if median > 0 else 1.0


def rescale(volume: FloatArray, factor: float) -> FloatArray:
    """Multiplies a scan by the factor that brings it to a threshold's scale.

    Args:
        volume: (slice, row, column).
        factor: As ``scale_factor`` finds it. That of scans dimmer than 1e-36 is beyond float32.

    Returns:
        float32, same shape; what float32 cannot express is its largest number.
    """
    ceiling = float(np.finfo(np.float32).max)
    wide = volume if factor <= ceiling else volume.astype(np.float64)
    with np.errstate(over="ignore"):
        scaled = np.asarray(wide * wide.dtype.type(factor))
    np.clip(scaled, -ceiling, ceiling, out=scaled)  # in place: the largest scans fill the memory
    return scaled.astype(np.float32, copy=False)


def limit(volume: FloatArray, ceiling: float) -> FloatArray:
    """Cuts intensities off at 0 and at a multiple of the tissue median.

    Args:
        volume: (slice, row, column).
        ceiling: The multiple.
    """
    return np.clip(volume, 0, np.float32(ceiling * tissue_median(volume)))


def is_wrapped(volume: FloatArray) -> bool:
    """Whether unsigned 16-bit numbers were stored as signed ones.

    The numbers above 32767, fat in most T1 scans, then appear as negative ones. Both ends of the
    range are reached in such a file; no MR magnitude image has such values otherwise.
    """
    return bool(
        volume.min() < -_NEARLY_ALL * 2**15
        and volume.max() > _NEARLY_ALL * 2**15
        and volume.max() < 2**15
        and np.array_equal(volume, np.rint(volume))
    )


def unwrap(volume: FloatArray) -> FloatArray:
    """Adds 65536 to negative numbers, but for the small ones that interpolation leaves in air.

    Args:
        volume: (slice, row, column), for which ``is_wrapped`` is true.
    """
    return np.where(volume < -_AIR_OF_RANGE * 2**15, volume + np.float32(2**16), volume)


def check_scale(volume: FloatArray, threshold: float) -> ScaleFinding:
    """Tells whether a fixed mask threshold fits a scan's intensities.

    Args:
        volume: (slice, row, column).
        threshold: The fixed mask threshold.

    Returns:
        The finding; ``on_scale`` is true when the threshold does what it is meant to.
    """
    factor = scale_factor(volume, threshold)
    fixed = volume >= threshold
    adapted = rescale(volume, factor) >= threshold
    total = int(fixed.sum()) + int(adapted.sum())
    agreement = 2 * int((fixed & adapted).sum()) / total if total else 1.0
    return ScaleFinding(factor, agreement >= _SAME_SCALE_DSC, agreement)


def normalise(
    volumes: Sequence[FloatArray], names: Sequence[str], method: Preprocessing
) -> list[FloatArray]:
    """Z-scores the modalities of one scan, each inside its brain mask.

    Args:
        volumes: FLAIR, then T1 if there is one; (slice, row, column), one shape, on the
            challenge's intensity scale.
        names: What the volumes are called in messages.
        method: Thresholds and kind of mask.

    Returns:
        float32 volumes of the same shape, in the same order.

    Raises:
        EmptyMaskError: If no voxel of a modality reaches its threshold.
        ConstantImageError: If a modality is constant inside its mask.
    """
    thresholds = (method.flair_threshold, method.t1_threshold)
    largest = method.largest_component
    masks: list[MaskArray] = []
    for volume, threshold in zip(volumes, thresholds, strict=False):
        if method.mask == "each" or not masks:
            masks.append(brain_mask(volume, threshold, largest_component=largest))
        else:
            masks.append(masks[0])
    normalised = [
        zscore(volume, mask, name=name)
        for volume, mask, name in zip(volumes, masks, names, strict=True)
    ]
    if method.clip is None:
        return normalised
    return [np.clip(volume, *method.clip) for volume in normalised]
