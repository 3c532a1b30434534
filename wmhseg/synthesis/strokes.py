"""Infarcts of a synthetic scan, recent and old: where they are and how they look.

Their shapes are those of real people, or grown: wedges from the depth of a hemisphere to the
cortex, whole territories of an artery, ribbons of cortex, deep infarcts, lacunes and showers of
small ones. Fields are (slice x part, row, column). Places in a head are (up, back, side) in mm from
the centre of its brain, side being signed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from wmhseg.synthesis import shapes
from wmhseg.synthesis.anatomy import Sampled, is_any
from wmhseg.synthesis.arrays import Array, home, look_up, namespace
from wmhseg.synthesis.heads import FAR_MM, INDEX, TISSUES
from wmhseg.synthesis.hyperintensities import DEEP_GREY, HOLDING, WHITE, Hyperintensities
from wmhseg.synthesis.noise import Float, Noise, between, sometimes
from wmhseg.synthesis.recipe import Recipe
from wmhseg.synthesis.shapes import Canvas, LesionKind, Thinned

GREY = ("cortex", "limbic", "cerebellar_cortex")
CEREBELLUM = ("cerebellar_cortex", "cerebellar_white_matter")
# Shares of scans with one, two and three infarcts, of those with any.
_COUNTS = (0.6, 0.27, 0.13)
_DEPTH = np.array([5.0, 5.0, 22.0])  # where vessels enter a hemisphere, about

_Box = tuple[slice, slice, slice]

_LACUNE = LesionKind((1.8, 7.5))
_DEEP = LesionKind((6.0, 18.0))
_SPOT = LesionKind((1.2, 6.0))


@dataclass(frozen=True)
class Strokes:
    """Infarcts at every point; all float32.

    Attributes:
        extent: 1 inside, 0 outside, soft at the border; what is marked.
        flair: Relative change of FLAIR where no fluid is, 0 outside.
        t1: The same of T1.
        core: Share that is filled with fluid.
        swollen: Share of the fluid in sulci that swollen tissue has taken the place of.
    """

    extent: Array
    flair: Array
    t1: Array
    core: Array
    swollen: Array


@dataclass(frozen=True)
class _Site:
    """A scan that infarcts are put into, and where they may begin.

    Attributes:
        anatomy: Drawing from the infarct's own generator.
        thinned: For the host to choose places by.
        where_mm: (slice x part, row, column, axis) of the thinned points in the head.
    """

    anatomy: Sampled
    thinned: Thinned
    where_mm: Float

    def inside_head(self) -> tuple[Array, Array, Array]:
        """Where every point lies in the head, three fields."""
        up, back, side = _coordinates(self.anatomy.place, self.anatomy)
        return up, back, side


def draw(rng: np.random.Generator, anatomy: Sampled, recipe: Recipe) -> Strokes | None:
    """Draws the infarcts of a scan.

    Args:
        rng: Source of randomness, of infarcts alone.
        anatomy: What lies at every point.
        recipe: Share of scans with infarcts, and which kinds.

    Returns:
        None if the scan has none.
    """
    if rng.random() >= recipe.stroke:
        return None
    count = 1 + int(rng.choice(len(_COUNTS), p=_COUNTS))
    thinned = shapes.thin(rng, anatomy)
    stride = shapes.STRIDE
    part = (slice(None), *(slice(first, None, stride) for first in thinned.first))
    place = anatomy.noise.arrays.get(anatomy.place[part])
    where = np.stack(_coordinates(place, anatomy), -1)
    xp = namespace(anatomy.tissue)
    together = Strokes(*(xp.zeros_like(anatomy.depth_mm) for _ in fields(Strokes)))
    for own in rng.spawn(count):
        site = _Site(anatomy.drawing_from(own), thinned, where)
        inside = _shape(own, site, recipe)
        look = _old if own.random() < recipe.old_stroke else _recent
        box = _box(inside, anatomy)
        if box is not None:  # elsewhere nothing has to be computed
            _put(together, box, look(own, _part(site.anatomy, box), inside[box]))
    return together


def beside(lesions: Hyperintensities, strokes: Strokes) -> Hyperintensities:
    """What is left of other lesions where there are infarcts, too."""
    left = 1 - strokes.extent
    return replace(
        lesions,
        strength=lesions.strength * left,
        cavity=lesions.cavity * left,
        other=lesions.other * left,
    )


def _coordinates(place: Array, anatomy: Sampled) -> tuple[Array, Array, Array]:
    """Places in a flat head as (up, back, side) in mm from the centre of its brain."""
    _, rows, columns = anatomy.head.shape
    centre = anatomy.head.centre
    xp = namespace(place)
    up, rest = place // (rows * columns), place % (rows * columns)
    back, side = rest // columns, rest % columns
    axes = (up, back, side)
    made = [xp.astype(axis, xp.float32) - middle for axis, middle in zip(axes, centre, strict=True)]
    return made[0], made[1], made[2]


class _PartOfNoise(Noise):
    """Fields on the points of a scan, of which a part is wanted."""

    def __init__(self, whole: Noise, box: _Box) -> None:
        super().__init__(whole.rng, whole.axes, whole.arrays)
        self.box = box

    def __call__(self, wavelength_mm: float) -> Array:
        return super().__call__(wavelength_mm)[self.box]


def _box(inside: Array, anatomy: Sampled) -> _Box | None:
    """Planes, rows and columns that an infarct may reach; None if it is nowhere."""
    xp, near = namespace(inside), inside > -FAR_MM
    lines = (
        np.flatnonzero(anatomy.noise.arrays.get(xp.any(near, axis=others)))
        for others in ((1, 2), (0, 2), (0, 1))
    )
    spans = [slice(int(line[0]), int(line[-1]) + 1) for line in lines if line.size]
    return (spans[0], spans[1], spans[2]) if spans else None


def _part(anatomy: Sampled, box: _Box) -> Sampled:
    """What looks are drawn by, in a box."""
    names = ("tissue", "ventricle_mm", "depth_mm", "septum", "prior", "place")
    cut = {name: getattr(anatomy, name)[box] for name in names}
    z, y, x = (axis[span] for axis, span in zip(anatomy.axes_mm, box, strict=True))
    return replace(anatomy, **cut, axes_mm=(z, y, x), noise=_PartOfNoise(anatomy.noise, box))


def _put(together: Strokes, box: _Box, one: Strokes) -> None:
    """Adds an infarct: every point is part of the one that is more of one there."""
    xp = namespace(one.extent)
    more = one.extent + one.swollen > together.extent[box] + together.swollen[box]
    for field in fields(Strokes):
        whole = getattr(together, field.name)
        whole[box] = xp.where(more, getattr(one, field.name), whole[box])


# Shapes -----------------------------------------------------------------------------------------


def _shape(rng: np.random.Generator, site: _Site, recipe: Recipe) -> Array:
    """Distances to the border of one infarct in mm, positive inside."""
    anatomy = site.anatomy
    xp = namespace(anatomy.tissue)
    real, kind = rng.random(), rng.random()
    if anatomy.head.strokes is not None and real < recipe.stroke_shapes:
        inside = shapes.real_infarct(rng, anatomy)
    else:
        number = int(np.searchsorted(np.cumsum([share for share, _ in GROWN]), kind, "right"))
        inside = GROWN[min(number, len(GROWN) - 1)][1](rng, site)
    wave = between(rng, 0.0, 0.5) * anatomy.noise(between(rng, 3, 7))
    wander = between(rng, 0.0, 1.3) * anatomy.noise(between(rng, 8, 25))
    return xp.where(inside > -FAR_MM, inside + wave + wander, -2 * FAR_MM)


def _target(rng: np.random.Generator, site: _Site, names: Sequence[str]) -> npt.NDArray[np.float64]:
    """A random place (up, back, side) of some tissues; the centre where there is none."""
    places = site.where_mm[site.thinned.any_of(tuple(names))]
    if not len(places):
        return np.zeros(3)
    return np.asarray(places[int(rng.integers(len(places)))], np.float64)


def _cone(
    rng: np.random.Generator,
    where: tuple[Array, Array, Array],
    target: npt.NDArray[np.float64],
    apex: npt.NDArray[np.float64],
    half_deg: float,
) -> Array:
    """Distances to the border of an uneven cone about the line from its apex to a target."""
    xp = namespace(where[0])
    scale = rng.uniform(0.75, 1.35, 3)
    along = (target - apex) * scale
    along /= max(float(np.linalg.norm(along)), 1e-6)
    half, blunt = np.deg2rad(half_deg), between(rng, 0, 5)
    axis_mm, squared = 0.0, 0.0
    for points, start, factor, way in zip(where, apex, scale, along, strict=True):
        part = (points - float(start)) * float(factor)
        axis_mm = axis_mm + part * float(way)
        squared = squared + part * part
    across = xp.sqrt(xp.clip(squared - axis_mm * axis_mm, 0.0, None))
    return (axis_mm * float(np.tan(half)) + blunt - across) * float(np.cos(half))


def supplied(
    rng: np.random.Generator, where: tuple[Array, Array, Array], target: npt.NDArray[np.float64]
) -> Array:
    """Distances in mm to the border of the artery's territory that a place lies in.

    Territories are cut out by planes that wander from person to person: the anterior artery has
    what lies near the midline, the posterior one the occipital lobe and the lower temporal lobe,
    the middle one the rest.
    """
    xp = namespace(where[0])
    middle, rear, floor = between(rng, 14, 27), between(rng, 38, 60), -between(rng, 14, 26)
    front = between(rng, 10, 35)

    def fields_of(up: Array, back: Array, side: Array) -> tuple[Array, Array, Array]:
        low, high = xp.minimum, xp.maximum
        aside = xp.abs(side)
        below = low(floor - up, low(back - 5.0, 42.0 - aside))
        posterior = high(back - rear, below)
        anterior = low(low(middle - aside, front - back), -posterior)
        return anterior, posterior, low(low(aside - middle, up + 48.0), -posterior)

    here = home(where[0])
    up, back, side = (here.put(np.full(1, value, np.float32)) for value in target)
    own = [float(field[0]) for field in fields_of(up, back, side)]
    return fields_of(*where)[int(np.argmax(own))]


def _hemisphere(where: tuple[Array, Array, Array], target: npt.NDArray[np.float64]) -> Array:
    """Distance to the midline, positive on the target's side."""
    return where[2] * (1.0 if target[2] >= 0 else -1.0)


