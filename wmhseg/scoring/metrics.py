"""How well a segmentation agrees with its reference: arrays in, numbers out.

Volumes are (slice, row, column); ``spacing_mm`` is in the same order. "In-plane" means rows and
columns, the first two axes of the image file, however the scan was oriented. Distances need the
spacing only: a direction matrix is a rotation and changes none of them.

DSC, H95, AVD, lesion recall and lesion F1 are those of the WMH segmentation challenge and give the
numbers of its evaluation program, with one difference: where that program divides by zero or
stops, the value here is NaN and ``Metrics.notes`` says why.

Reference:
    Kuijf HJ et al. Standardized assessment of automatic segmentation of white matter
    hyperintensities and results of the WMH segmentation challenge. IEEE Transactions on Medical
    Imaging 38(11), 2019. doi:10.1109/TMI.2019.2905770
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wmhseg.errors import UsageError
from wmhseg.scoring.masks import MaskPair, mask_pair
from wmhseg.scoring.matching import LesionMatch
from wmhseg.scoring.outlines import OutlineDistances

Floats = npt.NDArray[np.float64]

SIZE_LIMITS_VOX: Mapping[str, tuple[float, float]] = {
    "small": (1, 9),
    "medium": (10, 20),
    "large": (21, math.inf),
}
"""Size class -> its smallest and its largest lesion, in voxels of the reference's grid."""


def dsc(reference: npt.ArrayLike, result: npt.ArrayLike) -> float:
    """Dice similarity coefficient, 2|G and P| / (|G| + |P|).

    Args:
        reference: Volume G (slice, row, column); see ``masks.binarise``.
        result: Volume P of the same shape.

    Returns:
        0 (no overlap) to 1 (equal); NaN if both are empty.
    """
    return _dsc(mask_pair(reference, result))


def avd_percent(reference: npt.ArrayLike, result: npt.ArrayLike) -> float:
    """Absolute volume difference as a percentage of the reference volume.

    Args:
        reference: Volume (slice, row, column); see ``masks.binarise``.
        result: Volume of the same shape.

    Returns:
        Percentage, 0 or more; NaN if the reference is empty.
    """
    return _avd_percent(mask_pair(reference, result))


def volume_bias_ml(
    reference: npt.ArrayLike, result: npt.ArrayLike, spacing_mm: npt.ArrayLike
) -> float:
    """Signed volume difference, result minus reference.

    Args:
        reference: Volume (slice, row, column); see ``masks.binarise``.
        result: Volume of the same shape.
        spacing_mm: Voxel size in mm: (slice, row, column).

    Returns:
        Millilitres; positive if the result is larger.
    """
    pair, spacing = mask_pair(reference, result), _checked_spacing_mm(spacing_mm)
    return _volume_ml(pair.result_vox, spacing) - _volume_ml(pair.reference_vox, spacing)


def h95_mm(reference: npt.ArrayLike, result: npt.ArrayLike, spacing_mm: npt.ArrayLike) -> float:
    """Robust Hausdorff distance: the larger of the 95th percentiles of the two directions.

    Distances run from each outline voxel of one mask to the nearest outline voxel of the other.
    The outline is the mask without its in-plane erosion by a 3 x 3 square (the evaluation
    program's ball of radius (1, 1, 0)); what lies outside the image erodes nothing. Percentiles
    are interpolated linearly.

    Args:
        reference: Volume (slice, row, column); see ``masks.binarise``.
        result: Volume of the same shape.
        spacing_mm: Voxel size in mm: (slice, row, column).

    Returns:
        Millimetres; NaN if either mask is empty, or fills its slices and has no outline.
    """
    pair = mask_pair(reference, result)
    return _h95_mm(pair.distances(_checked_spacing_mm(spacing_mm)))


def assd_mm(reference: npt.ArrayLike, result: npt.ArrayLike, spacing_mm: npt.ArrayLike) -> float:
    """Absolute average symmetric surface distance.

    The mean over all outline voxels of both masks of the distance to the nearest outline voxel of
    the other mask. The outline is that of ``h95_mm``.

    Args:
        reference: Volume (slice, row, column); see ``masks.binarise``.
        result: Volume of the same shape.
        spacing_mm: Voxel size in mm: (slice, row, column).

    Returns:
        Millimetres; NaN as for ``h95_mm``.

    Reference:
        Heimann T et al. Comparison and evaluation of methods for liver segmentation from CT
        datasets. IEEE Transactions on Medical Imaging 28(8), 2009. doi:10.1109/TMI.2009.2013851
    """
    pair = mask_pair(reference, result)
    return _assd_mm(pair.distances(_checked_spacing_mm(spacing_mm)))


def match_lesions(reference: npt.ArrayLike, result: npt.ArrayLike) -> LesionMatch:
    """Find the lesions of both volumes and the voxels that they share.

    Args:
        reference: Volume (slice, row, column); see ``masks.binarise``.
        result: Volume of the same shape.

    Returns:
        The record that recall, precision, F1 and panoptic quality are read from.
    """
    return mask_pair(reference, result).lesions


