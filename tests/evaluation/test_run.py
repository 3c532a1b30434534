"""Contenders side by side: the challenge's 110 scans, what is computed again, what goes wrong."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from scored_cases import PHILIPS, bar, write

from evaluation import run
from evaluation.contender import Contender
from wmhseg import errors
from wmhseg.datasets.cases import Case
from wmhseg.geometry import Grid
from wmhseg.io import images

# Three sizes of axes, as the three sites have; the real ones are about twenty times as long.
SITES = (
    ("Utrecht", (6, 12, 12), 30, 20),
    ("Singapore", (6, 13, 12), 30, 20),
    ("Amsterdam/GE3T", (8, 10, 7), 30, 20),
    ("Amsterdam/GE1T5", (8, 10, 7), 10, 0),
    (f"Amsterdam/{PHILIPS}", (7, 13, 13), 10, 0),
)


@pytest.fixture(scope="module")
def challenge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up data set of 60 and 110 cases in the layout of doi:10.34894/AECRSD."""
    root = tmp_path_factory.mktemp("challenge")
    number = 0
    for site, shape, n_test, n_training in SITES:
        for index in range(n_test + n_training):
            split = "test" if index < n_test else "training"
            folder = root / split / site / str(number)
            reference = bar(1, shape).astype(np.float32)
            reference[4, 1:3, 1] = 2  # other pathology
            write(folder / "wmh.nii.gz", reference)
            # What a segmenter sees; here: where it finds something, and how well it does.
            flair = bar(1 + number % 2, shape).astype(np.float32)
            flair[4, 1:3, 1] = 1
            write(folder / "pre" / "FLAIR.nii.gz", flair)
            write(folder / "pre" / "T1.nii.gz", flair)
            number += 1
    return root


def fake(name: str, calls: list[str], identity: str = "v1") -> Contender:
    """Takes FLAIR for the mask; case 7 fails if the identity says so."""

    def segment(case: Case, target: Path) -> None:
        calls.append(case.name)
        if identity == "fails" and case.name == "7":
            raise errors.ConstantImageError("Something was expected in FLAIR")
        assert case.flair is not None
        assert case.t1 == case.flair.with_name("T1.nii.gz")
        flair, grid = images.read_labels(case.flair)
        images.write_mask(target, flair == 1, grid)

    return Contender(name, "copies FLAIR", identity, segment)


