"""The exit codes of the BIDS execution draft, which the BIDS App alone has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import ROOT
from folders import touch

from wmhseg import errors
from wmhseg.bids_app import exit_codes
from wmhseg.bids_app.description import check_output
from wmhseg.cli.main import main


@pytest.fixture(autouse=True)
def _models(use_models: Path) -> None:
    pass


@pytest.fixture
def study(tmp_path: Path) -> Path:
    touch(tmp_path, "study/sub-01/anat/sub-01_FLAIR.nii.gz")
    described = {"Name": "A study", "BIDSVersion": "1.10.0"}
    (tmp_path / "study" / "dataset_description.json").write_text(json.dumps(described))
    return tmp_path / "study"


def ended(study: Path, *more: str) -> int:
    """Code of a run that writes nothing."""
    out = study.parent / "out"
    code = main([str(study), str(out), *more, "--model", "bright"])
    assert not out.exists()
    return code


def test_codes_are_those_of_the_draft(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(study, "session") == 17
    assert ended(study, "participant", "--participant-label", "02") == 18
    assert ended(study, "participant", "--session-label", "a") == 18
    (tmp_path / "filter.json").write_text('{"flair": {"run": 2}}')
    assert ended(study, "participant", "--bids-filter-file", str(tmp_path / "filter.json")) == 18
    assert ended(study, "participant", "--bids-filter-file", "none.json") == 66
    assert ended(study, "participant", "--nonsense") == 64
    assert ended(study) == 64
    assert ended(study, "participant", "--jobs", "0") == 64
    assert ended(study, "group") == 66
    assert ended(tmp_path / "nowhere", "participant") == 66
    errors_told = capsys.readouterr().err
    assert errors_told.count("wmhseg: error: ") == len(errors_told.splitlines())
    (study / "sub-01/anat/sub-01_FLAIR.nii.gz").rename(study / "sub-01/anat/sub-01_T1w.nii.gz")
    assert ended(study, "participant") == 66
    (study / "dataset_description.json").unlink()
    assert ended(study, "participant") == 16
    told = capsys.readouterr().err
    assert "wmhseg: error: FLAIR scans, " in told
    assert "Received: no such file." in told


def test_a_participant_without_flair_is_named(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    touch(study, "sub-04/anat/sub-04_T1w.nii.gz")
    assert ended(study, "participant", "--participant-label", "04") == 18
    assert "Received: sub-04 has no FLAIR scan." in capsys.readouterr().err


def test_a_dry_run_shows_what_would_be_used(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    touch(study, "sub-01/anat/sub-01_run-1_T1w.nii.gz", "sub-01/anat/sub-01_run-2_T1w.nii.gz")
    assert ended(study, "participant", "--dry-run", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["scan"] == "sub-01"
    assert row["t1"].endswith("run-2_T1w.nii.gz")
    assert "run-2_T1w.nii.gz is used, of" in row["notes"]


@pytest.mark.parametrize("place", ["", "sub-01", "out", "derivatives/../x"])
def test_the_data_set_is_no_place_for_results(study: Path, place: str) -> None:
    before = sorted(study.rglob("*"))
    assert main(["bids", str(study), str(study / place), "participant"]) == 64
    assert sorted(study.rglob("*")) == before


def test_results_of_others_are_left_alone(study: Path) -> None:
    check_output(study, study / "derivatives" / "wmhseg")
    out = study.parent / "out"
    out.mkdir()
    check_output(study, out)
    text = '{"Name": "x", "GeneratedBy": [{"Name": "fMRIPrep"}]}'
    (out / "dataset_description.json").write_text(text)
    assert main(["bids", str(study), str(out), "participant"]) == 73
    assert [path.name for path in out.iterdir()] == ["dataset_description.json"]
    assert (out / "dataset_description.json").read_text() == text


def test_every_error_has_a_code_of_the_draft() -> None:
    """And those of the page on exit codes."""
    allowed = {0, 1, 16, 17, 18, 64, 65, 66, 73, 74, 130, 143}
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and hasattr(k, "exit_code")]
    given = {kind.exit_code: exit_codes.code_of(kind.exit_code) for kind in kinds}
    assert set(given.values()) == allowed - {0, 130, 143}
    assert {exit_codes.code_of(code) for code in (0, 130, 143, 65)} == {0, 130, 143, 65}
    page = (ROOT / "docs" / "exit-codes.md").read_text("utf-8").partition("## As a BIDS App")[2]
    lines = re.findall(r"^([0-9, ]+?) {2,}.*?(?:\(([0-9, to]+) elsewhere\)|\(([0-9, to]+)\))?$",
                       page, re.MULTILINE)  # fmt: skip
    assert {int(n) for codes, *_ in lines for n in codes.split(", ")} == allowed


@pytest.mark.parametrize(
    ("codes", "ends"), [([], 0), ([0, 0], 0), ([82, 88], 65), ([80], 66), ([82, 80], 1), ([137], 1)]
)
def test_failures_of_one_kind_have_its_code(codes: list[int], ends: int) -> None:
    assert exit_codes.code_of_all(codes) == ends


def test_other_commands_keep_theirs(tmp_path: Path) -> None:
    assert main(["check", str(tmp_path / "none.nii.gz")]) == 80
    assert main(["batch", str(tmp_path), "--output", str(tmp_path / "o")]) == 93
    assert main(["nonsense"]) == 2
