"""Statistics: hand-derived numbers and laws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wmhseg.errors import UsageError
from wmhseg.scoring import statistics
from wmhseg.scoring.statistics import Bootstrap

quick = settings(max_examples=60, deadline=None)
# few pairs of whole numbers: their differences tie, and scipy then tries all 2^n signs
numbers = st.lists(st.tuples(*[st.integers(-50, 50)] * 2), min_size=2, max_size=7)
FAST = Bootstrap(resamples=199)


def test_summary_by_hand() -> None:
    """1, 2, 6 and a NaN: mean 3, median 2, sd sqrt((4 + 1 + 9) / 2) = sqrt 7."""
    found = statistics.summarise([1, math.nan, 2, 6], FAST)
    assert (found.n, found.n_nan) == (3, 1)
    assert (found.mean, found.median) == (3, 2)
    assert found.sd == pytest.approx(math.sqrt(7))
    assert 1 <= found.mean_low < 3 < found.mean_high <= 6


@pytest.mark.parametrize(("values", "n_nan"), [([], 0), ([math.nan] * 2, 2)])
def test_summary_of_nothing(values: list[float], n_nan: int) -> None:
    """No case with a value: counts, and NaN for the rest."""
    found = statistics.summarise(values)
    assert (found.n, found.n_nan) == (0, n_nan)
    rest = (found.mean, found.median, found.sd, found.mean_low, found.mean_high)
    assert all(math.isnan(value) for value in rest)


def test_summary_of_one_case() -> None:
    """One case has a mean, but no spread and no interval."""
    found = statistics.summarise([0.5])
    assert (found.mean, found.median) == (0.5, 0.5)
    assert math.isnan(found.sd)
    assert math.isnan(found.mean_low)


def test_bootstrap_by_hand() -> None:
    """Resamples of 0 and 1 have means 0, 1/2 and 1 with probabilities 1/4, 1/2 and 1/4.

    So the 2.5th and 97.5th percentiles are 0 and 1, the 30th and 70th both 1/2.
    """
    assert statistics.bootstrap_interval([0, 1]) == (0, 1)
    assert statistics.bootstrap_interval([0, 1], Bootstrap(confidence=0.4)) == (0.5, 0.5)


def test_bootstrap_has_the_width_of_the_standard_error() -> None:
    """100 values with population sd 1: the interval of their mean is near -+ 1.96 x 0.1."""
    values = np.linspace(-1, 1, 100)
    values = values / values.std()
    low, high = statistics.bootstrap_interval(values)
    assert (low, high) == pytest.approx((-0.196, 0.196), abs=0.01)


def test_bootstrap_is_seeded() -> None:
    """The same seed gives the same interval, another seed another one."""
    values = np.arange(20.0) ** 2
    first = statistics.bootstrap_interval(values, Bootstrap(seed=1))
    assert statistics.bootstrap_interval(values, Bootstrap(seed=1)) == first
    assert statistics.bootstrap_interval(values, Bootstrap(seed=2)) != first


def test_bootstrap_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn at once or seven resamples at a time: the same random numbers."""
    values = np.arange(20.0) ** 2
    at_once = statistics.bootstrap_interval(values, FAST)
    monkeypatch.setattr(statistics, "_BATCH_VALUES", 140)
    assert statistics.bootstrap_interval(values, FAST) == at_once


@quick
@given(st.lists(st.integers(-50, 50), min_size=2, max_size=9), st.integers(-100, 100))
def test_bootstrap_moves_with_the_values(values: list[int], shift: int) -> None:
    """A constant added to all values is added to both ends, which stay within the values."""
    low, high = statistics.bootstrap_interval(values, FAST)
    assert min(values) <= low <= high <= max(values)
    moved = statistics.bootstrap_interval([value + shift for value in values], FAST)
    assert moved == pytest.approx((low + shift, high + shift))


@pytest.mark.parametrize(
    "values", [{"confidence": 0}, {"confidence": 1}, {"confidence": 95}, {"resamples": 0}]
)
def test_bootstrap_refuses(values: dict[str, Any]) -> None:
    """A confidence in percent is the mistake to expect."""
    with pytest.raises(UsageError, match="between 0 and 1"):
        Bootstrap(**values)


def test_wilcoxon_by_hand() -> None:
    """Five pairs, all larger: 2 of 2^5 sign patterns are as extreme. One zero is left out."""
    first = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    second = [2.0, 4.0, 6.0, 8.0, 10.0, 6.0]
    assert statistics.wilcoxon_p(first, second) == pytest.approx(2 / 32)


def test_wilcoxon_with_one_small_opposite_difference_by_hand() -> None:
    """Differences -1, 2, ..., 6: rank sum 1 below; sums 0 and 1 are 2 of 2^6, both sides 4."""
    assert statistics.wilcoxon_p([0] * 6, [-1, 2, 3, 4, 5, 6]) == pytest.approx(4 / 64)


