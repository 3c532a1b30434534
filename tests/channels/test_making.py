"""How each channel is made, against hand-derived values and laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import Phantom, make_preset
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from wmhseg.channels import location, making, network_input
from wmhseg.errors import ConstantImageError, EmptyMaskError, RegistrationError
from wmhseg.io import images
from wmhseg.records import MismatchError
from wmhseg.weights import inputs as model_inputs
from wmhseg.weights import preset as presets
from wmhseg.weights.inputs import OF_LOCATION, Input
from wmhseg.weights.processing import Preprocessing

STEPS = arrays(np.uint8, (2, 9, 11), elements=st.sampled_from([0, 7, 50, 90, 200, 255]))
WITH_CEILING = Preprocessing(field=None, orientation="LPS", ceiling=2.0)

COLOUR = (
    Input("T1", "T1", "8-bit", "zero"),
    Input("FLAIR", "FLAIR", "8-bit", "error"),
    Input("top-hat", "FLAIR", "top-hat", "error"),
)


def test_eight_bit_by_hand() -> None:
    volume = np.array([[[-3.0, 0.0, 50.0, 99.9, 100.0, 200.0, 400.0]]], np.float32)
    # 50 / 200 * 255 = 63.75; 99.9 -> 127.37; 100 -> 127.5, whose even neighbour is 128
    assert making.eight_bit(volume, 200.0).tolist() == [[[0, 0, 64, 127, 128, 255, 255]]]


def naive_top_hat(plane: np.ndarray) -> np.ndarray:
    """What is lost where connected parts above each level that are too small are taken away."""
    opened = np.zeros_like(plane)
    for level in np.unique(plane[plane > 0]):
        parts, _ = ndimage.label(plane >= level)
        sizes = np.bincount(parts.ravel())
        large = (sizes >= making.SPOT_PIXELS)[parts] & (parts > 0)
        opened[large] = level
    return plane - opened


@given(STEPS)
def test_top_hat_is_what_small_bright_parts_add(steps: np.ndarray) -> None:
    expected = np.stack([naive_top_hat(plane) for plane in steps])
    np.testing.assert_array_equal(making.top_hat(steps), expected)


@pytest.mark.parametrize(("side", "kept"), [(4, True), (5, False)])
def test_spots_of_25_pixels_are_no_spots(side: int, kept: bool) -> None:
    steps = np.full((1, 20, 20), 60, np.uint8)
    steps[0, 3 : 3 + side, 5 : 5 + side] = 200
    spots = making.top_hat(steps)
    assert set(np.unique(spots)) == ({0, 140} if kept else {0})
    if kept:
        assert spots[0, 3 : 3 + side, 5 : 5 + side].tolist() == [[140] * side] * side


def test_the_ceiling_is_the_brightest_step(phantom: Phantom) -> None:
    top = making.brightest(phantom.flair, WITH_CEILING, name="FLAIR")
    assert top in (600.0, 620.0)  # twice the head's median
    doubled = making.brightest(2 * phantom.flair, WITH_CEILING, name="FLAIR")
    assert doubled == 2 * top
    lesion = making.eight_bit(phantom.flair, top)[phantom.lesions]
    assert set(lesion.tolist()) == {255}


def test_without_a_ceiling_it_is_the_brightest_of_the_head(phantom: Phantom) -> None:
    top = making.brightest(phantom.flair, replace(WITH_CEILING, ceiling=None), name="FLAIR")
    # 70 of 40,000 voxels of the head are the lesion's: more than a thousandth of them.
    assert top == 900.0


def test_a_scan_of_nothing_is_refused() -> None:
    with pytest.raises(EmptyMaskError, match="FLAIR image brighter than 0"):
        making.brightest(np.zeros((2, 4, 4), np.float32), WITH_CEILING, name="FLAIR")


def colour(phantom: Phantom, inputs: tuple[Input, ...], with_t1: bool = True) -> np.ndarray:
    flair, t1 = (
        images.scan_from_array(array, phantom.spacing_mm, name=name)
        for array, name in ((phantom.flair, "FLAIR"), (phantom.t1, "T1"))
    )
    made = make_preset(inputs=inputs, preprocessing=WITH_CEILING)
    return network_input.prepare(flair, t1 if with_t1 else None, made).stacks["scan"]


def test_the_colour_slice(phantom: Phantom) -> None:
    stack = colour(phantom, COLOUR)
    assert stack.shape == (20, 64, 72, 3)  # 60 x 72 pixels, padded to a multiple of 8
    assert stack.min() == -127.0
    assert stack.max() == 128.0
    assert (stack[:, [0, 1, -2, -1]] == -127).all()  # air, as around the scan
    own = stack[:, 2:-2]
    assert (own[..., 1][phantom.lesions] == 128).all()
    # The lesion of 24 pixels in the slice is a spot, half of its brightness above the head's.
    spot = own[8, 20:24, 20:26, 2]
    assert (spot > -127).all()
    elsewhere = own[..., 2].copy()
    elsewhere[phantom.lesions] = -127
    # Single pixels of the checkered head are spots as well, of ten grey values.
    assert spot.min() - (-127) > 20 * (elsewhere.max() - (-127)) / 5


def test_without_t1_its_channel_is_empty(phantom: Phantom) -> None:
    stack = colour(phantom, COLOUR, with_t1=False)
    assert not stack[..., 0].any()
    np.testing.assert_array_equal(stack[..., 1:], colour(phantom, COLOUR)[..., 1:])


def test_three_slices_in_three_colours(phantom: Phantom) -> None:
    inputs = tuple(Input(f"{n}", "FLAIR", "8-bit", "error", slice=n) for n in (-1, 0, 1))
    stack = colour(phantom, inputs)
    middle = stack[..., 1]
    assert np.ptp(middle, 0).max() > 0
    np.testing.assert_array_equal(stack[1:, ..., 0], middle[:-1])
    np.testing.assert_array_equal(stack[0, ..., 0], middle[0])
    np.testing.assert_array_equal(stack[:-1, ..., 2], middle[1:])
    np.testing.assert_array_equal(stack[-1, ..., 2], middle[-1])


@given(st.floats(1e-3, 1e4))
def test_the_unit_range_does_not_know_the_scanners_gain(gain: float) -> None:
    rng = np.random.default_rng(5)
    volume = rng.gamma(4.0, 25.0, (3, 12, 12)).astype(np.float32)
    made = [
        making.unit_range(scan, making.brightest(scan, WITH_CEILING, name="FLAIR"))
        for scan in (volume, volume * np.float32(gain))
    ]
    np.testing.assert_allclose(made[1], made[0], atol=1e-5)
    assert made[0].min() >= 0
    assert made[0].max() == 1


@given(st.integers(1, 700), st.integers(1, 700))
def test_whole_slices_are_padded_by_less_than_eight(rows: int, columns: int) -> None:
    whole = make_preset(preprocessing=WITH_CEILING)
    field = presets.on_slices(whole, rows, columns).preprocessing.field
    assert field is not None
    assert [n % 8 for n in field] == [0, 0]
    assert all(0 <= n - own < 8 for n, own in zip(field, (rows, columns), strict=True))


LOCATED = (
    Input("FLAIR", "FLAIR", "unit", "error"),
    *(Input(how, "MNI", how, "error", "location") for how in OF_LOCATION),
)


def test_features_of_location_come_in_their_order_and_end_with_the_brain(
    phantom: Phantom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registration itself is tested in test_placement and test_location."""
    brain = np.zeros(phantom.flair.shape, bool)
    brain[3:15, 20:40, 20:50] = True
    asked = []

    def features(flair: np.ndarray, t1: np.ndarray | None, spacing_mm: object) -> location.Located:
        asked.append((flair.shape, t1 is None, spacing_mm))
        # From last to first: they are found by name.
        made = {how: brain * np.float32(k / 8) for k, how in enumerate(OF_LOCATION, 1)}
        return location.Located(dict(reversed(made.items())), brain, 0.9, None)  # type: ignore[arg-type]

    monkeypatch.setattr(location, "features", features)
    flair = images.scan_from_array(phantom.flair, phantom.spacing_mm, name="FLAIR")
    made = make_preset(inputs=LOCATED, preprocessing=WITH_CEILING)
    inputs = network_input.prepare(flair, None, made)
    assert asked == [(phantom.flair.shape, True, phantom.spacing_mm)]
    stack = inputs.stacks["location"][:, 2:-2]
    np.testing.assert_array_equal(stack, brain[..., None] * np.arange(1, 9, dtype=np.float32) / 8)
    assert inputs.stacks["scan"].shape[-1] == 1
    assert inputs.within is not None
    np.testing.assert_array_equal(inputs.within[:, 2:-2], brain)
    assert inputs.within.sum() == brain.sum()


