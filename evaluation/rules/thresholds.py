"""How a model's threshold, least peak and smallest lesion score on cases with references.

    python -m evaluation.thresholds --data DIR --models NAME ... --maps DIR

Probability maps are computed once and kept in --maps. What is chosen by such a table is chosen on
these cases: they are validation cases from then on, never test cases.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

import wmhseg
from wmhseg.datasets.cases import Case, find_cases
from wmhseg.io import files, images
from wmhseg.scoring import masks, metrics
from wmhseg.segmentation import postprocessing
from wmhseg.weights import store
from wmhseg.weights.processing import Postprocessing

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99)
PEAKS = (0.0, 0.8, 0.9, 0.95, 0.98, 0.99)
SMALLEST_MM3 = (0.0, 10.0)
BEST = 3
"""Thresholds that lesion rules are tried with."""

Float = npt.NDArray[np.float32]


def probability_map(model: str, case: Case, folder: Path) -> tuple[Float, float]:
    """The probability of WMH on the case's voxels, kept in a folder, and a voxel's ml."""
    assert case.flair is not None
    path = folder / model / f"{case.name}.nii.gz"
    grid = images.read_grid(case.flair)
    if not path.exists():
        t1 = case.t1 if store.find(model).preset.takes_t1 else None
        result = wmhseg.segment(case.flair, t1, model=model)
        files.check_writable(path.parent)
        images.write_probability(path, result.probability, grid)
    return images.read_scan(path, name="probability").array, grid.voxel_ml


def plain() -> list[Postprocessing]:
    """Thresholds alone; end slices are empty already."""
    return [Postprocessing(threshold, 0.0) for threshold in THRESHOLDS]


def refined(post: Postprocessing) -> list[Postprocessing]:
    """A threshold with rules for lesions."""
    peaks = (0.0, *(peak for peak in PEAKS if peak > post.threshold))
    return [
        replace(post, lesion_peak=peak, min_lesion_mm3=smallest)
        for peak in peaks
        for smallest in SMALLEST_MM3
        if peak or smallest
    ]


def scored(
    probability: Float, labels: npt.NDArray[np.uint8], voxel_ml: float, post: Postprocessing
) -> tuple[float, float]:
    """DSC and lesion F1 of a case by one rule."""
    sure = postprocessing.without_doubtful(probability, post)
    mask = postprocessing.without_small(postprocessing.to_mask(sure, post), voxel_ml, post)
    truth, result = masks.binarise(labels, mask)
    return metrics.dsc(truth, result), metrics.match_lesions(truth, result).f1


Read = tuple[Float, npt.NDArray[np.uint8], float]
Row = tuple[Postprocessing, float, float]


def _read(model: str, case: Case, folder: Path) -> Read:
    """Probability, labels and a voxel's ml of a case, cut to where either is anything."""
    assert case.reference is not None
    probability, voxel_ml = probability_map(model, case, folder)
    labels, _ = images.read_labels(case.reference)
    held = np.argwhere((probability > min(THRESHOLDS)) | (labels > 0))
    box = tuple(slice(int(a), int(b) + 1) for a, b in zip(held.min(0), held.max(0), strict=True))
    return probability[box], labels[box], voxel_ml


def _row(post: Postprocessing, read: Sequence[Read]) -> Row:
    both = np.array([scored(*one, post) for one in read])
    dsc, f1 = np.nanmean(both, 0).tolist()
    return post, dsc, f1


def _worth(row: Row) -> float:
    """What rows are sorted by: the best first."""
    return -(row[1] + row[2])


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the best rules of each model by the mean of DSC and F1, and the plain thresholds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", nargs="+", required=True)
    parser.add_argument("--maps", type=Path, required=True)
    parser.add_argument("--lines", type=int, default=12, help="best rules that are shown")
    given = parser.parse_args(argv)
    cases = [case for case in find_cases(given.data) if case.reference is not None]
    for model in given.models:
        read = [_read(model, case, given.maps) for case in cases]
        rows = [_row(post, read) for post in plain()]
        _show(f"{model}, n = {len(cases)}, thresholds alone", rows)
        best = sorted(rows, key=_worth)[:BEST]
        rows = [_row(one, read) for post, *_ in best for one in refined(post)]
        _show(f"{model}, n = {len(cases)}, best rules", sorted(rows, key=_worth)[: given.lines])


def _show(title: str, rows: list[Row]) -> None:
    print(f"\n{title}:\n\n| threshold | peak | mm3 | mean DSC | mean lesion F1 |")
    print("|---|---|---|---|---|")
    for post, dsc, f1 in rows:
        numbers = f"{post.threshold:g} | {post.lesion_peak:g} | {post.min_lesion_mm3:g}"
        print(f"| {numbers} | {dsc:.3f} | {f1:.3f} |", flush=True)


if __name__ == "__main__":
    main()
