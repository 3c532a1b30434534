"""Patches: which voxels they are cut around, and how they are cut.

Arrays are (slice, row, column), voxels flat indices into them. A patch covers the rows from its
first one on; the voxel that it is cut around lies at row and column side / 2, unless it is shifted.

References:
    R. Guerrero et al., NeuroImage: Clinical 17 (2018) 918-934, section 2.3 (random shifts).
    M. Ghafoorian et al., Scientific Reports 7:5110 (2017), "Training, validation and test sets"
    (as many voxels without hyperintensities as with them).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.networks.location import LOCATION
from wmhseg.training.classes import STROKE
from wmhseg.training.plan import Sampling
from wmhseg.weights.inputs import Labels

Voxels = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

BRIGHT_PERCENTILE = 95.0
"""Voxels without a lesion that are brighter than this share of them are the bright ones."""


@dataclass(frozen=True)
class Pool:
    """The voxels of a scan that patches may be cut around.

    Attributes:
        wmh: Those labelled WMH.
        stroke: Those labelled stroke.
        elsewhere: Others of the head or the brain.
        bright: The brightest of these.
    """

    wmh: Voxels
    stroke: Voxels
    elsewhere: Voxels
    bright: Voxels


@dataclass(frozen=True)
class PatchCase:
    """A scan that patches are cut of; arrays may lie in files.

    Attributes:
        stacks: Port -> (slice, row, column, channel).
        target: (slice, row, column), the places of labels.
        pool: Where they are cut.
    """

    stacks: Mapping[str, Any]
    target: Any
    pool: Pool


def pool_of(target: npt.NDArray[np.uint8], labels: Labels, region: Mask, flair: Any) -> Pool:
    """Sorts the voxels of a scan.

    Args:
        target: (slice, row, column), the places of labels, see ``classes.targets``.
        labels: Of the network.
        region: Where patches without a lesion may be.
        flair: Any channel in which hyperintensities are bright.
    """
    of_stroke = labels.names.index(STROKE) if STROKE in labels.names else -1
    wmh, stroke = (target == place for place in (labels.wmh, of_stroke))
    elsewhere = region & ~wmh & ~stroke
    bright = elsewhere
    if elsewhere.any():
        bright = elsewhere & (flair >= np.percentile(flair[elsewhere], BRIGHT_PERCENTILE))
    return Pool(*(np.flatnonzero(mask) for mask in (wmh, stroke, elsewhere, bright)))


def pick(rng: np.random.Generator, pool: Pool, sampling: Sampling, count: int) -> Voxels:
    """Picks voxels of one scan, some perhaps more than once.

    A share ``elsewhere`` of them, rounded, has no lesion; all of them where the scan has none. The
    others are WMH or stroke in proportion to what they hold and to ``wmh`` and ``stroke``.

    Args:
        rng: Source of randomness.
        pool: Of the scan.
        sampling: The shares.
        count: How many.

    Returns:
        Flat indices, lesions first; fewer only if the pool lacks voxels of the kind.
    """
    weights = np.array([sampling.wmh * len(pool.wmh), sampling.stroke * len(pool.stroke)])
    lesions = count - round(sampling.elsewhere * count) if weights.sum() > 0 else 0
    stroke = 0 if lesions == 0 else int(rng.binomial(lesions, weights[1] / weights.sum()))
    others = count - lesions
    bright = int(rng.binomial(others, sampling.bright))
    wanted = (
        (pool.wmh, lesions - stroke),
        (pool.stroke, stroke),
        (pool.bright, bright),
        (pool.elsewhere, others - bright),
    )
    return np.concatenate([_some(rng, voxels, number) for voxels, number in wanted])


def _some(rng: np.random.Generator, voxels: Voxels, count: int) -> Voxels:
    if not len(voxels):
        return voxels
    chosen: Voxels = voxels[rng.integers(0, len(voxels), count)]
    return chosen


def corner(
    rng: np.random.Generator, voxel: int, shape: tuple[int, ...], sampling: Sampling
) -> tuple[int, int, int]:
    """Slice, first row and first column of the patch around a voxel, shifted at random.

    However far it is shifted, the voxel stays in the patch: with a shift of half a patch, it is at
    any row and column of it.
    """
    plane, row, column = (int(n) for n in np.unravel_index(voxel, shape[:3]))
    most = round(sampling.shift * sampling.side)
    low, high = sampling.side // 2 - most, sampling.side // 2 + max(most, 1)
    above, left = (int(n) for n in rng.integers(low, high, 2))
    return plane, row - above, column - left


def around(
    rng: np.random.Generator, stacks: Mapping[str, Any], target: Any, voxel: int, sampling: Sampling
) -> tuple[dict[str, Any], Any]:
    """What a network is shown around a voxel, and what it should say.

    Args:
        rng: Source of randomness.
        stacks: Port -> (slice, row, column, channel).
        target: (slice, row, column), places of labels.
        voxel: Flat index.
        sampling: Which patches.

    Returns:
        Port -> patch (side, side, channel), and the target of the patch, (side, side). Of "voxels"
        the location features and the target of the voxel alone, (1, 1, channel) and (1, 1).
    """
    where = corner(rng, voxel, target.shape, sampling)
    blank = sampling.kind == "voxels" or LOCATION in stacks
    if sampling.kind == "patches":
        shown = {port: cut(stack, where, sampling, blank) for port, stack in stacks.items()}
        return shown, cut(target, where, sampling, blank)
    own = np.unravel_index(voxel, target.shape)
    shown = {
        port: stack[own][None, None] if port == LOCATION else cut(stack, where, sampling, blank)
        for port, stack in stacks.items()
    }
    return shown, target[own].reshape(1, 1)


def cut(array: Any, where: tuple[int, int, int], sampling: Sampling, blank: bool) -> Any:
    """Cuts a patch out of a scan.

    Args:
        array: (slice, row, column) or (slice, row, column, channel).
        where: See ``corner``.
        sampling: Its side.
        blank: Whether beyond the borders are zeros, as around the brain; else the border's values
            go on.

    Returns:
        (side, side) or (side, side, channel).
    """
    plane, row, column = where
    rows, columns = (np.arange(first, first + sampling.side) for first in (row, column))
    inner = [
        np.clip(n, 0, size - 1) for n, size in zip((rows, columns), array.shape[1:], strict=False)
    ]
    patch = array[plane][inner[0][:, None], inner[1]]
    if blank:
        patch[rows != inner[0]] = 0
        patch[:, columns != inner[1]] = 0
    return patch
