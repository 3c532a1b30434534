"""What a threshold on FLAIR could reach at best: many k, on cases whose masks are known.

    python -m evaluation.baselines.sweep --data DIR

No method: the best k of these scans is known only to who has their masks. It bounds from above what
the baseline ``threshold`` reaches with a k that was chosen elsewhere. Every k is asked for one mask
a case, post-processed and scored as the baseline's is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evaluation.baselines import learning, placed_scan, threshold
from wmhseg.channels import brain_maps
from wmhseg.channels.brain_maps import BrainMaps
from wmhseg.datasets.cases import Case, find_cases
from wmhseg.errors import WmhsegError
from wmhseg.preparation.labelled import read_labelled
from wmhseg.scoring import masks, metrics

EVERY = learning.DEVIATIONS[::5]


def dsc_at(case: Case, maps: BrainMaps, every: Sequence[float]) -> list[float]:
    """DSC of a case at each of some numbers of deviations; NaN if nothing is there to find."""
    placed, turn = placed_scan.read(case, maps)
    scores, labels = threshold.scores(placed), read_labelled(case, with_t1=False).labels
    made = (placed_scan.mask_of(scores, k, turn) for k in every)
    return [float(metrics.dsc(*masks.binarise(labels, mask))) for mask in made]


def main(words: Sequence[str]) -> int:
    """Prints a row a k; returns the exit code."""
    parser = argparse.ArgumentParser("python -m evaluation.baselines.sweep", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="cases with masks")
    given = parser.parse_args(words)
    try:
        cases, maps = find_cases(given.data), brain_maps.load()
        table = np.array([dsc_at(case, maps, EVERY) for case in cases])
    except WmhsegError as error:
        print(f"wmhseg: error: {error}", file=sys.stderr)
        return error.exit_code
    print("| k | mean DSC | " + " | ".join(case.name for case in cases) + " |")
    print("|--:|--:|" + "--:|" * len(cases))
    for k, row in zip(EVERY, table.T, strict=True):
        cells = " | ".join(f"{value:.3f}" for value in (np.nanmean(row), *row))
        print(f"| {k:g} | {cells} |")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
