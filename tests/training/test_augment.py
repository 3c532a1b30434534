"""Varied copies: the identity, known moves, and image and mask together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wmhseg.training.batches import augment
from wmhseg.training.batches.augment import Variation
from wmhseg.training.plan import Augmentation
from wmhseg.training.recipes import PLANS
from wmhseg.weights.inputs import inputs_of_channels

RANGES = Augmentation()
BOTH = inputs_of_channels(2, "zero")
ALONE = inputs_of_channels(1, "error")


def one_pixel(row: int, column: int, size: int = 21) -> tuple[np.ndarray, np.ndarray]:
    """A slice with one bright pixel in both channels, which is the lesion."""
    mask = np.zeros((size, size), np.uint8)
    mask[row, column] = 1
    return np.stack([mask, 2 * mask], -1).astype(np.float32), mask


def test_the_identity_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(24, 20, 2)).astype(np.float32)
    mask = (rng.random((24, 20)) < 0.3).astype(np.uint8)
    same_image, same_mask = augment.apply(image, mask, Variation(), BOTH)
    np.testing.assert_array_equal(same_image, image)
    np.testing.assert_array_equal(same_mask, mask)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (Variation(flip=True), (5, 13)),  # columns 7 -> 20 - 7
        # From the middle (10, 10) it lies 5 rows up and 3 columns to the left.
        (Variation(rotation_deg=90), (7, 15)),
        (Variation(rotation_deg=180), (15, 13)),
        (Variation(rotation_deg=-90), (13, 5)),
        # Leaning by 45 degrees moves it by as many columns as it lies rows from the middle.
        (Variation(shear_deg=45), (5, 12)),
    ],
)
def test_moves_by_hand(how: Variation, expected: tuple[int, int]) -> None:
    image, mask = augment.apply(*one_pixel(5, 7), how, BOTH)
    place = np.unravel_index(int(image[..., 0].argmax()), mask.shape)
    assert tuple(map(int, place)) == expected
    assert mask[expected] == 1
    assert mask.sum() == 1


def test_zoom_by_hand() -> None:
    """Twice as many rows: a block of 4 x 4 about the middle becomes 8 rows high, 4 wide."""
    mask = np.zeros((20, 20), np.uint8)
    mask[8:12, 8:12] = 1
    image = mask[..., None].astype(np.float32)
    _, larger = augment.apply(image, mask, Variation(zoom=(2.0, 1.0)), ALONE)
    assert larger.sum(0).max() == 8
    assert larger.sum(1).max() == 4


@given(
    turn=st.floats(-15, 15), lean=st.floats(-18, 18), rows=st.floats(0.9, 1.1),
    columns=st.floats(0.9, 1.1), flip=st.booleans(),
)  # fmt: skip
def test_image_and_mask_move_together(
    turn: float, lean: float, rows: float, columns: float, flip: bool
) -> None:
    mask = np.zeros((40, 36), np.uint8)
    mask[12:20, 9:16] = 1
    image = np.stack([mask, -mask.astype(np.float32)], -1).astype(np.float32)
    moved, target = augment.apply(image, mask, Variation(turn, lean, (rows, columns), flip), BOTH)
    np.testing.assert_array_equal(moved[..., 0] >= 0.5, target == 1)
    np.testing.assert_allclose(moved[..., 0], -moved[..., 1], atol=1e-6)
    # Turning, leaning and flipping keep areas; scaling multiplies them.
    assert target.sum() == pytest.approx(56 * rows * columns, rel=0.2)
    assert moved.dtype == np.float32
    assert target.dtype == np.uint8


def test_flipping_twice_is_the_identity() -> None:
    image, mask = one_pixel(3, 4)
    flip = Variation(flip=True)
    twice = augment.apply(*augment.apply(image, mask, flip, BOTH), flip, BOTH)
    np.testing.assert_allclose(twice[0], image, atol=1e-6)
    np.testing.assert_array_equal(twice[1], mask)


def test_background_is_continued() -> None:
    """Outside of the slice lies its border's value, not 0."""
    image = np.full((20, 20, 1), -3.0, np.float32)
    moved, _ = augment.apply(image, np.zeros((20, 20), np.uint8), Variation(rotation_deg=45), ALONE)
    np.testing.assert_allclose(moved, -3, atol=1e-5)


def test_empty_t1() -> None:
    image, mask = one_pixel(3, 4)
    moved, _ = augment.apply(image, mask, Variation(empty_t1=True), BOTH)
    np.testing.assert_array_equal(moved[..., 0], image[..., 0])
    assert not moved[..., 1].any()
    assert image[..., 1].any()
    alone, _ = augment.apply(image[..., :1], mask, Variation(empty_t1=True), ALONE)
    assert alone.any()


def test_draws_fill_their_ranges_and_no_more() -> None:
    rng = np.random.default_rng(0)
    ranges = PLANS["published"].augmentation
    assert ranges is not None
    drawn = [augment.draw(rng, ranges) for _ in range(2000)]
    for values, low, high in (
        ([d.rotation_deg for d in drawn], -15, 15),
        ([d.shear_deg for d in drawn], -18, 18),
        ([d.zoom[0] for d in drawn], 0.9, 1.1),
        ([d.zoom[1] for d in drawn], 0.9, 1.1),
    ):
        assert low <= min(values) < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < max(values) <= high
        assert np.mean(values) == pytest.approx((low + high) / 2, abs=0.05 * (high - low))
    assert 0.45 < np.mean([d.flip for d in drawn]) < 0.55
    assert not any(d.empty_t1 for d in drawn)
    assert len({d.zoom for d in drawn} | {(d.zoom[1], d.zoom[0]) for d in drawn}) == 4000


def test_no_ranges_are_the_identity() -> None:
    none = Augmentation(rotation_deg=0, shear_deg=0, zoom=(1, 1), flip=0)
    drawn = augment.draw(np.random.default_rng(0), none)
    np.testing.assert_array_equal(drawn.matrix, np.eye(2))
