"""Targets that tell lesions apart, for losses that count lesions and not only pixels.

Lesions of a slice are 8-connected, as a network for slices sees them, and are told apart before a
slice is cropped: what a crop cuts off a large lesion is no small one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Float = npt.NDArray[np.float32]

MOST_LESIONS = 255
"""So many lesions of a slice have a number of their own; the others share the last one."""

_TOUCHING = np.ones((3, 3), bool)


def counted(mask: npt.NDArray[Any]) -> Float:
    """The target of a slice, or of a stack of slices, for losses that count lesions.

    Args:
        mask: (row, column) or (slice, row, column), 0 or 1.

    Returns:
        The same shape with three channels: the mask; the number of the pixel's lesion in its slice,
        from 1, and the pixels of that lesion, both 0 in the background.
    """
    if mask.ndim == 3:
        return np.stack([counted(plane) for plane in mask])
    number, count = ndimage.label(mask > 0, _TOUCHING)
    size = np.bincount(number.ravel(), minlength=count + 1)
    size[0] = 0
    made: Float = np.stack([number > 0, np.minimum(number, MOST_LESIONS), size[number]], -1).astype(
        np.float32
    )
    return made
