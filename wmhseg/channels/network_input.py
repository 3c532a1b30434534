"""From scans on one grid to the network's input: orient, scale, crop, make channels, pad."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from wmhseg import geometry
from wmhseg.channels import location, making
from wmhseg.channels.making import Made
from wmhseg.errors import GridMismatchError, MissingT1Error
from wmhseg.geometry import Fit, Grid, Way
from wmhseg.io.images import Scan
from wmhseg.preparation import intensity, t1_coverage, wrapped
from wmhseg.preparation.sizes import SKIN_AND_BONE_MM
from wmhseg.preparation.steps import LARGEST_PIXEL_MM
from wmhseg.preparation.t1_coverage import Unseen
from wmhseg.weights import store
from wmhseg.weights.inputs import Input
from wmhseg.weights.methods import TRAINING_PIXEL_MM, is_published
from wmhseg.weights.preset import Preset
from wmhseg.weights.processing import Preprocessing, padded_field

Float = npt.NDArray[np.float32]

LOST_SHARE = 0.02
"""A larger share of the head outside the network's field is warned of."""

# Of the voxels in the fullest row, column or slice: less of them are specks, or no head.
_SPECKS, _LEAST_HEAD = 0.01, 0.01
_LEAST_DEEP = 0.002


@dataclass(frozen=True)
class Alone:
    """Slices of which T1 shows a part: the rest is judged as if there were no T1.

    Attributes:
        slices: Their places in the stacks.
        stacks: The same slices with T1's channels empty.
        where: (slice, row, column) where these count.
    """

    slices: npt.NDArray[np.intp]
    stacks: dict[str, Float]
    where: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class NetworkInput:
    """A scan as the networks take it.

    Attributes:
        stacks: Port of the networks -> (slice, row, column, channel) float32.
        way: From the scan's array to the stack, and back; its first part turns the axes.
        scales: The finding about each modality's intensity scale, by name.
        warnings: Sentences for the report.
        head: The slices of the stacks that hold the head, from the first to the last; None if
            nobody looked.
        unknown: Where nothing is known of FLAIR, on the scan's own voxels in the file's order, so
            that nothing may be marked; None: nowhere.
        alone: What is computed a second time without T1; None: nothing.
        within: Where alone something may be marked, (slice, row, column) of the stacks; None:
            everywhere.
    """

    stacks: dict[str, Float]
    way: Way
    scales: dict[str, intensity.ScaleFinding]
    warnings: tuple[str, ...]
    head: slice | None = None
    unknown: npt.NDArray[np.bool_] | None = None
    alone: Alone | None = None
    within: npt.NDArray[np.bool_] | None = None

    @property
    def turned(self) -> Grid:
        """Grid of the scan's own voxels in the model's axes: where a mask is cut."""
        return self.way.parts[0].target

    @property
    def turned_head(self) -> slice | None:
        """The slices that hold the head, on the grid ``turned``."""
        slices, own = self.way.target.shape[0], self.turned.shape[0]
        if self.head is None or slices == own:
            return self.head
        # Both grids have one centre.
        ratio = self.way.target.spacing_mm[0] / self.turned.spacing_mm[0]
        first, last = (
            round((place - slices / 2) * ratio + own / 2)
            for place in (self.head.start, self.head.stop)
        )
        return slice(max(0, first), min(own, last))


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
        if mode == "adapt":
            volume = intensity.unwrap(volume)
            warnings.append(wrapped.warning(name))
        else:
            warnings.append(
                f"{wrapped.defect(name)}; --intensity-scale adapt would repair its brightest "
                "voxels."
            )
    scale = intensity.check_scale(volume, threshold)
    if not scale.on_scale and mode == "adapt":
        volume = intensity.rescale(volume, scale.factor)
    elif not scale.on_scale:
        warnings.append(
            f"The {name} image is darker or brighter than the scans that the method was made for: "
            f"its brain mask would be another (DSC {scale.agreement:.2f}). Nothing was changed; "
            f"--intensity-scale adapt would multiply it by {scale.factor:.4g}."
        )
    return volume, scale, warnings


