"""Statistics over cases: summaries with intervals, and the comparison of two sets of results.

NaN stands for an undefined metric; it is left out and counted. Differences are second minus
first. Whatever draws random numbers takes a seed and gives the same answer twice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from wmhseg.errors import UsageError

Floats = npt.NDArray[np.float64]

_BATCH_VALUES = 1_000_000  # drawn at once by the bootstrap
_LIMITS_OF_AGREEMENT_SD = 1.96


@dataclass(frozen=True)
class Bootstrap:
    """How bootstrap intervals are drawn.

    Attributes:
        confidence: Of the interval, between 0 and 1.
        resamples: Number of resamples.
        seed: Of the random numbers.
    """

    confidence: float = 0.95
    resamples: int = 9999
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: The confidence is not between 0 and 1, or there are no resamples.
        """
        if not 0 < self.confidence < 1 or self.resamples < 1:
            raise UsageError(
                "A bootstrap needs a confidence between 0 and 1 and at least one resample",
                received=f"confidence {self.confidence}, {self.resamples} resamples",
            )


@dataclass(frozen=True)
class Summary:
    """One metric over the cases of a study.

    Attributes:
        n: Cases with a value.
        n_nan: Cases where the metric is NaN; all other fields leave them out.
        mean: Mean (NaN without cases).
        median: Median (NaN without cases).
        sd: Standard deviation, n - 1 (NaN with fewer than two cases).
        mean_low: Lower end of the bootstrap interval of the mean.
        mean_high: Upper end of it.
    """

    n: int
    n_nan: int
    mean: float
    median: float
    sd: float
    mean_low: float
    mean_high: float


@dataclass(frozen=True)
class Comparison:
    """One metric of two sets of results on the same cases.

    Attributes:
        n: Pairs with both values.
        n_nan: Pairs left out because a value is NaN.
        mean_difference: Mean of second minus first.
        low: Lower end of its paired bootstrap interval.
        high: Upper end of it.
        p: Two-sided p of the Wilcoxon signed rank test.
        p_adjusted: The same after Benjamini and Hochberg over all metrics compared.
        effect: Matched rank-biserial correlation, -1 to 1; positive if the second is larger.
    """

    n: int
    n_nan: int
    mean_difference: float
    low: float
    high: float
    p: float
    p_adjusted: float
    effect: float