def test_what_is_no_brain_is_not_located(phantom: Phantom) -> None:
    """One line that offers a model without location; other models take the scan."""
    flair = images.scan_from_array(phantom.flair, phantom.spacing_mm, name="FLAIR")
    made = make_preset(inputs=LOCATED, preprocessing=WITH_CEILING)
    with pytest.raises(RegistrationError, match="--model mixed-tuned"):
        network_input.prepare(flair, None, made)
    alone = network_input.prepare(flair, None, replace(made, inputs=LOCATED[:1]))
    assert alone.within is None


def test_brain_scores_are_of_the_brain_alone() -> None:
    """By hand: of -2 to 2 the median is 0 and the median distance from it 1."""
    volume = np.full((1, 2, 6), 1000, np.float32)  # skull and fat
    volume[0, 0, :5] = [98, 99, 100, 101, 102]
    brain = volume < 1000
    score = making.brain_score(volume, brain, name="FLAIR")
    np.testing.assert_allclose(score[0, 0, :5], np.array([-2, -1, 0, 1, 2]) / 1.4826, rtol=1e-6)
    assert not score[~brain].any()
    volume[0, 0, 4] = 1e6  # one voxel moves neither the median nor the deviation
    assert making.brain_score(volume, brain, name="FLAIR")[0, 0, 4] == 12


