"""On a real SLURM of one node: 200 scans in 8 tasks, and everything that may happen to a task.

Each task is a process of its own that starts Python and an engine, which is what takes the time.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import slurm_node
from conftest import Phantom, write_scan

from wmhseg.batch.summary import DONE
from wmhseg.cli.main import main
from wmhseg.clusters import slurm

pytestmark = [
    pytest.mark.slow,
    pytest.mark.any_processor,
    pytest.mark.skipif(bool(slurm_node.why_not()), reason=slurm_node.why_not()),
]

SUBJECTS, TASKS, KINDS = 200, 8, 5
FEW = slice(6, 14)  # of the phantom's slices, with all of its lesions that count
VOXEL_ML = 3 * 0.9 / 1000
PATIENCE_S = 600.0  # with a machine's other work beside it


@pytest.fixture(scope="module")
def node() -> Iterator[slurm_node.Node]:
    with slurm_node.running(cpus=3) as made:  # two for the array, one for the time limit
        yield made


# Work that goes on until it is told to end, and has nothing more to do when it runs again.
_WORK = """
import os, signal, time
def end(*_):
    print("told to end", flush=True)
    raise SystemExit(143)
signal.signal(signal.SIGTERM, end)
if os.environ.get("SLURM_RESTART_COUNT", "0") == "0":
    time.sleep(600)
