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
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.errors import DimensionError, GridMismatchError, UsageError
from wmhseg.scoring.matching import LesionMatch, match
from wmhseg.scoring.outlines import outlines, percentile_mm, search_tree

Volume = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

_LARGEST_REFERENCE_LABEL = 2.5  # where the evaluation program's label 2 ends
_LARGEST_LABEL = 1000  # the evaluation program reads larger result values as background ...
_LARGEST_LABEL_UINT8 = 232  # ... and 1000 wraps to this in an 8-bit image
_MEDIUM_VOX = (10, 20)  # the smallest and the largest lesion of the medium class, in voxels
_LIMITS_OF_AGREEMENT_SD = 1.96


class MaskWarning(UserWarning):
    """A volume is not a plain label map or mask; the text says how its values were read."""


def value_notes(reference: npt.ArrayLike, result: npt.ArrayLike) -> tuple[str, ...]:
    """Say what keeps a reference from being labels 0, 1, 2 and a result from being a 0/1 mask.

    Args:
        reference: Volume (slice, row, column) as it was stored.
        result: Volume as it was stored.

    Returns:
        One sentence for each finding; empty for plain volumes.
    """
    labels, values = np.asarray(reference), np.asarray(result)
    notes = []
    if labels.size and labels.max() > _LARGEST_REFERENCE_LABEL:
        notes.append(
            f"The reference holds values up to {labels.max()}: only label 1 is foreground and "
            "only label 2 is left out. Convert a 0/255 reference to 0 and 1."
        )
    largest = values.max() if values.size else 0
    if values.dtype == np.uint8 and largest > _LARGEST_LABEL_UINT8:
        notes.append(
            f"The 8-bit result holds values up to {largest}: read as foreground, while the "
            f"challenge's evaluation program reads all above {_LARGEST_LABEL_UINT8} as "
            "background. Write 0 and 1."
        )
    elif largest > _LARGEST_LABEL:
        notes.append(
            f"The result holds values up to {largest}: all above {_LARGEST_LABEL} are read as "
            "background, as in the challenge's evaluation program. Write 0 and 1."
        )
    if np.issubdtype(values.dtype, np.floating):
        if not np.isfinite(values).all():
            notes.append("The result holds NaN or infinite values: read as background.")
        if ((values > 0) & (values < 1)).any():
            notes.append("The result holds fractions: foreground is 0.5 and above.")
    return tuple(notes)


def binarise(reference: npt.ArrayLike, result: npt.ArrayLike) -> tuple[Mask, Mask]:
    """Read label volumes as the two masks that every metric compares.

    Foreground of the reference is label 1, whatever its type. Foreground of the result is 1 to
    1000 for integer types and 0.5 to 1000 for floating-point types. Voxels of reference label 2
    (other pathology) are foreground in neither. Boolean volumes are taken as they are, so calling
    this twice changes nothing. Volumes of other values give a ``MaskWarning``.

    Args:
        reference: Volume (slice, row, column) of labels 0, 1 and 2, or a boolean mask.
        result: Volume of the same shape: a label map, a probability map or a boolean mask.

    Returns:
        Reference mask and result mask, boolean, of the same shape.

    Raises:
        DimensionError: A volume is not three-dimensional, or has no voxels.
        GridMismatchError: The shapes differ.
        UsageError: A volume does not hold numbers.
    """
    labels, values = np.asarray(reference), np.asarray(result)
    _check_volumes(labels, values)
    for note in value_notes(labels, values):
        warnings.warn(note, MaskWarning, stacklevel=3)
    found = _foreground(values)
    if labels.dtype == np.bool_:
        return labels, found
    if np.issubdtype(labels.dtype, np.integer):
        return labels == 1, found & (labels != 2)
    other = (labels >= 1.5) & (labels <= 2.5)
    return (labels >= 0.5) & (labels <= 1.5), found & ~other


def dsc(reference: npt.ArrayLike, result: npt.ArrayLike) -> float:
    """Dice similarity coefficient, 2|G and P| / (|G| + |P|).

    Args:
        reference: Volume G (slice, row, column); see ``binarise``.
        result: Volume P of the same shape.

    Returns:
        0 (no overlap) to 1 (equal); NaN if both are empty.
    """
    truth, found = binarise(reference, result)
    total = np.count_nonzero(truth) + np.count_nonzero(found)
    return 2 * np.count_nonzero(truth & found) / total if total else math.nan


