"""How a model's threshold, least peak and smallest lesion score on cases with references.

    python -m evaluation.thresholds --data DIR --models NAME ... --maps DIR

Probability maps are computed once and kept in --maps. What is chosen by such a table is chosen on
these cases: they are validation cases from then on, never test cases.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
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


def rules() -> Iterator[Postprocessing]:
    """All that are tried; end slices are empty already."""
    for threshold in THRESHOLDS:
        for peak in (0.0, *(p for p in PEAKS if p > threshold)):
            for smallest in SMALLEST_MM3:
                yield Postprocessing(threshold, 0.0, smallest, peak)


def scored(
    probability: Float, labels: npt.NDArray[np.uint8], voxel_ml: float, post: Postprocessing
) -> tuple[float, float]:
    """DSC and lesion F1 of a case by one rule."""
    sure = postprocessing.without_doubtful(probability, post)
    mask = postprocessing.without_small(postprocessing.to_mask(sure, post), voxel_ml, post)
    truth, result = masks.binarise(labels, mask)
    return metrics.dsc(truth, result), metrics.match_lesions(truth, result).f1


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the best rules of each model by the mean of DSC and F1, and the plain thresholds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", nargs="+", required=True)
    parser.add_argument("--maps", type=Path, required=True)
    parser.add_argument("--best", type=int, default=12, help="lines a model")
    given = parser.parse_args(argv)
    cases = [case for case in find_cases(given.data) if case.reference is not None]
    for model in given.models:
        read = []
        for case in cases:
            assert case.reference is not None
            labels, _ = images.read_labels(case.reference)
            read.append((*probability_map(model, case, given.maps), labels))
        rows = []
        for post in rules():
            both = np.array([scored(p, labels, ml, post) for p, ml, labels in read])
            rows.append((post, *np.nanmean(both, 0).tolist()))
        plain = [
            row
            for row in rows
            if row[0] == replace(Postprocessing(row[0].threshold), end_slices=0.0)
        ]
        rows.sort(key=lambda row: -(row[1] + row[2]))
        for title, chosen in (("best", rows[: given.best]), ("threshold alone", plain)):
            print(f"\n{model}, n = {len(cases)}, {title}:\n")
            print("| threshold | peak | mm3 | mean DSC | mean lesion F1 |\n|---|---|---|---|---|")
            for post, dsc, f1 in chosen:
                numbers = f"{post.threshold:g} | {post.lesion_peak:g} | {post.min_lesion_mm3:g}"
                print(f"| {numbers} | {dsc:.3f} | {f1:.3f} |")


if __name__ == "__main__":
    main()
