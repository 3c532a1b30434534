"""The command check: arguments, outputs, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from heads import head
from nifti_files import nifti1, saved

from wmhseg import errors
from wmhseg.cli.main import main
from wmhseg.io import images, nifti


def stored(folder: Path, contrast: str) -> Path:
    scan = head(contrast)
    path = folder / f"{contrast}.nii"
    with path.open("wb") as file:
        nifti.write(file, scan.array, scan.grid)
    return path


def test_check_prints_and_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flair, t1 = (str(stored(tmp_path, c)) for c in ("FLAIR", "T1"))
    assert main(["check", flair, t1]) == 0
    printed = capsys.readouterr()
    assert "ok       FLAIR: looks like FLAIR." in printed.out
    assert "T1: looks like T1." in printed.out
    assert printed.err == ""
    assert main(["check", flair, t1, "--quiet"]) == 0
    assert "looks like" not in capsys.readouterr().out


def test_check_finds_exchanged_scans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flair, t1 = (str(stored(tmp_path, c)) for c in ("FLAIR", "T1"))
    out = tmp_path / "found.json"
    assert main(["check", t1, flair, "--json", str(out)]) == errors.UnsuitableScanError.exit_code
    assert len(capsys.readouterr().err.splitlines()) == 1
    told = json.loads(out.read_text())
    assert told["worst"] == "error"
    assert told["flair"] == t1
    assert main(["check", t1, "--json", "-"]) == errors.UnsuitableScanError.exit_code
    assert json.loads(capsys.readouterr().out)["t1"] is None


def test_check_refuses_what_segment_refuses(tmp_path: Path) -> None:
    flair = stored(tmp_path, "FLAIR")
    assert main(["check", str(tmp_path / "none.nii")]) == 80
    assert main(["check", str(saved(tmp_path, nifti1()[:400], "cut.nii"))]) == 83
    assert main(["check", str(flair), "--json", str(flair)]) == 2
    assert images.read_scan(flair, name="FLAIR").array.any()


def test_check_repeats_no_text_of_headers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some converters put the name of the person there."""
    path = stored(tmp_path, "FLAIR")
    content = bytearray(path.read_bytes())
    content[148:156] = b"Jane Doe"
    path.write_bytes(content)
    assert main(["check", str(path), "--json", "-"]) == 0
    printed = capsys.readouterr()
    assert "Jane" not in printed.out + printed.err
    (found,) = (one for one in json.loads(printed.out)["findings"] if one["topic"] == "description")
    assert found["values"] == {"characters": 8}
    assert main(["check", str(path)]) == 0
    printed = capsys.readouterr()
    assert "a free text of 8 characters" in printed.out
    assert "Jane" not in printed.out + printed.err
