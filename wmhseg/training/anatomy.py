"""One head in a random pose, deformed and aged: what lies at every point of a scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wmhseg.training.heads import INDEX, Bytes, Head
from wmhseg.training.noise import Float, Noise, between, rotation
from wmhseg.training.recipe import Recipe


@dataclass(frozen=True)
class Anatomy:
    """What lies at every point of a scan before slices are averaged."""

    tissue: Bytes
    ventricle_mm: Float
    depth_mm: Float
    noise: Noise
    axes_mm: tuple[Float, Float, Float]


def sample(
    rng: np.random.Generator, head: Head, recipe: Recipe, thickness_mm: float, parts: int
) -> Anatomy:
    """Draws a pose, a deformation and degrees of atrophy, and looks the tissue up."""
    zoom = rng.uniform(*recipe.zoom, 3)
    pixel = between(rng, *recipe.pixel_mm) * np.array([1, between(rng, 0.93, 1.07)])
    low = (head.extent[0] - head.centre[0]) * zoom[0]
    high = (head.extent[1] - head.centre[0]) * zoom[0]
    places = low + (high - low) * (np.arange(recipe.slices) + rng.random()) / recipe.slices
    within = (np.arange(parts) - (parts - 1) / 2) * thickness_mm / parts
    z = (places[:, None] + within).ravel().astype(np.float32)
    shift = rng.uniform(-8, 8, 2)
    y, x = (
        ((np.arange(n) - n / 2) * p + s).astype(np.float32)
        for n, p, s in zip(recipe.field, pixel, shift, strict=True)
    )
    noise = Noise(rng, (z, y, x))
    matrix = rotation(rng, recipe.tilt_deg) / zoom[None, :].astype(np.float32)
    if rng.random() < 0.5:
        matrix[2] *= -1  # mirror left and right
    amplitude = between(rng, 0, recipe.warp_mm)
    yy = y[None, :, None] + amplitude * noise(between(rng, 25, 60))
    xx = x[None, None, :] + amplitude * noise(between(rng, 25, 60))
    zz = z[:, None, None]
    index = []
    for axis in range(3):
        m = matrix[axis]
        place = m[0] * zz + m[1] * yy + m[2] * xx + np.float32(head.centre[axis] + 0.5)
        index.append(place.astype(np.int32))
    shape = head.tissue.shape
    inside = np.ones(index[0].shape, bool)
    for axis in range(3):
        inside &= (index[axis] >= 0) & (index[axis] < shape[axis])
        np.clip(index[axis], 0, shape[axis] - 1, out=index[axis])
    flat = (index[0] * shape[1] + index[1]) * shape[2] + index[2]
    tissue = np.where(inside, head.tissue.ravel()[flat], 0).astype(np.uint8)
    ventricle = head.ventricle_mm.ravel()[flat] * np.float32(0.25)
    depth = head.depth_mm.ravel()[flat] * np.float32(0.25)

    if rng.random() < 0.5:  # the maps are of younger heads: widen the ventricles
        growth = between(rng, 0.5, 5.5) * (1 + 0.35 * noise(18))
        ventricle = ventricle - growth
        soft = np.isin(tissue, [INDEX[n] for n in ("white_matter", "wmh", "striatum", "thalamus")])
        tissue[soft & (ventricle <= 0)] = INDEX["ventricle"]
        ventricle = np.maximum(ventricle, 0)
    if rng.random() < 0.4:  # and the sulci
        pial = head.pial_mm.ravel()[flat] * np.float32(0.25)
        thin = between(rng, 0.5, 1.6) * (1 + 0.3 * noise(12))
        tissue[(tissue == INDEX["cortex"]) & (pial < thin)] = INDEX["csf"]
    return Anatomy(tissue, ventricle, depth, noise, (z, y, x))
