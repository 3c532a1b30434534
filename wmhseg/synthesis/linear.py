"""Linear maps along one axis of an image, as small dense matrices.

What scanners and resampling do to slices is separable: one matrix for rows and one for columns say
all of it, and matrices of steps that follow each other are multiplied once. A map is
(points after, points before); points of an axis with n of them lie at (i + 0.5) / n of its length,
so two grids of one length share their borders. All rows add up to 1: a constant stays constant.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
Interpolation = Literal["nearest", "linear", "cubic", "sinc"]


def gaussian(points: int, sigma: float) -> Matrix:
    """Blurs with a Gaussian; near the ends its weights are scaled up.

    Args:
        points: Number of points.
        sigma: Standard deviation in points; 0 changes nothing.
    """
    place = np.arange(points)
    distance = (place[:, None] - place[None, :]) / max(sigma, 1e-6)
    return _weighted(np.exp(-0.5 * distance**2))


def band(after: int, before: int, taper: float, offset: float = 0.0) -> Matrix:
    """Samples a periodic signal with only the frequencies that ``after`` points can hold.

    This is what a scanner does that reads a limited k-space: a step rings, by 9 % at its first
    overshoot when nothing is tapered.

    Args:
        after: Number of points afterwards; more than before fills k-space with zeros.
        before: Number of points before.
        taper: Share of the frequencies that a cosine brings down to 0, from 0 (none) to 1.
        offset: Shift of the points afterwards, in points before.
    """
    highest = (min(after, before) - 1) // 2
    frequency = np.arange(highest + 1)
    start = (1 - taper) * (highest + 1)
    beyond = np.clip((frequency - start) / max(taper * (highest + 1), 1e-6), 0, 1)
    weight = np.where(frequency == 0, 1.0, 2.0) * np.cos(0.5 * np.pi * beyond) ** 2
    to = (np.arange(after) + 0.5) / after + offset / before
    source = (np.arange(before) + 0.5) / before
    # cos(a - b) from its parts: two thin products instead of a cube.
    a, b = (2 * np.pi * place[:, None] * frequency for place in (to, source))
    matrix = (np.cos(a) * weight) @ np.cos(b).T + (np.sin(a) * weight) @ np.sin(b).T
    made: Matrix = (matrix / before).astype(np.float32)
    return made


def interpolation(after: int, before: int, kind: Interpolation, offset: float = 0.0) -> Matrix:
    """Resamples to another number of points; beyond the ends the last value goes on.

    Args:
        after: Number of points afterwards.
        before: Number of points before.
        kind: "cubic" is the Catmull-Rom spline, "sinc" the periodic one.
        offset: Shift of the points afterwards, in points before.
    """
    if kind == "sinc":
        return band(after, before, 0.0, offset)
    place = (np.arange(after) + 0.5) * before / after - 0.5 + offset
    if kind == "nearest":
        place = np.rint(place)
    base = np.floor(place).astype(int)
    matrix = np.zeros((after, before))
    for step in (-1, 0, 1, 2):
        weight = _kernel(np.abs(place - (base + step)), kind)
        np.add.at(matrix, (np.arange(after), np.clip(base + step, 0, before - 1)), weight)
    return _weighted(matrix)


def _kernel(distance: npt.NDArray[np.float64], kind: Interpolation) -> npt.NDArray[np.float64]:
    if kind != "cubic":
        return np.clip(1 - distance, 0, None)
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))


def unsharp(points: int, sigma: float, amount: float) -> Matrix:
    """Adds ``amount`` times what a Gaussian of ``sigma`` points takes away."""
    made: Matrix = np.float32(1 + amount) * np.eye(points, dtype=np.float32)
    return made - np.float32(amount) * gaussian(points, sigma)


def ghosts(points: int, distance: float, strength: float) -> Matrix:
    """Moves a share of the signal into a copy on either side, around the ends.

    Args:
        points: Number of points.
        distance: How far away the copies lie, as a share of the axis.
        strength: Share of the signal in each copy; negative for copies that darken.
    """
    step = round(distance * points)
    eye = np.eye(points, dtype=np.float32)
    copies = np.roll(eye, step, 1) + np.roll(eye, -step, 1)
    made: Matrix = np.float32(1 - 2 * strength) * eye + np.float32(strength) * copies
    return made


def slice_profile(parts: int, softness: float) -> npt.NDArray[np.float32]:
    """Weights of the parts of a slice.

    Args:
        parts: Number of parts.
        softness: From 0, a box, to 1, a cosine bell that hardly sees the slice's faces.
    """
    place = (np.arange(parts) + 0.5) / parts - 0.5
    weight = 1 + softness * np.cos(2 * np.pi * place)
    profile: npt.NDArray[np.float32] = (weight / weight.sum()).astype(np.float32)
    return profile


def _weighted(matrix: npt.NDArray[np.float64]) -> Matrix:
    scaled: Matrix = (matrix / matrix.sum(1, keepdims=True)).astype(np.float32)
    return scaled
