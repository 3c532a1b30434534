"""From scans as the scanner gives them to one grid that suits the networks, and back.

The steps, each of which can be switched and says in the report what it did and why:

1. reorient: axes are permuted and flipped to those of the model, never resampled. An oblique scan
   keeps its slices; the head then lies turned in them, as in the training.
2. bias correction (``bias``).
3. pixel size (``resampling``): pixels outside the range of the training, and very thin slices.
4. registration (``registration``) of T1 to FLAIR, resampled once, to the grid of step 3.

A pair on one grid has been prepared by somebody: steps 2 and 4 leave it alone unless told
otherwise. One grid it is when the voxels lie in the same places to a tenth of a voxel, in whatever
order of axes they are stored. With every step off scans pass through untouched. All warnings about
grids are given here, each for one cause.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from wmhseg import geometry
from wmhseg.errors import GridMismatchError, RegistrationError
from wmhseg.geometry import Grid, Turn, Way
from wmhseg.io.images import Scan
from wmhseg.io.progress import Tally
from wmhseg.preparation import bias, registration, resampling, wrapped
from wmhseg.preparation.registration import Rigid, T1Place
from wmhseg.preparation.resampling import Resampling
from wmhseg.preparation.steps import PRESET, PUBLISHED, Steps
from wmhseg.preparation.steps_taken import (
    BiasCorrection,
    PixelSize,
    Reorienting,
    StepsTaken,
    T1Registration,
)
from wmhseg.weights.methods import TRAINING_PIXEL_MM, is_published
from wmhseg.weights.preset import Preset, with_changes

MOST_TILT_DEG = 30.0
"""Slices that are further from axial than this are warned of."""

LEAST_COVERED = 0.9
"""Share of the head in FLAIR that T1 should show."""

_THIN_MM = 2.0
_CORRECTING = 60  # parts of a ``Tally``


@dataclass(frozen=True)
class Aligned:
    """Scans on one grid that suits the networks, and the way back.

    Attributes:
        flair: FLAIR on the working grid.
        t1: T1 on the working grid; None where the networks see none.
        preset: The model's preset; its orientation is "stored" when reorienting is off.
        turn: From the file's axes to the model's.
        resampling: From there to the working grid.
        t1_place: Where T1's own voxels lie; None where the networks see no T1.
        steps: What each step did.
        warnings: Sentences for the report.
        t1_seen: T1's field of view on the working grid; None where nobody knows.
    """

    flair: Scan
    t1: Scan | None
    preset: Preset
    turn: Turn
    resampling: Resampling
    t1_place: T1Place | None
    steps: StepsTaken
    warnings: tuple[str, ...]
    t1_seen: npt.NDArray[np.bool_] | None = None

    @property
    def way(self) -> Way:
        """From the FLAIR scan's file to the working grid, and back."""
        return Way((self.turn, self.resampling))

    @property
    def t1_moved(self) -> bool:
        """Whether T1 was interpolated to lie on FLAIR's grid."""
        if self.t1_place is None:
            return False
        own = self.t1_place.grid
        return self.steps.registration.applied or not geometry.turn_between(own, self.turn.source)


@dataclass(frozen=True)
class Known:
    """What is known about scans besides their voxels.

    Attributes:
        brain_mm: Extent of the brain in FLAIR along rows and columns of an LPS scan; None if
            nobody knows.
        t1_unknown: Voxels of T1 that show nothing; None: none.
    """

    brain_mm: tuple[float, float] | None = None
    t1_unknown: npt.NDArray[np.bool_] | None = None


