"""What the baselines learn from synthetic scans: voxels for the forest, a threshold for each.

Voxels come from synthetic scans of some of the label maps; both thresholds are those of the highest
DSC of synthetic scans of the other maps, taken together. No real scan is used. Voxels and
thresholds are kept in a file of plain arrays: nothing that was pickled is read.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evaluation.baselines import features, forest, placed_scan, threshold
from evaluation.baselines.placed_scan import PlacedScan
from wmhseg.channels.brain_maps import BrainMaps, Float, Mask
from wmhseg.errors import EmptyMaskError, RegistrationError
from wmhseg.io.progress import Progress
from wmhseg.synthesis.heads import Head
from wmhseg.synthesis.recipe import Recipe
from wmhseg.synthesis.scan import draw_scan

# Thresholds to choose from.
PROBABILITIES = np.round(np.arange(0.05, 1.0, 0.025), 3)
DEVIATIONS = np.round(np.arange(0.5, 8.01, 0.1), 1)


@dataclass(frozen=True)
class LearningSettings:
    """How the baselines learn.

    Attributes:
        seed: Of the scans, the choice of voxels and the forest.
        scans: Synthetic scans that voxels are taken from.
        held_out: Synthetic scans that thresholds are chosen on.
        held_out_maps: Label maps, the last ones, that only these are drawn from.
        wmh_voxels: Most voxels of WMH taken from a scan.
        other_voxels: Most other voxels of the brain taken from a scan.
        slices: Slices of a scan.
    """

    seed: int = 2017
    scans: int = 40
    held_out: int = 12
    held_out_maps: int = 5
    wmh_voxels: int = 1000
    other_voxels: int = 4000
    slices: int = 24


@dataclass(frozen=True)
class Learned:
    """What the baselines have learnt from synthetic scans.

    Attributes:
        voxels: (n, 22) features, and
        wmh: (n,) whether they are WMH.
        probability: Threshold on the forest's probability.
        deviations: Threshold on FLAIR, in robust standard deviations.
        scans: Scans that the voxels are of.
        held_out: Scans that the thresholds were chosen on.
        dsc: Of forest and threshold on these, all their voxels together.
    """

    voxels: Float
    wmh: Mask
    probability: float
    deviations: float
    scans: int
    held_out: int
    dsc: tuple[float, float]


def synthetic(
    heads: Sequence[Head], maps: BrainMaps, count: int, settings: LearningSettings, seed: int
) -> Iterator[tuple[PlacedScan, Mask]]:
    """Draws scans with their WMH: the only place that knows the synthesiser.

    Scans with too little brain to be placed, or whose place is in doubt, are left out.

    Raises:
        EmptyMaskError, RegistrationError: If that happens more often than not.
    """
    recipe = Recipe(slices=settings.slices)
    rng = np.random.default_rng((settings.seed, seed))
    made = failed = 0
    while made < count:
        drawing = draw_scan(rng, heads, recipe)
        try:
            placed = placed_scan.prepare(drawing.flair, drawing.t1, drawing.spacing_mm, maps)
        except (EmptyMaskError, RegistrationError):
            failed += 1
            if failed > count:
                raise
            continue
        made += 1
        yield placed, drawing.target


def learn(
    heads: Sequence[Head], maps: BrainMaps, settings: LearningSettings, progress: Progress
) -> Learned:
    """Takes voxels from synthetic scans and chooses both thresholds.

    Args:
        heads: Label maps; the last ones are held out.
        maps: Of the average brain.
        settings: How.
        progress: Called with (done, total) scans.
    """
    rng = np.random.default_rng(settings.seed)
    total = settings.scans + settings.held_out
    learning = heads[: -settings.held_out_maps]
    voxels, wmh = [], []
    for placed, target in synthetic(learning, maps, settings.scans, settings, 0):
        table, truth = features.compute(placed, maps), target[placed.brain]
        taken = np.concatenate(
            [
                _some(rng, np.flatnonzero(truth), settings.wmh_voxels),
                _some(rng, np.flatnonzero(~truth), settings.other_voxels),
            ]
        )
        voxels.append(table[taken])
        wmh.append(truth[taken])
        progress(len(voxels), total)
    table, truth = np.concatenate(voxels), np.concatenate(wmh)
    trees = forest.grow(table, truth, settings.seed)
    by_forest, by_threshold = [], []
    held = heads[-settings.held_out_maps :]
    for placed, target in synthetic(held, maps, settings.held_out, settings, 1):
        # A lesion outside the brain mask is missed at every threshold.
        chances = np.where(placed.brain, forest.scores(trees, placed, maps), -np.inf)
        volume = float(np.prod(placed.spacing_mm))
        by_forest.append(volume * overlaps(chances, target, PROBABILITIES))
        by_threshold.append(volume * overlaps(threshold.scores(placed), target, DEVIATIONS))
        progress(settings.scans + len(by_forest), total)
    probability, forest_dsc = best(by_forest, PROBABILITIES)
    deviations, threshold_dsc = best(by_threshold, DEVIATIONS)
    return Learned(
        table, truth, probability, deviations, settings.scans, settings.held_out,
        (forest_dsc, threshold_dsc),
    )  # fmt: skip


def _some(
    rng: np.random.Generator, places: npt.NDArray[np.intp], most: int
) -> npt.NDArray[np.intp]:
    return rng.permutation(places)[:most]


def overlaps(
    scored: Float, target: Mask, thresholds: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """What DSC is made of, for the voxels above each threshold.

    Returns:
        (2, thresholds): twice the voxels that are marked and WMH; those marked plus those of WMH.
    """

    def above(values: Float) -> npt.NDArray[np.int64]:
        return len(values) - np.searchsorted(np.sort(values, axis=None), thresholds, "right")

    return np.stack([2 * above(scored[target]), above(scored.ravel()) + int(target.sum())])


def best(
    scans: Sequence[npt.NDArray[np.floating]], thresholds: npt.NDArray[np.float64]
) -> tuple[float, float]:
    """The lowest threshold of the highest DSC of all scans together, and that DSC.

    Not the mean over scans: half of them hold less than a hundred voxels of WMH, and a few voxels
    more or less of these would choose.

    Args:
        scans: What ``overlaps`` gives of each, in a common unit of volume.
        thresholds: To choose from.
    """
    hits, sizes = np.sum(scans, axis=0)
    dsc = np.divide(hits, sizes, out=np.zeros(len(thresholds)), where=sizes > 0)
    place = int(np.argmax(dsc))
    return float(thresholds[place]), float(dsc[place])


def to_bytes(learned: Learned) -> bytes:
    """The arrays and numbers as an .npz file."""
    file = io.BytesIO()
    numbers = [learned.probability, learned.deviations, learned.scans, learned.held_out]
    np.savez_compressed(
        file, voxels=learned.voxels, wmh=learned.wmh, numbers=[*numbers, *learned.dsc]
    )
    return file.getvalue()


def from_file(path: Path) -> Learned | None:
    """Reads what ``to_bytes`` made; None if there is nothing of that form."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            voxels, wmh, numbers = (stored[name] for name in ("voxels", "wmh", "numbers"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if voxels.shape != (len(wmh), len(features.NAMES)) or numbers.shape != (6,):
        return None
    probability, deviations, scans, held_out, *dsc = (float(n) for n in numbers)
    return Learned(
        voxels, wmh, probability, deviations, int(scans), int(held_out), (dsc[0], dsc[1])
    )
