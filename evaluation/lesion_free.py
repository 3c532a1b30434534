"""How much a model marks in synthetic scans that hold no lesion, only look-alikes.

    python -m evaluation.lesion_free --labels DIR [--model NAME] [--scans 20] [--output DIR]

The scans are new draws of the training's own generator, of the maps that it trained on: this
measures what was learnt, not how real healthy heads come out. As in the training a fifth has no T1.
Volumes are those of the final mask.
OUTPUT gets lesion_free.csv and a picture of the slices where most is marked. Exit code 1 if the
mean is not below the bar.
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

import numpy as np
import numpy.typing as npt

from evaluation.small_lesions import scans
from wmhseg import errors
from wmhseg.engines.interface import Engine
from wmhseg.engines.start import start_engine
from wmhseg.io import files, pictures
from wmhseg.measures import lesions
from wmhseg.reporting.pictures import MARKED
from wmhseg.synthesis import contact_sheet
from wmhseg.synthesis.heads import Head, load_heads
from wmhseg.synthesis.recipe import Recipe
from wmhseg.weights import store
from wmhseg.weights.store import Model

BAR_ML = 0.5
# Apart from every seed of a training plan.
SEED = 90_210
# Everything that training scans hold, but no lesion and no cavity (which has a bright rim).
RECIPE = replace(Recipe(), without_lesions=1.0, cavities=0.0)
PICTURES, ACROSS = 8, 4


@dataclass(frozen=True)
class MarkedScan:
    """One scan and what was marked in it.

    Attributes:
        volume_ml: Volume of the mask.
        lesions: Its 26-connected components.
        spacing_mm: Distance of slices, rows and columns.
        flair: (slice, row, column), z-scored.
        mask: Same shape, 0 or 1.
        has_t1: Whether the network saw T1.
    """

    volume_ml: float
    lesions: int
    spacing_mm: tuple[float, float, float]
    flair: npt.NDArray[np.float32]
    mask: npt.NDArray[np.uint8]
    has_t1: bool


def measure(
    number: int, heads: Sequence[Head], model: Model, engine: Engine, recipe: Recipe
) -> MarkedScan:
    """Draws a scan and segments it as ``wmhseg segment`` would."""
    one = scans.seen(SEED, number, heads, recipe)
    if one.scan.target.any():
        raise errors.UsageError("A scan without lesions was expected", received=f"scan {number}")
    mask = scans.segmented(one, model, engine).mask
    summary = lesions.summarise(mask, one.grid.voxel_ml)
    flair, t1 = one.scan.inputs[..., 0], one.scan.inputs[..., 1]
    has_t1 = model.preset.takes_t1 and bool(t1.any())
    return MarkedScan(summary.volume_ml, summary.count, one.spacing_mm, flair, mask, has_t1)


def table(marked: Sequence[MarkedScan]) -> str:
    """One row a scan, CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["scan", "slice_mm", "t1", "volume_ml", "lesions"])
    for number, one in enumerate(marked):
        row = [number, f"{one.spacing_mm[0]:.2f}", "yes" if one.has_t1 else "no"]
        writer.writerow([*row, f"{one.volume_ml:.3f}", one.lesions])
    return text.getvalue()


def worst_slices(marked: Sequence[MarkedScan], count: int = PICTURES) -> contact_sheet.Picture:
    """Draws the slice of each scan with the largest marked area, the largest first, RGB."""
    order = sorted(marked, key=lambda one: -int(one.mask.sum((1, 2)).max()))[:count]
    tiles = []
    for one in order:
        place = int(one.mask.sum((1, 2)).argmax())
        outlined = {MARKED: one.mask[place] > 0}
        tiles.append(contact_sheet.tile(one.flair[place], 0, outlined))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % ACROSS)
    rows = [np.concatenate(tiles[i : i + ACROSS], 1) for i in range(0, len(tiles), ACROSS)]
    return np.concatenate(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.lesion_free",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--labels", type=Path, required=True, help="label maps or prepared heads")
    parser.add_argument("--model", default=store.DEFAULT_MODEL)
    parser.add_argument("--scans", type=int, default=20)
    parser.add_argument("--output", type=Path, help="folder for the table and the picture")
    given = parser.parse_args(argv)
    try:
        if given.output is not None:
            files.check_writable(given.output)
        heads = load_heads(given.labels)
        model = store.find(given.model)
        engine = start_engine()
        marked = [measure(n, heads, model, engine, RECIPE) for n in range(max(1, given.scans))]
        if given.output is not None:
            files.write_text(given.output / "lesion_free.csv", table(marked))
            pictures.write_picture(given.output / "lesion_free.png", worst_slices(marked))
    except errors.WmhsegError as error:
        print(f"wmhseg: error: {error}", file=sys.stderr)
        return error.exit_code
    volumes = [one.volume_ml for one in marked]
    spread = statistics.stdev(volumes) if len(volumes) > 1 else float("nan")
    print(
        f"{model.preset.name}, {len(marked)} synthetic scans without lesions: marked on average "
        f"{statistics.mean(volumes):.3f} ml (sd {spread:.3f}), median "
        f"{statistics.median(volumes):.3f}, most {max(volumes):.3f}; "
        f"nothing in {sum(v == 0 for v in volumes)}"
    )
    holds = statistics.mean(volumes) < BAR_ML
    print(f"bar: mean below {BAR_ML} ml, {'holds' if holds else 'MISSED'}")
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
