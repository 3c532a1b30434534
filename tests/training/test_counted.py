"""Targets that tell lesions apart."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wmhseg.training.batches.counted import MOST_LESIONS, counted

MASK = np.array(
    [
        [1, 0, 0, 0, 1],
        [0, 1, 0, 0, 1],
        [0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0],
    ],
    np.uint8,
)  # fmt: skip


def test_by_hand() -> None:
    """Corners touch; numbers run over the slice."""
    made = counted(MASK)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made[..., 0], MASK)
    assert made[0, 0].tolist() == made[1, 1].tolist() == [1, 1, 2]
    assert made[0, 4].tolist() == made[1, 4].tolist() == [1, 2, 2]
    assert made[3, 2].tolist() == [1, 3, 1]
    assert not made[MASK == 0].any()


def test_slices_are_told_apart_one_by_one() -> None:
    """What touches only in the slice above is another lesion, and numbers begin anew."""
    other = np.zeros_like(MASK)
    other[2, 2] = 1
    made = counted(np.stack([MASK, other]))
    np.testing.assert_array_equal(made[0], counted(MASK))
    assert made[1, 2, 2].tolist() == [1, 1, 1]


def test_numbers_end_somewhere() -> None:
    """Every second pixel of every second row: more lesions than numbers; sizes stay right."""
    mask = np.zeros((40, 40), np.uint8)
    mask[::2, ::2] = 1
    made = counted(mask)
    assert made[..., 1].max() == MOST_LESIONS
    assert len(np.unique(made[..., 1])) == MOST_LESIONS + 1
    assert (made[mask > 0][:, 2] == 1).all()


@given(hnp.arrays(np.uint8, (6, 7), elements=st.integers(0, 1)))
def test_sizes_are_counts_of_numbers(mask: np.ndarray) -> None:
    made = counted(mask)
    for number in np.unique(made[..., 1]):
        own = made[..., 1] == number
        assert (made[own][:, 2] == (own.sum() if number else 0)).all()
    np.testing.assert_array_equal(made[..., 1] > 0, mask > 0)
