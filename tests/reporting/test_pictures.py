"""Outlines of masks."""

from __future__ import annotations

import numpy as np

from wmhseg.reporting.pictures import outline


def test_an_outline_is_what_touches_the_outside_by_a_side() -> None:
    mask = np.zeros((7, 7), bool)
    mask[1:6, 1:6] = True
    expected = mask.copy()
    expected[2:5, 2:5] = False
    np.testing.assert_array_equal(outline(mask), expected)
    # A hole touches by its sides, not by its corners.
    mask[3, 3] = False
    expected[2:5, 3] = expected[3, 2:5] = True
    expected[3, 3] = False
    np.testing.assert_array_equal(outline(mask), expected)


def test_the_border_of_the_picture_is_outside() -> None:
    assert outline(np.ones((3, 3), bool)).sum() == 8
    assert not outline(np.zeros((3, 3), bool)).any()
