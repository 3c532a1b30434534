"""Many subjects: what is refused, what is done again, what a failure costs."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from batch_work import by_name, stamped
from conftest import ROOT, Phantom, write_scan
from nifti_files import failing

from wmhseg import errors
from wmhseg.batch import run as batch_run
from wmhseg.batch import summary as batch_summary
from wmhseg.batch.run import BatchOptions
from wmhseg.cli.main import main
from wmhseg.datasets.subjects import Subject
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


BRIGHT = BatchOptions(model="bright")


# Which subjects ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".hidden", "a\\b", "x" * 300, "a\nb"])
def test_names_that_no_folder_can_have(name: str) -> None:
    failing(errors.UsageError, batch_run.check_names, [Subject(name, Path("f"))])


@pytest.mark.parametrize("names", [("a", "b", "a"), ("Sub", "sub")])
def test_a_subject_twice_is_refused(names: tuple[str, ...]) -> None:
    line = failing(errors.UsageError, batch_run.check_names, [Subject(n, Path("f")) for n in names])
    assert names[0] in line


# Running ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
def test_no_failure_stops_the_rest(tmp_path: Path, jobs: int) -> None:
    people = subjects(tmp_path, "a", "crash", "bad", "killed", "b")
    out, told = tmp_path / "out", []
    settings = BatchOptions(model="bright", jobs=jobs)
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
    line = failing(
        errors.SubjectsFailedError, batch_summary.check_all_done, rows, out / "summary.tsv"
    )
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
    assert "1/3 s1: 0.15 ml, 2 lesions, from FLAIR and T1\n" in printed.err
    assert "SubjectsFailed" not in printed.err
    expected = phantom.lesions.copy()
    expected[:2] = expected[-2:] = False
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "s1" / "result.nii.gz")))
    np.testing.assert_array_equal(mask, expected)
    stamp = json.loads((out / "s1" / "done.json").read_text())
    assert list(stamp)[: len(table["s1"]) + 1] == ["fingerprint", *table["s1"]]
    assert [table[n]["scans"] for n in ("s1", "s2", "s3")] == ["FLAIR and T1", "FLAIR", "n/a"]
    before = (out / "s1" / "result.json").stat().st_mtime_ns

    # Inputs that went bad take the old result along: it would be another scan's.
    scan(data / "s2" / "FLAIR.nii.gz", b"no image")
    table = run("--quiet")
    assert [table[n]["status"] for n in ("s1", "s2", "s3")] == ["done before", "failed", "failed"]
    assert not (out / "s2").exists()
    assert (out / "s1" / "result.json").stat().st_mtime_ns == before
    assert float(table["s1"]["volume_ml"]) == pytest.approx(0.1458)


def test_force_and_damaged_stamps(tmp_path: Path) -> None:
    people, out = subjects(tmp_path, "a"), tmp_path / "out"
    task = batch_run.tasks_of(people, out, BRIGHT)[0]
    for path in task.stamp.outputs:
        scan(path)
    row = asdict(by_name(task))
    good = json.dumps({"fingerprint": task.fingerprint, **row})
    stamp = scan(task.stamp.path, good.encode())
    assert batch_run.run(people, out, BRIGHT, work=by_name)[0].status == "done before"
    force = BatchOptions(model="bright", force=True)
    assert batch_run.run(people, out, force, work=by_name)[0].status == "done"
    for bad in ("", "[]", "{}", good[:-5], good.replace(task.fingerprint, "0"), "[" * 9999,
                json.dumps({"fingerprint": task.fingerprint, **row, "more": 1})):  # fmt: skip
        stamp.write_text(bad)
        assert batch_run.run(people, out, BRIGHT, work=by_name)[0].status == "done"
    stamp.write_text(good)
    task.mask.unlink()
    assert batch_run.run(people, out, BRIGHT, work=by_name)[0].status == "done"


def test_a_stamp_of_an_older_version_still_counts(tmp_path: Path) -> None:
    people, out = subjects(tmp_path, "a"), tmp_path / "out"
    task = batch_run.tasks_of(people, out, BRIGHT)[0]
    for path in task.stamp.outputs:
        scan(path)
    old = asdict(by_name(task))
    del old["scans"]
    task.stamp.write(task.fingerprint, old)
    (row,) = batch_run.run(people, out, BRIGHT, work=by_name)
    assert (row.status, row.volume_ml, row.warnings) == ("done before", 1.5, ("a warning",))
    assert summary(out)["a"]["scans"] == "n/a"


# Several batches, one folder of results -----------------------------------------------------------


def test_rows_of_other_tables_stay(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for names in (("s1", "bad"), ("s2",), ("s10", "killed")):
        batch_run.run(subjects(tmp_path, *names), out, BRIGHT, work=stamped)
    table = summary(out)
    assert list(table) == ["s10", "killed", "bad", "s1", "s2"]  # those of the last run first
    assert [row["status"] for row in table.values()] == ["done", "failed", "failed", "done", "done"]
    assert table["s1"] == {**table["s10"], "subject": "s1"}
    assert table["bad"]["error"] == "not NIfTI"
    # Their subjects are not this run's: they decide no exit code, and stand in no result of it.
    rows = batch_run.run(subjects(tmp_path, "s2"), out, BRIGHT, work=stamped)
    assert [(row.subject, row.status) for row in rows] == [("s2", "done before")]
    assert len(summary(out)) == 5


@pytest.mark.parametrize("content", [None, b"", b"\xff\x00\t\n", b"subject\nx", b"a\tb\n1\t2\n"])
def test_a_lost_summary_is_made_again_from_the_folders(
    tmp_path: Path, content: bytes | None
) -> None:
    out = tmp_path / "out"
    batch_run.run(subjects(tmp_path, "s1", "s3"), out, BRIGHT, work=stamped)
    for damaged in ("", "[" * 9999, '{"subject": 7}'):
        for name in ("result.nii.gz", "result.json", "done.json"):
            scan(out / "odd" / name, damaged.encode())
        (out / "summary.tsv").unlink()
        if content is not None:
            scan(out / "summary.tsv", content)
        batch_run.run(subjects(tmp_path, "s2"), out, BRIGHT, work=stamped)
        table = summary(out)
        assert set(table) - {"x"} == {"s1", "s2", "s3"}
        assert table["s3"]["volume_ml"] == "1.5"


def test_what_was_removed_does_not_stay_done(tmp_path: Path) -> None:
    out = tmp_path / "out"
    batch_run.run(subjects(tmp_path, "s1", "s2"), out, BRIGHT, work=stamped)
    (out / "s1" / "result.nii.gz").unlink()
    (out / "s2").rename(out / "s3")
    batch_run.run(subjects(tmp_path, "s4"), out, BRIGHT, work=stamped)
    assert set(summary(out)) == {"s3", "s4"}


def test_two_batches_at_once_lose_no_row(tmp_path: Path) -> None:
    script, out = tmp_path / "run.py", tmp_path / "out"
    script.write_text("""
