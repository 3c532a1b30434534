"""Small masks, folders of them, and scores: what the tests of scoring are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from wmhseg.datasets.cases import Problem, ProblemKind, find_cases
from wmhseg.datasets.results import pair_results
from wmhseg.scoring.score import Scoring, score_pairs
from wmhseg.scoring.summary import Study
from wmhseg.scoring.table import VALUES, Score

Shape = tuple[int, int, int]
SHAPE = (4, 8, 12)
PHILIPS = "Philips_VU .PETMR_01."  # as the public archive writes it


def bar(first: int, shape: Shape = SHAPE, *, label: int = 1, dtype: Any = np.uint8) -> np.ndarray:
    """A lesion of four voxels in a row; the column it begins at is the only difference."""
    mask = np.zeros(shape, dtype)
    mask[2, 4, first : first + 4] = label
    return mask


def write(path: Path, array: np.ndarray, *, shift_mm: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1.0, 1.0, 3.0))
    image.SetOrigin((shift_mm, 0.0, 0.0))
    sitk.WriteImage(image, str(path))
    return path


# Shifted by two columns: two of four voxels are shared, so DSC = 2*2/8. Distances from either
# outline are 2, 1, 0, 0 mm; the 95th percentile lies at 0.95 * 3 = 2.85 of 0, 0, 1, 2.
SHIFTED = {"dsc": 0.5, "h95_mm": 1.85, "avd_percent": 0.0, "recall": 1.0, "f1": 1.0}


def study_folder(root: Path, results: Mapping[str, np.ndarray | None]) -> tuple[Path, Path]:
    """A flat data set and its results; None leaves a result out."""
    for name, result in results.items():
        write(root / "data" / name / "wmh.nii.gz", bar(4))
        if result is not None:
            write(root / "results" / name / "result.nii.gz", result)
    (root / "results").mkdir(exist_ok=True)
    return root / "data", root / "results"


def score_folder(data: Path, results: Path, table: Path, **how: Any) -> list[Score]:
    matched, _ = pair_results(find_cases(data), results)
    return score_pairs(matched, table, Scoring(**{"jobs": 1, **how}))


def made_up(case: str, dsc: float, **more: Any) -> Score:
    values = dict.fromkeys(VALUES, 1.0) | SHIFTED | {"dsc": dsc}
    known = {key: more.pop(key) for key in list(more) if key in values}
    return Score(case, values=values | known, **more)


def four_cases() -> Study:
    """Three scored cases of two sites, and one without a result."""
    return Study(
        "mine",
        "validation",
        (
            made_up("1", 0.2, site="A", scanner="x", result_ml=3.0),
            made_up("2", 0.4, site="A", scanner="y", h95_mm=math.nan),
            made_up("3", 0.9, site="B", small_recall=0.5, small_lesions=4.0),
            Score("4", site="B", problem=Problem(ProblemKind.NO_RESULT, "nowhere | at all")),
        ),
    )
