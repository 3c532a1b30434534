"""Stores one case in all 48 orders and directions of axes and asks for the same result.

    python -m evaluation.orientation --case DIR [--full RAS PIR SRA]

The networks' input must be equal to the last bit for all 48, and FLAIR must come back to its
own order. ``--full`` names orders that are segmented to the end (with one member, to save time) and
whose masks must be equal as well.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

import wmhseg
from wmhseg.channels import network_input
from wmhseg.io import images
from wmhseg.preparation import one_grid, steps
from wmhseg.weights import store
from wmhseg.weights.store import Model

OPPOSITE = {"L": "R", "P": "A", "S": "I"}
ORDERS = [
    "".join(OPPOSITE[a] if turned else a for a, turned in zip(axes, flips, strict=True))
    for axes in itertools.permutations("LPS")
    for flips in itertools.product((False, True), repeat=3)
]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--case", type=Path, required=True, metavar="DIR")
    parser.add_argument("--full", nargs="*", default=[], metavar="CODE")
    arguments = parser.parse_args(argv)
    model = store.find(store.DEFAULT_MODEL)
    model = Model(model.folder, replace(model.preset, members=model.preset.members[:1]))
    straight = []
    for name in ("FLAIR", "T1"):
        scan = images.read_scan(arguments.case / "pre" / f"{name}.nii.gz", name=name)
        straight.append(images.to_image(scan.array, scan.grid))
    wanted, mask, wrong = None, None, 0
    for code in ORDERS:
        flair, t1 = (
            images.scan_from_image(sitk.DICOMOrient(image, code), name=name)
            for image, name in zip(straight, ("FLAIR", "T1"), strict=True)
        )
        aligned = one_grid.align(flair, t1, model.preset, steps.Steps())
        prepared = network_input.prepare(aligned.flair, aligned.t1, aligned.preset)
        (stack,) = prepared.stacks.values()
        wanted = stack if wanted is None else wanted
        back = aligned.way.restore(aligned.flair.array)
        same = np.array_equal(stack, wanted)
        resampled = aligned.resampling.changes
        wrong += not (same and (resampled or np.array_equal(back, flair.array)))
        line = f"{code} input {'equal' if same else 'DIFFERS'}"
        if code == ORDERS[0] or code in arguments.full:
            result = wmhseg.segment(flair, t1, model=model)
            turned_back = sitk.GetArrayFromImage(sitk.DICOMOrient(result.to_image(), ORDERS[0]))
            mask = turned_back if mask is None else mask
            equal = np.array_equal(turned_back, mask)
            wrong += not equal
            line += f", mask {'equal' if equal else 'DIFFERS'} ({int(turned_back.sum())} voxels)"
        print(line, flush=True)
    print(f"{len(ORDERS)} orders, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
