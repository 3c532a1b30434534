"""How often ``wmhseg check`` is wrong about the contrast of scans whose contrast is known.

    python -m evaluation.check_contrast --labels DIR [--pairs 200] [--output FILE.csv]

The scans are draws of the training's own generator: every contrast, thick and thin slices, with
lesions, stripped well and badly. They are harder than most real ones, as tissues may lie anywhere
within wide ranges. Prints what FLAIR and T1, alone and as a pair in both orders, were called.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from wmhseg import errors
from wmhseg.checking import examine, voxels
from wmhseg.checking.findings import Level
from wmhseg.geometry import Grid
from wmhseg.io import files
from wmhseg.io.images import Scan
from wmhseg.synthesis.heads import Head, load_heads
from wmhseg.synthesis.recipe import Recipe
from wmhseg.synthesis.scan import draw_scan

# Apart from every seed of a training plan.
SEED = 77_281


def pair(number: int, heads: Sequence[Head], recipe: Recipe) -> tuple[Scan, Scan]:
    """Draws a pair of scans: FLAIR, T1."""
    drawing = draw_scan(np.random.default_rng([SEED, number]), heads, recipe)
    slices, rows, columns = drawing.flair.shape
    grid = Grid((slices, rows, columns), drawing.spacing_mm)
    flair, t1 = (np.asarray(array, np.float32) for array in (drawing.flair, drawing.t1))
    return Scan(1000 * flair, grid, "FLAIR"), Scan(1000 * t1, grid, "T1")


def stopped(flair: Scan, t1: Scan | None = None) -> str:
    """Topics of the errors, "" if there is none."""
    found = examine.examine(flair, t1)
    return " ".join(sorted({f.topic for f in found if f.level is Level.ERROR}))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.check_contrast",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--labels", type=Path, required=True, help="label maps or prepared heads")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--output", type=Path, help="table of the figures of every pair")
    given = parser.parse_args(argv)
    counts: Counter[str] = Counter()
    lines = ["pair,flair_kind,flair_share,t1_kind,t1_share,slice_mm"]
    try:
        heads = load_heads(given.labels)
        for number in range(given.pairs):
            flair, t1 = pair(number, heads, Recipe())
            seen = [voxels.look(scan) for scan in (flair, t1)]
            counts.update(f"{scan.name} called {look.kind}"
                          for scan, look in zip((flair, t1), seen, strict=True))  # fmt: skip
            counts["pair in order: stopped"] += bool(stopped(flair, t1))
            counts["FLAIR alone: stopped"] += bool(stopped(flair))
            counts["exchanged pair: stopped"] += bool(stopped(t1, flair))
            counts["T1 alone as FLAIR: stopped"] += bool(stopped(replace(t1, name="FLAIR")))
            skulls = {look.skull for look in seen}
            counts["one of two called stripped"] += skulls == {True, False}
            figures = [f"{look.kind},{look.brighter:.3f}" for look in seen]
            lines.append(f"{number},{','.join(figures)},{flair.grid.spacing_mm[0]:.1f}")
        if given.output is not None:
            files.write_text(given.output, "\n".join(lines) + "\n")
    except errors.WmhsegError as error:
        print(f"wmhseg: error: {error}", file=sys.stderr)
        return error.exit_code
    for what, count in sorted(counts.items()):
        print(f"{what:<30}{count} of {given.pairs}")
    return errors.EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
