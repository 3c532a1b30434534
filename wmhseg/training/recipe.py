"""The ranges that synthetic scans are drawn from."""

from __future__ import annotations

from dataclasses import dataclass

from wmhseg.preset import METHODS


@dataclass(frozen=True)
class Recipe:
    """The ranges that scans are drawn from; lengths in mm, intensities relative to white matter."""

    field: tuple[int, int] = METHODS["synthetic"].preprocessing.field
    slices: int = 16
    thickness_mm: tuple[float, ...] = (0.9, 1.0, 1.2, 3.0, 3.0, 4.0, 5.0, 6.5)
    pixel_mm: tuple[float, float] = (0.85, 1.15)
    tilt_deg: float = 12.0
    zoom: tuple[float, float] = (0.87, 1.13)
    warp_mm: float = 2.5
    without_lesions: float = 0.12
    skull_stripped: float = 0.45
    without_t1: float = 0.2
