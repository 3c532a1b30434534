"""Where the hyperintensities of a synthetic scan are, and what else is abnormal there.

Lesions are real people's, grown where old people have them, or ellipsoids at typical places. All
are signed distances that are united, made uneven, brought to the volume wanted, and softened.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wmhseg.synthesis import shapes
from wmhseg.synthesis.anatomy import Sampled, is_any
from wmhseg.synthesis.arrays import Array, namespace
from wmhseg.synthesis.heads import FAR_MM, INDEX
from wmhseg.synthesis.noise import between, sometimes
from wmhseg.synthesis.recipe import Recipe
from wmhseg.synthesis.shapes import Canvas, LesionKind, Thinned

WHITE = ("white_matter", "wmh")
DEEP_GREY = ("thalamus", "striatum", "pallidum", "ventral_dc")
INFRATENTORIAL = ("brainstem", "cerebellar_white_matter")
# What can hold hyperintensities; cortex only in some scans.
HOLDING = (*WHITE, *DEEP_GREY, *INFRATENTORIAL)

_FINGER = LesionKind((1.2, 3.2), across=2.6)
_PERIVENTRICULAR = LesionKind((1.5, 6.0))
_OVOID = LesionKind((1.2, 6.5))
_SPOT = LesionKind((0.7, 1.9))
_JUXTACORTICAL = LesionKind((1.5, 6.0), stretch=(0.8, 2.0))
_RARE = LesionKind((1.0, 4.0))
_LACUNE = LesionKind((1.5, 5.0))
_INFARCT = LesionKind((5.0, 16.0))


@dataclass(frozen=True)
class Hyperintensities:
    """What is abnormal at every point; all float32 from 0 to 1 but for the gain.

    Attributes:
        strength: White matter hyperintensity: 1 inside, less in a halo.
        cavity: Filled with fluid: a lacune or an old infarct.
        other: Bright for another reason, such as the border of a cavity; never marked.
        gain: Brightness of the lesion here relative to the scan's usual one, about 1.
    """

    strength: Array
    cavity: Array
    other: Array
    gain: Array


def draw_load_ml(rng: np.random.Generator, recipe: Recipe) -> float:
    """Draws the volume of all hyperintensities of a scan; 0 in some."""
    edges = recipe.load_ml
    shares = np.array(recipe.load_shares) / sum(recipe.load_shares)
    empty, part, at = rng.random(3)
    number = int(np.searchsorted(np.cumsum(shares)[:-1], part, side="right"))
    load = edges[number] * (edges[number + 1] / edges[number]) ** at
    return 0.0 if empty < recipe.without_lesions else float(load)


def grow(rng: np.random.Generator, anatomy: Sampled, recipe: Recipe) -> Hyperintensities:
    """Draws what is abnormal at every point, (slice x part, row, column)."""
    # Generators of their own: what is switched off changes nothing else.
    amount, kinds, holes, border, shine = rng.spawn(5)
    load = draw_load_ml(amount, recipe)
    xp = namespace(anatomy.tissue)
    none = xp.zeros_like(anatomy.ventricle_mm)
    coarse = shapes.thin(amount, anatomy)
    cavity, other = none, none
    if holes.random() < recipe.cavities:
        cavity, other = _cavities(holes, anatomy.drawing_from(holes), coarse)
    if load == 0:
        return Hyperintensities(none, cavity, other, none + 1)
    allowed = is_any(anatomy.tissue, (*HOLDING, "cortex") if kinds.random() < 0.12 else HOLDING)
    allowed = allowed & ~anatomy.septum
    inside = _united(kinds, anatomy.drawing_from(kinds), recipe, coarse, load)
    # Borders of lesions are not smooth.
    jitter = between(border, 0.1, 0.6) * anatomy.drawing_from(border).noise(between(border, 3, 7))
    inside = xp.where(allowed, inside + xp.where(inside > -FAR_MM, jitter, none), -2 * FAR_MM)
    inside = inside + _offset(anatomy, inside, load)
    soft = between(border, 0.25, 1.5)
    strength = xp.clip(0.5 + inside * (0.5 / soft), 0.0, 1.0)
    halo = sometimes(border, recipe.halo, 0.05, 0.45)
    if halo:
        strength = xp.maximum(strength, halo * xp.clip(1 + inside / FAR_MM, 0.0, 1.0))
    strength = strength * xp.astype(allowed, xp.float32) * (1 - xp.maximum(cavity, other))
    spread = sometimes(shine, recipe.uneven_gain, 0.05, 0.4)
    gain = none + 1
    if spread:
        gain = xp.clip(
            1 + spread * anatomy.drawing_from(shine).noise(between(shine, 8, 25)), 0.6, 1.7
        )
    return Hyperintensities(strength, cavity, other, gain)


def _united(
    rng: np.random.Generator, anatomy: Sampled, recipe: Recipe, coarse: Thinned, load_ml: float
) -> Array:
    """All lesions of a scan, as distances in mm; their volume is about the load."""
    xp = namespace(anatomy.tissue)
    own = rng.spawn(4)
    # Four kinds: real people's, grown ones, ovoids and spots.
    weights = rng.dirichlet((1.2, 1.2, 1.0, 0.25))
    drawn = np.array([
        anatomy.head.shapes is not None and own[0].random() < recipe.real_shapes,
        own[1].random() < 0.55,
        own[2].random() < recipe.ovoid,
        own[3].random() < 0.7,
    ])  # fmt: skip
    if load_ml < 2 and rng.random() < 0.4:  # a few spots and nothing else
        drawn[:3] = False
    if not drawn[:3].any():
        drawn[1] = load_ml >= 2  # spots alone are not many millilitres
        drawn[3] = True
    ml = np.where(drawn, weights, 0) * load_ml / float((weights * drawn).sum())
    surplus = max(0.0, float(ml[3]) - 1.5) if drawn[:3].any() else 0.0
    ml[3] -= surplus
    ml[:3] += surplus * drawn[:3] / max(1, int(drawn[:3].sum()))
    distances = []
    if drawn[0]:
        distances.append(shapes.real(own[0], anatomy, float(ml[0])))
    if drawn[1]:
        distances.append(_grown(own[1], anatomy.drawing_from(own[1]), recipe, float(ml[1])))
    canvas = Canvas(anatomy.axes_mm, anatomy.spacing_mm[0])
    white = coarse.any_of(WHITE)
    if drawn[2]:
        _ovoids(own[2], canvas, recipe, coarse, float(ml[2]))
    if drawn[3]:
        places = coarse.places(white & (coarse.depth_mm > 1) & (coarse.ventricle_mm > 1))
        canvas.add(own[3], _SPOT, places, float(ml[3]))
    _elsewhere(rng, canvas, recipe, coarse, load_ml)
    if not canvas.empty or not distances:
        distances.append(canvas.on(anatomy))
    if rng.random() < recipe.juxtacortical:
        distances.append(_along_cortex(rng, anatomy, coarse, load_ml))
    out = distances[0]
    for one in distances[1:]:
        out = xp.maximum(out, one)
    return out


def _grown(rng: np.random.Generator, anatomy: Sampled, recipe: Recipe, load_ml: float) -> Array:
    """Grows hyperintensities of presumed vascular origin: caps, bands, confluent and deep ones."""
    xp = namespace(anatomy.tissue)
    noise, near = anatomy.noise, anatomy.ventricle_mm
    usual = sometimes(rng, recipe.population, 1.5, 5.0)
    lining, reach = between(rng, 0.3, 2.0), between(rng, 2, 11)
    score = lining * xp.exp(near * (-1 / reach)) + between(rng, 0.3, 0.8) * noise(
        between(rng, 9, 25)
    )
    score = score + between(rng, 0.1, 0.4) * noise(between(rng, 4, 9))
    if usual:
        score = score + usual * xp.sqrt(anatomy.prior)
    white = is_any(anatomy.tissue, WHITE) & ~anatomy.septum
    if rng.random() < 0.2:  # hyperintensities that the people of the maps really had
        score = score + between(rng, 0.3, 1.0) * xp.astype(
            anatomy.tissue == INDEX["wmh"], xp.float32
        )
    level = _level(anatomy, xp.where(white, score, -99.0), load_ml)
    return xp.where(white, xp.clip((score - level) * 2.5, -FAR_MM, 15.0), -FAR_MM)


def _level(anatomy: Sampled, values: Array, volume_ml: float) -> float:
    """The level that a field exceeds in so much volume, from every second row and column."""
    some = anatomy.noise.arrays.get(values[:, ::2, ::2]).ravel()
    count = int(np.clip(round(volume_ml / (4 * anatomy.voxel_ml)), 1, some.size - 1))
    return float(np.partition(some, some.size - count)[some.size - count])


def _offset(anatomy: Sampled, inside: Array, load_ml: float) -> float:
    """What to add to distances so that the volume inside is nearer to the load."""
    return float(np.clip(-_level(anatomy, inside, load_ml), -0.8, 0.8))


def _ovoids(
    rng: np.random.Generator, canvas: Canvas, recipe: Recipe, coarse: Thinned, load_ml: float
) -> None:
    """Lesions as in multiple sclerosis: across the ventricles' border, beside it, elsewhere."""
    white = coarse.any_of(WHITE)
    shares = rng.dirichlet((1.0, 1.5, 1.0))
    fingers = white & (coarse.ventricle_mm < 5)
    if rng.random() < recipe.fingers:
        places, ways = coarse.places(fingers), coarse.across(fingers)
        canvas.add(rng, _FINGER, places, float(shares[0]) * load_ml, ways)
    near = white & (coarse.ventricle_mm < 7)
    canvas.add(rng, _PERIVENTRICULAR, coarse.places(near), float(shares[1]) * load_ml)
    canvas.add(rng, _OVOID, coarse.places(white), float(shares[2]) * load_ml)


