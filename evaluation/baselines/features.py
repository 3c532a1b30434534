"""The 22 features of the conventional baseline.

M. Ghafoorian et al., Scientific Reports 7:5110 (2017), "Conventional segmentation system": FLAIR
and T1 intensity; Laplacian of Gaussian, determinant of the Hessian and an annular filter at 1, 2
and 4 mm; vesselness at 1 mm; mean and standard deviation in 16 x 16 pixels; eight features of
location, each scaled to 0..1 in every case.

What the paper leaves open is chosen here: filters work in the slice, as its neighbourhood and
distances do, because slices may be thick; they see FLAIR; derivatives are multiplied by scale^order
(Lindeberg); the annular filter is the mean of a disc of radius t less that of the ring from t to
2 t; the vesselness is Frangi's, of bright lines; location is that of ``wmhseg.channels.location``.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage, signal

from evaluation.baselines.placed_scan import PlacedScan
from wmhseg.channels import location
from wmhseg.channels.brain_maps import BrainMaps, Float
from wmhseg.geometry import Triple
from wmhseg.weights.inputs import OF_LOCATION

SCALES_MM = (1.0, 2.0, 4.0)
NAMES = (
    "flair", "t1",
    "laplacian_1mm", "laplacian_2mm", "laplacian_4mm",
    "hessian_1mm", "hessian_2mm", "hessian_4mm",
    "vesselness_1mm",
    "annular_1mm", "annular_2mm", "annular_4mm",
    "mean_16x16", "deviation_16x16",
    "mni_x", "mni_y", "mni_z",
    "left_ventricle", "right_ventricle", "cortex", "midsagittal", "prior",
)  # fmt: skip

_WINDOW = (1, 16, 16)


def compute(placed: PlacedScan, maps: BrainMaps) -> Float:
    """Computes all features of the voxels in the brain.

    Args:
        placed: The scan.
        maps: Of the average brain that it was placed in.

    Returns:
        (voxel, 22), columns as in NAMES, voxels in the order of ``placed.brain``.
    """
    located = location.columns(placed.brain, placed.placement, maps, placed.spacing_mm)
    columns = [*_appearance(placed), *(located[name] for name in OF_LOCATION)]
    return np.stack(columns, 1)


def _appearance(placed: PlacedScan) -> list[Float]:
    flair, brain, spacing = placed.flair, placed.brain, placed.spacing_mm
    hessians = [hessian(flair, scale, spacing) for scale in SCALES_MM]
    volumes = [flair, placed.t1]
    volumes += [rows + columns for rows, _, columns in hessians]
    volumes += [rows * columns - mixed**2 for rows, mixed, columns in hessians]
    volumes += [vesselness(hessians[0])]
    volumes += [annular(flair, scale, spacing) for scale in SCALES_MM]
    volumes += neighbourhood(flair)
    return [volume[brain] for volume in volumes]


def hessian(volume: Float, scale_mm: float, spacing_mm: Triple) -> tuple[Float, Float, Float]:
    """Second derivatives in the slice of the smoothed volume, times the scale squared.

    Returns:
        Along rows twice (the row index rises), mixed, along columns twice.
    """
    sigma = (0.0, scale_mm / spacing_mm[1], scale_mm / spacing_mm[2])

    def derivative(order: tuple[int, int]) -> Float:
        unit = sigma[1] ** order[0] * sigma[2] ** order[1]
        filtered: Float = ndimage.gaussian_filter(volume, sigma, order=(0, *order), mode="nearest")
        return filtered * np.float32(unit)

    return derivative((2, 0)), derivative((1, 1)), derivative((0, 2))


def vesselness(derivatives: tuple[Float, Float, Float]) -> Float:
    """Likeness to a bright line, 0 to 1, of second derivatives in the slice (Frangi, beta 0.5)."""
    rows, mixed, columns = derivatives
    middle, spread = (rows + columns) / 2, np.sqrt(((rows - columns) / 2) ** 2 + mixed**2)
    across = np.where(middle < 0, middle - spread, middle + spread)  # largest in size
    along = 2 * middle - across
    strength = across**2 + along**2
    half = max(float(strength.max()) / 4, 1e-12)  # (half of the largest norm) squared
    blob = (along / np.where(across == 0, 1, across)) ** 2
    likeness = np.exp(-blob / (2 * 0.5**2)) * (1 - np.exp(-strength / (2 * half)))
    bright: Float = np.where(across < 0, likeness, 0).astype(np.float32)
    return bright


def annular(volume: Float, radius_mm: float, spacing_mm: Triple) -> Float:
    """Mean of the disc of a radius less that of the ring around it up to twice the radius."""
    reach = [int(2 * radius_mm / s + 1e-6) for s in spacing_mm[1:]]
    y, x = np.ogrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    away_mm = np.hypot(y * spacing_mm[1], x * spacing_mm[2])
    disc = away_mm <= radius_mm + 1e-6
    ring = (away_mm <= 2 * radius_mm + 1e-6) & ~disc
    kernel = (disc / disc.sum() - ring / max(1, ring.sum())).astype(np.float32)
    padded = np.pad(volume, ((0, 0), (reach[0],) * 2, (reach[1],) * 2), mode="edge")
    filtered: Float = signal.fftconvolve(padded, kernel[None], mode="valid", axes=(1, 2))
    return filtered.astype(np.float32)


def neighbourhood(volume: Float) -> list[Float]:
    """Mean and standard deviation in 16 x 16 pixels, from 8 before to 7 behind the voxel."""
    mean = ndimage.uniform_filter(volume.astype(np.float64), _WINDOW, mode="nearest")
    square = ndimage.uniform_filter(volume.astype(np.float64) ** 2, _WINDOW, mode="nearest")
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    return [mean.astype(np.float32), deviation.astype(np.float32)]
