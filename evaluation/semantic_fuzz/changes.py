"""The changes: lossless, or of what has no meaning. Each is applied to both scans or to one.

``CHANGES`` holds a function for each, which draws how from a random generator.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.semantic_fuzz.scans import TYPES, UNITS, Array, Encoding, Stored, along, encoded

Pair = tuple[Stored, Stored]
"""FLAIR and T1."""

Who = tuple[int, ...]
"""Which of them are changed: (0, 1), (0,) or (1,)."""

_KINDS = ("both", "qform", "sform", "stale qform", "stale sform", "other qform")
_SCALINGS = ((0.5, 0.0), (0.25, 0.0), (1.0, -1024.0), (1.0, 100.0), (2.0, 1.0), (0.5, -3.5),
             (-1.0, 0.0), (0.1, 0.0), (0.0, 7.0), (float("nan"), 9.0))  # fmt: skip
_NAMES = ("scan.nii", "scan.nii.gz", "scan", "a.b.nii.gz", "FLAIR (1).nii", "Größe.nii.gz", "x.img")
_MOST_SIDE, _MOST_SLICES = 24, 6
_MARGIN = 2  # between what is left and the head
_HEAD, _LEAST = 0.1, 0.002  # brightness of the head, and its share of a plane that holds it


@dataclass(frozen=True)
class Change:
    """One change.

    Attributes:
        apply: Takes a random generator, the pair and which scans; returns the pair.
        alone: Whether it makes sense for one scan of the two.
        exact: Whether the mask has to stay the same to the bit.
    """

    apply: Callable[[random.Random, Pair, Who], Pair]
    alone: bool = True
    exact: bool = True


def _each(pair: Pair, who: Who, change: Callable[[Stored], Stored]) -> Pair:
    flair, t1 = (change(scan) if place in who else scan for place, scan in enumerate(pair))
    return flair, t1


def _encoding(**choices: Callable[[random.Random], Any]) -> Change:
    """Changes what stands in the encoding; each scan draws for itself."""

    def apply(rng: random.Random, pair: Pair, who: Who) -> Pair:
        def change(scan: Stored) -> Stored:
            return replace(scan, how=replace(scan.how, **{k: c(rng) for k, c in choices.items()}))

        return _each(pair, who, change)

    return Change(apply)


def _axes(rng: random.Random, pair: Pair, who: Who) -> Pair:
    axes = tuple(rng.sample(range(3), 3))
    flips = tuple(rng.random() < 0.5 for _ in range(3))
    return _each(pair, who, lambda scan: scan.turned(axes, flips))


def _no_forms(rng: random.Random, pair: Pair, who: Who) -> Pair:
    return _each(pair, who, lambda scan: replace(scan, how=replace(scan.how, forms="none")))


def _possible(rng: random.Random, scan: Stored, encodings: list[Encoding]) -> Stored:
    """With the first encoding, in random order, that holds the values."""
    rng.shuffle(encodings)
    held = (how for how in encodings if encoded(scan.values, how) is not None)
    return replace(scan, how=next(held, scan.how))


def _type(rng: random.Random, pair: Pair, who: Who) -> Pair:
    def change(scan: Stored) -> Stored:
        return _possible(rng, scan, [replace(scan.how, dtype=dtype) for dtype in TYPES])

    return _each(pair, who, change)


def _scaling(rng: random.Random, pair: Pair, who: Who) -> Pair:
    def change(scan: Stored) -> Stored:
        types = ("int16", "int32", "float64")
        return _possible(rng, scan, [replace(scan.how, scaling=scaling, dtype=dtype)
                                     for scaling in _SCALINGS for dtype in types])  # fmt: skip

    return _each(pair, who, change)


def _shift(rng: random.Random, pair: Pair, who: Who) -> Pair:
    by = [rng.uniform(-80, 80) for _ in range(3)]

    def change(scan: Stored) -> Stored:
        affine = scan.affine.copy()
        affine[:3, 3] += by
        return replace(scan, affine=affine)

    return _each(pair, who, change)


# Empty borders: both scans lie in one order of axes here, see ``chain`` ---------------------------


def _same_axes(pair: Pair) -> Pair:
    """T1 in the order of axes of FLAIR, in which what is added to both has one meaning."""
    flair, t1 = pair
    axes = flair.affine[:3, :3] / flair.spacing_mm
    cosines = axes.T @ (t1.affine[:3, :3] / t1.spacing_mm)
    order = tuple(int(n) for n in np.argmax(np.abs(cosines), axis=1))
    return flair, t1.turned(order, tuple(bool(cosines[n, a] < 0) for n, a in enumerate(order)))


def _pad(rng: random.Random, pair: Pair, who: Who) -> Pair:
    flair, t1 = _same_axes(pair)
    up = along(flair.affine)[2]
    most = [_MOST_SLICES if axis == up else _MOST_SIDE for axis in range(3)]
    widths = tuple((rng.randint(0, m), rng.randint(0, m)) if rng.random() < 0.6 else (0, 0)
                   for m in most)  # fmt: skip
    zero = rng.random() < 0.5

    def change(scan: Stored) -> Stored:
        faces = [np.moveaxis(scan.values, axis, 0)[[0, -1]].ravel() for axis in range(3)]
        usual = float(np.rint(np.median(np.concatenate(faces))))
        return scan.padded(widths, 0.0 if zero else usual)

    return _each((flair, t1), who, change)


def _empty(planes: Array) -> tuple[int, int]:
    """How many planes of one value there are at either end."""
    empty = [bool((plane == plane.flat[0]).all()) for plane in planes]
    return empty.index(False), empty[::-1].index(False)


def _crop(rng: random.Random, pair: Pair, who: Who) -> Pair:
    """Cuts off some of the planes that are empty in both; a scan without any is padded before."""
    pair = _same_axes(pair)
    if not any(_most(pair, axis) != (0, 0) for axis in range(3)):
        pair = _pad(rng, pair, who)
    parts = []
    for axis, n in enumerate(pair[0].values.shape):
        before, after = _most(pair, axis)
        parts.append(slice(rng.randint(0, before), n - rng.randint(0, after)))
    return _each(pair, who, lambda scan: scan.cut(tuple(parts)))


def _most(pair: Pair, axis: int) -> tuple[int, int]:
    ends = [_empty(np.moveaxis(scan.values, axis, 0)) for scan in pair]
    return min(a for a, _ in ends), min(b for _, b in ends)


def _air(rng: random.Random, pair: Pair, who: Who) -> Pair:
    """Cuts off air with noise in it, which is no lossless change; see ``--air``."""
    flair, t1 = _same_axes(pair)
    parts = []
    for (a, b), (c, d), n in zip(_box(flair), _box(t1), flair.values.shape, strict=True):
        first, last = max(0, min(a, c) - _MARGIN), min(n, max(b, d) + _MARGIN)
        parts.append(slice(rng.randint(0, first), rng.randint(last, n)))
    return _each((flair, t1), who, lambda scan: scan.cut(tuple(parts)))


def _box(scan: Stored) -> list[tuple[int, int]]:
    """From the first to behind the last plane along each axis that holds something bright."""
    bright = np.abs(scan.values)
    held: npt.NDArray[np.bool_] = bright > _HEAD * np.percentile(bright[bright > 0], 99)
    box = []
    for axis in range(3):
        share = np.moveaxis(held, axis, 0).reshape(held.shape[axis], -1).mean(1)
        places = np.flatnonzero(share > _LEAST)
        box.append((int(places[0]), int(places[-1]) + 1))
    return box


CHANGES: dict[str, Change] = {
    "axes": Change(_axes),
    "forms": _encoding(
        forms=lambda rng: rng.choice(_KINDS),
        codes=lambda rng: (rng.randint(1, 4), rng.randint(1, 4)),
    ),
    "no forms": Change(_no_forms, alone=False),
    "type": Change(_type),
    "scaling": Change(_scaling),
    "version": _encoding(version=lambda rng: rng.choice((1, 2))),
    "byte order": _encoding(order=lambda rng: rng.choice("<>")),
    "compression": _encoding(gzip=lambda rng: rng.random() < 0.5),
    "fourth axis": _encoding(trailing=lambda rng: True),
    "extension": _encoding(extension=lambda rng: rng.choice((1, 40, 5000))),
    "unit": _encoding(unit=lambda rng: rng.choice(list(UNITS))),
    "name": _encoding(name=lambda rng: rng.choice(_NAMES)),
    "rounding": _encoding(decimals=lambda rng: rng.choice((5, 6, 7))),
    "shift": Change(_shift, alone=False),
    "padding": Change(_pad, alone=False),
    "cropping": Change(_crop, alone=False),
    "cutting air": Change(_air, alone=False, exact=False),
}
AIR = "cutting air"
_EITHER = {"forms", "no forms"}
"""Of these a chain has one at most."""

Link = tuple[str, Who]


def draw(rng: random.Random) -> list[Link]:
    """A chain of 1 to 4 changes."""
    names = [name for name in CHANGES if name not in {*_EITHER, AIR}]
    names += [rng.choice(sorted(_EITHER))]
    chosen = rng.sample(names, rng.randint(1, 4))
    both: Who = (0, 1)
    return [(name, rng.choice((both, both, (0,), (1,))) if CHANGES[name].alone else both)
            for name in chosen]  # fmt: skip


def apply(rng: random.Random, pair: Pair, chain: list[Link]) -> Pair:
    """Takes a pair through a chain."""
    for name, who in chain:
        pair = CHANGES[name].apply(rng, pair, who)
    return pair


def told(chain: list[Link]) -> str:
    """A chain in words."""
    whom = {(0, 1): "", (0,): " of FLAIR", (1,): " of T1"}
    return ", ".join(f"{name}{whom[who]}" for name, who in chain)
