"""How clearly lesions stand out of what surrounds them, as an ideal observer would see them.

A spot of N pixels that differs by C from surroundings of the standard deviation s is told from
chance by C / s * sqrt(N). Rose asked for about 5 to be sure of a spot.

Source: A. Rose. The sensitivity performance of the human eye on an absolute scale. Journal of the
Optical Society of America 38 (1948) 196-208.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg.measures.lesions import CONNECTIVITY

Mask = npt.NDArray[np.bool_]
Float = npt.NDArray[np.floating]

_NEAR_PX, _FAR_PX = 1, 4  # the surroundings, in the plane: slices may be thick
_TO_SD = 1.4826  # of the median distance from the median, for normal noise
_LEAST = 8  # surrounding voxels, below which nothing can be said


def rose(flair: Float, lesions: Mask, apart: Mask) -> npt.NDArray[np.float64]:
    """C / s * sqrt(N) of each lesion: of its mean against the median of what surrounds it.

    The standard deviation is a robust one, of all that lies there, borders of tissues included:
    they hide a small lesion as noise does.

    Args:
        flair: (slice, row, column), of any scale.
        lesions: Same shape; a lesion is a 26-connected part.
        apart: Same shape: what is no surroundings, such as the background or infarcts.

    Returns:
        A number of each lesion, in the order of ``scipy.ndimage.label``; below 0 if it is darker,
        NaN if fewer than 8 voxels surround it, or these do not vary.
    """
    numbers, count = ndimage.label(lesions, CONNECTIVITY)
    plane = ndimage.generate_binary_structure(2, 2)[None]
    made = np.full(count, np.nan)
    margin = (0, _FAR_PX, _FAR_PX)
    for place, found in enumerate(ndimage.find_objects(numbers)):
        box = tuple(
            slice(max(0, span.start - more), span.stop + more)
            for span, more in zip(found, margin, strict=True)
        )
        own = numbers[box] == place + 1
        near, far = (ndimage.binary_dilation(own, plane, n) for n in (_NEAR_PX, _FAR_PX))
        around = flair[box][far & ~near & ~lesions[box] & ~apart[box]]
        if around.size < _LEAST:
            continue
        middle = float(np.median(around))
        spread = _TO_SD * float(np.median(np.abs(around - middle)))
        if spread > 0:
            contrast = float(flair[box][own].mean()) - middle
            made[place] = contrast / spread * np.sqrt(np.count_nonzero(own))
    return made
