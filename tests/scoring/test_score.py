"""Scoring cases: hand-derived numbers, everything that goes wrong, and going on."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scored_cases import SHAPE, SHIFTED, bar, score_folder, study_folder, write

from wmhseg import errors
from wmhseg.datasets.cases import Case, Kind, find_cases, select
from wmhseg.datasets.results import pair_results
from wmhseg.scoring import score as scoring_score
from wmhseg.scoring.score import Scoring
from wmhseg.scoring.table import read_table

PHILIPS = "Philips_VU .PETMR_01."  # as the public archive writes it


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


# Finding cases ------------------------------------------------------------------------------------


def test_challenge_layout(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "files/test/Utrecht/10/wmh.nii.gz",
        "files/test/Utrecht/9/wmh.nii.gz",
        "files/test/Utrecht/9/pre/FLAIR.nii.gz",
        "files/test/Utrecht/9/pre/T1.nii.gz",
        f"files/test/Amsterdam/{PHILIPS}/160/wmh.nii.gz",
        "files/training/Amsterdam/GE3T/100/wmh.nii.gz",
        "files/training/Amsterdam/GE3T/100/orig/FLAIR.nii.gz",
        "files/additional_annotations/observer_o3/training/Amsterdam/GE3T/100/result.nii.gz",
        "files/test/Utrecht/.hidden/wmh.nii.gz",
    )
    found = {case.name: case for case in find_cases(tmp_path)}
    assert list(found) == ["160", "9", "10", "100"]  # by path, 9 before 10
    assert [(c.split, c.site, c.scanner) for c in found.values()] == [
        ("test", "Amsterdam", PHILIPS),
        ("test", "Utrecht", ""),
        ("test", "Utrecht", ""),
        ("training", "Amsterdam", "GE3T"),
    ]
    assert found["9"].flair == tmp_path / "files/test/Utrecht/9/pre/FLAIR.nii.gz"
    assert found["9"].t1 == tmp_path / "files/test/Utrecht/9/pre/T1.nii.gz"
    assert found["100"].flair is None  # orig is not what is segmented
    assert all(case.in_challenge_layout and case.problem is None for case in found.values())


@pytest.mark.parametrize(
    ("names", "root", "expected"),
    [
        (["a/wmh.nii.gz"], "", ("a", "", "")),
        (["here/a/wmh.nii"], "", ("a", "", "here")),
        (["wmh.nii.gz"], "", (None, "", "")),  # the folder is the case
        (["test/Utrecht/1/wmh.nii.gz"], "test", ("1", "test", "Utrecht")),
    ],
)
def test_other_folders(
    tmp_path: Path, names: list[str], root: str, expected: tuple[str | None, str, str]
) -> None:
    touch(tmp_path, *names)
    (case,) = find_cases(tmp_path / root)
    name, split, site = expected
    assert (case.name, case.split, case.site) == (name or tmp_path.name, split, site)
    assert case.in_challenge_layout == (split == "test")


def test_bids_layout(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "derivatives/manual/sub-01/ses-a/anat/sub-01_ses-a_space-FLAIR_label-WMH_mask.nii.gz",
        "derivatives/manual/sub-02/anat/sub-02_run-1_label-lesion_dseg.nii.gz",
        "derivatives/manual/sub-02/anat/sub-02_label-brain_mask.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_FLAIR.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_acq-x_T1w.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_acq-y_T1w.nii.gz",
    )
    people = "participant_id\tsite\tscanner\nsub-01\tOslo\tGE\n"
    (tmp_path / "participants.tsv").write_text(people)
    first, second = find_cases(tmp_path)
    assert (first.name, first.site, first.scanner) == ("sub-01_ses-a", "Oslo", "GE")
    assert first.flair == tmp_path / "sub-01/ses-a/anat/sub-01_ses-a_FLAIR.nii.gz"
    assert first.t1 is None  # there are two: none is guessed
    assert (second.name, second.site, second.flair) == ("sub-02_run-1", "", None)


def test_duplicate_ids_and_missing_references_are_named(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "a/1/wmh.nii.gz",
        "b/1/wmh.nii.gz",
        "b/2/wmh.nii.gz",
        "b/3/pre/FLAIR.nii.gz",
    )
    found = [(case.name, case.problem and case.problem.kind) for case in find_cases(tmp_path)]
    assert found == [
        ("1", Kind.DUPLICATE),
        ("1", Kind.DUPLICATE),
        ("2", None),
        ("3", Kind.NO_REFERENCE),
    ]


def test_no_cases_and_no_folder(tmp_path: Path) -> None:
    with pytest.raises(errors.NoCasesError, match=r"wmh\.nii\.gz"):
        find_cases(tmp_path)
    with pytest.raises(errors.MissingFileError, match="nowhere"):
        find_cases(tmp_path / "nowhere")


def test_links_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path, "far/case/wmh.nii.gz")
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "linked").symlink_to(tmp_path / "far" / "case")
    (tmp_path / "near" / "loop").symlink_to(tmp_path / "near")
    assert [case.name for case in find_cases(tmp_path / "near")] == ["linked"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_folder_is_not_skipped_in_silence(tmp_path: Path) -> None:
    touch(tmp_path, "a/wmh.nii.gz", "b/wmh.nii.gz")
    (tmp_path / "b").chmod(0)
    try:
        with pytest.raises(errors.UnreadableFileError, match="b"):
            find_cases(tmp_path)
    finally:
        (tmp_path / "b").chmod(0o700)


def test_select() -> None:
    cases = [
        Case("1", "test", "Amsterdam", "GE3T"),
        Case("2", "test", "Amsterdam", PHILIPS),
        Case("3", "test", "Utrecht"),
        Case("4", "training", "Utrecht"),
    ]

    def names(*only: str) -> list[str]:
        return [case.name for case in select(cases, only)]

    assert names() == ["1", "2", "3", "4"]
    assert names("site=Amsterdam", "scanner=Philips*") == ["2"]
    assert names("case=1", "case=4") == ["1", "4"]
    with pytest.raises(errors.NoCasesError, match="scanner=Siemens"):
        names("scanner=Siemens")
    for wrong in ("Utrecht", "colour=red"):
        with pytest.raises(errors.UsageError, match="site=Utrecht"):
            names(wrong)


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


def test_missing_and_several_results(tmp_path: Path) -> None:
    touch(tmp_path, "a/1/result.nii.gz", "b/1/result.nii.gz")
    cases = [Case("1", reference=Path("r")), Case("2", reference=Path("s"))]
    found, _ = pair_results(cases, tmp_path)
    kinds = [pair.problem.kind for pair in found if pair.problem]
    assert kinds == [Kind.SEVERAL_RESULTS, Kind.NO_RESULT]
    assert "a/1" in found[0].problem.detail and "b/1" in found[0].problem.detail  # type: ignore[union-attr]  # noqa: PT018


# Scoring ------------------------------------------------------------------------------------------


def test_scores_by_hand(tmp_path: Path) -> None:
    reference = write(tmp_path / "wmh.nii.gz", bar(2) + bar(9, label=2)[:, :, ::1])
    values, notes = scoring_score.score_masks(reference, write(tmp_path / "r.nii.gz", bar(4)))
    assert {name: values[name] for name in SHIFTED} == pytest.approx(SHIFTED)
    assert values["reference_ml"] == pytest.approx(4 * 3 / 1000)
    assert (values["small_lesions"], values["large_lesions"]) == (1, 0)
    assert notes == ()


@pytest.mark.parametrize(
    ("result", "shift_mm", "note"),
    [
        (bar(4, label=255), 0.0, "up to 255"),
        (bar(4, dtype=np.float32) * np.float32(0.7), 0.0, "fractions"),
        (bar(4), 2.0, "2.00 mm apart"),
        (np.zeros(SHAPE, np.uint8), 0.0, "result is empty"),
    ],
)
def test_unusual_results_give_a_note(
    tmp_path: Path, result: np.ndarray, shift_mm: float, note: str
) -> None:
    reference = write(tmp_path / "wmh.nii.gz", bar(4))
    path = write(tmp_path / "result.nii.gz", result, shift_mm=shift_mm)
    values, (found,) = scoring_score.score_masks(reference, path)
    assert note in found
    assert values["dsc"] == float(result.any())


def test_every_problem_is_named_and_the_rest_is_scored(tmp_path: Path) -> None:
    small = np.zeros((4, 8, 9), np.uint8)
    shown = {"good": bar(6), "small": small, "broken": bar(4), "missing": None, "empty": bar(4)}
    data, results = study_folder(tmp_path, shown)
    write(data / "empty" / "wmh.nii.gz", np.zeros(SHAPE, np.uint8))
    (results / "broken" / "result.nii.gz").write_bytes(b"no image")
    write(data / "again" / "good2" / "wmh.nii.gz", bar(4))
    write(data / "good2" / "wmh.nii.gz", bar(4))
    found = score_folder(data, results, tmp_path / "metrics.csv")
    kinds = {score.case: score.problem and score.problem.kind for score in found}
    assert kinds == {
        "good2": Kind.DUPLICATE,
        "broken": Kind.UNREADABLE,
        "empty": Kind.EMPTY_REFERENCE,
        "good": None,
        "missing": Kind.NO_RESULT,
        "small": Kind.SIZES,
    }
    by_case = {score.case: score for score in found}
    assert by_case["good"].values["dsc"] == 0.5
    assert math.isnan(by_case["empty"].values["avd_percent"])
    assert by_case["empty"].values["dsc"] == 0  # defined, and counted
    assert [score.case for score in found if score.scored] == ["empty", "good"]
    assert "9 x 8 x 4" in by_case["small"].problem.detail  # type: ignore[union-attr]
    with pytest.raises(errors.CasesFailedError) as failure:
        scoring_score.check_all_scored(found, "summary.md")
    text = str(failure.value)
    assert "7 cases" in text
    assert "2 of 7 cases were scored" in text
    assert "2 x duplicate id (good2, good2)" in text
    for kind, case in (("missing result", "missing"), ("sizes differ", "small")):
        assert f"1 x {kind} ({case})" in text
    scoring_score.check_all_scored([by_case["good"]], "summary.md")  # nothing to complain about


def test_only_what_changed_is_scored_again(tmp_path: Path, counted: list[str]) -> None:
    data, results = study_folder(tmp_path, {"1": bar(4), "2": bar(5), "3": None})
    table = tmp_path / "metrics.tsv"
    first = score_folder(data, results, table)
    assert counted == ["1", "2"]
    os.utime(results / "1" / "result.nii.gz", (1, 1))  # content counts, not the time
    assert repr(score_folder(data, results, table)) == repr(first)  # nan is nan
    assert counted == ["1", "2"]
    write(results / "2" / "result.nii.gz", bar(6))
    again = score_folder(data, results, table)
    assert counted == ["1", "2", "2"]
    assert [score.values.get("dsc") for score in again] == [1, 0.5, None]
    write(data / "1" / "wmh.nii.gz", bar(6))
    write(results / "3" / "result.nii.gz", bar(4))
    assert score_folder(data, results, table)[0].values["dsc"] == 0.5
    assert counted[3:] == ["1", "3"]
    score_folder(data, results, table, force=True)
    assert counted[5:] == ["1", "2", "3"]


def test_another_version_scores_again(
    tmp_path: Path, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, results = study_folder(tmp_path, {"1": bar(4)})
    score_folder(data, results, tmp_path / "metrics.csv")
    monkeypatch.setattr(scoring_score, "__version__", "99")
    score_folder(data, results, tmp_path / "metrics.csv")
    assert counted == ["1", "1"]


def test_an_interrupted_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, results = study_folder(tmp_path, {"1": bar(4), "2": bar(5)})
    table = tmp_path / "metrics.csv"
    original = scoring_score.score_masks

    def interrupted(reference: Path, result: Path) -> Any:
        if reference.parent.name == "2":
            raise KeyboardInterrupt
        return original(reference, result)

    monkeypatch.setattr(scoring_score, "score_masks", interrupted)
    with pytest.raises(KeyboardInterrupt):
        score_folder(data, results, table)
    assert [score.case for score in read_table(table)] == ["1"]
    calls: list[str] = []
    monkeypatch.setattr(
        scoring_score, "score_masks", lambda a, b: calls.append(a.parent.name) or original(a, b)
    )
    assert len(score_folder(data, results, table)) == 2
    assert calls == ["2"]


def test_a_foreign_table_is_not_overwritten(tmp_path: Path) -> None:
    data, results = study_folder(tmp_path, {"1": bar(4)})
    table = tmp_path / "metrics.csv"
    table.write_text("name,age\nx,3\n")
    with pytest.raises(errors.TableError, match="--force"):
        score_folder(data, results, table)
    assert table.read_text() == "name,age\nx,3\n"


def test_processes_give_the_same_as_one(tmp_path: Path) -> None:
    shown = {str(i): bar(3 + i) for i in range(3)} | {"bad": np.zeros((3, 3, 3), np.uint8)}
    data, results = study_folder(tmp_path, shown)
    told: list[tuple[int, int]] = []
    matched, _ = pair_results(find_cases(data), results)
    many = scoring_score.score_pairs(
        matched, tmp_path / "many.csv", Scoring(jobs=2), lambda *now: told.append(now)
    )
    assert repr(many) == repr(score_folder(data, results, tmp_path / "one.csv"))
    assert (tmp_path / "many.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()
    assert told == [(i, 4) for i in range(1, 5)]


def test_no_jobs_and_no_script() -> None:
    with pytest.raises(errors.UsageError, match="0 jobs"):
        Scoring(jobs=0)
    with pytest.raises(errors.MissingFileError, match="hjkuijf/wmhchallenge"):
        Scoring(script=Path("nowhere.py"))
