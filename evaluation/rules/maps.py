"""Probability maps that rules are tried on: computed once and kept.

A map is kept with its references, cut to where either is anything. What is kept is used again as
long as the scans, the networks and the version are the same, so an interrupted run goes on.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import wmhseg
from wmhseg import errors, geometry
from wmhseg.datasets.cases import Case
from wmhseg.geometry import Grid
from wmhseg.io import files, images
from wmhseg.io.stamps import Stamp, fingerprint

Float = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]

LEAST = 0.05
"""No threshold below it can be tried: voxels of a lower probability may have been cut off."""

REFERENCE = "reference"
"""The one reader of a real case."""


@dataclass(frozen=True, eq=False)
class Kept:
    """A probability map with its references.

    Attributes:
        name: Of the case, or the number of the synthetic scan.
        probability: Of WMH, (slice, row, column), 0 in the end slices.
        references: Reader -> labels (same shape); none of a scan without lesions.
        voxel_ml: Volume of a voxel.
    """

    name: str
    probability: Float
    references: Mapping[str, Labels]
    voxel_ml: float


def identity(segmenter: wmhseg.Segmenter) -> str:
    """What a map depends on besides its scan; rules are none of it."""
    preset, how = segmenter.model.preset, replace(segmenter.options, threads=None, batch=None)
    rules = {"reader": "balanced", "threshold": None, "min_lesion_mm3": None, "lesion_peak": None}
    how = replace(how, **rules, members=False, anatomy=False)
    members = [(m.sha256, m.network, sorted(m.options.items())) for m in preset.members]
    end = preset.postprocessing.end_slices, preset.postprocessing.end_slices_of
    made = (preset.inputs, preset.labels, preset.preprocessing, preset.flips, end, members)
    return f"{wmhseg.__version__} {made} {how}"


def cut(kept: Kept) -> Kept:
    """Without the voxels around everything that is probable or marked."""
    held = kept.probability > LEAST
    for labels in kept.references.values():
        held |= labels > 0
    places = np.argwhere(held)
    if not len(places):
        places = np.zeros((1, 3), int)
    box = tuple(
        slice(int(a), int(b) + 1) for a, b in zip(places.min(0), places.max(0), strict=True)
    )
    inside = {name: labels[box] for name, labels in kept.references.items()}
    return replace(kept, probability=kept.probability[box], references=inside)


def write(path: Path, kept: Kept) -> None:
    """Writes a map, complete or not at all."""
    arrays: dict[str, Any] = {
        f"reference_{name}": labels for name, labels in kept.references.items()
    }
    arrays |= {"probability": kept.probability, "voxel_ml": np.array(kept.voxel_ml)}
    files.write_atomically(path, lambda file: np.savez_compressed(file, **arrays))


def read(path: Path) -> Kept:
    """Reads what ``write`` wrote."""
    with np.load(path) as stored:
        references = {
            key.removeprefix("reference_"): stored[key]
            for key in stored.files
            if key.startswith("reference_")
        }
        voxel_ml = float(stored["voxel_ml"])
        return Kept(path.stem, stored["probability"], references, voxel_ml)


def of_case(segmenter: wmhseg.Segmenter, case: Case, folder: Path) -> Kept:
    """The map of a real scan, with its reference if there is one.

    Args:
        segmenter: Of the model.
        case: The scan.
        folder: Where maps are kept.

    Raises:
        MissingFileError: If the case has no FLAIR scan.
        GridMismatchError: If its reference lies elsewhere.
    """
    preset = segmenter.model.preset
    if case.flair is None:
        raise errors.MissingFileError(
            "A FLAIR scan was expected", received=f"none of case {case.name}"
        )
    t1 = case.t1 if preset.takes_t1 else None
    path = folder / preset.name / f"{case.name}.npz"
    stamp = Stamp(path.with_suffix(".json"), (path,))
    given = [one for one in (case.flair, t1, case.reference) if one is not None]
    today = fingerprint(identity(segmenter), *given)
    if stamp.read(today) is None:
        stamp.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", errors.WmhsegWarning)
            result = segmenter.segment(case.flair, t1)
        references = {}
        if case.reference is not None:
            references[REFERENCE] = _labels_on(result.grid, case)
        files.check_writable(path.parent)
        whole = Kept(case.name, result.probability, references, result.grid.voxel_ml)
        write(path, cut(whole))
        stamp.write(today)
    return read(path)


def _labels_on(grid: Grid, case: Case) -> Labels:
    """The reference of a case, in the order in which its scan is stored."""
    assert case.reference is not None
    labels, there = images.read_labels(case.reference)
    turn = geometry.turn_between(there, grid)
    if turn is None:
        raise errors.GridMismatchError(
            f"{case.name}: scan and reference on one grid were expected",
            received=grid.difference(there),
        )
    turned: Labels = turn.forward(labels)
    return turned
