"""How well a model marks infarcts in synthetic scans of heads that it was not trained on.

    python -m evaluation.synthetic_stroke --heads HEADS --model NAME [--last 4] [--scans 40]
        [--output DIR]

Every other scan has one to three infarcts, the others none but all look-alikes; all are drawn by
the training's own generator, from the last heads of the folder (in the order of their names): leave
these out of the training. Printed are the DSC of all infarct voxels together, that of each scan
(mean, standard deviation, median, range), and how many scans without infarcts have more than 1 ml
marked as one. OUTPUT gets synthetic_stroke.csv. Exit code 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import csv
import io
import statistics
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

import wmhseg
from wmhseg import errors
from wmhseg.geometry import Triple
from wmhseg.io import files
from wmhseg.io.progress import Bar
from wmhseg.synthesis import heads
from wmhseg.synthesis.heads import Head
from wmhseg.synthesis.recipe import Recipe
from wmhseg.synthesis.scan import draw_scan

# Apart from every seed of a training plan.
SEED = 51_203
BAR_DSC, BAR_ML, BAR_SHARE = 0.60, 1.0, 1 / 20
# Cavities that are drawn without a mark look like old infarcts.
RECIPE = Recipe(cavities=0)
_GREY_VALUES = 500  # of white matter, about as scanners store it


class Segments(Protocol):
    """What segments scans: ``wmhseg.Segmenter``."""

    def segment(self, flair: Any, t1: Any = None, *, spacing_mm: Triple | None = None) -> Any:
        """See ``wmhseg.segment``; the result's ``others`` are masks by label."""


@dataclass(frozen=True)
class Found:
    """Infarcts of one scan: voxels of the reference, of the mask, of both; volumes."""

    reference: int
    marked: int
    both: int
    voxel_ml: float

    @property
    def dsc(self) -> float:
        """Dice similarity coefficient; NaN where nothing is and nothing is marked."""
        total = self.reference + self.marked
        return 2 * self.both / total if total else float("nan")

    @property
    def marked_ml(self) -> float:
        """Volume of the mask."""
        return self.marked * self.voxel_ml


def measure(number: int, heads: Sequence[Head], segmenter: Segments, *, with_t1: bool) -> Found:
    """Draws a scan (with infarcts where the number is even) and compares what is marked in it.

    Args:
        number: Of the scan.
        heads: To draw from.
        segmenter: Of a model with the label "stroke".
        with_t1: Whether it is given T1, too.

    Raises:
        UsageError: If the model has no such label.
    """
    rng = np.random.default_rng([SEED, number])
    drawing = draw_scan(rng, heads, replace(RECIPE, stroke=float(number % 2 == 0)))
    flair, t1 = (image * np.float32(_GREY_VALUES) for image in (drawing.flair, drawing.t1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wmhseg.WmhsegWarning)
        result = segmenter.segment(flair, t1 if with_t1 else None, spacing_mm=drawing.spacing_mm)
    if "stroke" not in result.others:
        raise errors.UsageError(
            'A model with the label "stroke" was expected', received=f"{sorted(result.others)}"
        )
    mask = result.others["stroke"] > 0
    both = int((mask & drawing.stroke).sum())
    voxel_ml = float(np.prod(drawing.spacing_mm)) / 1000
    return Found(int(drawing.stroke.sum()), int(mask.sum()), both, voxel_ml)


def table(scans: Sequence[Found]) -> str:
    """One row a scan, CSV; no DSC where nothing is and nothing is marked."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["scan", "reference_ml", "marked_ml", "dsc"])
    for number, one in enumerate(scans):
        volumes = [f"{n * one.voxel_ml:.3f}" for n in (one.reference, one.marked)]
        writer.writerow([number, *volumes, "" if np.isnan(one.dsc) else f"{one.dsc:.3f}"])
    return text.getvalue()


def judged(scans: Sequence[Found]) -> tuple[list[str], bool]:
    """What is printed, and whether both bars hold."""
    ill = [one for one in scans if one.reference]
    well = [one for one in scans if not one.reference]
    lines, holds = [], True
    if ill:
        total = sum(one.reference + one.marked for one in ill + well)
        pooled = 2 * sum(one.both for one in ill) / total
        each = [one.dsc for one in ill]
        spread = statistics.stdev(each) if len(each) > 1 else float("nan")
        holds = pooled >= BAR_DSC
        lines.append(
            f"{len(ill)} scans with infarcts: DSC of all voxels of all scans {pooled:.3f}; of each "
            f"scan {statistics.mean(each):.3f} (sd {spread:.3f}), median "
            f"{statistics.median(each):.3f}, {min(each):.3f} to {max(each):.3f}"
        )
        lines.append(f"bar: DSC of all voxels >= {BAR_DSC}, {'holds' if holds else 'MISSED'}")
    if well:
        false = sum(one.marked_ml > BAR_ML for one in well)
        quiet = false <= BAR_SHARE * len(well)
        largest = max(one.marked_ml for one in well)
        lines.append(
            f"{len(well)} scans without infarcts: more than {BAR_ML:g} ml marked in {false}, at "
            f"most {largest:.2f} ml"
        )
        lines.append(f"bar: at most 1 of 20 such scans, {'holds' if quiet else 'MISSED'}")
        holds = holds and quiet
    return lines, holds


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.synthetic_stroke",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--heads", type=Path, required=True, help="prepared heads or label maps")
    parser.add_argument("--model", required=True, help="a model with the label stroke")
    parser.add_argument("--last", type=int, default=4, help="so many heads of the folder; 0: all")
    parser.add_argument("--scans", type=int, default=40)
    parser.add_argument("--output", type=Path, help="folder for the table")
    given = parser.parse_args(argv)
    try:
        if given.output is not None:
            files.check_writable(given.output)
        segmenter = wmhseg.Segmenter(given.model)
        people = [heads.load_file(path) for path in heads.head_files(given.heads)[-given.last :]]
        scans, with_t1 = [], segmenter.model.preset.takes_t1
        with Bar("segmenting", "scans") as show:
            for number in range(max(1, given.scans)):
                scans.append(measure(number, people, segmenter, with_t1=with_t1))
                show(number + 1, given.scans)
        if given.output is not None:
            files.write_text(given.output / "synthetic_stroke.csv", table(scans))
    except errors.WmhsegError as error:
        print(f"wmhseg: error: {error}", file=sys.stderr)
        return error.exit_code
    lines, holds = judged(scans)
    print("\n".join([f"{segmenter.model.preset.name}, {len(scans)} synthetic scans", *lines]))
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
