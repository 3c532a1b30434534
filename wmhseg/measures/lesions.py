"""How much a mask holds: volume, lesions and the largest one.

Arrays are (slice, row, column).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

# Lesions are 26-connected, as the challenge counts them.
CONNECTIVITY = np.ones((3, 3, 3), bool)


@dataclass(frozen=True)
class LesionSummary:
    """How much there is.

    Attributes:
        volume_ml: Total volume in millilitres.
        count: Number of lesions (26-connected components).
        largest_ml: Volume of the largest one in millilitres.
    """

    volume_ml: float
    count: int
    largest_ml: float


def summarise(mask: npt.NDArray[np.uint8], voxel_ml: float) -> LesionSummary:
    """Counts the lesions of a mask.

    Args:
        mask: (slice, row, column), 0 or 1.
        voxel_ml: Volume of a voxel in millilitres.
    """
    labels, count = ndimage.label(mask, structure=CONNECTIVITY)
    # Of lesion voxels only: counting copies to 64 bits, a gigabyte in the largest scans.
    sizes = np.bincount(labels[mask > 0])[1:]
    largest = int(sizes.max()) if count else 0
    return LesionSummary(float(sizes.sum()) * voxel_ml, int(count), largest * voxel_ml)