@dataclass(frozen=True)
class Metrics:
    """All that ``evaluate`` finds for one case.

    Attributes:
        dsc: Dice similarity coefficient.
        h95_mm: 95th percentile Hausdorff distance.
        avd_percent: Absolute volume difference in percent of the reference.
        recall: Lesion recall.
        f1: Lesion F1.
        precision: Lesion precision.
        panoptic_quality: Lesion-wise panoptic quality.
        assd_mm: Absolute average symmetric surface distance.
        reference_ml: Volume of the reference.
        result_ml: Volume of the result.
        volume_bias_ml: Result minus reference.
        reference_lesions: Number of lesions in the reference.
        result_lesions: Number of lesions in the result.
        small_recall: Recall of reference lesions below 10 voxels (NaN: there are none).
        small_lesions: Their number.
        medium_recall: Recall of those of 10 to 20 voxels, both included.
        medium_lesions: Their number.
        large_recall: Recall of those above 20 voxels.
        large_lesions: Their number.
        notes: How unusual result values were read, and why a value is NaN.

    Reference:
        The size classes are those of Li H, Zhang J, Muehlau M, Kirschke J, Menze B. Multi-scale
        convolutional-stack aggregation for robust white matter hyperintensities segmentation.
        arXiv:1807.05153. They leave 10 and 20 voxels open; here both are medium.
    """

    dsc: float
    h95_mm: float
    avd_percent: float
    recall: float
    f1: float
    precision: float
    panoptic_quality: float
    assd_mm: float
    reference_ml: float
    result_ml: float
    volume_bias_ml: float
    reference_lesions: int
    result_lesions: int
    small_recall: float
    small_lesions: int
    medium_recall: float
    medium_lesions: int
    large_recall: float
    large_lesions: int
    notes: tuple[str, ...] = ()


def evaluate(reference: npt.ArrayLike, result: npt.ArrayLike, spacing_mm: npt.ArrayLike) -> Metrics:
    """Compute every metric of one case.

    Args:
        reference: Volume (slice, row, column) of labels 0, 1 and 2; see ``masks.binarise``.
        result: Volume of the same shape.
        spacing_mm: Voxel size in mm: (slice, row, column).

    Returns:
        The metrics, with notes on unusual values and on NaN.

    Raises:
        DimensionError: A volume is not three-dimensional, or has no voxels.
        GridMismatchError: The shapes differ.
        UsageError: A volume does not hold numbers, or the spacing is not three positive numbers.
    """
    pair, spacing = mask_pair(reference, result), _checked_spacing_mm(spacing_mm)
    lesions, distances = pair.lesions, pair.distances(spacing)
    # ASSD first: it searches for all distances at once, and H95 is read from the same ones.
    average_mm = _assd_mm(distances)
    by_size = {name: lesions.recall_between(*both) for name, both in SIZE_LIMITS_VOX.items()}
    reference_ml = _volume_ml(pair.reference_vox, spacing)
    result_ml = _volume_ml(pair.result_vox, spacing)
    return Metrics(
        dsc=_dsc(pair),
        h95_mm=_h95_mm(distances),
        avd_percent=_avd_percent(pair),
        recall=lesions.recall,
        f1=lesions.f1,
        precision=lesions.precision,
        panoptic_quality=lesions.panoptic_quality,
        assd_mm=average_mm,
        reference_ml=reference_ml,
        result_ml=result_ml,
        volume_bias_ml=result_ml - reference_ml,
        reference_lesions=lesions.reference_vox.size,
        result_lesions=lesions.result_vox.size,
        small_recall=by_size["small"][0],
        small_lesions=by_size["small"][1],
        medium_recall=by_size["medium"][0],
        medium_lesions=by_size["medium"][1],
        large_recall=by_size["large"][0],
        large_lesions=by_size["large"][1],
        notes=pair.notes + _undefined_notes(pair, distances),
    )


Distances = tuple[OutlineDistances, OutlineDistances] | None


def _dsc(pair: MaskPair) -> float:
    total_vox = pair.reference_vox + pair.result_vox
    shared_vox = np.count_nonzero(pair.reference & pair.result)
    return 2 * shared_vox / total_vox if total_vox else math.nan


def _avd_percent(pair: MaskPair) -> float:
    size_vox = pair.reference_vox
    return abs(size_vox - pair.result_vox) / size_vox * 100 if size_vox else math.nan


def _h95_mm(distances: Distances) -> float:
    return max(one.percentile_mm() for one in distances) if distances else math.nan


def _assd_mm(distances: Distances) -> float:
    if distances is None:
        return math.nan
    there, back = distances
    return (there.total_mm() + back.total_mm()) / float(len(there) + len(back))


def _volume_ml(size_vox: int, spacing_mm: Floats) -> float:
    return float(size_vox * spacing_mm.prod() / 1000)


def _checked_spacing_mm(spacing_mm: npt.ArrayLike) -> Floats:
    """Return the spacing as an array of three numbers, or raise UsageError."""
    try:
        spacing = np.asarray(spacing_mm, dtype=np.float64)
    except (TypeError, ValueError):
        spacing = np.empty(0)
    if spacing.shape != (3,) or not (np.isfinite(spacing).all() and (spacing > 0).all()):
        raise UsageError(
            "The spacing must be three positive numbers in mm (slice, row, column)",
            received=spacing_mm,
        )
    return spacing


def _undefined_notes(pair: MaskPair, distances: Distances) -> tuple[str, ...]:
    """Say which metrics are undefined for these masks, and why."""
    if not (pair.reference_vox or pair.result_vox):
        return ("Both are empty: DSC, H95, ASSD, AVD and panoptic quality are undefined.",)
    if not pair.reference_vox:
        return ("The reference is empty: H95, ASSD and AVD are undefined.",)
    if not pair.result_vox:
        return ("The result is empty: H95 and ASSD are undefined.",)
    if distances is None:
        return ("A mask fills whole slices and has no outline: H95 and ASSD are undefined.",)
    return ()