def avd_percent(reference: npt.ArrayLike, result: npt.ArrayLike) -> float:
    """Absolute volume difference as a percentage of the reference volume.

    Args:
        reference: Volume (slice, row, column); see ``binarise``.
        result: Volume of the same shape.

    Returns:
        Percentage, 0 or more; NaN if the reference is empty.
    """
    truth, found = binarise(reference, result)
    size_vox = np.count_nonzero(truth)
    return abs(size_vox - np.count_nonzero(found)) / size_vox * 100 if size_vox else math.nan


def volume_bias_ml(
    reference: npt.ArrayLike, result: npt.ArrayLike, spacing_mm: npt.ArrayLike
) -> float:
    """Signed volume difference, result minus reference.

    Args:
        reference: Volume (slice, row, column); see ``binarise``.
        result: Volume of the same shape.
        spacing_mm: Voxel size in mm: (slice, row, column).

    Returns:
        Millilitres; positive if the result is larger.
    """
    truth, found = binarise(reference, result)
    return _volume_ml(found, spacing_mm) - _volume_ml(truth, spacing_mm)


def h95_mm(reference: npt.ArrayLike, result: npt.ArrayLike, spacing_mm: npt.ArrayLike) -> float:
    """Robust Hausdorff distance: the larger of the 95th percentiles of the two directions.

    Distances run from each outline voxel of one mask to the nearest outline voxel of the other.
    The outline is the mask without its in-plane erosion by a 3 x 3 square (the evaluation
    program's ball of radius (1, 1, 0)); what lies outside the image erodes nothing. Percentiles
    are interpolated linearly.

    Args:
        reference: Volume (slice, row, column); see ``binarise``.
        result: Volume of the same shape.
        spacing_mm: Voxel size in mm: (slice, row, column).

    Returns:
        Millimetres; NaN if either mask is empty, or fills its slices and has no outline.
    """
    truth, found = binarise(reference, result)
    spacing = _checked_spacing_mm(spacing_mm)
    first, second = outlines(truth, found)
    if not (first.size and second.size):
        return math.nan
    return max(percentile_mm(first, second, spacing), percentile_mm(second, first, spacing))


def assd_mm(reference: npt.ArrayLike, result: npt.ArrayLike, spacing_mm: npt.ArrayLike) -> float:
    """Absolute average symmetric surface distance.

    The mean over all outline voxels of both masks of the distance to the nearest outline voxel of
    the other mask. The outline is that of ``h95_mm``.

    Args:
        reference: Volume (slice, row, column); see ``binarise``.
        result: Volume of the same shape.
        spacing_mm: Voxel size in mm: (slice, row, column).

    Returns:
        Millimetres; NaN as for ``h95_mm``.

    Reference:
        Heimann T et al. Comparison and evaluation of methods for liver segmentation from CT
        datasets. IEEE Transactions on Medical Imaging 28(8), 2009. doi:10.1109/TMI.2009.2013851
    """
    truth, found = binarise(reference, result)
    spacing = _checked_spacing_mm(spacing_mm)
    first, second = outlines(truth, found)
    if not (first.size and second.size):
        return math.nan
    total_mm = 0.0
    for voxels, others in ((first, second), (second, first)):
        total_mm += float(search_tree(others, spacing).query(voxels.T * spacing)[0].sum())
    return total_mm / float(first.shape[1] + second.shape[1])