def test_wilcoxon_without_differences() -> None:
    """Equal pairs give no evidence; no pairs give no answer."""
    assert statistics.wilcoxon_p([1, 2], [1, 2]) == 1
    assert math.isnan(statistics.wilcoxon_p([1, math.nan], [math.nan, 2]))


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([-1, 2, 3, 4, 5, 6], (20 - 1) / 21),  # ranks 1 to 6, the lowest against
        ([1, -1, 2], (4.5 - 1.5) / 6),  # ties share ranks 1 and 2
        ([0, 0, -3], -1),  # zeros are left out
        ([0, 0], 0),
        ([math.nan], math.nan),
    ],
)
def test_rank_biserial_by_hand(differences: list[float], expected: float) -> None:
    """(ranks for - ranks against) / all ranks; positive if the second is larger."""
    found = statistics.rank_biserial([0] * len(differences), differences)
    assert found == pytest.approx(expected, nan_ok=True)


def test_benjamini_hochberg_by_hand() -> None:
    """Sorted 0.01, 0.03, 0.04, 0.5 times 4/1, 4/2, 4/3, 4/4: 0.04, 0.06, 0.0533, 0.5.

    From the largest down none may exceed the next: 0.06 becomes 0.0533. NaN is no test.
    """
    found = statistics.benjamini_hochberg([0.04, 0.01, math.nan, 0.5, 0.03])
    assert found == pytest.approx([0.16 / 3, 0.04, math.nan, 0.5, 0.16 / 3], nan_ok=True)
    assert statistics.benjamini_hochberg([]).size == 0
    with pytest.raises(UsageError, match="between 0 and 1"):
        statistics.benjamini_hochberg([0.5, 1.5])


def test_compare_by_hand() -> None:
    """DSC rises by 0.01 to 0.05 in five cases, H95 stays, recall has one pair with NaN."""
    first = {"dsc": [0.5] * 5, "h95_mm": [4.0] * 5, "recall": [0.5, 0.5, math.nan, 0.5, 0.5]}
    second = {
        "dsc": [0.51, 0.52, 0.53, 0.54, 0.55],
        "h95_mm": [4.0] * 5,
        "recall": [0.4, 0.2, 0.9, 0.3, 0.1],
    }
    found = statistics.compare(first, second)
    assert list(found) == ["dsc", "h95_mm", "recall"]
    assert found["dsc"].mean_difference == pytest.approx(0.03)
    assert found["dsc"].p == pytest.approx(2 / 32)
    assert 0.01 < found["dsc"].low < 0.03 < found["dsc"].high < 0.05
    assert found["dsc"].effect == 1
    assert (found["h95_mm"].p, found["h95_mm"].effect) == (1, 0)
    assert (found["recall"].n, found["recall"].n_nan) == (4, 1)
    assert found["recall"].p == pytest.approx(2 / 16)
    assert found["recall"].effect == -1
    # Benjamini-Hochberg over 3 tests: 1/16 x 3, 1/8 x 3/2 (equal by chance), 1
    adjusted = [found[metric].p_adjusted for metric in found]
    assert adjusted == pytest.approx([3 / 16, 1, 3 / 16])


@settings(max_examples=25, deadline=None)
@given(numbers)
def test_exchange_of_the_two_sets(pairs: list[tuple[int, int]]) -> None:
    """Second against first: the difference and the effect change sign, p stays."""
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    there = statistics.compare({"x": first}, {"x": second}, FAST)["x"]
    back = statistics.compare({"x": second}, {"x": first}, FAST)["x"]
    assert there.mean_difference == pytest.approx(-back.mean_difference)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert there.effect == pytest.approx(-back.effect)
    assert there.p == pytest.approx(back.p)
    assert 0 <= there.p <= there.p_adjusted <= 1
    assert -1 <= there.effect <= 1


def test_compare_refuses() -> None:
    """Other metrics, other numbers of cases, and infinite values are errors, not guesses."""
    with pytest.raises(UsageError, match="only in one: f1, recall"):
        statistics.compare({"dsc": [1], "f1": [1]}, {"dsc": [1], "recall": [1]})
    with pytest.raises(UsageError, match="2 and 3 cases"):
        statistics.compare({"dsc": [1, 2]}, {"dsc": [1, 2, 3]})
    with pytest.raises(UsageError, match="finite"):
        statistics.compare({"dsc": [1, math.inf]}, {"dsc": [1, 2]})
    with pytest.raises(UsageError, match="One finite number"):
        statistics.summarise([[1, 2]])


def test_bland_altman_by_hand() -> None:
    """Differences 1, 0, 1, 0: mean 1/2, sd sqrt(4 x 1/4 / 3) = sqrt(1/3), limits -+ 1.96 sd."""
    found = statistics.bland_altman([1, 2, 3, 4], [2, 2, 4, 4])
    assert (found.n, found.bias_ml) == (4, 0.5)
    assert found.sd_ml == pytest.approx(math.sqrt(1 / 3))
    assert found.lower_ml == pytest.approx(0.5 - 1.96 * math.sqrt(1 / 3))
    assert found.upper_ml == pytest.approx(0.5 + 1.96 * math.sqrt(1 / 3))


@pytest.mark.parametrize(
    ("first", "second"),
    [([1], [1]), ([1, 2], [1, 2, 3]), ([[1, 2]], [[1, 2]]), ([1, np.nan], [1, 2])],
)
def test_bland_altman_refuses(first: list[Any], second: list[Any]) -> None:
    """One case, unequal lengths, tables and NaN have no limits of agreement."""
    with pytest.raises(UsageError):
        statistics.bland_altman(first, second)
