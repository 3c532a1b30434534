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
        In the same type. Real fractions, such as probabilities, stay what they are; so does an
        array of whole numbers, which is not copied.
    """
    if not np.issubdtype(values.dtype, np.floating):
        return values
    whole = np.rint(values)
    return np.where(np.abs(values - whole) <= TOLERANCE, whole, values)
