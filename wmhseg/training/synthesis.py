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
import numpy.typing as npt

from wmhseg import intensity
from wmhseg.geometry import Triple
from wmhseg.preset import METHODS
from wmhseg.training.acquisition import acquire, brain_extraction
from wmhseg.training.anatomy import sample
from wmhseg.training.appearance import draw_contrast, paint
from wmhseg.training.heads import Head, Mask, load_head, load_heads
from wmhseg.training.hyperintensities import grow
from wmhseg.training.noise import Float, Noise
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
    """Masks and z-scores a synthetic scan as inference does, with a jittered threshold.

    The jitter stands for scans whose own scale puts the fixed threshold higher or lower.
    """
    method = METHODS["synthetic"].preprocessing
    threshold = method.flair_threshold
    scaled = image * np.float32(intensity.scale_factor(image, threshold))
    if method.ceiling is not None:
        scaled = intensity.limit(scaled, method.ceiling)
    cut = threshold * float(np.exp(rng.uniform(-0.6, 0.6)))
    mask = intensity.brain_mask(scaled, cut, largest_component=method.largest_component)
    values = intensity.zscore(scaled, mask, name="synthetic")
    return values if method.clip is None else np.clip(values, *method.clip)


@dataclass(frozen=True)
class Drawing:
    """A synthetic scan before normalisation; all arrays (slice, row, column).

    Attributes:
        flair: FLAIR intensities, white matter near 1.
        t1: T1 intensities, white matter near 1.
        target: The hyperintensities: voxels at least half full.
        spacing_mm: Distance between slices, rows and columns.
    """

    flair: Float
    t1: Float
    target: Mask
    spacing_mm: Triple


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
    flair, t1 = paint(rng, anatomy, lesions, draw_contrast(rng))
    keep: Mask | None = None
    if rng.random() < recipe.skull_stripped:
        inside = brain_extraction(rng, anatomy)
        keep = inside.reshape(recipe.slices, parts, *recipe.field).mean(1) >= 0.5

    def slab(points: npt.NDArray[np.generic]) -> Float:
        shape = (recipe.slices, parts, *recipe.field)
        mean: Float = points.reshape(shape).mean(1, dtype=np.float32).astype(np.float32)
        return mean

    z = anatomy.axes_mm[0].reshape(recipe.slices, parts).mean(1)
    noise = Noise(rng, (z, *anatomy.axes_mm[1:]))
    volumes = [acquire(rng, slab(image), noise, keep) for image in (flair, t1)]
    if rng.random() < 0.15:  # registration is not perfect
        volumes[1] = np.roll(volumes[1], tuple(rng.integers(-1, 2, 2)), (1, 2))
    z_mm, y_mm, x_mm = (
        float((axis[-1] - axis[0]) / max(1, len(axis) - 1)) for axis in (z, *anatomy.axes_mm[1:])
    )
    return Drawing(volumes[0], volumes[1], slab(lesions) >= 0.5, (z_mm, y_mm, x_mm))


def make_scan(rng: np.random.Generator, heads: Sequence[Head], recipe: Recipe) -> SyntheticScan:
    """Draws one scan as the network sees it; see ``draw_scan``."""
    drawing = draw_scan(rng, heads, recipe)
    inputs = np.stack([normalise(rng, volume) for volume in (drawing.flair, drawing.t1)], -1)
    if rng.random() < recipe.without_t1:
        inputs[..., 1] = 0
    return SyntheticScan(inputs, drawing.target)
