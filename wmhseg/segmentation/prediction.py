"""From a network's input to a mask on the scan's own voxels, in the one order that counts.

What a user, a validation during training and an experiment segment goes through here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.channels.network_input import Alone, NetworkInput
from wmhseg.engines.interface import Engine, Float
from wmhseg.geometry import GridTransform, Way
from wmhseg.io.progress import Progress
from wmhseg.segmentation import ensemble, postprocessing
from wmhseg.weights import preset as presets
from wmhseg.weights.inputs import WMH
from wmhseg.weights.preset import Preset
from wmhseg.weights.processing import Postprocessing
from wmhseg.weights.store import Model

# Share of a voxel of the network's that has to be known for something to be marked in it.
_SEEN = 0.5

Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Prediction:
    """What the networks mark in a scan.

    Attributes:
        mask: (slice, row, column) uint8, 1 = WMH, on the scan's own voxels in the file's order.
        probability: Mean over the members, float32, same shape; 0 in the end slices and outside
            the network's field, where nothing is computed.
        slices_computed: Slices that the networks see; post-processing empties the rest.
        seconds: Stage ("predict", "restore") -> wall-clock seconds.
        others: Label besides WMH -> its mask; no voxel has two labels.
        other_probabilities: Label besides WMH -> its probability.
        members: Name of a member -> its own probability, as ``probability``; empty unless asked
            for.
    """

    mask: Mask
    probability: Float
    slices_computed: int
    seconds: dict[str, float]
    others: dict[str, Mask] = field(default_factory=dict)
    other_probabilities: dict[str, Float] = field(default_factory=dict)
    members: dict[str, Float] = field(default_factory=dict)


def predict(
    inputs: NetworkInput,
    model: Model,
    engine: Engine,
    *,
    batch: int | None = None,
    progress: Progress | None = None,
    members: bool = False,
) -> Prediction:
    """Computes the probability, brings it back to the scan and makes the mask.

    Args:
        inputs: What the model's preset prepares.
        model: The ensemble, with its post-processing.
        engine: What computes.
        batch: Slices computed at once, None for what suits the engine.
        progress: Called with (done, total) while the networks compute.
        members: Keep what each member says as well.

    Returns:
        Masks and probabilities in the order of the scan's file.

    Raises:
        ModelError: If weights are missing, damaged, or not the network's.
    """
    _, rows, columns = inputs.way.target.shape
    model = Model(model.folder, presets.on_slices(model.preset, rows, columns))
    post, seconds = model.preset.postprocessing, dict[str, float]()

    started = time.perf_counter()
    said = ensemble.label_probabilities(
        inputs, model, engine, batch=batch, progress=progress, members=members
    )
    maps, own = said.labels, said.members
    del said
    if inputs.alone is not None:
        kept = postprocessing.kept_slices(len(maps[WMH]), post, inputs.head)
        _replace(maps, own, inputs.alone, kept, model, engine)
    if inputs.within is not None:
        for probability in (*maps.values(), *own.values()):
            probability[~inputs.within] = 0
    seconds["predict"] = time.perf_counter() - started

    started = time.perf_counter()
    where = _Where(inputs.way, inputs.head, inputs.turned_head, inputs.unknown)
    others, probabilities = _others(maps, where, model.preset)
    # Handed on without a name here, so that it is given up as soon as it is not needed.
    mask, restored = _wmh(maps.pop(WMH), where, post, others)
    # One after the other, for the same reason.
    restored_own = {name: where.restored(own.pop(name)) for name in list(own)}
    for rule in model.preset.others:  # what is too small is none of them, and no WMH either
        one = postprocessing.without_small(others[rule.label], where.way.source.voxel_ml, rule)
        where.emptied(one)
        others[rule.label] = one
    seconds["restore"] = time.perf_counter() - started
    kept = postprocessing.kept_slices(inputs.way.target.shape[0], post, inputs.head)
    computed = kept.stop - kept.start
    return Prediction(mask, restored, computed, seconds, others, probabilities, restored_own)


def _replace(
    maps: dict[str, Float],
    own: dict[str, Float],
    alone: Alone,
    kept: slice,
    model: Model,
    engine: Engine,
) -> None:
    """Puts in what the networks say without T1 where T1 shows nothing."""
    wanted = (alone.slices >= kept.start) & (alone.slices < kept.stop)
    if not wanted.any():
        return
    stacks = {port: stack[wanted] for port, stack in alone.stacks.items()}
    each: list[Float] | None = [] if own else None
    mean = ensemble.mean_probability(stacks, model, engine, each=each)
    number = model.preset.labels.names.index
    put = [(probability, mean[..., number(label)]) for label, probability in maps.items()]
    members = zip(own.values(), each or (), strict=True)
    put += [(probability, said[..., number(WMH)]) for probability, said in members]
    for probability, said in put:
        for place, where, plane in zip(
            alone.slices[wanted], alone.where[wanted], said, strict=True
        ):
            probability[place][where] = plane[where]


@dataclass(frozen=True)
class _Where:
    """Where the network's voxels lie, and what is known of the scan there.

    Attributes:
        way: From the scan's array to the network's voxels; its first part turns the axes.
        head: The slices that hold the head, on the network's voxels; None for all.
        turned_head: The same on the scan's own voxels in the model's axes.
        unknown: Voxels of the scan, in the file's order, in which nothing may be marked.
    """

    way: Way
    head: slice | None = None
    turned_head: slice | None = None
    unknown: npt.NDArray[np.bool_] | None = None

    @property
    def turn(self) -> GridTransform:
        """From the file's axes to the model's."""
        return self.way.parts[0]

    def known(self, probability: Float) -> Float:
        """The probability, 0 where nothing is known of the scan."""
        if self.unknown is None:
            return probability
        seen = self.way.forward((~self.unknown).astype(np.float32))
        return np.where(seen > _SEEN, probability, np.float32(0))

    def turned(self, probability: Float) -> Float:
        """The probability on the scan's own voxels, in the model's axes."""
        made = self.way.restore(probability, to=self.turn.target)
        # The weights of an interpolation add up to 1 but for rounding, and no map may exceed 1.
        return np.minimum(made, 1, out=made) if made.max(initial=0) > 1 else made

    def restored(self, probability: Float) -> Float:
        """The probability on the scan's own voxels, in the file's order."""
        made = self.turn.restore(self.turned(self.known(probability)))
        self.emptied(made)
        return made

    def emptied(self, volume: npt.NDArray[Any]) -> None:
        """Empties what is not known, on the scan's own voxels in the file's order."""
        if self.unknown is not None:
            volume[self.unknown] = 0


def from_probability(
    probability: Float,
    way: Way,
    post: Postprocessing,
    *,
    head: slice | None = None,
    turned_head: slice | None = None,
    unknown: npt.NDArray[np.bool_] | None = None,
) -> tuple[Mask, Float]:
    """The whole post-processing: brings a probability of WMH back to the scan and makes the mask.

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
    return _wmh(probability, _Where(way, head, turned_head, unknown), post, {})


