"""Checks the scores of the default model on three scans, so that a release is not worse by mistake.

python -m evaluation.bars SCORES.csv

All scans with thick slices (the gate has no time for more). One network of the default model was
trained on them: they say that an image computes what it should, and nothing of how good the model
is (models/mixed-tuned/MODEL_CARD.md does). Exit code 1 if a bar is missed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import mean

from wmhseg.scoring.table import read_table

# What -> metric, lowest mean that a release may have.
BARS = {"DSC": ("dsc", 0.75), "lesion F1": ("f1", 0.70)}
CASES = 3


def main(table: Path) -> int:
    """Prints every bar and whether it holds; returns the exit code."""
    values = {score.case: score.values for score in read_table(table)}
    failed = len(values) != CASES
    print(f"{len(values)} cases" + (f", {CASES} were expected" if failed else ""))
    for name, (metric, bar) in BARS.items():
        value = mean(one[metric] for one in values.values())
        failed |= not value >= bar
        print(f"{name:<20} {value:.4f}  bar {bar}  {'holds' if value >= bar else 'MISSED'}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
