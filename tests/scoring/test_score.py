"""Finding, scoring and summarising cases: hand-derived numbers and everything that goes wrong."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from wmhseg import errors
from wmhseg.datasets.cases import Case, Kind, Problem, find_cases, select
from wmhseg.datasets.results import pair_results
from wmhseg.scoring import comparison, figures, markdown, masks, official, summary
from wmhseg.scoring import score as scoring_score
from wmhseg.scoring.official import Official
from wmhseg.scoring.score import Scoring
from wmhseg.scoring.summary import Study
from wmhseg.scoring.table import COUNTS, VALUES, Score, from_text, read_table, to_text

SHAPE = (4, 8, 12)
PHILIPS = "Philips_VU .PETMR_01."  # as the public archive writes it


def bar(first: int, *, label: int = 1, dtype: Any = np.uint8) -> np.ndarray:
    """A lesion of four voxels in a row; the column it begins at is the only difference."""
    mask = np.zeros(SHAPE, dtype)
    mask[2, 4, first : first + 4] = label
    return mask


def write(path: Path, array: np.ndarray, *, shift_mm: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1.0, 1.0, 3.0))
    image.SetOrigin((shift_mm, 0.0, 0.0))
    sitk.WriteImage(image, str(path))
    return path


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


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
    return scoring_score.score_pairs(matched, table, Scoring(**{"jobs": 1, **how}))


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
    values, notes = masks.score_masks(reference, write(tmp_path / "r.nii.gz", bar(4)))
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
    values, (found,) = masks.score_masks(reference, path)
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


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the cases that are scored and not taken from the table."""
    calls: list[str] = []
    original = masks.score_masks

    def counting(reference: Path, result: Path) -> Any:
        calls.append(reference.parent.name)
        return original(reference, result)

    monkeypatch.setattr(masks, "score_masks", counting)
    return calls


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
    original = masks.score_masks

    def interrupted(reference: Path, result: Path) -> Any:
        if reference.parent.name == "2":
            raise KeyboardInterrupt
        return original(reference, result)

    monkeypatch.setattr(masks, "score_masks", interrupted)
    with pytest.raises(KeyboardInterrupt):
        score_folder(data, results, table)
    assert [score.case for score in read_table(table)] == ["1"]
    calls: list[str] = []
    monkeypatch.setattr(
        masks, "score_masks", lambda a, b: calls.append(a.parent.name) or original(a, b)
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


# The table ----------------------------------------------------------------------------------------

NUMBERS = st.floats(allow_infinity=False, width=64)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0|"), max_size=20).map(
    str.strip
)


ROWS = st.lists(NUMBERS, min_size=len(VALUES), max_size=len(VALUES))


@settings(max_examples=30)
@given(ROWS, TEXTS, TEXTS)
def test_the_table_reads_back_as_itself(row: list[float], note: str, detail: str) -> None:
    values = dict(zip(VALUES, row, strict=True))
    for name in COUNTS:
        values[name] = 7.0
    written = [
        Score("1", "test", "Ütrecht, NL", "x", values, None, (note, "second") if note else ()),
        Score("2", values=values, problem=Problem(Kind.EMPTY_REFERENCE, detail)),
        Score("3", values=values, official=Official({}, "stopped here"), fingerprint="abc"),
        Score("4", values=values, official=Official(dict.fromkeys(official.PRINTED, row[0]))),
        Score("lost", problem=Problem(Kind.NO_RESULT, detail)),
    ]
    for delimiter in ",\t":
        text = to_text(written, delimiter)
        assert repr(from_text(text, "t")) == repr(written)  # repr: nan is nan


