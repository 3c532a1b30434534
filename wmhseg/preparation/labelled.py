"""The scans of a case with their reference, read for training, validation and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg import geometry
from wmhseg.datasets.cases import Case
from wmhseg.errors import MissingFileError
from wmhseg.geometry import Grid
from wmhseg.io import images
from wmhseg.io.images import Scan


@dataclass(frozen=True)
class LabelledScans:
    """What a case holds, as it is stored.

    Attributes:
        flair: The FLAIR scan.
        t1: The T1 scan; None if there is none or it was not asked for.
        labels: The reference, (slice, row, column): 1 is WMH, 2 other pathology.
        grid: Where the reference's voxels lie.
    """

    flair: Scan
    t1: Scan | None
    labels: npt.NDArray[Any]
    grid: Grid


def read_labelled(case: Case, *, with_t1: bool) -> LabelledScans:
    """Reads the files of a case.

    T1 and reference are turned to the order of axes of FLAIR where their voxels lie in the same
    places. Whether they do is left to the caller.

    Args:
        case: Where they are.
        with_t1: Whether T1 is read where there is one.

    Raises:
        MissingFileError: If the case has a problem, no FLAIR or no reference.
        InputError: If a file cannot be read.
    """
    if case.problem is not None:
        raise MissingFileError(
            f"A usable case was expected ({case.problem.kind})", received=case.problem.detail
        )
    if case.flair is None:
        raise MissingFileError(
            f"A FLAIR scan was expected beside {case.reference}", received=case.scan_problem
        )
    if case.reference is None:
        raise MissingFileError(f"A mask was expected beside {case.flair}", received="none")
    flair = images.read_scan(case.flair, name="FLAIR")
    t1 = images.read_scan(case.t1, name="T1") if with_t1 and case.t1 else None
    labels, grid = images.read_labels(case.reference)
    turn = geometry.turn_between(grid, flair.grid)
    if turn is not None:
        labels, grid = np.ascontiguousarray(turn.forward(labels)), flair.grid
    return LabelledScans(flair, t1 and _like(flair, t1), labels, grid)


def _like(flair: Scan, t1: Scan) -> Scan:
    """T1 in FLAIR's order of axes if they share a grid, as it is otherwise."""
    turn = geometry.turn_between(t1.grid, flair.grid)
    if turn is None:
        return t1
    return Scan(np.ascontiguousarray(turn.forward(t1.array)), flair.grid, t1.name)
