"""Where the voxels of a scan lie in the average brain: an affine registration to its maps.

A scan is registered to the picture that ``brain_maps`` composes, T1 to one like T1, FLAIR alone to
one like FLAIR, by nine parameters (shifts, turns, one scale an axis) that raise their correlation
inside the brain and its rim. Nothing is random: the same scan gives the same placement.

Arrays are (slice, row, column) of axial slices in LPS order. A scan's own coordinates are
millimetres from its first voxel, (z, y, x); those of the maps are LPS millimetres, (z, y, x).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg.channels.brain_maps import BrainMaps, Doubles, Float, Mask
from wmhseg.geometry import Triple
from wmhseg.preparation import intensity

_COARSE_MM = 2.0  # voxels are averaged to about this before anything else
# Each level: blur in mm, every how many-th place is compared, candidates kept.
_LEVELS = ((4.0, 3, 6), (2.0, 1, 1))
_BRIGHT = 1.8  # intensities above this multiple of the tissue median are cut: fat, lesions
_BRIGHT_SHARE = 0.5  # of the tissue median: white and grey matter are above, fluid and bone below
_SCALP_MM = 5.0
_SULCUS_MM = 3.0
# What 1 stands for: shifts of 10 mm, turns of 0.1 (6 degrees), scales of 7 %.
_UNIT = np.array([10.0] * 3 + [0.1] * 3 + [0.07] * 3)
_FURTHEST = 4.0
_STIFFNESS = 0.002  # likeness, from -1 to 1, that one unit of turn or scale must be worth
_MOST_STEPS, _MOST_DAMPING, _LEAST_GAIN = 60, 1e6, 1e-6
# What a scan is compared with as well: upside down, back to front, and both; and starts refined.
_MIRRORED = ((-1, 1, 1), (1, -1, 1), (-1, -1, 1))
_RIVALS = 2
_STARTS_Z = (-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0)  # a head may reach down to the neck
_STARTS_Y = (-1.5, 0.0, 1.5)
_STARTS_SIZE = (-1.5, 0.0, 1.5)


@dataclass(frozen=True)
class Placement:
    """The affine map from a scan's coordinates to the maps'.

    Attributes:
        matrix: (3, 3), and
        offset_mm: (3,), so that place = matrix @ scan + offset, all (z, y, x) in mm.
        quality: Likeness of the scan and the composed picture, a correlation: at most 1.
        lead: By how much the scan is more like the picture than like one that stands on its head,
            looks backwards, or both; near or below 0 its axes are not what they are said to be.
    """

    matrix: Doubles
    offset_mm: Doubles
    quality: float = 1.0
    lead: float = 1.0

    @property
    def sizes(self) -> Doubles:
        """Height, depth and width of the head relative to those of the average one."""
        sizes: Doubles = np.linalg.norm(np.linalg.inv(self.matrix), axis=0)
        return sizes

    def coordinates_mm(self, shape: tuple[int, ...], spacing_mm: Triple) -> tuple[Float, ...]:
        """Position of every voxel in the maps' space.

        Args:
            shape: Slices, rows, columns.
            spacing_mm: The scan's.

        Returns:
            z, y and x, LPS mm, each (slice, row, column).
        """
        made = []
        for line, start in zip(self.matrix, self.offset_mm, strict=True):
            z, y, x = (
                (np.arange(n) * (mm * factor)).astype(np.float32)
                for n, mm, factor in zip(shape, spacing_mm, line, strict=True)
            )
            made.append((z[:, None, None] + np.float32(start)) + y[:, None] + x)
        return tuple(made)

    def atlas_mm(self, voxels: npt.NDArray[np.integer], spacing_mm: Triple) -> Float:
        """Positions of voxels in the maps' space.

        Args:
            voxels: (n, 3) indices (slice, row, column).
            spacing_mm: The scan's, in this order.

        Returns:
            (n, 3) LPS mm, (z, y, x).
        """
        own = voxels * np.array(spacing_mm)
        placed: Float = (own @ self.matrix.T + self.offset_mm).astype(np.float32)
        return placed


def mapped(
    volume: Float,
    maps: BrainMaps,
    placement: Placement,
    shape: tuple[int, int, int],
    spacing_mm: Triple,
) -> Float:
    """A map of the maps on the voxels of a scan; 0 outside, linear in between."""
    index_matrix = placement.matrix * np.array(spacing_mm) / np.array(maps.spacing_mm)[:, None]
    index_offset = (placement.offset_mm - np.array(maps.origin_mm)) / np.array(maps.spacing_mm)
    values: Float = ndimage.affine_transform(
        volume, index_matrix, index_offset, output_shape=shape, output=np.float32, order=1
    )
    return values


def place(volume: Float, spacing_mm: Triple, maps: BrainMaps, scan: str = "T1") -> Placement:
    """Registers a scan to the maps by shifts, turns and one scale an axis.

    Args:
        volume: (slice, row, column); any positive scale.
        spacing_mm: Its spacing in this order.
        maps: What to register to.
        scan: "T1" or "FLAIR": which picture it is compared with.
    """
    centre = maps.points_mm.mean(0)
    coarse = _Scan(volume, spacing_mm)
    head = coarse.mm(_middle(intensity.foreground(coarse.volume)))
    inner = np.where(
        core(coarse.volume, coarse.spacing_mm), intensity.limit(coarse.volume, _BRIGHT), 0
    )
    candidates = [
        np.array([z, y, 0, 0, 0, 0, size, size, size])
        for size in _STARTS_SIZE
        for z in _STARTS_Z
        for y in _STARTS_Y
    ]
    starts, lead = candidates, 0.0
    for level, (blur_mm, every, kept) in enumerate(_LEVELS):
        sigma = [0 if mm > blur_mm else blur_mm / mm for mm in coarse.spacing_mm]
        cost = _Cost(
            points=maps.points_mm[::every] - centre,
            seen=_standard(maps.pictures[scan][::every]),
            smooth=np.pad(ndimage.gaussian_filter(inner, sigma), 1),
            steps_mm=np.array(coarse.spacing_mm),
            head=head - coarse.first_mm,
        )
        candidates = _searched(cost, candidates, kept)
        if level == 0:
            mirrored = [replace(cost, points=cost.points * signs) for signs in _MIRRORED]
            rivals = [one(_searched(one, starts, _RIVALS)[0]) for one in mirrored]
            lead = min(rivals) - cost(candidates[0])
    best = candidates[0]
    back: Doubles = np.linalg.inv(_turn(best)).astype(np.float64)
    offset = centre - back @ (head + best[:3] * _UNIT[:3])
    return Placement(back, offset, _stiff(best) - cost(best), lead)


def _middle(mask: Mask) -> Doubles:
    """Where a mask has its centre, as an index; the volume's if it is empty."""
    middle = ndimage.center_of_mass(mask) if mask.any() else (np.array(mask.shape) - 1) / 2
    return np.array(middle, np.float64)


