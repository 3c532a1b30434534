"""Two label volumes of one case as the two masks that every metric compares.

Volumes are (slice, row, column). The labels are read as the evaluation program of the WMH
segmentation challenge reads them.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.errors import DimensionError, GridMismatchError, UsageError
from wmhseg.scoring.matching import LesionMatch, match
from wmhseg.scoring.outlines import OutlineDistances, outline

Volume = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

_LARGEST_REFERENCE_LABEL = 2.5  # where the evaluation program's label 2 ends
_LARGEST_LABEL = 1000  # the evaluation program reads larger result values as background ...
_LARGEST_LABEL_UINT8 = 232  # ... and 1000 wraps to this in an 8-bit image


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


def of_label(reference: npt.ArrayLike, label: int) -> Mask:
    """Where a reference has a label, whatever its type, as a mask that ``binarise`` takes as it is.

    Args:
        reference: Volume (slice, row, column) of labels.
        label: Such as 2, other pathology.
    """
    labels = np.asarray(reference)
    if labels.dtype == np.bool_ or np.issubdtype(labels.dtype, np.integer):
        return np.asarray(labels == label)
    return np.asarray((labels >= label - 0.5) & (labels <= label + 0.5))


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
    first, second, _ = _read(reference, result, stacklevel=3)
    return first, second


@dataclass(frozen=True, eq=False)
class MaskPair:
    """The two masks of one case, and what more than one metric is read from, made once.

    Attributes:
        reference: Boolean mask (slice, row, column), cut to ``common_box``.
        result: The same of the result.
        notes: How unusual values were read, see ``value_notes``.
    """

    reference: Mask
    result: Mask
    notes: tuple[str, ...] = ()

    @cached_property
    def reference_vox(self) -> int:
        """Voxels of the reference."""
        return int(np.count_nonzero(self.reference))

    @cached_property
    def result_vox(self) -> int:
        """Voxels of the result."""
        return int(np.count_nonzero(self.result))

    @cached_property
    def lesions(self) -> LesionMatch:
        """The lesions of both masks and the voxels that they share."""
        return match(self.reference, self.result)

    def distances(self, spacing_mm: Floats) -> tuple[OutlineDistances, OutlineDistances] | None:
        """Distances between the outlines, from the reference to the result and back.

        Args:
            spacing_mm: Voxel size in mm: (slice, row, column), shape (3,).

        Returns:
            Both directions; None if a mask has no outline.
        """
        first, second = outline(self.reference), outline(self.result)
        if not (first.size and second.size):
            return None
        return (
            OutlineDistances(first, second, spacing_mm),
            OutlineDistances(second, first, spacing_mm),
        )


def mask_pair(reference: npt.ArrayLike, result: npt.ArrayLike) -> MaskPair:
    """Read label volumes as a pair of masks; arguments, warnings and errors as of ``binarise``.

    Args:
        reference: Volume (slice, row, column) of labels 0, 1 and 2, or a boolean mask.
        result: Volume of the same shape.

    Returns:
        The pair.
    """
    # Warnings show the line that called a metric: three calls up from where they are given.
    first, second, notes = _read(reference, result, stacklevel=4)
    box = common_box(first, second)
    return MaskPair(np.ascontiguousarray(first[box]), np.ascontiguousarray(second[box]), notes)


def common_box(first: Mask, second: Mask) -> tuple[slice, slice, slice]:
    """Bounding box of two masks with a voxel of margin, cut at the edges of the image.

    Inside the box a mask erodes as in the whole image: the margin keeps the background next to it,
    and a side without margin is an edge of the image.
    """
    slices = np.any(first, axis=(1, 2)) | np.any(second, axis=(1, 2))
    plane = np.any(first, axis=0) | np.any(second, axis=0)
    spans = [np.flatnonzero(filled) for filled in (slices, plane.any(axis=1), plane.any(axis=0))]
    z, y, x = (slice(max(s[0] - 1, 0), s[-1] + 2) if s.size else slice(0, 1) for s in spans)
    return z, y, x


def _read(
    reference: npt.ArrayLike, result: npt.ArrayLike, stacklevel: int
) -> tuple[Mask, Mask, tuple[str, ...]]:
    """Both masks as of ``binarise``, and the notes; each note is a warning as well."""
    labels, values = np.asarray(reference), np.asarray(result)
    _check_volumes(labels, values)
    notes = value_notes(labels, values)
    for note in notes:
        warnings.warn(note, MaskWarning, stacklevel=stacklevel)
    foreground = _foreground(values)
    if labels.dtype == np.bool_:
        return labels, foreground, notes
    if np.issubdtype(labels.dtype, np.integer):
        return labels == 1, foreground & (labels != 2), notes
    other = (labels >= 1.5) & (labels <= 2.5)
    return (labels >= 0.5) & (labels <= 1.5), foreground & ~other, notes


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


def _foreground(values: Volume) -> Mask:
    """Binarise a result by the evaluation program's thresholds."""
    if values.dtype == np.bool_:
        return np.asarray(values, dtype=np.bool_)
    threshold = 1 if np.issubdtype(values.dtype, np.integer) else 0.5
    foreground = np.asarray(values >= threshold)
    return foreground if values.dtype.itemsize == 1 else foreground & (values <= _LARGEST_LABEL)
