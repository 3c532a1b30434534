"""Checks the scores of the default model on five validation scans against the project's bars.

python -m evaluation.bars SCORES.csv

All scans with thick slices and one of each set with thin ones (the gate has no time for more). The
scans were looked at while the training was made, so these are validation figures. Exit code 1 if a
bar is missed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import mean

from wmhseg.scoring.table import read_table

LOW_LOAD = ("openms-07", "tabriz-1", "tabriz-2", "tabriz-3")

# What -> metric, case names (None: all), lowest mean that a release may have.
BARS: dict[str, tuple[str, tuple[str, ...] | None, float]] = {
    "DSC, all": ("dsc", None, 0.66),
    "DSC, low load": ("dsc", LOW_LOAD, 0.60),
    "DSC, mslesseg-14a": ("dsc", ("mslesseg-14a",), 0.78),
    "lesion F1, all": ("f1", None, 0.60),
}
CASES = 5


def main(table: Path) -> int:
    """Prints every bar and whether it holds; returns the exit code."""
    values = {score.case: score.values for score in read_table(table)}
    failed = len(values) != CASES
    print(f"{len(values)} cases" + (f", {CASES} were expected" if failed else ""))
    for name, (metric, cases, bar) in BARS.items():
        value = mean(values[case][metric] for case in cases or values)
        failed |= not value >= bar
        print(f"{name:<20} {value:.4f}  bar {bar}  {'holds' if value >= bar else 'MISSED'}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