FIVE = "case,dsc,h95_mm,avd_percent,recall,f1\n"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("case,dsc\n1,0.5\n", "without h95_mm"),
        (FIVE + "1,0.5,2,3,0.4,half\n", 'line 2: .* as f1.*"half"'),
        (FIVE + "1,0.5,inf,3,0.4,0.4\n", "line 2: .* as h95_mm"),
        (FIVE + "1,0.5,2,3,0.4\n", "as f1"),
        (FIVE + "1,1,1,1,1,1\n1,1,1,1,1,1\n", "once"),
        (FIVE.replace("case", "problem,case") + "lost,1,1,1,1,1,1\n", "known problem"),
        ("", "without case"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(errors.TableError, match=match):
        read_table(tmp_path / "t.csv")


def test_a_table_of_another_program_is_enough(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(FIVE + "7,0.5,nan,3,0.4,0.6\n")
    (found,) = read_table(tmp_path / "t.csv")
    assert (found.case, found.values["f1"]) == ("7", 0.6)
    assert math.isnan(found.values["h95_mm"])
    with pytest.raises(errors.MissingFileError):
        read_table(tmp_path / "nothing.csv")


# The organisers' script ---------------------------------------------------------------------------

# A stand-in with the same interface. It computes two metrics and knows the others.
STAND_IN = """
import os
import numpy as np
import SimpleITK as sitk

testDir = ''
participantDir = ''

def do():
    image = sitk.ReadImage(os.path.join(testDir, 'wmh.nii.gz'))
    assert 'float' in image.GetPixelIDTypeAsString()
    truth = sitk.GetArrayFromImage(image) == 1
    name, = os.listdir(participantDir)
    found = sitk.GetArrayFromImage(sitk.ReadImage(os.path.join(participantDir, name))) > 0
    dice = 2.0 * (truth & found).sum() / (truth.sum() + found.sum())
    print('Dice', dice + DICE_OFF, '(higher is better, max=1)')
    print('HD', 1.85, 'mm', '(lower is better, min=0)')
    print('AVD', np.abs(truth.sum() - found.sum()) / CHECKED(truth.sum()) * 100, '%', '(min=0)')
    print('Lesion detection', 1.0, '(higher is better, max=1)')
    print('Lesion F1', 1.0, '(higher is better, max=1)')

def CHECKED(count):
    if not count:
        raise ZeroDivisionError('float division by zero')
    return count

if __name__ == '__main__':
    raise SystemExit('testDir is not set yet')
"""


def stand_in(folder: Path, off: float = 0) -> Path:
    path = folder / "evaluation.py"
    path.write_text(STAND_IN.replace("DICE_OFF", repr(off)))
    return path


def test_official_script_agrees(tmp_path: Path, counted: list[str]) -> None:
    data, results = study_folder(tmp_path, {"1": bar(6), "2": bar(2)})
    write(results / "2" / "result.nii", bar(2))  # the other ending
    (results / "2" / "result.nii.gz").unlink()
    table = tmp_path / "metrics.csv"
    score_folder(data, results, table)
    found = score_folder(data, results, table, script=stand_in(tmp_path))
    assert counted == ["1", "2"] * 2  # what was scored without the script is scored again
    for score in found:
        assert score.official is not None
        assert score.official.values == pytest.approx(SHIFTED)
    again = score_folder(data, results, table, script=stand_in(tmp_path))
    assert (repr(again), len(counted)) == (repr(found), 4)
    assert not list(tmp_path.glob("**/__pycache__"))
    head, row = table.read_text().splitlines()[:2]
    assert dict(zip(head.split(","), row.split(","), strict=True))["official_h95_mm"] == "1.85"


def test_official_script_stops_the_run_on_a_difference(tmp_path: Path) -> None:
    data, results = study_folder(tmp_path, {"1": bar(6)})
    table = tmp_path / "metrics.csv"
    with pytest.raises(errors.OfficialDifferenceError, match=r"Case 1: 0\.5 .* for Dice.*0\.50001"):
        score_folder(data, results, table, script=stand_in(tmp_path, 1e-5))
    assert read_table(table) == []  # a case in doubt is not kept


@pytest.mark.parametrize("metric", list(official.PRINTED))
@pytest.mark.parametrize(("off", "accepted"), [(9e-7, True), (2e-6, False)])
def test_all_five_are_compared(metric: str, off: float, accepted: bool) -> None:
    theirs = Official(SHIFTED | {metric: SHIFTED[metric] + off})
    if metric == "h95_mm":  # 1.85: the tolerance is relative above 1
        theirs = Official(SHIFTED | {metric: SHIFTED[metric] * (1 + off)})
    if accepted:
        official.check("1", SHIFTED, theirs)
    else:
        with pytest.raises(errors.OfficialDifferenceError, match=official.PRINTED[metric]):
            official.check("1", SHIFTED, theirs)


def test_nan_must_meet_nan() -> None:
    nan = SHIFTED | {"h95_mm": math.nan}
    official.check("1", nan, Official(nan))
    official.check("1", nan, Official({}, "ZeroDivisionError"))  # it stops where ours is undefined
    for ours, theirs in ((nan, SHIFTED), (SHIFTED, nan)):
        with pytest.raises(errors.OfficialDifferenceError, match="HD"):
            official.check("1", ours, Official(theirs))
    with pytest.raises(errors.OfficialScriptError, match="ZeroDivisionError"):
        official.check("1", SHIFTED, Official({}, "ZeroDivisionError"))
    old = "TypeError: in method 'Image_TransformIndexToPhysicalPoint', argument 2"
    with pytest.raises(errors.OfficialScriptError, match=r"argument 2.*newest evaluation\.py"):
        official.check("1", SHIFTED, Official({}, old))


def test_official_script_may_stop_on_an_empty_reference(tmp_path: Path) -> None:
    reference = write(tmp_path / "wmh.nii.gz", np.zeros(SHAPE, np.uint8))
    found = official.run(stand_in(tmp_path), reference, write(tmp_path / "r.nii.gz", bar(1)))
    assert found == Official({}, "ZeroDivisionError: float division by zero")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (
            "print 'Dice', 1",
            r"Missing parentheses.*for Python 2.*brackets around.*five print lines",
        ),
        ("x = 1", "no attribute 'do'"),
        ("def do():\n    print('Dice 0.5')\n", 'line "HD NUMBER"'),
        ("def do():\n    print('Dice none')\n", 'line "Dice NUMBER"'),
    ],
)
def test_a_script_that_is_something_else(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "evaluation.py").write_text(text)
    mask = write(tmp_path / "wmh.nii.gz", bar(1))
    with pytest.raises(errors.OfficialScriptError, match=match):
        official.run(tmp_path / "evaluation.py", mask, mask)


