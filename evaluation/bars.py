"""Checks the scores of the default model on four scans, so that a release is not worse by mistake.

python -m evaluation.bars SCORES.csv

All scans with thick slices and one with thin ones (the gate has no time for more). One network of
the default model was trained on them: they say that an image computes what it should, and nothing
of how good the model is (models/mixed-tuned/MODEL_CARD.md does). Exit code 1 if a bar is missed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import mean

from wmhseg.scoring.table import read_table

THICK = ("tabriz-1", "tabriz-2", "tabriz-3")

# What -> metric, case names (None: all), lowest mean that a release may have.
BARS: dict[str, tuple[str, tuple[str, ...] | None, float]] = {
    "DSC, all": ("dsc", None, 0.66),
    "DSC, thick slices": ("dsc", THICK, 0.74),
    "lesion F1, all": ("f1", None, 0.60),
}
CASES = 4


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
