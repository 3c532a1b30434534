"""Time and peak memory of one scan from the command to result.nii.gz, for each installed model.

python -m benchmarks.end_to_end [--models NAME ...] [--runs 3] [--flair F --t1 T]

Default: the synthetic case that comes with the package, 240 x 240 x 48 voxels, in the challenge's
layout. Every run is a fresh process; the models take turns. Of a model that names the structures of
a head, and segments nothing, it is the time until they are named.
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
from dataclasses import dataclass
from pathlib import Path

from wmhseg.weights import store

NAMING = """
import json, sys, wmhseg
flair, t1, model, report = sys.argv[1:]
seconds = dict(wmhseg.anatomy(flair, t1, model=model).seconds)
with open(report, "w") as file:
    json.dump({"seconds": seconds}, file)
"""
"""What a process does with a model of structures."""


@dataclass(frozen=True)
class Run:
    """One run of the command.

    Attributes:
        seconds: By the clock, from the start of the process to its end.
        peak_gb: Largest resident memory.
        stages: Stage -> seconds.
    """

    seconds: float
    peak_gb: float
    stages: dict[str, float]


def command(model: str, flair: Path, t1: Path, folder: Path) -> list[str]:
    """What segments one scan, or names its structures; the folder gets ``result.json``."""
    if store.find(model).preset.labels.anatomical:
        report = folder / "result.json"
        return [sys.executable, "-c", NAMING, str(flair), str(t1), model, str(report)]
    output = folder / "result.nii.gz"
    segmenting = [sys.executable, "-m", "wmhseg", "segment", "--quiet", "--flair", str(flair)]
    return [*segmenting, "--t1", str(t1), "--output", str(output), "--model", model]


def one_run(model: str, flair: Path, t1: Path, folder: Path) -> Run:
    """Segments one scan in a process of its own."""
    started = time.perf_counter()
    process = subprocess.Popen(command(model, flair, t1, folder), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"wmhseg failed with status {status}")
    stages = json.loads((folder / "result.json").read_text())["seconds"]
    return Run(seconds, usage.ru_maxrss / 2**20, stages)


def table(runs: dict[str, list[Run]]) -> str:
    """One row a model: medians, smallest and largest."""
    lines = [
        "| model | median s (min to max) | of it the networks s | peak GB |",
        "|---|---|---|---|",
    ]
    for model, own in runs.items():
        seconds = [run.seconds for run in own]
        networks = statistics.median(run.stages["predict"] for run in own)
        lines.append(
            f"| `{model}` | {statistics.median(seconds):.1f} ({min(seconds):.1f} to "
            f"{max(seconds):.1f}) | {networks:.1f} | {max(run.peak_gb for run in own):.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", help="default: all that are installed")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--flair", type=Path)
    parser.add_argument("--t1", type=Path)
    arguments = parser.parse_args()
    models = arguments.models or sorted(model.preset.name for model in store.all_models())
    runs: dict[str, list[Run]] = {model: [] for model in models}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flair, t1 = arguments.flair, arguments.t1
        if flair is None:
            from wmhseg.datasets import demo

            case = demo.write_case(folder)
            flair, t1 = case / "pre" / "FLAIR.nii.gz", case / "pre" / "T1.nii.gz"
        for _ in range(arguments.runs):
            for model in models:
                runs[model].append(one_run(model, flair, t1, folder))
    print(f"{arguments.runs} run(s) each, {len(os.sched_getaffinity(0))} processors\n")
    print(table(runs))
    print("\nmedian seconds of each stage:")
    for model, own in runs.items():
        medians = {s: statistics.median(run.stages[s] for run in own) for s in own[0].stages}
        print(f"  {model}: " + ", ".join(f"{s} {value:.2f}" for s, value in medians.items()))


if __name__ == "__main__":
    main()
