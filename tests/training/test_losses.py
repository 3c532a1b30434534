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
from wmhseg.training.batches.counted import counted
from wmhseg.training.plan import LESION_LOSSES, Fitting
from wmhseg.weights.inputs import WMH_ALONE, Labels


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


@pytest.mark.parametrize("told", [4, 3, 2, 1])
def test_the_middle_is_looked_at_where_a_network_tells_no_more(told: int) -> None:
    """Of 4 pixels, 3 are told from the second on, 2 too, and 1 is the third."""
    target = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    first = {4: 0, 3: 1, 2: 1, 1: 2}[told]
    seen = []

    def loss(target: np.ndarray, probability: np.ndarray) -> float:
        seen.append(target)
        return float(target.sum() + probability.sum())

    shown = np.ones((1, told, 4, 1), np.float32)
    expected = target[:, first : first + told]
    assert losses.where_told(loss)(target, shown) == expected.sum() + shown.sum()
    np.testing.assert_array_equal(seen[0], expected)
    turned = losses.where_told(loss)(target.transpose(0, 2, 1, 3), shown.transpose(0, 2, 1, 3))
    assert turned == expected.sum() + shown.sum()


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


# Softmax ------------------------------------------------------------------------------------------

THREE = Labels(("background", "WMH", "stroke"), "softmax")
# Four pixels: background, background, WMH, stroke; a probability for each label.
PLACES = np.array([0, 0, 1, 2], np.float32).reshape(1, 2, 2, 1)
SAID = np.array(
    [[0.95, 0.03, 0.02], [0.5, 0.3, 0.2], [0.25, 0.5, 0.25], [0.2, 0.7, 0.1]], np.float32
).reshape(1, 2, 2, 3)
OWN = (0.95, 0.5, 0.5, 0.1)
LOST = [-math.log(p) for p in OWN]


def softmax_loss(name: Any, **numbers: Any) -> float:
    fitting = Fitting(loss=name, **numbers)
    return float(losses.loss_of(fitting, THREE)(PLACES, SAID))


def test_cross_entropies_by_hand() -> None:
    """Equations 3 to 5 of the uResNet's paper, as means over the pixels."""
    assert softmax_loss("cross-entropy") == pytest.approx(sum(LOST) / 4, rel=1e-5)
    assert softmax_loss("summed-cross-entropy") == pytest.approx(sum(LOST), rel=1e-5)
    weights = (0.5, 2.0, 3.0)
    expected = (0.5 * (LOST[0] + LOST[1]) + 2 * LOST[2] + 3 * LOST[3]) / 4
    found = softmax_loss("weighted-cross-entropy", class_weights=weights)
    assert found == pytest.approx(expected, rel=1e-5)
    for certain, kept in ((0.9, LOST[1:]), (0.4, LOST[3:]), (0.96, LOST)):
        found = softmax_loss("bootstrapped-cross-entropy", certain=certain)
        assert found == pytest.approx(sum(kept) / 4, rel=1e-5)


def test_the_sum_is_over_a_slice_and_the_mean_over_slices() -> None:
    loss = losses.loss_of(Fitting(loss="summed-cross-entropy"), THREE)
    twice = float(loss(np.concatenate([PLACES] * 2), np.concatenate([SAID] * 2)))
    assert twice == pytest.approx(sum(LOST), rel=1e-5)


def test_dices_of_labels_by_hand() -> None:
    """Equation 6 over all labels; ours, smoothed, over the lesions."""
    sums = (0.95 + 0.5 + 0.25 + 0.2, 0.03 + 0.3 + 0.5 + 0.7, 0.02 + 0.2 + 0.25 + 0.1)
    parts = [
        2 * over / (n + s) for over, n, s in zip((1.45, 0.5, 0.1), (2, 1, 1), sums, strict=True)
    ]
    assert softmax_loss("pseudo-dice") == pytest.approx(1 - sum(parts) / 3, rel=1e-5)
    smooth = [
        1 - (2 * over + 1) / (1 + s + 1) for over, s in zip((0.5, 0.1), sums[1:], strict=True)
    ]
    assert softmax_loss("dice") == pytest.approx(sum(smooth) / 2, rel=1e-5)
    both = sum(smooth) / 2 + 2 * sum(LOST) / 4
    assert softmax_loss("dice-and-cross-entropy") == pytest.approx(both, rel=1e-5)


