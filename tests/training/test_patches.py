"""Patches: around which voxels, in what shares, shifted how far, and what they hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wmhseg.training.batches import patches
from wmhseg.training.batches.patches import Pool
from wmhseg.training.plan import Sampling
from wmhseg.weights.inputs import Labels

THREE = Labels(("background", "WMH", "stroke"), "softmax")
TWO = Labels(("background", "WMH"), "softmax")
SAMPLING = Sampling("patches", 16, wmh=0.2, stroke=0.8, shift=0.5)


def pool(wmh: int, stroke: int, elsewhere: int = 100) -> Pool:
    """Voxels numbered from 0 (WMH), 1000 (stroke) and 2000 (others; the last five are bright)."""
    others = np.arange(2000, 2000 + elsewhere)
    return Pool(np.arange(wmh), np.arange(1000, 1000 + stroke), others, others[-5:])


def test_voxels_are_sorted_by_label() -> None:
    target = np.zeros((2, 4, 5), np.uint8)
    target[0, 1, 1:3], target[1, 2, 2] = 1, 2
    region = np.zeros_like(target, bool)
    region[:, 1:3] = True
    flair = np.arange(40.0).reshape(2, 4, 5)
    found = patches.pool_of(target, THREE, region, flair)
    assert found.wmh.tolist() == [6, 7]
    assert found.stroke.tolist() == [32]
    elsewhere = [5, 8, 9, *range(10, 15), *range(25, 32), 33, 34]
    assert found.elsewhere.tolist() == elsewhere
    assert found.bright.tolist() == [34]  # the brightest twentieth of 17
    # A network without that label is not told of it: it is background, and so are its voxels.
    two = patches.pool_of(np.where(target == 2, 0, target), TWO, region, flair)
    assert two.stroke.size == 0
    assert two.elsewhere.tolist() == sorted([*elsewhere, 32])


@given(
    wmh=st.integers(0, 50), stroke=st.integers(0, 50), elsewhere=st.floats(0, 0.9),
    count=st.integers(1, 60), seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=60)
def test_a_share_has_no_lesion(
    wmh: int, stroke: int, elsewhere: float, count: int, seed: int
) -> None:
    sampling = replace(SAMPLING, elsewhere=elsewhere)
    found = patches.pick(np.random.default_rng(seed), pool(wmh, stroke), sampling, count)
    assert len(found) == count
    others = int((found >= 2000).sum())
    assert others == (round(elsewhere * count) if wmh + stroke else count)
    assert set(found.tolist()) <= {*range(wmh), *range(1000, 1000 + stroke), *range(2000, 2100)}


def test_lesions_come_as_often_as_their_voxels_and_weights_say() -> None:
    """300 voxels of WMH at 0.2 and 100 of stroke at 0.8: 60 to 80."""
    rng = np.random.default_rng(0)
    found = patches.pick(rng, pool(300, 100), SAMPLING, 14_000)
    stroke = int((found >= 1000).sum())
    assert abs(stroke - 8000) < 4 * np.sqrt(14_000 * 60 * 80 / 140**2)
    counts = np.bincount(found[found < 1000], minlength=300)
    assert counts.min() > 0
    assert counts.max() < 50  # 20 on average


def test_a_share_of_the_others_is_bright() -> None:
    rng = np.random.default_rng(0)
    sampling = replace(SAMPLING, elsewhere=0.5, bright=0.4)
    found = patches.pick(rng, pool(300, 100), sampling, 8000)
    bright = int((found >= 2095).sum())
    # 0.4 of 4000, and of the rest the twentieth that is bright anyhow.
    assert abs(bright - (1600 + 2400 * 0.05)) < 4 * np.sqrt(4000 * 0.43 * 0.57)


@given(
    plane=st.integers(0, 2), row=st.integers(0, 29), column=st.integers(0, 24),
    share=st.sampled_from([0.0, 0.125, 0.25, 0.5]), seed=st.integers(0, 999),
)  # fmt: skip
def test_the_voxel_stays_in_the_patch(
    plane: int, row: int, column: int, share: float, seed: int
) -> None:
    shape, sampling = (3, 30, 25), replace(SAMPLING, shift=share)
    voxel = int(np.ravel_multi_index((plane, row, column), shape))
    found = patches.corner(np.random.default_rng(seed), voxel, shape, sampling)
    above, left = row - found[1], column - found[2]
    most = round(share * 16)
    assert found[0] == plane
    for place in (above, left):
        assert 8 - most <= place <= 8 + max(most - 1, 0)
        assert 0 <= place < 16
    # What is cut there holds the voxel where it is said to be.
    number = np.arange(np.prod(shape)).reshape(shape)
    assert patches.cut(number, found, sampling, False)[above, left] == voxel


def test_half_a_patch_puts_the_voxel_anywhere() -> None:
    rng, voxel = np.random.default_rng(0), 500
    places = {patches.corner(rng, voxel, (1, 40, 40), SAMPLING)[1:] for _ in range(6000)}
    assert len(places) == 16 * 16


@pytest.mark.parametrize(("blank", "beyond"), [(False, 1.0), (True, 0.0)])
def test_beyond_the_borders(blank: bool, beyond: float) -> None:
    image = np.ones((1, 20, 20, 2), np.float32)
    image[:, 5, 5] = 7
    sampling = Sampling("patches", 16)
    patch = patches.cut(image, (0, -3, 10), sampling, blank)
    assert patch.shape == (16, 16, 2)
    expected = np.ones((16, 16, 2), np.float32)
    expected[:3], expected[:, 10:] = beyond, beyond
    np.testing.assert_array_equal(patch, expected)
    assert (image[:, 5, 5] == 7).all()
    assert patches.cut(image, (0, -3, 0), sampling, blank)[8, 5].tolist() == [7, 7]


def test_around_a_voxel_is_its_patch_or_its_place() -> None:
    rng = np.random.default_rng(0)
    stack = rng.normal(size=(3, 40, 44, 2)).astype(np.float32)
    features = rng.normal(size=(3, 40, 44, 8)).astype(np.float32)
    target = rng.integers(0, 2, (3, 40, 44)).astype(np.uint8)
    voxel = int(np.ravel_multi_index((1, 20, 25), target.shape))
    stacks = {"scan": stack, "location": features}
    shown, told = patches.around(rng, stacks, target, voxel, Sampling("voxels", 32))
    np.testing.assert_array_equal(shown["scan"], stack[1, 4:36, 9:41])
    np.testing.assert_array_equal(shown["location"], features[1, 20, 25][None, None])
    assert told.shape == (1, 1)
    assert told[0, 0] == target[1, 20, 25]
    shown, told = patches.around(rng, {"scan": stack}, target, voxel, Sampling("patches", 16))
    np.testing.assert_array_equal(shown["scan"], stack[1, 12:28, 17:33])
    np.testing.assert_array_equal(told, target[1, 12:28, 17:33])
    shown, told = patches.around(rng, stacks, target, voxel, Sampling("patches", 16))
    np.testing.assert_array_equal(shown["location"], features[1, 12:28, 17:33])
    np.testing.assert_array_equal(told, target[1, 12:28, 17:33])


def test_around_a_window_told_by_its_place_is_nothing() -> None:
    """As around the brain; around other patches the border's values go on."""
    rng, target = np.random.default_rng(0), np.ones((1, 8, 8), np.uint8)
    stacks = {"scan": np.ones((1, 8, 8, 2), np.float32)}
    shown, told = patches.around(rng, stacks, target, 0, Sampling("patches", 16))
    assert shown["scan"].all()
    assert told.all()
    placed = stacks | {"location": np.ones((1, 8, 8, 8), np.float32)}
    shown, told = patches.around(rng, placed, target, 0, Sampling("patches", 16))
    inside = np.zeros((16, 16), bool)
    inside[8:, 8:] = True
    for array in (shown["scan"][..., 0], shown["location"][..., 7], told):
        np.testing.assert_array_equal(array, inside)