def _fan(
    rng: np.random.Generator,
    site: _Site,
    half_deg: tuple[float, float],
    within: bool,
) -> Array:
    """A wedge to a random place of the cortex."""
    xp = namespace(site.anatomy.tissue)
    where = site.inside_head()
    target = _target(rng, site, ("cortex",))
    depth = _DEPTH * (1, 1, 1 if target[2] >= 0 else -1) + rng.normal(0, 4, 3)
    apex = target + between(rng, 0.45, 1.1) * (depth - target)
    inside = _cone(rng, where, target, apex, between(rng, *half_deg))
    inside = xp.minimum(inside, _hemisphere(where, target))
    if within:
        inside = xp.minimum(inside, supplied(rng, where, target))
    if rng.random() < 0.5:  # what perforating arteries supply is spared
        inside = xp.where(is_any(site.anatomy.tissue, DEEP_GREY), -FAR_MM, inside)
    brain = ~is_any(site.anatomy.tissue, (*CEREBELLUM, "brainstem"))
    inside = inside + between(rng, 1.0, 5.0) * site.anatomy.noise(between(rng, 12, 40))
    return xp.where(brain, xp.clip(inside, -FAR_MM, 16.0), -FAR_MM)


def _wedge(rng: np.random.Generator, site: _Site) -> Array:
    return _fan(rng, site, (8, 40), rng.random() < 0.4)