def test_a_label_that_a_batch_lacks() -> None:
    """Finite, also where it is said nowhere."""
    sure = np.zeros((1, 2, 2, 3), np.float32)
    sure[..., 0] = 1
    nowhere = np.zeros((1, 2, 2, 1), np.float32)
    assert float(losses.pseudo_dice_loss(nowhere, sure)) == pytest.approx(2 / 3, abs=1e-6)
    assert float(losses.lesion_dice_loss(nowhere, sure, (1, 2))) == pytest.approx(0, abs=1e-6)


@given(
    hnp.arrays(np.float32, (2, 3, 3, 1), elements=st.sampled_from([0.0, 1.0])),
    hnp.arrays(np.float32, (2, 3, 3, 1), elements=st.floats(0, 1, width=32)),
)
@settings(max_examples=30)
def test_two_labels_are_what_a_sigmoid_says(target: np.ndarray, lesion: np.ndarray) -> None:
    """Background and WMH of a softmax, WMH alone of a sigmoid: one loss."""
    two = Labels(("background", "WMH"), "softmax")
    said = np.concatenate([1 - lesion, lesion], -1)
    for name in ("dice", "dice-and-cross-entropy"):
        fitting = Fitting(loss=name)
        one, other = (losses.loss_of(fitting, labels) for labels in (two, WMH_ALONE))
        # Near 1 float32 is coarse: a pixel that is sure and wrong costs one of two numbers.
        assert float(one(target, said)) == pytest.approx(float(other(target, lesion)), rel=0.05)


# Losses that count lesions ------------------------------------------------------------------------


def two_lesions(large: int = 9, small: int = 1) -> np.ndarray:
    """One slice: a row with a large lesion and a row with a small one, 3 rows of 20."""
    mask = np.zeros((3, 20), np.uint8)
    mask[0, :large] = 1
    mask[2, :small] = 1
    return counted(mask)[None]


