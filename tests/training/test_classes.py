"""Numbers in masks, and what a network is asked to say of them."""

from __future__ import annotations

import numpy as np
import pytest

from wmhseg.training import classes
from wmhseg.weights.inputs import WMH_ALONE, Labels

NUMBERS = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("background", "WMH", "stroke"), [0, 1, 2]),
        (("background", "WMH"), [0, 1, 0]),
        (("stroke", "background", "WMH"), [1, 2, 0]),
    ],
)
def test_places_among_the_labels(names: tuple[str, ...], expected: list[int]) -> None:
    found = classes.targets(NUMBERS, Labels(names, "softmax"))
    np.testing.assert_array_equal(found, np.array(expected)[NUMBERS])


def test_a_sigmoid_says_wmh_or_not() -> None:
    np.testing.assert_array_equal(classes.targets(NUMBERS, WMH_ALONE), NUMBERS == 1)
