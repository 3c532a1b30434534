"""From anatomy and lesions to ideal FLAIR and T1 images, with the look-alikes that stay 0.

Arrays are (slice x part, row, column), on NumPy or an accelerator.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

from wmhseg.synthesis import regions
from wmhseg.synthesis.anatomy import Anatomy, Sampled
from wmhseg.synthesis.arrays import Array, home, namespace
from wmhseg.synthesis.brightness import DEEP, FLUID, GREY, WHITE, Channel, Contrast
from wmhseg.synthesis.heads import INDEX, N_BRAIN, TISSUES
from wmhseg.synthesis.hyperintensities import Hyperintensities
from wmhseg.synthesis.noise import Float, between
from wmhseg.synthesis.strokes import Strokes

T = TypeVar("T", Sampled, Hyperintensities, Strokes, "Texture")

# Planes painted at once on the host: intermediate results then stay in the processor's cache.
_PLANES = 4
_VOXEL_SIZED = (
    "tissue", "ventricle_mm", "depth_mm", "septum", "pial_mm", "strength", "cavity", "other",
    "gain", "slow", "mottled", "points", "extent", "flair", "t1", "core", "swollen",
)  # fmt: skip


@dataclass(frozen=True)
class Texture:
    """Smooth fields of unit variance: over centimetres, over lobules, over points."""

    slow: Array
    mottled: Array
    points: Array


def paint(
    rng: np.random.Generator,
    anatomy: Sampled,
    lesions: Hyperintensities,
    contrast: Contrast,
    strokes: Strokes | None = None,
) -> tuple[Array, Array]:
    """Turns anatomy into ideal images.

    Args:
        rng: Source of randomness.
        anatomy: What lies at every point.
        lesions: What is abnormal there.
        contrast: How bright everything is.
        strokes: Infarcts; None where there are none.

    Returns:
        FLAIR and T1 before averaging over slices, white matter near 1.
    """
    noise = anatomy.noise
    texture = Texture(
        noise(between(rng, 20, 45)), noise(between(rng, 5, 12)), noise(between(rng, 2.5, 4))
    )
    rim_t1 = between(rng, 0, 0.2)
    planes = len(anatomy.axes_mm[0])
    step = _PLANES if home(anatomy.tissue).device is None else planes
    parts = [
        _ideal(
            _cut(anatomy, part, axes_mm=(anatomy.axes_mm[0][part], *anatomy.axes_mm[1:])),
            _cut(lesions, part),
            contrast,
            _cut(texture, part),
            rim_t1,
            None if strokes is None else _cut(strokes, part),
        )
        for part in (slice(first, first + step) for first in range(0, planes, step))
    ]
    join = namespace(anatomy.tissue).concat
    flair, t1 = (join(images, axis=0) for images in zip(*parts, strict=True))
    return flair, t1


def _cut(whole: T, part: slice, **others: Any) -> T:
    """Some planes of all that has a value at every point."""
    voxel_sized = {
        field.name: getattr(whole, field.name)[part]
        for field in fields(whole)
        if field.name in _VOXEL_SIZED and getattr(whole, field.name) is not None
    }
    return replace(whole, **voxel_sized, **others)


def _ideal(
    anatomy: Sampled,
    lesions: Hyperintensities,
    contrast: Contrast,
    texture: Texture,
    rim_t1: float,
    strokes: Strokes | None,
) -> tuple[Array, Array]:
    """FLAIR and T1 of some planes."""
    alike = contrast.alike
    look = _Lookup(anatomy.tissue)
    xp = look.home.xp
    flair = _tissues(look, contrast.flair, texture)
    t1 = _tissues(look, contrast.t1, texture)
    change = _white_matter(look, anatomy, contrast, texture) + _regions(look, anatomy, contrast)
    flair = flair * (1 + change)
    t1 = t1 * (1 - 0.25 * change)
    if contrast.details is not None:
        more, more_t1 = regions.change(contrast.details, _places(look, anatomy))
        flair, t1 = flair * (1 + more), t1 * (1 + more_t1)
    if alike.rim:
        rim = _rim(look, anatomy, contrast, texture)
        flair = flair + alike.rim * rim
        t1 = t1 * (1 - rim_t1 * rim)
    if alike.septum:
        sheet = xp.astype(anatomy.septum, flair.dtype)
        flair, t1 = flair * (1 + alike.septum * sheet), t1 * (1 - alike.septum_t1 * sheet)
    flair = flair + _fluid(look, anatomy, contrast, texture)
    if contrast.flair.vessels or contrast.t1.vessels:
        points = xp.clip(texture.points - 1.5, 0.0, None) * look(*_of(("csf",)))
        flair = flair + contrast.flair.vessels * points
        t1 = t1 + contrast.t1.vessels * points
    flair = _abnormal(flair, contrast.flair, lesions, texture, brighter=True)
    t1 = _abnormal(t1, contrast.t1, lesions, texture, brighter=False)
    if strokes is not None:
        flair = infarcted(flair, contrast.flair, strokes, strokes.flair)
        t1 = infarcted(t1, contrast.t1, strokes, strokes.t1)
    return flair, t1


def infarcted(image: Array, channel: Channel, strokes: Strokes, change: Array) -> Array:
    """Puts infarcts in: swollen tissue in sulci, then the change of all tissue, then cavities."""
    cortex = float(channel.mean[INDEX["cortex"]])
    image = image + strokes.swollen * (cortex - image)
    image = image * (1 + change)
    return image + strokes.core * (channel.fluid - image)


class _Lookup:
    """Numbers of tissue classes at every point."""

    def __init__(self, tissue: Array) -> None:
        xp = namespace(tissue)
        self.shape = tissue.shape
        self.home = home(tissue)
        self.index = xp.astype(xp.reshape(tissue, (-1,)), xp.int64)

    def __call__(self, table: Float) -> Array:
        xp = self.home.xp
        return xp.reshape(xp.take(self.home.put(table), self.index, axis=0), self.shape)


def _of(names: tuple[str, ...], value: float = 1.0) -> tuple[Float]:
    """A table that holds ``value`` for some classes and 0 for all others."""
    table = np.zeros(len(TISSUES), np.float32)
    table[[INDEX[name] for name in names if name in INDEX]] = value
    return (table,)


def _tissues(look: _Lookup, channel: Channel, texture: Texture) -> Array:
    """Mean intensities, unevenly."""
    uneven = 1 + look(channel.slow) * texture.slow + look(channel.mottled) * texture.mottled
    return look(channel.mean) * look.home.xp.clip(uneven, 0.2, 2.0)


def _white_matter(look: _Lookup, anatomy: Anatomy, contrast: Contrast, texture: Texture) -> Array:
    """Relative change within white matter: dirty near the ventricles, greyer near the cortex."""
    xp, alike = look.home.xp, contrast.alike
    grey = float(contrast.flair.mean[INDEX["cortex"]]) - 1
    change = (alike.fibres * grey) * xp.exp(anatomy.depth_mm * (-1 / 1.5))
    if alike.dirty:
        fall = xp.exp(anatomy.ventricle_mm * (-1 / alike.dirty_mm))
        change = change + alike.dirty * fall * (1 + 0.5 * texture.slow)
    if alike.perivascular:
        change = change - alike.perivascular * xp.clip(texture.points - 2.2, 0.0, 1.0)
    return change * look(*_of(WHITE))


def _regions(look: _Lookup, anatomy: Anatomy, contrast: Contrast) -> Array:
    """Relative change in tracts, brainstem and parts of the cortex."""
    inner = regions.field(contrast.alike.inner, anatomy.axes_mm, anatomy.tissue)
    outer = regions.field(contrast.alike.outer, anatomy.axes_mm, anatomy.tissue)
    return inner * look(*_of((*WHITE, *DEEP))) + outer * look(*_of(GREY))


def _places(look: _Lookup, anatomy: Sampled) -> regions.Places:
    """What details are placed by."""
    return regions.Places(
        white=look(*_of(WHITE)),
        deep=look(*_of((*WHITE, *DEEP))),
        grey=look(*_of(GREY)),
        depth_mm=anatomy.depth_mm,
        pial_mm=anatomy.pial_mm,
        axes_mm=anatomy.axes_mm,
    )


def _rim(look: _Lookup, anatomy: Anatomy, contrast: Contrast, texture: Texture) -> Array:
    """The lining of the ventricles, thicker at the horns, from 0 to 1."""
    xp, alike = look.home.xp, contrast.alike
    caps = regions.field(_HORNS, anatomy.axes_mm, anatomy.tissue)
    thick = alike.rim_mm * (1 + 0.35 * texture.mottled) + alike.caps_mm * caps
    lined = np.zeros(len(TISSUES), np.float32)
    lined[1:N_BRAIN] = 1
    lined[[INDEX[name] for name in (*FLUID, "choroid_plexus", "vessel")]] = 0
    return xp.clip(thick - anatomy.ventricle_mm + 0.5, 0.0, 1.0) * look(lined)


_HORNS = regions.Drawn(
    centres_mm=np.array([(-4, -48, s * 16) for s in (-1, 1)] + [(-2, 30, s * 27) for s in (-1, 1)]),
    radii_mm=np.array([(9.0, 8.0, 9.0)] * 4),
    change=np.ones(4),
)


def _fluid(look: _Lookup, anatomy: Anatomy, contrast: Contrast, texture: Texture) -> Array:
    """What flowing CSF adds; more towards the base of the skull."""
    xp, alike = look.home.xp, contrast.alike
    if not alike.flow:
        return 0.0
    base = np.clip((-10 - np.asarray(anatomy.axes_mm[0])) / 30, 0, 1)[:, None, None]
    level = look.home.put(alike.flow_level - alike.base * base)
    flow = xp.clip(texture.slow + 0.5 * texture.mottled - level, 0.0, 1.5)
    return alike.flow * flow * look(*_of(FLUID))


def _abnormal(
    image: Array, channel: Channel, lesions: Hyperintensities, texture: Texture, *, brighter: bool
) -> Array:
    """Puts hyperintensities and cavities in."""
    xp = namespace(image)
    level = 1 + (channel.lesion - 1) * lesions.gain * (1 + 0.12 * texture.mottled)
    share = xp.clip(lesions.strength + lesions.other, 0.0, 1.0)
    if brighter:
        level = xp.maximum(level, 1.06 * image)
    else:  # the core loses more than the halo
        level, share = xp.clip(level, channel.fluid, 1.05), share * share
    image = image + share * (level - image)
    return image + lesions.cavity * (channel.fluid - image)
