"""Tries whether the names of structures tell false marks of hyperintensities from true ones.

    python -m evaluation.anatomy.marks --data DIR [--free DIR] [--masks RESULTS]
        [--model NAME] [--anatomy NAME]

Each case is segmented by ``--model`` (or its mask read from RESULTS/<case>/result.nii.gz) and its
structures are named. Of the mask is then removed, for some sets of structures, every voxel that is
of one of them, or every lesion (26-connected) of which more than half is. Printed are the mean DSC
and lesion F1 of the cases and what is left of the marks in scans of healthy people (``--free``), in
whom all that is marked is false.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg import errors
from wmhseg.datasets import cases
from wmhseg.datasets.cases import Case
from wmhseg.io import images
from wmhseg.measures.lesions import CONNECTIVITY
from wmhseg.scoring import masks, metrics
from wmhseg.segmentation.anatomy import DEFAULT_MODEL, Anatomist
from wmhseg.segmentation.pipeline import Segmenter
from wmhseg.weights import store
from wmhseg.weights.structures import LATERAL, NUMBER, STRUCTURES

_OUTSIDE = ("background", "head")
_VENTRICLES = (*LATERAL, "other-ventricles")
SETS: dict[str, tuple[str, ...]] = {
    "head": _OUTSIDE,
    "ventricles": _VENTRICLES,
    "outer CSF": ("outer-csf",),
    "cortex": ("cortex",),
    "head, ventricles": (*_OUTSIDE, *_VENTRICLES),
    "head, ventricles, outer CSF": (*_OUTSIDE, *_VENTRICLES, "outer-csf"),
    "head, ventricles, outer CSF, cortex": (*_OUTSIDE, *_VENTRICLES, "outer-csf", "cortex"),
}

Mask = npt.NDArray[np.bool_]


def without(
    mask: Mask, labels: npt.NDArray[np.uint8], names: Sequence[str], *, whole: bool
) -> Mask:
    """A mask without what lies in some structures.

    Args:
        mask: Of hyperintensities, (slice, row, column).
        labels: Structures of the same voxels.
        names: Of structures.
        whole: Whether lesions go as a whole, if more than half of them lies there, or voxels.
    """
    there = np.zeros(len(STRUCTURES), bool)
    there[[NUMBER[name] for name in names]] = True
    inside = there[labels]
    if not whole:
        return mask & ~inside
    lesions, count = ndimage.label(mask, CONNECTIVITY)
    sizes = np.bincount(lesions.ravel(), minlength=count + 1)
    parts = np.bincount(lesions.ravel(), inside.ravel(), minlength=count + 1)
    kept = 2 * parts <= sizes
    kept[0] = False
    left: Mask = kept[lesions]
    return left


def ways() -> dict[str, tuple[tuple[str, ...], bool]]:
    """What is tried: its name -> structures, and whether lesions go as a whole."""
    tried: dict[str, tuple[tuple[str, ...], bool]] = {"nothing": ((), False)}
    for name, names in SETS.items():
        tried[f"voxels: {name}"] = names, False
        tried[f"lesions: {name}"] = names, True
    return tried


@dataclass(frozen=True)
class Tried:
    """One scan.

    Attributes:
        name: Of the case.
        dsc: Way -> DSC; NaN without a reference.
        f1: Way -> lesion F1.
        volume_ml: Way -> volume that is left.
    """

    name: str
    dsc: Mapping[str, float]
    f1: Mapping[str, float]
    volume_ml: Mapping[str, float]


def attempt(case: Case, segmenter: Segmenter, anatomist: Anatomist, results: Path | None) -> Tried:
    """Segments and names a scan, and removes marks in every way."""
    assert case.flair is not None
    loaded = segmenter.load(case.flair, case.t1)
    own = anatomist.takes_from(segmenter)
    named = anatomist.compute(loaded if own else anatomist.load(case.flair, case.t1))
    path = None if results is None else results / case.name / "result.nii.gz"
    if path is not None and path.is_file():
        made = images.read_labels(path)[0] == 1
    else:
        made = segmenter.compute(loaded).mask == 1
    truth = None if case.reference is None else images.read_labels(case.reference)[0]
    dsc, f1, volume = {}, {}, {}
    for way, (names, whole) in ways().items():
        left = without(made, named.labels, names, whole=whole)
        volume[way] = int(left.sum()) * named.grid.voxel_ml
        if truth is not None:
            pair = masks.binarise(truth, left.astype(np.uint8))
            dsc[way], f1[way] = metrics.dsc(*pair), metrics.match_lesions(*pair).f1
    return Tried(case.name, dsc, f1, volume)


def table(scored: Sequence[Tried], free: Sequence[Tried]) -> list[str]:
    """Lines of Markdown: one a way."""
    lines = [
        f"| removed | mean DSC, n = {len(scored)} | mean lesion F1 | cases with a lower DSC "
        f"| ml in healthy scans, n = {len(free)} |",
        "|---|---|---|---|---|",
    ]
    for way in ways():
        lower = sum(one.dsc[way] < one.dsc["nothing"] for one in scored)
        left = f"{mean(one.volume_ml[way] for one in free):.3f}" if free else "-"
        lines.append(
            f"| {way} | {mean(one.dsc[way] for one in scored):.4f} "
            f"| {mean(one.f1[way] for one in scored):.4f} | {lower} | {left} |"
        )
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Tries all ways and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--free", type=Path, metavar="DIR", help="scans without any lesion")
    parser.add_argument("--masks", type=Path, metavar="RESULTS")
    parser.add_argument("--model", default=store.DEFAULT_MODEL, metavar="NAME")
    parser.add_argument("--anatomy", default=DEFAULT_MODEL, metavar="NAME")
    given = parser.parse_args(argv)
    segmenter = Segmenter(given.model)
    anatomist = Anatomist(given.anatomy, engine=segmenter.start())
    scored: list[Tried] = []
    free: list[Tried] = []
    for folder, into in ((given.data, scored), (given.free, free)):
        for case in cases.find_cases(folder) if folder is not None else ():
            into.append(attempt(case, segmenter, anatomist, given.masks))
            print(f"{case.name}: {into[-1].volume_ml['nothing']:.2f} ml marked", flush=True)
    if not scored or any(not one.dsc for one in scored):
        raise errors.NoCasesError("Cases with references were expected", received=given.data)
    print("\n".join(table(scored, free)))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except errors.WmhsegError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
