"""What one run says does not contradict itself, and a second run leaves nothing of the first."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import Phantom, write_case, write_scan
from lopsided_head import pair

import wmhseg
from wmhseg import errors
from wmhseg.cli.main import main
from wmhseg.engines.start import start_engine
from wmhseg.preparation import registration
from wmhseg.preparation.registration import Registration, Rigid
from wmhseg.reporting import earlier
from wmhseg.segmentation import loading


@pytest.fixture(autouse=True)
def _models(use_models: Path, no_doubts: None) -> None:
    pass


@pytest.fixture
def scans(phantom: Phantom, tmp_path: Path) -> tuple[str, str]:
    pre = write_case(tmp_path / "case", phantom) / "pre"
    return str(pre / "FLAIR.nii.gz"), str(pre / "T1.nii.gz")


@pytest.fixture
def no_computing(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("an engine was started")

    monkeypatch.setattr(loading, "start_engine", never)


def segment(*words: str, model: str = "bright-needs-t1") -> int:
    return main(["segment", "--model", model, *words])


def test_a_t1_that_is_not_used_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flair, t1 = pair()
    moved = (t1.grid.origin_mm[0] + 2, *t1.grid.origin_mm[1:])
    paths = [
        str(write_at(tmp_path / "f.nii", flair.array, flair.grid.origin_mm)),
        str(write_at(tmp_path / "t.nii", t1.array, moved)),
    ]
    monkeypatch.setattr(
        registration, "register", lambda *_: Registration(Rigid((0.04, 0, 0)), 0.01, "header", 14)
    )
    words = ["--flair", paths[0], "--t1", paths[1], "--output", str(tmp_path / "m.nii")]
    words += ["--on-registration-failure", "flair-only", "--bias-correction", "off"]
    assert segment(*words, model="bright") == 0
    printed = capsys.readouterr()
    told = [line for line in (printed.out + printed.err).splitlines() if "T1" in line]
    assert len(told) == 1
    assert "NOT USED" in told[0]
    # A model that takes FLAIR alone registers nothing.
    monkeypatch.setattr(registration, "register", lambda *_: pytest.fail("T1 was registered"))
    assert segment(*words, model="bright-flair") == 0
    printed = capsys.readouterr()
    told = [line for line in (printed.out + printed.err).splitlines() if "T1" in line]
    assert len(told) == 1
    assert "given but not used" in told[0]


def write_at(path: Path, array: Any, origin_mm: tuple[float, ...]) -> Path:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1.0, 1.0, 4.0))
    image.SetOrigin(origin_mm)
    sitk.WriteImage(image, str(path))
    return path


def test_a_mask_on_t1_needs_one_before_anything_is_computed(
    scans: tuple[str, str], tmp_path: Path, no_computing: None, capsys: pytest.CaptureFixture[str]
) -> None:
    flair, t1 = scans
    words = ["--flair", flair, "--output", str(tmp_path / "new" / "m.nii")]
    words += ["--mask-on-t1", str(tmp_path / "new" / "t.nii")]
    assert segment(*words, model="bright") == errors.UsageError.exit_code
    assert segment(*words, "--t1", t1, model="bright-flair") == errors.UsageError.exit_code
    assert capsys.readouterr().err.count("--mask-on-t1 needs a T1 that is used") == 2
    assert not (tmp_path / "new").exists()


def test_a_run_that_fails_leaves_no_folder(phantom: Phantom, tmp_path: Path) -> None:
    empty = write_scan(tmp_path / "f.nii.gz", 0 * phantom.flair, phantom.spacing_mm)
    (tmp_path / "there").mkdir()
    for folder in (tmp_path / "a" / "b", tmp_path / "there"):
        words = ["--flair", str(empty), "--output", str(folder / "m.nii")]
        assert segment(*words) == errors.ConstantImageError.exit_code
    assert not (tmp_path / "a").exists()
    assert (tmp_path / "there").is_dir()  # it was somebody's
    data = tmp_path / "data"
    write_scan(data / "x_FLAIR.nii.gz", 0 * phantom.flair, phantom.spacing_mm)
    code = main(["batch", str(data), "--output", str(tmp_path / "out"), "--model", "bright"])
    assert code == errors.SubjectsFailedError.exit_code
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["summary.tsv"]
    (tmp_path / "none").mkdir()
    words = ["train", "--data", str(tmp_path / "none"), "--check", "--output", str(tmp_path / "t")]
    assert main(words) == errors.NoCasesError.exit_code
    assert not (tmp_path / "t").exists()


def test_a_second_run_replaces_the_first_and_says_so(
    scans: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["--flair", scans[0], "--t1", scans[1], "--output", str(out / "m.nii")]
    more = ["--overlay", str(out / "o.png"), "--probability", str(out / "p.nii")]
    assert segment(*words, *more) == 0
    told = capsys.readouterr().err
    assert "replaced" not in told
    assert "removed" not in told
    files = {"mask": "m.nii", "probability": "p.nii", "overlay": "o.png"}
    assert json.loads((out / "m.json").read_text())["files"] == files
    (out / "mine.png").touch()
    assert segment(*words) == 0
    told = capsys.readouterr().err
    (replaced,) = (line for line in told.splitlines() if line.startswith("replaced"))
    assert replaced.split()[1:] == [f"{out / 'm.nii'},", str(out / "m.json")]
    (removed,) = (line for line in told.splitlines() if line.startswith("removed"))
    assert str(out / "o.png") in removed
    assert {path.name for path in out.iterdir()} == {"m.nii", "m.json", "mine.png"}


def test_a_scan_is_never_removed(scans: tuple[str, str], tmp_path: Path) -> None:
    """A file of an earlier run that the next one reads is an input, whatever the report says."""
    words = ["--flair", scans[0], "--output", str(tmp_path / "m.nii")]
    copy = tmp_path / "p.nii.gz"
    assert segment(*words, "--probability", str(copy), model="bright") == 0
    shutil.copy2(scans[0], copy)  # with its old time
    assert segment("--flair", str(copy), *words[2:], model="bright") == 0
    assert copy.is_file()
    # Read no more, it is what the earlier run left.
    report = json.loads((tmp_path / "m.json").read_text())
    (tmp_path / "m.json").write_text(json.dumps(report | {"files": {"probability": "p.nii.gz"}}))
    assert segment(*words, model="bright") == 0
    assert not copy.exists()


def test_a_file_that_was_changed_since_stays(tmp_path: Path) -> None:
    report, picture = tmp_path / "m.json", tmp_path / "o.png"
    picture.touch()
    report.write_text(json.dumps(earlier.named({"overlay": picture}, report)))
    now = report.stat().st_mtime
    os.utime(picture, (now - 1, now - 1))
    assert earlier.left_behind(report, {}) == [picture]
    assert earlier.left_behind(report, {"overlay": picture}) == []
    os.utime(picture, (now + 1, now + 1))
    assert earlier.left_behind(report, {}) == []


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"files": 3}', '{"files": {"a": 3, "b": ""}}', "{" * 9,
     '{"files": {"a": "../elsewhere.png", "b": "notes.txt", "c": "sub/a.png", "d": "/etc/a.png"}}'],
)  # fmt: skip
def test_what_is_no_report_of_ours_names_nothing(text: str, tmp_path: Path) -> None:
    """A report may come from anywhere: nothing but a result's files beside it is removed."""
    for name in ("elsewhere.png", "here/notes.txt", "here/sub/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "here" / "m.json").write_text(text)
    assert earlier.left_behind(tmp_path / "here" / "m.json", {}) == []
    assert earlier.left_behind(tmp_path / "none.json", {}) == []


def test_python_removes_it_as_well(phantom: Phantom, tmp_path: Path) -> None:
    result = wmhseg.Segmenter("bright-needs-t1", engine=start_engine("openvino", "cpu", 1)).segment(
        phantom.flair, phantom.t1, spacing_mm=phantom.spacing_mm
    )
    assert result.save(tmp_path / "m.nii", overlay=tmp_path / "o.png") == []
    assert result.save(tmp_path / "m.nii", overlay=tmp_path / "o.png") == []
    assert result.save(tmp_path / "m.nii") == [tmp_path / "o.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.json", "m.nii"]