import sys
from pathlib import Path
from batch_work import stamped
from wmhseg.batch import run
from wmhseg.datasets.subjects import Subject

if __name__ == "__main__":
    data, out, *names = sys.argv[1:]
    who = [Subject(name, Path(data, f"{name}.nii")) for name in names]
    run.run(who, Path(out), run.BatchOptions(model="bright"), work=stamped)
""")
    groups = [[f"{letter}{n}" for n in range(12)] + [f"bad-{letter}"] for letter in "pq"]
    for names in groups:
        subjects(tmp_path, *names)
    running = [
        subprocess.Popen(
            [sys.executable, str(script), str(tmp_path), str(out), *names],
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        )
        for names in groups
    ]
    assert [process.wait(120) for process in running] == [0, 0]
    table = summary(out)
    assert {name: row["status"] for name, row in table.items()} == {
        name: "failed" if name.startswith("bad") else "done" for name in [*groups[0], *groups[1]]
    }


def test_a_reader_that_the_model_lacks_is_said_before_anything_runs(tmp_path: Path) -> None:
    people, out = subjects(tmp_path, "a"), tmp_path / "o"
    for options in (Options(reader="sparing"), Options(min_lesion_mm3=-1)):
        failing(errors.UsageError, batch_run.run, people, out, BatchOptions("bright", options))
    assert not out.exists()


def test_no_jobs_and_no_model(tmp_path: Path) -> None:
    people = subjects(tmp_path, "a")
    failing(
        errors.UsageError, batch_run.run, people, tmp_path / "o", BatchOptions("bright", jobs=0)
    )
    failing(
        errors.UnknownModelError, batch_run.run, people, tmp_path / "o", BatchOptions("none-such")
    )


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
