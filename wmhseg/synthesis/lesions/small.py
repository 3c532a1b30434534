"""Small lesions in every scan: spots of 1 to 20 voxels and round or ovoid ones of 3 to 6 mm.

What is grown or taken from real people holds few of them, and a loss over voxels hardly sees them.
They lie where old people have lesions, apart from other lesions and from the borders of white
matter, and become part of the scan before it is acquired: its blur and noise are theirs too.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg.synthesis import shapes
from wmhseg.synthesis.anatomy import Sampled, is_any
from wmhseg.synthesis.arrays import namespace
from wmhseg.synthesis.hyperintensities import HOLDING, WHITE, Hyperintensities
from wmhseg.synthesis.noise import between, rotation
from wmhseg.synthesis.recipe import Recipe
from wmhseg.synthesis.shapes import STRIDE, Canvas

Numbers = npt.NDArray[np.float64]

_COUNT = (3.0, 25.0)  # of a scan; few are more frequent
_SPOT_VOX = (1.0, 20.0)
_ROUND_MM = (3.0, 6.0)  # diameters
_SPOTS = 0.6  # share of the small lesions that are measured in voxels
# Where nobody has lesions there is still one now and then.
_ANYWHERE = 0.15
_CORTEX_MM, _VENTRICLE_MM = 1.5, 1.5  # least distance of a centre, but for a share of them
_NEARER = 0.2
_APART_MM = 3.0  # between the border of another lesion and a centre
_SOFT_MM = (0.25, 0.6)
_HALO = 0.2  # what is fainter is no lesion that a small one would touch


def add(
    rng: np.random.Generator, anatomy: Sampled, lesions: Hyperintensities, recipe: Recipe
) -> Hyperintensities:
    """Adds small lesions to a share of the scans that have lesions, see ``Recipe.small_lesions``.

    Args:
        rng: A generator of its own.
        anatomy: What lies at every point.
        lesions: What is abnormal there; a scan without lesions stays as it is.
        recipe: The share.
    """
    xp = namespace(anatomy.tissue)
    chance = rng.random()
    if chance >= recipe.small_lesions or not bool(xp.any(lesions.strength > 0)):
        return lesions
    canvas = Canvas(anatomy.axes_mm, anatomy.spacing_mm[0])
    _draw(rng, canvas, anatomy, lesions)
    soft = between(rng, *_SOFT_MM)
    strength = xp.clip(0.5 + canvas.on(anatomy) * (0.5 / soft), 0.0, 1.0)
    allowed = is_any(anatomy.tissue, HOLDING) & ~anatomy.septum
    free = xp.astype(allowed, xp.float32) * (1 - xp.maximum(lesions.cavity, lesions.other))
    return replace(lesions, strength=xp.maximum(lesions.strength, strength * free))


def _draw(
    rng: np.random.Generator, canvas: Canvas, anatomy: Sampled, lesions: Hyperintensities
) -> None:
    """Draws them all, each away from the others."""
    coarse = shapes.thin(rng, anatomy)
    weight = _weights(rng, coarse, anatomy, lesions)
    places = coarse.places(np.ones(weight.shape, bool))
    weight = weight.ravel()
    low, high = _COUNT
    for _ in range(round(low * (high / low) ** rng.random())):
        total = float(weight.sum())
        if total <= 0:
            return
        place = places[int(rng.choice(weight.size, p=weight / total))]
        centre = np.array([axis[n] for axis, n in zip(anatomy.axes_mm, place, strict=True)])
        axes = _half_axes(rng, anatomy)
        # Slices may lie far apart: the centre stays within the plane that it was chosen in.
        centre += rng.uniform(-0.5, 0.5, 3) * (_thickness(anatomy) / anatomy.parts, 1.0, 1.0)
        upright = np.array([[1.0, 0, 0], [0, 0, 0], [0, 0, 0]])
        angle = between(rng, 0, np.pi)
        upright[1:, 1:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        turn = rotation(rng, 90) if np.ptp(axes) < axes.min() else upright
        canvas.put(centre, axes, turn, rng.random(2) * 6)
        apart = np.zeros(len(places), bool)
        for axis, (ends, n) in enumerate(zip(anatomy.axes_mm, place, strict=True)):
            away = np.abs(ends[places[:, axis]] - ends[n])
            apart |= away > axes.max() + _APART_MM
        weight = weight * apart


def _thickness(anatomy: Sampled) -> float:
    """Thickness of a slice in mm; slices may have gaps between them."""
    z = anatomy.axes_mm[0]
    return float(z[1] - z[0]) * anatomy.parts if anatomy.parts > 1 else anatomy.spacing_mm[0]


def _half_axes(rng: np.random.Generator, anatomy: Sampled) -> Numbers:
    """Half axes in mm, (slice, row, column) before it is turned."""
    kind, size = rng.random(2)
    stretch = rng.uniform(0.75, 1.35, 3)
    if kind >= _SPOTS:
        low, high = _ROUND_MM
        return np.asarray(0.5 * low * (high / low) ** size * stretch)
    # So many voxels, most of them in one slice: thick ones are marked slice by slice.
    low, high = _SPOT_VOX
    _, row, column = anatomy.spacing_mm
    thick = _thickness(anatomy)
    pixels = low * (high / low) ** size
    radius = np.sqrt(pixels * row * column / np.pi)
    if thick < 2 * radius:  # as many voxels in a ball
        radius = (pixels * row * column * thick / (4 / 3 * np.pi)) ** (1 / 3)
    return np.asarray(stretch * (max(radius, 0.6 * thick), radius, radius))


def _weights(
    rng: np.random.Generator, coarse: shapes.Thinned, anatomy: Sampled, lesions: Hyperintensities
) -> Numbers:
    """How likely a small lesion is centred at each point of the thinned maps."""
    get = anatomy.noise.arrays.get
    part = np.s_[:, coarse.first[0] :: STRIDE, coarse.first[1] :: STRIDE]
    prior = np.sqrt(get(anatomy.prior[part]).astype(np.float64))
    white = coarse.any_of(WHITE)
    near = rng.random(white.shape) < _NEARER
    inner = (coarse.depth_mm >= _CORTEX_MM) & (coarse.ventricle_mm >= _VENTRICLE_MM)
    # Lesions nearby: a point of the thinned maps stands for three rows and columns.
    held = get(lesions.strength[part]) > _HALO
    reach = 2 * round(_APART_MM / (STRIDE * anatomy.spacing_mm[1])) + 1
    taken = ndimage.maximum_filter(held, (1, reach, reach))
    usual = float(prior[white].mean()) if white.any() else 0.0
    weight = prior / usual + _ANYWHERE if usual > 0 else np.ones(prior.shape)
    return np.asarray(weight * (white & (inner | near) & ~taken), np.float64)