def _elsewhere(
    rng: np.random.Generator, canvas: Canvas, recipe: Recipe, coarse: Thinned, load_ml: float
) -> None:
    """Some lesions in deep grey matter, brainstem and cerebellum."""
    rare = ((recipe.deep_grey, DEEP_GREY), (recipe.infratentorial, INFRATENTORIAL))
    for (share, names), own in zip(rare, rng.spawn(2), strict=True):
        if own.random() < share:
            places = coarse.places(coarse.any_of(names))
            canvas.add(own, _RARE, places, min(0.15 * load_ml, between(own, 0.05, 1.0)))


def _along_cortex(
    rng: np.random.Generator, anatomy: Sampled, coarse: Thinned, load_ml: float
) -> Array:
    """Lesions that follow the cortex: ellipsoids cut to a ribbon under it (U-fibres)."""
    xp = namespace(anatomy.tissue)
    canvas = Canvas(anatomy.axes_mm, anatomy.spacing_mm[0])
    below = coarse.any_of(WHITE) & (coarse.depth_mm > 0) & (coarse.depth_mm < 2.5)
    volume = min(0.3 * load_ml, between(rng, 0.05, 2.5))
    canvas.add(rng, _JUXTACORTICAL, coarse.places(below), volume)
    ribbon = between(rng, 1.5, 4.0) - anatomy.depth_mm
    return xp.clip(xp.minimum(canvas.on(anatomy), ribbon), -FAR_MM, None)


