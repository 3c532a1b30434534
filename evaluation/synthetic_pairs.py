"""Synthetic pairs of FLAIR and T1 of which is known what ``wmhseg check`` has to tell.

Drawn by the training's own generator: all contrasts, spin-echo T1 with hardly any, thick slices,
lesions, noise, faults. Here each pair is also stripped or not (both with one mask, each with its
own, one alone, well and badly) and cut or not (neck, lower brain, vertex), and what was done is
kept. A pair is made from its number alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.geometry import Grid
from wmhseg.io import files
from wmhseg.io.images import Scan
from wmhseg.synthesis.acquisition import acquire, average, brain_extraction
from wmhseg.synthesis.anatomy import Sampled, sample
from wmhseg.synthesis.appearance import paint
from wmhseg.synthesis.arrays import Array
from wmhseg.synthesis.brightness import draw_contrast
from wmhseg.synthesis.heads import INDEX, N_BRAIN, Head
from wmhseg.synthesis.hyperintensities import grow
from wmhseg.synthesis.linear import slice_profile
from wmhseg.synthesis.noise import Noise, between
from wmhseg.synthesis.recipe import Recipe

# Apart from every seed of a training plan.
SEED = 77_281

_SLICES = 24
_STRIPPED = {"neither": 0.36, "both, one mask": 0.3, "both, own masks": 0.1,
             "FLAIR alone": 0.12, "T1 alone": 0.12}  # fmt: skip
_CUT = {"nothing": 0.6, "below": 0.25, "above": 0.15}
_CUT_SHARE = (0.02, 0.45)
_PADDED, _MOST_PADDED = 0.15, 4


@dataclass(frozen=True)
class Pair:
    """A synthetic pair.

    Attributes:
        flair: The FLAIR scan.
        t1: The T1 scan on its grid.
        stripped: Whose skull was removed, and by how many masks.
        badly: Whether that was done badly: bits of the head left, cortex eaten.
        lost_below: Share of the brain below the lowest slice.
        lost_above: The same above the uppermost one.
        grey: Brightness of cortex over that of white matter, in FLAIR and in T1.
    """

    flair: Scan
    t1: Scan
    stripped: str
    badly: bool
    lost_below: float
    lost_above: float
    grey: tuple[float, float]


def draw(number: int, heads: Sequence[Head]) -> Pair:
    """Draws a pair.

    Args:
        number: Of the pair.
        heads: Anatomies to choose from.
    """
    body, strips, cuts, painted, acquired = np.random.default_rng([SEED, number]).spawn(5)
    recipe = replace(
        Recipe(), slices=_SLICES, cut_short=0.0, empty_ends=0.0, skull_stripped=0.0,
        badly_stripped=float(strips.random() < Recipe().badly_stripped),
    )  # fmt: skip
    head = heads[int(body.integers(len(heads)))]
    thickness = float(body.choice(recipe.thickness_mm))
    parts = 2 if thickness < 2 else 3
    anatomy = sample(body, head, recipe, thickness, parts)
    contrast = draw_contrast(painted, recipe)
    images = paint(painted, anatomy, grow(body, anatomy, recipe), contrast)
    made = acquire(acquired, images, anatomy, parts, recipe).images

    way = str(strips.choice(list(_STRIPPED), p=list(_STRIPPED.values())))
    axes = (anatomy.axes_mm[0].reshape(-1, parts).mean(1), *anatomy.axes_mm[1:])
    masks: list[Array] = [1.0, 1.0]
    for place, own in enumerate(strips.spawn(2)):
        if way.startswith("both") or way == ("FLAIR alone", "T1 alone")[place]:
            masks[place] = brain_extraction(own, anatomy, parts, Noise(own, axes), recipe)
        if way == "both, one mask":
            masks[1] = masks[0]
            break
    brain = _brain(anatomy, parts)
    kept, ends = _kept(cuts, brain)
    total = max(1.0, float(brain.sum()))
    scans = [_scan(image * mask, kept, ends, anatomy.spacing_mm, name)
             for image, mask, name in zip(made, masks, ("FLAIR", "T1"), strict=True)]  # fmt: skip
    grey = [float(channel.mean[INDEX["cortex"]]) for channel in (contrast.flair, contrast.t1)]
    return Pair(
        scans[0],
        scans[1],
        way,
        bool(recipe.badly_stripped),
        float(brain[: kept.start].sum()) / total,
        float(brain[kept.stop :].sum()) / total,
        (grey[0], grey[1]),
    )


def _brain(anatomy: Sampled, parts: int) -> npt.NDArray[np.float64]:
    """Voxels of brain in each slice."""
    inside = (anatomy.tissue > 0) & (anatomy.tissue < N_BRAIN) & (anatomy.tissue != INDEX["csf"])
    shares: npt.NDArray[np.float64] = average(inside, parts, slice_profile(parts, 0)).sum((1, 2))
    return shares


def _kept(
    rng: np.random.Generator, brain: npt.NDArray[np.float64]
) -> tuple[slice, tuple[int, int]]:
    """Which slices stay, and how many empty ones are put below and above them."""
    cut = str(rng.choice(list(_CUT), p=list(_CUT.values())))
    share, padded = between(rng, *_CUT_SHARE), rng.random() < _PADDED
    ends = rng.integers(0, _MOST_PADDED, 2) * padded
    below = np.cumsum(brain) / max(1.0, float(brain.sum()))
    first, last = 0, len(brain)
    if cut == "below":
        first = int(np.searchsorted(below, share)) + 1
    elif cut == "above":
        last = int(np.searchsorted(below, 1 - share))
    return slice(first, last), (int(ends[0]), int(ends[1]))


def _scan(
    image: npt.NDArray[np.float32],
    kept: slice,
    ends: tuple[int, int],
    spacing_mm: tuple[float, float, float],
    name: str,
) -> Scan:
    array = np.pad(1000 * image[kept], (ends, (0, 0), (0, 0))).astype(np.float32)
    slices, rows, columns = array.shape
    return Scan(array, Grid((slices, rows, columns), spacing_mm), name)


# Kept scans --------------------------------------------------------------------------------------

_STEP_MM = 2.0
_LEVELS = 65535


def thinned(pair: Pair) -> Pair:
    """The pair with every so many voxels, about 2 mm apart, as ``check`` looks at it."""
    grid = pair.flair.grid
    steps = [max(1, round(_STEP_MM / size)) for size in grid.spacing_mm]
    slices, rows, columns = (size * step for size, step in zip(grid.spacing_mm, steps, strict=True))

    def thin(scan: Scan) -> Scan:
        array = np.ascontiguousarray(scan.array[:: steps[0], :: steps[1], :: steps[2]])
        a, b, c = array.shape
        return Scan(array, Grid((a, b, c), (slices, rows, columns)), scan.name)

    return replace(pair, flair=thin(pair.flair), t1=thin(pair.t1))


def write(path: Path, pair: Pair) -> None:
    """Writes a thinned pair, in 16 bits, complete or not at all."""
    scans = {"flair": pair.flair, "t1": pair.t1}
    arrays = {
        name: np.rint(scan.array * (_LEVELS / max(float(scan.array.max()), 1e-6)))
        for name, scan in scans.items()
    }
    kept: dict[str, Any] = {name: array.astype(np.uint16) for name, array in arrays.items()}
    kept |= {
        "spacing": np.array(pair.flair.grid.spacing_mm), "stripped": pair.stripped,
        "badly": pair.badly, "lost": np.array([pair.lost_below, pair.lost_above]),
        "grey": np.array(pair.grey),
    }  # fmt: skip
    files.write_atomically(path, lambda file: np.savez(file, **kept))


def read(path: Path) -> Pair:
    """Reads what ``write`` wrote."""
    with np.load(path) as kept:
        a, b, c = (float(size) for size in kept["spacing"])
        flair, t1 = (
            Scan(
                kept[key].astype(np.float32),
                Grid(tuple(int(n) for n in kept[key].shape), (a, b, c)),  # type: ignore[arg-type]
                name,
            )
            for key, name in (("flair", "FLAIR"), ("t1", "T1"))
        )
        below, above = (float(share) for share in kept["lost"])
        grey = (float(kept["grey"][0]), float(kept["grey"][1]))
        return Pair(flair, t1, str(kept["stripped"]), bool(kept["badly"]), below, above, grey)
