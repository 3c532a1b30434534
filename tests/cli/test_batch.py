"""The command batch: what it is given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from folders import touch

from wmhseg import errors
from wmhseg.batch import run
from wmhseg.batch.summary import Row
from wmhseg.cli.main import main


def test_batch_needs_subjects(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    assert main(["batch", str(tmp_path), "--output", out]) == errors.NoCasesError.exit_code
    assert main(["batch", str(tmp_path / "none.tsv"), "--output", out]) == 80
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [("batch",), ("slurm", "--array", "2")])
def test_a_folder_that_is_not_there_is_not_called_a_table(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, out = tmp_path / "nothere", tmp_path / "out"
    code = main([words[0], str(place), "--output", str(out), *words[1:]])
    assert code == errors.MissingFileError.exit_code
    (line,) = capsys.readouterr().err.splitlines()
    assert "A folder of scans or a table of subjects was expected at" in line
    assert "Received: no such file or folder." in line
    assert not out.exists()


def test_a_dry_run_tells_and_runs_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = touch(
        tmp_path / "data",
        *("a/FLAIR.nii", "a/T1.nii", "b_FLAIR.nii", "c_T1.nii"),
        *("sub-1_FLAIR.nii", "sub-1_acq-x_T1w.nii", "sub-1_acq-y_T1w.nii"),
    )
    (data / "d_FLAIR.nii.gz").symlink_to("../.git/annex/objects/x.nii.gz")
    (data / "e_FLAIR.nii.gz").write_text("/annex/objects/x.nii.gz\n")
    before = sorted(tmp_path.rglob("*"))
    assert main(["batch", str(data), "--dry-run"]) == 0
    printed = capsys.readouterr()
    names, *rows = (line.split("\t") for line in printed.out.splitlines())
    assert names == ["subject", "flair", "t1", "why_not"]
    told = {row[0]: row[1:] for row in rows}
    assert told["a"] == [str(data / "a/FLAIR.nii"), str(data / "a/T1.nii"), ""]
    assert told["b"] == [str(data / "b_FLAIR.nii"), "n/a", ""]
    assert told["sub-1"][:2] == ["n/a", "n/a"]
    assert "sub-1_acq-y_T1w.nii" in told["sub-1"][2]
    assert "a link to a file that is not there" in told["d"][2]
    assert "git-annex pointer" in told["e"][2]
    assert set(told) == {"a", "b", "sub-1", "d", "e"}
    assert "c_T1.nii" in printed.err
    assert main(["batch", str(data), "--output", str(tmp_path / "o"), "--dry-run", "--json"]) == 0
    assert [row["subject"] for row in json.loads(capsys.readouterr().out)] == list(told)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_batch_needs_a_place_for_results(tmp_path: Path) -> None:
    assert main(["batch", str(touch(tmp_path, "FLAIR.nii"))]) == errors.UsageError.exit_code


@pytest.mark.parametrize(
    ("options", "picture"),
    [
        ([], ""),
        (["--report"], ""),
        (["--measures"], ""),
        (["--overlay"], "overlay.png"),
        (["--overlay-format", "pdf"], "overlay.pdf"),
        (["--overlay", "--overlay-format", "pdf"], "overlay.pdf"),
    ],
)
def test_a_picture_of_every_subject(
    options: list[str], picture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[run.BatchOptions] = []

    def kept(subjects: object, output: object, batch: run.BatchOptions, *_: object) -> list[Row]:
        asked.append(batch)
        return []

    monkeypatch.setattr(run, "run", kept)
    data = str(touch(tmp_path / "data", "a/FLAIR.nii"))
    assert main(["batch", *options, data, "--output", str(tmp_path / "out")]) == 0
    assert [batch.picture for batch in asked] == [picture]
    assert [batch.page for batch in asked] == ["--report" in options]
    assert [batch.measures for batch in asked] == ["--measures" in options]
