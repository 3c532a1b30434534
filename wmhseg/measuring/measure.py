"""Measures a scene: the order of it all, and what is left out where something is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg import geometry
from wmhseg.errors import RegistrationError, UsageError
from wmhseg.geometry import Grid, Turn
from wmhseg.io.images import Scan
from wmhseg.measures import (
    atlas,
    extents,
    fazekas,
    filling,
    head_size,
    lesions,
    marks,
    places,
    uncertainty,
)
from wmhseg.measures.anatomy import Anatomy, chosen, intracranial_vox
from wmhseg.measures.atlas import Region
from wmhseg.measures.fazekas import Estimate
from wmhseg.measures.lesions import LesionSummary
from wmhseg.measures.marks import Doubles, Lesions
from wmhseg.measures.places import Placed
from wmhseg.measures.uncertainty import Disagreement, Point
from wmhseg.measuring import other_scan, space
from wmhseg.measuring.scene import Float, OtherScan, Scene, Wanted
from wmhseg.measuring.space import InBrain
from wmhseg.preparation import registration
from wmhseg.preparation.registration import T1Place

NO_ANATOMY = (
    "no anatomy was given (--anatomy auto, or FILE): places (periventricular, deep, juxtacortical, "
    "infratentorial, deep grey), distances to the ventricles, the totals of STRIVE, shares of the "
    "intracranial volume and of white matter, the volume of the ventricles and the Fazekas "
    "estimates are left out"
)
NO_VENTRICLES = (
    "the anatomy holds no lateral ventricle: places, distances, the totals of STRIVE and the "
    "Fazekas estimates by size are left out"
)
NO_PROBABILITY = (
    "no probability map was given (--probability P): probabilities of lesions and the curve of "
    "volume against threshold are left out"
)
NO_MEMBERS = (
    "no maps of members were given (--members P P …): the disagreement of members is left out"
)
ONE_MEMBER = (
    "the model is one network: there are no others to compare it with, and the range over members "
    "and their disagreement are left out"
)
NO_PLACE = "the scan was not registered to the average brain: centres in MNI space are left out"
T1_NO_PLACE = "T1 has no place in the average brain beyond doubt ({}): FLAIR placed the scan"

_MOST_UNLIKELY = _MOST_OUTSIDE = 0.1  # shares of the marked voxels, else a warning is given


@dataclass(frozen=True)
class Excluded:
    """What was left out by a mask.

    Attributes:
        vox: Voxels in which nothing counts, and
        marked_vox: those of them that were marked.
        removed: Lesions that were all within, and
        cut: lesions that were partly.
    """

    vox: int
    marked_vox: int
    removed: int
    cut: int


@dataclass(frozen=True, eq=False)
class Measures:
    """Everything that was measured. Arrays are (slice, row, column) of axial slices in LPS order.

    Attributes:
        scene: What was measured.
        turn: From the scene's axes to these.
        lesions: The lesions that count.
        total: How much they are.
        diameters_mm: (lesion,) largest in a slice.
        centres_mm: (lesion, 3) x, y, z in the scanner, RAS.
        centres_mni_mm: The same in MNI space; None if that is not known.
        mean_probability: (lesion,); None without a map, and
        peak_probability: (lesion,).
        counts_vox: Anatomical class -> its voxels; None without anatomy.
        placed: Where lesions lie; None without anatomy.
        estimate: Fazekas grades by size; None without anatomy.
        curve: Volume and count against threshold; none without a map.
        between: The same at ``uncertainty.around`` of the mask's threshold.
        disagreement: Of the members; None without the maps of two or more.
        excluded: What does not count; None if nothing was excluded.
        regions: Of the atlas; none without one.
        brain: Where the scan lies in the average brain; None if that was not found.
        filled_t1: T1 with lesions filled; None if it was not wanted.
        mni: Name ("wmh", "flair") -> volume on ``space.MNI_GRID``; none if not wanted.
        left_out: What could not be measured, and why, in sentences.
        warnings: What speaks against trusting the measures, in sentences.
    """

    scene: Scene
    turn: Turn
    lesions: Lesions
    total: LesionSummary
    diameters_mm: Doubles
    centres_mm: Doubles
    centres_mni_mm: Doubles | None
    mean_probability: Doubles | None
    peak_probability: Doubles | None
    counts_vox: Mapping[str, int] | None
    placed: Placed | None
    estimate: Estimate | None
    curve: tuple[Point, ...]
    between: tuple[Point, ...]
    disagreement: Disagreement | None
    excluded: Excluded | None
    regions: tuple[Region, ...]
    brain: InBrain | None
    filled_t1: Scan | None
    mni: Mapping[str, npt.NDArray[Any]]
    left_out: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    @property
    def grid(self) -> Grid:
        """Of the arrays."""
        return self.turn.target


@dataclass(frozen=True, eq=False)
class _Turned:
    """A scene's volumes in LPS order.

    Attributes:
        turn: From the file's axes.
        mask: bool, without what is excluded.
        whole: bool, with it.
        excluded: bool, or None.
        probability: 0 where nothing counts, or None.
        members: The masks of the members.
        anatomy: Or None.
    """

    turn: Turn
    mask: npt.NDArray[np.bool_]
    whole: npt.NDArray[np.bool_]
    excluded: npt.NDArray[np.bool_] | None
    probability: Float | None
    members: tuple[npt.NDArray[np.bool_], ...]
    anatomy: Anatomy | None

    @property
    def grid(self) -> Grid:
        """Of the arrays."""
        return self.turn.target


def measure(scene: Scene, wanted: Wanted | None = None, brain: InBrain | None = None) -> Measures:
    """Measures all that can be measured.

    Args:
        scene: The mask and what is known of its scan.
        wanted: What else to make.
        brain: Where the scan lies in the average brain, if that has been found; it is looked for
            otherwise.

    Returns:
        The measures; ``left_out`` tells what is missing.

    Raises:
        RegistrationError: If something that was asked for needs the place in the average brain,
            and it is not found.
        UsageError: If something that was asked for needs T1, and there is none, or its place.
        EmptyMaskError: If T1 is to be filled and shows no white matter.
        DimensionError: If an array is not of the grid's shape.
    """
    wanted = wanted or Wanted()
    turned = _turned(scene)
    found = marks.find(turned.mask)
    left_out = list(scene.left_out)
    if scene.t1 is not None and scene.t1.move is None:
        left_out.append(other_scan.not_used(scene.t1))
    brain = brain or _brain(scene, turned, wanted, left_out)
    means, peaks = _probabilities(turned, found, left_out)
    placed, counts = _placed(turned, found, left_out)
    centres = extents.centres_vox(found)
    diameters = extents.diameters_mm(found, turned.grid.spacing_mm)
    agreed = None
    if len(turned.members) > 1:
        agreed = uncertainty.disagreement(found, turned.members)
    else:
        left_out.append(ONE_MEMBER if turned.members else NO_MEMBERS)
    return Measures(
        scene=scene,
        turn=turned.turn,
        lesions=found,
        total=lesions.summarise(turned.mask.astype(np.uint8), turned.grid.voxel_ml),
        diameters_mm=diameters,
        centres_mm=extents.to_ras_mm(centres, turned.grid),
        centres_mni_mm=None if brain is None else _in_ras(brain.to_mni(centres)),
        mean_probability=means,
        peak_probability=peaks,
        counts_vox=counts,
        placed=placed,
        estimate=None if placed is None else _estimate(placed, diameters),
        curve=_curve(turned, uncertainty.THRESHOLDS),
        between=_curve(turned, uncertainty.around(scene.threshold)),
        disagreement=agreed,
        excluded=_excluded(turned),
        regions=_regions(scene, turned, found, brain),
        brain=brain,
        filled_t1=_filled(scene, turned, brain) if wanted.filled_t1 else None,
        mni=_mni(scene, turned, brain) if wanted.mni and brain is not None else {},
        left_out=tuple(left_out),
        warnings=(
            *scene.warnings,
            *_doubts(turned, found, scene.threshold),
            *_of_size(turned, counts),
        ),
    )


def _turned(scene: Scene) -> _Turned:
    turn = geometry.turn_to(scene.flair.grid, "LPS")

    def turned(volume: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.ascontiguousarray(turn.forward(volume))

    whole = turned(scene.mask) > 0
    excluded = None if scene.excluded is None else turned(scene.excluded)
    probability = None if scene.probability is None else turned(scene.probability)
    members = tuple(turned(one) > scene.threshold for one in scene.members.values())
    mask = whole
    if excluded is not None:
        mask = whole & ~excluded
        members = tuple(one & ~excluded for one in members)
        if probability is not None:
            probability = np.where(excluded, np.float32(0), probability)
    known = scene.anatomy
    if known is not None:
        known = Anatomy(turned(known.labels), known.source)
    return _Turned(turn, mask, whole, excluded, probability, members, known)


def _in_ras(zyx_lps: Doubles) -> Doubles:
    """Positions (z, y, x) in LPS as (x, y, z) in RAS."""
    ras: Doubles = zyx_lps[:, ::-1] * [-1.0, -1.0, 1.0]
    return ras


def _brain(scene: Scene, turned: _Turned, wanted: Wanted, left_out: list[str]) -> InBrain | None:
    """Where the scan lies in the average brain, by T1 if that suffices, else by FLAIR.

    Says so if T1 does not suffice or no place is found, or raises.
    """
    needed = (
        wanted.mni
        or (scene.atlas is not None and scene.atlas.space == "mni")
        or (wanted.filled_t1 and scene.anatomy is None)
    )
    refused = None
    t1 = None if scene.t1 is None else other_scan.on_grid(scene.t1, turned.turn)
    if t1 is not None:
        try:
            return space.find(t1, "T1", turned.grid)
        except RegistrationError as error:  # a poor T1 costs no scan the place that it has without
            refused = error.received
    flair = np.ascontiguousarray(turned.turn.forward(scene.flair.array))
    try:
        found = space.find(flair, "FLAIR", turned.grid)
    except RegistrationError as error:
        if needed:
            raise RegistrationError(
                error.expected,
                received=error.received,
                advice="Check that it shows a whole head, the way up and of the size that its "
                "header says. --mni, an atlas in MNI space and --fill-t1 without --anatomy need "
                "such a place; the measures do not.",
            ) from error
        left_out.append(f"{NO_PLACE} ({error.received})")
        return None
    if refused is not None:
        left_out.append(T1_NO_PLACE.format(refused))
    return found


def _probabilities(
    turned: _Turned, found: Lesions, left_out: list[str]
) -> tuple[Doubles | None, Doubles | None]:
    """Mean and peak of each lesion."""
    if turned.probability is None:
        left_out.append(NO_PROBABILITY)
        return None, None
    values = found.at(turned.probability)
    return found.mean(values), found.highest(values)


def _doubts(turned: _Turned, found: Lesions, threshold: float) -> list[str]:
    """Says when a map or an anatomy does not seem to belong to the mask."""
    doubts = []
    marked = max(1, len(found.voxels))
    if turned.probability is not None:
        low, _ = uncertainty.around(threshold)
        unlikely = int((found.at(turned.probability) <= low).sum()) / marked
        if unlikely > _MOST_UNLIKELY:
            doubts.append(
                f"{unlikely:.0%} of the marked voxels have a probability of at most {low:g} in the "
                "probability map: check that it is the map of this mask."
            )
    if turned.anatomy is not None:
        outside = chosen(("background", "head"))[found.at(turned.anatomy.labels)]
        share = int(outside.sum()) / marked
        if share > _MOST_OUTSIDE:
            doubts.append(
                f"{share:.0%} of the marked voxels lie outside of the skull by the anatomy: check "
                "that it is the anatomy of this scan."
            )
    return doubts


def _of_size(turned: _Turned, counts: Mapping[str, int] | None) -> list[str]:
    """Says when the head is larger or smaller than those of adults."""
    if counts is None:
        return []
    told = head_size.doubt(intracranial_vox(counts) * turned.grid.voxel_ml)
    return [] if told is None else [told]


def _curve(turned: _Turned, thresholds: Sequence[float]) -> tuple[Point, ...]:
    if turned.probability is None:
        return ()
    return tuple(uncertainty.curve(turned.probability, thresholds))


def _placed(
    turned: _Turned, found: Lesions, left_out: list[str]
) -> tuple[Placed | None, dict[str, int] | None]:
    """Where lesions lie, and how much there is of each anatomical class."""
    if turned.anatomy is None:
        left_out.append(NO_ANATOMY)
        return None, None
    placed = places.place(found, turned.anatomy, turned.grid.spacing_mm)
    if placed is None:
        left_out.append(NO_VENTRICLES)
    return placed, turned.anatomy.counts_vox()


def _estimate(placed: Placed, diameters_mm: Doubles) -> Estimate:
    deep = np.isin(placed.places("continuity"), ("deep", "juxtacortical"))
    widest = float(diameters_mm[deep.astype(bool)].max(initial=0.0))
    return fazekas.estimate(placed.thickness_mm(), widest)


def _excluded(turned: _Turned) -> Excluded | None:
    if turned.excluded is None:
        return None
    before = marks.find(turned.whole)
    inside = before.number(before.at(turned.excluded))
    return Excluded(
        int(np.count_nonzero(turned.excluded)),
        int(inside.sum()),
        int((inside == before.sizes_vox).sum()),
        int(((inside > 0) & (inside < before.sizes_vox)).sum()),
    )


def _regions(
    scene: Scene, turned: _Turned, found: Lesions, brain: InBrain | None
) -> tuple[Region, ...]:
    if scene.atlas is None:
        return ()
    move = None
    if scene.atlas.space == "t1":
        move = _known_t1(scene, "an atlas on T1").move
    there = space.atlas_on(scene.atlas, turned.grid, move, brain)
    if turned.excluded is not None:
        there = np.where(turned.excluded, np.int32(0), there)
    return tuple(atlas.regions(found, there, scene.atlas.names))


def _known_t1(scene: Scene, what: str) -> OtherScan:
    if scene.t1 is None or scene.t1.move is None:
        raise UsageError(
            f"A T1 image whose place is known was expected for {what}",
            received="none" if scene.t1 is None else "one that is not registered",
        )
    return scene.t1


def _filled(scene: Scene, turned: _Turned, brain: InBrain | None) -> Scan:
    """T1 with the lesions filled, on its own voxels."""
    t1 = _known_t1(scene, "filling it")
    assert t1.move is not None
    if turned.anatomy is not None:
        likely = turned.anatomy.where(("white-matter",))
    else:
        assert brain is not None
        likely = brain.white_matter(turned.grid)
    place = T1Place(t1.scan.grid, t1.move, t1.scan.header)
    inside, white = (
        registration.on_t1_grid(volume.astype(np.float32), turned.grid, place) > 0.5
        for volume in (turned.mask, likely)
    )
    healthy = filling.white_matter(t1.scan.array, white, inside)
    array = filling.fill(t1.scan.array, inside, healthy, t1.scan.grid.spacing_mm)
    return Scan(array, t1.scan.grid, t1.scan.name, t1.scan.header, t1.scan.source)


def _mni(scene: Scene, turned: _Turned, brain: InBrain) -> dict[str, npt.NDArray[Any]]:
    """Mask (voxels that are half WMH) and FLAIR in MNI space."""
    flair = np.ascontiguousarray(turned.turn.forward(scene.flair.array))
    mask = space.in_mni(turned.mask.astype(np.float32), brain)
    return {"wmh": (mask > 0.5).astype(np.uint8), "flair": space.in_mni(flair, brain)}
