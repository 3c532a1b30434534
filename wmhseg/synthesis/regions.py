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
from wmhseg.synthesis.arrays import Array, home
from wmhseg.synthesis.noise import Float, between


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
