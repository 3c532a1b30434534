"""Maps of the average brain, and a picture made of them that looks like a scan.

Three maps on the MNI 2009c grid (white matter, ventricles, white matter hyperintensities) travel
with the package, averaged to 2 mm by ``python -m evaluation.package_data.brain_maps``. From the
first two the brain and two pictures are composed: one like a T1 scan (white matter bright, the rest
of the brain grey, ventricles dark), one like FLAIR (white matter a little darker than grey).

Arrays are (slice, row, column) of axial slices in LPS order; positions are LPS mm, (z, y, x).

Source of the maps: M. Dadar, BISON, VANDAlab (Apache-2.0).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg.geometry import Triple
from wmhseg.preparation import intensity

Float = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]

NAMES = ("wmh", "ventricles", "white_matter")
FILE = "brain_maps.npz"  # in wmhseg/data

# How bright the brain is, and what white matter and ventricles add to it. In FLAIR these are the
# rounded coefficients of a regression of real scans, in place, on the three maps.
CONTRASTS = {"T1": (0.6, 0.4, -0.5), "FLAIR": (1.0, -0.1, -0.6)}

_RIM_MM = 8.0  # how far outside the brain the pictures are compared
_HULL_MM = 9.0  # radius of the ball that closes the white matter to a brain,
_CORTEX_MM = 3.0  # and how far it reaches beyond
_GRID_MM = 6.0  # distance of the places that are compared
_BLUR_MM = 1.5


@dataclass(frozen=True)
class BrainMaps:
    """The maps on one grid; arrays (slice, row, column), probabilities from 0 to 1.

    Attributes:
        wmh: Of white matter hyperintensities.
        ventricles: Of the ventricles.
        white_matter: Of white matter.
        brain: The brain, made of the other two maps.
        origin_mm: LPS position of the first voxel, (z, y, x).
        spacing_mm: Distance between slices, rows and columns.
        points_mm: (n, 3) places in the brain, beside it and above, where a scan is compared with
            a composed picture, and
        pictures: Scan, "T1" or "FLAIR" -> (n,) the picture there.
    """

    wmh: Float
    ventricles: Float
    white_matter: Float
    brain: Mask
    origin_mm: Triple
    spacing_mm: Triple
    points_mm: Doubles
    pictures: Mapping[str, Doubles]


@lru_cache(maxsize=1)
def load() -> BrainMaps:
    """The maps that travel with the package; read once."""
    stored = (resources.files("wmhseg") / "data" / FILE).read_bytes()
    with np.load(io.BytesIO(stored), allow_pickle=False) as held:
        maps = {name: (held[name] * held["units"][i]) for i, name in enumerate(NAMES)}
        z, y, x = (float(mm) for mm in held["origin_mm"])
        slice_mm, row_mm, column_mm = (float(mm) for mm in held["spacing_mm"])
    maps = {name: volume.astype(np.float32) for name, volume in maps.items()}
    return compose(maps, (z, y, x), (slice_mm, row_mm, column_mm))


def compose(maps: Mapping[str, Float], origin_mm: Triple, spacing_mm: Triple) -> BrainMaps:
    """Makes the record of the three maps.

    The brain is white matter and ventricles, closed with a ball of 9 mm, filled, and grown by 3 mm
    for the cortex.

    Args:
        maps: By the names in NAMES, probabilities.
        origin_mm: LPS position of their first voxel, (z, y, x).
        spacing_mm: Distance between slices, rows and columns.
    """
    white, fluid = maps["white_matter"], maps["ventricles"]
    room = round(2 * _HULL_MM / min(spacing_mm))
    padded = np.pad(white + fluid > 0.3, room)
    grown = ndimage.distance_transform_edt(~padded, spacing_mm) <= _HULL_MM
    shrunk = ndimage.distance_transform_edt(grown, spacing_mm) > _HULL_MM - _CORTEX_MM
    brain = intensity.fill_holes(shrunk)[room:-room, room:-room, room:-room]
    near = ndimage.distance_transform_edt(~brain, spacing_mm) <= _RIM_MM
    near &= brain | ~_has_brain_above(brain)
    steps = [max(1, round(_GRID_MM / s)) for s in spacing_mm]
    index = np.argwhere(near[tuple(slice(None, None, step) for step in steps)]) * steps
    pictures = {}
    for scan, (whole, in_white, in_fluid) in CONTRASTS.items():
        picture = (whole * brain + in_white * white + in_fluid * fluid).astype(np.float32)
        picture = ndimage.gaussian_filter(picture, _BLUR_MM / np.array(spacing_mm))
        pictures[scan] = picture[tuple(index.T)].astype(np.float64)
    return BrainMaps(
        wmh=maps["wmh"],
        ventricles=fluid,
        white_matter=white,
        brain=brain,
        origin_mm=origin_mm,
        spacing_mm=spacing_mm,
        points_mm=index * np.array(spacing_mm) + np.array(origin_mm),
        pictures=pictures,
    )


def _has_brain_above(brain: Mask) -> Mask:
    """Cerebellum, brain stem, eyes, or neck: the maps know nothing of them."""
    above: Mask = np.flip(np.logical_or.accumulate(np.flip(brain, 0), 0), 0)
    return above
