"""Looks a scan or a pair over before it is segmented, and says in sentences what was found.

Findings have a level: "ok" and "note" need nothing, a "warning" should be looked at, an "error"
makes a result worthless and stops a segmentation: another contrast than asked for, FLAIR and T1
exchanged, one image twice, a mask in place of a scan, nothing like a head. So an error is only what
is beyond doubt. Nothing here changes a scan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.checking import headers, judgement, voxels
from wmhseg.checking.findings import Finding, Level
from wmhseg.checking.voxels import Look
from wmhseg.errors import UnsuitableScanError
from wmhseg.geometry import Grid
from wmhseg.io import forms
from wmhseg.io.forms import Forms
from wmhseg.io.images import Scan
from wmhseg.io.nifti import Header
from wmhseg.preparation import bad_slices, intensity, levels, sizes
from wmhseg.preparation.bad_slices import BadSlices
from wmhseg.preparation.one_grid import MOST_TILT_DEG
from wmhseg.weights.methods import METHODS

# Thresholds of the brain masks on the challenge's scale: what "on scale" is measured by.
_PUBLISHED = METHODS["published"].preprocessing
_MASK_THRESHOLDS = {"FLAIR": _PUBLISHED.flair_threshold, "T1": _PUBLISHED.t1_threshold}

_OBLIQUE_DEG = (1.0, MOST_TILT_DEG)
_THICK_RATIO, _ISOTROPIC_RATIO = 2.0, 1.6
_FORMS_MM = (0.5, 1.0)  # below the first, rounding; above the second, another place
_ROUNDED_MM = (0.05, 0.5)  # below the first nobody could tell; above the second half a voxel
# A head, or a brain without its skull: those of adults, with room for children and large heads.
_WIDTH_MM, _LENGTH_MM, _HEIGHT_MM = (95, 220), (120, 260), 85
_TOP_CUT = (0.25, 0.6)
_SIDE_CUT = 0.08
_FEW_VALUES, _LABEL_VALUES = 64, 8
_LOW_SNR = 10.0
_GHOST_LIMIT = 0.025  # of the phantom test that ``voxels`` names
_SAMPLE_VOX, _GLANCE_VOX, _GLANCE_SLICES = 10_000_000, 200_000, 8
# Share of neighbours with one value: about 0.9 in label maps, below 0.3 in scans.
_PATCHY = 0.7
_LEAST_HEAD_MM = 30.0
_AXES = {"L": "sagittal", "R": "sagittal", "A": "coronal", "P": "coronal"}


def examine(flair: Scan, t1: Scan | None = None) -> list[Finding]:
    """Looks over what is going to be segmented.

    Args:
        flair: What is taken for FLAIR.
        t1: What is taken for T1, None if there is none.

    Returns:
        Findings about FLAIR, then T1, then the pair.
    """
    scans = [flair] if t1 is None else [flair, t1]
    # A scan may be called anything by a caller; here it is what it is used as.
    scans = [replace(scan, name=name) for scan, name in zip(scans, _MASK_THRESHOLDS, strict=False)]
    impossible = [finding for scan in scans for finding in _impossible(scan)]
    if impossible:  # what else is measured in mm would mean nothing
        return impossible + [finding for scan in scans for finding in _place(scan)]
    found: list[Finding] = []
    for place, scan in enumerate(scans):
        bad = bad_slices.find(scan)
        found += _slices(bad, scan.name)
        scan = bad_slices.emptied(scan, bad, bad_slices.unknown(scan, bad))
        level = levels.find(scan.array)
        if level is not None:
            text = f"{scan.name}: no plain magnitude image: {level.told()}."
            found.append(Finding("level", Level.WARNING, scan.name, text))
            scan = replace(scan, array=level.applied(scan.array))
        scans[place] = scan
    looks = [voxels.look(scan) for scan in scans]
    exchanged = judgement.exchanged(looks)
    for scan, seen in zip(scans, looks, strict=True):
        found += _place(scan)
        found += _voxels(scan)
        found += _head(seen, scan.name)
        found += _quality(seen, scan.name)
        if not exchanged:
            found.append(judgement.contrast(seen, scan.name))
    if t1 is not None:
        found += judgement.pair(scans, looks)
    return found


def _impossible(scan: Scan) -> Iterator[Finding]:
    try:
        sizes.check_size(scan)
    except UnsuitableScanError as error:
        spacing_mm = list(scan.grid.spacing_mm)
        text = f"{scan.name}: {sizes.size(scan.grid)}: no head is of that size. {error.advice}"
        yield Finding("size", Level.ERROR, scan.name, text, {"spacing_mm": spacing_mm})


def _place(scan: Scan) -> Iterator[Finding]:
    if scan.header is not None:
        yield from _header(scan.header, scan.name)
    yield from _grid(scan.grid, scan.name)


# Header and grid --------------------------------------------------------------------------------


def _header(header: Header, name: str) -> Iterator[Finding]:
    def found(topic: str, level: Level, text: str, **values: Any) -> Finding:
        return Finding(topic, level, name, f"{name}: {text}", values)

    record = header.record
    slope, intercept = float(record["scl_slope"]), float(record["scl_inter"])
    stored = header.dtype.newbyteorder("=").name
    text = f"voxels are stored as {stored}"
    if header.scaling != (1.0, 0.0):
        text += f", times {slope:g} plus {intercept:g}"
    eight = header.dtype.itemsize == 1
    more = "; 8 bits hold 256 grey values, check that contrast was not lost" if eight else ""
    level = Level.NOTE if eight else Level.OK
    yield found("type", level, f"{text}{more}.", stored=stored, slope=slope, intercept=intercept)

    unit = headers.unit(header)
    if unit != "millimetres":
        read = "are read as millimetres" if unit.startswith("un") else "are converted"
        yield found("unit", Level.NOTE, f"lengths are in {unit} and {read}.", unit=unit)
    count = len(headers.description(header))
    if count:
        text = (
            f"the header has a free text of {count} character{'s' * (count != 1)}; it may name a "
            "person, and is not repeated here."
        )
        yield found("description", Level.OK, text, characters=count)

    yield from _forms(forms.forms(header), name)


def _forms(said: Forms, name: str) -> Iterator[Finding]:
    def found(topic: str, level: Level, text: str, **values: Any) -> Finding:
        return Finding(topic, level, name, f"{name}: {text}", values)

    codes = {"qform_code": said.qform_code, "sform_code": said.sform_code}
    q, s = (forms.code_name(code) for code in codes.values())
    values = {**codes, "distance_mm": round(min(said.distance_mm, 1e9), 3)}
    if not any(codes.values()):
        yield found(
            "forms",
            Level.WARNING,
            "the header holds neither a qform nor an sform, so nobody can know left from right nor "
            "front from back; it is taken to be stored in LAS order, as FSL, SPM and nibabel do. "
            "The mask has no form either.",
            **values,
        )
    elif not all(codes.values()):
        only = f"sform ({s})" if said.sform_code else f"qform ({q})"
        yield found("forms", Level.OK, f"the {only} alone places the image.", **values)
    elif said.mirrored or said.distance_mm > _FORMS_MM[1]:
        mirrored = "are mirror images and " if said.mirrored else ""
        sides = " Check left and right." if said.mirrored else ""
        yield found(
            "forms",
            Level.WARNING,
            f"qform ({q}) and sform ({s}) {mirrored}lie {said.distance_mm:.4g} mm apart; the sform "
            f"is believed, as by FSL, SPM and nibabel, and the mask carries both as the scan "
            f"does.{sides}",
            **values,
        )
    else:
        exact = said.distance_mm <= _FORMS_MM[0]
        differ = "agree" if exact else f"differ by {said.distance_mm:.2f} mm"
        level = Level.OK if exact else Level.NOTE
        yield found("forms", level, f"qform ({q}) and sform ({s}) {differ}.", **values)
    if said.straightened_mm > _ROUNDED_MM[0]:
        yield found(
            "shear",
            Level.WARNING if said.straightened_mm > _ROUNDED_MM[1] else Level.NOTE,
            f"the axes of the {said.believed} are not quite at right angles or as long as the "
            "voxel sizes say, as if rounded; they are made so, which moves a corner by "
            f"{said.straightened_mm:.2g} mm. The mask carries the form as it is.",
            straightened_mm=round(said.straightened_mm, 3),
        )


def _grid(grid: Grid, name: str) -> Iterator[Finding]:
    code = grid.orientation
    degrees = grid.tilt_deg
    low, high = _OBLIQUE_DEG
    oblique = f", {degrees:.0f} degrees oblique" if degrees > low else ""
    spacing = grid.spacing_mm
    # The largest distance is the one between slices, whatever the order in the file.
    along = int(np.argmax(spacing)) if max(spacing) > _ISOTROPIC_RATIO * min(spacing) else 0
    plane = _AXES.get(code[2 - along], "axial")
    level = Level.OK if degrees <= low else Level.NOTE if degrees <= high else Level.WARNING
    advice = " Axes are never rotated: look at the mask." if level is Level.WARNING else ""
    yield Finding(
        "orientation",
        level,
        name,
        f"{name}: stored in {code} order, {plane} slices{oblique}.{advice}",
        {"orientation": code, "plane": plane, "oblique_degrees": round(degrees, 2)},
    )
    yield _acquisition(grid, along, name)


def _acquisition(grid: Grid, along: int, name: str) -> Finding:
    sizes = " x ".join(f"{s:.3g}" for s in reversed(grid.spacing_mm))
    apart = grid.spacing_mm[along]
    ratio = apart / min(grid.spacing_mm)
    counts = " x ".join(str(n) for n in reversed(grid.shape))
    text = f"{name}: {counts} voxels of {sizes} mm, "
    if ratio >= _THICK_RATIO:
        kind = "2D"
        text += (
            f"probably a 2D acquisition with slices every {apart:.3g} mm. NIfTI does not keep the "
            "slice thickness, so gaps between slices cannot be known; ask the protocol."
        )
    elif ratio <= _ISOTROPIC_RATIO:
        kind = "3D"
        text += "probably a 3D acquisition (or resampled to such voxels)."
    else:
        kind = "unknown"
        text += "a 2D or a 3D acquisition; gaps between slices cannot be known from NIfTI."
    values = {"spacing_mm": [round(s, 4) for s in grid.spacing_mm], "acquisition": kind}
    return Finding("voxels", Level.OK, name, text, values | {"shape": list(grid.shape)})


# Voxels -----------------------------------------------------------------------------------------


def _voxels(scan: Scan) -> Iterator[Finding]:
    def found(topic: str, level: Level, text: str, **values: Any) -> Finding:
        return Finding(topic, level, scan.name, f"{scan.name}: {text}", values)

    array, name = scan.array, scan.name
    wrapped = intensity.is_wrapped(array)
    if wrapped:
        yield found(
            "wrapped",
            Level.WARNING,
            "unsigned 16-bit numbers were stored as signed ones: the brightest voxels are "
            "negative. wmhseg segment repairs them.",
        )
        array = intensity.unwrap(array)
    low, high = float(array.min()), float(array.max())
    # Of the largest scans every second or third voxel along each axis will do.
    step = max(1, round((array.size / _SAMPLE_VOX) ** (1 / 3)))
    sample = array[::step, ::step, ::step]
    flat = sample.reshape(-1)
    few = np.unique(flat[:: max(1, flat.size // _GLANCE_VOX)]).size <= _FEW_VALUES
    count = np.unique(flat).size if few else _FEW_VALUES + 1
    if count <= _LABEL_VALUES:
        yield found(
            "values",
            Level.ERROR,
            f"there are only {count} different values: a mask or label map, not a scan.",
            count=int(count),
        )
    elif _is_label_map(sample):
        yield found("values", Level.ERROR, "this is a label map, not a scan.")
    elif count <= _FEW_VALUES:
        yield found("values", Level.WARNING, f"there are only {count} different values.")
    scale = intensity.check_scale(sample, _MASK_THRESHOLDS[name])
    where = "in" if scale.on_scale else "not in"
    more = "" if scale.on_scale else f"; wmhseg segment multiplies them by {scale.factor:.4g}"
    yield found(
        "scale",
        Level.OK if scale.on_scale else Level.NOTE,
        f"intensities from {low:g} to {high:g}, {where} the range of the challenge's scans{more}.",
        minimum=low,
        maximum=high,
        factor=scale.factor,
    )


def _slices(found: Sequence[BadSlices], name: str) -> Iterator[Finding]:
    for bad in found:
        values = {
            "axis": bad.axis,
            "empty": list(bad.empty),
            "constant": list(bad.constant),
            "copies": [list(pair) for pair in bad.copies],
            "partly": list(bad.partly),
        }
        if bad.told():
            text = f"{name}: {bad.told()}: nothing can be known of what lies there."
            yield Finding("slices", Level.WARNING, name, text, values)
        if bad.enlarged:
            text = f"{name}: many slices repeat their neighbour: enlarged without interpolation."
            yield Finding("slices", Level.NOTE, name, text, values)


def _is_label_map(sample: npt.NDArray[np.float32]) -> bool:
    """Whether whole numbers come in patches of one value: a scan's noise has none."""
    step = max(1, len(sample) // _GLANCE_SLICES)
    planes = sample[::step]
    if not np.array_equal(planes, np.rint(planes)):
        return False
    left, right = planes[:, :, :-1], planes[:, :, 1:]
    inside = (left != 0) & (right != 0)
    return bool(inside.any()) and float((left == right)[inside].mean()) > _PATCHY


def _head(seen: Look, name: str) -> Iterator[Finding]:
    def found(topic: str, level: Level, text: str, **values: Any) -> Finding:
        return Finding(topic, level, name, f"{name}: {text}", values)

    height, length, width = seen.extent_mm
    sizes = f"{width:.0f} mm wide, {length:.0f} mm long and {height:.0f} mm high"
    what = {True: "the head", False: "the brain, without skull,", None: "what is bright"}[
        seen.skull
    ]
    values = {
        "extent_mm": [round(mm, 1) for mm in seen.extent_mm],
        "brain_mm": [round(mm, 1) for mm in seen.brain_mm],
        "skull": seen.skull,
    }
    if min(length, width) < _LEAST_HEAD_MM:
        yield found("size", Level.ERROR, f"there is no head: {what} is {sizes}.", **values)
        return
    usual = _WIDTH_MM[0] <= width <= _WIDTH_MM[1] and _LENGTH_MM[0] <= length <= _LENGTH_MM[1]
    if not usual:
        yield found(
            "size",
            Level.WARNING,
            f"{what} is {sizes}, which is no adult's: check the voxel sizes and the contents.",
            **values,
        )
    else:
        level = Level.OK if height >= _HEIGHT_MM else Level.WARNING
        more = "" if height >= _HEIGHT_MM else ": a part of the brain is missing"
        yield found("coverage", level, f"{what} is {sizes}{more}.", **values)
    note, warn = _TOP_CUT
    if seen.top_share > note:
        level = Level.WARNING if seen.top_share > warn else Level.NOTE
        yield found(
            "top",
            level,
            f"the uppermost slice holds {seen.top_share:.0%} of the largest slice's area: the "
            "vertex is cut off, perhaps with some brain.",
            share=round(seen.top_share, 3),
        )
    if seen.skull is False and seen.bottom_share > warn:
        yield found(
            "bottom",
            Level.WARNING,
            f"the lowest slice holds {seen.bottom_share:.0%} of the largest slice's area: the "
            "lower part of the brain is missing.",
            share=round(seen.bottom_share, 3),
        )
    if seen.side_share > _SIDE_CUT:
        yield found(
            "sides",
            Level.WARNING,
            f"{seen.side_share:.0%} of the image's border at the sides is bright: the head is cut "
            "off, folds over, or there is no dark air.",
            share=round(seen.side_share, 3),
        )


def _quality(seen: Look, name: str) -> Iterator[Finding]:
    if seen.snr is None:
        text = f"{name}: noise and motion cannot be judged, the air around the head holds none."
        yield Finding("noise", Level.OK, name, text, {"snr": None})
        return
    low = seen.snr < _LOW_SNR
    yield Finding(
        "noise",
        Level.WARNING if low else Level.OK,
        name,
        f"{name}: signal is about {seen.snr:.0f} times the noise in the air (filters and parallel "
        f"imaging change this figure){': a noisy scan' if low else ''}.",
        {"snr": round(seen.snr, 1)},
    )
    if seen.ghost is not None and seen.ghost > _GHOST_LIMIT:
        yield Finding(
            "ghosts",
            Level.WARNING,
            name,
            f"{name}: air is brighter along one direction by {seen.ghost:.1%} of the signal: look "
            "for ghosts of motion or flow.",
            {"ghost": round(seen.ghost, 4)},
        )
