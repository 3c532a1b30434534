"""The command slurm: what it is given, what it refuses before anything is written."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from folders import touch

from wmhseg import errors
from wmhseg.cli.main import main
from wmhseg.clusters import slurm, tables
from wmhseg.datasets.subjects import Subject, read_subjects


@pytest.fixture
def study(tmp_path: Path, use_models: Path) -> Path:
    return touch(tmp_path / "study", "a_FLAIR.nii", "b_FLAIR.nii", "c_FLAIR.nii")


def words_of(script: str) -> list[str]:
    """The words of the command that a script runs."""
    inside = script.partition("command=(\n")[2].partition("\n)\n")[0]
    return shlex.split(inside)


def test_options_are_handed_on(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = study.parent / "out"
    options = [
        "--threshold",
        "0.6",
        "--overlay",
        "--registration",
        "header",
        "--reader",
        "balanced",
    ]
    asked = ["--cpus", "2", "--sbatch", "qos=low", "--sbatch=--exclusive", "--account", "me"]
    where = ["slurm", str(study), "--output", str(out), "--array", "3%2", "--model", "bright"]
    assert main([*where, *options, *asked, "--setup", "module load x", "--dry-run"]) == 0
    script = capsys.readouterr().out
    words = words_of(script)
    place = words.index("batch")
    table = out / "slurm" / "subjects.tsv"
    assert words[place : place + 4] == ["batch", str(table), "--output", str(out)]
    assert sorted(words[place + 4 :]) == sorted(
        [
            *("--threshold", "0.6", "--overlay", "--registration", "header", "--model", "bright"),
            *("--threads", "2", "--shard", "$SLURM_ARRAY_TASK_ID/3"),
        ]
    )
    lines = script.splitlines()
    assert {"#SBATCH --qos=low", "#SBATCH --exclusive", "#SBATCH --account=me"} <= set(lines)
    assert {"#SBATCH --array=1-3%2", "#SBATCH --cpus-per-task=2", "module load x"} <= set(lines)
    assert f"export WMHSEG_MODELS={study.parent}" not in script
    assert any(line.startswith("export WMHSEG_MODELS=/") for line in lines)
    assert not out.exists()


def test_scripts_are_written(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, scripts = study.parent / "out", study.parent / "scripts"
    where = ["slurm", str(study), "--output", str(out), "--array", "2", "--model", "bright"]
    assert main([*where, "--scripts", str(scripts), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["subjects"], told["tasks"]) == (3, 2)
    assert set(told["scripts"].values()) == {
        str(scripts / name) for name in (slurm.ARRAY, slurm.COLLECT, slurm.SUBMIT)
    }
    assert words_of((scripts / slurm.COLLECT).read_text())[-1] == "--collect"
    found = read_subjects(scripts / tables.NAME)
    assert [(s.name, s.flair) for s in found] == [(n, study / f"{n}_FLAIR.nii") for n in "abc"]
    assert main(where) == 0
    assert f"bash {out}/slurm/submit.sh" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (["--array", "4"], 2, "3"),
        (["--array", "0"], 2, "--array"),
        (["--array", "1-3"], 2, "N%K"),
        (["--array", "2", "--time", "soon"], 2, "--time"),
        (["--array", "2", "--mem", "lots"], 2, "--mem"),
        (["--array", "2", "--setup", "a\nb"], 2, "--setup"),
        (["--array", "2", "--sbatch", "a b"], 2, "sbatch"),
        (["--array", "2", "--threshold", "2"], 2, "--threshold"),
        (["--array", "2", "--stroke"], 2, "stroke"),
        (["--array", "2", "--model", "none"], 100, "none"),
        (["--array", "2", "--container", "no.sif"], 80, "no.sif"),
        (["--array", "2", "--force"], 2, "--force"),
    ],
)
def test_what_is_refused_leaves_nothing(
    options: list[str], code: int, told: str, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = study.parent / "out"
    model = [] if "--model" in options else ["--model", "bright"]
    assert main(["slurm", str(study), "--output", str(out), *model, *options]) == code
    assert told in capsys.readouterr().err
    assert not out.exists()


def test_a_model_that_only_the_container_has(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["slurm", str(study), "--output", str(study.parent / "out"), "--array", "2"]
    assert main([*where, "--container", "image", "--model", "theirs"]) == 0
    assert '"theirs" is not installed here' in capsys.readouterr().err


def test_scripts_do_not_lie_among_results(study: Path) -> None:
    touch(study, "slurm_FLAIR.nii")
    out = study.parent / "out"
    where = ["slurm", str(study), "--output", str(out), "--array", "2", "--model", "bright"]
    assert main(where) == errors.UsageError.exit_code
    assert main([*where, "--scripts", str(out / "Slurm")]) == errors.UsageError.exit_code
    assert main([*where, "--scripts", str(out / "jobs")]) == 0


@pytest.mark.parametrize("name", ["plain", "a 'b' \"c\"", '"quoted"', "a,b;c", "Zürich 100%"])
def test_tables_hold_odd_paths(name: str, tmp_path: Path) -> None:
    people = [
        Subject("a", tmp_path / name / "F.nii", tmp_path / name / "T.nii"),
        Subject("b", tmp_path / name / "G.nii"),
        Subject("c", None, problem="two FLAIR scans"),
    ]
    assert tables.fits(people)
    tables.write(people, tmp_path / "t.tsv")
    found = read_subjects(tmp_path / "t.tsv")
    assert [(s.name, s.flair, s.t1) for s in found] == [(s.name, s.flair, s.t1) for s in people]
    assert found[2].problem


def test_paths_that_no_table_can_hold() -> None:
    for path in ("/a\nb", "/a\tb", "/a ", "/\udcfc"):
        assert not tables.fits([Subject("a", Path(path))])
