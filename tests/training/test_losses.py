"""Losses, against numbers derived by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wmhseg.training import losses


def maps(*values: float, dtype: str = "float32") -> np.ndarray:
    """Values as (slice, row, column, 1)."""
    return np.array(values, dtype).reshape(1, 1, -1, 1)


TARGET = maps(1, 1, 0, 0)


@pytest.mark.parametrize(
    ("probability", "expected"),
    [
        # 1 - (2 * overlap + 1) / (sum of target + sum of probability + 1)
        (maps(1, 1, 0, 0), 1 - 5 / 5),
        (maps(0, 0, 1, 1), 1 - 1 / 5),
        (maps(0, 0, 0, 0), 1 - 1 / 3),
        (maps(0.5, 0.5, 0.5, 0.5), 1 - 3 / 5),
        (maps(1, 0, 0, 0), 1 - 3 / 4),
        (maps(0.25, 0.75, 0.5, 0), 1 - 3 / 4.5),
    ],
)
def test_dice_by_hand(probability: np.ndarray, expected: float) -> None:
    assert float(losses.dice_loss(TARGET, probability)) == pytest.approx(expected, abs=1e-6)


def test_dice_without_lesions() -> None:
    nothing = maps(0, 0, 0, 0)
    assert float(losses.dice_loss(nothing, nothing)) == pytest.approx(0, abs=1e-7)
    assert float(losses.dice_loss(nothing, maps(0.5, 0.5, 0, 0))) == pytest.approx(1 - 1 / 2)


def test_dice_is_of_the_whole_batch() -> None:
    """Not the mean over slices, which would be (0 + 2/3) / 2."""
    target = np.concatenate([maps(1, 1), maps(1, 1)])
    probability = np.concatenate([maps(1, 1), maps(0, 0)])
    assert float(losses.dice_loss(target, probability)) == pytest.approx(1 - 5 / 7, abs=1e-6)


def test_cross_entropy_by_hand() -> None:
    expected = -(math.log(0.9) + math.log(0.5) + math.log(0.8) + math.log(1 - 1e-7)) / 4
    found = losses.cross_entropy(TARGET, maps(0.9, 0.5, 0.2, 0))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_cross_entropy_is_finite_where_the_network_is_sure_and_wrong() -> None:
    found = float(losses.cross_entropy(maps(1, 0), maps(0, 1)))
    assert found == pytest.approx(-math.log(1e-7), rel=0.02)  # float32 near 1 is coarse


def test_sum_by_hand() -> None:
    probability = maps(0.5, 0.5, 0.5, 0.5)
    expected = (1 - 3 / 5) + 2 * math.log(2)
    found = losses.dice_and_cross_entropy(TARGET, probability)
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_masks_may_be_of_any_type() -> None:
    probability = maps(0.25, 0.75, 0.5, 0)
    expected = float(losses.dice_and_cross_entropy(TARGET, probability))
    for dtype in ("uint8", "bool", "float64"):
        found = losses.dice_and_cross_entropy(TARGET.astype(dtype), probability)
        assert float(found) == pytest.approx(expected, rel=1e-6)


def test_half_precision_is_summed_in_single() -> None:
    """A sum of 40,000 halves does not fit bfloat16, nor a sum over 65504 float16."""
    from keras import ops

    half = ops.cast(np.full((2, 200, 200, 1), 0.5), "float16")
    found = losses.dice_loss(np.ones((2, 200, 200, 1)), half)
    assert float(found) == pytest.approx(1 - 80_001 / 120_001, rel=1e-5)


def masks(kind: Any) -> Any:
    return hnp.arrays(np.float32, (2, 3, 3, 1), elements=kind)


@given(masks(st.sampled_from([0.0, 1.0])), masks(st.floats(0, 1, width=32)))
@settings(max_examples=30)
def test_perfect_is_never_worse(target: np.ndarray, probability: np.ndarray) -> None:
    best = float(losses.dice_and_cross_entropy(target, target))
    assert best == pytest.approx(0, abs=1e-5)
    assert float(losses.dice_and_cross_entropy(target, probability)) >= best - 1e-5
    assert -1e-6 <= float(losses.dice_loss(target, probability)) < 1
