"""Rigid registration of T1 to FLAIR, with a score that tells whether it succeeded.

The search maximises Mattes' mutual information over three rotations and three shifts, on three
levels of resolution. It starts where the headers put the two scans and where the centres of the
heads coincide; if what it finds does not look right, it starts again from turned heads.

Mutual information says which of two positions of one pair is better, but not whether a pair fits
at all: its height depends on noise, resolution and skull-stripping. Success is judged by the
*edge agreement* instead: how much better edges of T1 run along edges of FLAIR than they do when T1
is shifted by 15 mm.

Nothing depends on time or on the number of threads: ITK uses one, and samples have a seed.

Physical coordinates are LPS millimetres.

References:
    D. Mattes et al., IEEE TMI 22 (2003) 120-128 (mutual information, in ITK).
    E. Haber, J. Modersitzki, MICCAI 2006, LNCS 4191, 726-733 (normalised gradient fields).
"""

# SimpleITK comes without type hints.
# mypy: untyped-calls-exclude="SimpleITK"

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from wmhseg.geometry import Grid, Triple
from wmhseg.io import images
from wmhseg.io.images import Scan
from wmhseg.io.nifti import Header
from wmhseg.io.progress import Part, Tally
from wmhseg.preparation import intensity
from wmhseg.preparation.itk_threads import one_thread

LEAST_AGREEMENT = 0.065
"""Lowest edge agreement of a registration that is believed; see evaluation/registration.py."""

# Level: voxels of about so many mm, first step of the search, the step at which it ends.
_LEVELS = ((6.0, 2.0, 0.1), (3.0, 0.5, 0.05), (2.0, 0.25, 0.02))
_SAMPLES = 120_000
_BINS = 32
_SEED = 1
_STEPS = 20
_BRIGHTEST_PERCENTILE = 99.0
_HEAD_RADIUS_MM = 80.0  # a turn of 1 rad moves the rim of the head so far
_TURNS_DEG = (-30.0, -15.0, 15.0, 30.0)
_REFINED = 2
_COARSE_PARTS, _FINE_PARTS = 10, 70  # of a ``Tally``: about a tenth of a second each
_CHANCE_SHIFT_MM = 15.0
# Share of a voxel's weight that has to come from what a scan shows.
_SHOWN = 0.75
_FWHM = 2.355  # full width at half maximum of a Gaussian of standard deviation 1

Array = npt.NDArray[Any]


def _parts(starts: int, refined: int) -> int:
    return _COARSE_PARTS * starts + _FINE_PARTS * refined * (len(_LEVELS) - 1)


PARTS = _parts(2, 1)
"""Of a ``Tally``, for a search that succeeds at once: to be planned by whoever starts it."""


@dataclass(frozen=True)
class Rigid:
    """A rigid move that takes a point of FLAIR to the point of T1 with the same anatomy.

    Attributes:
        rotation_rad: Angles about x, y and z (ITK's Euler3DTransform, order ZXY).
        shift_mm: Shift after the rotation, (x, y, z).
        centre_mm: Fixed point of the rotation.
    """

    rotation_rad: Triple = (0.0, 0.0, 0.0)
    shift_mm: Triple = (0.0, 0.0, 0.0)
    centre_mm: Triple = (0.0, 0.0, 0.0)

    def transform(self) -> sitk.Euler3DTransform:
        """Returns the move as SimpleITK takes it."""
        return sitk.Euler3DTransform(self.centre_mm, *self.rotation_rad, self.shift_mm)

    def moved_mm(self, point_mm: Triple) -> Triple:
        """Where a point (x, y, z) of FLAIR lies in T1."""
        x, y, z = self.transform().TransformPoint(point_mm)
        return x, y, z

    @property
    def angle_deg(self) -> float:
        """Angle of the rotation about its own axis."""
        trace = float(np.trace(np.array(self.transform().GetMatrix()).reshape(3, 3)))
        return math.degrees(math.acos(min(1.0, max(-1.0, (trace - 1) / 2))))

    @property
    def distance_mm(self) -> float:
        """How far the centre moves."""
        return math.hypot(*self.shift_mm)


@dataclass(frozen=True)
class T1Place:
    """Where the voxels of a T1 scan lie in the head that FLAIR shows.

    Attributes:
        grid: T1's own grid.
        move: From FLAIR to T1.
        header: What T1's file says, None if it came from memory.
    """

    grid: Grid
    move: Rigid
    header: Header | None = None