# Summaries ----------------------------------------------------------------------------------------


def made_up(case: str, dsc: float, **more: Any) -> Score:
    values = dict.fromkeys(VALUES, 1.0) | SHIFTED | {"dsc": dsc}
    known = {key: more.pop(key) for key in list(more) if key in values}
    return Score(case, values=values | known, **more)


def test_overview_by_hand() -> None:
    study = Study(
        "mine",
        "validation",
        (
            made_up("1", 0.2, site="A", scanner="x", result_ml=3.0),
            made_up("2", 0.4, site="A", scanner="y", h95_mm=math.nan),
            made_up("3", 0.9, site="B", small_recall=0.5, small_lesions=4.0),
            Score("4", site="B", problem=Problem(Kind.NO_RESULT, "nowhere | at all")),
        ),
    )
    found = summary.overview(study)
    everything = found.groups["all"]["all"]
    assert (everything["dsc"].n, everything["dsc"].mean, everything["dsc"].median) == (
        3, pytest.approx(0.5), pytest.approx(0.4),
    )  # fmt: skip
    assert (everything["h95_mm"].n, everything["h95_mm"].n_nan) == (2, 1)
    assert everything["dsc"].mean_low < 0.5 < everything["dsc"].mean_high
    assert {name: m["dsc"].n for name, m in found.groups["site"].items()} == {"A": 2, "B": 1}
    assert list(found.groups["scanner"]) == ["A x", "A y", "B"]
    assert found.volumes is not None
    assert found.volumes.bias_ml == pytest.approx(2 / 3)
    # One of one, one of one, two of four lesions.
    assert found.sizes[0] == summary.SizeClass("small", 6, pytest.approx(4 / 6))

    text = markdown.to_markdown(found, ["volumes.png"])
    assert text.startswith("# mine: validation data\n")
    assert "not test figures" in text
    assert "3 of 4 cases scored" in text
    assert "Means are over the scored cases only." in text
    assert "| H95 (mm) | 2 | 1 | 1.850 |" in text
    assert "| 4 | missing result | nowhere \\| at all |" in text
    assert "![volumes](volumes.png)" in text
    told = json.loads(summary.to_json(found))
    assert (told["role"], told["cases"], told["scored"]) == ("validation", 4, 3)
    assert told["groups"]["site"]["B"]["dsc"]["sd"] is None  # one case has no spread
    assert told["problems"] == [
        {"case": "4", "problem": "missing result", "detail": "nowhere | at all"}
    ]


def test_nothing_scored_is_still_a_summary() -> None:
    study = Study("mine", "demo", (Score("4", problem=Problem(Kind.NO_RESULT, "")),))
    text = markdown.to_markdown(summary.overview(study))
    assert text.startswith("# mine: demo\n")
    assert "0 of 1 cases scored" in text
    assert json.loads(summary.to_json(summary.overview(study)))["bland_altman"] is None


def test_sites_without_scanners_are_shown_once() -> None:
    found = summary.overview(Study("m", "test", (made_up("1", 0.5, site="A"),)))
    assert list(found.groups) == ["all", "site"]
    nowhere = summary.overview(Study("m", "test", (made_up("1", 0.5),)))
    assert list(nowhere.groups) == ["all"]


# Ranking and comparison ---------------------------------------------------------------------------


