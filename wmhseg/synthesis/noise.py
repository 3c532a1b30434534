"""Random numbers, smooth random fields and rotations.

Fields are (slice, row, column); all randomness comes from the generator that is handed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt

from wmhseg.synthesis.arrays import NUMPY, Array, Arrays

Float = npt.NDArray[np.float32]


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """Draws a number evenly between two."""
    return float(rng.uniform(low, high))


def sometimes(
    rng: np.random.Generator, share: float, low: float, high: float, otherwise: float = 0.0
) -> float:
    """Draws a number as ``between`` in a share of the cases, else says ``otherwise``.

    It takes as much from the generator either way: what is switched off changes nothing else.
    """
    value, chance = between(rng, low, high), rng.random()
    return value if chance < share else otherwise


def apart(rng: np.random.Generator, key: int) -> np.random.Generator:
    """A generator of its own that takes nothing from ``rng``, nor from those it will spawn.

    Args:
        rng: Whose state goes on as if nothing had been drawn.
        key: Tells generators apart that are made at the same place; above 2**31, so that no
            spawned one is the same.
    """
    seeds = cast(np.random.SeedSequence, rng.bit_generator.seed_seq)
    place = (*seeds.spawn_key, seeds.n_children_spawned, key)
    return np.random.default_rng(np.random.SeedSequence(seeds.entropy, spawn_key=place))


class Noise:
    """Smooth random fields on the points of one scan, made by separable linear maps."""

    def __init__(
        self, rng: np.random.Generator, axes_mm: Sequence[Float], arrays: Arrays = NUMPY
    ) -> None:
        """Takes the generator and the places (slice, row, column) of the points in mm."""
        self.rng = rng
        self.axes = axes_mm
        self.arrays = arrays

    def __call__(self, wavelength_mm: float) -> Array:
        """Draws a field of about zero mean and unit variance, (slice, row, column)."""
        maps = [spline_map(axis, wavelength_mm) for axis in self.axes]
        knots = self.rng.standard_normal([m.shape[1] for m in maps]).astype(np.float32)
        # Every fourth row and column of the field tells its spread well enough.
        spread = float(_applied((maps[0], maps[1][::4], maps[2][::4]), knots).std())
        knots /= np.float32(max(spread, 1e-6))
        put = self.arrays.put
        low = np.tensordot(maps[0], knots, 1)  # (slice, y, x)
        out = put(maps[1]) @ put(low)  # (slice, row, x)
        return out @ put(np.ascontiguousarray(maps[2].T))  # (slice, row, column)


def _applied(maps: Sequence[Float], knots: Float) -> Float:
    return np.asarray(maps[1] @ np.tensordot(maps[0], knots, 1) @ maps[2].T, np.float32)


def spline_map(axis_mm: Float, wavelength_mm: float) -> Float:
    """Cubic B-spline weights from knots ``wavelength_mm`` apart to the points of an axis."""
    position = (axis_mm - axis_mm.min()) / wavelength_mm
    knots = np.arange(-1, int(np.ceil(position.max())) + 2)
    distance = np.abs(position[:, None] - knots[None, :])
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = np.clip(2 - distance, 0, None) ** 3 / 6
    weights: Float = np.where(distance < 1, inner, outer).astype(np.float32)
    return weights


def rotation(rng: np.random.Generator, tilt_deg: float) -> Float:
    """Draws a rotation matrix: up to ``tilt_deg`` either way about each of the three axes."""
    a, b, c = np.deg2rad(rng.uniform(-tilt_deg, tilt_deg, 3))
    about_z = [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]
    about_y = [[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]]
    about_x = [[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]]
    return (np.array(about_z) @ np.array(about_y) @ np.array(about_x)).astype(np.float32)