def _cavities(rng: np.random.Generator, anatomy: Sampled, coarse: Thinned) -> tuple[Array, Array]:
    """Lacunes, now and then an old infarct: fluid, and the bright tissue around it."""
    xp = namespace(anatomy.tissue)
    canvas = Canvas(anatomy.axes_mm, anatomy.spacing_mm[0])
    if rng.random() < 0.25:
        places = coarse.places(coarse.any_of((*WHITE, "cortex")) & (coarse.depth_mm < 6))
        canvas.add(rng, _INFARCT, places, between(rng, 2, 20))
    inner = coarse.any_of((*WHITE, *DEEP_GREY, "brainstem")) & (coarse.depth_mm > 2)
    canvas.add(rng, _LACUNE, coarse.places(inner), between(rng, 0.05, 0.8))
    inside = canvas.on(anatomy)
    wavy = inside + 0.4 * anatomy.noise(between(rng, 3, 8))
    inside = xp.where(inside > -FAR_MM, wavy, -2 * FAR_MM)
    tissue = xp.astype(is_any(anatomy.tissue, (*HOLDING, "cortex")) & ~anatomy.septum, xp.float32)
    cavity = xp.clip(inside + 0.5, 0.0, 1.0) * tissue
    around = xp.clip(inside + 0.5 + between(rng, 0.5, 2.2), 0.0, 1.0) * tissue
    return cavity, around - cavity
