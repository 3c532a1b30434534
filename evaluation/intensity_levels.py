"""Whether a scan times a plus b gives the mask of the scan, or says that it may not.

    python -m evaluation.intensity_levels --flair F.nii.gz --t1 T.nii.gz

Both scans are changed alike: scaled over six decades, shifted with their background or beside one
that stays at 0, z-scored, brought to [-1, 1] and to Hounsfield's range. A line for each tells the
overlap with the mask of the unchanged pair, and what the report or the refusal says about it.
Nothing said and an overlap below 0.99 is silence, and ends with exit code 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import wmhseg
from wmhseg import errors
from wmhseg.io import images
from wmhseg.io.images import Scan
from wmhseg.preparation import intensity

Array = npt.NDArray[Any]
LEAST_DSC = 0.99


def moved(factor: float, lift: float, *, stays: bool = False) -> Callable[[Array], Array]:
    """Times a factor, plus a lift in parts of tissue's brightness; 0 may stay 0."""

    def change(array: Array) -> Array:
        tissue = intensity.tissue_median(array)
        made = factor * (array.astype(np.float64) + lift * tissue)
        return np.where(array == 0, 0, made) if stays else made

    return change


def z_scored(array: Array) -> Array:
    """Z-scores of what is not 0; the background is 0."""
    head = array != 0
    return np.where(head, (array - array[head].mean()) / array[head].std(), 0)


def ranged(low: float, high: float) -> Callable[[Array], Array]:
    """Brought to a range, with the background."""
    return lambda array: low + (high - low) * (array / array.max())


def _unwrapped(scan: Scan) -> Scan:
    wrapped = intensity.is_wrapped(scan.array)
    return replace(scan, array=intensity.unwrap(scan.array)) if wrapped else scan


CHANGES: dict[str, Callable[[Array], Array]] = {
    "times 0.001": moved(1e-3, 0),
    "times 1000": moved(1e3, 0),
    "all negative": moved(1.0, -30),
    "plus 1000 x tissue": moved(1.0, 1000),
    "plus half of tissue": moved(1.0, 0.5),
    "minus half of tissue, 0 stays": moved(1.0, -0.5, stays=True),
    "plus 0.05 of tissue, 0 stays": moved(1.0, 0.05, stays=True),
    "plus 0.1 of tissue, 0 stays": moved(1.0, 0.1, stays=True),
    "plus 0.2 of tissue, 0 stays": moved(1.0, 0.2, stays=True),
    "plus 0.4 of tissue, 0 stays": moved(1.0, 0.4, stays=True),
    "plus 10 x tissue, 0 stays": moved(1.0, 10, stays=True),
    "z-scores, 0 around": z_scored,
    "-1 to 1": ranged(-1, 1),
    "-1024 to 3071": ranged(-1024, 3071),
}


def overlap(one: Array, other: Array) -> float:
    """DSC; 1 for two empty masks."""
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0


def told(lines: Sequence[str]) -> str:
    """What of a report is about intensities."""
    return " ".join(line for line in lines if "magnitude" in line or "intensity" in line)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.intensity_levels",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--flair", type=Path, required=True)
    parser.add_argument("--t1", type=Path)
    parser.add_argument("--only", nargs="+", choices=list(CHANGES), default=list(CHANGES))
    given = parser.parse_args(argv)
    silent = 0
    try:
        segmenter = wmhseg.Segmenter()
        flair = images.read_scan(given.flair, name="FLAIR")
        t1 = images.read_scan(given.t1, name="T1") if given.t1 else None
        # Numbers that wrapped around are a fault of their own, which no longer shows once changed.
        flair, t1 = _unwrapped(flair), t1 and _unwrapped(t1)
        known = segmenter.segment(flair, t1).mask
        for name in given.only:
            dsc, said = _changed(segmenter, [flair, t1], CHANGES[name], known)
            silence = not said and dsc < LEAST_DSC
            silent += silence
            print(
                f"{name:<32}{dsc:7.4f}  {said or 'nothing is said'}{' SILENT' * silence}",
                flush=True,
            )
    except errors.WmhsegError as error:
        print(f"wmhseg: error: {error}", file=sys.stderr)
        return error.exit_code
    return int(silent > 0)


def _changed(
    segmenter: wmhseg.Segmenter,
    scans: Sequence[Scan | None],
    change: Callable[[Array], Array],
    known: Array,
) -> tuple[float, str]:
    """Overlap with the known mask, and what is said."""
    flair, t1 = (
        scan and replace(scan, array=change(scan.array).astype(np.float32)) for scan in scans
    )
    assert flair is not None
    try:
        result = segmenter.segment(flair, t1)
    except errors.WmhsegError as error:
        return 0.0, f"refused: {error}"
    return overlap(result.mask, known), told(result.report.warnings)


if __name__ == "__main__":
    sys.exit(main())
