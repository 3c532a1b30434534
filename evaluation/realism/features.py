"""What the detector knows of a patch: some thirty numbers a modality, in groups that can be named.

All are of single slices, as networks see nothing else. A patch is (row, column) of FLAIR and T1,
white matter 1.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Float = npt.NDArray[np.float32]

SIDE = 20
"""Rows and columns of a patch."""

GROUPS = ("level", "pair", "spread", "tails", "noise", "spectrum", "edges", "shading")
"""``level``: mean brightness of both; ``pair``: how one modality goes with the other; ``spread``:
percentiles; ``tails``: skewness, kurtosis, extremes; ``noise``: strength and correlation of what a
blur takes away; ``spectrum``: power by frequency and direction; ``edges``: slopes at two scales;
``shading``: what changes over the whole patch."""

_BANDS = (0.05, 0.125, 0.2, 0.28, 0.36, 0.44, 0.51)
_TINY = 1e-6


def columns() -> list[tuple[str, str]]:
    """Group and name of every feature, in the order of ``compute``."""
    return [(group, name) for group, name, _ in _table(np.ones((1, SIDE, SIDE, 2), np.float32))]


def compute(patches: Float) -> Float:
    """Computes the features.

    Args:
        patches: (patch, row, column, modality).

    Returns:
        (patch, feature).
    """
    table: Float = np.stack([v for _, _, v in _table(patches)], 1).astype(np.float32)
    return table


def _table(patches: Float) -> list[tuple[str, str, npt.NDArray[np.floating]]]:
    found = []
    smooth = [ndimage.gaussian_filter(patches[..., m], (0, 1, 1)) for m in range(2)]
    for number, name in enumerate(("FLAIR", "T1")):
        one = patches[..., number]
        for group, values in (
            ("level", {"mean": one.mean((1, 2))}),
            ("spread", _spread(smooth[number])),
            ("tails", _tails(smooth[number])),
            ("noise", _noise(one)),
            ("spectrum", _spectrum(one)),
            ("edges", _edges(one)),
            ("shading", _shading(one)),
        ):
            found += [(group, f"{name} {what}", value) for what, value in values.items()]
    found += [("pair", what, value) for what, value in _pair(*smooth).items()]
    return found


def _flat(patches: Float) -> Float:
    return patches.reshape(len(patches), -1)


def _spread(smooth: Float) -> dict[str, Float]:
    low, first, middle, third, high = np.percentile(_flat(smooth), (5, 25, 50, 75, 95), axis=1)
    return {
        "median": middle, "5th": low - middle, "25th": first - middle,
        "75th": third - middle, "95th": high - middle,
    }  # fmt: skip


def _tails(smooth: Float) -> dict[str, Float]:
    flat = _flat(smooth)
    about = flat - flat.mean(1, keepdims=True)
    spread = about.std(1) + 1e-3
    top, high = flat.max(1), np.percentile(flat, 95, axis=1)
    bottom, low = flat.min(1), np.percentile(flat, 5, axis=1)
    return {
        "skewness": (about**3).mean(1) / spread**3,
        "kurtosis": (about**4).mean(1) / spread**4,
        "top": (top - high) / spread,
        "bottom": (low - bottom) / spread,
    }


def _noise(one: Float) -> dict[str, Float]:
    """Strength where the patch is smooth, and how far noise reaches along rows and columns."""
    rest = one - ndimage.gaussian_filter(one, (0, 1.2, 1.2))
    rest = rest[:, 2:-2, 2:-2]
    size = np.abs(_flat(rest))
    power = (rest**2).mean((1, 2)) + _TINY**2

    def shifted(rows: int, cols: int) -> Float:
        a = rest[:, : rest.shape[1] - rows, : rest.shape[2] - cols]
        made: Float = (a * rest[:, rows:, cols:]).mean((1, 2)) / power
        return made

    return {
        "strength": np.log(np.percentile(size, 40, axis=1) + 1e-4),
        "heavy": np.log((size.max(1) + 1e-4) / (np.sqrt(power) + 1e-4)),
        "next row": shifted(1, 0), "next column": shifted(0, 1), "diagonal": shifted(1, 1),
        "two rows": shifted(2, 0), "two columns": shifted(0, 2),
    }  # fmt: skip


def _spectrum(one: Float) -> dict[str, Float]:
    window = np.hanning(SIDE + 2)[1:-1]
    about = (one - one.mean((1, 2), keepdims=True)) * (window[:, None] * window)
    power = np.abs(np.fft.fft2(about)) ** 2
    f = np.abs(np.fft.fftfreq(SIDE))
    radius = np.hypot(f[:, None], f)
    whole = power[:, (radius >= _BANDS[0]) & (radius < _BANDS[1])].mean(1) + _TINY
    found = {}
    for low, high in pairwise(_BANDS[1:]):
        band = power[:, (radius >= low) & (radius < high)].mean(1)
        found[f"{low:g}"] = np.log10(band / whole + 1e-7)
    corner = power[:, (radius >= _BANDS[-1])].mean(1)
    found["corner"] = np.log10(corner / whole + 1e-7)
    for low, high in ((0.15, 0.3), (0.3, 0.5)):
        along = (f >= low) & (f <= high)
        rows, cols = power[:, along][:, :, f < 0.1], power[:, f < 0.1][:, :, along]
        ratio = (rows.mean((1, 2)) + _TINY) / (cols.mean((1, 2)) + _TINY)
        found[f"rows to columns {low:g}"] = np.log10(ratio)
    return {name: np.asarray(v, np.float32) for name, v in found.items()}


def _edges(one: Float) -> dict[str, Float]:
    slopes = []
    for sigma in (0.6, 1.5):
        soft = ndimage.gaussian_filter(one, (0, sigma, sigma))
        y, x = soft[:, 2:, 1:-1] - soft[:, :-2, 1:-1], soft[:, 1:-1, 2:] - soft[:, 1:-1, :-2]
        slopes.append(_flat(np.hypot(y, x)))
    reach = np.ptp(np.percentile(_flat(one), (3, 97), axis=1), axis=0) + 1e-3
    fine, coarse = (np.percentile(s, (50, 90, 99), axis=1) for s in slopes)
    return {
        "typical": np.log(fine[0] + 1e-4), "steep": np.log(fine[1] + 1e-4),
        "steepest": np.log(fine[2] + 1e-4),
        "steepest of range": fine[2] / reach,
        "fine to coarse": fine[2] / (coarse[2] + 1e-3),
        "fine to coarse, typical": fine[0] / (coarse[0] + 1e-3),
    }  # fmt: skip


def _shading(one: Float) -> dict[str, Float]:
    line = np.linspace(-1, 1, one.shape[1], dtype=np.float32)
    unit = (line**2).mean()
    y = (one * line[:, None]).mean((1, 2)) / unit
    x = (one * line).mean((1, 2)) / unit
    plane = y[:, None, None] * line[:, None] + x[:, None, None] * line
    left = one - one.mean((1, 2), keepdims=True) - plane
    slow = ndimage.gaussian_filter(left, (0, 3, 3))
    middle = slow - ndimage.gaussian_filter(left, (0, 6, 6))
    return {
        "slope": np.log(np.hypot(y, x) + 1e-4),
        "slow": np.log(slow.std((1, 2)) + 1e-4),
        "middle": np.log(middle.std((1, 2)) + 1e-4),
    }


def _pair(flair: Float, t1: Float) -> dict[str, Float]:
    f, t = (_flat(one) - _flat(one).mean(1, keepdims=True) for one in (flair, t1))
    both, own = (f * t).mean(1), (t * t).mean(1)
    slope = both / (own + 1e-4)
    left = f - slope[:, None] * t
    dark = _flat(t1) <= np.percentile(_flat(t1), 25, axis=1)[:, None]
    bright = _flat(t1) >= np.percentile(_flat(t1), 75, axis=1)[:, None]
    values = _flat(flair)
    return {
        "correlation": both / np.sqrt(own * (f * f).mean(1) + 1e-8),
        "slope": np.clip(slope, -5, 5),
        "unexplained": np.log(left.std(1) + 1e-4),
        "FLAIR where T1 is dark": (values * dark).sum(1) / dark.sum(1),
        "FLAIR where T1 is bright": (values * bright).sum(1) / bright.sum(1),
        "FLAIR to T1": flair.mean((1, 2)) / (t1.mean((1, 2)) + 0.05),
    }
