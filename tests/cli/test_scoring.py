"""The commands evaluate, rank and compare, and the evaluation of models side by side."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from evaluation import run
from wmhseg import errors
from wmhseg.cli import main
from wmhseg.datasets import cases
from wmhseg.datasets.cases import Case
from wmhseg.geometry import Grid
from wmhseg.io import images
from wmhseg.scoring import comparison, figures, score
from wmhseg.segmentation.options import Options
from wmhseg.weights import store

SHAPE = (4, 8, 12)
PHILIPS = "Philips_VU .PETMR_01."  # as the public archive writes it


def bar(first: int, shape: tuple[int, int, int] = SHAPE, *, length: int = 4) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    mask[2, 4, first : first + length] = 1
    return mask


def write(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    return path


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three cases with results; DSC 1, 0.75 and 0.5."""
    for shift, name in enumerate(("a", "b", "c")):
        write(tmp_path / "data" / name / "wmh.nii.gz", bar(4))
        write(tmp_path / "results" / name / "result.nii.gz", bar(4 + shift))
    return tmp_path / "data", tmp_path / "results"


def evaluate(folders: tuple[Path, Path], *more: str) -> int:
    data, results = folders
    words = ["evaluate", "--data", str(data), "--results", str(results), "--jobs", "1", *more]
    return main.main([*words, "--no-plots"])


# evaluate -----------------------------------------------------------------------------------------


def test_one_pair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = write(tmp_path / "wmh.nii.gz", bar(4))
    result = write(tmp_path / "result.nii.gz", bar(6) * 255)
    words = ["evaluate", "--reference", str(reference), "--result", str(result)]
    assert main.main(words) == 0
    told = capsys.readouterr()
    assert ["DSC", "0.500"] in [line.split() for line in told.out.splitlines()]
    assert ["reference", "lesions", "1"] in [line.split() for line in told.out.splitlines()]
    assert "warning" in told.err
    assert "255" in told.err
    assert main.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["metrics"]["dsc"] == 0.5
    assert found["metrics"]["large_recall"] is None
    assert len(found["notes"]) == 1


def test_one_pair_that_cannot_be_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = write(tmp_path / "wmh.nii.gz", bar(4))
    words = ["evaluate", "--reference", str(reference), "--result"]
    other = write(tmp_path / "other.nii.gz", np.zeros((3, 8, 12), np.uint8))
    assert main.main([*words, str(other)]) == errors.GridMismatchError.exit_code
    assert main.main([*words, str(tmp_path / "no.nii")]) == errors.MissingFileError.exit_code
    write(reference, np.zeros(SHAPE, np.uint8))
    capsys.readouterr()
    result = write(tmp_path / "result.nii.gz", bar(4))
    assert main.main([*words, str(result)]) == errors.CasesFailedError.exit_code
    told = capsys.readouterr()
    assert "empty" in told.err
    assert "DSC" in told.out  # what is defined is printed all the same


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--reference", "a"],
        ["--data", "a"],
        ["--reference", "a", "--result", "b", "--data", "c", "--results", "d"],
        ["--reference", "a", "--result", "b", "--output", "c"],
    ],
)
def test_half_a_question_is_a_usage_error(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["evaluate", *words]) == errors.UsageError.exit_code
    assert "--reference and --result" in capsys.readouterr().err