def _lost(fit: Fit, head: npt.NDArray[np.bool_]) -> float:
    """Share of the head that lies outside the field."""
    return 1 - int(fit.crop(head).sum()) / max(1, int(head.sum()))


def _span(counts: npt.NDArray[np.intp], least: float) -> slice:
    """From the first to the last place with more than a share of the most."""
    held = np.flatnonzero(counts > least * counts.max(initial=0))
    return slice(int(held[0]), int(held[-1]) + 1) if held.size else slice(0, len(counts))


def _spans(head: npt.NDArray[np.bool_]) -> list[int]:
    """How many rows and columns the head takes, but for specks."""
    spans = (_span(head.sum(others), _SPECKS) for others in ((0, 2), (0, 1)))
    return [span.stop - span.start for span in spans]


def _centred(fit: Fit, head: npt.NDArray[np.bool_]) -> Fit:
    """The field with its middle on the head; what does not fit is lost alike at both sides."""
    shift = []
    for axis, (size, field) in enumerate(zip(head.shape[1:], fit.field, strict=True), start=1):
        span = _span(head.sum(tuple({0, 1, 2} - {axis})), _SPECKS)
        middle = (span.start + span.stop - field) // 2
        shift.append(middle - (size - field) // 2 if size > field else 0)
    return replace(fit, shift=(shift[0], shift[1]))


def _fit(grid: Grid, head: npt.NDArray[np.bool_], method: Preprocessing) -> tuple[Fit, list[str]]:
    """The network's field on a scan; says when it cuts part of the head off."""
    if method.field is None:
        return Fit(grid, padded_field(grid.shape[1], grid.shape[2])), []
    fit = Fit(grid, method.field)
    lost = _lost(fit, head)
    centred = _centred(fit, head)
    better = lost > LOST_SHARE and _lost(centred, head) < lost
    if better and method.centre == "head":
        fit, lost = centred, _lost(centred, head)
    if lost <= LOST_SHARE:
        return fit, []
    return fit, [_lost_warning(fit, head, lost, moving=better and method.centre != "head")]


def _lost_warning(fit: Fit, head: npt.NDArray[np.bool_], lost: float, *, moving: bool) -> str:
    """Says how much of the head is not seen, whether it may be brain, and what to do about it."""
    _, *sides = fit.source.spacing_mm
    # A part of the head that reaches further out than this is more than skin and bone.
    wider = [n + 2 * round(SKIN_AND_BONE_MM / mm) for n, mm in zip(fit.field, sides, strict=True)]
    deep = _lost(replace(fit, field=(wider[0], wider[1])), head)
    if deep < _LEAST_DEEP:
        what = (
            f"skin and bone rather than brain, as it reaches less than {SKIN_AND_BONE_MM:.0f} mm "
            "beyond them (unless the skull has been removed)"
        )
    else:
        what = "with brain, perhaps"
    rows, columns = fit.field
    needed = max(
        span * mm / n
        for span, mm, n in zip(_spans(head), fit.source.spacing_mm[1:], fit.field, strict=True)
    )
    side = math.ceil(needed * 20 - 1e-6) / 20
    advice = "crop the scan at its empty sides, so that the head lies in the middle"
    if not moving and side <= LARGEST_PIXEL_MM:
        coarse = side > TRAINING_PIXEL_MM[1]
        advice = f"--pixel-size {side:g} would show all of it"
        advice += ", with pixels coarser than any in training" * coarse
    elif not moving:
        advice = "crop the scan to the head"
    return (
        f"{lost:.0%} of the head lies outside the {rows} x {columns} pixels that the network "
        f"sees, and is left empty: {what}. To change that: {advice}."
    )


def prepare(
    flair: Scan,
    t1: Scan | None,
    chosen: Preset,
    *,
    intensity_scale: Literal["adapt", "keep"] = "adapt",
    t1_seen: npt.NDArray[np.bool_] | None = None,
) -> NetworkInput:
    """Turns a scan into the network's input: orient, scale, crop, normalise, pad.

    Args:
        flair: The FLAIR scan.
        t1: The T1 scan on the same grid, or None; a model that takes FLAIR alone ignores it.
        chosen: What to do.
        intensity_scale: "adapt" or "keep", see ``segmentation.options.Options``.
        t1_seen: T1's field of view on the same grid; None if nobody knows.

    Returns:
        The stacks of all slices, and the way back.

    Raises:
        MissingT1Error: If the model needs T1 and there is none.
        GridMismatchError: If the grids differ.
        EmptyMaskError: If no voxel reaches the brain-mask threshold.
        ConstantImageError: If a scan is constant inside its mask.
        RegistrationError: If the model is told where voxels lie in the brain, and that is not
            found.
    """
    _check_t1(chosen, flair, t1)
    method = chosen.preprocessing
    turn = geometry.turn_to(flair.grid, method.orientation)
    warnings = []
    scans = [flair] if t1 is None or not chosen.takes_t1 else [flair, t1]

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
    head = intensity.foreground(volumes["FLAIR"])
    fit, doubts = _fit(turn.target, head, method)
    warnings += doubts
    located = None
    if chosen.takes_location:
        located = location.features(volumes["FLAIR"], volumes.get("T1"), turn.target.spacing_mm)
    made = making.made(volumes, fit, chosen, located)
    alone = None
    if "T1" in volumes:
        seen = None if t1_seen is None else turn.forward(t1_seen)
        unseen = t1_coverage.find(head, volumes["T1"], seen)
        warnings += _unseen_told(unseen, chosen)
        if _without_t1_where_unseen(chosen):
            alone = _alone(made, unseen, fit, chosen.inputs)
    del volumes, volume  # the largest scans need the room
    way, slices = Way((turn, fit)), _span(head.sum((1, 2)), _LEAST_HEAD)
    stacks = making.stacked(made, chosen.inputs)
    within = None if located is None else fit.forward(located.brain)
    return NetworkInput(stacks, way, scales, tuple(warnings), slices, alone=alone, within=within)


def _without_t1_where_unseen(chosen: Preset) -> bool:
    return chosen.works_without_t1 and not is_published(chosen)


def _alone(made: Made, unseen: Unseen, fit: Fit, inputs: Sequence[Input]) -> Alone | None:
    """Empties T1's channels where T1 has no data, as those of FLAIR alone."""
    of_t1 = [scans["T1"] for scans in made.values() if "T1" in scans]
    for volume in of_t1:
        volume[unseen.slices] = 0
    if unseen.parts is None:
        return None
    where = fit.forward(unseen.parts)
    for volume in of_t1:  # the mean, as where T1 is not given: darkness means fluid
        volume[where] = 0
    slices = np.flatnonzero(where.any((1, 2)))
    if not slices.size:  # beyond the network's field
        return None
    without = {
        how: {scan: volume for scan, volume in scans.items() if scan != "T1"}
        for how, scans in made.items()
    }
    stacks = making.stacked(without, inputs)
    return Alone(slices, {port: stack[slices] for port, stack in stacks.items()}, where[slices])


def _unseen_told(unseen: Unseen, chosen: Preset) -> list[str]:
    """Says in how many slices T1 has no data; of slices emptied in the end there is nothing."""
    cut = int(len(unseen.slices) * chosen.postprocessing.end_slices)
    inner = slice(cut, len(unseen.slices) - cut)
    whole, part = int(unseen.slices[inner].sum()), int(unseen.partly[inner].sum())
    if not whole + part:
        return []
    where = [f"in {whole} slice{'s' * (whole > 1)} of the head"] * bool(whole)
    where += [f"in a part of {part} slice{'s' * (part > 1)}"] * bool(part)
    nothing = f"T1 has no data {' and '.join(where)}"
    if not _without_t1_where_unseen(chosen):
        return [f"{nothing}, and the networks take that for darkness: do not trust the mask there."]
    return [f"{nothing}: FLAIR alone was used there."]
