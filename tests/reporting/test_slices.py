"""Which slices are shown."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wmhseg.reporting.slices import all_marked, choose, marks, together


def mask_of(*blobs: tuple[int, int, int, int]) -> np.ndarray:
    """A mask of 60 slices; a blob is first slice, last slice, row and side."""
    mask = np.zeros((60, 40, 40), np.uint8)
    for first, last, row, side in blobs:
        mask[first : last + 1, row : row + side, 5 : 5 + side] = 1
    return mask


def test_marks_are_counted_by_slice() -> None:
    found = marks(mask_of((3, 5, 10, 2), (5, 6, 20, 3)))
    assert found.count == 2
    assert [len(found.lesions[index]) for index in range(2, 8)] == [0, 1, 1, 2, 1, 0]
    assert found.areas[2:8] == (0, 4, 4, 13, 9, 0)
    assert (found.rows, found.columns) == ((10, 23), (5, 8))
    assert found.marked == [3, 4, 5, 6]
    assert (found.shown_in([3, 4]), found.shown_in([3, 6]), found.shown_in([0])) == (1, 2, 0)


def test_corners_make_one_lesion_and_slices_in_their_order() -> None:
    mask = np.zeros((4, 6, 6), np.uint8)
    mask[1, 2, 2] = mask[2, 3, 3] = 1
    assert marks(mask).count == 1


def test_few_slices_show_most_lesions() -> None:
    """The largest area, then what shows most that was not seen yet."""
    blobs = [(30, 34, 5, 12), (10, 12, 5, 2), (12, 14, 9, 2), (50, 50, 20, 1), (12, 12, 20, 1)]
    found = marks(mask_of(*blobs))
    chosen = choose(found, (0, 60), 3, 0)
    assert 12 in chosen
    assert 50 in chosen
    assert found.shown_in(chosen) == found.count == 5


def test_some_slices_without_marks_are_shown_evenly() -> None:
    found = marks(mask_of((20, 40, 5, 3)))
    chosen = choose(found, (0, 60), 12, 4)
    bare = [index for index in chosen if not found.areas[index]]
    assert len(chosen) == len(set(chosen)) == 12
    assert chosen == sorted(chosen)
    assert len(bare) == 4
    assert sum(index < 20 for index in bare) == 2
    # Few slices with marks leave room for more without.
    few = marks(mask_of((20, 21, 5, 3)))
    assert sum(not few.areas[index] for index in choose(few, (0, 60), 12, 4)) == 10


def test_without_any_mark_the_whole_head_is_shown() -> None:
    chosen = choose(marks(mask_of()), (10, 60), 12, 4)
    assert len(chosen) == 12
    steps = np.diff(chosen)
    assert steps.min() >= steps.max() - 1
    assert chosen[0] < 20
    assert chosen[-1] > 50


def test_all_marks_are_shown_however_many() -> None:
    found = marks(mask_of(*((first, first, 5, 2) for first in range(5, 55, 2))))
    chosen = all_marked(found, (0, 60), 4)
    assert set(found.marked) <= set(chosen)
    assert len(chosen) == len(found.marked) + 4


def test_marks_in_every_slice_and_few_slices() -> None:
    full = marks(np.ones((5, 4, 4), np.uint8))
    assert choose(full, (0, 5), 12, 4) == [0, 1, 2, 3, 4]
    assert choose(marks(np.zeros((3, 4, 4), np.uint8)), (0, 3), 12, 4) == [0, 1, 2]


@given(st.integers(0, 10**6), st.integers(0, 3))
def test_marks_of_several_labels_are_those_of_each(seed: int, labels: int) -> None:
    """Masks that touch stay apart: lesions are counted in each, slices and box in all."""
    rng = np.random.default_rng(seed)
    owner = rng.integers(0, 8, (5, 6, 7))
    masks = [(owner == number + 1).astype(np.uint8) for number in range(labels + 1)]
    each = [marks(mask) for mask in masks]
    found = together(each)
    assert found.count == sum(one.count for one in each)
    assert found.areas == tuple(np.sum(masks, (0, 2, 3)).tolist())
    for index, lesions in enumerate(found.lesions):
        assert len(lesions) == sum(len(one.lesions[index]) for one in each)
    assert found.shown_in(range(5)) == found.count
    everything = marks(np.any(masks, 0).astype(np.uint8))
    assert (found.rows, found.columns) == (everything.rows, everything.columns)
