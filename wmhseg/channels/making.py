"""How each channel of a network's input is made: the one place, for training as for segmentation.

Arrays are (slice, row, column) on one grid, in the model's axes.

References:
    H. Li et al., NeuroImage 183 (2018) 650-665, section 3.1 (z-scores).
    Y. Xu et al., BrainLes 2017 / MICCAI WMH challenge, section 2.2 (8 bit, top-hat).
    M. Ghafoorian et al., Scientific Reports 7:5110 (2017), "Intensity normalization", "Integrating
    explicit spatial location features".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.channels.location import Located
from wmhseg.errors import ConstantImageError, EmptyMaskError
from wmhseg.geometry import Fit
from wmhseg.preparation import intensity
from wmhseg.weights.inputs import BRAIN_SCORE, OF_LOCATION, How, Input
from wmhseg.weights.preset import Preset
from wmhseg.weights.processing import Preprocessing

Float = npt.NDArray[np.float32]
Volumes = Mapping[str, Float]
"""Scan -> (slice, row, column): on the intensity scale, cut at the ceiling."""
Made = Mapping[How, Mapping[str, npt.NDArray[Any]]]
"""How -> scan -> (slice, row, column) on the network's field."""

MIDDLE = 127
"""What is taken from 8-bit intensities, as the paper does."""

SPOT_PIXELS = 25
"""Bright spots of fewer pixels are what the top-hat keeps."""

_SCORES = -6.0, 12.0
_BRIGHTEST = 99.9  # percentile of the head that 255 stands for, where a method has no ceiling


def made(volumes: Volumes, fit: Fit, chosen: Preset, located: Located | None = None) -> Made:
    """Makes what a model's channels show.

    Args:
        volumes: Scans on one grid.
        fit: From there to the network's field.
        chosen: Says which channels there are, and how intensities are normalised.
        located: Where the voxels of that grid lie in the brain; needed if the model is told.

    Raises:
        EmptyMaskError: If a scan holds nothing.
        ConstantImageError: If a scan is constant inside its mask.
    """
    ways = dict.fromkeys(one.how for one in chosen.inputs)
    made: dict[How, Mapping[str, npt.NDArray[Any]]] = {}
    for how in ways:
        if how == BRAIN_SCORE:
            assert located is not None  # presets have inputs made from MNI beside it
            made[how] = {
                name: fit.forward(brain_score(volume, located.brain, name=name))
                for name, volume in volumes.items()
            }
        elif how not in OF_LOCATION:
            made[how] = _MAKERS[how](volumes, fit, chosen.preprocessing)
        elif located is not None:
            made[how] = {"MNI": fit.forward(located.channels[how])}
    return made


def stacked(made: Made, inputs: Sequence[Input]) -> dict[str, Float]:
    """Puts what was made of scans into the channels of the networks' ports.

    Args:
        made: How -> scan -> (slice, row, column). A scan that is not there leaves zeros.
        inputs: The channels, in order.

    Returns:
        Port -> (slice, row, column, channel).
    """
    shape = next(volume.shape for scans in made.values() for volume in scans.values())
    ports: dict[str, list[Input]] = {}
    for one in inputs:
        ports.setdefault(one.port, []).append(one)
    stacks = {}
    for port, channels in ports.items():
        stacks[port] = np.zeros((*shape, len(channels)), np.float32)
        for channel, one in enumerate(channels):
            if one.scan in made.get(one.how, {}):
                stacks[port][..., channel] = _neighbour(made[one.how][one.scan], one.slice)
    return stacks


def _neighbour(volume: npt.NDArray[Any], away: int) -> npt.NDArray[Any]:
    """Each slice replaced by the one so many places on; beyond the ends by the last one."""
    if away == 0:
        return volume
    return volume[np.clip(np.arange(len(volume)) + away, 0, len(volume) - 1)]


def _z_scores(volumes: Volumes, fit: Fit, method: Preprocessing) -> dict[str, Float]:
    """Intensities normalised within the brain mask, on the network's field."""
    names = list(volumes)
    if method.order == "crop-normalise":
        scores = intensity.normalise([fit.crop(v) for v in volumes.values()], names, method)
    else:
        whole = intensity.normalise(list(volumes.values()), names, method)
        scores = [fit.crop(volume) for volume in whole]
    made = {}
    for name, volume in zip(names, scores, strict=True):
        border = float(volume.min()) if method.padding == "background" else 0.0
        made[name] = fit.pad(volume, border)
    return made