def _searched(cost: _Cost, starts: list[Doubles], kept: int) -> list[Doubles]:
    """The places that the best starts lead to, the best first."""
    found = [_refined(cost, start) for start in sorted(starts, key=cost)[:kept]]
    return sorted(found, key=cost)


class _Scan:
    """A scan of voxels averaged to about 2 mm.

    Attributes:
        volume: (slice, row, column).
        spacing_mm: Distance of its voxels.
        first_mm: (3,) where the first one lies in the coordinates of the scan.
    """

    def __init__(self, volume: Float, spacing_mm: Triple) -> None:
        blocks = [
            max(1, min(n, int(_COARSE_MM / mm + 0.25)))
            for n, mm in zip(volume.shape, spacing_mm, strict=True)
        ]
        whole = [n // block for n, block in zip(volume.shape, blocks, strict=True)]
        kept = tuple(slice(n * block) for n, block in zip(whole, blocks, strict=True))
        shape = [part for pair in zip(whole, blocks, strict=True) for part in pair]
        self.volume: Float = volume[kept].reshape(shape).mean((1, 3, 5), dtype=np.float32)
        slice_mm, row_mm, column_mm = (
            mm * block for mm, block in zip(spacing_mm, blocks, strict=True)
        )
        self.spacing_mm: Triple = (slice_mm, row_mm, column_mm)
        self.first_mm: Doubles = (np.array(blocks) - 1) / 2 * np.array(spacing_mm)

    def mm(self, index: Doubles) -> Doubles:
        """Coordinates in the scan of an index (slice, row, column)."""
        place: Doubles = index * np.array(self.spacing_mm) + self.first_mm
        return place


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
        points: (n, 3) places in the maps from their centre, mm.
        seen: (n,) the composed picture there, of mean 0 and length 1.
        smooth: The scan with an empty voxel at each side.
        steps_mm: Distance of its voxels.
        head: Where its head is centred, mm from its first voxel.
    """

    points: Doubles
    seen: Doubles
    smooth: Float
    steps_mm: Doubles
    head: Doubles

    def __call__(self, parameters: Doubles) -> float:
        own = _applied(_turn(parameters), self.points) + self.head + parameters[:3] * _UNIT[:3]
        values, _ = _linear(self.smooth, own / self.steps_mm + 1, rising=False)
        return _stiff(parameters) - float(np.sum(self.seen * _standard(values)))

    def slopes(self, parameters: Doubles) -> tuple[Doubles, Doubles]:
        """First derivatives, (9,), and second ones, (9, 9), as Gauss and Newton take them."""
        own = _applied(_turn(parameters), self.points) + self.head + parameters[:3] * _UNIT[:3]
        values, rises = _linear(self.smooth, own / self.steps_mm + 1, rising=True)
        rises = rises / self.steps_mm[:, None]
        moved = np.empty((9, len(values)))
        moved[:3] = rises * _UNIT[:3, None]
        for number, matrix in enumerate(_turn_slopes(parameters), start=3):
            moved[number] = (rises * _applied(matrix, self.points).T).sum(0)
        about = values - values.mean()
        length = float(np.sqrt(np.sum(about**2))) or 1.0
        about /= length
        moved -= moved.mean(1, keepdims=True)
        moved -= np.einsum("kn,n->k", moved, about)[:, None] * about
        moved /= length
        first = -np.einsum("kn,n->k", moved, self.seen)
        second = np.einsum("kn,ln->kl", moved, moved)
        turned = np.arange(9) >= 3
        first += 2 * _STIFFNESS * parameters * turned
        return first, second + np.diag(2 * _STIFFNESS * turned + 1e-9)


def _stiff(parameters: Doubles) -> float:
    return _STIFFNESS * float(np.sum(parameters[3:] ** 2))


def _applied(matrix: Doubles, points: Doubles) -> Doubles:
    """A matrix applied to each of (n, 3) points; in the same order on any number of processors."""
    placed: Doubles = np.einsum("ij,nj->ni", matrix, points)
    return placed


def _linear(volume: Float, index: Doubles, *, rising: bool) -> tuple[Doubles, Doubles]:
    """Values of a volume between its voxels, and their derivatives along each axis.

    Args:
        volume: (slice, row, column), 0 at its sides.
        index: (n, 3); beyond the sides is 0.
        rising: Whether derivatives are wanted.

    Returns:
        (n,) values; (3, n) derivatives, empty if not wanted.
    """
    last = np.array(volume.shape) - 1
    held = np.clip(index, 0, last - 1e-6)
    first = held.astype(np.intp)
    z, y, x = (held - first).T
    rows, columns = volume.shape[1:]
    flat = volume.ravel()
    at = (first[:, 0] * rows + first[:, 1]) * columns + first[:, 2]
    here, right = flat[at], flat[at + 1]
    below, below_right = flat[at + columns], flat[at + columns + 1]
    at += rows * columns
    over, over_right = flat[at], flat[at + 1]
    over_below, over_below_right = flat[at + columns], flat[at + columns + 1]
    lines = [
        one + (other - one) * x
        for one, other in (
            (here, right), (below, below_right),
            (over, over_right), (over_below, over_below_right),
        )
    ]  # fmt: skip
    low = lines[0] + (lines[1] - lines[0]) * y
    high = lines[2] + (lines[3] - lines[2]) * y
    values: Doubles = low + (high - low) * z
    if not rising:
        return values, np.empty((3, 0))
    steep = [(right - here), (below_right - below), (over_right - over),
             (over_below_right - over_below)]  # fmt: skip
    along_x = [steep[0] + (steep[1] - steep[0]) * y, steep[2] + (steep[3] - steep[2]) * y]
    along_y = [lines[1] - lines[0], lines[3] - lines[2]]
    rises = np.stack(
        [
            high - low,
            along_y[0] + (along_y[1] - along_y[0]) * z,
            along_x[0] + (along_x[1] - along_x[0]) * z,
        ]
    )
    return values, rises * np.all(held == index, 1)


def _standard(values: Doubles) -> Doubles:
    """Values of mean 0 and length 1; all 0 if they are equal."""
    about = values - values.mean()
    length = float(np.sqrt(np.sum(about**2)))
    standard: Doubles = about / (length or 1.0)
    return standard


def _refined(cost: _Cost, start: Doubles) -> Doubles:
    """Goes down to the nearest minimum (Levenberg and Marquardt), within limits."""
    low = np.concatenate([start[:3] - _FURTHEST, np.full(6, -_FURTHEST)])
    high = np.concatenate([start[:3] + _FURTHEST, np.full(6, _FURTHEST)])
    best, at, damping = cost(start), start, 1e-2
    slopes = cost.slopes(at)
    for _ in range(_MOST_STEPS):
        first, second = slopes
        step = np.linalg.solve(second + damping * np.diag(np.diag(second)), -first)
        tried = np.clip(at + step, low, high)
        found = cost(tried)
        if found >= best:
            damping *= 10
            if damping > _MOST_DAMPING:
                break
            continue
        gain, best, at, damping = best - found, found, tried, damping / 10
        if gain < _LEAST_GAIN:
            break
        slopes = cost.slopes(at)
    return at


def _turn(parameters: Doubles) -> Doubles:
    """The matrix from the maps to the scan: scales, then turns about the three axes."""
    from scipy.spatial.transform import Rotation  # takes a while to load

    turns = Rotation.from_rotvec(parameters[3:6] * _UNIT[3:6]).as_matrix()
    turned: Doubles = turns * np.exp(parameters[6:] * _UNIT[6:])
    return turned


def _turn_slopes(parameters: Doubles) -> list[Doubles]:
    """Derivatives of ``_turn`` by the three turns (by differences) and the three scales."""
    from scipy.spatial.transform import Rotation  # takes a while to load

    small, sizes = 1e-4, np.exp(parameters[6:] * _UNIT[6:])
    steps = np.concatenate([np.zeros((1, 3)), np.eye(3) * small, np.eye(3) * -small])
    turns = Rotation.from_rotvec((parameters[3:6] + steps) * _UNIT[3:6]).as_matrix() * sizes
    slopes = [(turns[1 + axis] - turns[4 + axis]) / (2 * small) for axis in range(3)]
    for axis in range(3):
        only = np.zeros((3, 3))
        only[:, axis] = turns[0][:, axis] * _UNIT[6 + axis]
        slopes.append(only)
    return slopes
