"""A lopsided head with folds in FLAIR and T1, for what moves and resamples scans."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from wmhseg.geometry import Grid
from wmhseg.io.images import Scan

SHAPE = (28, 64, 60)
GRID = Grid(SHAPE, (4.0, 3.0, 3.0), (-90.0, -95.0, -50.0))


def head(seed: int) -> np.ndarray:
    """Tissue classes of a lopsided head with folds: 0 air, 1 skull, 2 to 4 inside."""
    rng = np.random.default_rng(seed)
    z, y, x = (
        (np.indices(SHAPE)[i] - c) / r for i, (c, r) in enumerate([(13, 12), (33, 28), (29, 24)])
    )
    radius = np.sqrt(x**2 + y**2 + z**2 + 0.25 * x * y)
    folds = ndimage.gaussian_filter(rng.normal(size=SHAPE), (1.0, 1.5, 1.5))
    inside = np.digitize(folds, np.quantile(folds, [0.33, 0.66])) + 2
    return np.where(radius > 1, 0, np.where(radius > 0.85, 1, inside))


def scan(classes: np.ndarray, brightness: tuple[float, ...], name: str) -> Scan:
    noise = np.random.default_rng(9).normal(0, 8, SHAPE)
    array = np.array(brightness)[classes] + noise
    return Scan(np.maximum(array, 0).astype(np.float32), GRID, name)


def pair(seed: int = 0) -> tuple[Scan, Scan]:
    classes = head(seed)
    return (
        scan(classes, (3, 250, 300, 400, 120), "FLAIR"),
        scan(classes, (3, 700, 350, 500, 150), "T1"),
    )
