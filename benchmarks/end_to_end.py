"""Time and peak memory of one scan from the command to result.nii.gz.

python -m benchmarks.end_to_end [--runs 3] [--flair F --t1 T]

Default: the synthetic case that comes with the package, 240 x 240 x 48 voxels, in the challenge's
layout, default model. Every run is a fresh process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def one_run(flair: Path, t1: Path, folder: Path) -> tuple[float, float, dict[str, float]]:
    """Wall-clock seconds, peak resident memory in GB, and the seconds of the stages."""
    output = folder / "result.nii.gz"
    command = [sys.executable, "-m", "wmhseg", "segment", "--quiet", "--flair", str(flair)]
    command += ["--t1", str(t1), "--output", str(output)]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"wmhseg failed with status {status}")
    stages = json.loads((folder / "result.json").read_text())["seconds"]
    return seconds, usage.ru_maxrss / 2**20, stages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--flair", type=Path)
    parser.add_argument("--t1", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flair, t1 = arguments.flair, arguments.t1
        if flair is None:
            from wmhseg.datasets import demo

            case = demo.write_case(folder)
            flair, t1 = case / "pre" / "FLAIR.nii.gz", case / "pre" / "T1.nii.gz"
        runs = [one_run(flair, t1, folder) for _ in range(arguments.runs)]
    seconds = [run[0] for run in runs]
    print(f"runs                    {len(runs)}, fresh processes")
    print(f"processors              {len(os.sched_getaffinity(0))}")
    print(f"median time             {statistics.median(seconds):.1f} s", end="")
    print(f" ({min(seconds):.1f} to {max(seconds):.1f})")
    print(f"peak memory             {max(run[1] for run in runs):.2f} GB")
    for stage in runs[0][2]:
        values = [run[2][stage] for run in runs]
        print(f"  {stage:<22}{statistics.median(values):.2f} s")


if __name__ == "__main__":
    main()
