"""Pictures of masks: outlines, and a sheet of slices with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Colour = tuple[int, int, int]
MARKED: Colour = (255, 60, 50)
"""Red of the outlines, RGB."""


def outline(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The pixels of a mask (row, column) that touch one outside it by a side."""
    inner: npt.NDArray[np.bool_] = ndimage.binary_erosion(mask)
    return mask & ~inner


def overlay(
    flair: npt.NDArray[np.floating[Any]],
    mask: npt.NDArray[np.uint8],
    pixel_mm: tuple[float, float],
    *,
    panels: int = 8,
) -> npt.NDArray[np.uint8]:
    """Draws a sheet of slices with the outlines of the mask.

    Args:
        flair: (slice, row, column), LPS order so that the picture is the radiological view.
        mask: Same shape; outlined in red.
        pixel_mm: Distance between rows and columns.
        panels: Number of slices, spread over the middle of those that hold the head.

    Returns:
        RGB picture, (row, column, 3) uint8, with square pixels.
    """
    bright = float(np.percentile(flair[flair > 0], 99.7)) if (flair > 0).any() else 1.0
    grey = np.clip(flair / bright, 0, 1)
    held = np.flatnonzero((grey > 0.15).mean((1, 2)) > 0.05)
    first, last = (int(held[0]), int(held[-1])) if held.size else (0, len(flair) - 1)
    # The middle part: below it lies the skull base, above it the vertex.
    chosen = np.linspace(first + 0.3 * (last - first), first + 0.85 * (last - first), panels)
    finest = min(pixel_mm) / max(1, round(240 / flair.shape[2]))
    rows, columns = (
        np.arange(max(1, round(count * size / finest))) * finest // size
        for count, size in zip(flair.shape[1:], pixel_mm, strict=True)
    )
    nearest = np.ix_(
        rows.astype(int).clip(max=flair.shape[1] - 1),
        columns.astype(int).clip(max=flair.shape[2] - 1),
    )
    tiles = []
    for index in chosen.round().astype(int):
        tile = np.repeat((grey[index][nearest] * 255).astype(np.uint8)[..., None], 3, -1)
        inside = mask[index][nearest] > 0
        tile[outline(inside)] = MARKED
        tiles.append(tile)
    across = min(4, panels)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % across)
    lines = [np.concatenate(tiles[i : i + across], 1) for i in range(0, len(tiles), across)]
    return np.concatenate(lines, 0)
