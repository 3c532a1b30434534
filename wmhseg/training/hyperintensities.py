"""Where the hyperintensities of a synthetic scan are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wmhseg.training.anatomy import Anatomy
from wmhseg.training.heads import INDEX, Mask
from wmhseg.training.noise import Float, between, rotation
from wmhseg.training.recipe import Recipe


def paint_ellipsoids(
    rng: np.random.Generator,
    out: Mask,
    allowed: Mask,
    axes_mm: tuple[Float, Float, Float],
    radii_mm: npt.NDArray[np.float64],
) -> None:
    """Paints one randomly turned ellipsoid for each radius at a random allowed point."""
    candidates = np.flatnonzero(allowed[:, ::3, ::3])
    if candidates.size == 0:
        return
    coarse = allowed[:, ::3, ::3].shape
    places = np.unravel_index(rng.choice(candidates, len(radii_mm)), coarse)
    for radius, k, i, j in zip(radii_mm, places[0], places[1] * 3, places[2] * 3, strict=True):
        centre = [axes_mm[0][k], axes_mm[1][i], axes_mm[2][j]]
        reach = 1.7 * radius
        spans = [
            np.flatnonzero(np.abs(axis - c) <= reach)
            for axis, c in zip(axes_mm, centre, strict=True)
        ]
        if any(span.size == 0 for span in spans):
            continue
        box = tuple(slice(span[0], span[-1] + 1) for span in spans)
        grid = np.stack(
            np.meshgrid(
                *(axis[part] - c for axis, part, c in zip(axes_mm, box, centre, strict=True)),
                indexing="ij",
            ),
            -1,
        )
        turn = rotation(rng, 90)
        stretch = rng.uniform(0.65, 1.55, 3)
        local = (grid @ turn) / (radius * stretch)
        ball = (local**2).sum(-1) < 1 + 0.25 * np.sin(3 * local[..., 0] + rng.random() * 6)
        out[box] |= ball & allowed[box]


def grow(rng: np.random.Generator, anatomy: Anatomy, recipe: Recipe) -> Mask:
    """Draws where the hyperintensities are, (sub-slice, row, column)."""
    tissue, near = anatomy.tissue, anatomy.ventricle_mm
    noise = anatomy.noise
    lesions = np.zeros(tissue.shape, bool)
    if rng.random() < recipe.without_lesions:
        return lesions
    real = tissue == INDEX["wmh"]  # hyperintensities that the people of the maps really had
    white = (tissue == INDEX["white_matter"]) | real
    style = rng.choice(3, p=[0.45, 0.3, 0.25])  # small-vessel disease, multiple sclerosis, mixed
    load = between(rng, 0, 1)
    if style in (0, 2):
        large, small = noise(between(rng, 10, 25)), noise(between(rng, 3, 8))
        jitter = 0.25 * noise(3)
        score = 1.6 * np.exp(-near / (2 + 9 * load)) + 0.55 * large + 0.25 * small + jitter
        score += between(rng, 0, 0.9) * real
        lesions |= white & (score > 2.1 - 1.1 * load) & (near < 4 + 25 * load)
        if rng.random() < 0.6:
            deep = noise(between(rng, 3, 7)) + jitter + 0.3 * large
            lesions |= (
                white & (anatomy.depth_mm > 1) & (deep > 3.0 - 1.1 * load * between(rng, 0.6, 1))
            )
    if style in (1, 2):
        periventricular = white & (near < 6)
        radii = rng.uniform(2.0, 3.5 + 4 * load, rng.poisson(2 + 14 * load))
        paint_ellipsoids(rng, lesions, periventricular, anatomy.axes_mm, radii)
        radii = rng.uniform(1.5, 3.0 + 3 * load, rng.poisson(2 + 14 * load))
        paint_ellipsoids(rng, lesions, white, anatomy.axes_mm, radii)
        cortex = tissue == INDEX["cortex"]
        juxtacortical = (white & (anatomy.depth_mm < 2)) | (cortex & (rng.random() < 0.1))
        radii = rng.uniform(1.2, 3.5, rng.poisson(4 * load))
        paint_ellipsoids(rng, lesions, juxtacortical, anatomy.axes_mm, radii)
    radii = rng.uniform(0.9, 2.4, rng.poisson(3 + 25 * load * rng.random()))
    paint_ellipsoids(rng, lesions, white & (anatomy.depth_mm > 0.9), anatomy.axes_mm, radii)
    if rng.random() < 0.3:
        rare = [INDEX[n] for n in ("brainstem", "thalamus", "striatum", "cerebellar_white_matter")]
        radii = rng.uniform(1.2, 3.5, rng.poisson(3))
        paint_ellipsoids(rng, lesions, np.isin(tissue, rare), anatomy.axes_mm, radii)
    return lesions
