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
from wmhseg.training.acquisition import acquire, brain_extraction
from wmhseg.training.anatomy import sample
from wmhseg.training.appearance import draw_contrast, paint
from wmhseg.training.arrays import NUMPY, Array, Arrays, namespace
from wmhseg.training.heads import Head, Mask, load_head, load_heads, move
from wmhseg.training.hyperintensities import Hyperintensities, grow
from wmhseg.training.noise import Float, Noise
from wmhseg.training.recipe import Recipe

__all__ = [
    "Drawing", "Head", "Recipe", "SyntheticScan", "draw_scan", "load_head", "load_heads",
    "make_scan", "move", "normalise",
]  # fmt: skip


@dataclass(frozen=True)
class SyntheticScan:
    """A scan as the network sees it.

    Attributes:
        inputs: (slice, row, column, channel) float32, z-scored; channel 0 FLAIR, 1 T1.
        target: (slice, row, column) bool, the hyperintensities.
        other: Same shape: abnormal in another way, so that a loss may leave it out; None: nothing.
    """

    inputs: Float
    target: Mask
    other: Mask | None = None


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
        other: Cavities and their bright borders, which are not hyperintensities of the target.
        spacing_mm: Distance of slices, rows and columns.
    """

    flair: Float
    t1: Float
    target: Mask
    other: Mask
    spacing_mm: tuple[float, float, float]


def draw_scan(
    rng: np.random.Generator, heads: Sequence[Head], recipe: Recipe, arrays: Arrays = NUMPY
) -> Drawing:
    """Draws the images of one scan.

    Args:
        rng: Source of all randomness: the same state gives the same scan.
        heads: Anatomies to choose from.
        recipe: Ranges to draw from.
        arrays: Where to compute.

    Returns:
        All slices of the scan, at most ``recipe.slices``, spread evenly from neck to vertex.
    """
    head = heads[int(rng.integers(len(heads)))]
    thickness = float(rng.choice(recipe.thickness_mm))
    parts = 2 if thickness < 2 else 3
    anatomy = sample(rng, head, recipe, thickness, parts, arrays)
    found = grow(rng, anatomy, recipe)
    flair, t1 = paint(rng, anatomy, found.strength >= 0.5, draw_contrast(rng))
    flair, t1 = (np.where(found.cavity >= 0.5, 0.3, image) for image in (flair, t1))
    keep: Mask | None = None
    if rng.random() < recipe.skull_stripped:
        inside = brain_extraction(rng, anatomy)
        keep = average(inside, parts) >= 0.5
    z = anatomy.axes_mm[0].reshape(-1, parts).mean(1)
    noise = Noise(rng, (z, *anatomy.axes_mm[1:]), arrays)
    volumes = [acquire(rng, average(image, parts), noise, keep) for image in (flair, t1)]
    if rng.random() < 0.15:  # registration is not perfect
        volumes[1] = np.roll(volumes[1], tuple(rng.integers(-1, 2, 2)), (1, 2))
    target, other = marked(found, parts)
    return Drawing(volumes[0], volumes[1], target, other, anatomy.spacing_mm)


def average(points: Array, parts: int) -> Array:
    """Mean over the parts of every slice, (slice, row, column) float32."""
    xp = namespace(points)
    split = xp.reshape(xp.astype(points, xp.float32), (-1, parts, *points.shape[1:]))
    return xp.mean(split, axis=1)


def marked(found: Hyperintensities, parts: int) -> tuple[Array, Array]:
    """Voxels that are hyperintensities, and those that are abnormal in another way.

    Args:
        found: What is abnormal at every point.
        parts: Planes a slice.

    Returns:
        Two masks (slice, row, column) without common voxels.
    """
    other = average(found.cavity + found.other, parts) >= 0.5
    return (average(found.strength, parts) >= 0.5) & ~other, other


def make_scan(
    rng: np.random.Generator, heads: Sequence[Head], recipe: Recipe, arrays: Arrays = NUMPY
) -> SyntheticScan:
    """Draws one scan as the network sees it; see ``draw_scan``."""
    drawing = draw_scan(rng, heads, recipe, arrays)
    inputs = np.stack([normalise(rng, volume) for volume in (drawing.flair, drawing.t1)], -1)
    if rng.random() < recipe.without_t1:
        inputs[..., 1] = 0
    return SyntheticScan(inputs, drawing.target, drawing.other)
