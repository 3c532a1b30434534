"""Patches of scans with their regions, as features: taken once a scan and kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluation.realism import features
from evaluation.realism.features import SIDE, Float
from evaluation.realism.views import REGIONS, View

# A patch may hold so much of what is exactly 0 (beyond a brain extraction), and of lesions.
_MOST_EMPTY, _MOST_LESION = 0.5, 0.02


@dataclass(frozen=True)
class Patches:
    """Features of the patches of one scan.

    Attributes:
        features: (patch, feature), see ``features.columns``.
        region: (patch,) number in REGIONS, from 1.
    """

    features: Float
    region: npt.NDArray[np.uint8]


def take(view: View, each: int, rng: np.random.Generator) -> Patches:
    """Takes patches about voxels of each region.

    Args:
        view: The scan.
        each: Most patches of a region.
        rng: Source of randomness.
    """
    half = SIDE // 2
    inner = np.zeros(view.region.shape, np.uint8)
    inner[:, half:-half, half:-half] = view.region[:, half:-half, half:-half]
    both = np.stack([view.flair, view.t1], -1)
    cut, regions = [], []
    for number in range(1, len(REGIONS) + 1):
        places = np.argwhere(inner == number)
        taken = 0
        for z, y, x in places[rng.permutation(len(places))[: 4 * each]]:
            where = np.s_[z, y - half : y + half, x - half : x + half]
            patch = both[where]
            lesion = (view.lesions[where]).mean()
            if (patch[..., 0] == 0).mean() > _MOST_EMPTY or lesion > _MOST_LESION:
                continue
            cut.append(patch)
            regions.append(number)
            taken += 1
            if taken == each:
                break
    patches = np.stack(cut) if cut else np.zeros((0, SIDE, SIDE, 2), np.float32)
    table = features.compute(patches) if cut else np.zeros((0, len(features.columns())), np.float32)
    return Patches(table, np.array(regions, np.uint8))
