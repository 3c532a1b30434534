"""The conventional baseline: a random forest on the 22 hand-made features of ``features``.

Fifty trees. They are grown anew in every run from the voxels that ``learning`` keeps: the same
voxels give the same forest.

M. Ghafoorian et al., Scientific Reports 7:5110 (2017).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from evaluation.baselines import features
from evaluation.baselines.placed_scan import PlacedScan
from wmhseg.channels.brain_maps import BrainMaps, Float, Mask

TREES = 50
LEAF_VOXELS = 10


def grow(voxels: Float, wmh: Mask, seed: int) -> Any:
    """Grows the forest; the same voxels and seed give the same one."""
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(
        TREES, min_samples_leaf=LEAF_VOXELS, random_state=seed, n_jobs=2
    )
    # Trees are added up in their own order only if one thread does it.
    return forest.fit(voxels, wmh).set_params(n_jobs=1)


def scores(forest: Any, placed: PlacedScan, maps: BrainMaps) -> Float:
    """Probability of WMH, (slice, row, column); 0 outside the brain."""
    probability = np.zeros(placed.brain.shape, np.float32)
    probability[placed.brain] = forest.predict_proba(features.compute(placed, maps))[:, 1]
    return probability