@dataclass(frozen=True)
class Registration:
    """A finished search.

    Attributes:
        move: From FLAIR to T1.
        agreement: Edge agreement at that position; about 0 for scans that have nothing in common.
        start: Where the search that was best had started.
        starts: How many starts were tried.
    """

    move: Rigid
    agreement: float
    start: str
    starts: int

    @property
    def succeeded(self) -> bool:
        """Whether the scans look like one head in one place."""
        return self.agreement >= LEAST_AGREEMENT


def register(flair: Scan, t1: Scan, tally: Tally | None = None) -> Registration:
    """Finds the rigid move between two scans of one head.

    Args:
        flair: The scan that stays.
        t1: The other, on any grid.
        tally: Is told how far it is.

    Returns:
        The best registration found; ask ``succeeded`` before it is used.
    """
    fixed, moving = _limited(flair), _limited(t1)
    pyramid = [(_coarse(fixed, mm), _coarse(moving, mm)) for mm, _, _ in _LEVELS]
    centres = _centre_of_head(pyramid[0][0]), _centre_of_head(pyramid[0][1])
    apart = tuple(b - a for a, b in zip(*centres, strict=True))
    header = Rigid(centre_mm=centres[0])
    heads = Rigid(shift_mm=(apart[0], apart[1], apart[2]), centre_mm=centres[0])

    tally = tally or Tally()
    starts = [("header", header), ("centres of the heads", heads)]
    best = _search(pyramid, starts, 1, tally)
    tried = 2
    if not best.succeeded:
        turned = list(_turned(heads))
        tally.plan(_parts(len(turned), _REFINED))
        again = _search(pyramid, turned, _REFINED, tally)
        tried += len(turned)
        best = max(best, again, key=lambda found: found.agreement)
    return Registration(best.move, best.agreement, best.start, tried)


def edge_agreement(flair: Scan, t1: Scan, move: Rigid | None = None) -> float:
    """Tells how well the edges of two scans coincide, beyond what chance gives.

    Args:
        flair: The scan that stays.
        t1: The other, on any grid.
        move: From FLAIR to T1; None where their headers put them.

    Returns:
        Mean squared cosine between the gradients inside the head, damped where one of them is
        weak, minus the same with T1 shifted by 15 mm: about 0 for scans that have nothing in
        common, 0.08 to 0.13 for a pair in place.
    """
    mm = _LEVELS[-1][0]
    fixed, moving = _coarse(_limited(flair), mm), _coarse(_limited(t1), mm)
    return _agreement(fixed, moving, move or Rigid())


def resample(scan: Scan, grid: Grid, move: Rigid | None = None) -> Scan:
    """Brings a scan onto another grid, linearly; finer voxels are averaged to the coarser ones.

    Args:
        scan: The scan.
        grid: Where values are wanted.
        move: From points of the grid to points of the scan; None for none.

    Returns:
        The scan on the grid; the scan's lowest value outside its field of view.
    """
    low = float(scan.array.min())
    soft = _softened(images.to_image(scan.array, scan.grid), grid)
    transform = (move or Rigid()).transform()
    sampled = _sampled(soft, grid, transform, low)
    return Scan(sampled, grid, scan.name)


def field_of_view(known: Scan, grid: Grid, move: Rigid | None = None) -> npt.NDArray[np.bool_]:
    """Tells which voxels of another grid lie in what a scan shows.

    Args:
        known: 1 where the scan shows something, else 0.
        grid: The other grid.
        move: From points of the grid to points of the scan; None for none.
    """
    image = images.to_image(known.array, known.grid)
    transform = (move or Rigid()).transform()
    inside: npt.NDArray[np.bool_] = _sampled(image, grid, transform, 0.0) > _SHOWN
    return inside


def on_t1_grid(
    values: npt.NDArray[np.float32], grid: Grid, place: T1Place
) -> npt.NDArray[np.float32]:
    """Brings values from FLAIR's grid to T1's, linearly; 0 outside.

    Args:
        values: (slice, row, column) on ``grid``.
        grid: FLAIR's.
        place: T1's.

    Returns:
        (slice, row, column) on T1's grid.
    """
    back = place.move.transform().GetInverse()
    return _sampled(images.to_image(values, grid), place.grid, back, 0.0)


