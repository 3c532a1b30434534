"""On a real SLURM of one node: 200 scans in 8 tasks, and everything that may happen to a task.

Each task is a process of its own that starts Python and an engine, which is what takes the time.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import slurm_node
from conftest import Phantom, write_scan

from wmhseg.batch.summary import DONE
from wmhseg.cli.main import main

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
    with slurm_node.running() as made:
        yield made


@pytest.fixture
def study(tmp_path: Path, phantom: Phantom) -> Path:
    """Scans of a few kinds, each with a lesion of another size, in a folder with an odd name."""
    folder = tmp_path / 'a study\'s "scans" %j'
    for kind in range(KINDS):
        array = phantom.flair[FEW].copy()
        array[2:4, 20:24, 26 : 26 + kind] = 900
        path = write_scan(tmp_path / "kinds" / f"{kind}.nii.gz", array, phantom.spacing_mm)
        for number in range(kind, SUBJECTS, KINDS):
            scan = folder / f"s{number:03}_FLAIR.nii.gz"
            scan.parent.mkdir(exist_ok=True)
            os.link(path, scan)
    return folder


def volume_ml(subject: str) -> float:
    """48 + 6 voxels of the phantom, and 8 more a kind."""
    return (54 + 8 * (int(subject[1:]) % KINDS)) * VOXEL_ML


class Array:
    """An array of tasks that was submitted."""

    def __init__(self, node: slurm_node.Node, study: Path, tasks: int, *more: str) -> None:
        self.node, self.output = node, study.parent / "its 'results'"
        words = [str(study), "--output", str(self.output), "--array", str(tasks), "--cpus", "1"]
        words += ["--model", "bright-flair", "--on-unsuitable", "warn", "--time", "30"]
        assert main(["slurm", *words, *more]) == 0
        self.scripts = self.output / "slurm"
        self.job = self.collect = ""

    def submit(self, *more: str) -> None:
        """As ``--submit`` does; with further options of sbatch, by hand."""
        if not more:
            done = subprocess.run(["bash", str(self.scripts / "submit.sh")], capture_output=True)
            assert done.returncode == 0, done.stderr
            self.job, self.collect = (line.split()[1] for line in done.stdout.decode().splitlines())
            return
        self.job = self.node("sbatch", "--parsable", *more, str(self.scripts / "array.sh")).strip()

    def state(self, task: int) -> str:
        return self.node.states(self.job).get(str(task), "")

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

    def check(self, subjects: int = SUBJECTS) -> None:
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
    node: slurm_node.Node, study: Path, use_models: Path
) -> None:
    array = Array(node, study, TASKS)
    array.submit()

    # Cancelled in the middle, and put back: what SLURM sends is SIGTERM, and SIGKILL much later.
    array.working(1)
    node("scancel", f"{array.job}_1")
    array.until_state(1, "CANCELLED")
    assert "terminated" in array.log(1) or "CANCELLED" in array.log(1)
    node("scontrol", "requeue", f"{array.job}_1")

    # Killed without a word, as for want of memory.
    array.working(2)
    os.kill(node.process(array.job, "2"), signal.SIGKILL)
    array.until_state(2, "FAILED")
    node("scontrol", "requeue", f"{array.job}_2")

    # The time is nearly over: what --signal has SLURM send the script, which puts the task back.
    array.working(3)
    os.kill(node.script(array.job, "3"), signal.SIGUSR1)
    node.until(lambda: "goes back into the queue" in array.log(3), PATIENCE_S, "going back")

    # The node is lost: SLURM puts back what ran there. Then it is drained: nothing new begins.
    array.working(4)
    node("scontrol", "update", f"node={node.name}", "state=down", "reason=test")
    array.until_state(4, "PENDING")
    node.resume()
    array.working(5)
    node("scontrol", "update", f"node={node.name}", "state=drain", "reason=test")
    waiting = [task for task in range(1, TASKS + 1) if array.state(task) == "PENDING"]
    node.until(lambda: not node("squeue", "-h", "-t", "R,CG"), PATIENCE_S, "draining")
    assert waiting
    assert all(array.state(task) == "PENDING" for task in waiting)
    node.resume()

    node.until(
        lambda: set(node.states(array.job).values()) == {"COMPLETED"}, PATIENCE_S, "the array"
    )
    node.until(
        lambda: node.states(array.collect) == {"": "COMPLETED"}, PATIENCE_S, "the collection"
    )
    array.check()
