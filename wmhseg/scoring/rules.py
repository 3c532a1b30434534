"""Rules for lesions, many at once: what each leaves of a probability map, and how that scores.

A threshold's lesions are found once; smallest volume and peak then choose among them. The figures
are those of the masks that post-processing makes (tests compare them), as long as networks see a
scan on its own voxels: peaks are judged there. Arrays are (slice, row, column).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg.measures.lesions import CONNECTIVITY
from wmhseg.scoring import masks
from wmhseg.scoring.matching import LesionMatch
from wmhseg.scoring.metrics import SIZE_LIMITS_VOX
from wmhseg.weights.processing import Postprocessing

# A hair below, as in ``postprocessing.without_small``.
_ENOUGH = 1 - 1e-6

Float = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True, order=True)
class Rules:
    """A threshold with rules for lesions.

    Attributes:
        threshold: See ``Postprocessing``, as the others.
        min_lesion_mm3: As above.
        lesion_peak: As above.
    """

    threshold: float
    min_lesion_mm3: float = 0.0
    lesion_peak: float = 0.0

    @classmethod
    def of(cls, post: Postprocessing) -> Rules:
        """Those of a model."""
        return cls(post.threshold, post.min_lesion_mm3, post.lesion_peak)

    @property
    def plain(self) -> bool:
        """Whether it is a threshold alone."""
        return not (self.min_lesion_mm3 or self.lesion_peak)

    def put_into(self, post: Postprocessing) -> Postprocessing:
        """A model's post-processing with these rules."""
        return replace(
            post,
            threshold=self.threshold,
            min_lesion_mm3=self.min_lesion_mm3,
            lesion_peak=self.lesion_peak,
        )

    def __str__(self) -> str:
        """In words."""
        least = f", {self.min_lesion_mm3:g} mm3" if self.min_lesion_mm3 else ""
        peak = f", peak {self.lesion_peak:g}" if self.lesion_peak else ""
        return f"{self.threshold:g}{least}{peak}"


@dataclass(frozen=True)
class Found:
    """What rules score on a scan.

    Attributes:
        dsc: Dice similarity coefficient; NaN if nothing is there and nothing is marked.
        f1: Lesion F1.
        recall: Of lesions.
        sizes: Size class -> lesions found, and lesions.
        reference_ml: Volume of the reference.
        result_ml: Volume of what is scored of the mask.
        marked_ml: Volume of the mask, what the reference leaves out included.
    """

    dsc: float
    f1: float
    recall: float
    sizes: Mapping[str, tuple[int, int]]
    reference_ml: float
    result_ml: float
    marked_ml: float


def found(
    probability: Float, labels: Labels, rules: Sequence[Rules], voxel_ml: float
) -> dict[Rules, Found]:
    """Scores rules on a scan.

    Args:
        probability: Of WMH.
        labels: The reference, same shape: 1 is WMH, 2 counts for nothing.
        rules: What to score.
        voxel_ml: Volume of a voxel.
    """
    scores: dict[Rules, Found] = {}
    for threshold in sorted({one.threshold for one in rules}):
        lesions = _Lesions.at(probability, labels, threshold)
        own = [one for one in rules if one.threshold == threshold]
        scores |= {one: lesions.score(one, voxel_ml) for one in own}
    return scores


@dataclass(frozen=True, eq=False)
class _Lesions:
    """The lesions that a threshold marks, and what of them is scored.

    A reference may leave voxels out, so that one lesion has several scored parts, or none.

    Attributes:
        sizes_vox: Of each marked lesion.
        peaks: Highest probability in each.
        match: Reference lesions against scored parts.
        parent: Scored part -> its marked lesion.
    """

    sizes_vox: Integers
    peaks: npt.NDArray[np.float32]
    match: LesionMatch
    parent: Integers

    @classmethod
    def at(cls, probability: Float, labels: Labels, threshold: float) -> _Lesions:
        """Finds them."""
        mask = probability > threshold
        numbers, count = ndimage.label(mask, CONNECTIVITY)
        inside = numbers[mask]
        peaks = np.zeros(count + 1, np.float32)
        np.maximum.at(peaks, inside, probability[mask])
        truth, scored = masks.binarise(labels, mask)
        pair = masks.mask_pair(truth, scored).lesions
        parts, _ = ndimage.label(scored, CONNECTIVITY)
        # As ``matching.match`` numbers them: in the order in which they are met.
        parent = np.zeros(len(pair.result_vox), np.int64)
        parent[parts[scored] - 1] = numbers[scored] - 1
        sizes = np.bincount(inside, minlength=count + 1)[1:].astype(np.int64)
        return cls(sizes, peaks[1:], pair, parent)

    def score(self, rule: Rules, voxel_ml: float) -> Found:
        """What is left by rules of this threshold, scored."""
        large = self.sizes_vox * voxel_ml >= rule.min_lesion_mm3 / 1000 * _ENOUGH
        kept = large & ((self.peaks > rule.lesion_peak) | (rule.lesion_peak == 0))
        parts = kept[self.parent]
        chosen = parts[self.match.pairs[:, 1]]
        places = np.cumsum(parts) - 1
        pairs = self.match.pairs[chosen].copy()
        pairs[:, 1] = places[pairs[:, 1]]
        left = LesionMatch(
            self.match.reference_vox,
            self.match.result_vox[parts],
            pairs,
            self.match.shared_vox[chosen],
        )
        reference, result = int(left.reference_vox.sum()), int(left.result_vox.sum())
        both = int(left.shared_vox.sum())
        sizes = {}
        for name, limits in SIZE_LIMITS_VOX.items():
            recall, lesions = left.recall_between(*limits)
            sizes[name] = (round(recall * lesions) if lesions else 0, lesions)
        return Found(
            2 * both / (reference + result) if reference + result else float("nan"),
            left.f1,
            left.recall,
            sizes,
            reference * voxel_ml,
            result * voxel_ml,
            float(self.sizes_vox[kept].sum()) * voxel_ml,
        )
