"""Labels that a file stores as numbers with a fraction."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

TOLERANCE = 0.01
"""How far a stored number may be from the label that it means."""


def nearest(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Labels without the rounding of a scale factor: 0.99997 is 1.

    Args:
        values: As they are stored.

    Returns:
        In the same type. An array with real fractions, such as probabilities, is returned as it
        is: it holds no labels.
    """
    if not np.issubdtype(values.dtype, np.floating):
        return values
    whole = np.rint(values)
    return whole if np.all(np.abs(values - whole) <= TOLERANCE) else values
