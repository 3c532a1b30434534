"""Checks the scores of the default model on the validation scans against the project's bars.

python -m evaluation.bars SCORES.csv

The scans were looked at while the training was made, so these are validation figures. Exit code 1
if a bar is missed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import mean

from wmhseg.scores import read_table

# Case names (None: all) -> lowest mean DSC that a release may have.
BARS: dict[str, tuple[tuple[str, ...] | None, float]] = {
    "all nine": (None, 0.58),
    "mslesseg-14a": (("mslesseg-14a",), 0.78),
    "mslesseg-39": (("mslesseg-39",), 0.78),
}
CASES = 9


def main(table: Path) -> int:
    dsc = {score.case: score.values["dsc"] for score in read_table(table)}
    failed = len(dsc) != CASES
    print(f"{len(dsc)} cases" + (f", {CASES} were expected" if failed else ""))
    for name, (cases, bar) in BARS.items():
        value = mean(dsc[case] for case in cases or dsc)
        failed |= not value >= bar
        print(f"{name:<14} DSC {value:.4f}  bar {bar}  {'holds' if value >= bar else 'MISSED'}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
