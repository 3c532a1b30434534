"""Tables of thresholds and lesion rules: scores as those of the rules themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import Phantom, write_case

from evaluation import thresholds
from wmhseg.datasets.cases import find_cases
from wmhseg.weights.processing import Postprocessing


def test_rules_by_hand() -> None:
    labels = np.zeros((1, 9, 20), np.uint8)
    labels[0, 2:4, 2:6] = 1  # 8 voxels, found with certainty
    probability = np.where(labels == 1, np.float32(0.95), np.float32(0))
    probability[0, 6, 10:13] = 0.75  # 3 voxels where nothing is, never sure
    plain, sure, large = (
        thresholds.scored(probability, labels, 0.001, post)
        for post in (
            Postprocessing(0.7, 0.0),
            Postprocessing(0.7, 0.0, lesion_peak=0.9),
            Postprocessing(0.7, 0.0, min_lesion_mm3=4.0),
        )
    )
    assert plain == pytest.approx((16 / 19, 2 / 3))  # 8 of 11 voxels, 1 of 2 lesions
    assert sure == large == (1.0, 1.0)


def test_rules_for_lesions_are_tried_above_the_threshold_only() -> None:
    tried = thresholds.refined(Postprocessing(0.9, 0.0))
    assert {post.threshold for post in tried} == {0.9}
    assert {post.lesion_peak for post in tried} == {0.0, 0.95, 0.98, 0.99}
    assert len(tried) == len(set(tried)) == 7  # neither rule is the threshold alone


def test_the_table(
    use_models: Path, phantom: Phantom, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_case(tmp_path / "data" / "a", phantom)
    words = ["--data", str(tmp_path / "data"), "--maps", str(tmp_path / "maps")]
    thresholds.main([*words, "--models", "bright", "--lines", "2"])
    table = capsys.readouterr().out
    assert "bright, n = 1, thresholds alone:" in table
    rows = [line for line in table.splitlines() if line.startswith("| 0")]
    assert len(rows) == len(thresholds.THRESHOLDS) + 2
    (case,) = find_cases(tmp_path / "data")
    kept = tmp_path / "maps" / "bright" / "a.nii.gz"
    before = kept.stat().st_mtime_ns
    thresholds.probability_map("bright", case, tmp_path / "maps")
    assert kept.stat().st_mtime_ns == before  # computed once
