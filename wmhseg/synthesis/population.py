"""Lesions of real people and their usual places, brought from MNI space into a head.

Masks of lesions hold no image, so they can be put into any head: an affine and a smooth
deformation take the head's own white matter and ventricles to the population's. Arrays are
(slice, row, column); positions are (x, y, z) LPS millimetres.

Sources: Z. Lesjak et al., Neuroinformatics 16 (2018) 51-63 (lesion masks); M. Dadar et al., BISON
(probability maps); Stroke Outcome Optimization Project (masks of infarcts). The deformation:
T. Vercauteren et al., NeuroImage 45 (2009) S61-S72.
"""

# SimpleITK comes without type hints.
# mypy: untyped-calls-exclude="SimpleITK"

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from wmhseg.errors import MissingFileError
from wmhseg.geometry import Grid, turn_to
from wmhseg.io import images
from wmhseg.synthesis.heads import (
    COARSE,
    EIGHTH_MM,
    FAR_MM,
    INDEX,
    MAPS,
    Float,
    Head,
    Mask,
    Shapes,
)

# The scans of these two people judge the networks, so their lesions must not train any.
VALIDATION_PATIENTS = ("07", "26")
WMH_PROBABILITY = 0.0036965606
"""Stored values of the map of hyperintensities times this are probabilities."""

_COARSE_MM = 2.0


@dataclass(frozen=True)
class PersonLesions:
    """The lesions of one person in MNI space.

    Attributes:
        inside: Signed distance to the border in eighths of a millimetre, positive inside.
        number: Number of the nearest lesion, from 0.
        origin_mm: Position (x, y, z) of voxel [0, 0, 0]; voxels are 1 mm.
    """

    inside: npt.NDArray[np.int8]
    number: npt.NDArray[np.int16]
    origin_mm: tuple[float, float, float]


@dataclass(frozen=True)
class Population:
    """What is known of many people, in MNI space.

    Attributes:
        anatomy: White matter 1, lateral ventricles -1, the rest 0; 1 mm.
        wmh: Probability of hyperintensities, on the same grid.
        origin_mm: Position (x, y, z) of voxel [0, 0, 0] of both.
        people: Lesions of real people, one record each.
        strokes: Infarcts of real people, one record each.
    """

    anatomy: Float
    wmh: Float
    origin_mm: tuple[float, float, float]
    people: Sequence[PersonLesions]
    strokes: Sequence[PersonLesions] = ()


def load_population(
    priors: Path,
    lesions: Path | None = None,
    exclude: Sequence[str] = VALIDATION_PATIENTS,
    strokes: Path | None = None,
) -> Population:
    """Reads probability maps and lesion masks; all in LPS order at 1 mm.

    Args:
        priors: Folder of ``wmh``, ``ventricles`` and ``white_matter`` (``.nii.gz``, bytes).
        lesions: Folder of one mask (``.nii.gz``) a person, in the same space; None for no masks.
        exclude: Names (without ``.nii.gz``) of masks to leave out. By default those of people
            whose scans are used for validation.
        strokes: Folder of one mask of infarcts (``.nii.gz``) a person, in MNI space in any
            orientation; None for no masks.

    Raises:
        MissingFileError: If a map is not there, or a folder of masks holds none.
        InputError: If one cannot be read.
    """
    wmh, grid = images.read_labels(priors / "wmh.nii.gz")
    white, ventricles = (
        images.read_labels(priors / f"{name}.nii.gz")[0].astype(np.float32) / 255
        for name in ("white_matter", "ventricles")
    )
    people = []
    if lesions is not None:
        paths = [p for p in sorted(lesions.glob("*.nii.gz")) if p.name[:-7] not in exclude]
        if not paths:
            raise MissingFileError(
                "A folder of lesion masks in MNI space (*.nii.gz) was expected", received=lesions
            )
        for path in paths:
            mask, where = images.read_labels(path)
            people.append(person(mask > 0, where))
    probability: Float = (wmh * WMH_PROBABILITY).astype(np.float32)
    anatomy: Float = (white - ventricles).astype(np.float32)
    infarcts = [] if strokes is None else load_strokes(strokes)
    return Population(anatomy, probability, grid.origin_mm, people, infarcts)


def load_strokes(folder: Path) -> list[PersonLesions]:
    """Reads masks of infarcts.

    Args:
        folder: One mask (``.nii.gz``) a person, in MNI space at 1 mm, in any orientation.

    Raises:
        MissingFileError: If it holds none.
        InputError: If one cannot be read.
    """
    paths = sorted(folder.glob("*.nii.gz"))
    if not paths:
        raise MissingFileError(
            "A folder of infarct masks in MNI space (*.nii.gz) was expected", received=folder
        )
    return [_infarcts(path) for path in paths]


