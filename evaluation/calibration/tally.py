"""Counts of voxels by their probability: all that reliability is computed from.

Voxels are counted by the logit of their probability, in steps of 0.01: a probability is known to
0.00125. A scan is then two short rows of numbers, whatever its size.

Reference:
    C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017, arXiv:1706.04599
    (reliability diagrams, expected calibration error with 15 bins of equal width, temperature
    scaling fitted by the log-loss).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize

BINS = 15
LEAST = 0.01
"""Voxels of at most this probability are told apart from the rest: nearly all are background."""

_STEP, _MOST = 0.01, 17.0  # logits of float32 end at 16.6
LOGITS = np.arange(-_MOST + _STEP / 2, _MOST, _STEP)
"""(level,) the middle of each level."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tally:
    """Voxels of a scan at each level of probability.

    Attributes:
        marked: (level,) those that the reference marks, and
        clear: (level,) those that it does not.
    """

    marked: Doubles
    clear: Doubles

    def above(self, least: float) -> Tally:
        """Only the levels of a higher probability."""
        kept = sigmoid(LOGITS) > least
        return Tally(np.where(kept, self.marked, 0), np.where(kept, self.clear, 0))

    @property
    def count(self) -> float:
        """All voxels."""
        return float((self.marked + self.clear).sum())


@dataclass(frozen=True)
class Bin:
    """Voxels of similar probability.

    Attributes:
        count: How many.
        said: Their mean probability.
        true: The share of them that the reference marks.
    """

    count: float
    said: float
    true: float


def sigmoid(logits: npt.ArrayLike) -> Doubles:
    """Probabilities of logits."""
    values: Doubles = 1 / (1 + np.exp(-np.asarray(logits, float)))
    return values


def of(probability: npt.NDArray[np.floating], marked: npt.NDArray[np.bool_]) -> Tally:
    """Counts voxels.

    Args:
        probability: Of any shape. Where it is exactly 0 nothing was computed: not counted.
        marked: The reference, same shape.
    """
    computed = probability > 0
    p = probability[computed].astype(float)
    with np.errstate(divide="ignore"):
        logits = np.clip(np.log(p) - np.log1p(-p), LOGITS[0], LOGITS[-1])
    level = np.floor((logits + _MOST) / _STEP).astype(int)
    true = marked[computed]
    counts = (np.bincount(level[which], minlength=len(LOGITS)) for which in (true, ~true))
    return Tally(*(one.astype(float) for one in counts))


def log_loss(tally: Tally, temperature: float = 1.0) -> float:
    """Mean of -log of the probability that is given to what is true, natural logarithm."""
    logits = LOGITS / temperature
    total = (tally.marked * np.logaddexp(0, -logits) + tally.clear * np.logaddexp(0, logits)).sum()
    return float(total) / tally.count


def reliability(tally: Tally, temperature: float = 1.0, bins: int = BINS) -> list[Bin]:
    """The reliability diagram: bins of equal width from 0 to 1, empty ones left out."""
    said = sigmoid(LOGITS / temperature)
    place = np.minimum((said * bins).astype(int), bins - 1)
    both = tally.marked + tally.clear
    counts, sums, true = (
        np.bincount(place, weights, minlength=bins) for weights in (both, both * said, tally.marked)
    )
    return [
        Bin(float(n), float(p / n), float(t / n))
        for n, p, t in zip(counts, sums, true, strict=True)
        if n
    ]


def calibration_error(tally: Tally, temperature: float = 1.0, bins: int = BINS) -> float:
    """Expected calibration error: the mean over voxels of |said - true| of their bins."""
    found = reliability(tally, temperature, bins)
    return sum(one.count * abs(one.said - one.true) for one in found) / tally.count


def together(tallies: Sequence[Tally]) -> Tally:
    """All voxels of several scans."""
    return Tally(sum(t.marked for t in tallies), sum(t.clear for t in tallies))  # type: ignore[arg-type]


def fit(tallies: Sequence[Tally]) -> float:
    """The temperature with the least log-loss, as the mean over scans of that of each.

    Args:
        tallies: One a scan.
    """

    def loss(log_temperature: float) -> float:
        temperature = float(np.exp(log_temperature))
        return float(np.mean([log_loss(one, temperature) for one in tallies]))

    found = optimize.minimize_scalar(loss, bounds=(-2.5, 2.5), method="bounded")
    return float(np.exp(found.x))
