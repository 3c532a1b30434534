"""A result belongs to the case of its name, wherever it lies."""

from __future__ import annotations

from pathlib import Path

import pytest
from folders import touch

from wmhseg.datasets.cases import Case, ProblemKind, find_cases
from wmhseg.datasets.results import pair_results


@pytest.mark.parametrize(
    "result", ["1/result.nii.gz", "test/Utrecht/1/result.nii", "1.nii.gz", "deep/1.nii"]
)
def test_a_result_is_found_by_the_id(tmp_path: Path, result: str) -> None:
    touch(tmp_path, result, "2/result.nii.gz", "1/probability.nii.gz", "1/result.json")
    (pair,), unmatched = pair_results([Case("1", reference=Path("r"))], tmp_path)
    assert (pair.result, pair.problem) == (tmp_path / result, None)
    assert unmatched == [tmp_path / "2/result.nii.gz"]


def test_a_bids_result_is_found_and_the_reference_is_not_one(tmp_path: Path) -> None:
    reference = "manual/sub-1_label-WMH_mask.nii.gz"
    touch(tmp_path, reference, "auto/sub-1_space-FLAIR_label-WMH_mask.nii.gz")
    (pair,), _ = pair_results(find_cases(tmp_path / "manual"), tmp_path)
    assert pair.result == tmp_path / "auto/sub-1_space-FLAIR_label-WMH_mask.nii.gz"


def test_one_result_for_one_case(tmp_path: Path) -> None:
    touch(tmp_path, "result.nii.gz")
    cases = [Case("input", reference=Path("r")), Case("other", reference=Path("s"))]
    (pair,), _ = pair_results(cases[:1], tmp_path)
    assert pair.result == tmp_path / "result.nii.gz"
    found, _ = pair_results(cases, tmp_path)  # whose it is cannot be known
    assert [pair.result for pair in found] == [None, None]


def test_masks_of_stroke_lie_beside_results(tmp_path: Path) -> None:
    """As each command names them; what belongs to no result is told."""
    touch(
        tmp_path,
        *("1/result.nii.gz", "1/result_stroke.nii.gz", "2/result.nii.gz", "2/stroke.nii"),
        *("3.nii.gz", "3_stroke.nii.gz", "4/result.nii.gz", "4/4_stroke.nii.gz"),
        *("5_stroke.nii.gz", "6_stroke/result.nii.gz"),
    )
    cases = [Case(name, reference=Path("r")) for name in ("1", "2", "3", "4", "5_stroke")]
    pairs, unmatched = pair_results(cases, tmp_path)
    assert [pair.others.get("stroke") for pair in pairs] == [
        tmp_path / "1/result_stroke.nii.gz",
        tmp_path / "2/stroke.nii",
        tmp_path / "3_stroke.nii.gz",
        None,
        None,
    ]
    assert pairs[4].result == tmp_path / "5_stroke.nii.gz"  # the case is called so
    assert unmatched == [tmp_path / "6_stroke/result.nii.gz"]


def test_missing_and_several_results(tmp_path: Path) -> None:
    touch(tmp_path, "a/1/result.nii.gz", "b/1/result.nii.gz")
    cases = [Case("1", reference=Path("r")), Case("2", reference=Path("s"))]
    found, _ = pair_results(cases, tmp_path)
    kinds = [pair.problem.kind for pair in found if pair.problem]
    assert kinds == [ProblemKind.SEVERAL_RESULTS, ProblemKind.NO_RESULT]
    assert "a/1" in found[0].problem.detail and "b/1" in found[0].problem.detail  # type: ignore[union-attr]  # noqa: PT018
