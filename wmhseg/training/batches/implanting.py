"""Lesions put into real scans: shapes as the synthesiser grows them, seen as that scan sees.

A lesion is added to what the scan shows, so the scan's own noise and texture stay as they are. It
stands out from white matter as the user's own lesions do, at least as far as the scan's noise lets
anything be seen; slices see it averaged over their thickness (partial volume), and its border
fades. It lies in white matter, rather where old people have lesions, and away from what is marked.

Work is done on z-scores as networks take them, which are intensities up to a factor and a shift:
the lowest score is that of air, intensity 0. Arrays are (slice, row, column[, channel]).

Processes that draw import this module, so it must not load Keras.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg.channels import brain_maps, location, placement
from wmhseg.channels.placement import Placement
from wmhseg.errors import RegistrationError
from wmhseg.geometry import Triple
from wmhseg.synthesis.acquisition import average
from wmhseg.synthesis.heads import FAR_MM
from wmhseg.synthesis.linear import slice_profile
from wmhseg.synthesis.noise import Noise, between
from wmhseg.synthesis.shapes import Canvas, LesionKind, millimetres
from wmhseg.training.plan import Implanting
from wmhseg.weights.inputs import Input

Float = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

MOST_SLICES = 24
"""Of scans with more, so many are drawn at once, spread evenly."""

_THICK_MM = 2.0  # slices from here on are averaged from three planes, thinner ones from two
_WHITE = 0.5  # probability of white matter where lesions may be put
_SURELY_WHITE = 0.8
_NEAR_WHITE = 4.0  # robust deviations from the middle of white matter that still are of it
_MARGIN_MM = 3.0  # around what is marked nothing is put
_LEAST_VOXELS = 10  # of lesions that tell how bright lesions are, and of white matter
_VISIBLE = 2.0  # a lesion stands out by at least so many standard deviations of the noise
_SPOT, _OVOID = LesionKind((0.9, 2.2)), LesionKind((1.5, 5.5))
_EVEN, _PRIOR = 0.02, 1.0  # how likely a place is: anywhere, and where old people have lesions


@dataclass(frozen=True)
class Brightness:
    """How far lesions stand out from white matter, relative to its brightness.

    Attributes:
        flair: Such as 0.5: half as bright again.
        t1: Such as -0.2: a fifth darker; 0 without T1.
    """

    flair: float
    t1: float


USUAL = Brightness(0.5, -0.1)
"""Where no lesion tells how bright lesions are."""


@dataclass(frozen=True)
class Site:
    """A scan that lesions can be put into; all arrays on the networks' voxels.

    Attributes:
        likely: (slice, row, column) float32: how likely a lesion lies there, 0 where none may.
        spacing_mm: Distance of slices, rows and columns.
        white: For FLAIR and T1, z-score of white matter less that of air: brightness 1. 0 without.
        noise: For FLAIR and T1, standard deviation of the noise, in z-scores.
        ceiling: For FLAIR and T1, the highest z-score.
        own: How the scan's own lesions stand out; None if it has none.
    """

    likely: Float
    spacing_mm: Triple
    white: tuple[float, float]
    noise: tuple[float, float]
    ceiling: tuple[float, float]
    own: Brightness | None = None


def usual(sites: Sequence[Site]) -> Brightness:
    """How lesions of some scans stand out: the median of those that have any."""
    known = [one.own for one in sites if one.own is not None]
    if not known:
        return USUAL
    flair, t1 = (float(np.median([getattr(b, n) for b in known])) for n in ("flair", "t1"))
    return Brightness(flair, t1)


def channels_of(inputs: Sequence[Input]) -> tuple[int, int | None]:
    """Channels of FLAIR and of T1; None without T1."""
    scans = [one.scan for one in inputs]
    return scans.index("FLAIR"), scans.index("T1") if "T1" in scans else None


def noise_of(volume: Float, where: Mask) -> float:
    """Standard deviation of the noise, from what is left of each pixel less its neighbours.

    The mask (1 -2 1; -2 4 -2; 1 -2 1) gives 0 on planes and parabolas along an axis; of white noise
    it gives 6 times the standard deviation, which is read from the median of absolute values.

    Args:
        volume: (slice, row, column).
        where: Same shape; where it is looked at.

    Reference:
        J. Immerkaer. Fast noise variance estimation. Computer Vision and Image Understanding 64
        (1996) 300-302.
    """
    if not where.any():
        return 0.0
    left = volume
    for axis in (1, 2):
        left = ndimage.correlate1d(left, [1.0, -2.0, 1.0], axis=axis, mode="nearest")
    return float(np.median(np.abs(left[where])) / 0.6745 / 6)


def site(stack: Float, marked: Mask, inputs: Sequence[Input], spacing_mm: Triple) -> Site:
    """Finds where and how lesions can be put into a scan.

    Args:
        stack: (slice, row, column, channel) z-scores, axial slices in LPS order.
        marked: (slice, row, column): its own lesions.
        inputs: What the channels are.
        spacing_mm: Distance of slices, rows and columns.

    Raises:
        RegistrationError: If it cannot be placed in the average brain.
    """
    first, second = channels_of(inputs)
    flair = stack[..., first] - stack[..., first].min()
    t1 = None if second is None else stack[..., second]
    t1 = t1 - t1.min() if t1 is not None and t1.any() else None
    placed = _placed(flair, t1, spacing_mm)
    maps = brain_maps.load()
    white, prior = (
        placement.mapped(volume, maps, placed, flair.shape, spacing_mm)
        for volume in (maps.white_matter, maps.wmh)
    )
    around = ndimage.distance_transform_edt(~marked, spacing_mm) if marked.any() else None
    free = np.ones(flair.shape, bool) if around is None else around > _MARGIN_MM
    scans = [flair] if t1 is None else [flair, t1]
    return _site(scans, (white, prior), marked, free, spacing_mm)


def _placed(flair: Float, t1: Float | None, spacing_mm: Triple) -> Placement:
    """Where a scan lies in the average brain, by T1 or by FLAIR, whichever is more like it.

    That its axes are what the header says is taken for granted, as everywhere in training; what is
    not white matter after all is left out by its brightness.
    """
    maps = brain_maps.load()
    scans = {"FLAIR": flair} if t1 is None else {"T1": t1, "FLAIR": flair}
    placed = [placement.place(scan, spacing_mm, maps, name) for name, scan in scans.items()]
    best = max(placed, key=lambda one: one.quality)
    sizes = best.sizes
    fits = max(sizes.max(), 1 / sizes.min()) <= location.LARGEST
    if best.quality < location.LEAST_LIKENESS or not fits:
        raise RegistrationError(
            "A head that can be registered to the average brain was expected",
            received=f"a likeness of {best.quality:.2f}, where {location.LEAST_LIKENESS:g} is the "
            f"least, and {sizes.round(2).tolist()} times its height, depth and width",
        )
    return best


def _site(
    scans: Sequence[Float],
    maps: tuple[Float, Float],
    marked: Mask,
    free: Mask,
    spacing_mm: Triple,
) -> Site:
    """The site of scans whose air is 0 and whose maps of white matter and prior are known."""
    white, prior = maps
    sure = (white > _SURELY_WHITE) & free
    if np.count_nonzero(sure) < _LEAST_VOXELS:
        sure = (white > _WHITE) & free
    allowed = (white > _WHITE) & free
    middles, noises = [], []
    for volume in scans:
        values = volume[sure]
        middle = float(np.median(values)) if values.size else 0.0
        spread = 1.4826 * float(np.median(np.abs(values - middle))) if values.size else 0.0
        allowed &= np.abs(volume - middle) <= _NEAR_WHITE * spread
        middles.append(middle)
        noises.append(noise_of(volume, sure))
    likely = np.where(allowed, _EVEN + _PRIOR * np.sqrt(np.clip(prior, 0, 1)), 0)
    own = None
    if np.count_nonzero(marked) >= _LEAST_VOXELS and middles[0] > 0:
        stand = [
            float(np.median(volume[marked])) / middle - 1 if middle > 0 else 0.0
            for volume, middle in zip(scans, middles, strict=True)
        ]
        if stand[0] > 0:
            own = Brightness(stand[0], stand[1] if len(stand) > 1 else 0.0)
    pad = (0.0,) * (2 - len(scans))
    tops = [float(volume.max()) for volume in scans]
    return Site(
        likely.astype(np.float32),
        spacing_mm,
        _pair((*middles, *pad)),
        _pair((*noises, *pad)),
        _pair((*tops, *pad)),
        own,
    )


def _pair(values: Sequence[float]) -> tuple[float, float]:
    first, second = values
    return first, second


@dataclass(frozen=True)
class Implanted:
    """Some slices of a scan with lesions put into them.

    Attributes:
        slices: Which slices of the scan these are.
        stack: (slice, row, column, channel) z-scores.
        lesions: (slice, row, column) what was put in, where it is marked.
    """

    slices: npt.NDArray[np.intp]
    stack: Float
    lesions: Mask


def implant(
    rng: np.random.Generator,
    stack: npt.NDArray[np.floating],
    where: Site,
    how: tuple[Implanting, Brightness],
    inputs: Sequence[Input],
) -> Implanted:
    """Puts lesions into a scan.

    Args:
        rng: Source of randomness.
        stack: (slice, row, column, channel) z-scores, all slices; not changed.
        where: Of this scan.
        how: Ranges, and how far lesions of these scanners stand out where the scan has none.
        inputs: What the channels are.

    Returns:
        All slices, or of more than ``MOST_SLICES`` so many, spread evenly.
    """
    ranges, others = how
    slices = _some_slices(rng, len(stack))
    low, high = ranges.load_ml
    # Of slices far apart each shows a part of the lesions that would lie between them.
    volume_ml = low * (high / low) ** rng.random() * (len(slices) / len(stack)) ** 0.5
    strength = _strength(rng, where, slices, volume_ml, ranges.softness_mm)
    factor = between(rng, *ranges.brightness)
    out = np.array(stack[slices], np.float32)
    own = where.own or others
    raised = raise_by(own, factor, where)
    first, second = channels_of(inputs)
    for channel, rise, white, top in zip(
        (first, second), raised, where.white, where.ceiling, strict=True
    ):
        if channel is None or white <= 0:
            continue
        air = float(stack[..., channel].min())
        out[..., channel] = np.minimum(out[..., channel] + rise * strength, air + top)
    return Implanted(slices, out, strength >= ranges.marked)


def raise_by(own: Brightness, factor: float, where: Site) -> tuple[float, float]:
    """What a lesion adds to the z-scores of FLAIR and T1 where it is full.

    In FLAIR it is bright, by at least ``_VISIBLE`` standard deviations of the noise.

    Args:
        own: How lesions stand out from white matter.
        factor: On that.
        where: The scan.
    """
    flair = factor * own.flair * where.white[0]
    return max(flair, _VISIBLE * where.noise[0]), factor * own.t1 * where.white[1]


def _some_slices(rng: np.random.Generator, count: int) -> npt.NDArray[np.intp]:
    """All slices, or every so-manyth of more than ``MOST_SLICES`` from a random one on."""
    if count <= MOST_SLICES:
        return np.arange(count)
    step = count / MOST_SLICES
    places = (np.arange(MOST_SLICES) + rng.random()) * step
    return places.astype(np.intp)


def _strength(
    rng: np.random.Generator,
    where: Site,
    slices: npt.NDArray[np.intp],
    volume_ml: float,
    softness_mm: tuple[float, float],
) -> Float:
    """How much of a voxel is lesion, 0 to 1, as slices of their thickness see it."""
    likely = where.likely[slices]
    thickness, row_mm, column_mm = where.spacing_mm
    parts = 3 if thickness >= _THICK_MM else 2
    offset = ((np.arange(parts) + 0.5) / parts - 0.5) * thickness
    axes = [
        (slices[:, None] * thickness + offset).ravel().astype(np.float32),
        (np.arange(likely.shape[1]) * row_mm).astype(np.float32),
        (np.arange(likely.shape[2]) * column_mm).astype(np.float32),
    ]
    if not (likely > 0).any():
        return np.zeros(likely.shape, np.float32)
    # Distances are of interest where lesions may be, and a little around it.
    rows, columns = (
        slice(max(0, int(held[0]) - 4), int(held[-1]) + 5)
        for held in (np.flatnonzero(likely.any(axis)) for axis in ((0, 2), (0, 1)))
    )
    part = likely[:, rows, columns]
    planes = np.repeat(part, parts, 0)
    axes = [axes[0], axes[1][rows], axes[2][columns]]
    noise = Noise(rng, axes)
    grown = rng.random() < 0.6
    spots = not grown or rng.random() < 0.6
    split = between(rng, 0.3, 0.9) if spots and grown else float(grown)
    # What the slices between those drawn would hold is not drawn.
    inside = np.full(planes.shape, -FAR_MM, np.float32)
    if grown:
        inside = _grown(rng, noise, planes, split * volume_ml * 1000, where.spacing_mm, parts)
    if spots:
        canvas = Canvas(axes, thickness)
        places = _places(rng, planes)
        kind = _SPOT if rng.random() < 0.5 else _OVOID
        canvas.add(rng, kind, places, (1 - split) * volume_ml)
        inside = np.maximum(inside, millimetres(canvas.inside))
    inside += between(rng, 0.1, 0.5) * noise(between(rng, 3, 7)) * (inside > -FAR_MM)
    soft = between(rng, *softness_mm)
    full = np.clip(0.5 + inside / soft, 0, 1) * (planes > 0)
    seen = average(full.astype(np.float32), parts, slice_profile(parts, between(rng, 0, 1)))
    out = np.zeros(likely.shape, np.float32)
    out[:, rows, columns] = seen
    return out


def _grown(
    rng: np.random.Generator,
    noise: Noise,
    likely: Float,
    volume_mm3: float,
    spacing_mm: Triple,
    parts: int,
) -> Float:
    """Lesions grown from noise where they are likely: distances in mm, about this volume."""
    score = between(rng, 1.0, 4.0) * likely
    score = score + between(rng, 0.3, 0.8) * noise(between(rng, 9, 25))
    score = score + between(rng, 0.1, 0.4) * noise(between(rng, 4, 9))
    held = score[likely > 0]
    point_mm3 = float(np.prod(spacing_mm)) / parts
    count = int(np.clip(round(volume_mm3 / point_mm3), 1, max(1, held.size // 3)))
    level = float(np.partition(held, held.size - count)[held.size - count])
    made: Float = np.clip((score - level) * 2.5, -FAR_MM, 15.0).astype(np.float32)
    return made


def _places(rng: np.random.Generator, likely: Float) -> npt.NDArray[np.intp]:
    """Points to choose centres from, the likely ones more often; (place, axis)."""
    flat = likely.ravel()
    held = np.flatnonzero(flat)
    weight = np.cumsum(flat[held], dtype=np.float64)
    chosen = held[np.searchsorted(weight, rng.random(200) * weight[-1], side="right")]
    return np.stack(np.unravel_index(chosen, likely.shape), -1)