def _wmh(
    probability: Float, where: _Where, post: Postprocessing, others: Mapping[str, Mask]
) -> tuple[Mask, Float]:
    """Mask and probability as of ``from_probability``; nothing is marked where others are."""
    # Peaks are judged on the network's voxels, as interpolation flattens them; the mask is cut on
    # the scan's own: a mask that is resampled loses its small lesions. Slices at the ends are
    # those of the model's axes.
    turn = where.turn
    probability = where.known(probability)
    sure = postprocessing.without_doubtful(probability, post, where.head)
    turned = where.turned(sure)
    mask = turn.restore(postprocessing.to_mask(turned, post, where.turned_head))
    for other in others.values():
        mask[other > 0] = 0
    mask = postprocessing.without_small(mask, where.way.source.voxel_ml, post)
    if sure is not probability:
        del turned  # the largest scans need the room
        turned = where.turned(probability)
    del sure, probability
    restored = turn.restore(turned)
    where.emptied(mask)
    where.emptied(restored)
    return mask, restored


def _others(
    maps: Mapping[str, Float], where: _Where, preset: Preset
) -> tuple[dict[str, Mask], dict[str, Float]]:
    """Masks, small parts included, and probabilities of the labels besides WMH, in its way."""
    if not preset.others:
        return {}, {}
    known = {label: where.known(one) for label, one in maps.items()}
    turned = {label: where.turned(one) for label, one in known.items()}
    wmh, post, sure = turned.pop(WMH), preset.postprocessing, dict(turned)
    for rule in preset.others:
        if rule.lesion_peak:  # judged as that of WMH
            own = replace(post, threshold=rule.threshold, lesion_peak=rule.lesion_peak)
            left = postprocessing.without_doubtful(known[rule.label], own, where.head)
            sure[rule.label] = where.turned(left)
    kept = postprocessing.kept_slices(len(wmh), post, where.turned_head)
    marked = postprocessing.to_other_masks(sure, wmh, preset.others, kept)
    masks = {label: where.turn.restore(mask) for label, mask in marked.items()}
    probabilities = {label: where.turn.restore(one) for label, one in turned.items()}
    for probability in probabilities.values():
        where.emptied(probability)
    return masks, probabilities
