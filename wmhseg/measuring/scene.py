"""What is measured: a mask, and whatever else is known of its scan, in memory.

Arrays are (slice, row, column). Whoever has just segmented a scan makes a ``Scene`` of the result;
``reading`` makes one of files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from wmhseg.geometry import Grid
from wmhseg.io.images import Scan
from wmhseg.measures.anatomy import Anatomy
from wmhseg.preparation.registration import Rigid

Float = npt.NDArray[np.float32]
Space = Literal["flair", "t1", "mni"]


@dataclass(frozen=True, eq=False)
class Atlas:
    """Regions that lesions are counted in.

    Attributes:
        volume: (slice, row, column) int32, label of each voxel, 0 for none.
        grid: Where its voxels lie.
        names: Label -> name, of all that are there.
        space: What its places mean: places in FLAIR, in T1, or in MNI space.
        source: Its file.
    """

    volume: npt.NDArray[np.int32]
    grid: Grid
    names: Mapping[int, str]
    space: Space
    source: str


@dataclass(frozen=True, eq=False)
class OtherScan:
    """T1, and where it lies.

    Attributes:
        scan: On its own grid; numbers that wrapped around are repaired.
        move: From points of FLAIR to points of T1; None if nobody knows.
        on_flair: Its voxels on FLAIR's grid, where they are the same places; None elsewhere.
        agreement: Edge agreement of the registration, also of one that failed; None where nobody
            has looked.
    """

    scan: Scan
    move: Rigid | None = None
    on_flair: Float | None = None
    agreement: float | None = None


@dataclass(frozen=True, eq=False)
class Scene:
    """A mask and what is known of its scan. All but T1 and atlas lie on FLAIR's voxels.

    Attributes:
        flair: The scan, as it is stored; numbers that wrapped around are repaired.
        mask: uint8, 1 = WMH.
        probability: Of WMH, 0 to 1; None if nobody knows.
        members: Name -> probability of each member of the ensemble; none if nobody knows.
        threshold: By which the mask was made, and members mark.
        anatomy: What the voxels are; None if nobody knows.
        excluded: Where nothing counts, bool; None: nowhere.
        t1: The other scan; None if there is none.
        atlas: Regions to count in; None: none.
        left_out: What was left out before measuring, and why, in sentences.
        warnings: What is to be said about the scans, in sentences.
    """

    flair: Scan
    mask: npt.NDArray[np.uint8]
    probability: Float | None = None
    members: Mapping[str, Float] = field(default_factory=dict)
    threshold: float = 0.5
    anatomy: Anatomy | None = None
    excluded: npt.NDArray[np.bool_] | None = None
    t1: OtherScan | None = None
    atlas: Atlas | None = None
    left_out: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """What is made besides the measures.

    Attributes:
        mni: Mask and FLAIR in MNI space.
        filled_t1: T1 with its lesions filled, on its own grid.
    """

    mni: bool = False
    filled_t1: bool = False
