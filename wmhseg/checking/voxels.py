"""What the voxels of one scan look like: contrast, skull, noise, ghosts, extent.

Everything is judged on about every second millimetre of the scan, in ratios, so that intensity
scale, orientation and resolution do not matter. The limits were chosen on one half of the synthetic
pairs of ``evaluation.check_contrast`` and fifteen real ones; ``docs/check.md`` has the error rates
on the other half. What lies between the limits "cannot be told".

Arrays are (slice, row, column) in LPS order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg import geometry
from wmhseg.geometry import Triple
from wmhseg.io.images import Scan
from wmhseg.preparation import intensity
from wmhseg.preparation.sizes import SKIN_AND_BONE_MM

FloatArray = npt.NDArray[np.float32]
MaskArray = npt.NDArray[np.bool_]
LikelyContrast = Literal["FLAIR", "T1", "T2 or PD", "unknown"]

_STEP_MM = 2.0
_MOST_VOX = 200  # a side; bounds the cost whatever the header says about voxel sizes
_LEAST_VOX = 2000  # of deep tissue, to judge a contrast

# Where white matter, deep grey matter and ventricles lie, and neither eyes nor skull base: between
# 30 and 90 mm below the vertex and 20 mm inside the head (or brain).
_BELOW_VERTEX_MM = (30.0, 90.0)
_DEEP_MM = 20.0
# White matter is the most frequent intensity there, and also that of the most even tissue. Shares
# of voxels relative to either: in T1 grey matter is the darker, in FLAIR the brighter one, and CSF
# is dark in both, brightest in T2 and PD. Only what both references say is believed.
_BRIGHTER, _DARKER, _DARK, _BRIGHTEST = 1.12, 0.88, 0.55, 1.6
_EVEN_BRIGHTER, _EVEN_DARKER = 1.07, 0.93
_EVENEST_PERCENT, _TISSUE = 10.0, (0.5, 1.7)
_T1_BELOW, _FLAIR_ABOVE = 0.32, 0.42
_FLUID_SHARE = 0.02
_ENHANCED_SHARE = 0.02
# Bone and CSF make a dark shell below the scalp; the surface of a stripped brain has none.
_SHELL_MM = ((4, 6), (6, 8), (8, 10), (10, 12))
# Between both shares it cannot be told.
_SHELL_DARK, _SHELL_SHARES = 0.5, (0.18, 0.26)
# Air of one value was set to it, as brain extraction does, but scanners as well.
_FILLED = 0.7
# Air is fit for a figure of noise only if it was not set to zero. Of a Rayleigh distribution, the
# median is sqrt(2 ln 2) sigma.
_AIR_SHARE = 0.5
_RAYLEIGH_MEDIAN = 1.1774
_LEAST_AIR_VOX = 500


@dataclass(frozen=True)
class Look:
    """What is seen in one scan.

    Attributes:
        kind: The likely contrast.
        brighter: Of the deep tissue that is not white matter, the share brighter than it, white
            matter being the most frequent, then the most even tissue: both are above 0.42 in
            FLAIR and below 0.32 in T1; NaN if there is too little tissue.
        skull: Whether there is a skull, None if it cannot be told.
        enhanced: Whether T1 holds unusually many voxels far brighter than white matter.
        extent_mm: Of the head or brain: slices, rows, columns.
        brain_mm: Extent of the brain: rows, columns. Unless the skull is gone, of what lies deeper
            than skin and bone, 30 to 90 mm below the vertex.
        top_share: Area of the head in its uppermost slice of the scan, of the largest slice's.
        bottom_share: The same in the lowest slice.
        side_share: Share of the rows' and columns' border that the head touches.
        snr: Deep tissue's median over the noise in air, None if air holds no noise.
        ghost: How much brighter air is before and behind the head than beside it, or the other
            way round, as a share of tissue; None as ``snr``.
        filled: Whether air was set to one value.
        support: What is not of that value, (slice, row, column), thinned out.
    """

    kind: LikelyContrast
    brighter: tuple[float, float]
    skull: bool | None
    enhanced: bool
    extent_mm: Triple
    brain_mm: tuple[float, float]
    top_share: float
    bottom_share: float
    side_share: float
    snr: float | None
    ghost: float | None
    filled: bool
    support: MaskArray = field(repr=False)


@dataclass(frozen=True)
class _Thin:
    """A scan thinned out to about 2 mm, in LPS order, with what is head in it."""

    array: FloatArray
    spacing_mm: Triple
    head: MaskArray
    depth_mm: npt.NDArray[np.float64]
    slab: slice
    deep: FloatArray


def look(scan: Scan) -> Look:
    """Looks at one scan.

    Args:
        scan: A grey-value scan.

    Returns:
        What is seen; "unknown", None and NaN where nothing can be told.
    """
    thin = _thinned(scan)
    kind, brighter, enhanced = _kind(thin)
    fill, filled = _air(thin)
    area = thin.head.sum((1, 2))
    largest = max(1, int(area.max()))
    edges = [thin.head[:, 0], thin.head[:, -1], thin.head[:, :, 0], thin.head[:, :, -1]]
    snr, ghost = _noise(thin)
    skull = _skull(thin, filled)
    return Look(
        kind,
        brighter,
        skull,
        enhanced,
        _extent(thin),
        _brain(thin, skull),
        float(area[-1]) / largest,
        float(area[0]) / largest,
        sum(int(e.sum()) for e in edges) / sum(e.size for e in edges),
        snr,
        ghost,
        filled,
        thin.array != fill,
    )


def _thinned(scan: Scan) -> _Thin:
    turn = geometry.turn_to(scan.grid, "LPS")
    array, spacing_mm = turn.forward(scan.array), turn.target.spacing_mm
    steps = [
        max(1, min(round(_STEP_MM / size), n // 8), -(-n // _MOST_VOX))
        for size, n in zip(spacing_mm, array.shape, strict=True)
    ]
    array = np.ascontiguousarray(array[:: steps[0], :: steps[1], :: steps[2]])
    if intensity.is_wrapped(array):
        array = intensity.unwrap(array)
    a, b, c = (size * step for size, step in zip(spacing_mm, steps, strict=True))
    # Specks of noise are no head.
    head = intensity.fill_holes(intensity.foreground(array))
    head = intensity.largest_component_per_slice(head)
    # The border of the scan is no surface of the head at the neck, but it is at the sides.
    padded = np.pad(head, ((0, 0), (1, 1), (1, 1)))
    depth = ndimage.distance_transform_edt(padded, sampling=(a, b, c))[:, 1:-1, 1:-1]
    held = np.flatnonzero(head.any((1, 2)))
    top = int(held[-1]) + 1 if held.size else 0
    first, last = (max(0, top - round(mm / a)) for mm in reversed(_BELOW_VERTEX_MM))
    slab = slice(first, last)
    deep = array[slab][depth[slab] > _DEEP_MM]
    return _Thin(array, (a, b, c), head, depth, slab, deep)


def _kind(thin: _Thin) -> tuple[LikelyContrast, tuple[float, float], bool]:
    """Contrast, shares of brighter tissue, and whether much is far brighter."""
    deep, nothing = thin.deep, (float("nan"), float("nan"))
    median = float(np.median(deep)) if deep.size >= _LEAST_VOX else 0.0
    if median <= 0:
        return "unknown", nothing, False
    ratio = deep.astype(np.float64) / median
    counts, edges = np.histogram(ratio, bins=96, range=(0, 3))
    peak = int(np.argmax(ndimage.gaussian_filter1d(counts.astype(float), 2)))
    even = _even_level(thin, median)
    shares = (
        _brighter(ratio / ((edges[peak] + edges[peak + 1]) / 2), _DARKER, _BRIGHTER),
        _brighter(ratio / even, _EVEN_DARKER, _EVEN_BRIGHTER),
    )
    ratio /= (edges[peak] + edges[peak + 1]) / 2
    if np.isnan(shares).any():
        return "unknown", nothing, False
    dark, brightest = float((ratio <= _DARK).mean()), float((ratio > _BRIGHTEST).mean())
    if brightest > max(_FLUID_SHARE, 2 * dark):
        return "T2 or PD", shares, False
    kind: LikelyContrast = "unknown"
    if max(shares) < _T1_BELOW:
        kind = "T1"
    elif min(shares) > _FLAIR_ABOVE:
        kind = "FLAIR"
    return kind, shares, kind == "T1" and brightest > _ENHANCED_SHARE


def _brighter(ratio: npt.NDArray[np.float64], low: float, high: float) -> float:
    """Of the tissue that is not white matter, the share brighter than it; NaN if there is none."""
    above, below = int((ratio > high).sum()), int(((ratio > _DARK) & (ratio < low)).sum())
    return above / (above + below) if above + below else float("nan")


def _even_level(thin: _Thin, median: float) -> float:
    """Intensity of the most even deep tissue, as a part of the median."""
    array = thin.array[thin.slab].astype(np.float64) / median
    mean = ndimage.uniform_filter(array, (1, 3, 3))
    spread = ndimage.uniform_filter(array**2, (1, 3, 3)) - mean**2
    low, high = _TISSUE
    tissue = (thin.depth_mm[thin.slab] > _DEEP_MM) & (mean > low) & (mean < high)
    if not tissue.any():
        return 1.0
    evenest = spread[tissue] <= np.percentile(spread[tissue], _EVENEST_PERCENT)
    return float(np.median(mean[tissue][evenest]))


def _air(thin: _Thin) -> tuple[float, bool]:
    """The most frequent value outside the head, and whether nearly all of it has that value."""
    air = thin.array[thin.slab][~thin.head[thin.slab]]
    if not air.size:
        return 0.0, False
    values, counts = np.unique(air, return_counts=True)
    place = int(np.argmax(counts))
    return float(values[place]), bool(counts[place] > _FILLED * air.size)


def _skull(thin: _Thin, filled: bool) -> bool | None:
    """Whether a dark shell lies below the surface."""
    if thin.deep.size < _LEAST_VOX:
        return None
    dark = thin.array[thin.slab] < _SHELL_DARK * np.median(thin.deep)
    depth = thin.depth_mm[thin.slab]
    shares = [float(dark[(depth > a) & (depth <= b)].mean()) for a, b in _shells(depth)]
    if not shares:
        return None
    low, high = _SHELL_SHARES
    if max(shares) > (high if filled else low):
        return True
    # Brain extraction leaves no air as it was.
    return False if filled and max(shares) <= low else None


def _shells(depth: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """Those depths that occur."""
    return [(a, b) for a, b in _SHELL_MM if bool(((depth > a) & (depth <= b)).any())]


def _extent(thin: _Thin) -> Triple:
    """Size of the head, but for specks: what the middle 99 % of its voxels span."""
    sizes = []
    for axis, size in enumerate(thin.spacing_mm):
        others = tuple(a for a in range(3) if a != axis)
        total = np.cumsum(thin.head.sum(others))
        if not total[-1]:
            return (0.0, 0.0, 0.0)
        first, last = np.searchsorted(total, [0.005 * total[-1], 0.995 * total[-1]])
        sizes.append(float((last - first + 1) * size))
    return sizes[0], sizes[1], sizes[2]


def _brain(thin: _Thin, skull: bool | None) -> tuple[float, float]:
    """Rows and columns of the brain, where it is longest and widest, but for specks."""
    inside = thin.depth_mm[thin.slab] > (0 if skull is False else SKIN_AND_BONE_MM)
    rows, columns = inside.sum((0, 2)), inside.sum((0, 1))
    row_mm, column_mm = (
        float(np.ptp(held) + 1) * size
        if (held := np.flatnonzero(count > 0.01 * count.max())).size
        else 0.0
        for count, size in zip((rows, columns), thin.spacing_mm[1:], strict=True)
    )
    return row_mm, column_mm


def _noise(thin: _Thin) -> tuple[float | None, float | None]:
    """Signal to noise, and ghosts.

    The second is the percent-signal ghosting of the American College of Radiology's phantom test
    (Large Phantom Test Guidance, 2015), taken in the air around a head.
    """
    array, head = thin.array[thin.slab], thin.head[thin.slab]
    if thin.deep.size < _LEAST_VOX or not head.any():
        return None, None
    near = ndimage.binary_dilation(head, np.ones((1, 5, 5), bool))
    air, noisy = array[~near], array[~near & (array > 0)]
    if noisy.size < max(_LEAST_AIR_VOX, _AIR_SHARE * air.size):
        return None, None
    signal = float(np.median(thin.deep))
    snr = signal / (float(np.median(noisy)) / _RAYLEIGH_MEDIAN)
    rows, columns = near.any(2)[:, :, None], near.any(1)[:, None, :]
    sides = array[columns & ~rows], array[rows & ~columns]
    if min(side.size for side in sides) < _LEAST_AIR_VOX:
        return snr, None
    ghost = abs(float(sides[0].mean()) - float(sides[1].mean())) / (2 * signal)
    return snr, ghost
