"""Which lesions of two masks share voxels, and the scores that follow.

Masks are boolean (slice, row, column); a lesion is a 26-connected component.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

_SAME_LESION_IOU = 0.5  # above it, no lesion can have two partners


@dataclass(frozen=True, eq=False)
class LesionMatch:
    """Which lesions of a reference and of a result share voxels, and the scores that follow.

    A lesion is a 26-connected component of a mask. Lesion i has row i in its size array.

    Attributes:
        reference_vox: Sizes of the reference lesions in voxels, shape (lesions,).
        result_vox: Sizes of the result's lesions in voxels, shape (lesions,).
        pairs: Overlapping lesions, shape (pairs, 2): reference lesion, result lesion.
        shared_vox: Voxels that each pair has in common, shape (pairs,).
    """

    reference_vox: Integers
    result_vox: Integers
    pairs: Integers
    shared_vox: Integers

    @property
    def detected(self) -> Mask:
        """Which reference lesions share at least one voxel with the result, shape (lesions,)."""
        return _marked(self.pairs[:, 0], self.reference_vox.size)

    @property
    def confirmed(self) -> Mask:
        """Which of the result's lesions share at least one voxel with the reference."""
        return _marked(self.pairs[:, 1], self.result_vox.size)

    @property
    def recall(self) -> float:
        """Detected reference lesions / reference lesions; 1 if the reference has none."""
        return float(self.detected.mean()) if self.reference_vox.size else 1.0

    @property
    def precision(self) -> float:
        """Confirmed lesions / lesions of the result; 1 if the result has none."""
        return float(self.confirmed.mean()) if self.result_vox.size else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision; 0 if both are 0."""
        total = self.recall + self.precision
        return 2 * self.recall * self.precision / total if total else 0.0

    @property
    def panoptic_quality(self) -> float:
        """Sum of IoU over matched lesions / (matched + half of all unmatched ones).

        A reference lesion and a lesion of the result match if their intersection over union
        exceeds 0.5, which leaves at most one partner to each. 0 if only one side has lesions, NaN
        if neither has any.

        Reference:
            Kirillov A et al. Panoptic segmentation. CVPR 2019. arXiv:1801.00868
        """
        n_lesions = self.reference_vox.size + self.result_vox.size
        if n_lesions == 0:
            return math.nan
        sizes_vox = self.reference_vox[self.pairs[:, 0]] + self.result_vox[self.pairs[:, 1]]
        iou = self.shared_vox / (sizes_vox - self.shared_vox)
        # matched + (unmatched in reference + unmatched in result) / 2 is half of all lesions
        return float(iou[iou > _SAME_LESION_IOU].sum() / (n_lesions / 2))

    def recall_between(self, low_vox: float, high_vox: float) -> tuple[float, int]:
        """Recall of the reference lesions of low_vox to high_vox voxels, both included.

        Args:
            low_vox: Smallest lesion in voxels.
            high_vox: Largest lesion in voxels.

        Returns:
            Recall (NaN if there is no such lesion) and the number of such lesions.
        """
        chosen = (self.reference_vox >= low_vox) & (self.reference_vox <= high_vox)
        n_lesions = int(np.count_nonzero(chosen))
        return (float(self.detected[chosen].mean()) if n_lesions else math.nan), n_lesions


def match(reference: Mask, result: Mask) -> LesionMatch:
    """Find the lesions of both masks and the voxels that they share.

    Args:
        reference: Boolean mask (slice, row, column).
        result: Mask of the same shape.
    """
    connected = np.ones((3, 3, 3), dtype=bool)
    own, n_own = ndimage.label(reference, connected)
    others, n_others = ndimage.label(result, connected)
    both = reference & result
    # One number for each pair of labels: sorting numbers is faster than sorting rows.
    numbers, shared_vox = np.unique(
        own[both].astype(np.int64) * (n_others + 1) + others[both], return_counts=True
    )
    return LesionMatch(
        reference_vox=np.bincount(own[reference], minlength=n_own + 1)[1:],
        result_vox=np.bincount(others[result], minlength=n_others + 1)[1:],
        pairs=np.column_stack(np.divmod(numbers, n_others + 1)) - 1,
        shared_vox=shared_vox,
    )


def _marked(indices: Integers, size: int) -> Mask:
    """Boolean vector of a given size, true at the indices."""
    marked = np.zeros(size, dtype=bool)
    marked[indices] = True
    return marked
