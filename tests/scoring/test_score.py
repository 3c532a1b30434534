"""Scoring cases: hand-derived numbers, everything that goes wrong, and going on."""

from __future__ import annotations

import math
import os
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from scored_cases import SHAPE, SHIFTED, bar, score_folder, study_folder, write

from wmhseg import errors
from wmhseg.datasets.cases import ProblemKind, find_cases
from wmhseg.datasets.results import pair_results
from wmhseg.scoring import score as scoring_score
from wmhseg.scoring.score import Scoring
from wmhseg.scoring.table import read_table

# Scoring ------------------------------------------------------------------------------------------


def test_scores_by_hand(tmp_path: Path) -> None:
    reference = write(tmp_path / "wmh.nii.gz", bar(2) + bar(9, label=2)[:, :, ::1])
    values, notes = scoring_score.score_masks(reference, write(tmp_path / "r.nii.gz", bar(4)))
    assert {name: values[name] for name in SHIFTED} == pytest.approx(SHIFTED)
    assert values["reference_ml"] == pytest.approx(4 * 3 / 1000)
    assert (values["small_lesions"], values["large_lesions"]) == (1, 0)
    assert notes == ()


@pytest.mark.parametrize(
    ("result", "note"),
    [
        (bar(4, label=255), "up to 255"),
        (bar(4, dtype=np.float32) * np.float32(0.7), "fractions"),
        (np.zeros(SHAPE, np.uint8), "result is empty"),
    ],
)
def test_unusual_results_give_a_note(tmp_path: Path, result: np.ndarray, note: str) -> None:
    reference = write(tmp_path / "wmh.nii.gz", bar(4))
    path = write(tmp_path / "result.nii.gz", result)
    values, (found,) = scoring_score.score_masks(reference, path)
    assert note in found
    assert values["dsc"] == float(result.any())


CODES = [f"{x}{y}{z}" for x in "RL" for y in "AP" for z in "IS"]


@pytest.mark.parametrize("code", [*CODES, "PSL", "SAR", "ILA"])
def test_masks_are_compared_in_space(tmp_path: Path, code: str) -> None:
    """Axes permuted and flipped, by SimpleITK, change no number; spacings are 3, 1 and 1 mm."""
    straight = [write(tmp_path / n, a) for n, a in (("a.nii", bar(2)), ("b.nii", bar(4)))]
    turned = tmp_path / "turned.nii.gz"
    for first, second in (straight, straight[::-1]):
        sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(str(second)), code), str(turned))
        wanted, _ = scoring_score.score_masks(first, second)
        assert wanted["dsc"] == 0.5
        for pair in ((first, turned), (turned, first)):
            values, notes = scoring_score.score_masks(*pair)
            assert {n: values[n] for n in SHIFTED} == pytest.approx(SHIFTED)
            assert [code in note for note in notes] == [True] * (code != "LPS")


@pytest.mark.parametrize("side_mm", [0.001, 1000.0])
def test_voxels_of_no_scan_are_a_problem(tmp_path: Path, side_mm: float) -> None:
    """Volumes and distances would be a million times off, and overlaps right."""
    for folder, name in (("data", "wmh"), ("results", "result")):
        image = sitk.GetImageFromArray(bar(4))
        image.SetSpacing((side_mm, side_mm, side_mm))
        (tmp_path / folder / "1").mkdir(parents=True)
        sitk.WriteImage(image, str(tmp_path / folder / "1" / f"{name}.nii.gz"))
    (found,) = score_folder(tmp_path / "data", tmp_path / "results", tmp_path / "t.csv")
    assert not found.scored
    assert found.problem is not None
    assert "Voxels of 0.1 to 20 mm were expected of the reference" in found.problem.detail


def test_a_reference_in_another_order_has_its_score(shared: Path) -> None:
    found = sorted((shared / "faults").glob("22-*"))
    if not found:
        pytest.skip(f"needs {shared}/faults/22-*")
    for name in ("reference-ras.nii.gz", "reference-same-order.nii.gz"):
        values, _ = scoring_score.score_masks(found[0] / name, found[0] / "result.nii.gz")
        assert values["dsc"] == pytest.approx(0.835, abs=0.0005)


