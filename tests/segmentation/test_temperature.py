"""A temperature: numbers by hand, and laws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import Phantom
from hypothesis import given
from hypothesis import strategies as st

import wmhseg
from wmhseg.errors import UsageError
from wmhseg.measuring import of_result
from wmhseg.segmentation import temperature

P = st.floats(0, 1, width=32)
T = st.floats(0.1, 10)


def one(p: float, by: float) -> float:
    return float(temperature.of_one(np.array([p], np.float32), by)[0])


def test_by_hand() -> None:
    # The logit of 0.8 is log 4; half of it is log 2, twice of it log 16.
    assert one(0.8, 2) == pytest.approx(2 / 3)
    assert one(0.8, 0.5) == pytest.approx(16 / 17)
    # Of three labels 0.64, 0.32 and, as background, 0.04: roots 0.8, 0.566 and 0.2.
    a, b = (np.array([p], np.float32) for p in (0.64, 0.32))
    made = temperature.of_labels({"a": a, "b": b}, 2)
    total = 0.8 + 0.32**0.5 + 0.2
    assert float(made["a"][0]) == pytest.approx(0.8 / total)
    assert float(made["b"][0]) == pytest.approx(0.32**0.5 / total)


@given(P, P, T)
def test_order_ends_and_the_middle_stay(p: float, q: float, by: float) -> None:
    low, high = sorted((p, q))
    assert one(low, by) <= one(high, by)
    assert (one(0, by), one(1, by)) == (0, 1)
    assert one(0.5, by) == pytest.approx(0.5)
    if 0.01 < p < 0.99:  # nearer to 1 there are too few numbers
        assert one(1 - p, by) == pytest.approx(1 - one(p, by), abs=1e-4)


@given(P, T)
def test_one_label_is_as_a_sigmoid_and_the_way_back_exists(p: float, by: float) -> None:
    alone = temperature.of_labels({"a": np.array([p], np.float32)}, by)["a"]
    assert float(alone[0]) == pytest.approx(one(p, by), abs=1e-4)
    if 0.01 < one(p, by) < 0.99:
        assert one(one(p, by), 1 / by) == pytest.approx(p, abs=1e-4)


def test_where_nothing_was_computed_nothing_is_said() -> None:
    none = np.zeros(3, np.float32)
    assert not temperature.of_one(none, 3).any()
    assert not any(one.any() for one in temperature.of_labels({"a": none, "b": none}, 3).values())


def test_no_mask_is_changed_and_measures_know_the_threshold(
    phantom: Phantom, use_models: Path, no_doubts: None
) -> None:
    def segmented(by: float) -> wmhseg.Segmentation:
        options = wmhseg.Options(temperature=by, members=True, threshold=0.7)
        return wmhseg.segment(
            phantom.flair, spacing_mm=phantom.spacing_mm, model="bright-flair", options=options
        )

    plain, soft = segmented(1), segmented(3)
    np.testing.assert_array_equal(plain.mask, soft.mask)
    np.testing.assert_array_equal(soft.probability, temperature.of_one(plain.probability, 3))
    assert soft.members.keys() == plain.members.keys()
    for name, said in soft.members.items():
        np.testing.assert_array_equal(said, temperature.of_one(plain.members[name], 3))
    assert soft.report.to_dict()["temperature"] == 3
    assert of_result.scene(plain).threshold == 0.7
    # 7 to 3, of which the third root.
    assert of_result.scene(soft).threshold == pytest.approx(1 / (1 + (3 / 7) ** (1 / 3)))
    marks = [one.probability > of_result.scene(one).threshold for one in (plain, soft)]
    np.testing.assert_array_equal(*marks)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_temperatures_that_are_none(value: float) -> None:
    with pytest.raises(UsageError, match="temperature above 0"):
        wmhseg.Options(temperature=value)
