"""Synthetic FLAIR and T1 scans with known white matter hyperintensities, from label maps.

No real image is used: tissue intensities are drawn at random around plausible ratios, lesions are
grown from smooth noise, a periventricular field and ellipsoids, and the result is degraded as
scanners do (thick slices, blur, bias, noise). Arrays are (slice, row, column).

Source of the label maps: B. Billot et al., SynthSeg, Medical Image Analysis 86 (2023) 102789.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wmhseg import intensity
from wmhseg.preset import METHODS
from wmhseg.training.acquisition import acquire, average
from wmhseg.training.anatomy import sample
from wmhseg.training.appearance import marks, paint
from wmhseg.training.contrast import draw_contrast
from wmhseg.training.heads import Head, Mask, load_head, load_heads
from wmhseg.training.hyperintensities import grow
from wmhseg.training.linear import slice_profile
from wmhseg.training.noise import Float
from wmhseg.training.recipe import Recipe

__all__ = [
    "Drawing", "Head", "Recipe", "SyntheticScan", "draw_scan", "load_head", "load_heads",
    "make_scan", "normalise",
]  # fmt: skip


@dataclass(frozen=True)
class SyntheticScan:
    """A scan as the network sees it.

    Attributes:
        inputs: (slice, row, column, channel) float32, z-scored; channel 0 FLAIR, 1 T1.
        target: (slice, row, column) bool, the hyperintensities.
    """

    inputs: Float
    target: Mask


def normalise(rng: np.random.Generator, image: Float) -> Float:
    """Masks and z-scores a synthetic scan with the functions of inference.

    Both modalities are brought to the same multiple of their threshold there, so one threshold
    serves here. The jitter stands for scans that are near enough to the scale to be left there.
    """
    method = METHODS["synthetic"].preprocessing
    scale = intensity.scale_factor(image, method.flair_threshold) * np.exp(rng.uniform(-0.3, 0.3))
    scaled = image * np.float32(scale)
    if method.ceiling is not None:
        scaled = intensity.limit(scaled, method.ceiling)
    return intensity.normalise([scaled], ["synthetic"], method)[0]


@dataclass(frozen=True)
class Drawing:
    """A synthetic scan before normalisation; all arrays (slice, row, column).

    Attributes:
        flair: FLAIR intensities, white matter near 1.
        t1: T1 intensities, white matter near 1.
        target: The hyperintensities: voxels at least half full.
    """

    flair: Float
    t1: Float
    target: Mask


def draw_scan(rng: np.random.Generator, heads: Sequence[Head], recipe: Recipe) -> Drawing:
    """Draws the images of one scan.

    Args:
        rng: Source of all randomness: the same state gives the same scan.
        heads: Anatomies to choose from.
        recipe: Ranges to draw from.

    Returns:
        ``recipe.slices`` slices spread evenly over the brain.
    """
    head = heads[int(rng.integers(len(heads)))]
    thickness = float(rng.choice(recipe.thickness_mm))
    parts = 2 if thickness < 2 else 3
    anatomy = sample(rng, head, recipe, thickness, parts)
    lesions = grow(rng, anatomy, recipe)
    images = paint(rng, anatomy, marks(lesions), draw_contrast(rng, recipe))
    acquired = acquire(rng, images, anatomy, parts, recipe)
    full = average(lesions.astype(np.float32), parts, slice_profile(parts, 0))
    flair, t1 = acquired.images
    return Drawing(flair, t1, (full >= 0.5) & (acquired.seen > 0))


def make_scan(rng: np.random.Generator, heads: Sequence[Head], recipe: Recipe) -> SyntheticScan:
    """Draws one scan as the network sees it; see ``draw_scan``."""
    drawing = draw_scan(rng, heads, recipe)
    inputs = np.stack([normalise(rng, volume) for volume in (drawing.flair, drawing.t1)], -1)
    if rng.random() < recipe.without_t1:
        inputs[..., 1] = 0
    return SyntheticScan(inputs, drawing.target)
