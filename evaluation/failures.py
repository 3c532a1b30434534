"""Draws where masks differ from their references, on a map of the average brain.

    python -m evaluation.failures --results OUTPUT/MODEL --data CASES \
        --case openms-07 --case mslesseg-39 --output failures.png

One row a case that lies in MNI space: the slice with most false marks, then that with most missed
lesion. Red: marked, not in the reference. Blue: in the reference, not marked. White: both. The
background is composed of probability maps, not of the case, so that a picture holds nothing of a
patient but the two masks.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg import errors, geometry
from wmhseg.channels import brain_maps
from wmhseg.channels.brain_maps import BrainMaps
from wmhseg.datasets import cases
from wmhseg.errors import GridMismatchError, MissingFileError
from wmhseg.geometry import Grid
from wmhseg.io import images, pictures

Picture = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

RED, BLUE, WHITE = (235, 70, 50), (70, 130, 250), (245, 245, 245)
ENLARGE = 2
# A case far outside the maps' grid is not in MNI space.
LEAST_COVERED = 0.9


def background(maps: BrainMaps, grid: Grid) -> npt.NDArray[np.float32]:
    """The average brain on a case's grid, (slice, row, column), 0 to 1.

    Raises:
        InputError: If the grid is not in LPS order, or does not lie where the maps do.
    """
    picture = 0.25 * maps.brain + 0.35 * maps.white_matter - 0.25 * maps.ventricles
    step = np.array(grid.spacing_mm) / maps.spacing_mm
    first = (np.array(grid.origin_mm[::-1]) - maps.origin_mm) / maps.spacing_mm
    covered = 1.0
    for axis, count in enumerate(grid.shape):
        index = first[axis] + np.arange(count) * step[axis]
        covered *= float(((index > -1) & (index < picture.shape[axis])).mean())
    made = ndimage.affine_transform(
        picture.clip(0, 1).astype(np.float32), step, first, output_shape=grid.shape, order=1
    )
    if grid.orientation != "LPS" or covered < LEAST_COVERED:
        raise GridMismatchError(
            "A case in MNI space, in LPS order, was expected",
            received=f"{grid.orientation}, {covered:.0%} of it inside the maps",
            advice="Leave it out: name others with --case.",
        )
    shown: npt.NDArray[np.float32] = made
    return shown


def row(ground: npt.NDArray[np.float32], reference: Mask, result: Mask) -> Picture:
    """Two slices side by side: most falsely marked, most missed; RGB."""
    tiles = []
    for wrong in (result & ~reference, reference & ~result):
        place = int(wrong.sum((1, 2)).argmax())
        tile = np.repeat((ground[place] * 255).astype(np.uint8)[..., None], 3, -1)
        here, there = result[place], reference[place]
        for colour, mask in ((WHITE, here & there), (RED, here & ~there), (BLUE, there & ~here)):
            tile[mask] = colour
        tiles.append(tile.repeat(ENLARGE, 0).repeat(ENLARGE, 1))
    return np.concatenate(tiles, 1)


def draw(results: Path, data: Path, names: Sequence[str], maps: BrainMaps) -> Picture:
    """Draws the cases below each other.

    Raises:
        InputError: If a case or its result is missing, or does not lie in MNI space.
    """
    by_name = {case.name: case for case in cases.find_cases(data)}
    rows = []
    for name in names:
        if name not in by_name or by_name[name].reference is None:
            raise MissingFileError("A case with a reference was expected", received=name)
        reference, grid = images.read_labels(by_name[name].reference)
        result, there = images.read_labels(results / name / "result.nii.gz")
        turn = geometry.turn_between(there, grid)
        if turn is None:
            raise GridMismatchError(
                f"{name}: masks on one grid were expected", received=grid.difference(there)
            )
        result = turn.forward(result)
        rows.append(row(background(maps, grid), reference == 1, result == 1))
    width = max(made.shape[1] for made in rows)
    padded = [np.pad(made, ((0, 0), (0, width - made.shape[1]), (0, 0))) for made in rows]
    return np.concatenate(padded)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.failures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--results", type=Path, required=True, help="masks of one model")
    parser.add_argument("--data", type=Path, required=True, help="cases with references")
    parser.add_argument("--case", action="append", required=True, help="may be given again")
    parser.add_argument("--output", type=Path, required=True, help="picture to write, .png")
    given = parser.parse_args(argv)
    try:
        picture = draw(given.results, given.data, given.case, brain_maps.load())
        pictures.write_picture(given.output, picture)
    except errors.WmhsegError as error:
        print(f"wmhseg: error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"written      {given.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
