"""The rules that are tried, and what each scores on a kept map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evaluation.rules.maps import LEAST, Kept, Labels
from wmhseg.errors import UsageError
from wmhseg.scoring import rules as scoring_rules
from wmhseg.scoring.rules import Found, Rules

THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)
PEAKS = (0.0, 0.8, 0.9, 0.95, 0.98, 0.99)
SMALLEST_MM3 = (0.0, 5.0, 10.0, 20.0)


def every(
    thresholds: Sequence[float] = THRESHOLDS,
    smallest_mm3: Sequence[float] = SMALLEST_MM3,
    peaks: Sequence[float] = PEAKS,
) -> list[Rules]:
    """All rules of a grid; a peak that is not above the threshold is none.

    Args:
        thresholds: Of the probability.
        smallest_mm3: Volumes; 0 keeps all.
        peaks: Probabilities; 0 keeps all.
    """
    return [
        Rules(threshold, smallest, peak)
        for threshold in thresholds
        for smallest in smallest_mm3
        for peak in peaks
        if not peak or peak > threshold
    ]


def found(kept: Kept, labels: Labels | None, rules: Sequence[Rules]) -> dict[Rules, Found]:
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
    return scoring_rules.found(kept.probability, truth, rules, kept.voxel_ml)
