"""The plainest baseline: a threshold on FLAIR.

A voxel is WMH when it lies in the brain at least 4 mm, in its slice, from the brain's edge and is
brighter than the median of that region by more than k robust standard deviations (1.4826 times the
median distance from the median). k is chosen on synthetic scans.
"""

from __future__ import annotations

import numpy as np

from evaluation.baselines.placed_scan import PlacedScan, standardised
from wmhseg.channels import location
from wmhseg.channels.brain_maps import Float

EDGE_MM = 4.0


def scores(placed: PlacedScan) -> Float:
    """Robust standard deviations above the median; minus infinity outside the region.

    Returns:
        (slice, row, column).
    """
    region = location.distance_in_plane_mm(~placed.brain, placed.spacing_mm) >= EDGE_MM
    region &= placed.brain
    if not region.any():
        return np.full(region.shape, -np.inf, np.float32)
    deviations: Float = np.where(region, standardised(placed.flair, region), np.float32(-np.inf))
    return deviations
