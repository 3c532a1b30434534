"""Throughput of a batch against single runs of the same scans.

    python -m benchmarks.batch [--scans 20] [--singles 3] [--jobs 1 2] [-- OPTIONS OF BOTH]

The scans are copies of the synthetic case (240 x 240 x 48 voxels). Single runs are fresh processes,
half of them before the batches and half after them, so that the load of the machine is alike; there
is a batch for each number of jobs. Further options are those of segment and batch.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def _timed(*words: str | Path) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "wmhseg", *map(str, words)], check=True)
    return time.perf_counter() - started


def single(case: Path, folder: Path, options: list[str]) -> tuple[float, float]:
    """Seconds of a whole process, and of the networks in it."""
    scans = ["--flair", case / "pre" / "FLAIR.nii.gz", "--t1", case / "pre" / "T1.nii.gz"]
    output = folder / "single.nii.gz"
    seconds = _timed("segment", "--quiet", *scans, "--output", output, *options)
    stages = json.loads((folder / "single.json").read_text(encoding="utf-8"))["seconds"]
    return seconds, float(stages["predict"])


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=20)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1])
    parser.add_argument("--singles", type=int, default=3, help="single runs before, and after")
    given, options = parser.parse_known_args()
    options = [word for word in options if word != "--"]
    from wmhseg.datasets import demo

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        case = demo.write_case(folder)
        data = folder / "data"
        for number in range(given.scans):
            shutil.copytree(case / "pre", data / f"s{number:03}" / "pre")
        runs = [single(case, folder, options) for _ in range(given.singles)]
        each = {}
        for jobs in given.jobs:
            words = ["--quiet", "--jobs", str(jobs), "--output", folder / f"out{jobs}", *options]
            each[jobs] = _timed("batch", data, *words) / given.scans
        runs += [single(case, folder, options) for _ in range(given.singles)]
    alone = statistics.median(seconds for seconds, _ in runs)
    networks = statistics.median(seconds for _, seconds in runs)
    print(f"single run, whole process: {alone:.2f} s (median of {len(runs)})")
    print(f"of it, networks: {networks:.2f} s")
    print(f"\n| batch of {given.scans} | s a scan | times the throughput of single runs |")
    print("|---|---|---|")
    for jobs, seconds in each.items():
        print(f"| jobs {jobs} | {seconds:.2f} | {alone / seconds:.2f} |")


if __name__ == "__main__":
    main()
