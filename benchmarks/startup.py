"""Seconds from starting a command to its first result, against Python's own start-up.

    python -m benchmarks.startup [--rounds 7]

The light commands; then the segmentation of the synthetic case (240 x 240 x 48 voxels) up to the
first computed slice, with each engine that is installed, and where that time goes. All take turns.
What a container engine adds is in the output of ``make docker-test``.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import wmhseg": ["-c", "import wmhseg"],
    "wmhseg --help": ["-m", "wmhseg", "--help"],
}
STAGES = ("packages", "scans", "engine", "first slice")


def until_first_slice(engine: str, flair: str, t1: str) -> None:
    """Segments a scan in this process, prints the end of each stage, and stops at once."""
    from wmhseg.segmentation.options import Options
    from wmhseg.segmentation.pipeline import Segmenter

    ends = [time.monotonic()]
    options = Options(engine=engine, device="cpu", batch=1)  # type: ignore[arg-type]
    segmenter = Segmenter(options=options)
    loaded = segmenter.load(flair, t1)
    ends.append(time.monotonic())
    segmenter.start()
    ends.append(time.monotonic())

    def stop(done: int, total: int) -> None:
        print(*ends, time.monotonic(), flush=True)
        os._exit(0)

    segmenter.compute(loaded, stop)


def stages(engine: str, flair: Path, t1: Path) -> list[float]:
    """Seconds of each stage in a fresh process."""
    words = ["-m", "benchmarks.startup", "--worker", engine, str(flair), str(t1)]
    started = time.monotonic()
    done = subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True)
    ends = [started, *map(float, done.stdout.split())]
    return [after - before for before, after in itertools.pairwise(ends)]


def main() -> None:
    """Runs the command."""
    if sys.argv[1:2] == ["--worker"]:
        until_first_slice(*sys.argv[2:5])
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    from wmhseg.datasets import demo
    from wmhseg.engines import backends, openvino_core

    installed = {"openvino": openvino_core.has_openvino(), "keras": backends.has_keras()}
    names = [name for name, there in installed.items() if there]
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    spent: dict[str, list[list[float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        pre = demo.write_case(Path(folder)) / "pre"
        for _ in range(rounds):
            for name, words in COMMANDS.items():
                started = time.perf_counter()
                subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
                seconds[name].append(time.perf_counter() - started)
            for name in names:
                spent[name].append(stages(name, pre / "FLAIR.nii.gz", pre / "T1.nii.gz"))
    print(f"| command | median s of {rounds} | slowest |\n|---|---|---|")
    for name, values in seconds.items():
        print(f"| `{name}` | {statistics.median(values):.3f} | {max(values):.3f} |")
    print(f"\n| to the first slice | s | slowest | {' | '.join(STAGES)} |")
    print("|---" * (3 + len(STAGES)) + "|")
    for name, runs in spent.items():
        sums = [sum(run) for run in runs]
        parts = (f"{statistics.median(part):.2f}" for part in zip(*runs, strict=True))
        print(f"| {name} | {statistics.median(sums):.2f} | {max(sums):.2f} | {' | '.join(parts)} |")


if __name__ == "__main__":
    main()
