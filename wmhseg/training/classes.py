"""What masks of training data hold, and what networks are asked to say of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wmhseg.weights import structures
from wmhseg.weights.inputs import WMH, Labels

BACKGROUND = structures.BACKGROUND
STROKE = "stroke"
NAMES = (BACKGROUND, WMH, STROKE)
"""Number in a mask -> what it means. In masks of the challenge, 2 is any other pathology."""


def targets(numbers: npt.NDArray[np.integer], labels: Labels) -> npt.NDArray[np.uint8]:
    """What a network should say of each pixel.

    Args:
        numbers: Of a mask, any shape: 0, 1 and 2, see ``NAMES``; for anatomical labels those of
            ``wmhseg.weights.structures``.
        labels: Of the network.

    Returns:
        Same shape. With a softmax the place of the label among the network's, and that of the
        background for what it does not know; with a sigmoid 1 for WMH and 0 for the rest.
    """
    if labels.anatomical:
        return numbers.astype(np.uint8)
    if labels.activation == "sigmoid":
        only: npt.NDArray[np.uint8] = (numbers == NAMES.index(WMH)).astype(np.uint8)
        return only
    known = [name if name in labels.names else BACKGROUND for name in NAMES]
    places = np.array([labels.names.index(name) for name in known], np.uint8)
    found: npt.NDArray[np.uint8] = places[numbers]
    return found
