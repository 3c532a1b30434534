"""Which threshold, smallest lesion and least peak suit scans whose masks are known.

Arrays are (slice, row, column), on a scan's own voxels.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.io import files
from wmhseg.scoring import masks, metrics
from wmhseg.scoring import rules as scoring_rules
from wmhseg.scoring.rules import Rules
from wmhseg.segmentation import postprocessing
from wmhseg.training.plan import LEAST_TRIED, Refinement
from wmhseg.weights.processing import Postprocessing

Float = npt.NDArray[np.float32]

LEAST_OF_A_PART = 0.002
"""Lower ones of a map that others will be added to are not kept."""


@dataclass(frozen=True)
class Kept:
    """The part of a probability map that rules look at.

    Attributes:
        shape: Slices, rows and columns.
        places: (n,) in the flat map, rising.
        values: (n,) probabilities there; all others count as 0.
    """

    shape: tuple[int, int, int]
    places: npt.NDArray[np.int64]
    values: Float

    @classmethod
    def of(cls, probability: Float, least: float = LEAST_TRIED) -> Kept:
        """Keeps what is above ``least``."""
        places = np.flatnonzero(probability > least)
        slices, rows, columns = probability.shape
        return cls((slices, rows, columns), places, probability.ravel()[places])

    @property
    def probability(self) -> Float:
        """The map."""
        made = np.zeros(math.prod(self.shape), np.float32)
        made[self.places] = self.values
        return made.reshape(self.shape)

    def write(self, path: Path) -> None:
        """Writes it; a file is complete or not there."""
        shape, places, values = np.array(self.shape), self.places, self.values
        files.write_atomically(
            path,
            lambda file: np.savez_compressed(file, shape=shape, places=places, values=values),
        )

    @classmethod
    def read(cls, path: Path) -> Kept:
        """Reads what ``write`` wrote."""
        with np.load(path, allow_pickle=False) as held:
            slices, rows, columns = (int(n) for n in held["shape"])
            return cls((slices, rows, columns), held["places"], held["values"])


@dataclass(frozen=True)
class Choice:
    """After how many steps a network is taken, and what is made of its probabilities."""

    step: int
    rules: Rules


def tried(how: Refinement, own: Postprocessing) -> list[Rules]:
    """All rules to choose from, the model's own first.

    A peak at or below the threshold asks for nothing, so it stands once, as 0.

    Args:
        how: Values of each.
        own: The model's, each of whose values is tried as well.
    """
    first = Rules.of(own)
    thresholds = sorted({*how.thresholds, own.threshold})
    sizes = sorted({*how.min_lesions_mm3, own.min_lesion_mm3})
    peaks = sorted({*how.lesion_peaks, own.lesion_peak})
    every = {
        Rules(threshold, size, peak if peak > threshold else 0.0)
        for threshold, size, peak in itertools.product(thresholds, sizes, peaks)
    }
    order = sorted(every, key=lambda r: (r.threshold, r.min_lesion_mm3, r.lesion_peak))
    return [first, *(rules for rules in order if rules != first)]


@dataclass(frozen=True)
class Score:
    """How well a mask agrees with its reference.

    Attributes:
        dsc: NaN if both are empty.
        f1: Of lesions.
        recall: Of lesions.
        reference_ml: Volume of the reference.
        result_ml: Volume of the result.
    """

    dsc: float
    f1: float
    recall: float
    reference_ml: float
    result_ml: float

    @property
    def mean(self) -> float:
        """Of DSC and F1, what rules are chosen by; DSC of two empty masks counts as 1."""
        return ((1.0 if math.isnan(self.dsc) else self.dsc) + self.f1) / 2


def scored(labels: npt.NDArray[Any], mask: npt.NDArray[np.uint8], voxel_ml: float) -> Score:
    """Scores a mask as ``wmhseg evaluate`` does.

    Args:
        labels: The reference: 1 is WMH, 2 counts for nothing.
        mask: Same shape, 0 or 1.
        voxel_ml: Volume of a voxel.
    """
    truth, result = masks.binarise(labels, mask)
    match = metrics.match_lesions(truth, result)
    volumes = (float(np.count_nonzero(one)) * voxel_ml for one in (truth, result))
    return Score(metrics.dsc(truth, result), match.f1, match.recall, *volumes)


def box(*masks_of: npt.NDArray[np.bool_]) -> tuple[slice, ...]:
    """The smallest box that holds all masks; one voxel if they are empty."""
    spans = []
    for axis in range(3):
        away = tuple({0, 1, 2} - {axis})
        held = np.flatnonzero(np.logical_or.reduce([mask.any(away) for mask in masks_of]))
        spans.append(slice(int(held[0]), int(held[-1]) + 1) if held.size else slice(0, 1))
    return tuple(spans)


def scores(
    labels: npt.NDArray[Any], kept: Kept, rules: Sequence[Rules], voxel_ml: float
) -> list[Score]:
    """Scores what each of some rules leaves of a map.

    Peaks are those of the map given. Where a model works on pixels of a size of its own, those that
    it judges lie between these and are a hair higher.

    Args:
        labels: The reference, as of ``scored``.
        kept: The map.
        rules: To score.
        voxel_ml: Volume of a voxel.
    """
    probability = kept.probability
    inside = box(probability > LEAST_TRIED, labels > 0)
    labels, probability = labels[inside], probability[inside]
    found = scoring_rules.found(probability, labels.astype(np.uint8), rules, voxel_ml)
    figures = (found[one] for one in rules)
    return [Score(f.dsc, f.f1, f.recall, f.reference_ml, f.result_ml) for f in figures]


Table = Mapping[str, Sequence[Sequence[float]]]
"""Patient -> look -> a number of each of the rules, as high as they suit."""


def best(table: Table, patients: Sequence[str], gain: float = 0.0) -> tuple[int, int]:
    """The look and the rules with the highest mean over some patients; of equal ones the first.

    Args:
        table: The first rules are the model's own.
        patients: Who counts.
        gain: Other rules than the first are taken only if the mean is higher by as much.
    """
    mean = np.mean([np.asarray(table[patient], float) for patient in patients], 0).round(6)
    look, number = np.unravel_index(int(np.argmax(mean)), mean.shape)
    own = int(np.argmax(mean[:, 0]))
    if mean[look, number] - mean[own, 0] < gain:
        return own, 0
    return int(look), int(number)


def cut(kept: Kept, rules: Rules, voxel_ml: float) -> npt.NDArray[np.uint8]:
    """The mask that rules make of a map, (slice, row, column) uint8."""
    post = rules.put_into(Postprocessing(end_slices=0.0))
    sure = postprocessing.without_doubtful(kept.probability, post)
    return postprocessing.without_small(postprocessing.to_mask(sure, post), voxel_ml, post)
