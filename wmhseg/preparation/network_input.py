"""From scans on one grid to the network's input: orient, scale, crop, normalise, pad.

This is the one place that makes channels of scans, as the preset's inputs say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wmhseg import geometry
from wmhseg.errors import GridMismatchError, MissingT1Error
from wmhseg.geometry import Fit, Grid, Way
from wmhseg.io.images import Scan
from wmhseg.preparation import intensity
from wmhseg.weights import store
from wmhseg.weights.inputs import How, Input
from wmhseg.weights.preset import Preprocessing, Preset

Float = npt.NDArray[np.float32]

LOST_SHARE = 0.02
"""A larger share of the head outside the network's field is warned of."""


@dataclass(frozen=True)
class NetworkInput:
    """A scan as the networks take it.

    Attributes:
        stacks: Port of the networks -> (slice, row, column, channel) float32.
        way: From the scan's array to the stack, and back; its first part turns the axes.
        scales: The finding about each modality's intensity scale, by name.
        warnings: Sentences for the report.
    """

    stacks: dict[str, Float]
    way: Way
    scales: dict[str, intensity.ScaleFinding]
    warnings: tuple[str, ...]

    @property
    def turned(self) -> Grid:
        """Grid of the scan's own voxels in the model's axes: where a mask is cut."""
        return self.way.parts[0].target


def _check_t1(chosen: Preset, flair: Scan, t1: Scan | None) -> None:
    """Raises unless T1 is there when the model needs it, on the FLAIR scan's grid."""
    if not chosen.takes_t1:
        return
    if t1 is None:
        if not chosen.works_without_t1:
            able = [m.preset.name for m in store.all_models() if m.preset.works_without_t1]
            raise MissingT1Error(
                f"A T1 image was expected: model {chosen.name} needs FLAIR and T1",
                received="FLAIR alone",
                advice="Without T1 use --model " + " or --model ".join(able) + "."
                if able
                else "No installed model works without T1.",
            )
        return
    difference = flair.grid.difference(t1.grid)
    if difference:
        raise GridMismatchError(
            "FLAIR and T1 on one voxel grid were expected",
            received=difference,
            advice="Register T1 to FLAIR and resample it to the FLAIR grid first.",
        )


def _scaled(
    volume: npt.NDArray[np.float32], name: str, threshold: float, mode: Literal["adapt", "keep"]
) -> tuple[npt.NDArray[np.float32], intensity.ScaleFinding, list[str]]:
    """Brings a volume to the challenge's scale, or only says that it is not on it."""
    warnings = []
    if intensity.is_wrapped(volume):
        defect = f"The {name} image holds unsigned 16-bit numbers stored as signed ones"
        if mode == "adapt":
            volume = intensity.unwrap(volume)
            warnings.append(f"{defect}: 65536 was added to its negative, really brightest, voxels.")
        else:
            warnings.append(f"{defect}; --intensity-scale adapt would repair its brightest voxels.")
    scale = intensity.check_scale(volume, threshold)
    if not scale.on_scale and mode == "adapt":
        volume = intensity.rescale(volume, scale.factor)
    elif not scale.on_scale:
        warnings.append(
            f"The {name} image is not on the challenge's intensity scale (masks agree to DSC "
            f"{scale.agreement:.2f}) and was not adapted; --intensity-scale adapt would multiply "
            f"it by {scale.factor:.4g}."
        )
    return volume, scale, warnings


def _field_warnings(fit: Fit, flair: npt.NDArray[np.float32]) -> list[str]:
    """Says when the network's field cuts part of the head off."""
    head = intensity.foreground(flair)
    lost = 1 - int(fit.crop(head).sum()) / max(1, int(head.sum()))
    if lost <= LOST_SHARE:
        return []
    rows, columns = fit.field
    return [
        f"{lost:.0%} of the head lies outside the {rows} x {columns} pixels that the network "
        "sees, and is left empty: resample the scan to pixels of about 1 mm."
    ]


# How channels are made ---------------------------------------------------------------------------

# Scan -> (slice, row, column): in the model's axes, on the intensity scale, cut at the ceiling.
Volumes = dict[str, Float]
# How -> scan -> (slice, row, column) on the network's field.
Made = Mapping[How, Mapping[str, npt.NDArray[Any]]]


def _z_scores(volumes: Volumes, fit: Fit, method: Preprocessing) -> Volumes:
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


_MAKERS: dict[How, Callable[[Volumes, Fit, Preprocessing], Volumes]] = {"z-score": _z_scores}


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
            if one.scan in made[one.how]:
                stacks[port][..., channel] = made[one.how][one.scan]
    return stacks


def prepare(
    flair: Scan,
    t1: Scan | None,
    chosen: Preset,
    *,
    intensity_scale: Literal["adapt", "keep"] = "adapt",
) -> NetworkInput:
    """Turns a scan into the network's input: orient, scale, crop, normalise, pad.

    Args:
        flair: The FLAIR scan.
        t1: The T1 scan on the same grid, or None; a model that takes FLAIR alone ignores it.
        chosen: What to do.
        intensity_scale: "adapt" or "keep", see ``segmentation.options.Options``.

    Returns:
        The stacks of all slices, and the way back.

    Raises:
        MissingT1Error: If the model needs T1 and there is none.
        GridMismatchError: If the grids differ.
        EmptyMaskError: If no voxel reaches the brain-mask threshold.
        ConstantImageError: If a scan is constant inside its mask.
    """
    _check_t1(chosen, flair, t1)
    method = chosen.preprocessing
    turn = geometry.turn_to(flair.grid, method.orientation)
    fit = Fit(turn.target, method.field)
    warnings = []
    scans = [flair] if t1 is None or not chosen.takes_t1 else [flair, t1]
    if t1 is None and chosen.takes_t1:
        warnings.append("No T1 was given: its channel was left empty.")

    volumes, scales = {}, {}
    for scan, threshold in zip(scans, (method.flair_threshold, method.t1_threshold), strict=False):
        volume = turn.forward(scan.array)
        # A modality without a threshold of its own has no scale either: z-scores undo any factor.
        if scan is flair or method.mask == "each":
            volume, scales[scan.name], doubts = _scaled(
                volume, scan.name, threshold, intensity_scale
            )
            warnings += doubts
        if method.ceiling is not None:
            volume = intensity.limit(volume, method.ceiling)
        volumes["FLAIR" if scan is flair else "T1"] = volume
    warnings += _field_warnings(fit, volumes["FLAIR"])
    ways = dict.fromkeys(one.how for one in chosen.inputs)
    made = {how: _MAKERS[how](volumes, fit, method) for how in ways}
    del volumes, volume  # the largest scans need the room
    return NetworkInput(stacked(made, chosen.inputs), Way((turn, fit)), scales, tuple(warnings))
