"""How many lesions of each size a model finds in synthetic scans with many small ones.

    python -m evaluation.small_lesions --heads HEADS [--model NAME] [--last 4] [--scans 40]
        [--reader range] [--output DIR]

Every scan has lesions, and 3 to 25 small ones besides (``wmhseg.synthesis.lesions.small``);
all are drawn by the training's own generator, from the last heads of the folder (in the order of
their names): leave these out of a training to keep them apart. Each scan is segmented once and
judged twice: by all of the model's rules, and by its threshold alone, without its smallest lesion
and its least peak. Lesions are 26-connected; one is found if a voxel of it is marked, and a marked
one is false if no voxel of it is in the reference. Recall is of all lesions of a size together, of
all scans. Lesions of fewer than 10 voxels are told apart by how clearly they stand out in FLAIR
(``visible.py``): nobody finds a spot that is no brighter than the noise about it, and the generator
draws many such. OUTPUT gets small_lesions.csv, a row for each scan and rule, and lesions.csv, a row
for each lesion. Exit code 1 if the bar is missed by both.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from evaluation.small_lesions import scans, visible
from wmhseg import errors
from wmhseg.engines.interface import Engine
from wmhseg.engines.start import start_engine
from wmhseg.io import files
from wmhseg.io.progress import Bar
from wmhseg.measures.lesions import CONNECTIVITY
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
# How clearly they stand out: Rose's 5 is to be sure of a spot, 3 is often told from chance.
CLEAR = (-math.inf, 3.0, 5.0, math.inf)
CLEAR_NAMES = ("below 3", "3 to 5", "5 and more")


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


@dataclass(frozen=True)
class Lesion:
    """A lesion of a reference.

    Attributes:
        voxels: Its size.
        clear: How clearly it stands out in FLAIR, see ``visible.rose``; NaN if unknown.
        peak: Highest probability in it.
        found: By each of RULES.
    """

    voxels: int
    clear: float
    peak: float
    found: tuple[bool, ...]


@dataclass(frozen=True)
class Scan:
    """What was found in one scan.

    Attributes:
        rules: By each of RULES.
        lesions: All of its reference.
    """

    rules: tuple[Judged, ...]
    lesions: tuple[Lesion, ...]


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
) -> Scan:
    """Draws a scan, segments it and judges it."""
    one = scans.seen(SEED, number, heads, recipe)
    predicted = scans.segmented(one, model, engine)
    reference = np.asarray(one.scan.target)
    # The end slices have no probability: these are emptied either way.
    plain = predicted.probability > model.preset.postprocessing.threshold
    masks = (predicted.mask > 0, plain)
    flair = np.asarray(one.scan.inputs)[..., 0]
    apart = flair <= flair.min()  # what is not of the head
    for more in (one.scan.other, one.scan.stroke):
        if more is not None:
            apart |= np.asarray(more)
    clear = visible.rose(flair, reference, apart)
    numbers, count = ndimage.label(reference, CONNECTIVITY)
    sizes = np.bincount(numbers.ravel(), minlength=count + 1)[1:]
    each = range(1, count + 1)
    peaks = ndimage.maximum(predicted.probability, numbers, each) if count else []
    found = [
        ndimage.maximum(mask.astype(np.uint8), numbers, each) if count else [] for mask in masks
    ]
    lesions = (
        Lesion(int(size), float(rose), float(peak), tuple(bool(one) for one in by_rule))
        for size, rose, peak, *by_rule in zip(sizes, clear, peaks, *found, strict=True)
    )
    return Scan(tuple(judge(reference, mask) for mask in masks), tuple(lesions))


def recalls(judged: Sequence[Judged]) -> list[tuple[int, int]]:
    """Of each of SIZES: lesions found, and all of them."""
    places = range(len(SIZES))
    return [(sum(one.found[i] for one in judged), sum(one.lesions[i] for one in judged))
            for i in places]  # fmt: skip


def table(judged: Sequence[Scan]) -> str:
    """One row a scan and rule, CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    kinds = [f"{what} {size}" for size in SIZE_NAMES for what in ("lesions", "found")]
    writer.writerow(["scan", "rules", *kinds, "false", "dsc"])
    for number, scan in enumerate(judged):
        for rule, one in zip(RULES, scan.rules, strict=True):
            counts = [n for pair in zip(one.lesions, one.found, strict=True) for n in pair]
            writer.writerow([number, rule, *counts, one.false, f"{one.dsc:.4f}"])
    return text.getvalue()


def lesion_table(judged: Sequence[Scan]) -> str:
    """One row a lesion, CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["scan", "voxels", "clear", "peak", *(f"found by {rule}" for rule in RULES)])
    for number, scan in enumerate(judged):
        for one in scan.lesions:
            found = [int(yes) for yes in one.found]
            writer.writerow([number, one.voxels, f"{one.clear:.2f}", f"{one.peak:.4f}", *found])
    return text.getvalue()


def clearness(judged: Sequence[Scan]) -> list[str]:
    """A table of the smallest lesions, by how clearly they stand out; without those of NaN."""
    low, high = SIZES[0]
    small = [one for scan in judged for one in scan.lesions if low <= one.voxels <= high]
    rows = [f"| {SIZE_NAMES[0]} voxels, contrast to noise | {' | '.join(CLEAR_NAMES)} |"]
    rows.append("|---|" + "---|" * len(CLEAR_NAMES))
    for place, rule in enumerate(RULES):
        cells = []
        for least, most in pairwise(CLEAR):
            own = [one for one in small if least <= one.clear < most]
            pair = sum(one.found[place] for one in own), len(own)
            cells.append(f"{share(pair):.3f} ({pair[0]} of {pair[1]})")
        rows.append(f"| {rule} | {' | '.join(cells)} |")
    return rows


def lines(judged: Sequence[Scan]) -> list[str]:
    """A table of means for a page of documentation, and the bar."""
    rows = [
        f"| | {' | '.join(f'recall {name}' for name in SIZE_NAMES)} | false a scan | DSC (sd) |"
    ]
    rows.append("|---|" + "---|" * (len(SIZES) + 2))
    for place, rule in enumerate(RULES):
        own = [scan.rules[place] for scan in judged]
        cells = [f"{share(pair):.3f} ({pair[0]} of {pair[1]})" for pair in recalls(own)]
        false = statistics.mean(one.false for one in own)
        dsc = [one.dsc for one in own]
        spread = statistics.stdev(dsc) if len(dsc) > 1 else float("nan")
        cells += [f"{false:.1f}", f"{statistics.mean(dsc):.3f} ({spread:.3f})"]
        rows.append(f"| {rule} | {' | '.join(cells)} |")
    held = [rule for place, rule in enumerate(RULES) if holds([one.rules[place] for one in judged])]
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
            files.write_text(given.output / "lesions.csv", lesion_table(judged))
    except errors.WmhsegError as error:
        print(f"wmhseg: error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{model.preset.name}, {len(judged)} synthetic scans with small lesions\n")
    print("\n".join([*lines(judged), "", *clearness(judged)]))
    each = range(len(RULES))
    return int(not any(holds([one.rules[place] for one in judged]) for place in each))


if __name__ == "__main__":
    sys.exit(main())
