"""Synthetic FLAIR and T1 scans with known white matter hyperintensities, from label maps.

No real image is used: tissue intensities are drawn at random around plausible ratios, lesions are
grown from smooth noise, a periventricular field and ellipsoids, infarcts may lie beside them, and
the result is degraded as scanners do (thick slices, blur, bias, noise). Arrays are (slice, row,
column).

Source of the label maps: B. Billot et al., SynthSeg, Medical Image Analysis 86 (2023) 102789.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wmhseg.preparation import intensity
from wmhseg.synthesis import measured, strokes
from wmhseg.synthesis.acquisition import acquire, average
from wmhseg.synthesis.anatomy import sample
from wmhseg.synthesis.appearance import paint
from wmhseg.synthesis.arrays import NUMPY, Array, Arrays
from wmhseg.synthesis.brightness import draw_contrast
from wmhseg.synthesis.heads import Head, Mask
from wmhseg.synthesis.hyperintensities import Hyperintensities, grow
from wmhseg.synthesis.lesions import readers, small
from wmhseg.synthesis.linear import slice_profile
from wmhseg.synthesis.noise import Float, apart, between
from wmhseg.synthesis.recipe import Recipe
from wmhseg.synthesis.truth import anatomical
from wmhseg.weights.methods import METHODS
from wmhseg.weights.processing import Preprocessing

# Generators of their own: without infarcts, small lesions and drawn readers all else of a scan
# stays as it is.
_STROKE, _SMALL, _READER = 2**31 + 1, 2**31 + 161, 2**31 + 162


@dataclass(frozen=True)
class SyntheticScan:
    """A scan as the network sees it.

    Attributes:
        inputs: (slice, row, column, channel) float32, z-scored; channel 0 FLAIR, 1 T1.
        target: (slice, row, column) bool, the hyperintensities.
        other: Same shape: abnormal in another way, so that a loss may leave it out; None: nothing.
        stroke: Same shape: infarcts, a class of their own; None: nothing.
    """

    inputs: Float
    target: Mask
    other: Mask | None = None
    stroke: Mask | None = None


_METHOD = METHODS["synthetic"].preprocessing


def normalise(rng: np.random.Generator, image: Float, method: Preprocessing = _METHOD) -> Float:
    """Masks and z-scores a synthetic scan with the functions of inference.

    At inference both modalities are brought to the same multiple of their threshold, so here one
    threshold serves both. The jitter stands for scans so near the challenge's intensity scale that
    inference leaves them as they are.
    """
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
        target: The hyperintensities as one reader would mark them, see ``Recipe.marked`` and
            ``Recipe.reader``.
        other: Cavities and their bright borders, which are not hyperintensities of the target.
        spacing_mm: Distance of slices, rows and columns.
        stroke: Infarcts, see ``Recipe.stroke``; no voxel of it is of another mask.
        axes_mm: Places of slices, rows and columns, from the centre of the head's brain.
        structures: Number of the structure that each voxel is of, see
            ``wmhseg.weights.structures``; None unless it was asked for.
    """

    flair: Float
    t1: Float
    target: Mask
    other: Mask
    spacing_mm: tuple[float, float, float]
    stroke: Mask
    axes_mm: tuple[Float, ...] = ()
    structures: Array = None


def draw_scan(
    rng: np.random.Generator,
    heads: Sequence[Head],
    recipe: Recipe,
    arrays: Arrays = NUMPY,
    *,
    structures: bool = False,
) -> Drawing:
    """Draws the images of one scan.

    Args:
        rng: Source of all randomness: the same state gives the same scan.
        heads: Anatomies to choose from.
        recipe: Ranges to draw from.
        arrays: Where to compute.
        structures: Whether to say of which structure each voxel is; the heads then have to know
            sides. The scan is the same.

    Returns:
        All slices of the scan, at most ``recipe.slices``, spread evenly from neck to vertex.
    """
    head = heads[int(rng.integers(len(heads)))]
    thickness = float(rng.choice(recipe.thickness_mm))
    parts = 2 if thickness < 2 else 3
    anatomy = sample(rng, head, recipe, thickness, parts, arrays)
    lesions = grow(rng, anatomy, recipe)
    if recipe.small_lesions:
        lesions = small.add(apart(rng, _SMALL), anatomy, lesions, recipe)
    infarcts = strokes.draw(apart(rng, _STROKE), anatomy, recipe)
    if infarcts is not None:
        lesions = strokes.beside(lesions, infarcts)
    contrast = measured.applied(rng, draw_contrast(rng, recipe), recipe)
    images = paint(rng, anatomy, lesions, contrast, infarcts)
    acquired = acquire(rng, images, anatomy, parts, recipe)
    flair, t1 = acquired.images
    level = between(rng, *recipe.marked)
    target, other = marked(lesions, parts, level)
    if recipe.reader != "range":
        reader = readers.draw(apart(rng, _READER), recipe)
        strength = average(lesions.strength, parts, slice_profile(parts, 0))
        target = arrays.put(readers.seen_by(strength, anatomy, other, reader))
    target, other = (mask & (acquired.seen > 0) for mask in (target, other))
    stroke = arrays.xp.zeros_like(target)
    if infarcts is not None:
        even = slice_profile(parts, 0)
        stroke = (average(infarcts.extent, parts, even) >= 0.5) & (acquired.seen > 0)
        target, other = target & ~stroke, other & ~stroke
    axes_mm = (anatomy.axes_mm[0].reshape(-1, parts).mean(1), *anatomy.axes_mm[1:])
    told = None
    if structures:
        told = anatomical.of_slices(anatomical.at_points(anatomy), parts, acquired.seen)
    return Drawing(flair, t1, target, other, anatomy.spacing_mm, stroke, axes_mm, told)


def marked(lesions: Hyperintensities, parts: int, level: float) -> tuple[Array, Array]:
    """Voxels that are hyperintensities, and those that are abnormal in another way.

    Args:
        lesions: What is abnormal at every point.
        parts: Planes a slice.
        level: Share of a lesion's full brightness from which it is marked.

    Returns:
        Two masks (slice, row, column) without common voxels.
    """
    even = slice_profile(parts, 0)
    other = average(lesions.cavity + lesions.other, parts, even) >= 0.5
    return (average(lesions.strength, parts, even) >= level) & ~other, other


def as_seen(
    rng: np.random.Generator, drawing: Drawing, recipe: Recipe, arrays: Arrays = NUMPY
) -> SyntheticScan:
    """Turns a drawing into what the network sees.

    Args:
        rng: Source of randomness, where ``draw_scan`` left it.
        drawing: What was drawn.
        recipe: Says how often T1 is missing.
        arrays: Where the drawing lies.
    """
    # Masks are made by the functions of inference, which work on the host.
    volumes = [arrays.get(volume) for volume in (drawing.flair, drawing.t1)]
    inputs = np.stack([normalise(rng, volume) for volume in volumes], -1)
    if rng.random() < recipe.without_t1:
        inputs[..., 1] = 0
    return SyntheticScan(arrays.put(inputs), drawing.target, drawing.other, drawing.stroke)


def make_scan(
    rng: np.random.Generator, heads: Sequence[Head], recipe: Recipe, arrays: Arrays = NUMPY
) -> SyntheticScan:
    """Draws one scan as the network sees it; see ``draw_scan``."""
    return as_seen(rng, draw_scan(rng, heads, recipe, arrays), recipe, arrays)
