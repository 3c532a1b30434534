"""A brain of boxes whose measures can be worked out by hand.

Axial slices in LPS order: rows run to the back, columns to the patient's left. Cortex is in the
first three columns, a lateral ventricle on either side of column 20, brainstem, cerebellum and deep
grey matter in the four lowest slices, fluid and head in the last two rows, nothing in the last
slice, and white matter everywhere else.
"""

from __future__ import annotations

import numpy as np

from wmhseg.channels.placement import Placement
from wmhseg.geometry import Grid
from wmhseg.io.images import Scan
from wmhseg.measures.anatomy import Anatomy
from wmhseg.measuring import space
from wmhseg.measuring.scene import Scene
from wmhseg.weights.structures import STRUCTURES

SHAPE = (20, 40, 40)
N = {name: number for number, name in enumerate(STRUCTURES)}


def anatomy() -> np.ndarray:
    labels = np.full(SHAPE, N["white-matter"], np.uint8)
    labels[:, :, :3] = N["cortex"]
    labels[8:14, 10:20, 16:20] = N["right-lateral-ventricle"]
    labels[8:14, 10:20, 21:24] = N["left-lateral-ventricle"]
    labels[:4, :10] = N["brainstem"]
    labels[:4, 10:20] = N["cerebellum"]
    labels[:4, 20:30] = N["deep-grey"]
    labels[:, 38:] = N["outer-csf"]
    labels[:, 39] = N["head"]
    labels[19] = N["background"]
    return labels


# Name -> the box it fills: slices, rows, columns.
BOXES = {
    "at the ventricle": np.s_[9:11, 12:16, 24:30],  # 48 voxels from column 24, next to it
    "4 mm away": np.s_[9:11, 17:20, 27:29],  # 4 columns from it, apart from the first; 12
    "far away": np.s_[9:10, 30:34, 34:38],  # 16 voxels
    "at the cortex": np.s_[15:17, 30:32, 3:5],  # 8 voxels
    "brainstem": np.s_[1:2, 4:6, 10:12],  # 4 voxels
    "cerebellum": np.s_[1:2, 14:17, 10:11],  # 3 voxels
    "deep grey": np.s_[1:3, 24:26, 10:11],  # 4 voxels
}


def mask(*names: str) -> np.ndarray:
    marked = np.zeros(SHAPE, np.uint8)
    for name in names or BOXES:
        marked[BOXES[name]] = 1
    return marked


def grid(spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Grid:
    return Grid(SHAPE, spacing_mm, (-20.0, -15.0, 5.0))


def scene(marked: np.ndarray, where: Grid | None = None, **more: object) -> Scene:
    """A scene of the box brain; FLAIR counts its voxels."""
    where = where or grid()
    flair = np.arange(np.prod(where.shape), dtype=np.float32).reshape(where.shape)
    known = more.pop("anatomy", Anatomy(anatomy(), "boxes"))
    return Scene(Scan(flair, where, "FLAIR"), marked, anatomy=known, **more)  # type: ignore[arg-type]


def in_brain(where: Grid) -> space.InBrain:
    """A place in the average brain: turned by nothing, 10 mm up, 20 mm back, 30 mm left."""
    return space.of_placement(Placement(np.eye(3), np.array([10.0, 20.0, 30.0])), where)
