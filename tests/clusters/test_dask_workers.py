"""A real cluster of three processes, one of which is killed in the middle."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from batch_work import stamped
from conftest import ROOT, Phantom, write_scan
from nifti_files import failing

from wmhseg import errors
from wmhseg.batch import run as batch_run
from wmhseg.batch.run import BatchOptions
from wmhseg.batch.summary import DONE, SKIPPED, Row
from wmhseg.batch.task import Task
from wmhseg.batch.turns import Turn
from wmhseg.batch.workers import Crash
from wmhseg.cli.main import main
from wmhseg.clusters import dask_workers
from wmhseg.datasets.subjects import Subject, find_subjects
from wmhseg.segmentation.options import Options

pytestmark = [pytest.mark.slow, pytest.mark.any_processor]

KINDS, SUBJECTS = 3, 24
VOXEL_ML = 3 * 0.9 / 1000


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    import dask
    from distributed import LocalCluster

    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    patience = {f"distributed.comm.timeouts.{name}": "300s" for name in ("connect", "tcp")}
    with (
        pytest.MonkeyPatch.context() as patch,
        dask.config.set(patience | {"distributed.nanny.pre-spawn-environ": {"PYTHONPATH": path}}),
    ):
        patch.setenv("PYTHONPATH", path)
        with LocalCluster(
            n_workers=3, threads_per_worker=2, processes=True, dashboard_address=None
        ) as made:
            yield made


def processes(cluster: Any) -> list[int]:
    return [nanny.process.pid for nanny in cluster.workers.values() if nanny.process is not None]


def test_a_worker_that_dies_costs_nothing(
    cluster: Any,
    phantom: Phantom,
    use_models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for kind in range(KINDS):
        array = phantom.flair[6:14].copy()
        array[2:4, 20:24, 26 : 26 + kind] = 900
        path = write_scan(tmp_path / "kinds" / f"{kind}.nii.gz", array, phantom.spacing_mm)
        (tmp_path / "study").mkdir(exist_ok=True)
        for number in range(kind, SUBJECTS, KINDS):
            os.link(path, tmp_path / "study" / f"s{number:02}_FLAIR.nii.gz")
    monkeypatch.chdir(tmp_path)  # the workers are elsewhere
    subjects = [*find_subjects(Path("study")), Subject("broken", Path("study") / "no.nii.gz")]
    out, told, victim = Path("out"), [], processes(cluster)[0]

    def tell(done: int, total: int, row: Row) -> None:
        told.append(row.subject)
        assert (done, total) == (len(told), SUBJECTS + 1)
        if done == 5:
            os.kill(victim, signal.SIGKILL)

    elsewhere = dask_workers.Cluster(cluster.scheduler_address, out).run
    settings = BatchOptions(
        "bright-flair", Options(on_unsuitable="warn", engine="openvino"), elsewhere=elsewhere
    )
    rows = batch_run.run(subjects, out, settings, tell)
    assert sorted(told) == sorted(subject.name for subject in subjects)
    *good, bad = rows
    assert {row.status for row in good} <= {DONE, SKIPPED}
    assert bad.exit_code == errors.MissingFileError.exit_code
    for row in good:
        expected = (54 + 8 * (int(row.subject[1:]) % KINDS)) * VOXEL_ML
        assert row.volume_ml == pytest.approx(expected, abs=1e-4)
        assert row.flair == f"study/{row.subject}_FLAIR.nii.gz"  # as it was given
    with Path("out", "summary.tsv").open(newline="") as file:
        table = [row["subject"] for row in csv.DictReader(file, delimiter="\t")]
    assert sorted(table) == sorted(told)
    assert not list(out.rglob("*.part"))

    again = batch_run.run(subjects, out, settings)
    assert {row.status for row in again[:-1]} == {SKIPPED}


@dataclass(frozen=True)
class Ended:
    """A future that has come to its end without a result."""

    status: str
    error: BaseException | None = None

    def exception(self) -> BaseException | None:
        return self.error


def test_what_becomes_of_work_without_a_result(tmp_path: Path) -> None:
    from distributed import KilledWorker

    task = Task(Subject("a", tmp_path / "a.nii"), tmp_path, "model", Options(), "method")
    turn = Turn(task, stamped, tmp_path / "claims")
    killed = KilledWorker("key", None, 3)  # type: ignore[arg-type]
    assert dask_workers._answer(Ended("error", killed), turn) == Crash(137)
    for ended in (Ended("cancelled"), Ended("lost"), Ended("error", ImportError("no wmhseg"))):
        line = failing(errors.ClusterError, dask_workers._answer, ended, turn)
        assert "(a)" in line
        assert str(ended.error or ended.status) in line


def test_workers_must_be_like_this(
    cluster: Any, use_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subjects = [Subject("a", tmp_path / "a.nii")]
    there = dask_workers.Cluster(cluster.scheduler_address, tmp_path / "out")
    settings = BatchOptions("bright", elsewhere=there.run)
    elsewhere = replace(settings, elsewhere=replace(there, output=tmp_path / "none").run)
    line = failing(errors.ClusterError, batch_run.run, subjects, tmp_path / "out", elsewhere)
    assert f"no {tmp_path}/none on tcp://" in line
    monkeypatch.setattr(dask_workers, "__version__", "9.9")
    line = failing(errors.ClusterError, batch_run.run, subjects, tmp_path / "out", settings)
    assert "wmhseg 9.9 was expected on every worker" in line


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nowhere", "odd://"])
def test_a_cluster_that_is_not_there(
    address: str,
    use_models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(dask_workers, "_CONNECT_S", 1)
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "a_FLAIR.nii").write_bytes(b"x")
    words = ["batch", str(tmp_path / "study"), "--output", str(tmp_path / "out")]
    code = main([*words, "--model", "bright", "--dask", address])
    assert code == errors.ClusterError.exit_code == 118
    told = [line for line in capsys.readouterr().err.splitlines() if "wmhseg: error" in line]
    assert len(told) == 1
    assert address in told[0]
    assert main([*words, "--dask", address, "--jobs", "2"]) == errors.UsageError.exit_code


def test_slurm_without_sbatch_or_settings(
    use_models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "a_FLAIR.nii").write_bytes(b"x")
    words = ["batch", str(tmp_path / "study"), "--output", str(tmp_path / "out")]
    words += ["--model", "bright", "--dask", "slurm", "--jobs", "2"]
    for found, said in ((None, "sbatch was expected on PATH"), ("/bin/true", "must specify how")):
        monkeypatch.setattr(dask_workers.shutil, "which", lambda name, found=found: found)
        assert main(words) == errors.ClusterError.exit_code
        told = [line for line in capsys.readouterr().err.splitlines() if "wmhseg: error" in line]
        assert len(told) == 1
        assert said in told[0]


@pytest.mark.parametrize(
    ("sbatch", "said"),
    [
        ("echo 'sbatch: error: invalid partition' >&2; exit 1", "take 2 jobs. Received: 0 taken"),
        ("echo 'Submitted batch job 7'", "A worker of the Dask cluster was expected"),
    ],
    ids=["refused", "ended at once"],
)
def test_jobs_that_bring_no_worker(
    sbatch: str,
    said: str,
    use_models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is not waited for what cannot come: the second job is in no queue."""
    import dask

    (tmp_path / "bin").mkdir()
    for name, script in (("sbatch", sbatch), ("squeue", "exit 0"), ("scancel", "exit 0")):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(dask_workers, "_SUBMIT_S", 3)
    monkeypatch.setattr(dask_workers, "_WORKERS_S", 2)
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "a_FLAIR.nii").write_bytes(b"x")
    words = ["batch", str(tmp_path / "study"), "--output", str(tmp_path / "out")]
    with dask.config.set({"jobqueue.slurm.cores": 1, "jobqueue.slurm.memory": "1GB"}):
        code = main([*words, "--model", "bright", "--dask", "slurm", "--jobs", "2"])
    assert code == errors.ClusterError.exit_code
    told = [line for line in capsys.readouterr().err.splitlines() if "wmhseg: error" in line]
    assert len(told) == 1
    assert said in told[0]