def _infarcts(path: Path) -> PersonLesions:
    """Reads one person's infarcts, which are one lesion; only what lies around them is kept."""
    stored, grid = images.read_labels(path)
    turn = turn_to(grid, "LPS")
    whole = person(turn.forward(stored) > 0, turn.target)
    near = np.argwhere(whole.inside > -127)
    if not near.size:
        return whole
    low = np.maximum(near.min(0) - 1, 0)
    box = tuple(slice(a, b) for a, b in zip(low, near.max(0) + 2, strict=True))
    z, y, x = (float(at) for at in low)
    x0, y0, z0 = whole.origin_mm
    inside = whole.inside[box].copy()
    return PersonLesions(inside, np.zeros(inside.shape, np.int16), (x0 + x, y0 + y, z0 + z))


def person(mask: Mask, grid: Grid) -> PersonLesions:
    """Prepares one person's lesion mask (slice, row, column) at 1 mm."""
    number, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    reach = int(FAR_MM) + 2
    inside = np.full(mask.shape, -127, np.int8)
    nearest = np.zeros(mask.shape, np.int16)
    places = np.argwhere(mask)
    if places.size:
        box = tuple(
            slice(max(0, int(low) - reach), int(high) + reach + 1)
            for low, high in zip(places.min(0), places.max(0), strict=True)
        )
        outer, index = ndimage.distance_transform_edt(~mask[box], return_indices=True)
        # The border lies half a voxel from the centres on both sides of it.
        signed = np.where(mask[box], ndimage.distance_transform_edt(mask[box]) - 0.5, 0.5 - outer)
        inside[box] = np.clip(np.round(signed / EIGHTH_MM), -127, 127)
        nearest[box] = number[box][tuple(index)] - 1
    return PersonLesions(inside, nearest, grid.origin_mm)


def add_to(head: Head, population: Population, *, mirrored: Sequence[bool] | None = None) -> Head:
    """Returns the head with the population's map and the lesions of real people in it.

    Args:
        head: Without them.
        population: What to bring into it.
        mirrored: For each person of the population, then for each whose infarcts are known,
            whether left and right change places.
    """
    brain = _brain(head)
    places = np.flatnonzero(brain)
    coarse = _coarse_places(brain)
    position, wide = np.split(align(head, population, np.append(places, coarse[1])), [places.size])
    maps = head.maps.copy()
    prior = _look_up(population.wmh, position, population.origin_mm)
    maps.reshape(-1, len(MAPS))[places, MAPS.index("prior")] = np.round(255 * np.clip(prior, 0, 1))
    flips = [False] * (len(population.people) + len(population.strokes))
    flips = list(mirrored) if mirrored is not None else flips
    shapes = _all_sparse(population.people, position, places, flips)
    strokes = _all_sparse(population.strokes, wide, coarse[0], flips[len(population.people) :])
    if strokes is not None:
        strokes = replace(strokes, lesion_ml=strokes.lesion_ml * np.float32(COARSE**3))
    return replace(head, maps=maps, shapes=shapes, strokes=strokes)


