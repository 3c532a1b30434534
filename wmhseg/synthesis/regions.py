"""Where healthy brains are brighter or darker than the rest of the same tissue.

Places are soft ellipsoids about points (superior, posterior, to the side) in mm from the centre of
the brain, for a head of usual size; a side other than 0 means both sides. They are wide, moved at
random, and not tilted with the head: they say "about here" and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wmhseg.geometry import Triple
from wmhseg.synthesis.arrays import Array, home, namespace
from wmhseg.synthesis.noise import Float, apart, between, sometimes
from wmhseg.synthesis.recipe import Recipe


@dataclass(frozen=True)
class Region:
    """A place, its half widths in mm, and the lowest and highest change of brightness."""

    centre_mm: Triple
    radii_mm: Triple
    change: tuple[float, float]


# White matter, brainstem and what lies beside the third ventricle and the aqueduct.
INNER: dict[str, Region] = {
    "internal_capsule": Region((-2, -8, 22), (12, 8, 4), (-0.05, 0.16)),
    "corticospinal_tract": Region((20, -2, 24), (13, 8, 6), (-0.03, 0.16)),
    "optic_radiation": Region((-5, 35, 32), (8, 22, 5), (-0.03, 0.16)),
    "splenium": Region((0, 18, 0), (9, 7, 16), (-0.12, 0.16)),
    "genu": Region((-4, -46, 0), (9, 7, 14), (-0.16, 0.08)),
    "body_of_callosum": Region((17, -12, 0), (5, 28, 9), (-0.14, 0.14)),
    "frontal_caps": Region((-4, -52, 17), (9, 9, 7), (-0.02, 0.14)),
    "frontal_pole": Region((0, -58, 24), (18, 14, 16), (-0.1, 0.1)),
    "periaqueductal": Region((-18, 8, 0), (10, 6, 6), (-0.03, 0.25)),
    "pons": Region((-40, 2, 0), (14, 9, 13), (-0.1, 0.22)),
    "peduncles": Region((-42, 16, 18), (10, 10, 9), (-0.08, 0.18)),
}
# Cortex.
OUTER: dict[str, Region] = {
    "cingulate": Region((24, -15, 0), (14, 42, 9), (-0.03, 0.25)),
    "posterior_cingulate": Region((14, 26, 0), (14, 12, 9), (-0.03, 0.2)),
    "insula": Region((-6, -20, 38), (15, 22, 8), (-0.03, 0.25)),
    "temporal_pole": Region((-34, -30, 38), (14, 16, 16), (-0.03, 0.25)),
    "medial_temporal": Region((-26, -6, 24), (10, 22, 9), (-0.03, 0.22)),
    "occipital": Region((-4, 62, 10), (18, 14, 16), (-0.2, 0.05)),
    "orbitofrontal": Region((-22, -48, 14), (10, 18, 18), (-0.03, 0.22)),
}
# Where a healthy brain was marked in sharp 3D FLAIR at 3 tesla: brighter than above, and others.
MORE_INNER: dict[str, Region] = {
    "posterior_limb": Region((4, 6, 21), (13, 7, 3.5), (0.0, 0.4)),
    "corticospinal_tract": Region((24, 4, 24), (14, 7, 5), (0.0, 0.3)),
    "forceps_major": Region((2, 40, 20), (7, 16, 5), (-0.05, 0.3)),
    "occipital_stripe": Region((-3, 44, 30), (8, 20, 3.5), (0.0, 0.35)),
    "splenium": Region((4, 22, 0), (8, 6, 14), (-0.1, 0.3)),
    "external_capsule": Region((0, -5, 34), (12, 18, 2.5), (0.0, 0.25)),
    "centrum_semiovale": Region((28, 0, 26), (12, 32, 9), (-0.06, 0.16)),
    "tegmentum": Region((-32, 12, 0), (12, 5, 9), (0.0, 0.25)),
    "dentate": Region((-38, 46, 14), (7, 9, 8), (-0.1, 0.25)),
}
MORE_OUTER: dict[str, Region] = {
    "precuneus": Region((24, 48, 6), (16, 16, 9), (-0.03, 0.3)),
    "cuneus": Region((4, 64, 8), (14, 14, 11), (-0.08, 0.3)),
    "medial_frontal": Region((26, -42, 6), (16, 18, 9), (-0.03, 0.25)),
    "parahippocampal": Region((-20, 16, 22), (9, 16, 9), (0.0, 0.3)),
    "operculum": Region((4, 2, 48), (10, 24, 10), (-0.03, 0.22)),
}


@dataclass(frozen=True)
class Drawn:
    """Soft ellipsoids of one scan.

    Attributes:
        centres_mm: (ellipsoid, axis).
        radii_mm: (ellipsoid, axis).
        change: (ellipsoid,), relative change of brightness at the centre.
    """

    centres_mm: npt.NDArray[np.float64]
    radii_mm: npt.NDArray[np.float64]
    change: npt.NDArray[np.float64]


def draw(rng: np.random.Generator, regions: dict[str, Region], strength: float) -> Drawn:
    """Draws where the regions of one head are and how bright; both sides nearly alike."""
    rows: list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], float]] = []
    for region in regions.values():
        centre = np.asarray(region.centre_mm) + rng.normal(0, 2.5, 3) * (1, 1, 0.6)
        radii = np.asarray(region.radii_mm) * rng.uniform(0.7, 1.35, 3)
        change = strength * between(rng, *region.change)
        sides = (1, -1) if region.centre_mm[2] else (1,)
        rows += [
            (centre * (1, 1, side), radii, change * between(rng, 0.75, 1.25)) for side in sides
        ]
    return Drawn(*(np.array(column) for column in zip(*rows, strict=True)))


def field(drawn: Drawn, axes_mm: Sequence[Float], beside: Array) -> Array:
    """Sum of the ellipsoids, (slice, row, column): a product of one curve an axis each.

    Args:
        drawn: The ellipsoids.
        axes_mm: Places of the points on the three axes, from the centre of the brain.
        beside: An array where the field is to live.
    """
    curves = [
        np.exp(-0.5 * ((np.asarray(axis)[:, None] - centre) / radius) ** 2)
        for axis, centre, radius in zip(axes_mm, drawn.centres_mm.T, drawn.radii_mm.T, strict=True)
    ]
    z, y, x = (home(beside).put(curve) for curve in (*curves[:2], (curves[2] * drawn.change).T))
    return (z[:, None, :] * y[None, :, :]) @ x


# Details, off unless a recipe asks for them, with generators of their own -------------------------

_DETAILS = 2**31 + 2
# Over which length white matter changes below the cortex; from where on a sulcus is deep.
_BELOW_MM, _DEEP_FROM_MM, _DEEP_OVER_MM = 7.0, 1.0, 3.5
_WAVES_MM = (60.0, 140.0)


@dataclass(frozen=True)
class Details:
    """Relative changes of brightness; 0 where there is none.

    Attributes:
        sulci: Of the cortex in the depth of sulci: of FLAIR, and of T1.
        inner: Of places in white and deep grey matter in FLAIR; None: none.
        outer: Of places in the cortex in FLAIR.
        below: Of white matter just below the cortex: of FLAIR, and of T1.
        waves: Along each axis: amplitude, wavelength in mm and phase of what white matter changes
            over centimetres; empty: nothing.
    """

    sulci: tuple[float, float]
    inner: Drawn | None
    outer: Drawn | None
    below: tuple[float, float]
    waves: tuple[tuple[float, float, float], ...]


def draw_details(rng: np.random.Generator, recipe: Recipe) -> Details | None:
    """Draws the details of a scan; None if it has none.

    Args:
        rng: Whose state goes on as if nothing had been drawn.
        recipe: How often.
    """
    if not (recipe.sulci or recipe.places or recipe.shading):
        return None
    sulci, places, shading = apart(rng, _DETAILS).spawn(3)
    deep = sometimes(sulci, recipe.sulci, 0.0, 0.28)
    inner = outer = None
    if places.random() < recipe.places:
        inner = draw(places, MORE_INNER, between(places, 0.3, 1.0))
        outer = draw(places, MORE_OUTER, between(places, 0.3, 1.0))
    below = (0.0, 0.0)
    waves: tuple[tuple[float, float, float], ...] = ()
    if shading.random() < recipe.shading:
        below = between(shading, -0.06, 0.05), between(shading, -0.12, 0.0)
        largest = between(shading, 0.0, 0.05)
        waves = tuple(
            (
                largest * between(shading, 0.2, 1),
                between(shading, *_WAVES_MM),
                between(shading, 0, 7),
            )
            for _ in range(3)
        )
    return Details((deep, -between(sulci, 0.0, 0.3) * deep), inner, outer, below, waves)


@dataclass(frozen=True)
class Places:
    """What lies at the points of some planes; arrays (slice x part, row, column).

    Attributes:
        white: 1 in white matter, else 0;
        deep: in white and deep grey matter,
        grey: in the cortex.
        depth_mm: Depth below the surface.
        pial_mm: Distance to the outer CSF.
        axes_mm: Places of the points on the three axes.
    """

    white: Array
    deep: Array
    grey: Array
    depth_mm: Array
    pial_mm: Array
    axes_mm: Sequence[Float]


def change(details: Details, at: Places) -> tuple[Array, Array]:
    """Relative changes of FLAIR and of T1 at every point."""
    xp = namespace(at.white)
    flair, t1 = 0.0 * at.white, 0.0 * at.white
    if details.inner is not None and details.outer is not None:
        inside = field(details.inner, at.axes_mm, at.white) * at.deep
        flair = flair + inside + field(details.outer, at.axes_mm, at.white) * at.grey
        t1 = t1 - 0.3 * inside
    if details.sulci[0]:
        sunk = xp.clip((at.pial_mm - _DEEP_FROM_MM) * (1 / _DEEP_OVER_MM), 0.0, 1.0) * at.grey
        flair, t1 = flair + details.sulci[0] * sunk, t1 + details.sulci[1] * sunk
    if details.waves:
        near = xp.exp(at.depth_mm * (-1 / _BELOW_MM)) * at.white
        curves = [
            home(at.white).put(a * np.sin(2 * np.pi * np.asarray(axis) / mm + phase))
            for axis, (a, mm, phase) in zip(at.axes_mm, details.waves, strict=True)
        ]
        wave = (curves[0][:, None, None] + curves[1][:, None]) + curves[2]
        flair = flair + details.below[0] * near + wave * at.white
        t1 = t1 + details.below[1] * near - 0.5 * wave * at.white
    return flair, t1
