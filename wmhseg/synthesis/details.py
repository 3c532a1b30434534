"""What healthy brains show beside even tissues, never marked: off unless a recipe asks for it.

A detector of the fake (``evaluation/realism``) and marks in a healthy brain said what was missing.
Every ingredient has a generator of its own, so that a share of 0 draws what was drawn before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wmhseg.synthesis import regions
from wmhseg.synthesis.arrays import Array, home, namespace
from wmhseg.synthesis.noise import Float, apart, between, sometimes
from wmhseg.synthesis.recipe import Recipe

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
    inner: regions.Drawn | None
    outer: regions.Drawn | None
    below: tuple[float, float]
    waves: tuple[tuple[float, float, float], ...]


def draw(rng: np.random.Generator, recipe: Recipe) -> Details | None:
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
        inner = regions.draw(places, regions.MORE_INNER, between(places, 0.3, 1.0))
        outer = regions.draw(places, regions.MORE_OUTER, between(places, 0.3, 1.0))
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
        inside = regions.field(details.inner, at.axes_mm, at.white) * at.deep
        flair = flair + inside + regions.field(details.outer, at.axes_mm, at.white) * at.grey
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
