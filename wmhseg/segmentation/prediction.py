"""From a network's input to a mask on the scan's own voxels, in the one order that counts.

What a user, a validation during training and an experiment segment goes through here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wmhseg.channels.network_input import Alone, NetworkInput
from wmhseg.engines.interface import Engine, Float
from wmhseg.geometry import Way
from wmhseg.io.progress import Progress
from wmhseg.segmentation import ensemble, postprocessing
from wmhseg.weights import preset as presets
from wmhseg.weights.processing import Postprocessing
from wmhseg.weights.store import Model

# Share of a voxel of the network's that has to be known for something to be marked in it.
_SEEN = 0.5


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
    _, rows, columns = inputs.way.target.shape
    model = Model(model.folder, presets.on_slices(model.preset, rows, columns))
    post, seconds = model.preset.postprocessing, dict[str, float]()

    def compute() -> Float:
        started = time.perf_counter()
        probability = ensemble.wmh_probability(
            inputs.stacks, model, engine, inputs.head, batch=batch, progress=progress
        )
        if inputs.alone is not None:
            kept = postprocessing.kept_slices(len(probability), post, inputs.head)
            _replace(probability, inputs.alone, kept, model, engine)
        if inputs.within is not None:
            probability[~inputs.within] = 0
        seconds["predict"] = time.perf_counter() - started
        return probability

    started = time.perf_counter()
    # Handed on without a name here, so that it is given up as soon as it is not needed.
    mask, restored = from_probability(
        compute(),
        inputs.way,
        post,
        head=inputs.head,
        turned_head=inputs.turned_head,
        unknown=inputs.unknown,
    )
    seconds["restore"] = time.perf_counter() - started - seconds["predict"]
    kept = postprocessing.kept_slices(inputs.way.target.shape[0], post, inputs.head)
    return Prediction(mask, restored, kept.stop - kept.start, seconds)


def _replace(probability: Float, alone: Alone, kept: slice, model: Model, engine: Engine) -> None:
    """Puts in what the networks say without T1 where T1 shows nothing."""
    wanted = (alone.slices >= kept.start) & (alone.slices < kept.stop)
    if not wanted.any():
        return
    stacks = {port: stack[wanted] for port, stack in alone.stacks.items()}
    said = ensemble.mean_probability(stacks, model, engine)[..., model.preset.labels.wmh]
    for place, where, plane in zip(alone.slices[wanted], alone.where[wanted], said, strict=True):
        probability[place][where] = plane[where]


def from_probability(
    probability: Float,
    way: Way,
    post: Postprocessing,
    *,
    head: slice | None = None,
    turned_head: slice | None = None,
    unknown: npt.NDArray[np.bool_] | None = None,
) -> tuple[npt.NDArray[np.uint8], Float]:
    """The whole post-processing: brings a probability back to the scan and makes the mask.

    Args:
        probability: (slice, row, column) on the network's voxels.
        way: From the scan's array to there; its first part turns the axes.
        post: What to do.
        head: The slices that hold the head, on the network's voxels; None for all.
        turned_head: The same on the scan's own voxels in the model's axes.
        unknown: Voxels of the scan, in the file's order, in which nothing may be marked.

    Returns:
        The mask, uint8, 0 or 1, and the probability, on the scan's own voxels.
    """
    # Peaks are judged on the network's voxels, as interpolation flattens them; the mask is cut on
    # the scan's own: a mask that is resampled loses its small lesions. Slices at the ends are
    # those of the model's axes.
    turn = way.parts[0]
    if unknown is not None:
        seen = way.forward((~unknown).astype(np.float32))
        probability = np.where(seen > _SEEN, probability, np.float32(0))
    sure = postprocessing.without_doubtful(probability, post, head)
    turned = way.restore(sure, to=turn.target)
    mask = turn.restore(postprocessing.to_mask(turned, post, turned_head))
    mask = postprocessing.without_small(mask, way.source.voxel_ml, post)
    if sure is not probability:
        del turned  # the largest scans need the room
        turned = way.restore(probability, to=turn.target)
    del sure, probability
    restored = turn.restore(turned)
    if unknown is not None:
        mask[unknown], restored[unknown] = 0, 0
    return mask, restored
