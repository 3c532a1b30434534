"""From a network's input to a mask on the scan's own voxels, in the one order that counts.

What a user, a validation during training and an experiment segment goes through here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wmhseg.engines.interface import Engine
from wmhseg.io.progress import Progress
from wmhseg.preparation.network_input import NetworkInput
from wmhseg.segmentation import ensemble, postprocessing
from wmhseg.weights.store import Model


@dataclass(frozen=True)
class Prediction:
    """What the networks mark in a scan.

    Attributes:
        mask: (slice, row, column) uint8, 1 = WMH, on the scan's own voxels in the file's order.
        probability: Mean over the members, float32, same shape; 0 in the end slices and outside
            the network's field, where nothing is computed.
        slices_computed: Slices that the networks see; post-processing empties the rest.
        seconds: Stage ("predict", "restore") -> wall-clock seconds.
    """

    mask: npt.NDArray[np.uint8]
    probability: npt.NDArray[np.float32]
    slices_computed: int
    seconds: dict[str, float]


def predict(
    inputs: NetworkInput,
    model: Model,
    engine: Engine,
    *,
    batch: int | None = None,
    progress: Progress | None = None,
) -> Prediction:
    """Computes the probability, brings it back to the scan and makes the mask.

    Args:
        inputs: What the model's preset prepares.
        model: The ensemble, with its post-processing.
        engine: What computes.
        batch: Slices computed at once, None for what suits the engine.
        progress: Called with (done, total) while the networks compute.

    Returns:
        Mask and probability in the order of the scan's file.

    Raises:
        ModelError: If weights are missing, damaged, or not the network's.
    """
    post, way = model.preset.postprocessing, inputs.way
    started = time.perf_counter()
    probability = ensemble.wmh_probability(
        inputs.stacks, model, engine, inputs.head, batch=batch, progress=progress
    )
    kept = postprocessing.kept_slices(len(probability), post, inputs.head)
    computed = time.perf_counter()
    # Peaks are judged on the network's voxels, as interpolation flattens them; the mask is cut on
    # the scan's own: a mask that is resampled loses its small lesions. Slices at the ends are
    # those of the model's axes.
    turn = way.parts[0]
    sure = postprocessing.without_doubtful(probability, post, inputs.head)
    turned = way.restore(sure, to=inputs.turned)
    mask = turn.restore(postprocessing.to_mask(turned, post, inputs.turned_head))
    mask = postprocessing.without_small(mask, way.source.voxel_ml, post)
    if sure is not probability:
        del turned  # the largest scans need the room
        turned = way.restore(probability, to=inputs.turned)
    del sure, probability
    restored = turn.restore(turned)
    seconds = {"predict": computed - started, "restore": time.perf_counter() - computed}
    return Prediction(mask, restored, kept.stop - kept.start, seconds)
