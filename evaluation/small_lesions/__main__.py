"""How many lesions of each size a model finds in synthetic scans with many small ones.

    python -m evaluation.small_lesions --heads HEADS [--model NAME] [--last 4] [--scans 40]
        [--reader range] [--output DIR]

Every scan has lesions, and 3 to 25 small ones besides (``wmhseg.synthesis.lesions.small``);
all are drawn by the training's own generator, from the last heads of the folder (in the order of
their names): leave these out of a training to keep them apart. Each scan is segmented once and
judged twice: by all of the model's rules, and by its threshold alone, without its smallest lesion
and its least peak. Lesions are 26-connected; one is found if a voxel of it is marked, and a marked
one is false if no voxel of it is in the reference. Recall is of all lesions of a size together, of
all scans. OUTPUT gets small_lesions.csv, a row for each scan and rule. Exit code 1 if the bar is
missed by both.
"""

from __future__ import annotations

import argparse
import csv
import io
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt

from evaluation.small_lesions import scans
from wmhseg import errors
from wmhseg.engines.interface import Engine
from wmhseg.engines.start import start_engine
from wmhseg.io import files
from wmhseg.io.progress import Bar
from wmhseg.scoring import matching, metrics
from wmhseg.synthesis import heads
from wmhseg.synthesis.heads import Head
from wmhseg.synthesis.recipe import ReaderName, Recipe
from wmhseg.weights import store
from wmhseg.weights.store import Model

Mask = npt.NDArray[np.bool_]

# Apart from every seed of a training plan.
SEED = 161_803
RECIPE = Recipe(without_lesions=0.0, small_lesions=1.0)
RULES = ("all rules", "threshold alone")
# Sizes in voxels, both ends included.
SIZES = ((1, 9), (10, 20), (21, sys.maxsize))
SIZE_NAMES = ("<10", "10-20", ">20")
BAR = 0.5


@dataclass(frozen=True)
class Judged:
    """One scan by one rule.

    Attributes:
        lesions: Of each of SIZES, lesions of the reference.
        found: Those of them of which a voxel is marked.
        false: Marked lesions no voxel of which is in the reference.
        dsc: Dice similarity coefficient.
    """

    lesions: tuple[int, ...]
    found: tuple[int, ...]
    false: int
    dsc: float


def judge(reference: Mask, marked: Mask) -> Judged:
    """Compares a mask with the reference."""
    match = matching.match(reference, marked)
    chosen = [(match.reference_vox >= low) & (match.reference_vox <= high) for low, high in SIZES]
    return Judged(
        tuple(int(size.sum()) for size in chosen),
        tuple(int(match.detected[size].sum()) for size in chosen),
        int((~match.confirmed).sum()),
        metrics.dsc(reference, marked),
    )


def measure(
    number: int, heads: Sequence[Head], model: Model, engine: Engine, recipe: Recipe
) -> tuple[Judged, ...]:
    """Draws a scan, segments it and judges it, by each of RULES."""
    one = scans.seen(SEED, number, heads, recipe)
    predicted = scans.segmented(one, model, engine)
    reference = np.asarray(one.scan.target)
    # The end slices have no probability: these are emptied either way.
    plain = predicted.probability > model.preset.postprocessing.threshold
    return judge(reference, predicted.mask > 0), judge(reference, plain)


def recalls(judged: Sequence[Judged]) -> list[tuple[int, int]]:
    """Of each of SIZES: lesions found, and all of them."""
    places = range(len(SIZES))
    return [(sum(one.found[i] for one in judged), sum(one.lesions[i] for one in judged))
            for i in places]  # fmt: skip


def table(judged: Sequence[tuple[Judged, ...]]) -> str:
    """One row a scan and rule, CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    kinds = [f"{what} {size}" for size in SIZE_NAMES for what in ("lesions", "found")]
    writer.writerow(["scan", "rules", *kinds, "false", "dsc"])
    for number, by_rule in enumerate(judged):
        for rule, one in zip(RULES, by_rule, strict=True):
            counts = [n for pair in zip(one.lesions, one.found, strict=True) for n in pair]
            writer.writerow([number, rule, *counts, one.false, f"{one.dsc:.4f}"])
    return text.getvalue()


def lines(judged: Sequence[tuple[Judged, ...]]) -> list[str]:
    """A table of means for a page of documentation, and the bar."""
    rows = [
        f"| | {' | '.join(f'recall {name}' for name in SIZE_NAMES)} | false a scan | DSC (sd) |"
    ]
    rows.append("|---|" + "---|" * (len(SIZES) + 2))
    for place, rule in enumerate(RULES):
        own = [by_rule[place] for by_rule in judged]
        cells = [f"{share(pair):.3f} ({pair[0]} of {pair[1]})" for pair in recalls(own)]
        false = statistics.mean(one.false for one in own)
        dsc = [one.dsc for one in own]
        spread = statistics.stdev(dsc) if len(dsc) > 1 else float("nan")
        cells += [f"{false:.1f}", f"{statistics.mean(dsc):.3f} ({spread:.3f})"]
        rows.append(f"| {rule} | {' | '.join(cells)} |")
    held = [rule for place, rule in enumerate(RULES) if holds([one[place] for one in judged])]
    rows.append(f"bar: recall {SIZE_NAMES[0]} >= {BAR}: {', '.join(held) or 'MISSED'}")
    return rows


def share(pair: tuple[int, int]) -> float:
    """Found of all; NaN where there is none."""
    return pair[0] / pair[1] if pair[1] else float("nan")


def holds(judged: Sequence[Judged]) -> bool:
    """Whether enough of the smallest lesions are found."""
    return share(recalls(judged)[0]) >= BAR


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.small_lesions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--heads", type=Path, required=True, help="prepared heads or label maps")
    parser.add_argument("--model", default=store.DEFAULT_MODEL)
    parser.add_argument("--last", type=int, default=4, help="so many heads of the folder; 0: all")
    parser.add_argument("--scans", type=int, default=40)
    parser.add_argument(
        "--reader", choices=get_args(ReaderName), default="range", help="who marks the reference"
    )
    parser.add_argument("--output", type=Path, help="folder for the table")
    given = parser.parse_args(argv)
    try:
        if given.output is not None:
            files.check_writable(given.output)
        people = [heads.load_file(path) for path in heads.head_files(given.heads)[-given.last :]]
        model, engine = store.find(given.model), start_engine()
        recipe, judged = replace(RECIPE, reader=given.reader), []
        with Bar("segmenting", "scans") as show:
            for number in range(max(1, given.scans)):
                judged.append(measure(number, people, model, engine, recipe))
                show(number + 1, given.scans)
        if given.output is not None:
            files.write_text(given.output / "small_lesions.csv", table(judged))
    except errors.WmhsegError as error:
        print(f"wmhseg: error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{model.preset.name}, {len(judged)} synthetic scans with small lesions\n")
    print("\n".join(lines(judged)))
    return int(not any(holds([one[place] for one in judged]) for place in range(len(RULES))))


if __name__ == "__main__":
    sys.exit(main())
