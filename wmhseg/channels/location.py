"""Eight features of where a voxel lies in the brain.

M. Ghafoorian et al., Scientific Reports 7:5110 (2017), "Location features": coordinates x, y and z
in MNI space, in-plane distances to the left ventricle, the right ventricle, the cortex and the
midsagittal plane, and the prior probability of a hyperintensity, each scaled to 0..1 in every scan.

What the paper took from segmentations and registrations of its own is taken from the maps of the
average brain here, placed by ``placement``: ventricles where their probability is above a half, the
cortex at the border of the brain, the midsagittal plane at x = 0. Where a slice holds no ventricle
its distance is that of the farthest, 100 mm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg.channels import brain_maps, placement
from wmhseg.channels.brain_maps import BrainMaps, Float, Mask
from wmhseg.channels.placement import Placement
from wmhseg.errors import RegistrationError
from wmhseg.geometry import Triple
from wmhseg.weights import store
from wmhseg.weights.inputs import OF_LOCATION

LEAST_LIKENESS, LEAST_LEAD = 0.65, 0.03
"""A scan that is less like the average brain at its best place, or not by this much more than like
one upside down or back to front, has not been registered. docs/robustness.md has what was measured.
"""
LARGEST = 1.3
"""A brain so many times as high, deep or wide as the average one, or less than one so-manyth, is
none: the search ends at 1.32.
"""

_FARTHEST_MM = 100.0  # stands for "no ventricle in this slice"
# Slices this far apart never hold the nearest voxel: distances then are in-plane.
_NEVER_MM = 1e4
_X = 2  # the place of x in (z, y, x)


@dataclass(frozen=True)
class Located:
    """Where the voxels of a scan lie in the brain; arrays (slice, row, column).

    Attributes:
        channels: By the names in ``OF_LOCATION``: features, 0 to 1 in the brain, 0 outside.
        brain: The brain of the maps (without cerebellum and brain stem).
        quality: Likeness of the scan and the average brain, a correlation.
        placement: The way to MNI space.
    """

    channels: dict[str, Float]
    brain: Mask
    quality: float
    placement: Placement


def features(flair: Float, t1: Float | None, spacing_mm: Triple) -> Located:
    """Registers a scan to the average brain and tells where its voxels lie.

    Args:
        flair: (slice, row, column) of axial slices in LPS order; any positive scale.
        t1: On the same voxels; it is registered where it is there, as it shows the ventricles and
            white matter better, and FLAIR only where T1 leaves doubt.
        spacing_mm: Distance between slices, rows and columns.

    Raises:
        RegistrationError: If the scan is not like the average brain anywhere, is as much like one
            upside down or back to front, or is of a size that no head has.
    """
    maps = brain_maps.load()
    placed = find_place({"FLAIR": flair} if t1 is None else {"T1": t1, "FLAIR": flair}, spacing_mm)
    box = _box(maps, placed, flair.shape, spacing_mm)
    there = _moved(placed, [part.start for part in box], spacing_mm)
    inside = (
        placement.mapped(maps.brain.astype(np.float32), maps, there, flair[box].shape, spacing_mm)
        > 0.5
    )
    channels = {}
    for name, column in columns(inside, there, maps, spacing_mm).items():
        channels[name] = np.zeros(flair.shape, np.float32)
        channels[name][box][inside] = column
    brain = np.zeros(flair.shape, bool)
    brain[box] = inside
    return Located(channels, brain, placed.quality, placed)


def find_place(volumes: Mapping[str, Float], spacing_mm: Triple) -> Placement:
    """Where the first of some scans lies whose place is beyond doubt.

    A scan whose likeness suffices, but hardly exceeds that of a brain upside down or back to front,
    leaves the word to the next.

    Args:
        volumes: "T1" or "FLAIR" -> (slice, row, column), all on the same voxels.
        spacing_mm: Distance between slices, rows and columns.

    Raises:
        RegistrationError: If a scan is refused for more than that, or there is no other.
    """
    refused: RegistrationError | None = None
    for scan, volume in volumes.items():
        placed = placement.place(volume, spacing_mm, brain_maps.load(), scan)
        try:
            _check(placed, scan)
        except RegistrationError as error:
            refused = refused or error
            if placed.quality < LEAST_LIKENESS or not 0 <= placed.lead < LEAST_LEAD:
                break
        else:
            return placed
    assert refused is not None
    raise refused


def _check(placed: Placement, scan: str) -> None:
    """Raises unless a scan is like the average brain, upright, and of a size that heads have."""
    height, depth, width = placed.sizes
    if placed.quality < LEAST_LIKENESS:
        received = f"a likeness of {placed.quality:.2f}, where {LEAST_LIKENESS:g} is the least"
    elif placed.lead < LEAST_LEAD:
        received = "a scan as much, or more, like a brain upside down or back to front"
    elif placed.sizes.max() > LARGEST or placed.sizes.min() < 1 / LARGEST:
        received = f"a brain {height:.2f} x {depth:.2f} x {width:.2f} times as high, deep and wide"
    else:
        return
    raise RegistrationError(
        f"A head that can be registered to the average brain was expected in the {scan} image",
        received=received,
        advice="Check that it shows a whole head, the way up and of the size that its header "
        "says. A model without location features needs no such place: "
        f"--model {store.DEFAULT_MODEL}.",
    )


def columns(
    brain: Mask, placed: Placement, maps: BrainMaps, spacing_mm: Triple
) -> dict[str, Float]:
    """The features of the voxels of a brain.

    Args:
        brain: (slice, row, column).
        placed: Where it lies.
        maps: The maps that it was placed in.
        spacing_mm: Distance between slices, rows and columns.

    Returns:
        By the names in ``OF_LOCATION``: (voxel,), 0 to 1 over the brain, in the order of ``brain``.
    """
    places = placed.coordinates_mm(brain.shape, spacing_mm)
    fluid = placement.mapped(maps.ventricles, maps, placed, brain.shape, spacing_mm) > 0.5
    left = fluid & (places[_X] > 0)
    made: dict[str, npt.NDArray[np.floating]] = {
        axis: place[brain] for axis, place in zip("zyx", places, strict=True)
    }
    for name, mask in (
        ("left-ventricle", left),
        ("right-ventricle", fluid & ~left),
        ("cortex", ~brain),
    ):
        apart = distance_in_plane_mm(mask, spacing_mm)[brain]
        made[name] = np.minimum(apart, np.float32(_FARTHEST_MM))
    # In the slice, x of the maps rises by this much a millimetre.
    slope = float(np.hypot(*placed.matrix[_X, 1:]))
    made["midsagittal"] = np.abs(made["x"]) / np.float32(slope)
    made["prior"] = placement.mapped(maps.wmh, maps, placed, brain.shape, spacing_mm)[brain]
    return {name: unit_range(made[name]) for name in OF_LOCATION}


def distance_in_plane_mm(mask: Mask, spacing_mm: Triple) -> Float:
    """Distance of every voxel to the nearest of a mask in its slice; very large without one."""
    distance_mm = np.full(mask.shape, _NEVER_MM, np.float32)
    for place in np.flatnonzero(mask.any((1, 2))):
        distance_mm[place] = ndimage.distance_transform_edt(~mask[place], spacing_mm[1:])
    return distance_mm


def unit_range(values: npt.NDArray[np.floating]) -> Float:
    """Scales values to 0..1; equal values become 0."""
    if not values.size:
        return values.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    return ((values - low) / max(high - low, 1e-6)).astype(np.float32)


def _box(
    maps: BrainMaps, placed: Placement, shape: tuple[int, ...], spacing_mm: Triple
) -> tuple[slice, ...]:
    """The part of a scan that holds the brain, with a voxel to spare."""
    held = np.argwhere(maps.brain)
    sides = np.stack([held.min(0), held.max(0)]) * maps.spacing_mm + maps.origin_mm
    corners = np.array([[sides[c[i], i] for i in range(3)] for c in np.ndindex(2, 2, 2)])
    back = np.linalg.inv(placed.matrix)
    index = (corners - placed.offset_mm) @ back.T / spacing_mm
    first = np.clip(np.floor(index.min(0)).astype(int) - 1, 0, shape)
    last = np.clip(np.ceil(index.max(0)).astype(int) + 2, first, shape)
    return tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))


def _moved(placed: Placement, first: list[int], spacing_mm: Triple) -> Placement:
    """The placement of the part of a scan that begins at a voxel."""
    moved = placed.matrix @ (np.array(first) * spacing_mm)
    return replace(placed, offset_mm=placed.offset_mm + moved)
