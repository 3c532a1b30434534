"""Shapes of lesions as signed distances: drawn on the host, looked up where scans are drawn.

Distances are in mm to a lesion's border, positive inside, so shapes are united by the maximum,
grown and shrunk by adding, and softened by one slope.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wmhseg.synthesis.anatomy import Sampled
from wmhseg.synthesis.arrays import Array, namespace
from wmhseg.synthesis.heads import EIGHTH_MM, FAR_MM, INDEX, Mask, Shapes
from wmhseg.synthesis.noise import Float, between, rotation

Eighths = npt.NDArray[np.int8]
STRIDE = 3
"""Distance of the rows and columns that places are chosen from."""


@dataclass(frozen=True)
class LesionKind:
    """A kind of lesion that is drawn as ellipsoids.

    Attributes:
        radius_mm: Smallest and largest; small ones are more frequent.
        stretch: How much longer or shorter half axes are than the radius.
        across: How many times longer it is across the ventricles' border; 1: any direction.
    """

    radius_mm: tuple[float, float]
    stretch: tuple[float, float] = (0.65, 1.55)
    across: float = 1.0


class Canvas:
    """Ellipsoids on the points of a scan."""

    def __init__(self, axes_mm: Sequence[Float], pitch_mm: float) -> None:
        """Takes the places of the points and the distance of slices."""
        self.axes = axes_mm
        self.pitch = pitch_mm
        shape = [len(axis) for axis in axes_mm]
        self.inside: Eighths = np.full(shape, -round(FAR_MM / EIGHTH_MM), np.int8)
        self.empty = True

    def add(
        self,
        rng: np.random.Generator,
        kind: LesionKind,
        places: npt.NDArray[np.intp],
        load_ml: float,
        directions: npt.NDArray[np.float64] | None = None,
    ) -> None:
        """Draws ellipsoids until their volume is reached, none if there is no place.

        Args:
            rng: Source of randomness.
            kind: What they look like.
            places: (place, axis) indices of points to choose centres from.
            load_ml: Volume of all together; at least one is drawn unless it is 0.
            directions: (place, row and column) across the ventricles' border.
        """
        left = load_ml
        low, high = kind.radius_mm
        for _ in range(400):
            if left <= 0 or len(places) == 0:
                return
            radius = low * (high / low) ** rng.random() ** 1.5
            volume = 4.19e-3 * radius**3 * kind.across
            chosen = int(rng.integers(len(places)))
            # The last one comes with the chance that makes the mean volume right.
            if volume <= left or rng.random() < left / volume:
                direction = None if directions is None else directions[chosen]
                self._ellipsoid(rng, kind, radius, places[chosen], direction)
            left -= volume

    def _ellipsoid(
        self,
        rng: np.random.Generator,
        kind: LesionKind,
        radius: float,
        place: npt.NDArray[np.intp],
        direction: npt.NDArray[np.float64] | None,
    ) -> None:
        """Draws one; slices lie farther apart than lesions are wide, so some are missed."""
        centre = [float(axis[n]) for axis, n in zip(self.axes, place, strict=True)]
        centre[0] += between(rng, -0.5, 0.5) * self.pitch
        axes = radius * rng.uniform(*kind.stretch, 3)
        turn = rotation(rng, 90)
        if direction is not None and kind.across > 1:
            along = np.array([rng.normal(0, 0.35), *direction])
            turn[:, 0] = along / max(float(np.linalg.norm(along)), 1e-6)
            turn, _ = np.linalg.qr(turn)
            axes = radius * np.array([kind.across, *rng.uniform(0.8, 1.2, 2)])
        self.put(np.array(centre), axes, turn, rng.random(2) * 6)

    def put(
        self,
        centre_mm: npt.NDArray[np.float64],
        axes_mm: npt.NDArray[np.float64],
        turn: npt.NDArray[np.floating],
        wave: npt.NDArray[np.float64],
    ) -> None:
        """Puts one ellipsoid with a wavy border on the points.

        Args:
            centre_mm: (slice, row, column).
            axes_mm: Its half axes.
            turn: (axis of the scan, half axis) their directions.
            wave: Two phases of the waves.
        """
        reach = 1.25 * float(axes_mm.max()) + FAR_MM
        spans = [
            np.flatnonzero(np.abs(axis - c) <= reach)
            for axis, c in zip(self.axes, centre_mm.tolist(), strict=True)
        ]
        if any(span.size == 0 for span in spans):
            return
        box = tuple(slice(span[0], span[-1] + 1) for span in spans)
        z, y, x = (
            axis[b] - c for axis, b, c in zip(self.axes, box, centre_mm.tolist(), strict=True)
        )
        # Squared distance in units of the half axes: a sum over planes, rows and columns.
        local = [
            (z * turn[0, i])[:, None, None]
            + (y * turn[1, i])[None, :, None]
            + (x * turn[2, i])[None, None, :]
            for i in range(3)
        ]
        scaled = [part * np.float32(1 / a) for part, a in zip(local, axes_mm, strict=True)]
        relative = np.sqrt(scaled[0] ** 2 + scaled[1] ** 2 + scaled[2] ** 2)
        border = 1 + 0.12 * np.sin(2.5 * scaled[0] + wave[0]) * np.sin(2.5 * scaled[1] + wave[1])
        inside = (border - relative) * np.float32(np.prod(axes_mm) ** (1 / 3) / EIGHTH_MM)
        part = self.inside[box]
        np.maximum(part, np.clip(inside, -127, 127).astype(np.int8), out=part)
        self.empty = False

    def on(self, anatomy: Sampled) -> Array:
        """Distances in mm where the scan is drawn."""
        return millimetres(anatomy.noise.arrays.put(self.inside))


def millimetres(eighths: Array) -> Array:
    """Eighths of a millimetre as float32."""
    xp = namespace(eighths)
    return xp.astype(eighths, xp.float32) * EIGHTH_MM


def choose(rng: np.random.Generator, shapes: Shapes, load_ml: float) -> npt.NDArray[np.intp]:
    """Chooses a person and so many of that person's lesions that they have about this volume.

    Args:
        rng: Source of randomness.
        shapes: Lesions of all people.
        load_ml: Volume of all chosen together.

    Returns:
        Indices of lesions, at least one.
    """
    totals = np.bincount(shapes.person, shapes.lesion_ml)
    people = np.flatnonzero(totals > 0)
    # People with about this load or more are like it; those with far more or less are not.
    excess = np.log(totals[people] / load_ml)
    weight = np.exp(-np.where(excess > 0, 0.5 * excess, -2 * excess))
    person = int(rng.choice(people, p=weight / weight.sum()))
    own = rng.permutation(np.flatnonzero(shapes.person == person))
    left = load_ml
    chosen = []
    for lesion in own:
        volume = float(shapes.lesion_ml[lesion])
        if volume <= 1.3 * left:
            chosen.append(int(lesion))
            left -= volume
    if not chosen:
        chosen = [int(own[np.argmin(shapes.lesion_ml[own])])]
    return np.array(chosen)


def placed(
    shapes: Shapes, chosen: npt.NDArray[np.intp], shape: Sequence[int], move: Sequence[int]
) -> Eighths:
    """Lesions in a flat head, in eighths of a millimetre.

    Args:
        shapes: Lesions of all people.
        chosen: Indices of lesions.
        shape: Slices, rows and columns of the head.
        move: Voxels to move them by, on each axis.
    """
    slices, rows, columns = shape
    out: Eighths = np.full(slices * rows * columns, -round(FAR_MM / EIGHTH_MM), np.int8)
    step = (move[0] * rows + move[1]) * columns + move[2]
    for lesion in chosen:
        part = slice(int(shapes.starts[lesion]), int(shapes.starts[lesion + 1]))
        index = np.clip(shapes.voxels[part] + step, 0, out.size - 1)
        out[index] = np.maximum(out[index], shapes.inside[part])
    return out


def real(rng: np.random.Generator, anatomy: Sampled, load_ml: float) -> Array:
    """Lesions of one real person at the points of a scan, moved a little; mm."""
    shapes = anatomy.head.shapes
    if shapes is None:
        raise ValueError("this head has no shapes of real lesions")
    chosen = choose(rng, shapes, load_ml)
    move = np.clip(np.round(rng.normal(0, (1.5, 1.5, 0.7))), -4, 4).astype(int).tolist()
    flat = placed(shapes, chosen, anatomy.head.shape, move)
    arrays = anatomy.noise.arrays
    inside = arrays.xp.take(arrays.put(flat), arrays.xp.reshape(anatomy.place, (-1,)), axis=0)
    return millimetres(arrays.xp.reshape(inside, anatomy.place.shape))


def candidates(mask: Mask, first: tuple[int, int], stride: int) -> npt.NDArray[np.intp]:
    """Indices (place, axis) in the full field of what a thinned-out mask holds.

    Args:
        mask: Every ``stride``-th row and column of the field.
        first: Row and column that the thinning starts at.
        stride: Distance of rows and of columns.
    """
    places = np.argwhere(mask)
    return places * (1, stride, stride) + (0, *first)


@dataclass(frozen=True)
class Thinned:
    """Thinned maps that the host chooses places by: every third row and column of every plane."""

    tissue: npt.NDArray[np.uint8]
    ventricle_mm: Float
    depth_mm: Float
    first: tuple[int, int]

    def any_of(self, names: tuple[str, ...]) -> Mask:
        """Where the tissue is one of some classes."""
        return np.isin(self.tissue, [INDEX[name] for name in names])

    def places(self, mask: Mask) -> npt.NDArray[np.intp]:
        """Indices (place, axis) in the full field of a mask of the thinned maps."""
        return candidates(mask, self.first, STRIDE)

    def across(self, mask: Mask) -> npt.NDArray[np.float64]:
        """Direction (row, column) away from the ventricles at the places of a mask."""
        ways = [np.gradient(self.ventricle_mm, axis=axis)[mask] for axis in (1, 2)]
        way = np.stack(ways, -1)
        return np.asarray(way / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-3))


def thin(rng: np.random.Generator, anatomy: Sampled) -> Thinned:
    """Thins the maps out; which rows and columns are kept is drawn."""
    get = anatomy.noise.arrays.get
    first = (int(rng.integers(STRIDE)), int(rng.integers(STRIDE)))
    part = (slice(None), slice(first[0], None, STRIDE), slice(first[1], None, STRIDE))
    tissue = np.where(get(anatomy.septum[part]), 0, get(anatomy.tissue[part]))
    return Thinned(
        tissue.astype(np.uint8), get(anatomy.ventricle_mm[part]), get(anatomy.depth_mm[part]), first
    )


def real_infarct(rng: np.random.Generator, anatomy: Sampled) -> Array:
    """Infarcts of one real person at the points of a scan, moved a little; mm."""
    strokes = anatomy.head.strokes
    if strokes is None:
        raise ValueError("this head has no shapes of real infarcts")
    # Large ones are rarer than small ones, and have more to be learnt from.
    weight = strokes.lesion_ml.astype(np.float64) ** 0.25
    chosen = np.array([int(rng.choice(weight.size, p=weight / weight.sum()))])
    move = rng.integers(-1, 2, 3).tolist()
    coarse = placed(strokes, chosen, anatomy.head.coarse_shape, move)
    fine = enlarged(coarse.reshape(anatomy.head.coarse_shape), anatomy.head.shape)
    arrays = anatomy.noise.arrays
    place = arrays.xp.reshape(anatomy.place, (-1,))
    inside = arrays.xp.take(arrays.put(fine.ravel()), place, axis=0)
    return millimetres(arrays.xp.reshape(inside, anatomy.place.shape))


def enlarged(coarse: Eighths, shape: tuple[int, int, int]) -> Eighths:
    """Distances of every voxel from those of every second one, linear between them.

    Args:
        coarse: (slice, row, column) of voxels 0, 2, 4 ... of each axis.
        shape: Slices, rows and columns of the result.
    """
    far = -round(FAR_MM / EIGHTH_MM)
    fine: Eighths = np.full(shape, far, np.int8)
    near = np.argwhere(coarse > far)
    if not near.size:
        return fine
    low = np.maximum(near.min(0) - 1, 0)
    high = np.minimum(near.max(0) + 2, coarse.shape)
    part = coarse[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].astype(np.int16)
    for axis in range(3):
        part = part.repeat(2, axis)
        along = np.moveaxis(part, axis, 0)  # a view
        along[1:-1:2] = (along[:-2:2] + along[2::2]) >> 1
    box = tuple(
        slice(2 * int(start), min(2 * int(start) + size, end))
        for start, size, end in zip(low, part.shape, shape, strict=True)
    )
    fine[box] = part[tuple(slice(0, span.stop - span.start) for span in box)]
    return fine
