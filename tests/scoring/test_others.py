"""Labels besides WMH: label 2 of the reference is what a mask of stroke is to find."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scored_cases import SHIFTED, bar, score_folder, write

from wmhseg import errors
from wmhseg.cli.main import main
from wmhseg.scoring import markdown, masks, summary, summary_files
from wmhseg.scoring.summary import Study
from wmhseg.scoring.table import VALUES, from_text, read_table, to_text


def other(first: int) -> np.ndarray:
    """A stroke of four voxels, as its own mask."""
    mask = np.zeros_like(bar(0))
    mask[1, 2, first : first + 4] = 1
    return mask


def folders(root: Path) -> tuple[Path, Path]:
    """Cases with stroke that is hit by half, missed by the reference, not looked for, broken."""
    for name, strokes in (("hit", True), ("none", False), ("unmarked", True), ("broken", True)):
        reference = bar(2) + 2 * other(2) * strokes
        write(root / "data" / name / "wmh.nii.gz", reference)
        # Of WMH label 2 is left out, wherever the result marks it.
        write(root / "results" / name / "result.nii.gz", np.maximum(bar(4), other(2) * strokes))
    write(root / "results" / "hit" / "result_stroke.nii.gz", np.maximum(other(4), 0))
    write(root / "results" / "none" / "stroke.nii.gz", other(4))
    write(root / "results" / "broken" / "stroke.nii.gz", other(4)[:, :6])
    return root / "data", root / "results"


def test_stroke_is_scored_by_label_2(tmp_path: Path) -> None:
    data, results = folders(tmp_path)
    found = {s.case: s for s in score_folder(data, results, tmp_path / "t.csv")}
    for name, score in found.items():
        assert {n: score.values[n] for n in SHIFTED} == pytest.approx(SHIFTED), name
        assert score.problem is None
    assert list(found["hit"].others) == ["stroke"]
    stroke = found["hit"].others["stroke"]
    assert {n: stroke[n] for n in SHIFTED} == pytest.approx(SHIFTED)
    assert stroke["result_lesions"] == stroke["reference_lesions"] == 1
    assert found["hit"].notes == ()
    assert [name for name in found if found[name].others] == ["hit"]
    assert found["none"].notes == (
        "The result marks 0.01 ml of stroke, and the reference has no voxel of label 2: there is "
        "no figure for it.",
    )
    assert found["unmarked"].notes == ()
    (note,) = found["broken"].notes
    assert note.startswith("stroke was not scored: ")
    assert "sizes" in note


def test_the_table_of_wmh_is_as_ever(tmp_path: Path, counted: list[str]) -> None:
    """Columns of stroke stand behind it, where there is any; all is read back and not redone."""
    data, results = folders(tmp_path)
    table = tmp_path / "t.csv"
    found = score_folder(data, results, table)
    text = to_text(found)  # NaN is not NaN, but its text is
    assert to_text(from_text(text, "t.csv")) == to_text(read_table(table)) == text
    calls = len(counted)
    assert to_text(score_folder(data, results, table)) == text
    assert len(counted) == calls
    lines = [line.split(",") for line in table.read_text().splitlines()]
    head = lines[0]
    assert head[-len(VALUES) :] == [f"stroke_{name}" for name in VALUES]
    (results / "hit" / "result_stroke.nii.gz").unlink()
    again = score_folder(data, results, table)
    assert counted[calls:] == ["hit"]
    assert table.read_text().splitlines()[0].split(",") == head[: -len(VALUES)]
    for one, two in zip(found, again, strict=True):
        np.testing.assert_equal(dict(one.values), dict(two.values))


def test_a_study_tells_stroke_in_a_table_of_its_own(tmp_path: Path) -> None:
    scores = tuple(score_folder(*folders(tmp_path), tmp_path / "t.csv"))
    overview = summary.overview(Study("mine", "validation", scores))
    content = json.loads(summary_files.to_json(overview))
    assert content["groups"]["all"]["all"]["dsc"]["n"] == 4
    assert content["others"]["stroke"]["dsc"]["n"] == 1
    assert content["others"]["stroke"]["dsc"]["mean"] == 0.5
    text = markdown.to_markdown(overview)
    before, _, after = text.partition("## Stroke")
    assert "Label 2 of the reference, in the 1 cases that have it." in after
    assert "| DSC | 1 |" in after
    assert "none: The result marks 0.01 ml of stroke" in after
    plain = summary.overview(Study("mine", "validation", tuple(
        type(s)(**{**vars(s), "others": {}}) for s in scores
    )))  # fmt: skip
    assert markdown.to_markdown(plain).startswith(before)


def test_one_result_and_its_stroke(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, results = folders(tmp_path)
    words = ["evaluate", "--reference", str(data / "hit" / "wmh.nii.gz")]
    words += ["--result", str(results / "hit" / "result.nii.gz")]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["others"]["stroke"]["dsc"] == told["metrics"]["dsc"] == 0.5
    elsewhere = write(tmp_path / "s.nii.gz", other(2))
    assert main([*words, "--stroke", str(elsewhere), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["others"]["stroke"]["dsc"] == 1
    assert main([*words, "--stroke", str(elsewhere)]) == 0
    wmh, stroke = capsys.readouterr().out.split("stroke\n")
    assert "DSC                     0.500" in wmh
    assert "DSC                     1.000" in stroke
    words[2] = str(data / "none" / "wmh.nii.gz")
    assert main([*words, "--stroke", str(elsewhere)]) == 0
    assert "no voxel of label 2" in capsys.readouterr().err
    many = ["evaluate", "--data", str(data), "--results", str(results)]
    assert main([*many, "--stroke", str(elsewhere)]) == errors.UsageError.exit_code


def test_a_folder_is_told_with_its_stroke(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, results = folders(tmp_path)
    words = ["evaluate", "--data", str(data), "--results", str(results), "--no-plots"]
    assert main([*words, "--dry-run"]) == 0
    names, *rows = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    held = {row[0]: row[names.index("stroke")] for row in rows}
    assert held["hit"].endswith("result_stroke.nii.gz")
    assert held["unmarked"] == "n/a"
    assert main(words) == 0
    wmh, stroke = capsys.readouterr().out.split("\nstroke\n")
    assert "n = 4" in wmh
    assert "n = 1" in stroke


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_a_label_of_any_type(kind: type) -> None:
    labels = np.array([[[0, 1, 2, 3, 2]]], kind)
    np.testing.assert_array_equal(masks.of_label(labels, 2), labels == 2)
