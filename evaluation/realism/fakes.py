"""Synthetic scans of a source's geometry, with the regions of the average brain.

The same number is the same head in the same pose whatever the recipe, so that rounds compare. A
head is registered to the average brain once, from an ideal T1 picture of its labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluation.realism import keeping, views
from evaluation.realism.keeping import Named
from evaluation.realism.sources import Source
from evaluation.realism.views import View
from wmhseg.channels import brain_maps, placement
from wmhseg.channels.brain_maps import Float
from wmhseg.channels.placement import Placement
from wmhseg.synthesis.heads import INDEX, N_BRAIN, TISSUES, Head, load_file
from wmhseg.synthesis.recipe import Recipe
from wmhseg.synthesis.scan import draw_scan

SEED = 160_425
"""Apart from every seed of a training plan."""

# An ideal T1 scan: white matter 1, fluid dark, all else of the brain grey.
_WHITE = ("white_matter", "wmh", "cerebellar_white_matter", "brainstem", "ventral_dc")
_FLUID = ("ventricle", "fourth_ventricle", "csf")


@dataclass(frozen=True)
class PlacedHead:
    """A head and the way from its own millimetres, from the centre of its brain, to the maps'."""

    head: Head
    placement: Placement


def placed_head(path: Path, kept: Path) -> PlacedHead:
    """Loads a head; places it, or reads where it was placed earlier.

    Args:
        path: A prepared head or a label map.
        kept: Folder of earlier placements.
    """
    head = load_file(path)
    file = kept / f"{path.name.split('.')[0]}.npz"

    def place() -> Named:
        found = placement.place(ideal_t1(head), (1.0, 1.0, 1.0), brain_maps.load())
        return {"matrix": found.matrix, "offset_mm": found.offset_mm}

    way = keeping.kept(file, place)
    offset = way["offset_mm"] + way["matrix"] @ np.array(head.centre)
    return PlacedHead(head, Placement(way["matrix"], offset))


def ideal_t1(head: Head) -> Float:
    """T1 without noise, the brain alone."""
    values = np.zeros(len(TISSUES), np.float32)
    values[1:N_BRAIN] = 0.65
    values[[INDEX[name] for name in _WHITE]] = 1.0
    values[[INDEX[name] for name in _FLUID]] = 0.2
    ideal: Float = values[head.tissue]
    return ideal


def draw(placed: PlacedHead, source: Source, recipe: Recipe, number: int) -> View:
    """Draws a scan as the detector looks at it.

    Args:
        placed: Whose head.
        source: Of which geometry.
        recipe: The ranges that are judged.
        number: The same number is the same pose.
    """
    rng = np.random.default_rng([SEED, number])
    drawing = draw_scan(rng, [placed.head], source.recipe(recipe))
    atlas = views.atlas_at(placed.placement, drawing.axes_mm)
    return views.view(drawing.flair, drawing.t1, drawing.target | drawing.other, atlas)
