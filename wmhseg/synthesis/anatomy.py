"""One head in a random pose, deformed and aged: what lies at every point of a scan.

Points are (slice x part, row, column): every slice is several planes that are averaged later.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from wmhseg.synthesis import regions
from wmhseg.synthesis.arrays import NUMPY, Array, Arrays, look_up, namespace
from wmhseg.synthesis.heads import DEPTH_ZERO, INDEX, MAPS, QUARTER_MM, TISSUES, Head
from wmhseg.synthesis.noise import Float, Noise, apart, between, rotation, sometimes
from wmhseg.synthesis.recipe import Recipe

# White matter that stays between a widened ventricle and the surface of the brain: the corpus
# callosum becomes thin, but is not lost.
_KEPT_MM = (1.5, 3.0)
_ONE_MM = 1.0
# Septum, plexus and sulci have generators of their own: without them all else stays as it is.
_WITHIN = 2**31 + 3
_OFFSETS = 2**31 + 6


@dataclass(frozen=True)
class Anatomy:
    """What lies at every point of a scan before slices are averaged.

    Attributes:
        tissue: Tissue class, see ``heads.TISSUES``; bytes.
        ventricle_mm: Distance to the lateral ventricles as they are now.
        depth_mm: Depth below the surface of the brain (cortex, CSF), 0 outside.
        noise: Draws smooth fields on the points.
        axes_mm: Places of the points on the three axes, from the centre of the brain.
    """

    tissue: Array
    ventricle_mm: Array
    depth_mm: Array
    noise: Noise
    axes_mm: tuple[Float, Float, Float]


@dataclass(frozen=True)
class Sampled(Anatomy):
    """The anatomy of a head, with what lesions are placed by.

    Attributes:
        septum: The thin sheet between the two lateral ventricles, where they were widened.
        prior: Probability of hyperintensities in old people; 0 where it is unknown.
        place: Index in the flat head.
        head: What was sampled.
        parts: Planes a slice.
        spacing_mm: Distance of slices, rows and columns.
        pial_mm: Distance to the outer CSF.
        mirrored: Whether left and right of the head have changed places.
    """

    septum: Array
    prior: Array
    place: Array
    head: Head
    parts: int
    spacing_mm: tuple[float, float, float]
    pial_mm: Array = None
    mirrored: bool = False

    def drawing_from(self, rng: np.random.Generator) -> Sampled:
        """The same, with a noise of its own generator: whether it draws changes nothing else."""
        return replace(self, noise=Noise(rng, self.axes_mm, self.noise.arrays))

    @property
    def voxel_ml(self) -> float:
        """Volume that one point stands for."""
        return float(np.prod(self.spacing_mm)) / 1000 / self.parts


@dataclass(frozen=True)
class Maps:
    """The maps of a head at the points of a scan; distances in mm."""

    tissue: Array
    ventricle: Array
    depth: Array
    pial: Array
    between: Array
    third: Array
    prior: Array


def sample(
    rng: np.random.Generator,
    head: Head,
    recipe: Recipe,
    thickness_mm: float,
    parts: int,
    arrays: Arrays = NUMPY,
) -> Sampled:
    """Draws a pose, a deformation and degrees of atrophy, and looks the tissue up.

    Args:
        rng: Source of randomness.
        head: Whom to look at.
        recipe: Ranges.
        thickness_mm: Of a slice.
        parts: Planes a slice.
        arrays: Where to compute.

    Returns:
        All slices that cover the head, at most ``recipe.slices``, evenly spread.
    """
    zoom = rng.uniform(*recipe.zoom, 3)
    planes, pitch = _planes(rng, head, recipe, thickness_mm, float(zoom[0]))
    within = (np.arange(parts) - (parts - 1) / 2) * thickness_mm / parts
    z = (planes[:, None] + within).ravel().astype(np.float32)
    pixel = between(rng, *recipe.pixel_mm) * np.array([1, between(rng, 0.95, 1.05)])
    shift = np.clip(rng.normal(0, recipe.off_centre_mm, 2), -35, 35)
    y, x = (
        ((np.arange(n) - n / 2) * p + s).astype(np.float32)
        for n, p, s in zip(recipe.field, pixel, shift, strict=True)
    )
    noise = Noise(rng, (z, y, x), arrays)
    matrix: Float = (rotation(rng, recipe.tilt_deg) / zoom[None, :]).astype(np.float32)
    mirrored = rng.random() < 0.5
    if mirrored:
        matrix[2] *= -1
    offsets = plane_offsets(
        apart(rng, _OFFSETS), recipe.soft, parts, len(planes), pixel.astype(np.float32)
    )
    place = _places(rng, head, matrix, noise, between(rng, 0, recipe.warp_mm), offsets)
    maps = _maps_at(arrays, head, place)
    tissue, septum = maps.tissue, arrays.xp.zeros_like(maps.tissue, dtype=arrays.xp.bool)
    # Generators of their own: what is switched off changes nothing else.
    ventricles, third, sulci, cortex = rng.spawn(4)

    def own(generator: np.random.Generator) -> Noise:
        return Noise(generator, noise.axes, arrays)

    distance = maps.ventricle
    if ventricles.random() < recipe.wide_ventricles:
        limits = recipe.wide_ventricles_mm
        tissue, distance, septum = _widen(ventricles, maps, tissue, own(ventricles), limits)
    if third.random() < recipe.wide_third:
        tissue = _widen_third(third, maps, tissue)
    thick = sometimes(cortex, recipe.cortex, -0.45, 0.6)
    lost = sometimes(sulci, recipe.atrophy, 0.0, 0.85)
    tissue, depth = _resurface(sulci, maps, tissue, own(sulci), (lost, thick))
    midline, tufts, narrow = apart(rng, _WITHIN).spawn(3)
    if narrow.random() < recipe.young and not lost:
        tissue = _close_sulci(narrow, maps, tissue, own(narrow))
    if midline.random() < recipe.sheet:
        tissue, septum = _sheet(maps, tissue, septum)
    if tufts.random() < recipe.plexus:
        tissue = _plexus(tufts, tissue, own(tufts))
    return Sampled(
        tissue, distance, depth, noise, (z, y, x), septum, maps.prior, place, head, parts,
        (pitch, float(pixel[0]), float(pixel[1])), maps.pial, mirrored,
    )  # fmt: skip


def _planes(
    rng: np.random.Generator, head: Head, recipe: Recipe, thickness_mm: float, zoom: float
) -> tuple[Float, float]:
    """Places of the slices and their distance: from the neck to above the vertex."""
    low = (head.extent[0] - head.centre[0]) * zoom
    high = (head.extent[1] - head.centre[0]) * zoom
    brain = high - low
    low -= between(rng, 0, recipe.neck_mm)
    high += between(rng, 0, recipe.vertex_mm)
    short, end = rng.uniform(0.05, 0.3) * brain, rng.random()
    if rng.random() < recipe.cut_short:
        low, high = (low + short, high) if end < 0.7 else (low, high - short)
    gap = between(rng, *recipe.gap) * thickness_mm if thickness_mm > 2 else 0.0
    pitch = max(thickness_mm + gap, (high - low) / recipe.slices)
    count = int(np.clip(np.ceil((high - low) / pitch - 1e-6), 1, recipe.slices))
    places = low + pitch * (np.arange(count) + rng.random())
    return places.astype(np.float32), float(pitch)


def plane_offsets(
    rng: np.random.Generator, share: float, parts: int, slices: int, pixel_mm: Float
) -> Float | None:
    """How far the planes of a slice are moved against each other, (plane, row and column) in mm.

    Label maps know no voxel that is half cortex and half fluid. Planes that lie between each
    other's rows and columns make some, without a further point; their mean is where it was.
    """
    if rng.random() >= share:
        return None
    turn, angles = between(rng, 0, 7), 2 * np.pi * np.arange(parts) / parts
    ring = np.stack([np.sin(angles + turn), np.cos(angles + turn)], 1)
    made: Float = (0.35 * pixel_mm * np.tile(ring, (slices, 1))).astype(np.float32)
    return made


def _places(
    rng: np.random.Generator,
    head: Head,
    matrix: Float,
    noise: Noise,
    warp_mm: float,
    offsets_mm: Float | None,
) -> Array:
    """Index in the flat head of every point."""
    put, xp = noise.arrays.put, noise.arrays.xp
    z, y, x = noise.axes
    # Displacements of rows and columns; a plane's own height stays.
    rows = put(y)[None, :, None] + warp_mm * noise(between(rng, 25, 60))
    columns = put(x)[None, None, :] + warp_mm * noise(between(rng, 25, 60))
    if offsets_mm is not None:
        rows = rows + put(offsets_mm[:, 0])[:, None, None]
        columns = columns + put(offsets_mm[:, 1])[:, None, None]
    height = put(z)[:, None, None]
    flat = None
    for axis, size in enumerate(head.shape):
        m = [float(value) for value in matrix[axis]]
        at = m[1] * rows + m[2] * columns + (m[0] * height + (head.centre[axis] + 0.5))
        # Outside the map the last voxel goes on: air, or below the map the neck.
        index = xp.astype(xp.clip(at, 0.0, size - 1.0), xp.int32)
        flat = index if flat is None else flat * size + index
    return xp.astype(flat, xp.int64)


def _maps_at(arrays: Arrays, head: Head, place: Array) -> Maps:
    """All maps of a head at the places of all points."""
    xp = arrays.xp
    stored = arrays.put(head.maps) if isinstance(head.maps, np.ndarray) else head.maps
    rows = xp.take(xp.reshape(stored, (-1, len(MAPS))), xp.reshape(place, (-1,)), axis=0)
    rows = xp.reshape(rows, (*place.shape, len(MAPS)))

    def mm(name: str) -> Array:
        return xp.astype(rows[..., MAPS.index(name)], xp.float32) * QUARTER_MM

    return Maps(
        tissue=xp.astype(rows[..., 0], xp.uint8, copy=True),
        ventricle=mm("ventricle"),
        depth=mm("depth") - DEPTH_ZERO * QUARTER_MM,
        pial=mm("pial"),
        between=mm("between"),
        third=mm("third"),
        prior=mm("prior") * (4 / 255),
    )


def is_any(tissue: Array, names: tuple[str, ...]) -> Array:
    """Where the tissue is one of some classes."""
    table = np.zeros(len(TISSUES), bool)
    table[[INDEX[name] for name in names]] = True
    return look_up(table, tissue)


def _widen(
    rng: np.random.Generator,
    maps: Maps,
    tissue: Array,
    noise: Noise,
    limits_mm: tuple[float, float],
) -> tuple[Array, Array, Array]:
    """Widens the lateral ventricles into what lies around them.

    Returns:
        Tissue; distance to the new border; the septum that stays between both ventricles.
    """
    xp = namespace(tissue)
    low, high = limits_mm
    amount = low + (high - low) * rng.random() ** 1.5
    uneven = 1 + 0.35 * noise(between(rng, 18, 40))
    if rng.random() < 0.4:  # one side more than the other
        lean = between(rng, -0.45, 0.45) * np.tanh(noise.axes[2] / 6)
        uneven = uneven * noise.arrays.put(1 + lean)
    # Temporal horns lie low; in some they are the first to widen.
    horns = 1 + between(rng, -0.4, 0.8) / (1 + np.exp((noise.axes[0] + 12) / 4))
    growth = xp.clip(amount * uneven * noise.arrays.put(horns)[:, None, None], 0.0, 12.0)
    kept = between(rng, *_KEPT_MM)
    # Distances are those of the centres of voxels: the border lies half a voxel before the first.
    border = xp.maximum(maps.ventricle - 0.5 - growth, kept + 0.5 - maps.depth)
    distance = xp.minimum(maps.ventricle, border)
    soft = is_any(
        tissue, ("white_matter", "wmh", "striatum", "thalamus", "limbic", "pallidum", "ventral_dc")
    )
    # Deep grey shrinks less than white matter does.
    firm = is_any(tissue, ("striatum", "thalamus", "limbic", "pallidum", "ventral_dc"))
    eaten = soft & (distance <= 0) & ~(firm & (maps.ventricle > 0.6 * growth))
    septum = eaten & (maps.between <= between(rng, 1.0, 2.0))
    tissue = xp.where(eaten, INDEX["ventricle"], tissue)
    tissue = xp.astype(xp.where(septum, INDEX["white_matter"], tissue), xp.uint8)
    return tissue, xp.clip(distance, 0.0, None), septum


def _close_sulci(rng: np.random.Generator, maps: Maps, tissue: Array, noise: Noise) -> Array:
    """Lets the cortex fill narrow sulci, as in the young: label maps are full of fluid."""
    xp = namespace(tissue)
    reach = between(rng, 2.5, 4.5) + 0.4 * noise(between(rng, 8, 20))
    filled = (tissue == INDEX["csf"]) & (maps.depth < 0) & (-maps.depth < reach)
    return xp.astype(xp.where(filled, INDEX["cortex"], tissue), xp.uint8)


def _sheet(maps: Maps, tissue: Array, septum: Array) -> tuple[Array, Array]:
    """Puts a septum where label maps let the two lateral ventricles touch.

    Returns:
        Tissue, and all of the septum.
    """
    xp = namespace(tissue)
    touching = (maps.ventricle <= _ONE_MM) & (maps.between <= _ONE_MM) & (maps.third > 2 * _ONE_MM)
    sheet = touching & is_any(tissue, ("ventricle",))
    tissue = xp.where(sheet, INDEX["white_matter"], tissue)
    return xp.astype(tissue, xp.uint8), septum | sheet


# Where choroid plexus lies in the lateral ventricles: in the atria, along the floor of the bodies,
# in the temporal horns; mm from the centre of the brain, as in ``regions``.
_PLEXUS = regions.Drawn(
    centres_mm=np.array([(up, back, s * side) for up, back, side in (
        (2, 24, 22), (8, 8, 10), (-20, 2, 27)) for s in (-1, 1)], float),
    radii_mm=np.array([(up, back, side) for up, back, side in (
        (9, 11, 8), (6, 16, 5), (7, 14, 6)) for _ in (-1, 1)], float),
    change=np.ones(6),
)  # fmt: skip


def _plexus(rng: np.random.Generator, tissue: Array, noise: Noise) -> Array:
    """Grows choroid plexus within the ventricles; a cast of them is never all of it."""
    xp = namespace(tissue)
    about = regions.field(_PLEXUS, noise.axes, tissue)
    tufts = about + between(rng, 0.15, 0.4) * noise(between(rng, 3, 7))
    grown = (tufts > between(rng, 0.7, 1.15)) & (tissue == INDEX["ventricle"])
    return xp.astype(xp.where(grown, INDEX["choroid_plexus"], tissue), xp.uint8)


def _widen_third(rng: np.random.Generator, maps: Maps, tissue: Array) -> Array:
    """Widens the third ventricle into thalamus and hypothalamus."""
    xp = namespace(tissue)
    near = maps.third - 0.5 < between(rng, 0.5, 3.5)
    soft = is_any(tissue, ("white_matter", "thalamus", "ventral_dc"))
    return xp.astype(xp.where(near & soft, INDEX["ventricle"], tissue), xp.uint8)


def _resurface(
    rng: np.random.Generator,
    maps: Maps,
    tissue: Array,
    noise: Noise,
    change_mm: tuple[float, float],
) -> tuple[Array, Array]:
    """Widens sulci and makes the cortex thicker or thinner.

    Args:
        rng: Source of randomness.
        maps: Those of the head.
        tissue: To change.
        noise: Makes the changes uneven.
        change_mm: Lost at the outer side of the cortex; gained at its inner side.

    Returns:
        Tissue, and depth below the surface.
    """
    xp = namespace(tissue)
    lost, gained = change_mm
    depth = maps.depth
    if lost or gained:
        # A voxel's layer is lost or kept as a whole, so borders between both must wander.
        uneven = 0.3 * noise(between(rng, 8, 20))
        cortex = tissue == INDEX["cortex"]
        white = tissue == INDEX["white_matter"]
        # The cortex that is lost outside is made good inside: gyri shrink, it stays a ribbon.
        inner = (0.7 * lost + gained) + uneven
        grey = (white & (depth > 0) & (depth - 0.5 < inner)) | (
            cortex & ~((depth < 0) & (depth + 0.5 > inner))
        )
        tissue = xp.where(cortex, INDEX["white_matter"], tissue)
        tissue = xp.where(grey, INDEX["cortex"], tissue)
        if lost:
            tissue = xp.where(cortex & (maps.pial - 0.5 < lost + uneven), INDEX["csf"], tissue)
        tissue = xp.astype(tissue, xp.uint8)
        depth = depth - inner
    return tissue, xp.clip(depth, 0.0, None)
