"""Whether it helps that OpenVINO ties its threads to cores: one process, and two side by side.

    python -m benchmarks.pinning [--rounds 5] [--slices 12]

Each way computes the same slices of one member on all processors: one process with all threads,
or as many processes as processors with one thread each, as ``wmhseg batch --jobs`` and several
containers run. All ways take turns; the slowest process counts.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.machine import ROOT, expect_packages


def worker(slices: int, threads: int, pinned: bool) -> None:
    """Computes random slices in this process and prints the seconds."""
    import numpy as np

    from benchmarks.machine import first_member
    from wmhseg.engines import openvino_core
    from wmhseg.engines.openvino_engine import settings
    from wmhseg.engines.openvino_graph import to_openvino

    described, tensors = first_member()
    core, machine = openvino_core.openvino_core(), openvino_core.start_openvino(threads)
    how = settings(machine) | {"ENABLE_CPU_PINNING": pinned}
    request = core.compile_model(to_openvino(described, tensors, 1), "CPU", how)
    made: Any = request.create_infer_request()
    rows, columns, channels = described.inputs[0].size
    scan = np.random.default_rng(0).standard_normal((1, channels, rows, columns), np.float32)
    made.infer([scan])
    started = time.perf_counter()
    for _ in range(slices):
        made.infer([scan], share_inputs=True, share_outputs=True)
    print(time.perf_counter() - started)


def slowest(processes: int, slices: int, threads: int, pinned: bool) -> float:
    """Seconds of the slowest of some processes that run side by side."""
    words = [str(slices), str(threads), str(int(pinned))]
    command = [sys.executable, "-m", "benchmarks.pinning", "--worker", *words]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(processes)
    ]
    told = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise SystemExit(f"{' '.join(command)} failed")
    return max(map(float, told))


def main() -> None:
    """Runs the command."""
    if sys.argv[1:2] == ["--worker"]:
        slices, threads, pinned = map(int, sys.argv[2:5])
        worker(slices, threads, bool(pinned))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slices", type=int, default=12)
    given = parser.parse_args()
    expect_packages("openvino")
    from wmhseg import processors

    cores = processors.available_processors()
    ways = [(n, cores // n, pinned) for n in sorted({1, cores}) for pinned in (True, False)]
    rates: dict[tuple[int, int, bool], list[float]] = {way: [] for way in ways}
    for _ in range(given.rounds):
        for processes, threads, pinned in ways:
            each = max(1, given.slices // processes)
            seconds = slowest(processes, each, threads, pinned)
            rates[processes, threads, pinned].append(processes * each / seconds)
    print(f"{cores} processors ({processors.processor_name()}), {given.rounds} rounds\n")
    print("| processes | threads of each | pinned | slices/s together, median (min to max) |")
    print("|---|---|---|---|")
    for (processes, threads, pinned), found in rates.items():
        print(
            f"| {processes} | {threads} | {'yes' if pinned else 'no'} "
            f"| {statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f}) |"
        )


if __name__ == "__main__":
    main()
