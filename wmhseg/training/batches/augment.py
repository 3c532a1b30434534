"""Varied copies of real slices: rotation, shear, scale and flip about the middle of the slice.

Arrays are (row, column, channel); a slice and its mask are moved together. The parameters are
those of the papers' table (``wmhseg.training.plan.Augmentation``). The papers do not say how they
are combined; here each copy takes all of them, each drawn evenly from its range.

Reference:
    H. Li et al., NeuroImage 183 (2018) 650-665, section 3.1.1 and Table 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg.training.plan import Augmentation
from wmhseg.weights.inputs import Input

Float = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Variation:
    """How one copy is varied.

    Attributes:
        rotation_deg: Turn, clockwise as the slice is shown.
        shear_deg: Angle by which columns lean.
        zoom: Scale of rows and of columns; above 1 is larger.
        flip: Whether left and right (columns) are exchanged.
        empty_t1: Whether what is made from T1 is emptied.
    """

    rotation_deg: float = 0.0
    shear_deg: float = 0.0
    zoom: tuple[float, float] = (1.0, 1.0)
    flip: bool = False
    empty_t1: bool = False

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """From places in the copy to places in the slice, (row, column) from the middle."""
        turn, lean = math.radians(self.rotation_deg), math.radians(self.shear_deg)
        rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        shear = np.array([[1.0, 0.0], [math.tan(lean), 1.0]])
        scale = np.diag([1 / self.zoom[0], 1 / self.zoom[1]])
        matrix: npt.NDArray[np.float64] = rotation @ shear @ scale
        if self.flip:
            matrix = matrix @ np.diag([1.0, -1.0])
        return matrix


def draw(rng: np.random.Generator, ranges: Augmentation) -> Variation:
    """Draws a variation; it takes the same number of random numbers whatever the ranges."""
    turn, lean = rng.uniform(-1, 1, 2)
    rows, columns = rng.uniform(*ranges.zoom, 2)
    flip, empty = rng.random(2)
    return Variation(
        rotation_deg=float(turn) * ranges.rotation_deg,
        shear_deg=float(lean) * ranges.shear_deg,
        zoom=(float(rows), float(columns)),
        flip=bool(flip < ranges.flip),
        empty_t1=bool(empty < ranges.without_t1),
    )


def apply(
    image: Float, mask: Bytes, how: Variation, inputs: Sequence[Input]
) -> tuple[Float, Bytes]:
    """Varies a slice and its mask.

    Args:
        image: (row, column, channel) float32; interpolated linearly, and continued beyond its
            border by the border's values, which are background.
        mask: (row, column) uint8, the places of labels; each label is interpolated linearly and
            cut at one half.
        how: What to do. The default changes nothing.
        inputs: What the channels of the image are.

    Returns:
        Arrays of the same shapes and types.
    """
    matrix = how.matrix
    if not np.array_equal(matrix, np.eye(2)):
        moved = [_moved(image[..., channel], matrix) for channel in range(image.shape[-1])]
        image = np.stack(moved, -1).astype(np.float32)
        mask = _moved_labels(mask, matrix)
    if how.empty_t1:
        image = image.copy()
        image[..., [one.scan == "T1" for one in inputs]] = 0
    return image, mask


def _moved_labels(mask: Bytes, matrix: npt.NDArray[np.float64]) -> Bytes:
    moved = np.zeros(mask.shape, np.uint8)
    for label in np.unique(mask[mask > 0]).tolist():
        moved[_moved((mask == label).astype(np.float32), matrix) >= 0.5] = label
    return moved


def _moved(plane: Float, matrix: npt.NDArray[np.float64]) -> Any:
    middle = (np.array(plane.shape) - 1) / 2
    return ndimage.affine_transform(
        plane, matrix, offset=middle - matrix @ middle, order=1, mode="nearest"
    )