def align(
    flair: Scan,
    t1: Scan | None,
    chosen: Preset,
    asked: Steps,
    known: Known | None = None,
    tally: Tally | None = None,
) -> Aligned:
    """Takes the steps.

    Args:
        flair: The FLAIR scan as read.
        t1: The T1 scan as read, or None.
        chosen: The model's preset, which decides on the steps that nobody has set.
        asked: Which steps.
        known: What else is known about the scans.
        tally: Is told how far it is.

    Returns:
        The scans for ``network_input.prepare``, and the way back.

    Raises:
        GridMismatchError: If the grids differ and registration is off.
        RegistrationError: If T1 does not match FLAIR, unless FLAIR alone will do.
    """
    steps, tally = _resolved(asked, chosen), tally or Tally()
    known = known or Known()
    used = t1 if chosen.takes_t1 else None
    same = None if used is None else geometry.turn_between(used.grid, flair.grid)
    one_grid = used is None or same is not None
    if used is not None and same is None and steps.registration == "off":
        raise GridMismatchError(
            "FLAIR and T1 on one voxel grid were expected",
            received=flair.grid.difference(used.grid),
            advice="Let wmhseg register them (--registration auto), or resample T1 to the FLAIR "
            "grid first.",
        )

    turn, preset = _turn(flair.grid, chosen, steps)
    reorienting = _reorienting(turn, asked, steps)
    way, why_pixels = _pixels(turn.target, preset, steps, known.brain_mm)
    if steps.pixel_size == "off":
        why_pixels = _switched("pixel_size", asked, steps)
    warnings = _grid_warnings(way, preset)
    flair, used = _turned(flair, turn), used and _turned_t1(used, turn, same)

    correct = steps.bias_correction == "on" or (steps.bias_correction == "auto" and not one_grid)
    searching = used is not None and (
        steps.registration == "on" or (steps.registration == "auto" and not one_grid)
    )
    # Planned at once, so that no bar goes back.
    tally.plan(_CORRECTING * correct * (1 if used is None else 2))
    tally.plan(registration.PARTS * searching)
    if correct or searching or not one_grid or way.changes:
        # Interpolating numbers that wrapped around makes nonsense of them.
        flair, said = wrapped.repaired(flair)
        warnings += said
        if used is not None:
            used, said = wrapped.repaired(used)
            warnings += said
    correction = BiasCorrection(_why_bias(t1, one_grid, asked, steps))
    if correct:
        flair, used, correction = _corrected(flair, used, correction.why, tally)
    registered = T1Registration(_why_move(used, one_grid, asked, steps))
    if searching and used is not None:
        registered = _registered(flair, used, registered.why, tally)
        warnings += _registration_warnings(registered, steps)
        used = None if registered.failed else used
    started = time.perf_counter()
    place, seen = None, None
    if used is not None and t1 is not None:
        apart = not one_grid or searching
        used = _resampled(used, way, registered.move if apart else None)
        if apart or known.t1_unknown is not None:
            shown = _shown(t1, known.t1_unknown)
            seen = registration.field_of_view(shown, way.target, registered.move)
        place = T1Place(t1.grid, registered.move, t1.header)
    flair = _resampled(flair, way)
    pixels = PixelSize(why_pixels, way, time.perf_counter() - started)
    warnings += _t1_warnings(t1, chosen)
    taken = StepsTaken(reorienting, correction, registered, pixels, asked, steps)
    return Aligned(flair, used, preset, turn, way, place, taken, tuple(warnings), seen)


# Orientation ------------------------------------------------------------------------------------


def _turn(grid: Grid, chosen: Preset, steps: Steps) -> tuple[Turn, Preset]:
    """The turn to the model's axes, and the preset for a scan that lies so."""
    method = chosen.preprocessing
    if steps.reorient == "off" and method.orientation != "stored":
        method = replace(method, orientation="stored")
        chosen = with_changes(chosen, preprocessing=method)
    return geometry.turn_to(grid, method.orientation), chosen


def _turned(scan: Scan, turn: Turn) -> Scan:
    return Scan(np.ascontiguousarray(turn.forward(scan.array)), turn.target, scan.name)