def _territory(rng: np.random.Generator, site: _Site) -> Array:
    return _fan(rng, site, (45, 80), within=True)


def _ribbon(rng: np.random.Generator, site: _Site) -> Array:
    """Cortex alone, or with a little of what lies below it."""
    xp = namespace(site.anatomy.tissue)
    inside = _fan(rng, site, (10, 50), rng.random() < 0.5)
    return xp.clip(
        xp.minimum(inside, between(rng, 0.6, 4.0) - site.anatomy.depth_mm), -FAR_MM, None
    )


def _cerebellar(rng: np.random.Generator, site: _Site) -> Array:
    """A wedge of one half of the cerebellum."""
    xp = namespace(site.anatomy.tissue)
    target = _target(rng, site, ("cerebellar_cortex",))
    if not target.any():
        return _lacune(rng, site)
    where = site.inside_head()
    side = 1.0 if target[2] >= 0 else -1.0
    apex = target + between(rng, 0.5, 1.2) * (target * (0.75, 0.7, 0) + (0, 0, 8 * side) - target)
    inside = _cone(rng, where, target, apex, between(rng, 15, 60))
    inside = xp.minimum(inside, _hemisphere(where, target))
    inside = inside + between(rng, 0.5, 2.0) * site.anatomy.noise(between(rng, 10, 25))
    brain = is_any(site.anatomy.tissue, CEREBELLUM)
    return xp.where(brain, xp.clip(inside, -FAR_MM, 16.0), -FAR_MM)