def test_the_110_case_evaluation(
    challenge: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Even ids are found exactly; of the odd ones 3 of 4 voxels, so DSC = 6/8."""
    output = tmp_path / "out"
    words = ["--data", str(challenge), "--challenge", "--output", str(output), "--jobs", "1"]
    calls: list[str] = []
    assert run.main([*words, "--no-plots"], [fake("copy", calls)]) == 0
    assert len(calls) == 110
    scored = json.loads((output / "copy" / "summary.json").read_text())
    assert (scored["role"], scored["cases"], scored["scored"]) == ("test", 110, 110)
    counts = {name: m["dsc"]["n"] for name, m in scored["groups"]["scanner"].items()}
    assert counts == {
        "Amsterdam GE1T5": 10,
        "Amsterdam GE3T": 30,
        f"Amsterdam {PHILIPS}": 10,
        "Singapore": 30,
        "Utrecht": 30,
    }
    everything = scored["groups"]["all"]["all"]
    for metric, mean in (("dsc", 0.875), ("avd_percent", 0), ("recall", 1), ("f1", 1)):
        assert everything[metric]["mean"] == pytest.approx(mean)  # label 2 costs nothing
    text = (output / "summary.md").read_text()
    assert text.startswith("# WMH challenge, 110 scans: test data")
    assert "copy would stand at position 1 of 21" in text
    assert "not blind" in text
    assert "illustration" not in text  # it is the whole test set
    assert "20 teams are as published in 2017" in text
    rows = list(csv.DictReader((output / "table.csv").open()))
    assert {row["role"] for row in rows} == {"test"}
    assert {(r["by"], r["group"]) for r in rows if r["n"] == "10"} >= {
        ("scanner", "Amsterdam GE1T5")
    }
    lesions = {
        (row["group"], row["metric"]): (row["lesions"], row["recall_of_lesions"])
        for row in rows
        if row["lesions"]
    }
    assert lesions["all", "small_recall"] == ("110", "1.0")
    assert lesions["Amsterdam GE1T5", "small_recall"] == ("10", "1.0")
    assert lesions["all", "large_recall"] == ("0", "nan")
    assert {metric for _, metric in lesions} == {"small_recall", "medium_recall", "large_recall"}
    (printed,) = [line for line in capsys.readouterr().out.splitlines() if "110/110" in line]
    assert "| 1.000 (110) |" in printed


def test_the_test_set_must_be_whole(
    challenge: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(challenge), "--challenge", "--output", str(tmp_path), "--jobs", "1"]
    words += ["--no-plots", "--only", "site=Amsterdam", "--quiet"]
    code = run.main(words, [fake("copy", [])])
    assert code == errors.CasesFailedError.exit_code
    text = (tmp_path / "copy" / "summary.md").read_text()
    assert "Not the challenge's test set: 0 scans of Utrecht, 30 expected." in text
    assert "Singapore" in capsys.readouterr().err
    assert "illustration" in (tmp_path / "summary.md").read_text()


def test_models_side_by_side_and_what_is_computed_again(
    challenge: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(challenge), "--only", "site=Utrecht", "--only", "case=[1-9]"]
    words += ["--output", str(tmp_path), "--jobs", "1", "--no-plots", "--quiet"]
    first: list[str] = []
    second: list[str] = []
    code = run.main(words, [fake("one", first), fake("two", second, "fails")])
    assert code == errors.CasesFailedError.exit_code
    assert "1 x not segmented (7)" in capsys.readouterr().err
    text = (tmp_path / "summary.md").read_text()
    assert "validation data" in text.splitlines()[0]
    assert "two minus one, on 8 cases that both have." in text
    assert "published" not in text  # ranks belong to the test set
    assert first == second == [str(i) for i in range(1, 10)]
    # Nothing has changed but one of the segmenters; the case that failed is tried again.
    assert run.main(words, [fake("one", first), fake("two", second, "repaired")]) == 0
    assert (len(first), len(second)) == (9, 18)
    assert run.main([*words, "--force"], [fake("one", first)]) == 0
    assert len(first) == 18


def test_a_failure_does_not_leave_an_old_mask(challenge: Path, tmp_path: Path) -> None:
    words = ["--data", str(challenge), "--only", "case=7", "--output", str(tmp_path)]
    words += ["--jobs", "1", "--no-plots", "--quiet"]
    assert run.main(words, [fake("one", [])]) == 0
    assert run.main(words, [fake("one", [], "fails")]) == errors.CasesFailedError.exit_code
    assert not (tmp_path / "one" / "7" / "result.nii.gz").exists()


def test_without_data_the_synthetic_case(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_case(folder: Path) -> Path:
        write(folder / "input" / "wmh.nii.gz", bar(4))
        write(folder / "input" / "pre" / "FLAIR.nii.gz", bar(4))
        write(folder / "input" / "pre" / "T1.nii.gz", bar(4))
        return folder / "input"

    monkeypatch.setattr(run.demo, "write_case", write_case)
    words = ["--output", str(tmp_path), "--jobs", "1", "--no-plots"]
    for _ in range(2):  # the case is there already the second time
        calls: list[str] = []
        assert run.main(words, [fake("copy", calls)]) == 0
    assert calls == []
    assert (tmp_path / "summary.md").read_text().startswith("# synthetic-data: demo\n")
    assert "| copy | 1/1 | 1.000 " in capsys.readouterr().out


def test_plots_of_models_side_by_side(challenge: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    words = ["--data", str(challenge), "--only", "case=1", "--output", str(tmp_path), "--quiet"]
    assert run.main([*words, "--jobs", "1"], [fake("one", []), fake("two", [])]) == 0
    assert len(list(tmp_path.glob("*.png"))) == 4
    assert "](volumes.png)" in (tmp_path / "summary.md").read_text()


def test_contenders_of_one_name_are_refused(challenge: Path, tmp_path: Path) -> None:
    words = ["--data", str(challenge), "--output", str(tmp_path), "--quiet", "--no-plots"]
    assert run.main(words, [fake("one", []), fake("one", [])]) == errors.UsageError.exit_code
    assert run.main(words, []) == errors.UsageError.exit_code


def test_a_real_network_is_evaluated(use_models: Path, phantom: Any, tmp_path: Path) -> None:
    """Everything from two scans to the table; the phantom's lesions are found by brightness."""
    grid = Grid(phantom.flair.shape, phantom.spacing_mm)
    case = tmp_path / "data" / "head"
    for name, array in (("pre/FLAIR", phantom.flair), ("pre/T1", phantom.t1)):
        (case / "pre").mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(images.to_image(array, grid), str(case / f"{name}.nii.gz"))
    kept = phantom.lesions.copy()
    kept[0] = False  # the end slices are emptied
    images.write_mask(case / "wmh.nii.gz", kept, grid)
    words = ["--data", str(tmp_path / "data"), "--models", "bright", "bright-needs-t1", "--members"]
    words += [
        "--flair-only",
        "--no-plots",
        "--output",
        str(tmp_path / "out"),
        "--jobs",
        "1",
        "--quiet",
        "--threads",
        "1",
    ]
    assert run.main(words) == 0
    rows = list(csv.DictReader((tmp_path / "out" / "table.csv").open()))
    found = {r["model"]: float(r["mean"]) for r in rows if r["metric"] == "dsc"}
    names = ["bright", "bright.member1", "bright.member2", "bright-needs-t1"]
    # The last cannot do without T1, so it is not tried.
    assert found == dict.fromkeys([*names, *(f"{name}.flair-only" for name in names[:3])], 1)
    told = tmp_path / "out" / "bright.flair-only" / "head" / "result.json"
    assert json.loads(told.read_text())["t1_used"] is False
