"""Time whole synthetic scans, from a head to what the network sees.

python -m benchmarks.synthesis --heads DIR [--runs 5] [--scans 12] [--recipe realistic]

One process and two, each with one BLAS thread, on NumPy; then one on torch where the device is
there. DIR holds prepared heads or label maps.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

HEADS = 2


def rate(arguments: tuple[Path, int, int, str, str | None]) -> list[tuple[float, float]]:
    """Slices a second, by the clock and by processor time, of each run after a first scan."""
    folder, runs, scans, name, device = arguments
    from wmhseg.synthesis import heads, recipe, scan
    from wmhseg.synthesis.arrays import NUMPY, on_torch

    arrays = NUMPY if device is None else on_torch(device)
    paths = sorted(folder.glob("*.npz"))[:HEADS]
    loaded = [heads.read_head(p) for p in paths] or heads.load_heads(folder)[:HEADS]
    loaded = heads.move(loaded, arrays)
    ranges = recipe.NAMED.get(name, recipe.Recipe())
    scan.make_scan(np.random.default_rng(0), loaded, ranges, arrays)
    rates = []
    for run in range(runs):
        rng = np.random.default_rng(run)
        started, busy, slices = time.perf_counter(), time.process_time(), 0
        for _ in range(scans):
            slices += len(scan.make_scan(rng, loaded, ranges, arrays).target)
        seconds = (time.perf_counter() - started, time.process_time() - busy)
        rates.append((slices / seconds[0], slices / seconds[1]))
    return rates


def together(processes: int, arguments: tuple[Any, ...]) -> list[tuple[float, float]]:
    """Sum over processes that run side by side, of each run."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        found = pool.map(rate, [arguments] * processes, chunksize=1)
    return [
        (sum(clock for clock, _ in run), sum(busy for _, busy in run))
        for run in zip(*found, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--heads", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--scans", type=int, default=12)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--recipe", choices=("default", "realistic"), default="default")
    given = parser.parse_args()
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    work = (given.heads, given.runs, given.scans, given.recipe)
    print(f"{given.runs} runs of {given.scans} scans of 200 x 200 pixels, slices/s")
    ways: list[tuple[str, int, str | None]] = [("NumPy", 1, None), ("NumPy", 2, None)]
    try:
        import torch

        usable = given.device == "cpu" or torch.cuda.is_available()
    except ImportError:
        usable = False
    if usable:
        ways.append((f"torch, {given.device}", 1, given.device))
    for name, processes, device in ways:
        found = together(processes, (*work, device))
        rates = [clock for clock, _ in found]
        busy = statistics.median(busy for _, busy in found)
        print(
            f"{name}, {processes} process(es): median {statistics.median(rates):.0f} "
            f"({min(rates):.0f} to {max(rates):.0f}); "
            f"were the processors free for it: {busy:.0f}"
        )
    if not usable:
        print(f"torch, {given.device}: no such device here, skipped")


if __name__ == "__main__":
    main()