def bootstrap_interval(
    values: npt.ArrayLike, bootstrap: Bootstrap | None = None
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean; on paired differences, the paired interval.

    Args:
        values: One number for each case, shape (cases,). NaN is left out.
        bootstrap: Confidence, number of resamples and seed.

    Returns:
        Lower and upper end; NaN with fewer than two cases.

    Raises:
        UsageError: The values are not a vector, or one is infinite.

    Reference:
        Efron B, Tibshirani RJ. An Introduction to the Bootstrap. Chapman & Hall, 1993, ch. 13.
    """
    bootstrap = bootstrap or Bootstrap()
    sample = _present(_vector(values))
    if sample.size < 2:
        return math.nan, math.nan
    rng = np.random.default_rng(bootstrap.seed)
    batch = max(1, _BATCH_VALUES // sample.size)
    means = np.empty(bootstrap.resamples)
    for start in range(0, means.size, batch):
        part = means[start : start + batch]
        part[:] = sample[rng.integers(sample.size, size=(part.size, sample.size))].mean(axis=1)
    tail = (1 - bootstrap.confidence) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return float(low), float(high)


def summarise(values: npt.ArrayLike, bootstrap: Bootstrap | None = None) -> Summary:
    """Summarise one metric over all cases.

    Args:
        values: One number for each case, shape (cases,); NaN where the metric is undefined.
        bootstrap: Confidence, number of resamples and seed.

    Returns:
        Counts, mean, median, standard deviation and interval of the mean.

    Raises:
        UsageError: The values are not a vector, or one is infinite.
    """
    everything = _vector(values)
    sample = _present(everything)
    low, high = bootstrap_interval(sample, bootstrap)
    return Summary(
        n=sample.size,
        n_nan=everything.size - sample.size,
        mean=float(sample.mean()) if sample.size else math.nan,
        median=float(np.median(sample)) if sample.size else math.nan,
        sd=float(sample.std(ddof=1)) if sample.size > 1 else math.nan,
        mean_low=low,
        mean_high=high,
    )


def wilcoxon_p(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Two-sided p of the Wilcoxon signed rank test, pairs without difference left out.

    Args:
        first: One number for each case, shape (cases,).
        second: The same cases in the same order.

    Returns:
        p; 1 if no pair differs, NaN if there is no pair without NaN.

    Raises:
        UsageError: The vectors differ in length, or hold infinite values.
    """
    differences = _present(_differences(first, second))
    if differences.size == 0:
        return math.nan
    if not differences.any():
        return 1.0
    return float(stats.wilcoxon(differences[differences != 0]).pvalue)


def rank_biserial(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Matched rank-biserial correlation, the effect size of the Wilcoxon signed rank test.

    The absolute differences are ranked, those of 0 left out; the result is (ranks where the second
    is larger - ranks where the first is) / all ranks.

    Args:
        first: One number for each case, shape (cases,).
        second: The same cases in the same order.

    Returns:
        -1 (first always larger) to 1; 0 if no pair differs, NaN if there is no pair without NaN.

    Raises:
        UsageError: The vectors differ in length, or hold infinite values.

    Reference:
        Kerby DS. The simple difference formula. Comprehensive Psychology 3, 2014.
        doi:10.2466/11.IT.3.1
    """
    differences = _present(_differences(first, second))
    if differences.size == 0:
        return math.nan
    differences = differences[differences != 0]
    if differences.size == 0:
        return 0.0
    ranks = stats.rankdata(np.abs(differences))
    return float((np.sign(differences) * ranks).sum() / ranks.sum())


def benjamini_hochberg(p_values: npt.ArrayLike) -> Floats:
    """Adjust p values for the false discovery rate.

    Args:
        p_values: Shape (tests,). NaN stays NaN and is not counted as a test.

    Returns:
        Adjusted p values in the same order, shape (tests,).

    Raises:
        UsageError: The values are not a vector, or not between 0 and 1.

    Reference:
        Benjamini Y, Hochberg Y. Controlling the false discovery rate: a practical and powerful
        approach to multiple testing. Journal of the Royal Statistical Society B 57(1), 1995.
        doi:10.1111/j.2517-6161.1995.tb02031.x
    """
    adjusted = _vector(p_values).copy()
    tested = ~np.isnan(adjusted)
    if (adjusted[tested] < 0).any() or (adjusted[tested] > 1).any():
        raise UsageError("p values lie between 0 and 1", received=adjusted.tolist())
    if tested.any():
        adjusted[tested] = stats.false_discovery_control(adjusted[tested], method="bh")
    return adjusted


def compare(
    first: Mapping[str, npt.ArrayLike],
    second: Mapping[str, npt.ArrayLike],
    bootstrap: Bootstrap | None = None,
) -> dict[str, Comparison]:
    """Compare two sets of results, metric by metric, on the same cases.

    Args:
        first: For each metric one number for each case, shape (cases,).
        second: The same metrics; cases in the same order.
        bootstrap: Confidence, number of resamples and seed.

    Returns:
        A comparison for each metric, in the order of the first set. The p values are adjusted
        over all of them, so pass exactly the metrics that are tested.

    Raises:
        UsageError: The sets differ in metrics or in the number of cases, or hold infinite values.
    """
    if set(first) != set(second):
        raise UsageError(
            "Two sets of results must hold the same metrics",
            received=f"only in one: {', '.join(sorted(set(first) ^ set(second)))}",
        )
    p_values = [wilcoxon_p(first[metric], second[metric]) for metric in first]
    comparisons = {}
    for metric, p, p_adjusted in zip(first, p_values, benjamini_hochberg(p_values), strict=True):
        pairs = _differences(first[metric], second[metric])
        differences = _present(pairs)
        low, high = bootstrap_interval(differences, bootstrap)
        comparisons[metric] = Comparison(
            n=differences.size,
            n_nan=pairs.size - differences.size,
            mean_difference=float(differences.mean()) if differences.size else math.nan,
            low=low,
            high=high,
            p=p,
            p_adjusted=float(p_adjusted),
            effect=rank_biserial(first[metric], second[metric]),
        )
    return comparisons


@dataclass(frozen=True)
class BlandAltman:
    """Agreement of two ways to measure a volume.

    Attributes:
        n: Number of cases.
        bias_ml: Mean of result minus reference.
        sd_ml: Standard deviation of those differences (n - 1).
        lower_ml: Lower limit of agreement, bias - 1.96 sd.
        upper_ml: Upper limit of agreement, bias + 1.96 sd.
    """

    n: int
    bias_ml: float
    sd_ml: float
    lower_ml: float
    upper_ml: float


def bland_altman(reference_ml: npt.ArrayLike, result_ml: npt.ArrayLike) -> BlandAltman:
    """Bias and limits of agreement of two volume vectors.

    Args:
        reference_ml: Reference volumes, shape (cases,).
        result_ml: Volumes of the results, same order and shape.

    Returns:
        Bias (positive: the results are larger) and its limits of agreement.

    Raises:
        UsageError: The vectors differ in length, have fewer than two cases, or hold NaN.

    Reference:
        Bland JM, Altman DG. Statistical methods for assessing agreement between two methods of
        clinical measurement. Lancet 327(8476), 1986. doi:10.1016/S0140-6736(86)90837-8
    """
    first, second = np.asarray(reference_ml, float), np.asarray(result_ml, float)
    if first.ndim != 1 or first.shape != second.shape or first.size < 2:
        raise UsageError(
            "Bland-Altman figures need two volume vectors of one length, two cases or more",
            received=f"shapes {first.shape} and {second.shape}",
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise UsageError("Volumes must be finite numbers", advice="Leave such cases out.")
    difference_ml = second - first
    bias, sd = float(difference_ml.mean()), float(difference_ml.std(ddof=1))
    spread = _LIMITS_OF_AGREEMENT_SD * sd
    return BlandAltman(first.size, bias, sd, bias - spread, bias + spread)


def _vector(values: npt.ArrayLike) -> Floats:
    """Return the values as a vector without infinite numbers, or raise UsageError."""
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or np.isinf(vector).any():
        raise UsageError(
            "One finite number (or NaN) for each case is needed", received=vector.tolist()
        )
    return vector


def _present(values: Floats) -> Floats:
    """Return the values that are not NaN."""
    return values[~np.isnan(values)]


def _differences(first: npt.ArrayLike, second: npt.ArrayLike) -> Floats:
    """Second minus first, NaN where either is NaN."""
    minuend, subtrahend = _vector(second), _vector(first)
    if minuend.shape != subtrahend.shape:
        raise UsageError(
            "Paired values must be of one length",
            received=f"{subtrahend.size} and {minuend.size} cases",
        )
    return minuend - subtrahend