def brightest(volume: Float, method: Preprocessing, *, name: str) -> float:
    """The intensity that becomes 1, or 255: the method's ceiling, or the brightest of the head.

    Args:
        volume: (slice, row, column), the whole scan.
        method: Its ceiling counts; without one it is the 99.9th percentile of the head.
        name: What the volume is called in messages.

    Raises:
        EmptyMaskError: If the scan holds nothing brighter than 0.
    """
    if method.ceiling is not None:
        top = method.ceiling * intensity.tissue_median(volume)
    else:
        head = volume[intensity.foreground(volume)]
        top = float(np.percentile(head, _BRIGHTEST)) if head.size else 0.0
    if top <= 0:
        raise EmptyMaskError(
            f"Some voxels of the {name} image brighter than 0 were expected",
            received=f"none; the largest value is {float(volume.max()):.6g}",
            advice="Check that the file is the scan.",
        )
    return top


def unit_range(volume: Float, top: float) -> Float:
    """Intensities from 0 to 1: 0 stays, ``top`` and more become 1."""
    share: Float = np.clip(volume / np.float32(top), np.float32(0), np.float32(1))
    return share


def brain_score(volume: Float, brain: npt.NDArray[np.bool_], *, name: str) -> Float:
    """Less the median of the brain, in units of its robust standard deviation; 0 outside.

    What a lesion differs by from the tissue around it then means the same in scans of any contrast,
    and whether skull and scalp are there does not matter. The deviation is 1.4826 times the median
    distance from the median, or the standard deviation where half of the brain has one intensity
    (of coarse steps). Values are cut at -6 and 12.

    Args:
        volume: (slice, row, column).
        brain: Same shape.
        name: What the volume is called in messages.

    Raises:
        ConstantImageError: If all of the brain has one intensity.
    """
    values = volume[brain]
    median = np.median(values)
    deviation = 1.4826 * float(np.median(np.abs(values - median))) or float(np.std(values))
    if not deviation > 0:
        raise ConstantImageError(
            f"Intensities that differ within the brain were expected in the {name} image",
            received=f"{float(median):.6g} in all of it",
            advice="Check that the file is the scan.",
        )
    score: Float = np.clip((volume - median) / np.float32(deviation), *_SCORES).astype(np.float32)
    score[~brain] = 0
    return score


def eight_bit(volume: Float, top: float) -> npt.NDArray[np.uint8]:
    """Intensities in 256 steps: 0 and less become 0, ``top`` and more 255; halves go to even."""
    steps: npt.NDArray[np.uint8] = np.rint(unit_range(volume, top) * 255).astype(np.uint8)
    return steps


def top_hat(steps: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The bright spots of each slice: what an area opening takes away.

    Args:
        steps: (slice, row, column) of 8 bit.

    Returns:
        The slices less their area opening, same shape: 0 but in connected bright parts (pixels
        that share a side) of fewer than ``SPOT_PIXELS`` pixels.
    """
    from skimage import morphology  # takes a while to load, and few models need it

    opening: Callable[..., Any] = morphology.area_opening
    opened = [opening(plane, SPOT_PIXELS, connectivity=1) for plane in steps]
    spots: npt.NDArray[np.uint8] = steps - np.stack(opened)
    return spots


def _eight_bits(volumes: Volumes, fit: Fit, method: Preprocessing) -> dict[str, Float]:
    return {
        name: _centred(eight_bit(volume, brightest(volume, method, name=name)), fit)
        for name, volume in volumes.items()
    }


def _top_hats(volumes: Volumes, fit: Fit, method: Preprocessing) -> dict[str, Float]:
    """Of FLAIR alone: in T1 hyperintensities are dark."""
    volume = volumes["FLAIR"]
    steps = eight_bit(volume, brightest(volume, method, name="FLAIR"))
    return {"FLAIR": _centred(top_hat(steps), fit)}


def _centred(steps: npt.NDArray[np.uint8], fit: Fit) -> Float:
    return fit.forward(steps).astype(np.float32) - np.float32(MIDDLE)


def _units(volumes: Volumes, fit: Fit, method: Preprocessing) -> dict[str, Float]:
    return {
        name: fit.forward(unit_range(volume, brightest(volume, method, name=name)))
        for name, volume in volumes.items()
    }


_Maker = Callable[[Volumes, Fit, Preprocessing], Mapping[str, npt.NDArray[Any]]]
_MAKERS: dict[How, _Maker] = {
    "z-score": _z_scores,
    "8-bit": _eight_bits,
    "top-hat": _top_hats,
    "unit": _units,
}