@pytest.mark.parametrize(
    ("reference_mm", "result_mm", "scan_mm", "words"),
    [
        (0, 2, 0, "the result does not lie on the FLAIR image, the reference does"),
        (2, 0, 0, "the reference does not lie on the FLAIR image, the result does"),
        (2, 0, 5, "neither lies on the FLAIR image"),
        (2, 0, None, "cannot be known"),
    ],
)
def test_masks_in_two_places(
    tmp_path: Path, reference_mm: float, result_mm: float, scan_mm: float | None, words: str
) -> None:
    reference = write(tmp_path / "wmh.nii.gz", bar(4), shift_mm=reference_mm)
    result = write(tmp_path / "result.nii.gz", bar(4), shift_mm=result_mm)
    flair = None
    if scan_mm is not None:
        flair = write(tmp_path / "FLAIR.nii.gz", bar(0, label=9), shift_mm=scan_mm)
    with pytest.raises(errors.GridMismatchError, match=r"2\.00 mm apart") as failure:
        scoring_score.score_masks(reference, result, flair=flair)
    assert words in str(failure.value)
    values, (note,) = scoring_score.score_masks(reference, result, flair=flair, as_arrays=True)
    assert values["dsc"] == 1
    assert "2.00 mm apart" in note
    assert words in note


def test_the_challenges_layout_is_compared_as_the_organisers_do(tmp_path: Path) -> None:
    """A problem of its case elsewhere; there, and with the organisers' script, a note."""
    results = tmp_path / "results"
    write(results / "1" / "result.nii.gz", bar(4), shift_mm=2)
    write(tmp_path / "flat" / "1" / "wmh.nii.gz", bar(4))
    write(tmp_path / "data" / "test" / "Utrecht" / "1" / "wmh.nii.gz", bar(4))
    (found,) = score_folder(tmp_path / "flat", results, tmp_path / "flat.csv")
    assert found.problem is not None
    assert found.problem.kind == ProblemKind.PLACES
    (found,) = score_folder(tmp_path / "data", results, tmp_path / "data.csv")
    assert found.problem is None
    assert found.values["dsc"] == 1
    assert any("as the organisers do" in note for note in found.notes)


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
        "good2": ProblemKind.DUPLICATE,
        "broken": ProblemKind.UNREADABLE,
        "empty": ProblemKind.EMPTY_REFERENCE,
        "good": None,
        "missing": ProblemKind.NO_RESULT,
        "small": ProblemKind.SIZES,
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

    def interrupted(reference: Path, result: Path, **how: Any) -> Any:
        if reference.parent.name == "2":
            raise KeyboardInterrupt
        return original(reference, result, **how)

    monkeypatch.setattr(scoring_score, "score_masks", interrupted)
    with pytest.raises(KeyboardInterrupt):
        score_folder(data, results, table)
    assert [score.case for score in read_table(table)] == ["1"]
    calls: list[str] = []
    monkeypatch.setattr(
        scoring_score,
        "score_masks",
        lambda a, b, **how: calls.append(a.parent.name) or original(a, b, **how),
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


def test_a_killed_process_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, results = study_folder(tmp_path, {str(i): bar(3 + i) for i in range(3)})

    class Killed(ThreadPoolExecutor):
        def __init__(self, *_: Any, **__: Any) -> None:
            super().__init__(1)

        def submit(self, *_: Any, **__: Any) -> Future[Any]:
            ended: Future[Any] = Future()
            ended.set_exception(BrokenProcessPool())
            return ended

    monkeypatch.setattr(scoring_score, "ProcessPoolExecutor", Killed)
    with pytest.raises(errors.ScoringFailedError, match="--jobs 1"):
        score_folder(data, results, tmp_path / "t.csv", jobs=2)


def test_no_jobs_and_no_script() -> None:
    with pytest.raises(errors.UsageError, match="0 jobs"):
        Scoring(jobs=0)
    with pytest.raises(errors.MissingFileError, match="hjkuijf/wmhchallenge"):
        Scoring(script=Path("nowhere.py"))
