"""The plainest baseline: a threshold on FLAIR.

A voxel is WMH when it lies in the brain at least 4 mm, in its slice, from the brain's edge and is
brighter than the median of that region by more than k robust standard deviations (1.4826 times the
median distance from the median). k is chosen on synthetic scans.
"""

from __future__ import annotations

import numpy as np

from evaluation.baselines.atlas import Float
from evaluation.baselines.placed_scan import Subject, distance_in_plane_mm, standardised

EDGE_MM = 4.0


def scores(subject: Subject) -> Float:
    """Robust standard deviations above the median; minus infinity outside the region.

    Returns:
        (slice, row, column).
    """
    region = distance_in_plane_mm(~subject.brain, subject.spacing_mm) >= EDGE_MM
    region &= subject.brain
    if not region.any():
        return np.full(region.shape, -np.inf, np.float32)
    found: Float = np.where(region, standardised(subject.flair, region), np.float32(-np.inf))
    return found
