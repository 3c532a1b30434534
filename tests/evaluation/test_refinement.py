"""What refining on one source does to the others: cases told apart, and a table of means."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Phantom, write_case

from evaluation.refinement import __main__ as program
from evaluation.refinement import shares
from wmhseg.datasets import cases
from wmhseg.training import plan_files
from wmhseg.training.recipes import PLANS
from wmhseg.training.refining.left_out import Place
from wmhseg.training.refining.rules import LEAST_OF_A_PART, Kept, Score


def test_cases_of_a_source_are_copied_once(phantom: Phantom, tmp_path: Path) -> None:
    for name in ("here-1", "here-2", "there-1"):
        write_case(tmp_path / "data" / name, phantom)
    found = cases.find_cases(tmp_path / "data")
    for _ in range(2):
        program.copied(found, "here", tmp_path / "own")
    copied = cases.find_cases(tmp_path / "own")
    assert [case.name for case in copied] == ["here-1", "here-2"]
    assert all(case.t1 and case.problem is None for case in copied)
    original = (tmp_path / "data" / "here-1" / "wmh.nii.gz").read_bytes()
    assert (tmp_path / "own" / "here-1" / "wmh.nii.gz").read_bytes() == original


def test_the_table_tells_cases_and_the_mean_of_each_source() -> None:
    before = {"a-1": Score(0.4, 0.2, 1, 5, 6), "a-2": Score(0.6, 0.4, 1, 5, 4)}
    after = {"a-1": Score(0.5, 0.2, 1, 5, 5), "a-2": Score(0.8, 0.2, 1, 5, 5)}
    lines = program.table({"before": before, "refined": after}).splitlines()
    assert "| a-1 | 5.0 | 6.0 | 5.0 | 0.400 | 0.500 | 0.200 | 0.200 |" in lines
    assert lines[-1] == "| **mean of a**, n = 2 | | | | 0.500 | 0.650 | 0.300 | 0.200 |"


def test_everything_is_measured_once_on_what_was_not_refined_on(
    phantom: Phantom,
    tmp_path: Path,
    use_models: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_doubts: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("here-1", "here-2", "other-1"):
        write_case(tmp_path / "data" / name, phantom)
    asked: list[list[str]] = []
    out = tmp_path / "out"

    def refined(words: list[str]) -> int:
        asked.append(words)
        made = out / "here" / "refined-here"
        if not made.exists():  # what a refinement would write
            made.parent.mkdir(parents=True)
            made.symlink_to(use_models / "bright-flair")
        return 0

    monkeypatch.setattr(program, "command_line", refined)
    words = ["--data", str(tmp_path / "data"), "--source", "here", "--labels", "HEADS"]
    words += ["--output", str(out), "--model", "bright", "--", "--producers", "1"]
    assert program.main(words) == 0
    line = asked[0]
    assert line[:4] == ["train", "--preset", "refine", "--model"]
    assert line[-3:] == ["--keep-anyway", "--producers", "1"]
    assert line[line.index("--data") + 1] == str(out / "data")
    table = (out / "others.md").read_text()
    assert "| other-1 |" in table
    assert "here-1" not in table
    # What is there is not segmented again.
    path = out / "others" / "before" / "other-1.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"dsc": 0.125}))
    assert program.main(words) == 0
    assert "| 0.125 |" in capsys.readouterr().out


def test_shares_of_a_refined_network_by_hand(
    phantom: Phantom, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says 0.9 of the lesions, the others 0.3 of all of two slices; a voxel counts above 0.5.

    Half of each say 0.6 of the lesions and 0.15 elsewhere; a third of it 0.5, which is too little.
    """
    data, out = tmp_path / "data", tmp_path / "out"
    for name in ("a", "b"):
        write_case(data / name, phantom)
    plan = replace(
        PLANS["refine"],
        postprocessing=replace(PLANS["refine"].postprocessing, threshold=0.5, lesion_peak=0.0),
    )
    (out / "left-out").mkdir(parents=True)
    (out / "left-out" / "plan.json").write_text(plan_files.to_json(plan))
    rows = [{"case": "a", "group": 2}, {"case": "b", "group": 2}]
    (out / "refinement.json").write_text(json.dumps({"rows": rows}))
    refined = np.where(phantom.lesions, np.float32(0.9), np.float32(0))
    staying = np.zeros(phantom.lesions.shape, np.float32)
    staying[8:10] = 0.3
    for number in range(2):
        place = Place(out / "left-out" / "2", number)
        place.folder.mkdir(exist_ok=True)
        Kept.of(staying, LEAST_OF_A_PART).write(place.staying)
        for step in (60, 120):
            Kept.of(refined, LEAST_OF_A_PART).write(place.look("0", step))
    words = ["--data", str(data), "--refined", str(out)]
    assert shares.main(words) == 0
    rows_told = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    found = {(row[0][2:], row[1]): float(row[2]) for row in rows_told}
    # Lesions: 48 voxels in slices 8 and 9, 6 in slice 12 and 16 in slice 0, of 70.
    assert found == {
        (step, share): pytest.approx(dsc, abs=5e-4)
        for step in ("60", "120")
        for share, dsc in (
            *(("0.00", 0), ("0.33", 0), ("0.50", 2 * 48 / (48 + 70))),
            *(("0.67", 1), ("1.00", 1)),
        )
    }
    place.staying.unlink()
    assert shares.main(words) == 80
    assert "none of b" in capsys.readouterr().err
