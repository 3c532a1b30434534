"""From scans as the scanner gives them to what the networks' preparation takes, and back.

The steps, each of which can be switched and says in the report what it did and why:

1. reorient: axes are permuted and flipped to those of the model, never resampled. An oblique scan
   keeps its slices; the head then lies turned in them, as in the training.
2. bias correction (``bias``).
3. pixel size (``resampling``): pixels outside the range of the training, and very thin slices.
4. registration (``registration``) of T1 to FLAIR, resampled once, to the grid of step 3.

A pair on one grid has been prepared by somebody: steps 2 and 4 leave it alone unless told
otherwise. With every step off scans pass through untouched.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg import geometry
from wmhseg.errors import GridMismatchError, RegistrationError
from wmhseg.geometry import Conformation, Grid
from wmhseg.io.images import Scan
from wmhseg.preparation import bias, intensity, registration, resampling
from wmhseg.preparation.registration import Rigid
from wmhseg.preparation.resampling import Resampling
from wmhseg.preparation.steps import Steps
from wmhseg.weights.preset import Preset, with_changes

MOST_TILT_DEG = 30.0
"""Slices that are further from axial than this are warned of."""

LEAST_COVERED = 0.9
"""Share of the head in FLAIR that T1 should show."""

_THIN_MM = 2.0


@dataclass(frozen=True)
class Ready:
    """Scans on the networks' grid, and the way back.

    Attributes:
        flair: FLAIR on the working grid.
        t1: T1 on the working grid, None without one.
        preset: The model's preset; its orientation is "stored" when reorienting is off.
        turn: From the file's array to the model's axes.
        way: From there to the working grid.
        t1_grid: T1's own grid, None without one.
        move: From FLAIR to T1.
        findings: Step -> what was done, why, parameters, seconds; for the report.
        warnings: Sentences for the report.
    """

    flair: Scan
    t1: Scan | None
    preset: Preset
    turn: Conformation
    way: Resampling
    t1_grid: Grid | None
    move: Rigid
    findings: dict[str, dict[str, Any]]
    warnings: tuple[str, ...]

    def to_file_order(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Brings an array on the FLAIR scan's voxels, in the model's axes, to the file's axes."""
        return self.turn.restore(array)


def ready(flair: Scan, t1: Scan | None, chosen: Preset, steps: Steps) -> Ready:
    """Takes the steps.

    Args:
        flair: The FLAIR scan as read.
        t1: The T1 scan as read, or None.
        chosen: The model's preset.
        steps: Which steps.

    Returns:
        The scans for ``preparation.prepare``, and the way back.

    Raises:
        GridMismatchError: If the grids differ and registration is off.
        RegistrationError: If T1 does not match FLAIR, unless FLAIR alone will do.
    """
    used = t1 if chosen.takes_t1 else None
    one_grid = used is None or not flair.grid.difference(used.grid)
    if steps.registration == "off" and used is not None and not one_grid:
        raise GridMismatchError(
            "FLAIR and T1 on one voxel grid were expected",
            received=flair.grid.difference(used.grid),
            advice="Let wmhseg register them (--registration auto), or resample T1 to the FLAIR "
            "grid first.",
        )
    findings: dict[str, dict[str, Any]] = {}
    warnings: list[str] = []
    own_grid = None if used is None else used.grid
    turn, preset = _turn(flair.grid, chosen, steps)
    findings["reorient"] = _reorienting(flair.grid, turn, steps)
    warnings += _tilt(turn.oriented_grid)
    flair = _turned(flair, turn)
    if used is not None and one_grid:
        used = replace(_turned(used, turn), grid=flair.grid)
    elif used is not None:
        used = _turned(used, _own_turn(used.grid))

    way = resampling.plan(flair.grid)
    if steps.pixel_size == "off":
        way = Resampling(flair.grid, flair.grid)
    correct = steps.bias_correction == "on" or (steps.bias_correction == "auto" and not one_grid)
    searching = used is not None and (
        steps.registration == "on" or (steps.registration == "auto" and not one_grid)
    )
    if correct or searching or not one_grid or way.changes:
        # Interpolating numbers that wrapped around makes nonsense of them.
        flair, used = _unwrapped(flair, warnings), used and _unwrapped(used, warnings)
    findings["bias_correction"] = {"applied": correct, "why": _why_bias(t1, one_grid, steps)}
    if correct:
        flair, used = _corrected(flair, used, findings["bias_correction"])
    move = Rigid()
    findings["registration"] = {"applied": searching, "why": _why_move(used, one_grid, steps)}
    if searching and used is not None:
        move, kept = _registered(flair, used, steps, findings["registration"], warnings)
        used = used if kept else None
    findings["pixel_size"] = _pixels(way, steps)
    started = time.perf_counter()
    if used is not None:
        if one_grid and not searching:
            used = Scan(way.forward(used.array), way.target, used.name)
        else:
            used = registration.resample(used, way.target, move)
    flair = Scan(way.forward(flair.array), way.target, flair.name)
    findings["pixel_size"]["seconds"] = round(time.perf_counter() - started, 3)
    # A model for FLAIR alone is told that a T1 was given, which it says it does not use.
    passed = used if chosen.takes_t1 else t1
    grid = own_grid if used is not None else None
    return Ready(flair, passed, preset, turn, way, grid, move, findings, tuple(warnings))


