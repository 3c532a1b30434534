"""T1 beside FLAIR: where its voxels lie, by whatever way it arrives.

The place in the average brain is found with T1 where there is one. So that one scan has one place,
files and results in memory are given their T1 here.
"""

from __future__ import annotations

import numpy as np

from wmhseg import geometry
from wmhseg.errors import InputError
from wmhseg.geometry import Grid
from wmhseg.io import images
from wmhseg.io.images import Scan
from wmhseg.measuring.scene import Float, OtherScan
from wmhseg.preparation import registration, wrapped
from wmhseg.preparation.registration import Rigid
from wmhseg.reporting.provenance import scan_file
from wmhseg.segmentation.result import Segmentation

T1_CHANGED = (
    "T1 was not used: its file is not there any more as the segmentation has read it, so that it "
    "may be another scan"
)


def placed(flair: Scan, t1: Scan, move: Rigid | None = None) -> OtherScan:
    """Finds where T1 lies: by its voxels where these are FLAIR's, else by registration.

    Args:
        flair: The FLAIR scan.
        t1: The T1 scan.
        move: From FLAIR to T1, where that is known.

    Returns:
        T1; its move is None where the edges of the two do not match.
    """
    turn = geometry.turn_between(t1.grid, flair.grid)
    if turn is not None and move in (None, Rigid()):
        return OtherScan(t1, Rigid(), np.ascontiguousarray(turn.forward(t1.array)))
    if move is not None:
        return OtherScan(t1, move)
    found = registration.register(_axial(flair), _axial(t1))
    return OtherScan(t1, found.move if found.succeeded else None, None, found.agreement)


def of_result(result: Segmentation, flair: Scan) -> tuple[OtherScan | None, list[str], list[str]]:
    """The T1 scan that was given for a result, whether or not its model takes one.

    The result does not hold the voxels of a scan that came from a file: this is read once more.

    Args:
        result: What was computed.
        flair: Its FLAIR scan, repaired.

    Returns:
        T1, None if none was given; why one was left out, in sentences; and what is to be said
        about its numbers.

    Raises:
        InputError: If its file cannot be read.
    """
    file = result.report.provenance.scans.get("T1")
    if file is None:
        return None, [], []
    t1 = result.t1
    if t1 is None and file.path is not None:
        try:
            as_before = scan_file(file.path).sha256 == file.sha256
        except InputError:
            as_before = False
        t1 = images.read_scan(file.path, name="T1") if as_before else None
    if t1 is None:
        return None, [T1_CHANGED], []
    t1, said = wrapped.repaired(t1)
    step = result.report.steps.registration
    if step.failed:  # it was searched for already
        agreement = None if step.result is None else step.result.agreement
        return OtherScan(t1, None, None, agreement), [], said
    move = None if result.t1_place is None else result.t1_place.move
    return placed(flair, t1, move), [], said


def on_grid(t1: OtherScan, turn: geometry.Turn) -> Float | None:
    """T1 on the voxels of a turned FLAIR scan; None where its place is not known.

    Args:
        t1: The scan.
        turn: From FLAIR's axes to the wanted ones.
    """
    if t1.on_flair is not None:
        return np.ascontiguousarray(turn.forward(t1.on_flair))
    if t1.move is None:
        return None
    grid: Grid = turn.target
    return registration.resample(t1.scan, grid, t1.move).array


def not_used(t1: OtherScan) -> str:
    """Why a T1 without a place was not used.

    Args:
        t1: The scan.
    """
    why = "it lies on other voxels than FLAIR, and nobody knows where"
    if t1.agreement is not None:
        why = (
            f"its edges match those of FLAIR too badly ({t1.agreement:.3f}; at least "
            f"{registration.LEAST_AGREEMENT} is needed)"
        )
    return f"T1 was not used: {why}"


def _axial(scan: Scan) -> Scan:
    turn = geometry.turn_to(scan.grid, "LPS")
    return Scan(np.ascontiguousarray(turn.forward(scan.array)), turn.target, scan.name)
