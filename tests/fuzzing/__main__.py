"""Feeds damaged files of all kinds to their readers, and counts.

PYTHONPATH=.:tests python -m fuzzing --inputs 1000000 --report build/fuzz/report.json
PYTHONPATH=.:tests python -m fuzzing --replay hdf5:1:4711

Every input must end in a result or in one clear line of this project's errors: no other exception,
no death, no hang, no more memory than the bound, nothing printed. What fails is kept in --keep, to
become a test.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from pathlib import Path

from .guard import Guard
from .report import Report, earlier
from .targets import NAMES, target
from .work import FAILED

_MEMORY_DISK = Path("/dev/shm")


def _kept(keep: Path, name: str, seed: int, number: int) -> Path:
    """Writes an input into a folder of its own."""
    folder = keep / f"{name}-{seed}-{number}"
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in target(name).made(seed, number).items():
        (folder / file).write_bytes(content)
    return folder


def _replay(text: str, keep: Path) -> int:
    name, seed, number = text.split(":")
    folder = _kept(keep, name, int(seed), int(number))
    end = Guard(int(seed), 1, [name]).try_one(name, int(number))
    print(f"{folder}: {sorted(p.name for p in folder.iterdir())}")
    print(f"ended as {end.how} after {end.seconds:.3f} s, {end.peak_kb >> 10} MB")
    return int(end.how.startswith(FAILED))


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m fuzzing", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--inputs", type=int, metavar="N", help="default: until --seconds are over")
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, metavar="N", help="first number to try")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), metavar="DIR")
    parser.add_argument("--report", type=Path, metavar="FILE",
                        help="JSON; is added to if it ends at --start")  # fmt: skip
    parser.add_argument("--replay", metavar="TARGET:SEED:NUMBER", help="writes and tries one input")
    parser.add_argument(
        "--branches",
        action="store_true",
        help="which branches of the readers are reached, one process (needs the package coverage)",
    )
    chosen = parser.parse_args()
    if _MEMORY_DISK.is_dir() and os.access(_MEMORY_DISK, os.W_OK):
        tempfile.tempdir = str(_MEMORY_DISK)
    if chosen.replay:
        return _replay(chosen.replay, chosen.keep)
    if chosen.branches:
        from . import branches

        return branches.show(chosen.only, chosen.seed, chosen.inputs or 3000)
    if chosen.inputs is None and chosen.seconds == math.inf:
        parser.error("--inputs or --seconds is needed")
    stop = chosen.start + chosen.inputs if chosen.inputs is not None else 1 << 60
    before = earlier(chosen.report, chosen.seed, chosen.start) if chosen.report else None
    report = before or Report(chosen.seed, chosen.start, chosen.start)
    guard = Guard(chosen.seed, chosen.jobs, chosen.only)
    try:
        guard.run(report, stop, time.monotonic() + chosen.seconds, chosen.report)
    except KeyboardInterrupt:
        print(f"stopped; go on with --start {report.next}", file=sys.stderr)
    if chosen.report:
        report.write(chosen.report)
    print(report, flush=True)
    for count in report.counts.values():
        for failure in count.failures[:20]:
            name, seed, number = failure.split(":")[:3]
            _kept(chosen.keep, name, int(seed), int(number))
    return int(report.failed > 0)


if __name__ == "__main__":
    sys.exit(main())