def covered_share(flair: Scan, t1: Scan, move: Rigid) -> float:
    """Tells which share of the head in FLAIR lies inside T1's field of view.

    Args:
        flair: The scan that stays.
        t1: The other.
        move: From FLAIR to T1.
    """
    fixed = _coarse(_limited(flair), _LEVELS[0][0])
    head = intensity.foreground(sitk.GetArrayFromImage(fixed))
    view = images.to_image(np.ones(t1.array.shape, np.uint8), t1.grid)
    seen = sitk.Resample(view, fixed, move.transform(), sitk.sitkNearestNeighbor, 0)
    inside = sitk.GetArrayViewFromImage(seen)[head]
    return float(inside.mean()) if inside.size else 0.0


# The search -------------------------------------------------------------------------------------


def _turned(heads: Rigid) -> Iterable[tuple[str, Rigid]]:
    """Starts with the head turned about each axis."""
    for axis, name in enumerate("xyz"):
        for angle in _TURNS_DEG:
            rotation = [0.0, 0.0, 0.0]
            rotation[axis] = math.radians(angle)
            turned = (rotation[0], rotation[1], rotation[2])
            yield (
                f"{angle:+.0f} degrees about {name}",
                Rigid(turned, heads.shift_mm, heads.centre_mm),
            )


def _search(
    pyramid: list[tuple[sitk.Image, sitk.Image]],
    starts: list[tuple[str, Rigid]],
    refined: int,
    tally: Tally,
) -> Registration:
    """Searches from every start on the coarsest level, and goes on from the best."""
    coarse = []
    for name, start in starts:
        part = tally.part(_COARSE_PARTS)
        move, information = _climb(pyramid[0], start, _LEVELS[0], part)
        part.finish()
        coarse.append((information, name, move))
    coarse.sort(key=lambda one: -one[0])  # stable: the earlier start of equal ones
    found = []
    for _, name, move in coarse[:refined]:
        for level, pair in zip(_LEVELS[1:], pyramid[1:], strict=True):
            part = tally.part(_FINE_PARTS)
            move, _ = _climb(pair, move, level, part)
            part.finish()
        found.append(Registration(move, _agreement(*pyramid[-1], move), name, len(starts)))
    return max(found, key=lambda one: one.agreement)


def _climb(
    pair: tuple[sitk.Image, sitk.Image],
    start: Rigid,
    level: tuple[float, float, float],
    part: Part,
) -> tuple[Rigid, float]:
    """Climbs to the nearest maximum of mutual information; -inf where the scans do not meet."""
    fixed, moving = pair
    _, first, last = level
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    share = min(1.0, _SAMPLES / fixed.GetNumberOfPixels())
    method.SetMetricSamplingPercentage(share, _SEED)
    method.SetMetricFixedMask(_head(fixed))
    method.SetInterpolator(sitk.sitkLinear)
    # Powell's line searches need no gradient: with a mask, and heads that leave the field of view,
    # following the gradient that ITK gives lowered the information on real scans.
    method.SetOptimizerAsPowell(_STEPS, _STEPS, first, last, 1e-5)
    method.SetOptimizerScales([_HEAD_RADIUS_MM**2] * 3 + [1.0] * 3)
    found = start.transform()
    method.SetInitialTransform(found, inPlace=True)
    method.AddCommand(sitk.sitkIterationEvent, part.step)
    try:
        with one_thread():
            method.Execute(fixed, moving)
    except RuntimeError:  # too few points of the head fall into the other scan
        return start, -math.inf
    a, b, c, x, y, z = found.GetParameters()
    return Rigid((a, b, c), (x, y, z), start.centre_mm), -float(method.GetMetricValue())


