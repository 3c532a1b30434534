"""Time H95 against the k-d tree way of the challenge's evaluation program, in one run.

The rival takes the same masks, erodes both with ``scipy.ndimage.binary_erosion`` over the whole
image, turns all outline voxels into points in mm and asks a ``scipy.spatial.cKDTree`` (leaf size
100, as in that program) for the nearest neighbour of each, both ways. It does without SimpleITK,
whose call for every single point would only make it slower. Both ways take turns; a line shows
the medians and their ratio, and the values must agree to 1e-9 mm. A second line shows what
``evaluate``, which makes masks, outlines and lesions once for all metrics, takes against its
metrics called one by one.

    python -m benchmarks.metrics [--repeats N]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from wmhseg.scoring import metrics

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

SHAPE = (48, 240, 240)  # slice, row, column
SPACING_MM = (3.0, 0.958, 0.958)
LESION_ML = 20.0


def lesion_masks(noise: float, seed: int) -> tuple[Mask, Mask]:
    """Draw a reference with 20 ml of lesion and a result that disagrees with it.

    Args:
        noise: How far the result strays (0: equal masks).
        seed: Of the random fields.

    Returns:
        Two masks of shape (slice, row, column) with 20 ml each inside a brain-sized box.
    """
    rng = np.random.default_rng(seed)
    fields = []
    for _ in range(2):
        field = ndimage.gaussian_filter(rng.standard_normal(SHAPE), (0.8, 2.2, 2.2))
        fields.append(field / field.std())
    inside = np.zeros(SHAPE, dtype=bool)
    inside[10:40, 50:190, 60:180] = True
    n_voxels = round(LESION_ML * 1000 / float(np.prod(SPACING_MM)))

    def brightest(values: Floats) -> Mask:
        values = np.where(inside, values, -np.inf)
        return np.asarray(values >= np.partition(values, -n_voxels, axis=None)[-n_voxels])

    return brightest(fields[0]), brightest(fields[0] + noise * fields[1])


def h95_by_tree_mm(reference: Mask, result: Mask) -> float:
    """Compute H95 from a k-d tree over all outline points.

    Args:
        reference: Mask (slice, row, column).
        result: Mask of the same shape.

    Returns:
        Millimetres.
    """
    square = np.ones((1, 3, 3), dtype=bool)
    points = []
    for mask in (reference, result):
        outline = mask & ~ndimage.binary_erosion(mask, square, border_value=1)
        points.append(np.argwhere(outline) * np.asarray(SPACING_MM))
    first, second = points
    return max(
        float(np.percentile(cKDTree(a, leafsize=100).query(b)[0], 95))
        for a, b in ((first, second), (second, first))
    )


def timed(function: Callable[[], float]) -> tuple[float, float]:
    """Run a function once and return its value and the seconds it took."""
    start = time.perf_counter()
    value = function()
    return value, time.perf_counter() - start


def compare(reference: Mask, result: Mask, repeats: int) -> tuple[float, float, float]:
    """Time both ways in turn and check that they agree.

    Args:
        reference: Mask (slice, row, column).
        result: Mask of the same shape.
        repeats: Runs of each way.

    Returns:
        H95 in mm, median seconds of the k-d tree way, median seconds of ``h95_mm``.
    """
    tree_s, ours_s = [], []
    for _ in range(repeats):
        expected, seconds = timed(lambda: h95_by_tree_mm(reference, result))
        tree_s.append(seconds)
        value, seconds = timed(lambda: metrics.h95_mm(reference, result, SPACING_MM))
        ours_s.append(seconds)
        assert abs(value - expected) < 1e-9, f"h95_mm {value} differs from the k-d tree {expected}"
    return value, statistics.median(tree_s), statistics.median(ours_s)


def one_by_one(reference: Mask, result: Mask) -> float:
    """Call every metric alone, as ``evaluate`` would if nothing were shared; returns the DSC."""
    metrics.match_lesions(reference, result)
    metrics.avd_percent(reference, result)
    for distance in (metrics.h95_mm, metrics.assd_mm, metrics.volume_bias_ml):
        distance(reference, result, SPACING_MM)
    return metrics.dsc(reference, result)


def together(reference: Mask, result: Mask, repeats: int) -> tuple[float, float]:
    """Time ``evaluate`` and its metrics one by one, in turn, on labels as a file holds them.

    Args:
        reference: Mask (slice, row, column).
        result: Mask of the same shape.
        repeats: Runs of each way.

    Returns:
        Median seconds of ``evaluate`` and of the single functions.
    """
    together_s, apart_s = [], []
    labels, values = reference.astype(np.uint8), result.astype(np.uint8)
    for _ in range(repeats):
        value, seconds = timed(lambda: metrics.evaluate(labels, values, SPACING_MM).dsc)
        together_s.append(seconds)
        expected, seconds = timed(lambda: one_by_one(labels, values))
        apart_s.append(seconds)
        assert value == expected, f"evaluate has {value} where dsc has {expected}"
    return statistics.median(together_s), statistics.median(apart_s)


def main() -> None:
    """Print one line for a close, a fair and a poor result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15, help="runs of each way (default 15)")
    repeats = parser.parse_args().repeats
    print(f"{SHAPE} voxels, {LESION_ML:g} ml of lesion, median of {repeats} runs each")
    for name, noise in (("close", 0.1), ("fair", 0.5), ("poor", 1.5)):
        reference, result = lesion_masks(noise, seed=1)
        overlap = 2 * (reference & result).sum() / (reference.sum() + result.sum())
        value, tree_s, ours_s = compare(reference, result, repeats)
        print(
            f"{name:5}  DSC {overlap:.2f}  H95 {value:6.2f} mm  "
            f"k-d tree {tree_s * 1e3:6.1f} ms  wmhseg {ours_s * 1e3:5.1f} ms  "
            f"ratio {tree_s / ours_s:.1f}"
        )
        evaluate_s, apart_s = together(reference, result, repeats)
        print(
            f"       all metrics: one by one {apart_s * 1e3:.1f} ms, "
            f"evaluate {evaluate_s * 1e3:.1f} ms, ratio {apart_s / evaluate_s:.1f}"
        )


if __name__ == "__main__":
    main()