def _turned_t1(t1: Scan, flair_turn: Turn, same: Turn | None) -> Scan:
    """T1 turned as FLAIR where ``same`` brings it onto FLAIR's grid, to known axes elsewhere."""
    if same is not None:
        return _turned(Scan(same.forward(t1.array), flair_turn.source, t1.name), flair_turn)
    # Turned to known axes, so that a scan gives the same numbers in whatever order it is stored.
    return _turned(t1, geometry.turn_to(t1.grid, "LPS"))


def _shown(t1: Scan, unknown: npt.NDArray[np.bool_] | None) -> Scan:
    """T1 with 1 where it shows something, else 0."""
    shown = np.ones(t1.array.shape, np.float32)
    if unknown is not None:
        shown[unknown] = 0
    return replace(t1, array=shown)


def _resampled(scan: Scan, way: Resampling, move: Rigid | None = None) -> Scan:
    """The scan on the working grid; a T1 with a move of its own is interpolated only once."""
    if move is not None:
        return registration.resample(scan, way.target, move)
    return Scan(way.forward(scan.array), way.target, scan.name)


def _resolved(asked: Steps, chosen: Preset) -> Steps:
    """The steps with what nobody has set replaced by what the model's preset says."""
    steps = asked.resolved(published=is_published(chosen))
    wanted = chosen.preprocessing.pixel_mm
    if wanted is not None and asked.pixel_size in (PRESET, "auto"):
        return replace(steps, pixel_size=wanted)
    return steps


def _switched(name: str, asked: Steps, steps: Steps) -> str:
    """Why a step is, or is not, taken whatever the scans are like."""
    setting = getattr(asked, name)
    return PUBLISHED if setting == PRESET else f"switched {getattr(steps, name)}"


def _reorienting(turn: Turn, asked: Steps, steps: Steps) -> Reorienting:
    before, after = turn.source.orientation, turn.target.orientation
    why = "axes differ from the model's" if before != after else "axes are the model's"
    if steps.reorient == "off":
        why = _switched("reorient", asked, steps)
    return Reorienting(why, before, after, turn.source.tilt_deg)


def _grid_warnings(way: Resampling, preset: Preset) -> list[str]:
    """Says what is unusual about FLAIR's slices and pixels, one sentence for one cause."""
    grid = way.source
    warnings = []
    if grid.tilt_deg > MOST_TILT_DEG:
        warnings.append(
            f"The FLAIR slices are {grid.tilt_deg:.0f} degrees off the axes of the body, more than "
            "in training, and were not resampled: look at the mask."
        )
    slices, rows, columns = grid.spacing_mm
    low, high = TRAINING_PIXEL_MM
    pixel_mm = way.target.spacing_mm[1:]
    coarse = max(rows, columns) > _THIN_MM and slices < max(rows, columns)
    if preset.preprocessing.orientation == "stored" and grid.orientation[2] not in "SI":
        warnings.append(
            f"Slices are not axial (orientation {grid.orientation}) and this model takes "
            "scans as they are stored: do not trust the result."
        )
    elif coarse:
        warnings.append(
            f"FLAIR was not acquired in axial slices: its axial pixels are {rows:.1f} x "
            f"{columns:.1f} mm, coarser than any in training. Do not trust the result unseen."
        )
    if not coarse and not all(low <= size <= high for size in pixel_mm):
        warnings.append(
            f"Pixels of {pixel_mm[0]:.2f} x {pixel_mm[1]:.2f} mm are unusual: networks see "
            f"{low} to {high} mm in training. Look at the mask."
        )
    return warnings


def _t1_warnings(t1: Scan | None, chosen: Preset) -> list[str]:
    """Says when a T1 is not used, or is missing where one would have been."""
    if t1 is not None and not chosen.takes_t1:
        return [f"T1 was given but not used: model {chosen.name} takes FLAIR alone."]
    if t1 is None and chosen.works_without_t1 and chosen.takes_t1:
        return ["No T1 was given: its channel was left empty."]
    return []


# Bias, pixels, registration ---------------------------------------------------------------------