@given(st.floats(0.01, 100), st.floats(-50, 50))
def test_brain_scores_forget_gain_and_offset(gain: float, offset: float) -> None:
    rng = np.random.default_rng(1)
    volume = rng.normal(10, 2, (2, 8, 9)).astype(np.float32)
    brain = rng.random(volume.shape) > 0.3
    first = making.brain_score(volume, brain, name="T1")
    second = making.brain_score((volume * gain + offset).astype(np.float32), brain, name="T1")
    np.testing.assert_allclose(first, second, atol=2e-2 if abs(offset) > gain else 1e-3)


def test_a_brain_of_one_intensity_has_no_scores() -> None:
    volume, brain = np.full((1, 3, 3), 5, np.float32), np.ones((1, 3, 3), bool)
    with pytest.raises(ConstantImageError, match="5 in all"):
        making.brain_score(volume, brain, name="FLAIR")
    volume[0, 0, 0] = 14  # coarse steps: the median distance is 0, the standard deviation sqrt(8)
    score = making.brain_score(volume, brain, name="FLAIR")
    assert score[0, 0, 0] == pytest.approx(9 / np.sqrt(8))
    assert not score[0, 1:].any()


def test_brain_scores_need_to_know_where_the_brain_is() -> None:
    alone = (Input("FLAIR", "FLAIR", "brain-score", "error"),)
    with pytest.raises(MismatchError, match="MNI"):
        model_inputs.check_inputs(alone)
    model_inputs.check_inputs((*alone, Input("x", "MNI", "x", "error", "location")))