# Orientation ------------------------------------------------------------------------------------


def _turn(grid: Grid, chosen: Preset, steps: Steps) -> tuple[Conformation, Preset]:
    """The way to the model's axes, and the preset for a scan that lies so."""
    method = chosen.preprocessing
    orientation = method.orientation
    if steps.reorient == "off" and orientation != "stored":
        chosen = with_changes(chosen, preprocessing=replace(method, orientation="stored"))
    if steps.reorient == "off":
        orientation = "stored"
    way = geometry.conform(grid, (1, 1), orientation)
    _, rows, columns = way.oriented_shape
    return replace(way, field=(rows, columns)), chosen


def _own_turn(grid: Grid) -> Conformation:
    """The way to LPS: so a scan gives the same numbers in whatever order it is stored."""
    way = geometry.conform(grid, (1, 1), "LPS")
    _, rows, columns = way.oriented_shape
    return replace(way, field=(rows, columns))


def _turned(scan: Scan, way: Conformation) -> Scan:
    return Scan(np.ascontiguousarray(way.orient(scan.array)), way.oriented_grid, scan.name)


def _reorienting(grid: Grid, way: Conformation, steps: Steps) -> dict[str, Any]:
    changed = way.oriented_grid.orientation != grid.orientation
    why = "axes differ from the model's" if changed else "axes are the model's"
    if steps.reorient == "off":
        why = "switched off"
    return {
        "applied": changed,
        "why": why,
        "from": grid.orientation,
        "to": way.oriented_grid.orientation,
        "oblique_deg": round(grid.tilt_deg, 2),
    }


def _tilt(grid: Grid) -> list[str]:
    told = []
    if grid.tilt_deg > MOST_TILT_DEG:
        told.append(
            f"The FLAIR slices are {grid.tilt_deg:.0f} degrees off the axes of the body, more than "
            "in training, and were not resampled: look at the mask."
        )
    slices, rows, columns = grid.spacing_mm
    if max(rows, columns) > _THIN_MM and slices < max(rows, columns):
        told.append(
            f"FLAIR was not acquired in axial slices: its axial pixels are {rows:.1f} x "
            f"{columns:.1f} mm, coarser than any in training. Do not trust the result unseen."
        )
    return told


# Bias, pixels, registration ---------------------------------------------------------------------


def _unwrapped(scan: Scan, warnings: list[str]) -> Scan:
    if not intensity.is_wrapped(scan.array):
        return scan
    warnings.append(
        f"The {scan.name} image holds unsigned 16-bit numbers stored as signed ones: 65536 was "
        "added to its negative, really brightest, voxels."
    )
    return replace(scan, array=intensity.unwrap(scan.array))