def _coarse_places(brain: Mask) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Brain, and a little around it, of the coarse grid: places in that grid and in the head."""
    # Between points inside and outside of the brain there is an infarct's border, too.
    near = ndimage.binary_dilation(brain[::COARSE, ::COARSE, ::COARSE], iterations=2)
    own = np.flatnonzero(near)
    full = np.stack(np.unravel_index(own, near.shape)) * COARSE
    return own, np.ravel_multi_index(tuple(full), brain.shape)


def _all_sparse(
    people: Sequence[PersonLesions],
    position: Float,
    places: npt.NDArray[np.intp],
    mirrored: Sequence[bool],
) -> Shapes | None:
    """The lesions of all people at places that lie at positions in MNI space."""
    parts = []
    for number, one in enumerate(people):
        # MNI space is symmetric about x = 0.
        way = position * np.array([-1, 1, 1], np.float32) if mirrored[number] else position
        parts.append(_sparse(one, way, places, number))
    return _joined(parts) if parts else None


def _brain(head: Head) -> Mask:
    inside = (head.tissue > 0) & (head.tissue < INDEX["scalp_fat"])
    inside[: max(0, head.extent[0] - 10)] = False
    return np.asarray(inside)


def align(head: Head, population: Population, places: npt.NDArray[np.intp]) -> Float:
    """Finds where places of a head lie in MNI space.

    Args:
        head: The head.
        population: Its anatomy is what the head is brought to.
        places: In the flat head.

    Returns:
        (place, xyz) in mm.
    """
    white = np.isin(head.tissue, [INDEX["white_matter"], INDEX["wmh"]])
    lateral = np.isin(head.tissue, [INDEX["ventricle"], INDEX["choroid_plexus"]])
    own = white.astype(np.float32) - lateral * (head.map("ventricle") == 0)
    own[: max(0, head.extent[0] - 10)] = 0
    fixed = _coarse(own, (0.0, 0.0, 0.0))
    moving = _coarse(population.anatomy, population.origin_mm)
    affine = _affine(fixed, moving)
    moved = sitk.Resample(moving, fixed, affine, sitk.sitkLinear, 0.0)
    demons = sitk.DiffeomorphicDemonsRegistrationFilter()
    demons.SetStandardDeviations(1.4)
    demons.SetNumberOfIterations(100)
    field = demons.Execute(fixed, moved)
    shift = sitk.GetArrayViewFromImage(field)  # (slice, row, column, xyz)
    z, y, x = np.unravel_index(places, head.shape)
    scaled = np.stack([z, y, x]).astype(np.float32) / np.float32(_COARSE_MM)
    own_mm = np.stack([x, y, z], -1).astype(np.float32)
    for axis in range(3):
        own_mm[:, axis] += ndimage.map_coordinates(
            shift[..., axis], scaled, order=1, mode="nearest", output=np.float32
        )
    matrix = np.array(affine.GetMatrix()).reshape(3, 3)
    centre, move = np.array(affine.GetCenter()), np.array(affine.GetTranslation())
    position: Float = ((own_mm - centre) @ matrix.T + centre + move).astype(np.float32)
    return position


def _coarse(values: Float, origin_mm: tuple[float, float, float]) -> sitk.Image:
    """Smoothed, at 2 mm."""
    smooth = ndimage.gaussian_filter(values, 1.5)[::2, ::2, ::2]
    image = sitk.GetImageFromArray(np.ascontiguousarray(smooth))
    image.SetSpacing([_COARSE_MM] * 3)
    image.SetOrigin(origin_mm)
    return image


def _affine(fixed: sitk.Image, moving: sitk.Image) -> sitk.AffineTransform:
    """Affine from ``fixed`` to ``moving``, started from centres and extents of white matter."""

    def spread(image: sitk.Image) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        places = np.argwhere(sitk.GetArrayViewFromImage(image) > 0.5)[:, ::-1]
        points = places * _COARSE_MM + np.array(image.GetOrigin())
        return points.mean(0), points.std(0)

    (own, own_size), (theirs, their_size) = spread(fixed), spread(moving)
    start = sitk.AffineTransform(3)
    start.SetCenter(own.tolist())
    start.SetTranslation((theirs - own).tolist())
    start.SetMatrix(np.diag(their_size / own_size).ravel().tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMeanSquares()
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, 60)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([2, 0])
    method.SetInitialTransform(start, inPlace=True)
    method.Execute(fixed, moving)
    return start


def _look_up(
    values: npt.NDArray[np.generic], position: Float, origin_mm: Sequence[float], order: int = 1
) -> Float:
    """Values at positions (place, xyz); what lies outside takes the border's."""
    index = (position - np.array(origin_mm, np.float32))[:, ::-1].T
    there: Float = ndimage.map_coordinates(
        values, index, order=order, mode="nearest", output=np.float32
    )
    return there


def _sparse(
    one: PersonLesions, position: Float, places: npt.NDArray[np.intp], number: int
) -> Shapes:
    """One person's lesions at the places around them."""
    index = np.round(position - np.array(one.origin_mm, np.float32)).astype(np.intp)[:, ::-1]
    index = np.clip(index, 0, np.array(one.inside.shape) - 1)
    reach = round(FAR_MM / EIGHTH_MM)
    close = np.flatnonzero(one.inside[tuple(index.T)] > -reach)
    inside = np.round(_look_up(one.inside, position[close], one.origin_mm)).astype(np.int8)
    lesion = one.number[tuple(index[close].T)]
    order = np.argsort(lesion, kind="stable")
    close, inside, lesion = close[order], inside[order], lesion[order]
    present, starts = np.unique(lesion, return_index=True)
    volume = np.add.reduceat(inside > 0, starts) if present.size else np.zeros(0)
    return Shapes(
        voxels=places[close].astype(np.int32),
        inside=inside,
        starts=starts.astype(np.int64),
        person=np.full(present.size, number, np.int32),
        lesion_ml=(volume / 1000).astype(np.float32),
    )


def _joined(parts: Sequence[Shapes]) -> Shapes:
    """The lesions of all people; those that vanished on the way are left out."""
    lengths = np.cumsum([0] + [part.voxels.size for part in parts])
    starts = np.concatenate([part.starts + at for part, at in zip(parts, lengths, strict=False)])
    return Shapes(
        voxels=np.concatenate([part.voxels for part in parts]),
        inside=np.concatenate([part.inside for part in parts]),
        starts=np.append(starts, lengths[-1]).astype(np.int64),
        person=np.concatenate([part.person for part in parts]),
        lesion_ml=np.concatenate([part.lesion_ml for part in parts]),
    )
