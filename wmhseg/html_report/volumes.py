"""What a page shows of the voxels: 8 bits each, the head alone, as small as the page allows.

A file may have 12 MB in all, so that it can be sent by mail. Where the volumes are larger, voxels
are put together, and the page says so: grey values by their mean, marks and probabilities by the
largest, so that nothing marked is lost. No figure of the page is computed from these volumes.

Arrays are (slice, row, column) of axial slices in LPS order.
"""

from __future__ import annotations

import base64
import gzip
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.geometry import Grid
from wmhseg.io import nifti
from wmhseg.measures.uncertainty import THRESHOLDS
from wmhseg.reporting.window import Look

Bytes = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float32]
Box = tuple[slice, slice, slice]

PROBABILITY_STEPS = 200
"""A voxel of 1. A threshold that is a multiple of 0.005 is a whole number of these."""
MARKED, OTHER = 255, 128
"""What is marked as WMH, and as another label."""
_AROUND_MM = 5.0
_MOST_TIMES = 6  # voxels are put together


@dataclass(frozen=True, eq=False)
class Shown:
    """Volumes of one grid, ready for a page.

    Attributes:
        grid: Where their voxels lie.
        volumes: "flair", "mask" and, where there are such, "t1" and "probability" -> 8-bit voxels.
        together: How many slices, rows and columns of the scan were put together.
        first: Slice, row and column of the scan that the volumes begin with.
    """

    grid: Grid
    volumes: Mapping[str, Bytes]
    together: tuple[int, int, int] = (1, 1, 1)
    first: tuple[int, int, int] = (0, 0, 0)

    def encoded(self) -> dict[str, str]:
        """Each volume as a compressed NIfTI file in base64."""
        return {name: _encoded(volume, self.grid) for name, volume in self.volumes.items()}


def probability_bytes(probability: Float) -> Bytes:
    """A probability map in ``PROBABILITY_STEPS``, rounded up.

    A voxel is above a threshold of the curve if, and only if, its number is above that threshold's.
    """
    scaled = np.ceil(probability * np.float32(PROBABILITY_STEPS))
    # Rounding must carry nothing over a threshold of the curve.
    below = np.searchsorted(np.array(THRESHOLDS, np.float32), probability)
    first = PROBABILITY_STEPS // (len(THRESHOLDS) + 1)
    return np.asarray(
        np.clip(scaled, np.where(below, below * first + 1, 0), (below + 1) * first), np.uint8
    )


def shown(grid: Grid, grey: Mapping[str, Bytes], marks: Mapping[str, Bytes], look: Look) -> Shown:
    """Cuts volumes down to the head and what is marked.

    Args:
        grid: Of the scan.
        grey: Name -> grey values, 0 outside of the head.
        marks: Name -> marks or probabilities.
        look: Where the head is.
    """
    box = _box(grid, look, marks["mask"])
    first = (box[0].start, box[1].start, box[2].start)
    volumes = {
        name: np.ascontiguousarray(volume[box]) for name, volume in {**grey, **marks}.items()
    }
    return Shown(part_of(grid, first, volumes["mask"].shape), volumes, first=first)


def fitted(all_of_it: Shown, most_bytes: int) -> tuple[Shown, dict[str, str]]:
    """The volumes as they fit into a page, and their text.

    Args:
        all_of_it: The volumes.
        most_bytes: Of all texts together.

    Returns:
        The volumes, voxels put together if need be, and name -> text.
    """
    now = all_of_it
    for _ in range(_MOST_TIMES):
        if sum(volume.size for volume in now.volumes.values()) <= 4 * most_bytes:
            texts = now.encoded()
            if sum(map(len, texts.values())) <= most_bytes:
                return now, texts
        now = _coarser(all_of_it, now)
    return now, now.encoded()


def part_of(
    grid: Grid,
    first: tuple[int, ...],
    shape: tuple[int, ...],
    together: tuple[int, ...] = (1, 1, 1),
) -> Grid:
    """The grid of a part of an array whose voxels are put together.

    Args:
        grid: Of the whole.
        first: Slice, row and column that the part begins with.
        shape: Of the part.
        together: How many voxels become one along each axis.
    """
    middle = [
        (start + (n - 1) / 2) * mm
        for start, n, mm in zip(first, together, grid.spacing_mm, strict=True)
    ]
    matrix = np.array(grid.direction, float).reshape(3, 3)
    x, y, z = np.array(grid.origin_mm) + matrix @ np.array(middle[::-1], float)
    slices, rows, columns = (n * mm for n, mm in zip(together, grid.spacing_mm, strict=True))
    return replace(
        grid,
        shape=(shape[0], shape[1], shape[2]),
        spacing_mm=(slices, rows, columns),
        origin_mm=(float(x), float(y), float(z)),
    )


def _box(grid: Grid, look: Look, mask: Bytes) -> Box:
    """Head and marks, with a little air."""
    spans = []
    for axis, head in enumerate((look.slices, look.rows, look.columns)):
        held = np.flatnonzero(mask.any(tuple({0, 1, 2} - {axis})))
        first, behind = (int(held[0]), int(held[-1]) + 1) if held.size else head
        air = round(_AROUND_MM / grid.spacing_mm[axis])
        spans.append(
            slice(
                max(0, min(head[0], first) - air), min(mask.shape[axis], max(head[1], behind) + air)
            )
        )
    return spans[0], spans[1], spans[2]


def _coarser(whole: Shown, now: Shown) -> Shown:
    """Twice as many voxels put together along the axes where they are finest."""
    sizes = now.grid.spacing_mm
    finest = min(sizes)
    slices, rows, columns = (
        n * (2 if mm < 1.5 * finest else 1) for n, mm in zip(now.together, sizes, strict=True)
    )
    together = (slices, rows, columns)
    volumes = {
        name: _together(volume, together, mean=name in ("flair", "t1"))
        for name, volume in whole.volumes.items()
    }
    grid = part_of(whole.grid, (0, 0, 0), volumes["mask"].shape, together)
    return replace(whole, grid=grid, volumes=volumes, together=together)


def _together(volume: Bytes, by: tuple[int, int, int], *, mean: bool) -> Bytes:
    """Blocks of voxels as one each; what is missing of the last ones is like their edge."""
    more = [(0, -n % step) for n, step in zip(volume.shape, by, strict=True)]
    padded: npt.NDArray[Any] = np.pad(volume, more, "edge")
    sides = [part for n, step in zip(padded.shape, by, strict=True) for part in (n // step, step)]
    blocks = padded.reshape(sides)
    found = blocks.mean((1, 3, 5), dtype=np.float32) + 0.5 if mean else blocks.max((1, 3, 5))
    return np.asarray(found, np.uint8)


def _encoded(volume: Bytes, grid: Grid) -> str:
    plain = io.BytesIO()
    nifti.write(plain, volume, grid)
    return base64.b64encode(gzip.compress(plain.getvalue(), 6, mtime=0)).decode("ascii")