def _painted(
    rng: np.random.Generator,
    site: _Site,
    kind: LesionKind,
    places: npt.NDArray[np.intp],
    volume_ml: tuple[float, float],
) -> Array:
    """Ellipsoids at some of the places, at least one if there is a place."""
    low, high = volume_ml
    canvas = Canvas(site.anatomy.axes_mm, site.anatomy.spacing_mm[0])
    for _ in range(20):
        canvas.add(rng, kind, places, low * (high / low) ** rng.random())
        if not canvas.empty or not len(places):
            break
    return canvas.on(site.anatomy)


def _lacune(rng: np.random.Generator, site: _Site) -> Array:
    thin = site.thinned
    groups = (DEEP_GREY, WHITE, WHITE, ("brainstem",))
    chosen = groups[int(rng.integers(len(groups)))]
    places = thin.places(thin.any_of(chosen) & ((thin.depth_mm > 3) | (chosen is DEEP_GREY)))
    return _painted(rng, site, _LACUNE, places, (0.08, 1.2))


def _deep(rng: np.random.Generator, site: _Site) -> Array:
    """Striatum and capsule, or thalamus, as a whole."""
    thin = site.thinned
    names = ("thalamus",) if rng.random() < 0.25 else ("striatum", "pallidum")
    return _painted(rng, site, _DEEP, thin.places(thin.any_of(names)), (2.0, 20.0))


def _shower(rng: np.random.Generator, site: _Site) -> Array:
    """Several small ones in one part of the brain, most of them in or under the cortex."""
    thin = site.thinned
    target = _target(rng, site, ("cortex",))
    near = np.linalg.norm(site.where_mm - target, axis=-1) < between(rng, 12, 45)
    near &= site.where_mm[..., 2] * target[2] >= 0
    outer = thin.any_of((*GREY, *WHITE)) & (thin.depth_mm < between(rng, 1.0, 9.0))
    return _painted(rng, site, _SPOT, thin.places(near & outer), (0.5, 8.0))


GROWN: tuple[tuple[float, Callable[[np.random.Generator, _Site], Array]], ...] = (
    (0.24, _wedge),
    (0.15, _territory),
    (0.15, _ribbon),
    (0.08, _cerebellar),
    (0.2, _lacune),
    (0.08, _deep),
    (0.1, _shower),
)


# Looks ------------------------------------------------------------------------------------------


def _tissue(anatomy: Sampled) -> Array:
    """1 where there is tissue that an infarct can be of, else 0."""
    xp = namespace(anatomy.tissue)
    names = tuple(dict.fromkeys((*HOLDING, *GREY)))
    return xp.astype(is_any(anatomy.tissue, names) & ~anatomy.septum, xp.float32)


