"""Makes the maps of the average brain that travel with the package, ``wmhseg/data/brain_maps.npz``.

    python -m evaluation.package_data.brain_maps --priors DIR [--output FILE]

DIR holds BISON's wmh.nii.gz, ventricles.nii.gz and white_matter.nii.gz on the MNI 2009c grid, 1 mm
(M. Dadar, VANDAlab, Apache-2.0). Blocks of 2 x 2 x 2 voxels are averaged
and probabilities stored in 64 steps of the largest: a file of arrays, without pickles. The same
maps give the same bytes.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wmhseg import errors
from wmhseg.channels import brain_maps
from wmhseg.geometry import Triple
from wmhseg.io import files, images
from wmhseg.synthesis.population import WMH_PROBABILITY

OUTPUT = Path(brain_maps.__file__).parents[1] / "data" / brain_maps.FILE
# File name -> largest number stored stands for this probability.
LARGEST = {"wmh": WMH_PROBABILITY * 255, "ventricles": 1.0, "white_matter": 1.0}
_BLOCK = 2
_STEPS = 63


def read(folder: Path) -> tuple[dict[str, npt.NDArray[np.float32]], Triple, Triple]:
    """Reads the maps.

    Returns:
        Probabilities by name; LPS position of their first voxel, (z, y, x), mm; their spacing.

    Raises:
        InputError: If a map is missing, unreadable, or on another grid than the first.
    """
    maps, grids = {}, []
    for name in brain_maps.NAMES:
        stored, grid = images.read_labels(folder / f"{name}.nii.gz")
        apart = grid.difference(grids[0]) if grids else ""
        if grid.orientation != "LPS" or apart:
            raise errors.GridMismatchError(
                f"Maps on one grid in LPS orientation were expected in {folder}",
                received=f"{name}.nii.gz in {grid.orientation}, {apart or 'the first map'}",
            )
        grids.append(grid)
        maps[name] = (stored * np.float32(LARGEST[name] / 255)).astype(np.float32)
    x, y, z = grids[0].origin_mm
    return maps, (z, y, x), grids[0].spacing_mm


def thinned(
    maps: Mapping[str, npt.NDArray[np.float32]], origin_mm: Triple, spacing_mm: Triple
) -> dict[str, npt.NDArray[np.generic]]:
    """What is stored: averages of blocks, and where they lie."""
    coarse = {}
    for name, volume in maps.items():
        even = np.pad(volume, [(0, n % _BLOCK) for n in volume.shape])
        shape = [part for n in even.shape for part in (n // _BLOCK, _BLOCK)]
        coarse[name] = even.reshape(shape).mean((1, 3, 5))
    units = [float(coarse[name].max()) / _STEPS for name in brain_maps.NAMES]
    stored = {
        name: np.rint(coarse[name] / (unit or 1)).astype(np.uint8)
        for name, unit in zip(brain_maps.NAMES, units, strict=True)
    }
    mm = np.array(spacing_mm)
    return {
        **stored,
        "units": np.array(units, np.float32),
        # The middle of a block lies half a voxel behind that of its first voxel.
        "origin_mm": np.array(origin_mm) + mm * (_BLOCK - 1) / 2,
        "spacing_mm": mm * _BLOCK,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.package_data.brain_maps",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--priors", type=Path, required=True, help="BISON's maps, 1 mm")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="default: %(default)s")
    given = parser.parse_args(argv)
    file = io.BytesIO()
    try:
        np.savez_compressed(file, **thinned(*read(given.priors)))
        files.write_bytes(given.output, file.getvalue())
    except errors.WmhsegError as error:
        print(f"wmhseg: error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"written      {given.output} ({len(file.getvalue()) / 1000:.0f} kB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