def match_lesions(reference: npt.ArrayLike, result: npt.ArrayLike) -> LesionMatch:
    """Find the lesions of both volumes and the voxels that they share.

    Args:
        reference: Volume (slice, row, column); see ``binarise``.
        result: Volume of the same shape.

    Returns:
        The record that recall, precision, F1 and panoptic quality are read from.
    """
    return match(*binarise(reference, result))


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
        reference: Volume (slice, row, column) of labels 0, 1 and 2; see ``binarise``.
        result: Volume of the same shape.
        spacing_mm: Voxel size in mm: (slice, row, column).

    Returns:
        The metrics, with notes on unusual values and on NaN.

    Raises:
        DimensionError: A volume is not three-dimensional, or has no voxels.
        GridMismatchError: The shapes differ.
        UsageError: A volume does not hold numbers, or the spacing is not three positive numbers.
    """
    truth, found = binarise(reference, result)
    lesions = match_lesions(truth, found)
    distance_mm = h95_mm(truth, found, spacing_mm)
    low_vox, high_vox = _MEDIUM_VOX
    small_recall, small_lesions = lesions.recall_between(1, low_vox - 1)
    medium_recall, medium_lesions = lesions.recall_between(low_vox, high_vox)
    large_recall, large_lesions = lesions.recall_between(high_vox + 1, math.inf)
    return Metrics(
        dsc=dsc(truth, found),
        h95_mm=distance_mm,
        avd_percent=avd_percent(truth, found),
        recall=lesions.recall,
        f1=lesions.f1,
        precision=lesions.precision,
        panoptic_quality=lesions.panoptic_quality,
        assd_mm=assd_mm(truth, found, spacing_mm),
        reference_ml=_volume_ml(truth, spacing_mm),
        result_ml=_volume_ml(found, spacing_mm),
        volume_bias_ml=volume_bias_ml(truth, found, spacing_mm),
        reference_lesions=lesions.reference_vox.size,
        result_lesions=lesions.result_vox.size,
        small_recall=small_recall,
        small_lesions=small_lesions,
        medium_recall=medium_recall,
        medium_lesions=medium_lesions,
        large_recall=large_recall,
        large_lesions=large_lesions,
        notes=value_notes(reference, result) + _undefined_notes(truth, found, distance_mm),
    )


@dataclass(frozen=True)
class BlandAltman:
    """Agreement of two ways to measure a volume.

    Attributes:
        n: Number of cases.
        bias_ml: Mean of result minus reference.
        sd_ml: Standard deviation of those differences (n - 1).
        lower_ml: Lower limit of agreement, bias - 1.96 sd.
        upper_ml: Upper limit of agreement, bias + 1.96 sd.
    """

    n: int
    bias_ml: float
    sd_ml: float
    lower_ml: float
    upper_ml: float


def bland_altman(reference_ml: npt.ArrayLike, result_ml: npt.ArrayLike) -> BlandAltman:
    """Bias and limits of agreement of two volume vectors.

    Args:
        reference_ml: Reference volumes, shape (cases,).
        result_ml: Volumes of the results, same order and shape.

    Returns:
        Bias (positive: the results are larger) and its limits of agreement.

    Raises:
        UsageError: The vectors differ in length, have fewer than two cases, or hold NaN.

    Reference:
        Bland JM, Altman DG. Statistical methods for assessing agreement between two methods of
        clinical measurement. Lancet 327(8476), 1986. doi:10.1016/S0140-6736(86)90837-8
    """
    first, second = np.asarray(reference_ml, float), np.asarray(result_ml, float)
    if first.ndim != 1 or first.shape != second.shape or first.size < 2:
        raise UsageError(
            "Bland-Altman figures need two volume vectors of one length, two cases or more",
            received=f"shapes {first.shape} and {second.shape}",
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise UsageError("Volumes must be finite numbers", advice="Leave such cases out.")
    difference_ml = second - first
    bias, sd = float(difference_ml.mean()), float(difference_ml.std(ddof=1))
    spread = _LIMITS_OF_AGREEMENT_SD * sd
    return BlandAltman(first.size, bias, sd, bias - spread, bias + spread)


def _check_volumes(reference: Volume, result: Volume) -> None:
    """Raise unless both volumes are 3-D, of one shape, with at least one voxel, and numeric."""
    for name, volume in (("reference", reference), ("result", result)):
        if volume.ndim != 3 or volume.size == 0:
            raise DimensionError(
                f"The {name} must be a volume with three axes (slice, row, column)",
                received=f"shape {volume.shape}",
            )
        if volume.dtype.kind not in "biuf":
            raise UsageError(f"The {name} must hold real numbers", received=volume.dtype)
    if reference.shape != result.shape:
        raise GridMismatchError(
            "Reference and result must have the same shape (slice, row, column)",
            received=f"{reference.shape} and {result.shape}",
            advice="Bring the result onto the grid of the reference (the FLAIR image) first.",
        )


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


def _foreground(values: Volume) -> Mask:
    """Binarise a result by the evaluation program's thresholds."""
    if values.dtype == np.bool_:
        return np.asarray(values, dtype=np.bool_)
    threshold = 1 if np.issubdtype(values.dtype, np.integer) else 0.5
    found = np.asarray(values >= threshold)
    return found if values.dtype.itemsize == 1 else found & (values <= _LARGEST_LABEL)


def _volume_ml(mask: Mask, spacing_mm: npt.ArrayLike) -> float:
    """Volume of a mask in millilitres."""
    return float(np.count_nonzero(mask) * _checked_spacing_mm(spacing_mm).prod() / 1000)


def _undefined_notes(truth: Mask, found: Mask, distance_mm: float) -> tuple[str, ...]:
    """Say which metrics are undefined for these masks and this H95, and why."""
    if not (truth.any() or found.any()):
        return ("Both are empty: DSC, H95, ASSD, AVD and panoptic quality are undefined.",)
    if not truth.any():
        return ("The reference is empty: H95, ASSD and AVD are undefined.",)
    if not found.any():
        return ("The result is empty: H95 and ASSD are undefined.",)
    if math.isnan(distance_mm):
        return ("A mask fills whole slices and has no outline: H95 and ASSD are undefined.",)
    return ()
