"""A scan as the detector looks at it: both modalities relative to white matter, and its regions.

Real and synthetic scans go through ``view`` alike. Arrays are (slice, row, column) in LPS order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg.channels import brain_maps, placement
from wmhseg.channels.brain_maps import BrainMaps, Float, Mask
from wmhseg.channels.placement import Placement
from wmhseg.errors import EmptyMaskError
from wmhseg.geometry import Triple
from wmhseg.preparation import intensity
from wmhseg.weights.methods import METHODS

REGIONS = (
    "septum", "plexus", "ventricle border", "deep grey", "white matter", "cortex",
    "brainstem", "cerebellum", "outside",
)  # fmt: skip
"""From the first to the last: where two of them meet, a voxel is the first's. Coarse, about where
the average brain has them; ``deep grey`` holds the internal capsule."""

_BORDER_MM, _NEAR_MM = 4.0, 22.0
_WHITE_ML = 20.0


@dataclass(frozen=True)
class View:
    """A scan as the detector looks at it.

    Attributes:
        flair: FLAIR, white matter 1, cut off as the networks' input is.
        t1: T1, likewise.
        region: Number of the region in REGIONS, from 1; 0 in none. Lesions are in none.
        lesions: Where lesions are, with some room.
    """

    flair: Float
    t1: Float
    region: npt.NDArray[np.uint8]
    lesions: Mask


@dataclass(frozen=True)
class Atlas:
    """What the maps of the average brain say about each voxel of a scan.

    Attributes:
        region: As in ``View``, lesions included.
        white: Deep white matter, to which intensities are related.
    """

    region: npt.NDArray[np.uint8]
    white: Mask


def view(flair: Float, t1: Float, lesions: Mask, atlas: Atlas) -> View:
    """Relates a scan to its white matter and leaves its lesions out.

    Args:
        flair: Any scale.
        t1: On the same voxels.
        lesions: Where no patch may be.
        atlas: Where the voxels are.

    Raises:
        EmptyMaskError: If there is hardly any white matter.
    """
    region = np.where(lesions, 0, atlas.region).astype(np.uint8)
    scaled = []
    for volume in (flair, t1):
        limited = intensity.limit(volume, METHODS["synthetic"].preprocessing.ceiling or np.inf)
        values = limited[atlas.white & ~lesions]
        if not values.size or np.median(values) <= 0:
            raise EmptyMaskError("White matter was expected where the average brain has it", "none")
        scaled.append((limited / np.median(values)).astype(np.float32))
    return View(scaled[0], scaled[1], region, lesions)


def atlas_of_scan(t1: Float, spacing_mm: Triple, slices: slice) -> Atlas:
    """Registers a scan to the average brain and names the regions of some of its slices."""
    placed = placement.place(t1, spacing_mm, brain_maps.load())
    z, y, x = (np.arange(n) * mm for n, mm in zip(t1.shape, spacing_mm, strict=True))
    return atlas_at(placed, (z[slices], y, x))


def atlas_at(placed: Placement, axes_mm: Sequence[npt.NDArray[Any]]) -> Atlas:
    """Names the regions of points on straight axes.

    Args:
        placed: The way from their coordinates to the maps.
        axes_mm: Places of slices, rows and columns.
    """
    z, y, x = (axis.astype(np.float32) for axis in axes_mm)
    places = tuple(
        (line[0] * z + start)[:, None, None] + (line[1] * y)[:, None] + line[2] * x
        for line, start in zip(
            placed.matrix.astype(np.float32), placed.offset_mm.astype(np.float32), strict=True
        )
    )
    return _named(brain_maps.load(), places)


def _named(maps: BrainMaps, places: tuple[Float, ...]) -> Atlas:
    """Looks the maps up at places in their own space (z, y, x), LPS mm."""
    index = [
        (place - origin) / step
        for place, origin, step in zip(places, maps.origin_mm, maps.spacing_mm, strict=True)
    ]

    def at(volume: Float, beyond: float = 0.0) -> Float:
        found: Float = ndimage.map_coordinates(
            volume, index, order=1, cval=beyond, output=np.float32
        )
        return found

    z, y, x = places
    side = np.abs(x)
    to_fluid, to_brain = (at(distance, 99.0) for distance in _distances_mm())
    brain, white = at(maps.brain.astype(np.float32)) > 0.5, at(maps.white_matter)
    masks = {
        "septum": (side < 5) & _within(z, 2, 24) & _within(y, -22, 12) & (to_fluid < 6),
        "plexus": _within(side, 14, 32) & _within(z, -2, 20) & _within(y, 26, 46) & (to_fluid < 3),
        "ventricle border": brain & (to_fluid < _BORDER_MM),
        "deep grey": brain & _within(side, 6, 32) & _within(z, -8, 16) & _within(y, -14, 26),
        "white matter": brain & (white > 0.7),
        "cortex": brain & (white < 0.45) & (to_fluid > 8) & (z > -30),
        "brainstem": ~brain & (side < 13) & _within(z, -52, -16) & _within(y, 12, 44),
        "cerebellum": ~brain & (side < 48) & _within(z, -48, -20) & _within(y, 48, 84),
        "outside": ~brain & (to_brain < _NEAR_MM) & (z > -5),
    }
    region = np.zeros(z.shape, np.uint8)
    for number, name in reversed(list(enumerate(REGIONS, start=1))):
        region[masks[name]] = number
    return Atlas(region, brain & (white > 0.9) & (to_fluid > _BORDER_MM))


def _within(values: Float, low: float, high: float) -> Mask:
    inside: Mask = (values > low) & (values < high)
    return inside


@lru_cache(maxsize=1)
def _distances_mm() -> tuple[Float, Float]:
    """Distances to the ventricles and to the brain, on the grid of the maps."""
    maps = brain_maps.load()
    made = []
    for mask in (maps.ventricles > 0.4, maps.brain):
        far = ndimage.distance_transform_edt(~mask, maps.spacing_mm)
        made.append(far.astype(np.float32))
    return made[0], made[1]
