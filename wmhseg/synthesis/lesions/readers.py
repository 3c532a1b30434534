"""Readers as a model: how one person marks what is abnormal in a scan.

Readers differ in more than a threshold. They outline slice by slice, so outlines are smooth in the
plane; sparing ones leave out faint halos, what is smaller than 3 mm, and thin bands along the
ventricles; generous ones mark halos and dots and fill the strip between a lesion and the ventricle.
One number, generosity, says all of it: 0 is a sparing reader, 0.5 a balanced and 1 a generous one.

What a reader leaves out is background, not ignored: over many scans of many readers, the
probability that a network learns is then the share of readers who would mark a voxel, and a
threshold chooses a reader. Ignored, it would say nothing of what readers disagree about.

References:
    M. Filippi et al., Brain 142 (2019) 1858-1875 (lesions of at least 3 mm).
    A. Carass et al., NeuroImage 148 (2017) 77-102 (how two readers of the same scans differ).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg.synthesis.acquisition import average
from wmhseg.synthesis.anatomy import Sampled
from wmhseg.synthesis.linear import slice_profile
from wmhseg.synthesis.recipe import Recipe

Mask = npt.NDArray[np.bool_]
Float = npt.NDArray[np.float32]

GENEROSITY = {"sparing": 0.0, "balanced": 0.5, "generous": 1.0}
"""Name of a reader -> generosity; the ends are those of the range of ``drawn``."""

_TOUCHING = np.ones((3, 3), bool)
_IN_SPACE = np.ones((3, 3, 3), bool)


@dataclass(frozen=True)
class Reader:
    """How one person marks.

    Attributes:
        level: Share of a lesion's full brightness from which it is marked.
        smooth_mm: Standard deviation of a Gaussian that smooths outlines in the plane.
        smallest_mm: Lesions that are nowhere so wide in the plane are left out: the diameter of
            the disc with the area of their largest section.
        leaves_mm: Bands along the ventricles thinner than this are left out.
        fills_mm: Strips between a lesion and the ventricle up to this wide are filled.
    """

    level: float
    smooth_mm: float
    smallest_mm: float
    leaves_mm: float
    fills_mm: float


def of_generosity(generosity: float) -> Reader:
    """The typical reader of a generosity from 0 (sparing) to 1 (generous)."""
    spare, give = max(0.0, 1 - 2 * generosity), max(0.0, 2 * generosity - 1)
    return Reader(
        level=0.6 - 0.4 * generosity,
        smooth_mm=0.6,
        smallest_mm=3.0 * (1 - generosity) ** 2,
        leaves_mm=2.0 * spare,
        fills_mm=2.0 * give,
    )


def draw(rng: np.random.Generator, recipe: Recipe) -> Reader:
    """Draws the reader of a scan.

    Args:
        rng: A generator of its own; it takes the same from it whatever the recipe.
        recipe: ``reader`` is "drawn" for any generosity, or the name of one.

    Returns:
        With "drawn" also the outlines are smooth to a degree of the reader's own.
    """
    generosity, smooth = rng.random(2)
    if recipe.reader != "drawn":
        return of_generosity(GENEROSITY[recipe.reader])
    typical = of_generosity(float(generosity))
    return Reader(
        typical.level,
        float(0.2 + 0.9 * smooth),
        typical.smallest_mm,
        typical.leaves_mm,
        typical.fills_mm,
    )


def mark(
    strength: Float, ventricle_mm: Float, tissue: Mask, reader: Reader, pixel_mm: float
) -> Mask:
    """What a reader marks of a scan.

    Args:
        strength: (slice, row, column) 1 inside lesions, less in halos.
        ventricle_mm: Distance to the lateral ventricles, same shape.
        tissue: Where something may be marked, same shape.
        reader: Who marks.
        pixel_mm: Distance of rows and columns.
    """
    marked = (strength >= reader.level) & tissue
    planes, rows, columns = (np.flatnonzero(marked.any(axes)) for axes in ((1, 2), (0, 2), (0, 1)))
    if not planes.size:
        return marked
    # Nothing is marked farther away than the widest outline reaches.
    reach = 4 + int(4 * max(reader.smooth_mm, reader.fills_mm) / pixel_mm)
    box = (
        slice(planes[0], planes[-1] + 1),
        slice(max(0, rows[0] - reach), rows[-1] + reach + 1),
        slice(max(0, columns[0] - reach), columns[-1] + reach + 1),
    )
    marked[box] = _as_read(marked[box], ventricle_mm[box], tissue[box], reader, pixel_mm)
    return marked


def _as_read(
    marked: Mask, ventricle_mm: Float, tissue: Mask, reader: Reader, pixel_mm: float
) -> Mask:
    """What a reader makes of what is bright enough."""
    if reader.fills_mm:
        marked = _filled(marked, ventricle_mm, reader.fills_mm, pixel_mm) & tissue
    if reader.leaves_mm:
        marked = _without_bands(marked, ventricle_mm, reader.leaves_mm, pixel_mm)
    if reader.smooth_mm:
        marked = _smoothed(marked, reader.smooth_mm / pixel_mm) & tissue
    return _without_small(marked, reader.smallest_mm / pixel_mm)


def seen_by(strength: Float, anatomy: Sampled, other: Mask, reader: Reader) -> Mask:
    """``mark`` for the lesions of a scan, (slice, row, column).

    Args:
        strength: Averaged over each slice.
        anatomy: What lies at every point.
        other: Abnormal in another way, never marked.
        reader: Who marks.
    """
    get = anatomy.noise.arrays.get
    even = slice_profile(anatomy.parts, 0)
    ventricle = get(average(anatomy.ventricle_mm, anatomy.parts, even))
    inside = ventricle > 0.5
    pixel = float(np.sqrt(anatomy.spacing_mm[1] * anatomy.spacing_mm[2]))
    return mark(get(strength), ventricle, inside & ~get(other), reader, pixel)


def _disc(radius: float) -> Mask:
    """Structuring element of a radius in pixels; at least the pixel and its four neighbours."""
    reach = max(1, int(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc: Mask = y * y + x * x <= max(1.0, radius) ** 2
    return disc


def _filled(marked: Mask, ventricle_mm: Float, width_mm: float, pixel_mm: float) -> Mask:
    """Fills strips between what is marked and the ventricle."""
    strip = (ventricle_mm <= width_mm) & (ventricle_mm > 0)
    grown = ndimage.binary_dilation(marked, _disc(width_mm / pixel_mm)[None])
    return np.asarray(marked | (strip & grown))


def _without_bands(marked: Mask, ventricle_mm: Float, width_mm: float, pixel_mm: float) -> Mask:
    """Leaves thin bands along the ventricles out: what an opening takes away there."""
    near = marked & (ventricle_mm <= width_mm)
    if not near.any():
        return marked
    kept = ndimage.binary_opening(marked, _disc(0.5 * width_mm / pixel_mm)[None])
    # Grown again by a pixel, so that corners of what stays are not cut.
    kept = ndimage.binary_dilation(kept, _TOUCHING[None])
    return np.asarray(marked & (kept | ~near))


def _smoothed(marked: Mask, sigma: float) -> Mask:
    """Smooths outlines slice by slice; a lesion that would vanish stays as it is."""
    smooth = ndimage.gaussian_filter(marked.astype(np.float32), (0, sigma, sigma)) >= 0.5
    for plane, before in zip(smooth, marked, strict=True):
        number, count = ndimage.label(before, _TOUCHING)
        if count:
            left = np.bincount(number[plane & before], minlength=count + 1) > 0
            left[0] = True
            plane |= ~left[number]
    return np.asarray(smooth)


def _without_small(marked: Mask, diameter: float) -> Mask:
    """Leaves out lesions whose largest section is smaller than a disc of a diameter in pixels."""
    if diameter <= 0:
        return marked
    number, count = ndimage.label(marked, _IN_SPACE)
    largest = np.zeros(count + 1, np.int64)
    for plane in number:
        np.maximum(largest, np.bincount(plane.ravel(), minlength=count + 1), out=largest)
    enough = largest >= np.pi / 4 * diameter**2
    enough[0] = False
    return np.asarray(enough[number])
