"""Measures what a batch of many subjects costs besides segmenting: tables, resuming, collecting.

    python -m benchmarks.scale.tables --subjects 50000

Makes a folder of tiny files in the place of scans and of results that are complete, and takes the
time and the largest memory of each step in a process of its own. Nothing is segmented.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from benchmarks.machine import kind
from wmhseg.batch import collect, run
from wmhseg.batch.parts import Part
from wmhseg.batch.run import BatchOptions
from wmhseg.batch.shards import Shard, deal
from wmhseg.batch.summary import DONE, LOOK, METHOD, SUMMARY, Row, write_summary
from wmhseg.datasets.subjects import Subject, find_subjects, read_subjects
from wmhseg.io import looks

DATA, TABLE, RESULTS = "data", "subjects.tsv", "results"
SHARDS = 100
ROWS = 1000
_CONTENT = bytes(352)


def make(folder: Path, subjects: int) -> None:
    """Writes the files: two scans and a complete result a subject."""
    lines = ["subject\tflair\tt1"]
    for number in range(subjects):
        name = f"sub-{number:06d}"
        place = folder / DATA / name / "anat"
        place.mkdir(parents=True)
        for scan in ("FLAIR", "T1w"):
            (place / f"{name}_{scan}.nii.gz").write_bytes(_CONTENT + name.encode())
        lines.append("\t".join([name, *(f"{DATA}/{name}/anat/{name}_{s}.nii.gz"
                                        for s in ("FLAIR", "T1w"))]))  # fmt: skip
    (folder / TABLE).write_text("\n".join(lines) + "\n")
    time.sleep(2.5)  # a scan that has just been written is read again
    for task in run.tasks_of(read_subjects(folder / TABLE), folder / RESULTS, BatchOptions()):
        task.folder.mkdir(parents=True)
        for path in task.stamp.outputs:
            path.touch()
        row = task.row(status=DONE, volume_ml=1.5, lesion_count=3, seconds=20.0, exit_code=0,
                       scans="FLAIR and T1", model="unet-synthetic")  # fmt: skip
        of_stamp = {METHOD: task.method_mark, LOOK: looks.look(task.scans)}
        content = {"fingerprint": task.fingerprint, **asdict(row), **of_stamp}
        task.stamp.path.write_text(json.dumps(content))


def _subjects(folder: Path) -> list[Subject]:
    return read_subjects(folder / TABLE)


def _resume(folder: Path, shard: Shard | None = None) -> None:
    rows = run.run(_subjects(folder), folder / RESULTS, BatchOptions(shard=shard))
    assert all(row.status == "done before" for row in rows)


def _collect(folder: Path) -> None:
    rows = collect.collect(_subjects(folder), folder / RESULTS, BatchOptions()).rows
    assert all(row.status == DONE for row in rows)


def _rows(folder: Path) -> list[Row]:
    return [Row(s.name, DONE, 1.5, 3, 20.0, flair=str(s.flair)) for s in _subjects(folder)]


def _part(folder: Path) -> None:
    part = Part(folder / RESULTS, Shard(1, 1), ROWS)
    for row in _rows(folder)[:ROWS]:
        part.add(row)
    part.end("complete")


STEPS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "find": ("scans found in a folder", lambda folder: find_subjects(folder / DATA)),
    "read": ("table read", _subjects),
    "deal": (f"table read, one of {SHARDS} shards dealt",
             lambda folder: deal(_subjects(folder), Shard(1, SHARDS))),
    "resume": ("batch, all done before", _resume),
    "resume-shard": (f"one of {SHARDS} shards, all done before",
                     lambda folder: _resume(folder, Shard(1, SHARDS))),
    "collect": ("batch --collect", _collect),
    "summary": ("summary written once",
                lambda folder: write_summary(folder / "made.tsv", _rows(folder))),
    "part": (f"{ROWS} rows added to a shard's part", _part),
}  # fmt: skip


def measure(step: str, folder: Path) -> tuple[float, float, float]:
    """Does a step in this process; its seconds, those of the processor, and its most MB."""
    began_s, worked_s = time.perf_counter(), time.process_time()
    STEPS[step][1](folder)
    taken_s, worked_s = time.perf_counter() - began_s, time.process_time() - worked_s
    return taken_s, worked_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def report(folder: Path, subjects: int) -> None:
    """Measures every step in a process of its own, and prints a table."""
    print(f"{subjects} subjects; {kind()}\n")
    print("| step | s | s of processor | MB |\n|---|---|---|---|")
    for step, (what, _) in STEPS.items():
        command = [sys.executable, "-m", "benchmarks.scale.tables", "--step", step]
        answer = subprocess.run(
            [*command, "--folder", str(folder)], check=True, capture_output=True, text=True
        )
        taken_s, worked_s, most_mb = json.loads(answer.stdout)
        print(f"| {what} | {taken_s:.1f} | {worked_s:.1f} | {most_mb:.0f} |", flush=True)
    print(f"\n{(folder / RESULTS / SUMMARY).stat().st_size / 1e6:.1f} MB of summary")


def main() -> None:
    """Reads the arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--subjects", type=int, default=50_000, metavar="N")
    parser.add_argument("--folder", type=Path, help="keep the files here, and use them again")
    parser.add_argument("--step", choices=list(STEPS), help="this one alone, as JSON")
    chosen = parser.parse_args()
    if chosen.step:
        print(json.dumps(measure(chosen.step, chosen.folder)))
        return
    with tempfile.TemporaryDirectory(prefix="wmhseg-scale-") as name:
        folder = chosen.folder or Path(name)
        if not (folder / TABLE).exists():
            folder.mkdir(exist_ok=True)
            make(folder, chosen.subjects)
        report(folder, chosen.subjects)


if __name__ == "__main__":
    main()