def _limited(scan: Scan) -> sitk.Image:
    """The scan without negative numbers and its brightest ones, so that tissue fills the bins."""
    head = scan.array[intensity.foreground(scan.array)]
    sample = head[:: max(1, head.size // 200_000)]
    top = float(np.percentile(sample, _BRIGHTEST_PERCENTILE)) if sample.size else None
    return images.to_image(np.clip(scan.array, 0, top), scan.grid)


def _coarse(image: sitk.Image, mm: float) -> sitk.Image:
    """Averages blocks of voxels to about ``mm``; thicker ones stay."""
    factors = [
        max(1, min(round(mm / size), count // 2))
        for size, count in zip(image.GetSpacing(), image.GetSize(), strict=True)
    ]
    shrunk: sitk.Image = sitk.BinShrink(image, factors)
    return shrunk


def _head(image: sitk.Image) -> sitk.Image:
    """Mask of the head: air has nothing to say about the position."""
    mask = intensity.fill_holes(intensity.foreground(sitk.GetArrayFromImage(image)))
    made = sitk.GetImageFromArray(mask.astype(np.uint8))
    made.CopyInformation(image)
    return made


def _centre_of_head(image: sitk.Image) -> Triple:
    """Centre of gravity of the head's mask; of the field of view when there is none."""
    mask = sitk.GetArrayFromImage(_head(image)) > 0
    index = [(n - 1) / 2 for n in image.GetSize()]
    if mask.any():
        index = [float(i) for i in ndimage.center_of_mass(mask)][::-1]
    x, y, z = image.TransformContinuousIndexToPhysicalPoint(index)
    return x, y, z


# The score --------------------------------------------------------------------------------------


def _agreement(fixed: sitk.Image, moving: sitk.Image, move: Rigid) -> float:
    placed = sitk.Resample(moving, fixed, move.transform(), sitk.sitkLinear, 0.0)
    head = sitk.GetArrayFromImage(_head(fixed)) > 0
    inner: npt.NDArray[np.bool_] = ndimage.binary_erosion(head, iterations=2)
    if not inner.any():
        return 0.0
    spacing = fixed.GetSpacing()[::-1]
    a, b = (_directions(sitk.GetArrayFromImage(i), spacing, inner) for i in (fixed, placed))
    own = _mean_squared_cosine(a, b, inner)
    chance = [
        _mean_squared_cosine(
            a, np.roll(b, sign * max(1, round(_CHANCE_SHIFT_MM / size)), axis), inner
        )
        for axis, size in enumerate(spacing, start=1)
        for sign in (-1, 1)
    ]
    return own - float(np.mean(chance))


def _directions(
    array: npt.NDArray[np.float32], spacing_mm: Triple, inner: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """Gradients divided by their length, damped where they are below the head's median."""
    along = [np.gradient(array, size, axis=axis) for axis, size in enumerate(spacing_mm)]
    gradient: npt.NDArray[np.float32] = np.stack(along).astype(np.float32)
    squared = (gradient**2).sum(0)
    seen = squared[inner & (array > 0)]
    usual = float(np.median(seen)) if seen.size else 0.0
    damped: npt.NDArray[np.float32] = gradient / np.sqrt(squared + usual + np.float32(1e-12))
    return damped


def _mean_squared_cosine(a: Array, b: Array, inner: npt.NDArray[np.bool_]) -> float:
    cosine = np.einsum("i...,i...", a, b)[inner]
    return float(np.mean(cosine**2, dtype=np.float64))


# Resampling -------------------------------------------------------------------------------------


def _softened(image: sitk.Image, grid: Grid) -> sitk.Image:
    """Smooths a scan along its axes where the grid's voxels are longer than its own."""
    own = np.array(image.GetDirection()).reshape(3, 3)
    other = np.array(grid.direction).reshape(3, 3) * np.array(grid.spacing_mm[::-1])
    longest = np.sqrt(((own.T @ other) ** 2).sum(1))
    for axis, (size, wanted) in enumerate(zip(image.GetSpacing(), longest, strict=True)):
        sigma = math.sqrt(max(0.0, float(wanted) ** 2 - size**2)) / _FWHM
        # The recursive filter needs 4 voxels; below a third of a voxel there is nothing to smooth.
        if sigma > size / 3 and image.GetSize()[axis] >= 4:
            image = sitk.RecursiveGaussian(
                image, sigma, False, sitk.RecursiveGaussianImageFilter.ZeroOrder, axis
            )
    return image


def _sampled(
    image: sitk.Image, grid: Grid, transform: sitk.Transform, outside: float
) -> npt.NDArray[np.float32]:
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(grid.shape[::-1])
    resampler.SetOutputSpacing(grid.spacing_mm[::-1])
    resampler.SetOutputOrigin(grid.origin_mm)
    resampler.SetOutputDirection(grid.direction)
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.SetTransform(transform)
    resampler.SetDefaultPixelValue(outside)
    values: npt.NDArray[np.float32] = sitk.GetArrayFromImage(resampler.Execute(image))
    return values.astype(np.float32)