def _why_bias(t1: Scan | None, one_grid: bool, asked: Steps, steps: Steps) -> str:
    if steps.bias_correction != "auto":
        return _switched("bias_correction", asked, steps)
    if not one_grid:
        return "FLAIR and T1 on two grids: as the scanner gave them"
    if t1 is None:
        return "FLAIR alone does not tell whether it is corrected; switch it on if it is not"
    return "FLAIR and T1 on one grid: prepared"


def _corrected(
    flair: Scan, t1: Scan | None, why: str, tally: Tally
) -> tuple[Scan, Scan | None, BiasCorrection]:
    started = time.perf_counter()
    flair, field = bias.correct(flair)
    tally.done(_CORRECTING)
    fields = {flair.name: field}
    if t1 is not None:
        t1, fields[t1.name] = bias.correct(t1)
        tally.done(_CORRECTING)
    return flair, t1, BiasCorrection(why, fields, time.perf_counter() - started)


def _pixels(
    grid: Grid, preset: Preset, steps: Steps, brain_mm: tuple[float, float] | None
) -> tuple[Resampling, str]:
    """The way to the pixels that the networks see, and why to these."""
    if steps.pixel_size == "off":
        return Resampling(grid, grid), ""
    if not isinstance(steps.pixel_size, str):
        why = "pixels of this size were asked for"
        if steps.pixel_size == preset.preprocessing.pixel_mm:
            why = "the method works on pixels of this size"
        return resampling.plan(grid, steps.pixel_size), why
    field = preset.preprocessing.field
    if field is not None and brain_mm is not None and grid.orientation == "LPS":
        pixel_mm = resampling.fitting_pixel(grid, field, brain_mm)
        if pixel_mm is not None:
            rows, columns = brain_mm
            return resampling.plan(grid, pixel_mm), (
                f"a brain of about {rows:.0f} x {columns:.0f} mm does not fit into the network's "
                f"{field[0]} x {field[1]} smaller pixels"
            )
    way = resampling.plan(grid)
    low, high = resampling.KEPT_PIXEL_MM
    least = resampling.LEAST_SLICE_MM
    if way.changes:
        return way, f"outside the {low} to {high} mm (slices: {least} mm) that are kept"
    return way, f"pixels of {low} to {high} mm and slices from {least} mm are kept"


def _why_move(t1: Scan | None, one_grid: bool, asked: Steps, steps: Steps) -> str:
    if t1 is None:
        return "no T1 is used"
    if steps.registration == "header":
        return "the headers were believed"
    if steps.registration != "auto":
        return _switched("registration", asked, steps)
    return "FLAIR and T1 on one grid: prepared" if one_grid else "FLAIR and T1 on two grids"


def _registered(flair: Scan, t1: Scan, why: str, tally: Tally) -> T1Registration:
    started = time.perf_counter()
    result = registration.register(flair, t1, tally)
    covered = registration.covered_share(flair, t1, result.move)
    return T1Registration(why, result, covered, time.perf_counter() - started)


def _registration_warnings(registered: T1Registration, steps: Steps) -> list[str]:
    """Says when T1 is not used or shows too little; raises where it has to be used."""
    if registered.failed and registered.result is not None:
        received = (
            f"edges that match too badly ({registered.result.agreement:.3f}; at least "
            f"{registration.LEAST_AGREEMENT} is needed), after {registered.result.starts} starts"
        )
        if steps.on_registration_failure == "error":
            raise RegistrationError(
                "A T1 image that shows the same head as FLAIR was expected",
                received=received,
                advice="Check that both are of one patient. To go on without T1: "
                "--on-registration-failure flair-only; to believe the headers: "
                "--registration header.",
            )
        return [f"T1 does not match FLAIR ({received}) and was NOT USED: FLAIR alone."]
    if registered.covered < LEAST_COVERED:
        return [
            f"T1 shows only {registered.covered:.0%} of the head in FLAIR; look at the mask where "
            "T1 ends."
        ]
    return []
