"""The commands evaluate, rank and compare."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from folders import touch
from scored_cases import SHAPE, bar, write

from wmhseg import errors
from wmhseg.cli import main
from wmhseg.datasets import cases
from wmhseg.scoring import comparison, figures, score


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
    assert told.out.startswith("mine: data of unstated use\n")
    assert "3 of 3 cases scored" in told.out
    assert "0.750" in told.out
    assert "n = 3, NaN 0" in told.out
    lines = [" ".join(line.split()) for line in told.out.splitlines()]
    assert "Recall 1.000 (< 10 voxels, n = 3 lesions)" in lines
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


def test_scores_need_no_matplotlib(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures.importlib.util, "find_spec", lambda name: None)
    data, results = folders
    words = ["evaluate", "--data", str(data), "--results", str(results), "--only", "case=a"]
    assert main.main([*words, "--jobs", "1"]) == 0
    told = capsys.readouterr().err
    assert told.count("matplotlib is not installed (pip install 'wmhseg[plots]')") == 1
    written = {path.name for path in (results / "evaluation").iterdir()}
    assert {"metrics.csv", "summary.md"} <= written
    assert not any(name.endswith(".png") for name in written)


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


def test_a_dry_run_tells_and_scores_nothing(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    data, results = folders
    touch(data, "a/FLAIR.nii", "a/T1.nii", "d/wmh.nii", "e/pre/FLAIR.nii", "f/wmh.nii")
    touch(results, "f.nii", "z/result.nii.gz")
    (results / "b" / "result.nii.gz").write_text("/annex/objects/x.nii.gz\n")
    (data / "c" / "wmh.nii.gz").unlink()
    (data / "c" / "wmh.nii.gz").symlink_to("../.git/annex/objects/x.nii.gz")
    (results / "f.nii").write_text("version https://git-lfs.github.com/spec/v1\n")
    before = sorted(data.parent.rglob("*"))
    assert evaluate(folders, "--dry-run") == 0
    told = capsys.readouterr()
    names, *rows = (line.split("\t") for line in told.out.splitlines())
    assert names == ["subject", "flair", "t1", "mask", "result", "why_not"]
    found = {row[0]: row[1:] for row in rows}
    result = str(results / "a" / "result.nii.gz")
    scans = [str(data / "a" / f"{name}.nii") for name in ("FLAIR", "T1")]
    assert found["a"] == [*scans, str(data / "a" / "wmh.nii.gz"), result, ""]
    assert "git-annex pointer" in found["b"][4]
    assert found["b"][:2] == ["n/a", "n/a"]
    assert "a link to a file that is not there" in found["c"][4]
    assert found["d"][3:] == [
        "n/a",
        f"missing result: no d/result.nii.gz or d.nii.gz below {results}",
    ]
    assert found["e"][2:4] == ["n/a", "n/a"]
    assert found["e"][4].startswith("missing reference: no wmh.nii.gz")
    assert "Git LFS pointer" in found["f"][4]
    assert "z/result.nii.gz" in told.err
    assert evaluate(folders, "--dry-run", "--json", "--only", "case=d") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["subject"], row["result"]) == ("d", None)
    assert sorted(data.parent.rglob("*")) == before
    words = ["evaluate", "--reference", "a.nii", "--result", "b.nii", "--dry-run"]
    assert main.main(words) == errors.UsageError.exit_code


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
