"""What scanners, resampling and brain extraction do to an ideal image.

All that is linear in the plane is a matrix for rows and one for columns (see ``linear``): first
from the ideal image onto the grid that the scanner acquires, where noise arises, then from there
onto the grid of the scan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wmhseg.synthesis import linear
from wmhseg.synthesis.anatomy import Anatomy
from wmhseg.synthesis.arrays import Array, home, namespace
from wmhseg.synthesis.heads import INDEX, N_BRAIN
from wmhseg.synthesis.linear import Matrix
from wmhseg.synthesis.noise import Float, Noise, apart, between, sometimes
from wmhseg.synthesis.recipe import Recipe

_KINDS: tuple[linear.Interpolation, ...] = ("nearest", "linear", "cubic", "sinc")
_KIND_SHARES = (0.05, 0.45, 0.3, 0.2)
# Noise drawn for both modalities together has a generator of its own.
_GRAINS = 2**31 + 4
_EDGE_VOX = 0.8  # reach of the edges that are enhanced with it
# Standard deviations relative to white matter, measured on real scans (evaluation/realism), and the
# logarithm of T1's relative to FLAIR's: mean and standard deviation.
_FLAIR_NOISE, _T1_NOISE, _T1_TO_FLAIR = (0.015, 0.11), (0.004, 0.04), (-1.1, 0.5)


@dataclass(frozen=True)
class Acquired:
    """Images as they are stored; all arrays (slice, row, column).

    Attributes:
        images: One a modality, white matter near 1.
        seen: 1 where something was acquired and kept, else 0; broadcasts to the images.
    """

    images: tuple[Array, ...]
    seen: Array


@dataclass(frozen=True)
class Optics:
    """The linear part of an acquisition in the plane.

    Attributes:
        to_scanner: For rows and columns, from the image to what the scanner acquires.
        to_scan: For rows and columns, from there to the pixels of the scan.
    """

    to_scanner: tuple[Matrix, Matrix]
    to_scan: tuple[Matrix, Matrix]


def draw_optics(
    rng: np.random.Generator, field: tuple[int, int], recipe: Recipe, shift: Sequence[float]
) -> Optics:
    """Draws resolution, ringing, ghosts, interpolation and sharpening of one modality.

    Args:
        rng: Source of randomness.
        field: Rows and columns.
        recipe: How often each is drawn.
        shift: Rows and columns that the image is off by.
    """
    coarse = sometimes(rng, recipe.coarse, 1.1, 1.9, otherwise=between(rng, 0.85, 1.1))
    ratios = np.array([coarse, coarse])
    ratios[int(rng.integers(2))] *= between(rng, 1.0, 1.35)  # the phase direction has less
    tapers = between(rng, 0.0, 0.2), between(rng, 0.4, 1.0)
    blurs = between(rng, 0.35, 0.5), between(rng, 0.45, 0.95)
    smooth = int(rng.random() >= recipe.ringing)
    kind = _KINDS[int(rng.choice(len(_KINDS), p=_KIND_SHARES))]
    amount = sometimes(rng, recipe.sharpened, 0.3, 1.8)
    radius = between(rng, 0.7, 1.8)
    strength = sometimes(rng, recipe.ghosts, -0.06, 0.06)
    phase, distance = int(rng.integers(2)), between(rng, 0.06, 0.5)
    ahead, back = [], []
    for axis, points in enumerate(field):
        acquired = max(8, round(points / ratios[axis]))
        matrix = linear.band(acquired, points, tapers[smooth])
        matrix = matrix @ linear.gaussian(points, blurs[smooth])
        if strength and axis == phase:
            matrix = linear.ghosts(acquired, distance, strength) @ matrix
        offset = shift[axis] * acquired / points
        onto = linear.interpolation(points, acquired, kind, offset)
        if amount:
            onto = onto @ linear.unsharp(acquired, radius, amount)
        ahead.append(matrix)
        back.append(onto)
    return Optics((ahead[0], ahead[1]), (back[0], back[1]))


def apply(maps: Sequence[Matrix], image: Array) -> Array:
    """Applies maps of rows and columns to every slice."""
    put = home(image).put
    return put(maps[0]) @ image @ put(np.ascontiguousarray(maps[1].T))


def rician(rng: np.random.Generator, image: Array, sigma: Array) -> Array:
    """Magnitude of an image with noise in both its channels.

    One field of noise serves as both: the second channel of a slice is the first of the slice
    before. Within a slice they are independent, which is all that a network for slices sees.

    Args:
        rng: Source of randomness.
        image: (slice, row, column).
        sigma: Standard deviation in either channel; broadcasts to the image.
    """
    slices, rows, columns = image.shape
    noise = home(image).standard_normal(rng, (slices + 1, rows, columns)) * sigma
    real = image + noise[1:]
    return namespace(image).sqrt(real * real + noise[:-1] * noise[:-1])


def average(points: Array, parts: int, profile: Float) -> Array:
    """Weighs the parts of every slice.

    Args:
        points: (slice x part, row, column).
        parts: Parts a slice.
        profile: Weight of each part.
    """
    xp = namespace(points)
    rows, columns = points.shape[1:]
    split = xp.reshape(xp.astype(points, xp.float32), (-1, parts, rows, columns))
    mean = split[:, 0] * float(profile[0])
    for part in range(1, parts):
        mean = mean + split[:, part] * float(profile[part])
    return mean


def brain_extraction(
    rng: np.random.Generator, anatomy: Anatomy, parts: int, noise: Noise, recipe: Recipe
) -> Array:
    """Draws what a brain extraction would have kept, (slice, row, column), 0 or 1.

    Tight ones lose the outer CSF; bad ones leave bits of the head or eat cortex.
    """
    xp = namespace(anatomy.tissue)
    tissue = anatomy.tissue
    tight = rng.random() < 0.6
    inside = (tissue > 0) & (tissue < N_BRAIN)
    if tight:
        inside = inside & (tissue != INDEX["csf"])
    share = average(inside, parts, linear.slice_profile(parts, 0))
    # Smooth outlines: closed sulci for tight masks, rounded corners for wide ones.
    reach, wide = between(rng, 0.8, 3.0), between(rng, 3.0, 6.0)
    level = between(rng, 0.25, 0.5) if tight else between(rng, 0.4, 0.6)
    if rng.random() < recipe.badly_stripped:
        reach = wide
        bumps = between(rng, 0.1, 0.4) * noise(between(rng, 12, 30))
        level = xp.clip(0.45 + bumps, 0.06, 0.85)
    maps = tuple(linear.gaussian(points, reach) for points in share.shape[1:])
    return xp.astype(apply(maps, share) > level, xp.float32)


def _uneven(rng: np.random.Generator, shape: tuple[int, int]) -> Float:
    """How strong noise is over the plane: a slope and a bump, of mean about 1."""
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape)
    slope = between(rng, -0.3, 0.3) * y[:, None] + between(rng, -0.3, 0.3) * x[None, :]
    bump = np.exp(-2.5 * (y[:, None] ** 2 + x[None, :] ** 2)) * np.float32(between(rng, -0.5, 1.2))
    made: Float = np.clip(1 + slope + bump, 0.2, 3).astype(np.float32)
    return made


@dataclass(frozen=True)
class Grain:
    """The noise of one modality where both are drawn together.

    Attributes:
        sigma: Standard deviation in the finished scan, relative to white matter.
        centre: How much stronger it is in the middle of the head: coils lie outside.
        blur: Of the finished scan along rows and columns, standard deviation in pixels.
        sharpened: How much edges along columns are enhanced.
    """

    sigma: float
    centre: float
    blur: tuple[float, float]
    sharpened: float = 0.0


def draw_grains(rng: np.random.Generator, recipe: Recipe) -> tuple[Grain, ...]:
    """Draws the noise of FLAIR and T1 together, as real scans have it; none in some scans.

    White matter of FLAIR scans has two to four times the noise of T1, which is smoother, too.
    """
    if rng.random() >= recipe.paired_noise:
        return ()
    low, high = _FLAIR_NOISE
    flair = low * (high / low) ** rng.random()
    t1 = float(np.clip(flair * np.exp(rng.normal(*_T1_TO_FLAIR)), *_T1_NOISE))
    centre = between(rng, 0.0, 1.5)
    centre_t1 = centre * between(rng, 0.3, 1.0)
    edges = sometimes(rng, 0.6, 0.2, 1.0)
    return (
        Grain(flair, centre, _uneven_blur(rng, sometimes(rng, 0.25, 0.2, 0.6)), edges),
        Grain(t1, centre_t1, _uneven_blur(rng, sometimes(rng, 0.85, 0.4, 0.9))),
    )


def _uneven_blur(rng: np.random.Generator, blur: float) -> tuple[float, float]:
    """More of a blur along one axis, mostly from front to back, as measured."""
    more = sometimes(rng, 0.7, 0.2, 0.8)
    wide = float(np.hypot(blur, more))
    return (wide, blur) if rng.random() < 0.8 else (blur, wide)


def finished(optics: Optics, grain: Grain) -> Optics:
    """The same with the finished scan blurred, and its edges enhanced, as a grain says."""
    maps = [
        linear.gaussian(len(onto), sigma) @ onto if sigma else onto
        for onto, sigma in zip(optics.to_scan, grain.blur, strict=True)
    ]
    if grain.sharpened:
        maps[1] = linear.unsharp(len(maps[1]), _EDGE_VOX, grain.sharpened) @ maps[1]
    return Optics(optics.to_scanner, (maps[0], maps[1]))


def _central(shape: tuple[int, int], more: float) -> Float:
    """How strong noise is over the plane where the middle has more."""
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape)
    made: Float = 1 + np.float32(more) * np.exp(-8 * (y[:, None] ** 2 + x[None, :] ** 2))
    return made


def image_formation(
    rng: np.random.Generator,
    slabs: Array,
    noise: Noise,
    optics: Optics,
    recipe: Recipe,
    grain: Grain | None = None,
) -> Array:
    """Turns averaged slices into an image: bias, resolution, noise, resampling.

    With a ``grain`` its noise is drawn in place of the recipe's.
    """
    xp = namespace(slabs)
    raw = int(rng.random() < 0.25)  # else corrected, as by N4
    limits = ((0.0, 0.1), (0.1, 0.28))[raw]
    strength, wavelength = sometimes(rng, recipe.bias, *limits), between(rng, 45, 110)
    low, high = recipe.noise
    sigma = low * (high / low) ** rng.random() if low else 0.0
    sigma = sigma if grain is None else grain.sigma
    # Sigma is that of the finished scan: what follows lowers noise (interpolation) or raises it
    # (sharpening).
    for onto in optics.to_scan:
        sigma /= float(np.sqrt((onto**2).sum(1).mean()))
    spread = _uneven(rng, (len(optics.to_scanner[0]), len(optics.to_scanner[1])))
    if rng.random() >= recipe.uneven_noise:
        spread = np.ones_like(spread)
    if grain is not None:
        spread = spread * _central(spread.shape, grain.centre)
    if strength:
        slabs = slabs * xp.exp(strength * noise(wavelength))
    image = apply(optics.to_scanner, slabs)
    if sigma:
        image = rician(rng, image, home(image).put(np.float32(sigma) * spread))
    image = apply(optics.to_scan, image)
    return xp.clip(image, 0.0, None)


def storage(rng: np.random.Generator, image: Array, recipe: Recipe) -> Array:
    """Tone curve, cut-off bright end, whole numbers."""
    xp = namespace(image)
    power = sometimes(rng, recipe.tone_curve, 0.8, 1.25, otherwise=1.0)
    ceiling = sometimes(rng, recipe.saturated, 1.3, 2.5)
    levels = sometimes(rng, recipe.quantised, 40, 250)  # grey values from air to white matter
    if power != 1:
        image = image**power
    if ceiling:
        image = xp.clip(image, None, ceiling)
    if levels:
        image = xp.round(image * levels) * (1 / levels)
    return image


def _window(rng: np.random.Generator, shape: tuple[int, int, int], recipe: Recipe) -> Float:
    """Zeros in empty slices and beyond a narrow field of view, else ones."""
    seen = np.ones(shape, np.float32)
    first, last = (int(n) for n in rng.integers(0, 3, 2))
    axis, share = int(rng.integers(1, 3)), between(rng, 0.0, 0.1)
    empty, narrow = rng.random(2) < (recipe.empty_ends, recipe.narrow)
    if empty:
        seen[:first] = 0
        seen[shape[0] - last :] = 0
    if narrow:
        border = round(share * shape[axis])
        np.moveaxis(seen, axis, 0)[:border] = 0
        np.moveaxis(seen, axis, 0)[shape[axis] - border :] = 0
    return seen


def acquire(
    rng: np.random.Generator, images: Sequence[Array], anatomy: Anatomy, parts: int, recipe: Recipe
) -> Acquired:
    """Acquires one scan.

    Args:
        rng: Source of randomness.
        images: Ideal images, one a modality, (slice x part, row, column); the first is FLAIR.
        anatomy: What lies at their points.
        parts: Parts a slice.
        recipe: How often each fault is drawn.

    Returns:
        The images, each with a resolution, noise and faults of its own.
    """
    z = np.asarray(anatomy.axes_mm[0]).reshape(-1, parts).mean(1)
    axes = (z, *anatomy.axes_mm[1:])
    field = (int(images[0].shape[1]), int(images[0].shape[2]))
    # A generator for each: what one draws, or not, changes nothing in the others.
    window, extraction, *each = rng.spawn(2 + len(images))
    grains = draw_grains(apart(rng, _GRAINS), recipe)
    arrays = home(images[0])
    seen = arrays.put(_window(window, (len(z), *field), recipe))
    if extraction.random() < recipe.skull_stripped:
        bumps = Noise(extraction, axes, arrays)
        seen = seen * brain_extraction(extraction, anatomy, parts, bumps, recipe)
    stored = []
    for number, (image, own) in enumerate(zip(images, each, strict=True)):
        moved = recipe.misregistered if number else 0.0
        shift = tuple(sometimes(own, moved, -1.2, 1.2) for _ in range(2))
        slabs = average(image, parts, linear.slice_profile(parts, between(own, 0, 1)))
        optics = draw_optics(own, field, recipe, shift)
        grain = grains[number] if grains else None
        if grain is not None:
            optics = finished(optics, grain)
        fields, form, store = own.spawn(3)
        formed = image_formation(form, slabs, Noise(fields, axes, arrays), optics, recipe, grain)
        stored.append(storage(store, formed * seen, recipe))
    return Acquired(tuple(stored), seen)
