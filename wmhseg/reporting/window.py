"""How bright a FLAIR scan is drawn, and which part of it: by the brain, whatever lies around it.

Fat, eyes, a piece of skull that was left, or one hot voxel may be many times as bright as the
brain. A window from the darkest to the brightest voxel, or to a percentile of all, would then draw
the brain black or grey.

Arrays are (slice, row, column).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg.geometry import Triple
from wmhseg.preparation import intensity, levels
from wmhseg.preparation.levels import Level

Float = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

# What is measured is measured on every so manieth voxel.
_STEP_MM = 3.0
_MOST_VOX = 128  # along an axis
# Scalp, skull and the fluid below it are thinner; in small heads and thin slabs a share will do.
_DEEP_MM, _DEEP_SHARE = 20.0, 0.5
# Parts of the median of what lies deep: fluid is darker than the first; white is nowhere darker
# than the second, as where there is no lesion, and nowhere brighter than the third.
_BLACK, _WHITE, _BRIGHTEST = 0.2, 1.6, 2.0
_BRIGHTEST_PERCENT = 99.0
# A bright remnant is not taken for the head: that is more of the volume.
_LEAST_HEAD = 0.02
# Rows, columns and slices that hold less of the head than this share of the fullest: specks.
_SPECKS = 0.03


@dataclass(frozen=True)
class Window:
    """What is drawn black and white.

    Attributes:
        level: Where the scan's intensities begin, None where they begin at 0.
        black: Drawn black, and all below; counted from where the intensities begin.
        white: Drawn white, and all above.
    """

    level: Level | None
    black: float
    white: float

    def grey(self, plane: Float) -> npt.NDArray[np.uint8]:
        """Grey values, 0 to 255, of a part of the scan."""
        values = plane if self.level is None else self.level.applied(plane)
        share = (values - self.black) / (self.white - self.black)
        return np.asarray(np.clip(share, 0, 1) * 255 + 0.5, np.uint8)

    @property
    def limits(self) -> tuple[float, float]:
        """Black and white as the file counts."""
        floor = self.level.floor if self.level is not None else 0.0
        return floor + self.black, floor + self.white


@dataclass(frozen=True)
class Look:
    """How a scan is to be drawn.

    Attributes:
        window: What is black and white.
        slices: First slice that holds the head, and the one behind the last.
        rows: As above.
        columns: As above.
    """

    window: Window
    slices: tuple[int, int]
    rows: tuple[int, int]
    columns: tuple[int, int]


def look_at(volume: Float, spacing_mm: Triple) -> Look:
    """Finds the head and the brightness of the brain in it.

    Args:
        volume: (slice, row, column), finite.
        spacing_mm: Distances of slices, rows and columns.
    """
    steps = [
        max(1, round(_STEP_MM / mm), -(-n // _MOST_VOX))
        for n, mm in zip(volume.shape, spacing_mm, strict=True)
    ]
    coarse = np.ascontiguousarray(volume[tuple(slice(step // 2, None, step) for step in steps)])
    level = levels.find(coarse)
    if level is not None:
        coarse = level.applied(coarse)
    head = _head(coarse)
    if not head.any():
        ends = [(0, n) for n in volume.shape]
        low, high = float(coarse.min()), float(coarse.max())
        return Look(Window(level, low, high if high > low else low + 1), *ends)
    sizes_mm = [mm * step for mm, step in zip(spacing_mm, steps, strict=True)]
    filled = intensity.fill_holes(head)
    brain = coarse[_deep(filled, sizes_mm)]
    median = float(np.median(brain))
    brightest = float(np.percentile(brain, _BRIGHTEST_PERCENT))
    white = min(max(brightest, _WHITE * median), _BRIGHTEST * median)
    window = Window(level, _BLACK * median, white)
    ends = [_extent(filled, axis, steps[axis], volume.shape[axis]) for axis in range(3)]
    return Look(window, *ends)


def _head(coarse: Float) -> Mask:
    """The head, less what is so bright that nothing but itself would seem bright."""
    kept = coarse
    for _ in range(4):
        head = intensity.foreground(kept)
        if head.mean() >= _LEAST_HEAD or not head.any():
            break
        kept = np.where(head, 0, kept)
    whole: Mask = head | (coarse > kept)
    return whole


def _deep(head: Mask, sizes_mm: list[float]) -> Mask:
    """What lies deep in the head."""
    # The first and last slices may cut through the head, but air lies in front of and beside it.
    framed = np.pad(head, ((0, 0), (1, 1), (1, 1)))
    depth = ndimage.distance_transform_edt(framed, sampling=sizes_mm)[:, 1:-1, 1:-1]
    deep: Mask = depth >= min(_DEEP_MM, _DEEP_SHARE * float(depth.max()))
    return deep


def _extent(head: Mask, axis: int, step: int, count: int) -> tuple[int, int]:
    """First index of the head along an axis of the scan, and the one behind the last."""
    area = head.sum(tuple(other for other in range(3) if other != axis))
    held = np.flatnonzero(area > _SPECKS * area.max())
    return max(0, int(held[0] - 1) * step), min(count, int(held[-1] + 2) * step)