def test_place_says_what_it_is_not() -> None:
    placed = comparison.place([made_up("1", 0.85), made_up("2", 0.95)], "mine")
    text = "\n".join(placed.to_markdown())
    assert "not blind" in text
    assert "rounded to two decimals" in text
    assert "110 test scans. These are 2 scored cases" in text
    assert "| DSC | 0.900 | 2 | 0 | 0.0000 |" in text  # better than all published
    assert f"position {placed.standing.position} of 21" in text
    assert "**mine**" in text
    assert "0.0076" in text  # sysu media, as printed
    test_set = [made_up(str(i), 0.5, split="test") for i in range(110)]
    assert placed.remarks[1:]
    assert len(comparison.place(test_set, "mine").remarks) == 1
    told = comparison.place([*test_set, Score("x")], "mine").remarks
    assert told[1:] == ("1 cases were not scored and do not count.",)


def test_place_needs_numbers() -> None:
    with pytest.raises(errors.NoCasesError):
        comparison.place([Score("1")], "mine")
    with pytest.raises(errors.UsageError, match="none for H95"):
        comparison.place([made_up("1", 0.5, h95_mm=math.nan)], "mine")


def test_compare_by_hand() -> None:
    """Six pairs that all rise: p = 2 / 2**6, effect 1; H95 rises too, which is worse."""
    first = [made_up(str(i), 0.1 * i, h95_mm=i) for i in range(1, 7)]
    second = [made_up(str(i), 0.1 * i + 0.01 * i, h95_mm=2.0 * i) for i in range(1, 8)]
    found = comparison.compare(first, second, ("a", "b"), ["dsc", "h95_mm", "recall"])
    assert found.cases == ("1", "2", "3", "4", "5", "6")
    assert found.only == ((), ("7",))
    assert found.metrics["dsc"].p == pytest.approx(2 / 64)
    assert found.metrics["dsc"].p_adjusted == pytest.approx(2 / 64 * 3 / 2)
    assert found.metrics["dsc"].effect == 1
    assert found.metrics["dsc"].mean_difference == pytest.approx(0.035)
    assert found.means["h95_mm"] == (3.5, 7)
    assert [found.better(m) for m in ("dsc", "h95_mm", "recall")] == ["b", "a", ""]
    text = "\n".join(found.to_markdown())
    assert "b minus a, on 6 cases that both have." in text
    assert "| Lesion recall | 6 | 0 | 1.000 | 1.000 | 0.000 (0.000 to 0.000) | 1 | 1 |" in text


def test_compare_refuses_and_warns() -> None:
    one = [made_up("1", 0.5)]
    with pytest.raises(errors.NoCasesError, match="none in common"):
        comparison.compare(one, [made_up("2", 0.5)], ("a", "b"))
    with pytest.raises(errors.UsageError, match="colour"):
        comparison.compare(one, one, ("a", "b"), ["dsc", "colour"])
    bare = [Score("1", values=SHIFTED)]
    with pytest.raises(errors.TableError, match="assd_mm"):
        comparison.compare(one, bare, ("a", "b"), ["assd_mm"])
    assert comparison.compare(one, bare, ("a", "b")).other_references == ()
    other = [made_up("1", 0.5, reference_ml=7.0)]
    assert comparison.compare(one, other, ("a", "b")).other_references == ("1",)


# Plots --------------------------------------------------------------------------------------------


@pytest.fixture
def plotted() -> Callable[..., dict[str, bytes]]:
    pytest.importorskip("matplotlib")
    return figures.draw_all


def test_every_plot_is_a_picture(plotted: Callable[..., dict[str, bytes]]) -> None:
    rng = np.random.default_rng(0)
    sets = {
        name: [
            made_up(
                str(i), rng.uniform(), site="A", scanner="xy"[i % 2],
                reference_ml=float(i), result_ml=float(i + rng.uniform()), h95_mm=math.nan,
            )
            for i in range(5)
        ]
        for name in ("one", "two")
    }  # fmt: skip
    sets["nothing"] = [Score("lost")]
    pictures = plotted(sets, "made up: demo")
    assert sorted(pictures) == [
        "bland_altman.png",
        "metrics_by_scanner.png",
        "recall_by_lesion_size.png",
        "volumes.png",
    ]
    assert all(content.startswith(b"\x89PNG") for content in pictures.values())
    again = figures.volume_scatter({"one": sets["one"]}, "made up: demo")
    assert again == figures.volume_scatter({"one": sets["one"]}, "made up: demo")
    without = [made_up("1", 0.5, small_recall=math.nan, small_lesions=0.0)]
    assert figures.size_recall({"one": without}, "one case").startswith(b"\x89PNG")
    assert figures.bland_altman_plot({"one": without}, "one case").startswith(b"\x89PNG")
    assert plotted({"nothing": [Score("lost")]}, "made up") == {}


def test_without_matplotlib_the_advice_is_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(errors.PlotsUnavailableError, match=r"pip install 'wmhseg\[plots\]'"):
        figures.draw_all({}, "")
