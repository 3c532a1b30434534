"""Rules for lesions, many at once: what each scores on a kept map.

A threshold's lesions are found once; smallest volume and peak then choose among them. The figures
are those of ``wmhseg.segmentation.postprocessing`` and ``wmhseg.scoring`` (a test compares them),
as long as networks see a scan on its own voxels: peaks are judged there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from evaluation.rules.maps import LEAST, Kept, Labels
from wmhseg.errors import UsageError
from wmhseg.measures.lesions import CONNECTIVITY
from wmhseg.scoring import masks
from wmhseg.scoring.matching import LesionMatch
from wmhseg.scoring.metrics import SIZE_LIMITS_VOX
from wmhseg.weights.processing import Postprocessing

THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)
PEAKS = (0.0, 0.8, 0.9, 0.95, 0.98, 0.99)
SMALLEST_MM3 = (0.0, 5.0, 10.0, 20.0)

# A hair below, as in ``postprocessing.without_small``.
_ENOUGH = 1 - 1e-6

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, order=True)
class Rule:
    """A threshold with rules for lesions.

    Attributes:
        threshold: See ``Postprocessing``, as the others.
        min_lesion_mm3: As above.
        lesion_peak: As above.
    """

    threshold: float
    min_lesion_mm3: float = 0.0
    lesion_peak: float = 0.0

    @property
    def plain(self) -> bool:
        """Whether it is a threshold alone."""
        return not (self.min_lesion_mm3 or self.lesion_peak)

    def __str__(self) -> str:
        """In words."""
        least = f", {self.min_lesion_mm3:g} mm3" if self.min_lesion_mm3 else ""
        peak = f", peak {self.lesion_peak:g}" if self.lesion_peak else ""
        return f"{self.threshold:g}{least}{peak}"


def of_post(post: Postprocessing) -> Rule:
    """The rule of a model's post-processing."""
    return Rule(post.threshold, post.min_lesion_mm3, post.lesion_peak)


def every(
    thresholds: Sequence[float] = THRESHOLDS,
    smallest_mm3: Sequence[float] = SMALLEST_MM3,
    peaks: Sequence[float] = PEAKS,
) -> list[Rule]:
    """All rules of a grid; a peak that is not above the threshold is none.

    Args:
        thresholds: Of the probability.
        smallest_mm3: Volumes; 0 keeps all.
        peaks: Probabilities; 0 keeps all.
    """
    return [
        Rule(threshold, smallest, peak)
        for threshold in thresholds
        for smallest in smallest_mm3
        for peak in peaks
        if not peak or peak > threshold
    ]


@dataclass(frozen=True)
class Found:
    """What a rule scores on a scan.

    Attributes:
        dsc: Dice similarity coefficient; NaN if nothing is there and nothing is marked.
        f1: Lesion F1.
        sizes: Size class -> lesions found, and lesions.
        reference_ml: Volume of the reference.
        marked_ml: Volume of the mask, what the reference leaves out included.
    """

    dsc: float
    f1: float
    sizes: Mapping[str, tuple[int, int]]
    reference_ml: float
    marked_ml: float


def found(kept: Kept, labels: Labels | None, rules: Sequence[Rule]) -> dict[Rule, Found]:
    """Scores rules on a scan.

    Args:
        kept: Its map.
        labels: The reference; None for a scan without lesions.
        rules: What to score.

    Raises:
        UsageError: If a threshold is below what was kept.
    """
    if any(rule.threshold < LEAST for rule in rules):
        raise UsageError(
            f"Thresholds of at least {LEAST} were expected",
            received=min(rule.threshold for rule in rules),
        )
    truth = np.zeros(kept.probability.shape, np.uint8) if labels is None else labels
    scores: dict[Rule, Found] = {}
    for threshold in sorted({rule.threshold for rule in rules}):
        lesions = _Lesions.at(kept, truth, threshold)
        own = [rule for rule in rules if rule.threshold == threshold]
        scores |= {rule: lesions.score(rule, kept.voxel_ml) for rule in own}
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
    def at(cls, kept: Kept, labels: Labels, threshold: float) -> _Lesions:
        """Finds them."""
        mask = kept.probability > threshold
        numbers, count = ndimage.label(mask, CONNECTIVITY)
        inside = numbers[mask]
        peaks = np.zeros(count + 1, np.float32)
        np.maximum.at(peaks, inside, kept.probability[mask])
        truth, scored = masks.binarise(labels, mask)
        pair = masks.mask_pair(truth, scored).lesions
        parts, _ = ndimage.label(scored, CONNECTIVITY)
        # As ``matching.match`` numbers them: in the order in which they are met.
        parent = np.zeros(len(pair.result_vox), np.int64)
        parent[parts[scored] - 1] = numbers[scored] - 1
        sizes = np.bincount(inside, minlength=count + 1)[1:].astype(np.int64)
        return cls(sizes, peaks[1:], pair, parent)

    def score(self, rule: Rule, voxel_ml: float) -> Found:
        """What is left by a rule of this threshold, scored."""
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
            sizes,
            reference * voxel_ml,
            float(self.sizes_vox[kept].sum()) * voxel_ml,
        )
