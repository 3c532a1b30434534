"""Where the voxels of a scan lie in the brain: an affine registration to probability maps.

The only atlas at hand is three maps on the MNI 2009c grid (white matter, ventricles, white matter
hyperintensities). From the first two a picture is composed that looks like a T1 scan: white matter
bright, the rest of the brain grey, ventricles dark. A scan is registered to it by nine parameters
that raise their correlation inside the brain and its rim. Nothing is random: the same scan gives
the same placement.

Arrays are (slice, row, column) of axial slices in LPS order. A scan's own coordinates are
millimetres from its first voxel, (z, y, x); those of the atlas are LPS millimetres, (z, y, x).

Source of the maps: M. Dadar, BISON, VANDAlab (Apache-2.0).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage, optimize
from scipy.spatial.transform import Rotation

from wmhseg.errors import GridMismatchError
from wmhseg.geometry import Grid, Triple
from wmhseg.io import images
from wmhseg.preparation import intensity
from wmhseg.synthesis.population import WMH_PROBABILITY

Float = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]

# File name -> largest number stored stands for this probability.
MAPS = {"wmh": WMH_PROBABILITY * 255, "ventricles": 1.0, "white_matter": 1.0}

_RIM_MM = 8.0  # how far outside the brain the pictures are compared
_HULL_MM = 9.0  # radius of the ball that closes the white matter to a brain,
_CORTEX_MM = 3.0  # and how far it reaches beyond
_GRID_MM = 5.0  # distance of the places that are compared
# Each level: blur in mm, every how many-th place is compared, candidates kept.
_LEVELS = ((4.0, 4, 4), (2.0, 2, 1))
_BRIGHT = 1.8  # intensities above this multiple of the tissue median are cut: fat
_BRIGHT_SHARE = 0.5  # of the tissue median: white and grey matter are above, fluid and bone below
_SCALP_MM = 5.0
_SULCUS_MM = 3.0
# What 1 stands for: shifts of 10 mm, turns of 0.1 (6 degrees), scales of 7 %.
_UNIT = np.array([10.0] * 3 + [0.1] * 3 + [0.07] * 3)
_FURTHEST = 4.0
_STIFFNESS = 0.002  # likeness, from -1 to 1, that one unit of turn or scale must be worth
_STARTS_Z = (-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0)  # a head may reach down to the neck
_STARTS_Y = (-1.5, 0.0, 1.5)
_STARTS_SIZE = (-1.5, 0.0, 1.5)


@dataclass(frozen=True)
class BrainMaps:
    """The maps of the atlas on one grid; arrays (slice, row, column), probabilities from 0 to 1.

    Attributes:
        wmh: Of white matter hyperintensities.
        ventricles: Of the ventricles.
        white_matter: Of white matter.
        brain: The brain, made of the other two maps.
        origin_mm: LPS position of the first voxel, (z, y, x).
        spacing_mm: Distance between slices, rows and columns.
        points_mm: (n, 3) places where a scan is compared with the composed picture, and
        picture: (n,) the picture there.
    """

    wmh: Float
    ventricles: Float
    white_matter: Float
    brain: Mask
    origin_mm: Triple
    spacing_mm: Triple
    points_mm: Doubles
    picture: Doubles


def paths(folder: Path) -> list[Path]:
    """The files that ``load`` reads."""
    return [folder / f"{name}.nii.gz" for name in MAPS]


def load(folder: Path) -> BrainMaps:
    """Reads the maps and finds the brain.

    Raises:
        InputError: If a map is missing, unreadable, or on another grid than the first.
    """
    maps = {}
    grids: list[Grid] = []
    for name, path in zip(MAPS, paths(folder), strict=True):
        stored, grid = images.read_labels(path)
        if grid.orientation != "LPS" or (grids and grid.difference(grids[0])):
            raise GridMismatchError(
                f"Maps on one grid in LPS orientation were expected in {folder}",
                received=f"{path.name} in {grid.orientation}, "
                + ((grids and grid.difference(grids[0])) or "the first map"),
            )
        grids.append(grid)
        maps[name] = (stored * np.float32(MAPS[name] / 255)).astype(np.float32)
    x, y, z = grids[0].origin_mm
    return compose(maps, (z, y, x), grids[0].spacing_mm)


def compose(maps: dict[str, Float], origin_mm: Triple, spacing_mm: Triple) -> BrainMaps:
    """Makes the record of the three maps.

    The brain is white matter and ventricles, closed with a ball of 9 mm, filled, and grown by 3 mm
    for the cortex.
    """
    inner = maps["white_matter"] + maps["ventricles"] > 0.3
    room = round(2 * _HULL_MM / min(spacing_mm))
    padded = np.pad(inner, room)
    grown = ndimage.distance_transform_edt(~padded, spacing_mm) <= _HULL_MM
    shrunk = ndimage.distance_transform_edt(grown, spacing_mm) > _HULL_MM - _CORTEX_MM
    brain = intensity.fill_holes(shrunk)[room:-room, room:-room, room:-room]
    picture = 0.6 * brain + 0.4 * maps["white_matter"] - 0.5 * maps["ventricles"]
    picture = ndimage.gaussian_filter(picture, 1.5 / np.array(spacing_mm))
    near = ndimage.distance_transform_edt(~brain, spacing_mm) <= _RIM_MM
    steps = [max(1, round(_GRID_MM / s)) for s in spacing_mm]
    index = np.argwhere(near[tuple(slice(None, None, step) for step in steps)]) * steps
    return BrainMaps(
        **maps,
        brain=brain,
        origin_mm=origin_mm,
        spacing_mm=spacing_mm,
        points_mm=index * np.array(spacing_mm) + np.array(origin_mm),
        picture=picture[tuple(index.T)].astype(np.float64),
    )


@dataclass(frozen=True)
class Placement:
    """The affine map from a scan's coordinates to the atlas'.

    Attributes:
        matrix: (3, 3), and
        offset_mm: (3,), so that atlas = matrix @ scan + offset, all (z, y, x) in mm.
    """

    matrix: Doubles
    offset_mm: Doubles

    def atlas_mm(self, voxels: npt.NDArray[np.integer], spacing_mm: Triple) -> Float:
        """Positions of voxels in the atlas.

        Args:
            voxels: (n, 3) indices (slice, row, column).
            spacing_mm: The scan's, in this order.

        Returns:
            (n, 3) LPS mm, (z, y, x).
        """
        own = voxels * np.array(spacing_mm)
        placed: Float = (own @ self.matrix.T + self.offset_mm).astype(np.float32)
        return placed


def look_up(volume: Float, maps: BrainMaps, atlas_mm: Float) -> Float:
    """Values of a map of the maps at positions (n, 3); 0 outside, linear in between."""
    index = (atlas_mm - np.array(maps.origin_mm, np.float32)) / np.array(
        maps.spacing_mm, np.float32
    )
    values: Float = ndimage.map_coordinates(volume, index.T, order=1, output=np.float32)
    return values


def mapped(
    volume: Float,
    maps: BrainMaps,
    placement: Placement,
    shape: tuple[int, int, int],
    spacing_mm: Triple,
) -> Float:
    """A map of the maps on the voxels of a scan."""
    index_matrix = placement.matrix * np.array(spacing_mm) / np.array(maps.spacing_mm)[:, None]
    index_offset = (placement.offset_mm - np.array(maps.origin_mm)) / np.array(maps.spacing_mm)
    values: Float = ndimage.affine_transform(
        volume, index_matrix, index_offset, output_shape=shape, output=np.float32, order=1
    )
    return values


def place(volume: Float, spacing_mm: Triple, maps: BrainMaps) -> Placement:
    """Registers a scan to the maps by shifts, turns and one scale an axis.

    Args:
        volume: (slice, row, column), T1 where there is one; any positive scale.
        spacing_mm: Its spacing in this order.
        maps: What to register to.
    """
    centre = maps.points_mm.mean(0)
    head = ndimage.center_of_mass(intensity.foreground(volume)) * np.array(spacing_mm)
    inner = np.where(core(volume, spacing_mm), intensity.limit(volume, _BRIGHT), np.float32(0))
    candidates = [
        np.array([z, y, 0, 0, 0, 0, size, size, size])
        for size in _STARTS_SIZE
        for z in _STARTS_Z
        for y in _STARTS_Y
    ]
    for blur_mm, every, kept in _LEVELS:
        smooth, steps_mm = _thinned(inner, spacing_mm, blur_mm)
        cost = _Cost(
            maps.points_mm[::every] - centre, maps.picture[::every], smooth, steps_mm, head
        )
        candidates = sorted(candidates, key=cost)[:kept]
        candidates = [_refined(cost, candidate) for candidate in candidates]
    best = min(candidates, key=cost)
    back: Doubles = np.linalg.inv(_turn(best)).astype(np.float64)
    return Placement(back, centre - back @ (head + best[:3] * _UNIT[:3]))


def core(volume: Float, spacing_mm: Triple) -> Mask:
    """What is left of a head when its scalp, thinner than the brain, is worn off.

    Skull-stripped or not, a scan then shows the registration about the same. In-plane: slices may
    be far apart.
    """
    # Slices this far apart never are the nearest.
    in_plane = (1e4, *spacing_mm[1:])
    bright = volume > _BRIGHT_SHARE * intensity.tissue_median(volume)
    deep = ndimage.distance_transform_edt(bright, in_plane) > _SCALP_MM
    labels, count = ndimage.label(deep)
    if count == 0:
        return bright
    largest = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    near: Mask = ndimage.distance_transform_edt(~largest, in_plane) <= _SCALP_MM + _SULCUS_MM
    return near


@dataclass(frozen=True)
class _Cost:
    """How unlike a scan and the composed picture are at a placement, in nine parameters.

    Attributes:
        points: (n, 3) places in the atlas from its centre, mm.
        seen: (n,) the composed picture there.
        smooth: The scan.
        steps_mm: Distance of its voxels.
        head: Where its head is centred, mm.
    """

    points: Doubles
    seen: Doubles
    smooth: Float
    steps_mm: Doubles
    head: Doubles

    def __call__(self, parameters: Doubles) -> float:
        own = self.points @ _turn(parameters).T + self.head + parameters[:3] * _UNIT[:3]
        values = ndimage.map_coordinates(
            self.smooth, (own / self.steps_mm).T, order=1, output=np.float32
        )
        if values.std() == 0:
            return 1.0
        stiff = _STIFFNESS * float(np.sum(parameters[3:] ** 2))
        return stiff - float(np.corrcoef(values, self.seen)[0, 1])


def _refined(cost: _Cost, start: Doubles) -> Doubles:
    limits = [(v - 4, v + 4) for v in start[:3]] + [(-_FURTHEST, _FURTHEST)] * 6
    parameters: Doubles = optimize.minimize(
        cost, start, method="Powell", bounds=limits, options={"xtol": 0.01, "ftol": 1e-5}
    ).x
    return parameters


def _thinned(volume: Float, spacing_mm: Triple, blur_mm: float) -> tuple[Float, Doubles]:
    """Smooths a volume and thins it out; returns the distance of the voxels left as well."""
    spacing = np.array(spacing_mm)
    smooth = ndimage.gaussian_filter(volume, np.where(spacing > blur_mm, 0, blur_mm / spacing))
    steps = np.maximum(1, (blur_mm / spacing).astype(int))
    return smooth[tuple(slice(None, None, step) for step in steps)], spacing * steps


def _turn(parameters: Doubles) -> Doubles:
    """The matrix from the atlas to the scan: scales, then turns about the three axes."""
    turns = Rotation.from_rotvec(parameters[3:6] * _UNIT[3:6]).as_matrix()
    turned: Doubles = turns * np.exp(parameters[6:] * _UNIT[6:])
    return turned