def _why_bias(t1: Scan | None, one_grid: bool, steps: Steps) -> str:
    if steps.bias_correction != "auto":
        return f"switched {steps.bias_correction}"
    if not one_grid:
        return "FLAIR and T1 on two grids: as the scanner gave them"
    if t1 is None:
        return "FLAIR alone does not tell whether it is corrected; switch it on if it is not"
    return "FLAIR and T1 on one grid: prepared"


def _corrected(flair: Scan, t1: Scan | None, finding: dict[str, Any]) -> tuple[Scan, Scan | None]:
    started = time.perf_counter()
    finding["method"] = "N4"
    finding["voxels_mm"] = bias.SHRUNK_MM
    done = []
    for scan in [flair] if t1 is None else [flair, t1]:
        corrected, field = bias.correct(scan)
        finding[scan.name] = {"field_p2": round(field.low, 3), "field_p98": round(field.high, 3)}
        done.append(corrected)
    finding["seconds"] = round(time.perf_counter() - started, 3)
    return done[0], done[1] if len(done) == 2 else None


def _pixels(way: Resampling, steps: Steps) -> dict[str, Any]:
    low, high = resampling.PIXEL_MM
    why = f"pixels of {low} to {high} mm and slices from {resampling.LEAST_SLICE_MM} mm are kept"
    if way.changes:
        why = f"outside the {low} to {high} mm (slices: {resampling.LEAST_SLICE_MM} mm) of training"
    return {
        "applied": way.changes,
        "why": "switched off" if steps.pixel_size == "off" else why,
        "from_mm": [round(s, 4) for s in way.source.spacing_mm],
        "to_mm": [round(s, 4) for s in way.target.spacing_mm],
    }


def _why_move(t1: Scan | None, one_grid: bool, steps: Steps) -> str:
    if t1 is None:
        return "no T1 is used"
    if steps.registration == "header":
        return "the headers were believed"
    if steps.registration != "auto":
        return f"switched {steps.registration}"
    return "FLAIR and T1 on one grid: prepared" if one_grid else "FLAIR and T1 on two grids"


def _registered(
    flair: Scan, t1: Scan, steps: Steps, finding: dict[str, Any], warnings: list[str]
) -> tuple[Rigid, bool]:
    """Registers, and tells the move and whether T1 is to be used."""
    started = time.perf_counter()
    found = registration.register(flair, t1)
    covered = registration.covered_share(flair, t1, found.move)
    finding |= {
        "method": "rigid, Mattes mutual information",
        "succeeded": found.succeeded,
        "edge_agreement": round(found.agreement, 4),
        "least_edge_agreement": registration.LEAST_AGREEMENT,
        "rotation_rad": [round(v, 6) for v in found.move.rotation_rad],
        "shift_mm": [round(v, 4) for v in found.move.shift_mm],
        "centre_mm": [round(v, 4) for v in found.move.centre_mm],
        "angle_deg": round(found.move.angle_deg, 3),
        "start": found.start,
        "starts_tried": found.starts,
        "head_covered_by_t1": round(covered, 3),
        "seconds": round(time.perf_counter() - started, 3),
    }
    if not found.succeeded:
        received = (
            f"an edge agreement of {found.agreement:.3f}, below {registration.LEAST_AGREEMENT}, "
            f"after {found.starts} starts"
        )
        if steps.on_registration_failure == "error":
            raise RegistrationError(
                "A T1 image that shows the same head as FLAIR was expected",
                received=received,
                advice="Check that both are of one patient. To go on without T1: "
                "--on-registration-failure flair-only; to believe the headers: "
                "--registration header.",
            )
        finding["fallback"] = "flair-only"
        warnings.append(f"T1 does not match FLAIR ({received}) and was NOT USED: FLAIR alone.")
        return Rigid(), False
    if covered < LEAST_COVERED:
        warnings.append(
            f"T1 shows only {covered:.0%} of the head in FLAIR; the rest of its channel is empty."
        )
    return found.move, True