def _changes(anatomy: Sampled, white: float, grey: float, deep: float) -> Array:
    """A number for each kind of tissue, at every point."""
    table = np.full(len(TISSUES), white, np.float32)
    table[[INDEX[name] for name in (*GREY, "csf")]] = grey
    table[[INDEX[name] for name in DEEP_GREY]] = deep
    return look_up(table, anatomy.tissue)


def _recent(rng: np.random.Generator, anatomy: Sampled, inside: Array) -> Strokes:
    """Hours to weeks old: bright, faintly or strongly, and more or less evenly; some swell."""
    xp = namespace(inside)
    soft = float(np.exp(between(rng, np.log(0.3), np.log(2.5))))
    within = xp.clip(0.5 + inside * (0.5 / soft), 0.0, 1.0)
    usual = float(np.exp(between(rng, np.log(0.15), np.log(1.1))))
    change = _changes(
        anatomy, usual, usual * between(rng, 0.35, 1.5), usual * between(rng, 0.7, 1.4)
    )
    spread = sometimes(rng, 0.8, 0.1, 0.5)
    patches = anatomy.noise(between(rng, 6, 25))
    even = xp.clip(1 + spread * patches, 0.3, 2.0)
    even = even * (1 + between(rng, -0.5, 0.4) * xp.clip(inside * (1 / 12), 0.0, 1.0))
    change = change * even
    darker = sometimes(rng, 0.8, 0.02, 0.3) * even
    if rng.random() < 0.08:  # blood
        change = change - between(rng, 0.3, 0.9) * xp.clip(patches - 1.0, 0.0, 1.0)
    swelling = sometimes(rng, 0.5, 0.3, 1.0)
    sulci = xp.astype(anatomy.tissue == INDEX["csf"], xp.float32)
    swollen = swelling * xp.clip(inside + 0.5, 0.0, 1.0) * sulci
    extent = within * _tissue(anatomy)
    if swelling > 0.5:
        extent = xp.maximum(extent, xp.clip(inside + 0.5, 0.0, 1.0) * sulci)
    seen = xp.maximum(extent, swollen)
    return Strokes(
        extent, seen * xp.clip(change, -0.8, 2.0), -seen * xp.clip(darker, 0.0, 0.5),
        xp.zeros_like(extent), swollen,
    )  # fmt: skip


def _old(rng: np.random.Generator, anatomy: Sampled, inside: Array) -> Strokes:
    """Months to years old: a scar, bright in FLAIR and dark in T1, most of them about a cavity."""
    xp = namespace(inside)
    soft = between(rng, 0.3, 1.5)
    tissue = _tissue(anatomy)
    extent = xp.clip(0.5 + inside * (0.5 / soft), 0.0, 1.0) * tissue
    filled = sometimes(rng, 0.85, 0.6, 1.0)
    if filled:  # a reader fills in the sulci that a cavity has swallowed
        sulci = xp.astype(anatomy.tissue == INDEX["csf"], xp.float32)
        extent = xp.maximum(extent, xp.clip(inside - 0.5, 0.0, 1.0) * sulci)
    usual = float(np.exp(between(rng, np.log(0.12), np.log(0.9))))
    change = _changes(anatomy, usual, usual * between(rng, 0.4, 1.1), usual)
    patches = anatomy.noise(between(rng, 5, 15))
    even = xp.clip(1 + sometimes(rng, 0.8, 0.1, 0.5) * patches, 0.2, 2.0)
    rim = between(rng, 0.5, 5.0) * (1 + between(rng, 0.1, 0.6) * patches)
    # At the surface nothing is left between the cavity and the fluid outside.
    open_mm = sometimes(rng, 0.75, 3.0, 9.0)
    from_rim = inside - xp.clip(rim, 0.3, None)
    from_rim = from_rim + open_mm * xp.clip(1 - anatomy.depth_mm * 0.25, 0.0, 1.0)
    core = filled * xp.clip(0.5 + from_rim * (0.5 / soft), 0.0, 1.0) * extent
    return Strokes(
        extent, extent * change * even, -extent * between(rng, 0.1, 0.5) * xp.clip(even, 0.5, 1.3),
        core, xp.zeros_like(extent),
    )  # fmt: skip
