"""Scans made of the maps of the average brain, so that their place in it is known."""

from __future__ import annotations

import math

import numpy as np

from wmhseg.channels import brain_maps, placement
from wmhseg.channels.placement import Placement

SHAPE, SPACING = (34, 96, 84), (5.0, 2.2, 2.3)
GREY = {"T1": (60.0, 40.0, -50.0), "FLAIR": (100.0, -10.0, -60.0)}
MIDDLE = (np.array(SHAPE) - 1) / 2 * SPACING


def known(turn: float, size: tuple[float, float, float], shift_mm: tuple[float, ...]) -> Placement:
    """A head turned about the axis from left to right, of a size, shifted."""
    cosine, sine = math.cos(turn), math.sin(turn)
    matrix = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]) * size
    # The middle of the scan lies near the middle of the brain.
    return Placement(matrix, matrix @ (np.array(shift_mm) - MIDDLE) + (15.0, 18.0, 0.0))


def scan_of(placed: Placement, scan: str = "T1") -> np.ndarray:
    maps = brain_maps.load()
    whole = maps.brain.astype(np.float32), maps.white_matter, maps.ventricles
    parts = [placement.mapped(volume, maps, placed, SHAPE, SPACING) for volume in whole]
    volume = sum(grey * part for grey, part in zip(GREY[scan], parts, strict=True))
    noise = np.random.default_rng(4).normal(0, 2, SHAPE)
    return np.abs(volume + noise).astype(np.float32)