def gradient(loss: Any, target: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """By differences, of each pixel."""
    found = np.zeros(probability.shape)
    for place in np.ndindex(probability.shape):
        sides = []
        for by in (1e-2, -1e-2):
            moved = probability.copy()
            moved[place] += by
            sides.append(float(loss(target, moved)))
        found[place] = (sides[0] - sides[1]) / 2e-2
    return found


def test_weights_of_lesions_by_hand() -> None:
    """Sizes 9 and 1: shares 9^-p and 1, scaled so that the ten pixels count 10 in all."""
    target = two_lesions()
    for power, large, small in (
        (0.0, 1.0, 1.0),
        (0.5, (1 / 3) * 10 / 4, 10 / 4),  # 9 / 3 + 1 = 4
        (1.0, (1 / 9) * 10 / 2, 10 / 2),  # 9 / 9 + 1 = 2
    ):
        weights = np.asarray(losses.lesion_weights(target[..., :1], target[..., 2:], power))
        assert weights[0, 0, 0, 0] == pytest.approx(large, rel=1e-6)
        assert weights[0, 2, 0, 0] == pytest.approx(small, rel=1e-6)
        assert (weights[0, 1] == 1).all()
        assert weights.sum() == pytest.approx(60, rel=1e-6)


def test_lesion_weighted_by_hand() -> None:
    """Everything 0.5, power 1: the overlap is 5 of weights 10, the probability 0.5 of 60."""
    target = two_lesions()
    found = float(losses.lesion_weighted_loss(target, np.full((1, 3, 20, 1), 0.5, "float32"), 1.0))
    assert found == pytest.approx(1 - 11 / (10 + 30 + 1) + 2 * math.log(2), rel=1e-5)


@pytest.mark.parametrize(("power", "ratio"), [(0.0, 1.0), (0.5, 3.0), (1.0, 9.0)])
def test_a_missed_pixel_against_a_missed_large_lesion(power: float, ratio: float) -> None:
    """The pull on a pixel of 1 pixel against one of 9: 9 to the power; 1 makes lesions alike."""

    def loss(target: np.ndarray, probability: np.ndarray) -> Any:
        return losses.lesion_weighted_loss(target, probability, power)

    missed = gradient(loss, two_lesions(), np.full((1, 3, 20, 1), 0.1, "float32"))[0, ..., 0]
    assert missed[2, 0] / missed[0, 0] == pytest.approx(ratio, rel=0.01)
    assert missed[0, 0] < 0
    assert missed[1, 0] > 0  # what is marked in the background costs


def test_blob_by_hand() -> None:
    """Lesions said in half and not at all, the background 0: each against its slice without the
    other."""
    target = two_lesions()
    probability = np.zeros((1, 3, 20, 1), "float32")
    probability[0, 0, :9] = 0.5
    least = -math.log(1e-7)
    large = 1 - (2 * 4.5 + 1) / (9 + 4.5 + 1) + 2 * 9 * math.log(2) / 59
    small = 1 - 1 / 2 + 2 * least / 51
    whole = 1 - (2 * 4.5 + 1) / (10 + 4.5 + 1) + 2 * (9 * math.log(2) + least) / 60
    expected = (2 * whole + (large + small) / 2) / 3
    assert float(losses.blob_loss(target, probability)) == pytest.approx(expected, rel=1e-4)


def test_blob_pulls_at_each_lesion_as_a_whole() -> None:
    """Where nothing else is marked, a missed pixel is a lesion missed, as much as a large one."""
    probability = np.full((1, 3, 20, 1), 1e-4, "float32")

    def of_lesions(target: np.ndarray, said: np.ndarray) -> Any:
        return 3 * losses.blob_loss(target, said) - 2 * losses.dice_and_cross_entropy(
            target[..., :1], said
        )

    target = two_lesions()
    probability[target[..., :1] > 0] = 0.1
    missed = gradient(of_lesions, target, probability)[0, ..., 0]
    # With 1 - (2 s + 1) / (n + s + 1) for the sum s of n pixels, of each pixel -2 / (n + s + 1)
    # + (2 s + 1) / (n + s + 1)^2; twice the cross-entropy -2 / 0.1 of 51 and 59 pixels; halved, as
    # two lesions are averaged. The background adds 0.005 to each sum.
    small = ((-2 * 2.1 + 1.2) / 2.1**2 - 20 / 51) / 2
    large = ((-2 * 10.9 + 2.8) / 10.9**2 - 20 / 59) / 2
    assert missed[2, 0] == pytest.approx(small, rel=0.02)
    assert missed[0, 0] == pytest.approx(large, rel=0.02)


def test_blob_slices_do_not_mix() -> None:
    """Two slices with one lesion each: the mean of both alone, and two parts of the batch."""
    masks_of = [np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)]
    masks_of[0][0, :3] = 1
    masks_of[1][2:, 2:] = 1
    target = counted(np.stack(masks_of))
    probability = np.random.default_rng(1).uniform(0.05, 0.95, (2, 4, 4, 1)).astype("float32")
    alone = [
        float(losses.dice_and_cross_entropy(target[i : i + 1, ..., :1], probability[i : i + 1]))
        for i in (0, 1)
    ]
    whole = float(losses.dice_and_cross_entropy(target[..., :1], probability))
    found = float(losses.blob_loss(target, probability))
    assert found == pytest.approx((2 * whole + sum(alone) / 2) / 3, rel=1e-5)


@given(
    hnp.arrays(np.uint8, (4, 4), elements=st.integers(0, 1)),
    hnp.arrays(np.float32, (1, 4, 4, 1), elements=st.floats(0, 1, width=32)),
    st.floats(0, 1),
)
@settings(max_examples=40)
def test_one_lesion_or_none_is_the_loss_of_pixels(
    mask: np.ndarray, probability: np.ndarray, power: float
) -> None:
    target = counted(mask)[None]
    if target[..., 1].max() > 1:  # keep one lesion of several
        target[target[..., 1] > 1] = 0
    expected = float(losses.dice_and_cross_entropy(target[..., :1], probability))
    for found in (
        losses.lesion_weighted_loss(target, probability, power),
        losses.blob_loss(target, probability),
    ):
        assert float(found) == pytest.approx(expected, rel=1e-4)
    # And the names of plans lead there.
    for name in LESION_LOSSES:
        loss = losses.loss_of(Fitting(loss=name, lesion_power=power), WMH_ALONE)
        assert float(loss(target, probability)) == pytest.approx(expected, rel=1e-4)


def test_power_0_is_the_loss_of_pixels() -> None:
    target = two_lesions(7, 2)
    probability = np.random.default_rng(0).uniform(0, 1, (1, 3, 20, 1)).astype("float32")
    found = float(losses.lesion_weighted_loss(target, probability, 0.0))
    expected = float(losses.dice_and_cross_entropy(target[..., :1], probability))
    assert found == pytest.approx(expected, rel=1e-5)
    assert float(losses.lesion_weighted_loss(target, probability, 0.5)) != pytest.approx(expected)
