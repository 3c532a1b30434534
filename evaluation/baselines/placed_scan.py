"""A scan as the baselines see it: axial, with its brain and its place in the average one.

Scans from files and synthetic ones go through ``prepare``, so that a feature means the same in
both. Arrays are (slice, row, column) in LPS order.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wmhseg import geometry
from wmhseg.channels import location, placement
from wmhseg.channels.brain_maps import BrainMaps, Float, Mask
from wmhseg.channels.placement import Placement
from wmhseg.datasets.cases import Case
from wmhseg.errors import EmptyMaskError, GridMismatchError, MissingFileError, MissingT1Error
from wmhseg.geometry import Triple, Turn
from wmhseg.io import images
from wmhseg.preparation import intensity
from wmhseg.segmentation import postprocessing
from wmhseg.weights.methods import METHODS
from wmhseg.weights.processing import Postprocessing

_SMALLEST_BRAIN_ML = 200.0


@dataclass(frozen=True)
class PlacedScan:
    """A scan with its brain.

    Attributes:
        flair: FLAIR; inside the brain its median is 0 and its robust standard deviation 1,
            outside it is 0, so that the scalp is in no filter's reach.
        t1: T1, likewise.
        brain: The maps' brain (no cerebellum) where the T1 scan shows tissue.
        placement: The way to MNI space.
        spacing_mm: Distance between slices, rows and columns.
    """

    flair: Float
    t1: Float
    brain: Mask
    placement: Placement
    spacing_mm: Triple


def prepare(flair: Float, t1: Float, spacing_mm: Triple, maps: BrainMaps) -> PlacedScan:
    """Finds the place of a scan as a segmentation does, its brain, and standardises intensities.

    Args:
        flair: (slice, row, column), any scale.
        t1: On the same voxels.
        spacing_mm: Distance between slices, rows and columns.
        maps: Of the average brain.

    Raises:
        RegistrationError: If its place is not found beyond doubt.
        EmptyMaskError: If less than 200 ml of brain are found.
    """
    placed = location.find_place({"T1": t1, "FLAIR": flair}, spacing_mm)
    inside = placement.mapped(maps.brain.astype(np.float32), maps, placed, t1.shape, spacing_mm)
    brain = (inside > 0.5) & placement.core(t1, spacing_mm)
    brain_ml = float(brain.sum() * np.prod(spacing_mm)) / 1000
    if brain_ml < _SMALLEST_BRAIN_ML:
        raise EmptyMaskError(
            f"At least {_SMALLEST_BRAIN_ML:g} ml of brain were expected on the T1 scan",
            received=f"{brain_ml:.0f} ml",
        )
    return PlacedScan(
        standardised(flair, brain), standardised(t1, brain), brain, placed, spacing_mm
    )


def standardised(volume: Float, brain: Mask) -> Float:
    """Subtracts the median, divides by 1.4826 times the median distance from it; 0 outside."""
    values = volume[brain]
    median = np.median(values)
    deviation = 1.4826 * np.median(np.abs(values - median))
    scored: Float = np.where(brain, (volume - median) / max(deviation, 1e-6), 0).astype(np.float32)
    return scored


def read(case: Case, maps: BrainMaps) -> tuple[PlacedScan, Turn]:
    """Reads and prepares the scan of a case.

    Returns:
        The scan, and how its axes were turned.

    Raises:
        InputError: If a scan is missing or unreadable, or the two are on different grids.
    """
    if case.flair is None:
        raise MissingFileError("A FLAIR scan was expected", received="none")
    if case.t1 is None:
        raise MissingT1Error("A T1 scan was expected: it is registered", received="FLAIR alone")
    scans = images.read_scan(case.flair, name="FLAIR"), images.read_scan(case.t1, name="T1")
    difference = scans[0].grid.difference(scans[1].grid)
    if difference:
        raise GridMismatchError("FLAIR and T1 on one voxel grid were expected", received=difference)
    grid = scans[0].grid
    turn = geometry.turn_to(grid, "LPS")
    flair, t1 = (
        turn.forward(intensity.unwrap(s.array) if intensity.is_wrapped(s.array) else s.array)
        for s in scans
    )
    return prepare(flair, t1, turn.target.spacing_mm, maps), turn


def mask_of(scores: Float, threshold: float, turn: Turn) -> npt.NDArray[np.uint8]:
    """Thresholds scores and empties the end slices as the networks do.

    Small lesions stay: the size below which the networks' are removed was chosen on real scans.

    Args:
        scores: (slice, row, column) as ``read`` gave the scan.
        threshold: Voxels above it are WMH.
        turn: As ``read`` gave it.

    Returns:
        (slice, row, column) of the file's own axes, 0 or 1.
    """
    post = Postprocessing(0.5, METHODS["synthetic"].postprocessing.end_slices)
    mask = postprocessing.to_mask((scores > threshold).astype(np.float32), post)
    return turn.restore(mask)


def write(target: Path, scores: Float, threshold: float, turn: Turn) -> None:
    """Writes what ``mask_of`` makes of scores."""
    images.write_mask(target, mask_of(scores, threshold, turn), turn.source)
