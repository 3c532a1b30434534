"""A sheet of synthetic scans, to be looked at beside real ones.

python -m wmhseg.synthesis.contact_sheet --labels DIR --output sheet.png [--beside DIR]
    [--stroke SHARE]

One row a scan, as networks see it: slices of FLAIR with the outlines of what is marked, then slices
of T1. Where a scan has infarcts, the slice with most of them is among both. Real scans, in the
challenge's layout (CASE/pre/FLAIR.nii.gz, CASE/pre/T1.nii.gz, CASE/wmh.nii.gz), follow below a
white line; their outlines are the raters'.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from wmhseg.channels import network_input
from wmhseg.datasets.cases import Case
from wmhseg.errors import MissingFileError, WmhsegError
from wmhseg.io import pictures
from wmhseg.io.progress import Bar
from wmhseg.preparation import labelled
from wmhseg.reporting.pictures import MARKED, Colour, outline
from wmhseg.synthesis.heads import Mask, load_heads
from wmhseg.synthesis.noise import Float
from wmhseg.synthesis.recipe import Recipe
from wmhseg.synthesis.scan import make_scan
from wmhseg.weights import methods, preset, store
from wmhseg.weights.preset import Preset

Picture = npt.NDArray[np.uint8]
Pixel = TypeVar("Pixel", bound=np.generic)

FLAIR_PLACES = (0.25, 0.4, 0.52, 0.62, 0.74)  # shares of the slices that hold the head
T1_PLACES = (0.4, 0.62)
INFARCT: Colour = (80, 190, 255)
_DARKEST, _BRIGHTEST = (-2.5, -2.5), (3.5, 2.5)  # z-scores of FLAIR, T1


def tile(image: Float, channel: int, outlined: Mapping[Colour, Mask], enlarge: int = 2) -> Picture:
    """Draws one slice with outlines.

    Args:
        image: (row, column), z-scored.
        channel: 0 for FLAIR, 1 for T1.
        outlined: Colour -> mask (row, column); later ones lie on top.
        enlarge: Pixels of the picture a pixel of the scan.

    Returns:
        RGB, (row, column, 3).
    """
    low, high = _DARKEST[channel], _BRIGHTEST[channel]
    grey = np.clip((image - low) / (high - low), 0, 1) * 255
    drawn = np.asarray(_enlarged(grey, enlarge), np.uint8)[..., None].repeat(3, -1)
    for colour, mask in outlined.items():
        drawn[outline(_enlarged(mask, enlarge))] = colour
    return drawn


def row(inputs: Float, target: Mask, stroke: Mask | None = None, enlarge: int = 2) -> Picture:
    """Draws slices of one scan side by side.

    Args:
        inputs: (slice, row, column, channel), z-scored; channel 0 FLAIR, 1 T1.
        target: (slice, row, column), outlined in red on FLAIR.
        stroke: Same shape: infarcts, outlined in blue; None: none.
        enlarge: Pixels of the picture a pixel of the scan.

    Returns:
        RGB, (row, column, 3).
    """
    held = np.flatnonzero((inputs[..., 0] > -1).mean((1, 2)) > 0.05)
    first, last = (int(held[0]), int(held[-1])) if held.size else (0, len(inputs) - 1)
    masks = {MARKED: target} | ({} if stroke is None else {INFARCT: stroke})
    tiles = []
    for channel, places in enumerate((FLAIR_PLACES, T1_PLACES)):
        shown = [round(first + place * (last - first)) for place in places]
        if stroke is not None and stroke.any():
            most = int(stroke.sum((1, 2)).argmax())
            shown[int(np.abs(np.subtract(shown, most)).argmin())] = most
        for index in shown:
            outlined = {colour: mask[index] for colour, mask in masks.items()}
            outlined = outlined if channel == 0 else {}
            tiles.append(tile(inputs[index, ..., channel], channel, outlined, enlarge))
    return np.concatenate(tiles, 1)


def _enlarged(plane: npt.NDArray[Pixel], times: int) -> npt.NDArray[Pixel]:
    return plane.repeat(times, 0).repeat(times, 1)


def synthetic(labels: Path, scans: int, seed: int, recipe: Recipe) -> list[Picture]:
    """Draws one row for each of ``scans`` synthetic scans, of the seeds from ``seed`` on."""
    with Bar("reading heads", "heads") as show:
        heads = load_heads(labels, show)
    rows = []
    with Bar("drawing synthetic scans", "scans") as show:
        for n in range(scans):
            scan = make_scan(np.random.default_rng(seed + n), heads, recipe)
            rows.append(row(scan.inputs, scan.target, scan.stroke))
            show(n + 1, scans)
    return rows


def real(folder: Path) -> list[Picture]:
    """Draws one row for each case of a folder, normalised as the default model does.

    Raises:
        MissingFileError: If the folder holds no case.
        InputError: If an image cannot be read.
    """
    chosen = preset.with_changes(
        store.find(store.DEFAULT_MODEL).preset,
        preprocessing=methods.METHODS["synthetic"].preprocessing,
    )
    cases = sorted(path.parent.parent for path in folder.glob("*/pre/FLAIR.nii.gz"))
    if not cases:
        raise MissingFileError("Cases CASE/pre/FLAIR.nii.gz were expected", received=folder)
    rows = []
    with Bar("drawing real scans", "scans") as show:
        for case in cases:
            rows.append(_real_row(case, chosen))
            show(len(rows), len(cases))
    return rows


def _real_row(case: Path, chosen: Preset) -> Picture:
    flair, t1 = (case / "pre" / f"{name}.nii.gz" for name in ("FLAIR", "T1"))
    files = Case(case.name, reference=case / "wmh.nii.gz", flair=flair, t1=t1)
    scans = labelled.read_labelled(files, with_t1=True)
    prepared = network_input.prepare(scans.flair, scans.t1, chosen)
    target = prepared.way.forward(scans.labels) == 1
    (stack,) = prepared.stacks.values()  # published models have one input layer
    return row(stack, target)


def sheet(synthetic_rows: Sequence[Picture], real_rows: Sequence[Picture]) -> Picture:
    """Puts rows below each other, a white line between synthetic and real ones."""
    line = np.full((4, synthetic_rows[0].shape[1], 3), 255, np.uint8)
    return np.concatenate([*synthetic_rows, *([line] if real_rows else []), *real_rows], 0)


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the arguments, draws and writes; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m wmhseg.synthesis.contact_sheet", description=__doc__
    )
    parser.add_argument("--labels", type=Path, required=True, help="folder of label maps")
    parser.add_argument("--output", type=Path, required=True, help="picture to write (.png)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scans", type=int, default=8, help="synthetic scans to draw")
    parser.add_argument("--beside", type=Path, help="folder of real cases")
    parser.add_argument("--stroke", type=float, default=0.0, help="share of scans with infarcts")
    arguments = parser.parse_args(argv)
    try:
        pictures.check_picture_name(arguments.output)
        recipe = Recipe(without_t1=0, stroke=arguments.stroke)
        rows = synthetic(arguments.labels, max(1, arguments.scans), arguments.seed, recipe)
        beside = real(arguments.beside) if arguments.beside else []
        pictures.write_picture(arguments.output, sheet(rows, beside))
    except WmhsegError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