def test_a_folder(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(folders, "--title", "mine") == 0
    told = capsys.readouterr()
    assert told.out.startswith("mine: validation data\n")
    assert "3 of 3 cases scored" in told.out
    assert "0.750" in told.out
    assert "n = 3, NaN 0" in told.out
    output = folders[1] / "evaluation"
    assert sorted(p.name for p in output.iterdir()) == [
        "metrics.csv",
        "summary.json",
        "summary.md",
    ]
    rows = list(csv.DictReader((output / "metrics.csv").open()))
    assert [(row["case"], row["dsc"]) for row in rows] == [
        ("a", "1.0"),
        ("b", "0.75"),
        ("c", "0.5"),
    ]
    # Its own output lies in the folder of results and is not taken for a result.
    assert evaluate(folders, "--quiet") == 0
    assert capsys.readouterr().err == ""


def test_plots_lie_beside_the_summary(folders: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    data, results = folders
    output = tmp_path / "new" / "out"
    words = ["evaluate", "--data", str(data), "--results", str(results), "--jobs", "1", "--quiet"]
    words += ["--output", str(output), "--role", "test", "--only", "case=a"]
    assert main.main(words) == 0
    text = (output / "summary.md").read_text()
    assert text.startswith("# results: test data")
    for picture in output.glob("*.png"):
        assert f"]({picture.name})" in text
    assert len(list(output.glob("*.png"))) == 4


def test_missing_matplotlib_is_told_before_scoring(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures.importlib.util, "find_spec", lambda name: None)
    data, results = folders
    words = ["evaluate", "--data", str(data), "--results", str(results)]
    assert main.main(words) == errors.PlotsUnavailableError.exit_code
    assert "pip install 'wmhseg[plots]'" in capsys.readouterr().err
    assert not (results / "evaluation").exists()


def test_problems_end_with_an_exit_code_after_everything_is_written(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    results = folders[1]
    (results / "b" / "result.nii.gz").unlink()
    write(results / "z" / "result.nii.gz", bar(1))
    code = evaluate(folders, "--format", "tsv", "--json")
    assert code == errors.CasesFailedError.exit_code == 111
    told = capsys.readouterr()
    assert "1 x missing result (b)" in told.err
    assert "1 results belong to no case" in told.err
    found = json.loads(told.out)
    assert (found["cases"], found["scored"]) == (3, 2)
    assert "2 of 3 cases scored" in (results / "evaluation" / "summary.md").read_text()
    assert "\t" in (results / "evaluation" / "metrics.tsv").read_text()


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--only", "case=nobody"], errors.NoCasesError.exit_code),
        (["--only", "nobody"], errors.UsageError.exit_code),
        (["--jobs", "0"], errors.UsageError.exit_code),
        (["--official", "nowhere.py"], errors.MissingFileError.exit_code),
        (["--role", "training"], errors.UsageError.exit_code),
    ],
)
def test_wrong_options(folders: tuple[Path, Path], more: list[str], code: int) -> None:
    assert evaluate(folders, *more) == code


OFFICIAL = """
testDir = participantDir = ''
def do():
    print('Dice', {dice}, '(higher is better, max=1)')
    print('HD', 1.85, 'mm', '(lower is better, min=0)')
    print('AVD', 0.0, '%', '(lower is better, min=0)')
    print('Lesion detection', 1.0, '(higher is better, max=1)')
    print('Lesion F1', 1.0, '(higher is better, max=1)')
"""


def test_official_script(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "evaluation.py"
    more = ("--official", str(script), "--only", "case=c")
    script.write_text(OFFICIAL.format(dice="0.5"))
    assert evaluate(folders, *more) == 0
    told = json.loads((folders[1] / "evaluation" / "summary.json").read_text())
    assert told["official_script"] == {"cases_compared": 1, "differences": 0}
    data, results = folders
    pair = ["--reference", str(data / "c/wmh.nii.gz"), "--result", str(results / "c/result.nii.gz")]
    assert main.main(["evaluate", *pair, *more[:2]]) == 0
    assert "same five numbers" in capsys.readouterr().out
    script.write_text(OFFICIAL.format(dice="0.50001"))
    assert evaluate(folders, *more) == errors.OfficialDifferenceError.exit_code
    assert "0.50001" in capsys.readouterr().err
    assert main.main(["evaluate", *pair, *more[:2]]) == errors.OfficialDifferenceError.exit_code


# rank and compare ---------------------------------------------------------------------------------


def test_rank(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(folders)
    table = str(folders[1] / "evaluation" / "metrics.csv")
    capsys.readouterr()
    assert main.main(["rank", table, "--name", "mine"]) == 0
    told = capsys.readouterr().out
    assert "mine would stand at position" in told
    for words in ("of 21", "not blind", "rounded to two decimals", "illustration", "sysu media"):
        assert words in told
    assert main.main(["rank", table, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["of"], len(found["table"])) == (21, 21)
    assert found["metrics"]["dsc"]["mean"] == pytest.approx(0.75)
    assert main.main(["rank", table, "--name", "k2"]) == errors.UsageError.exit_code
    assert main.main(["rank", str(folders[0])]) == errors.UnreadableFileError.exit_code


def test_compare(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    data, results = folders
    evaluate(folders)
    for name in ("a", "b", "c"):
        write(results.parent / "better" / name / "result.nii.gz", bar(4))
    evaluate((data, results.parent / "better"))
    tables = [str(results.parent / n / "evaluation" / "metrics.csv") for n in ("results", "better")]
    capsys.readouterr()
    assert main.main(["compare", *tables, "--resamples", "100"]) == 0
    told = capsys.readouterr().out
    assert "better/evaluation/metrics minus results/evaluation/metrics, on 3 cases" in told
    assert "| DSC | 3 | 0 | 0.750 | 1.000 | 0.250 (" in told
    assert main.main(["compare", *tables, "--metrics", "dsc,assd_mm", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["metrics"]) == ["dsc", "assd_mm"]
    # 0.25 and 0.5 rise, one pair is equal: exact p of two of one sign, 2 / 2**2.
    assert found["metrics"]["dsc"]["p"] == pytest.approx(0.5)
    assert found["metrics"]["dsc"]["effect"] == 1

    evaluate((data, results.parent / "better"), "--only", "case=a", "--only", "case=b", "--force")
    capsys.readouterr()
    assert main.main(["compare", *tables]) == errors.CasesFailedError.exit_code
    told = capsys.readouterr()
    assert "1 only in results/evaluation/metrics (c)" in told.err
    assert "on 2 cases" in told.out


# Models side by side ------------------------------------------------------------------------------

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


def fake(name: str, calls: list[str], identity: str = "v1") -> run.Contender:
    """Takes FLAIR for the mask; case 7 fails if the identity says so."""

    def segment(case: Case, target: Path) -> None:
        calls.append(case.name)
        if identity == "fails" and case.name == "7":
            raise errors.ConstantImageError("Something was expected in FLAIR")
        assert case.flair is not None
        assert case.t1 == case.flair.with_name("T1.nii.gz")
        flair, grid = images.read_labels(case.flair)
        images.write_mask(target, flair == 1, grid)

    return run.Contender(name, "copies FLAIR", identity, segment)


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
    assert "110/110" in capsys.readouterr().out


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


def test_networks_run_as_the_layout_asks(
    use_models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran: list[Any] = []

    class Done:
        def save(self, target: Path, probability: Path | None = None) -> None:
            ran.append((target, probability))

    def segment(flair: Path, t1: Path | None, *, model: Any, options: Options) -> Done:
        ran.append((t1, model.preset.name, options.intensity_scale, options.threads))
        return Done()

    monkeypatch.setattr(run, "segment", segment)
    model, t1 = store.find("bright"), Path("T1")
    flat = Case("1", flair=Path("F"), t1=t1)
    test_case = Case("1", "test", "Utrecht", flair=Path("F"), t1=t1)
    auto = run.network(model, Options(threads=1), "auto")
    auto.segment(flat, tmp_path)
    auto.segment(test_case, tmp_path)
    run.network(model, Options(), "adapt").segment(test_case, tmp_path)
    run.network(store.find("bright-flair"), Options(), "keep").segment(flat, tmp_path)
    assert ran[::2] == [
        (t1, "bright", "adapt", 1),
        (t1, "bright", "keep", 1),
        (t1, "bright", "adapt", None),
        (None, "bright-flair", "keep", None),
    ]
    assert auto.identity != run.network(model, Options(), "keep").identity
    assert ran[1::2] == [(tmp_path, None)] * 4
    mapped = run.network(model, Options(threads=1), "auto", probability=True)
    mapped.segment(flat, tmp_path / "result.nii.gz")
    assert ran[-1] == (tmp_path / "result.nii.gz", tmp_path / run.PROBABILITY)
    assert mapped.identity != auto.identity  # a mask without its map is made again


def test_members_are_models_of_their_own(use_models: Path) -> None:
    model = store.find("bright")
    alone = run.member_models(model)
    assert [m.preset.name for m in alone] == ["bright.member1", "bright.member2"]
    assert [m.preset.members for m in alone] == [(m,) for m in model.preset.members]
    for member in alone:
        store.load(member, member.preset.members[0])  # its file is found
    assert run.member_models(store.find("bright-flair")) == []


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


def test_judging_loads_no_network(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a" / "wmh.nii.gz", bar(4))
    write(tmp_path / "results" / "a" / "result.nii.gz", bar(4))
    code = (
        "import sys; from wmhseg.cli.main import main; "
        f"code = main(['evaluate', '--data', {str(tmp_path / 'data')!r}, '--results', "
        f"{str(tmp_path / 'results')!r}, '--no-plots', '--quiet']); "
        "loaded = {'keras', 'tensorflow', 'torch', 'jax', 'matplotlib'} & set(sys.modules); "
        "sys.exit(f'{code} {loaded}' if code or loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_the_metrics_are_called() -> None:
    """Every comparable metric has a label, so that no table shows a variable's name."""
    assert set(comparison.COMPARABLE) < set(comparison.LABELS)
    assert cases.SELECTORS.keys() == {"case", "split", "site", "scanner"}
    assert score.Scoring().jobs is None
