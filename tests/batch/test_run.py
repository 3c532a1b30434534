"""Many subjects: what is found, what is done again, what a failure costs."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from batch_work import by_name
from conftest import ROOT, Phantom, write_scan
from nifti_files import failing

from wmhseg import errors
from wmhseg.batch import run as batch_run
from wmhseg.batch.run import Settings
from wmhseg.cli.main import main
from wmhseg.datasets import tables
from wmhseg.datasets.subjects import Subject, find_subjects
from wmhseg.segmentation import pipeline
from wmhseg.segmentation.options import Options


@pytest.fixture(autouse=True)
def _models(use_models: Path) -> None:
    pass


def scan(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def summary(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "summary.tsv").open(newline="") as file:
        return {row["subject"]: row for row in csv.DictReader(file, delimiter="\t")}


def subjects(tmp_path: Path, *names: str) -> list[Subject]:
    return [Subject(name, scan(tmp_path / f"{name}.nii")) for name in names]


BRIGHT = Settings(model="bright")


# Which subjects ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "mark"), [("tsv", "\t"), ("csv", ","), ("txt", "\t")])
def test_a_table_of_subjects(tmp_path: Path, suffix: str, mark: str) -> None:
    lines = [("flair", "Subject", "t1", "note"), ("a/F.nii", "s1", "a/T.nii", "x"),
             ("/b/F.nii", "s2", "n/a", ""), ("", "s3", "", "")]  # fmt: skip
    table = scan(tmp_path / f"t.{suffix}", "\ufeff".encode())
    table.write_text("\ufeff" + "\n".join(mark.join(line) for line in lines))
    found = tables.read_subjects(table)
    assert found[0] == Subject("s1", tmp_path / "a/F.nii", tmp_path / "a/T.nii")
    assert found[1] == Subject("s2", Path("/b/F.nii"), None)
    assert found[2].flair is None
    assert found[2].problem


@pytest.mark.parametrize(
    "content",
    [b"", b"subject\ta\ns1\tb\n", b"subject,flair\ns1,f\n", b"subject\tflair\ns1\n",
     b"subject\tflair\ns1\tf\tg\th\n", b"subject\tflair\n\xff\xfe\t\x00\n", b'subject\tflair\n"'],
)  # fmt: skip
def test_what_is_no_table(tmp_path: Path, content: bytes) -> None:
    with pytest.raises((errors.TableError, errors.NoCasesError)):
        batch_run.check_names(tables.read_subjects(scan(tmp_path / "t.tsv", content)))
    with pytest.raises(errors.MissingFileError):
        tables.read_subjects(tmp_path / "none.tsv")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".hidden", "a\\b", "x" * 300, "a\nb"])
def test_names_that_no_folder_can_have(name: str) -> None:
    failing(errors.UsageError, batch_run.check_names, [Subject(name, Path("f"))])


@pytest.mark.parametrize("names", [("a", "b", "a"), ("Sub", "sub")])
def test_a_subject_twice_is_refused(names: tuple[str, ...]) -> None:
    line = failing(errors.UsageError, batch_run.check_names, [Subject(n, Path("f")) for n in names])
    assert names[0] in line


def test_layouts_of_folders(tmp_path: Path) -> None:
    for name in (
        *("training/Utrecht/0/pre/FLAIR.nii.gz", "training/Utrecht/0/pre/T1.nii.gz"),
        *("training/Utrecht/0/orig/FLAIR.nii.gz", "training/Utrecht/0/wmh.nii.gz"),
        *("sub-01/ses-a/anat/sub-01_ses-a_FLAIR.nii.gz", "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii"),
        *("derivatives/x/sub-01/ses-a/anat/sub-01_ses-a_FLAIR.nii.gz", "p7/FLAIR.nii", "p7/T1.nii"),
        *("flat/p1_FLAIR.nii.gz", "flat/p1_T1.nii.gz", "flat/p2_flair.nii.gz", "flat/p3_T1w.nii"),
        *("sub-02/anat/sub-02_acq-a_FLAIR.nii.gz", "sub-02/anat/sub-02_acq-b_FLAIR.nii.gz"),
    ):
        scan(tmp_path / name)
    found = {s.name: s for s in find_subjects(tmp_path)}
    assert set(found) == {"0", "sub-01_ses-a", "p7", "p1", "p2", "p3", "sub-02"}
    assert found["0"].flair == tmp_path / "training/Utrecht/0/pre/FLAIR.nii.gz"
    for name in ("0", "sub-01_ses-a", "p7", "p1"):
        assert found[name].t1 is not None
        assert found[name].problem == ""
    assert found["p2"].t1 is None
    assert "no FLAIR" in found["p3"].problem
    assert "several FLAIR" in found["sub-02"].problem
    scan(tmp_path / "test" / "Amsterdam" / "0" / "pre" / "FLAIR.nii.gz")
    failing(errors.UsageError, batch_run.check_names, find_subjects(tmp_path))


def test_a_folder_without_scans(tmp_path: Path) -> None:
    failing(errors.NoCasesError, find_subjects, tmp_path)
    failing(errors.MissingFileError, find_subjects, tmp_path / "none")


# Running ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
def test_no_failure_stops_the_rest(tmp_path: Path, jobs: int) -> None:
    people = subjects(tmp_path, "a", "crash", "bad", "killed", "b")
    out, told = tmp_path / "out", []
    settings = Settings(model="bright", jobs=jobs)
    rows = batch_run.run(people, out, settings, lambda *a: told.append(a[:2]), by_name)
    assert [row.subject for row in rows] == [s.name for s in people]
    assert [row.exit_code for row in rows] == [0, 139, 82, 137, 0]
    assert [row.status for row in rows] == ["done", "failed", "failed", "failed", "done"]
    assert "memory" in rows[3].error
    assert told == [(n, 5) for n in range(1, 6)]
    table = summary(out)
    assert table["a"]["volume_ml"] == "1.5"
    assert table["a"]["warnings"] == "a warning"
    assert table["bad"]["error"] == "not NIfTI"
    assert table["crash"]["volume_ml"] == "n/a"
    line = failing(errors.SubjectsFailedError, batch_run.check_all_done, rows, out / "summary.tsv")
    assert "crash, bad, killed" in line


def test_real_subjects_are_done_once(
    phantom: Phantom, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    for name in ("s1", "s2"):
        write_scan(data / name / "FLAIR.nii.gz", phantom.flair, phantom.spacing_mm)
    write_scan(data / "s1" / "T1.nii.gz", phantom.t1, phantom.spacing_mm)
    scan(data / "s3" / "FLAIR.nii.gz", b"no image")

    def run(*more: str) -> dict[str, dict[str, str]]:
        words = ["batch", str(data), "--output", str(out), "--model", "bright", "--threads", "1"]
        assert main([*words, *more]) == errors.SubjectsFailedError.exit_code
        return summary(out)

    table = run()
    assert [table[n]["status"] for n in ("s1", "s2", "s3")] == ["done", "done", "failed"]
    # 48 + 6 voxels of 3 x 1 x 0.9 mm
    assert float(table["s1"]["volume_ml"]) == pytest.approx(0.1458)
    assert table["s1"]["lesion_count"] == "2"
    assert table["s3"]["exit_code"] == "82"
    assert "No T1" in table["s2"]["warnings"]
    printed = capsys.readouterr()
    assert "1/3 s1: 0.15 ml, 2 lesions" in printed.err
    assert "SubjectsFailed" not in printed.err
    expected = phantom.lesions.copy()
    expected[:2] = expected[-2:] = False
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "s1" / "result.nii.gz")))
    np.testing.assert_array_equal(mask, expected)
    before = (out / "s1" / "result.json").stat().st_mtime_ns

    # Inputs that went bad take the old result along: it would be another scan's.
    scan(data / "s2" / "FLAIR.nii.gz", b"no image")
    table = run("--quiet")
    assert [table[n]["status"] for n in ("s1", "s2", "s3")] == ["done before", "failed", "failed"]
    assert not list((out / "s2").iterdir())
    assert (out / "s1" / "result.json").stat().st_mtime_ns == before
    assert float(table["s1"]["volume_ml"]) == pytest.approx(0.1458)


def test_the_next_subject_is_read_ahead_and_once(
    phantom: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (
        Subject(name, write_scan(tmp_path / f"{name}.nii.gz", array, phantom.spacing_mm))
        for name, array in (("one", phantom.flair), ("other", phantom.flair[:, ::-1]))
    )
    read: list[str] = []
    load = pipeline.Segmenter.load

    def recorded(self: pipeline.Segmenter, flair: Path, *rest: Path) -> pipeline.Loaded:
        read.append(Path(flair).name)
        return load(self, flair, *rest)

    monkeypatch.setattr(pipeline.Segmenter, "load", recorded)
    reader = batch_run._Reader("bright", Options())
    first, second = reader.segment(one, other), reader.segment(other, None)
    assert read == ["one.nii.gz", "other.nii.gz"]
    assert first.mask.any()
    np.testing.assert_array_equal(second.mask, first.mask[:, ::-1])
    # What comes is not what was announced: it is read all the same.
    reader.segment(one, other)
    np.testing.assert_array_equal(reader.segment(one, None).mask, first.mask)


def test_force_and_damaged_stamps(tmp_path: Path) -> None:
    people, out = subjects(tmp_path, "a"), tmp_path / "out"
    task = batch_run._tasks(people, out, BRIGHT)[0]
    for name in (batch_run.RESULT, batch_run.REPORT):
        scan(task.folder / name)
    row = batch_run.to_dict(by_name(task))
    good = json.dumps({"fingerprint": task.fingerprint, **row})
    stamp = scan(task.folder / batch_run.STAMP, good.encode())
    assert batch_run.run(people, out, BRIGHT, work=by_name)[0].status == "done before"
    force = Settings(model="bright", force=True)
    assert batch_run.run(people, out, force, work=by_name)[0].status == "done"
    for bad in ("", "[]", "{}", good[:-5], good.replace(task.fingerprint, "0"), "[" * 9999,
                json.dumps({"fingerprint": task.fingerprint, **row, "more": 1})):  # fmt: skip
        stamp.write_text(bad)
        assert batch_run.run(people, out, BRIGHT, work=by_name)[0].status == "done"
    stamp.write_text(good)
    (task.folder / batch_run.RESULT).unlink()
    assert batch_run.run(people, out, BRIGHT, work=by_name)[0].status == "done"


def test_no_jobs_and_no_model(tmp_path: Path) -> None:
    people = subjects(tmp_path, "a")
    failing(errors.UsageError, batch_run.run, people, tmp_path / "o", Settings("bright", jobs=0))
    failing(errors.UnknownModelError, batch_run.run, people, tmp_path / "o", Settings("none-such"))


def test_an_output_that_is_an_input_is_refused(phantom: Phantom, tmp_path: Path) -> None:
    flair = write_scan(tmp_path / "s" / "result.nii.gz", phantom.flair, phantom.spacing_mm)
    before = flair.read_bytes()
    task = batch_run._tasks([Subject("s", flair)], tmp_path, BRIGHT)[0]
    assert batch_run.segment_one(task).exit_code == errors.UsageError.exit_code
    assert flair.read_bytes() == before


def test_terminated_with_a_summary(tmp_path: Path) -> None:
    """SIGTERM in the middle: code 143 soon, every subject in the table."""
    people = ["a", "wait", "z"]
    for name in people:
        scan(tmp_path / "data" / f"{name}_FLAIR.nii")
    out = tmp_path / "out"
    code = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
from functools import partial
import batch_work
from wmhseg.batch import run as batch
from wmhseg.cli import main as cli
if __name__ == "__main__":
    batch.run.__defaults__ = (None, batch_work.by_name)
    words = ["batch", {str(tmp_path / "data")!r}, "--output", {str(out)!r}, "--model", "bright"]
    sys.exit(cli.main(words))
"""
    script = tmp_path / "run.py"
    script.write_text(code)
    process = subprocess.Popen(
        [sys.executable, str(script)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (out / "waiting").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == errors.EXIT_TERMINATED
    assert time.monotonic() - started < 15
    table = summary(out)
    assert [table[n]["status"] for n in people] == ["done", "not run", "not run"]
