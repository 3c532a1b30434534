"""A head of nested ellipsoids in any contrast, for what is judged from grey values."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from conftest import ellipsoid

from wmhseg.geometry import Grid
from wmhseg.io.images import Scan

SPACING_MM = (2.0, 2.0, 2.0)
SHAPE = (84, 116, 96)
# From outside: scalp, bone, CSF, cortex, white matter, deep grey matter, ventricles.
RADII = ((38, 50, 40), (35, 47, 37), (32, 44, 34), (31, 43, 33), (29, 41, 31), (12, 14, 14),
         (8, 11, 8))  # fmt: skip
CONTRASTS = {
    "FLAIR": (600, 30, 60, 420, 330, 400, 50),
    "T1": (900, 40, 120, 350, 500, 380, 110),
    "T2": (500, 30, 900, 350, 250, 300, 900),
}
BRAIN = 2  # the first ellipsoid without skull


@lru_cache
def _tissues() -> np.ndarray:
    """Index of the innermost ellipsoid that holds a voxel, from 1; 0 is air."""
    return sum(ellipsoid(SHAPE, radii).astype(np.uint8) for radii in RADII)


@lru_cache
def _noise() -> tuple[np.ndarray, np.ndarray]:
    real, imaginary = np.random.default_rng(0).standard_normal((2, *SHAPE), np.float32)
    return real, imaginary


def head(
    contrast: str = "FLAIR",
    *,
    name: str = "FLAIR",
    skull: bool = True,
    noise: float = 10.0,
    factor: float = 1.0,
) -> Scan:
    """A head in a contrast; noise is of the magnitude of a complex number, as in MR images."""
    values = np.array([0, *CONTRASTS[contrast]], np.float32)
    if not skull:
        values[1 : BRAIN + 1] = 0
    array = values[_tissues()]
    real, imaginary = _noise()
    noisy = np.hypot(array + noise * real, noise * imaginary)
    if not skull:
        noisy[array == 0] = 0
    return Scan((factor * noisy).astype(np.float32), Grid(SHAPE, SPACING_MM), name)