print("went on", flush=True)
"""


@pytest.fixture(scope="module")
def short(node: slurm_node.Node, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """An array of one task with a minute's time, submitted before all others; and its log.

    SLURM counts in minutes and tells a task up to a minute early: it takes as long as that.
    """
    folder = tmp_path_factory.mktemp("short")
    (folder / "work.py").write_text(_WORK)
    program = (sys.executable, str(folder / "work.py"))
    needs = slurm.Resources("3", "1G", 1)
    slurm.write(slurm.Plan(1, 1, None, program, ()), (needs, needs), folder)
    words = ["--parsable", "--time=1", "--signal=B:USR1@20", str(folder / "array.sh")]
    job = node("sbatch", *words).strip()
    return job, folder / "logs" / f"{job}_1.log"


def study_of(subjects: int, tmp_path: Path, phantom: Phantom) -> Path:
    """Scans of a few kinds, each with a lesion of another size, in a folder with an odd name."""
    folder = tmp_path / 'a study\'s "scans" %j'
    for kind in range(KINDS):
        array = phantom.flair[FEW].copy()
        array[2:4, 20:24, 26 : 26 + kind] = 900
        path = write_scan(tmp_path / "kinds" / f"{kind}.nii.gz", array, phantom.spacing_mm)
        for number in range(kind, subjects, KINDS):
            scan = folder / f"s{number:03}_FLAIR.nii.gz"
            scan.parent.mkdir(exist_ok=True)
            os.link(path, scan)
    return folder


def volume_ml(subject: str) -> float:
    """48 + 6 voxels of the phantom, and 8 more a kind."""
    return (54 + 8 * (int(subject[1:]) % KINDS)) * VOXEL_ML


class Array:
    """An array of tasks that was submitted."""

    def __init__(self, node: slurm_node.Node, study: Path, tasks: int) -> None:
        self.node, self.output = node, study.parent / "its 'results'"
        words = [str(study), "--output", str(self.output), "--array", str(tasks), "--cpus", "1"]
        words += [
            "--model",
            "bright-flair",
            "--on-unsuitable",
            "warn",
            "--time",
            "30",
            "--mem",
            "1G",
        ]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            assert main(["slurm", *words, "--submit"]) == 0
        self.scripts = self.output / "slurm"
        numbers = dict(re.findall(r"^(array|collect) +job (\d+)$", printed.getvalue(), re.M))
        self.job, self.collect = numbers["array"], numbers["collect"]

    def state(self, task: int) -> str:
        return self.node.states(self.job).get(str(task), "")

    def now(self, task: int) -> None:
        """Lets a task that was put back begin: SLURM has it wait two minutes."""
        words = ["scontrol", "update", f"jobid={self.job}_{task}", "StartTime=now"]
        subprocess.run(words, capture_output=True)  # refused if it runs already

    def until_state(self, task: int, *states: str) -> None:
        self.node.until(lambda: self.state(task) in states, PATIENCE_S, f"task {task} {states}")

    def working(self, task: int) -> None:
        """Waits until a task has finished a subject, and has more to do."""
        name = f"{task}-of-"
        self.node.until(lambda: self.rows(name) > 0, PATIENCE_S, f"task {task} works")

    def rows(self, name: str = "") -> int:
        return sum(
            '"row"' in line
            for path in (self.output / ".wmhseg" / "parts").glob(f"{name}*.jsonl")
            for line in path.read_text().splitlines()
        )

    def log(self, task: int) -> str:
        return (self.scripts / "logs" / f"{self.job}_{task}.log").read_text()

    def until_collected(self) -> None:
        done = {"COMPLETED"}
        self.node.until(
            lambda: set(self.node.states(self.job).values()) == done, PATIENCE_S, "the array"
        )
        self.node.until(
            lambda: set(self.node.states(self.collect).values()) == done, PATIENCE_S, "collecting"
        )

    def check(self, subjects: int) -> None:
        """Every subject once in the table, nothing half-written, nothing done twice."""
        with (self.output / "summary.tsv").open(newline="") as file:
            table = list(csv.DictReader(file, delimiter="\t"))
        assert len(table) == len({row["subject"] for row in table}) == subjects
        assert {row["status"] for row in table} == {DONE}
        for row in table:
            assert float(row["volume_ml"]) == pytest.approx(volume_ml(row["subject"]), abs=1e-4)
            folder = self.output / row["subject"]
            names = sorted(path.name for path in folder.iterdir())
            assert names == ["done.json", "result.json", "result.nii.gz"]
        held = {path.name for path in self.output.iterdir()}
        others = held - {row["subject"] for row in table}
        assert others == {"summary.tsv", "slurm", ".wmhseg"}
        assert not list(self.output.rglob("*.part"))
        done = Counter(
            entry["row"]["subject"]
            for path in (self.output / ".wmhseg" / "parts").glob("*.jsonl")
            for entry in map(json.loads, path.read_text().splitlines())
            if "row" in entry and entry["row"]["status"] == DONE
        )
        assert set(done.values()) == {1}


def test_whatever_happens_to_tasks_every_subject_is_done_once(
    node: slurm_node.Node,
    short: tuple[str, Path],
    phantom: Phantom,
    use_models: Path,
    tmp_path: Path,
) -> None:
    array = Array(node, study_of(SUBJECTS, tmp_path, phantom), TASKS)

    # Cancelled in the middle, and put back: what SLURM sends is SIGTERM, and SIGKILL much later.
    array.working(1)
    node("scancel", f"{array.job}_1")
    array.until_state(1, "CANCELLED")
    assert "terminated" in array.log(1) or "CANCELLED" in array.log(1)
    node("scontrol", "requeue", f"{array.job}_1")
    array.now(1)

    # Killed without a word, as for want of memory.
    array.working(2)
    os.kill(node.process(array.job, "2"), signal.SIGKILL)
    array.until_state(2, "FAILED")
    node("scontrol", "requeue", f"{array.job}_2")
    array.now(2)

    # The time is nearly over: what --signal has SLURM send the script, which puts the task back.
    array.working(3)
    os.kill(node.script(array.job, "3"), signal.SIGUSR1)
    node.until(lambda: "goes back into the queue" in array.log(3), PATIENCE_S, "going back")
    array.until_state(3, "PENDING", "RUNNING", "COMPLETED")
    array.now(3)

    # The node is drained: nothing new begins.
    array.working(4)
    node("scontrol", "update", f"node={node.name}", "state=drain", "reason=test")
    waiting = [task for task in range(1, TASKS + 1) if array.state(task) == "PENDING"]
    node.until(lambda: not node("squeue", "-h", "-t", "R,CG"), PATIENCE_S, "draining")
    assert waiting
    assert all(array.state(task) == "PENDING" for task in waiting)
    node.resume()

    array.until_collected()
    array.check(SUBJECTS)


def test_slurm_tells_of_the_time_and_the_task_goes_on(
    node: slurm_node.Node, short: tuple[str, Path]
) -> None:
    """Its own minute has told it while the others ran, or tells it now: before the node is lost."""
    job, log = short
    node.until(lambda: node.states(job) == {"1": "COMPLETED"}, PATIENCE_S, "the short task")
    told = log.read_text()
    assert told.count("told to end") == told.count("goes back into the queue") == 1
    assert told.rstrip().endswith("went on")


def test_a_node_that_is_lost_costs_nothing(
    node: slurm_node.Node, phantom: Phantom, use_models: Path, tmp_path: Path
) -> None:
    """SLURM puts back by itself what ran there."""
    array = Array(node, study_of(40, tmp_path, phantom), 2)
    array.working(1)
    node("scontrol", "update", f"node={node.name}", "state=down", "reason=test")
    array.until_state(1, "PENDING")
    node.resume()
    array.until_collected()
    array.check(40)


def test_workers_of_dask_are_jobs(
    node: slurm_node.Node, phantom: Phantom, use_models: Path, tmp_path: Path
) -> None:
    """Two jobs of SLURM do it, and are gone when it is done."""
    import dask

    study, out = study_of(12, tmp_path, phantom), tmp_path / "out"
    site = {"cores": 1, "memory": "1GB", "walltime": "00:20:00", "log-directory": str(tmp_path)}
    with dask.config.set({f"jobqueue.slurm.{name}": value for name, value in site.items()}):
        words = ["batch", str(study), "--output", str(out), "--on-unsuitable", "warn"]
        words += ["--model", "bright-flair", "--dask", "slurm", "--jobs", "2"]
        assert main(words) == 0
    with (out / "summary.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["status"] for row in rows] == [DONE] * 12
    for row in rows:
        assert float(row["volume_ml"]) == pytest.approx(volume_ml(row["subject"]), abs=5e-4)
    node.until(lambda: not node("squeue", "-h", "-n", "dask-worker"), PATIENCE_S, "no more workers")
    logs = [path.read_text() for path in tmp_path.glob("dask-worker-*.err")]
    assert any(
        "Starting established connection" in text or "Registered to" in text for text in logs
    )
