"""From scans on one grid to the network's input: orient, scale, crop, normalise, pad."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from wmhseg import geometry
from wmhseg.errors import GridMismatchError, MissingT1Error
from wmhseg.geometry import Conformation
from wmhseg.io.images import Scan
from wmhseg.preparation import intensity
from wmhseg.weights import store
from wmhseg.weights.preset import Preset

# What a user is warned of: a share of the head outside the network's field, and pixels outside the
# sizes of the challenge's scanners (0.95 to 1.21 mm) and of our training, with some room.
LOST_SHARE = 0.02
PIXEL_MM = (0.8, 1.25)


@dataclass(frozen=True)
class Prepared:
    """A scan as the network takes it.

    Attributes:
        stack: (slice, row, column, channel) float32.
        conformation: The way back to the scan's matrix.
        scales: The finding about each modality's intensity scale, by name.
        warnings: Sentences for the report.
    """

    stack: npt.NDArray[np.float32]
    conformation: Conformation
    scales: dict[str, intensity.ScaleFinding]
    warnings: tuple[str, ...]


def _check_t1(chosen: Preset, flair: Scan, t1: Scan | None) -> None:
    """Raises unless T1 is there when the model needs it, on the FLAIR scan's grid."""
    if chosen.channels == 1:
        return
    if t1 is None:
        if chosen.without_t1 == "error":
            able = [m.preset.name for m in store.all_models() if m.preset.works_without_t1]
            raise MissingT1Error(
                f"A T1 image was expected: model {chosen.name} needs FLAIR and T1",
                received="FLAIR alone",
                advice="Without T1 use --model " + " or --model ".join(able) + "."
                if able
                else "No installed model works without T1.",
            )
        return
    difference = flair.grid.difference(t1.grid)
    if difference:
        raise GridMismatchError(
            "FLAIR and T1 on one voxel grid were expected",
            received=difference,
            advice="Register T1 to FLAIR and resample it to the FLAIR grid first.",
        )


def _scaled(
    volume: npt.NDArray[np.float32], name: str, threshold: float, mode: Literal["adapt", "keep"]
) -> tuple[npt.NDArray[np.float32], intensity.ScaleFinding, list[str]]:
    """Brings a volume to the challenge's scale, or only says that it is not on it."""
    told = []
    if intensity.is_wrapped(volume):
        defect = f"The {name} image holds unsigned 16-bit numbers stored as signed ones"
        if mode == "adapt":
            volume = intensity.unwrap(volume)
            told.append(f"{defect}: 65536 was added to its negative, really brightest, voxels.")
        else:
            told.append(f"{defect}; --intensity-scale adapt would repair its brightest voxels.")
    found = intensity.check_scale(volume, threshold)
    if not found.on_scale and mode == "adapt":
        volume = intensity.rescale(volume, found.factor)
    elif not found.on_scale:
        told.append(
            f"The {name} image is not on the challenge's intensity scale (masks agree to DSC "
            f"{found.agreement:.2f}) and was not adapted; --intensity-scale adapt would multiply "
            f"it by {found.factor:.4g}."
        )
    return volume, found, told


def _field_warnings(way: Conformation, flair: npt.NDArray[np.float32], chosen: Preset) -> list[str]:
    """Says when the network's field cuts part of the head off, or pixels are unusual."""
    told = []
    head = intensity.foreground(flair)
    lost = 1 - int(way.crop(head).sum()) / max(1, int(head.sum()))
    if lost > LOST_SHARE:
        rows, columns = chosen.preprocessing.field
        told.append(
            f"{lost:.0%} of the head lies outside the {rows} x {columns} pixels that the network "
            "sees, and is left empty: resample the scan to pixels of about 1 mm."
        )
    spacing = way.oriented_spacing_mm[1:]
    if not all(PIXEL_MM[0] <= size <= PIXEL_MM[1] for size in spacing):
        told.append(
            f"Pixels of {spacing[0]:.2f} x {spacing[1]:.2f} mm are unusual: networks see "
            f"{PIXEL_MM[0]} to {PIXEL_MM[1]} mm in training. Look at the mask."
        )
    return told


def prepare(
    flair: Scan,
    t1: Scan | None,
    chosen: Preset,
    *,
    intensity_scale: Literal["adapt", "keep"] = "adapt",
) -> Prepared:
    """Turns a scan into the network's input: orient, scale, crop, normalise, pad.

    Args:
        flair: The FLAIR scan.
        t1: The T1 scan on the same grid, or None.
        chosen: What to do.
        intensity_scale: See ``pipeline.Options``.

    Returns:
        The stack of all slices, and the way back.

    Raises:
        MissingT1Error: If the model needs T1 and there is none.
        GridMismatchError: If the grids differ.
        EmptyMaskError: If no voxel reaches the brain-mask threshold.
        ConstantImageError: If a scan is constant inside its mask.
    """
    _check_t1(chosen, flair, t1)
    method = chosen.preprocessing
    way = geometry.conform(flair.grid, method.field, method.orientation)
    warnings = []
    scans = [flair] if t1 is None or chosen.channels == 1 else [flair, t1]
    if t1 is not None and chosen.channels == 1:
        warnings.append(f"T1 was given but not used: model {chosen.name} takes FLAIR alone.")
    if t1 is None and chosen.channels == 2:
        warnings.append("No T1 was given: its channel was left empty.")
    if method.orientation == "stored" and flair.grid.orientation[2] not in "SI":
        warnings.append(
            f"Slices are not axial (orientation {flair.grid.orientation}) and this model takes "
            "scans as they are stored: do not trust the result."
        )

    volumes, scales = [], {}
    for scan, threshold in zip(scans, (method.flair_threshold, method.t1_threshold), strict=False):
        volume = way.orient(scan.array)
        # A modality without a threshold of its own has no scale either: z-scores undo any factor.
        if scan is flair or method.mask == "each":
            volume, scales[scan.name], told = _scaled(volume, scan.name, threshold, intensity_scale)
            warnings += told
        volumes.append(
            volume if method.ceiling is None else intensity.limit(volume, method.ceiling)
        )
    warnings += _field_warnings(way, volumes[0], chosen)
    names = [scan.name for scan in scans]
    if method.order == "crop-normalise":
        volumes = intensity.normalise([way.crop(v) for v in volumes], names, method)
    else:
        volumes = [way.crop(v) for v in intensity.normalise(volumes, names, method)]
    stack = np.zeros((way.slices, *method.field, chosen.channels), np.float32)
    for channel, volume in enumerate(volumes):
        border = float(volume.min()) if method.padding == "background" else 0.0
        stack[..., channel] = way.pad(volume, border)
    return Prepared(stack, way, scales, tuple(warnings))
