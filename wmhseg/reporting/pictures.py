"""Outlines of masks, for contact sheets; ``sheet`` draws the picture of a result."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Colour = tuple[int, int, int]
MARKED: Colour = (255, 60, 50)
"""Red of the outlines, RGB."""


def outline(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The pixels of a mask (row, column) that touch one outside it by a side."""
    inner: npt.NDArray[np.bool_] = ndimage.binary_erosion(mask)
    return mask & ~inner
