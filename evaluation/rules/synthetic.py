"""Synthetic scans that rules are tried on, marked by readers of known generosity.

One drawing serves all models: images are kept with the marks of every reader. Scans are segmented
as ``wmhseg segment`` would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import wmhseg
from evaluation import lesion_free
from evaluation.rules import maps
from evaluation.rules.maps import Kept, Labels
from wmhseg import errors
from wmhseg.channels.network_input import NetworkInput
from wmhseg.geometry import Grid, Triple, Way, turn_to
from wmhseg.io import files
from wmhseg.io.stamps import Stamp, fingerprint
from wmhseg.segmentation import prediction
from wmhseg.synthesis.heads import Head
from wmhseg.synthesis.recipe import Recipe
from wmhseg.synthesis.scan import SyntheticScan, as_seen, draw_scan
from wmhseg.training.batches import drawn
from wmhseg.weights.methods import METHODS

READERS: Mapping[str, float] = {"generous": 0.3, "balanced": 0.4, "sparing": 0.5}
"""From which share of a lesion's brightness on each marks (``Recipe.marked``)."""

# Apart from every seed of a training plan.
SEED = 61_606
WITH_LESIONS = replace(Recipe(), without_lesions=0.0)


@dataclass(frozen=True)
class Source:
    """What synthetic scans are drawn from.

    Attributes:
        name: Of its files.
        labels: Folder of label maps or prepared heads.
        heads: Its content.
        recipe: Ranges.
        seed: Of all of them.
        readers: Reader -> share of a lesion's brightness from which it marks; of scans without
            lesions none.
    """

    name: str
    labels: Path
    heads: Sequence[Head]
    recipe: Recipe
    seed: int
    readers: Mapping[str, float]

    def fingerprint(self, number: int, salt: str = "") -> str:
        """Changes with all that a scan depends on.

        Args:
            number: Of the scan.
            salt: What else decides.
        """
        what = f"{salt} {self.recipe} {self.seed} {number} {sorted(self.readers.items())}"
        return fingerprint(what, *sorted(p for p in self.labels.iterdir() if p.is_file()))


def with_lesions(labels: Path, heads: Sequence[Head]) -> Source:
    """Scans that hold lesions, each marked by every reader."""
    return Source("lesions", labels, heads, WITH_LESIONS, SEED, READERS)


def without_lesions(labels: Path, heads: Sequence[Head]) -> Source:
    """The scans of ``evaluation.lesion_free``."""
    return Source("none", labels, heads, lesion_free.RECIPE, lesion_free.SEED, {})


def draw(source: Source, number: int) -> tuple[SyntheticScan, dict[str, Labels], Triple]:
    """A scan as networks see it, each reader's marks, and the distance of its voxels in mm.

    Readers look at one image: the level at which they mark is the last thing that is drawn.
    """
    levels = source.readers or {"": source.recipe.marked[0]}
    references = {}
    for reader, level in levels.items():
        rng = np.random.default_rng([source.seed, number])
        recipe = source.recipe
        if reader:
            recipe = replace(recipe, marked=(level, level))
        drawing = draw_scan(rng, source.heads, recipe)
        if reader:
            references[reader] = drawing.target.astype(np.uint8)
    return as_seen(rng, drawing, recipe), references, drawing.spacing_mm


def of_number(segmenter: wmhseg.Segmenter, source: Source, number: int, folder: Path) -> Kept:
    """The map of a synthetic scan, with its readers' marks.

    Args:
        segmenter: Of the model.
        source: What scans are drawn from.
        number: Of the scan.
        folder: Where maps and drawings are kept.

    Raises:
        UsageError: If scans are not drawn for such a model.
    """
    model = segmenter.model
    if model.preset.preprocessing != METHODS["synthetic"].preprocessing:
        raise errors.UsageError(
            "A model with the pre-processing of the preset synthetic was expected, as the scans "
            "are drawn for it",
            received=model.preset.name,
        )
    name = f"synthetic-{source.name}-{number:03d}"
    path = folder / model.preset.name / f"{name}.npz"
    stamp = Stamp(path.with_suffix(".json"), (path,))
    today = source.fingerprint(number, maps.identity(segmenter))
    if stamp.read(today) is None:
        stamp.clear()
        scan, references, spacing_mm = _kept_drawing(source, number, folder / "drawn" / path.name)
        slices, rows, columns, _ = scan.inputs.shape
        grid = Grid((slices, rows, columns), spacing_mm)
        stacks = drawn.stacks_of(scan, model.preset.inputs)
        inputs = NetworkInput(stacks, Way((turn_to(grid, "stored"),)), {}, ())
        made = prediction.predict(inputs, model, segmenter.start())
        files.check_writable(path.parent)
        maps.write(path, maps.cut(Kept(name, made.probability, references, grid.voxel_ml)))
        stamp.write(today)
    return maps.read(path)


def _kept_drawing(
    source: Source, number: int, path: Path
) -> tuple[SyntheticScan, dict[str, Labels], Triple]:
    """As ``draw``, drawn once."""
    stamp = Stamp(path.with_suffix(".json"), (path,))
    today = source.fingerprint(number)
    if stamp.read(today) is None:
        stamp.clear()
        scan, references, spacing_mm = draw(source, number)
        arrays: dict[str, Any] = {f"reader_{k}": labels for k, labels in references.items()}
        arrays |= {"inputs": scan.inputs, "spacing_mm": np.array(spacing_mm)}
        files.check_writable(path.parent)
        files.write_atomically(path, lambda file: np.savez_compressed(file, **arrays))
        stamp.write(today)
    with np.load(path) as stored:
        references = {name: stored[f"reader_{name}"] for name in source.readers}
        a, b, c = (float(side) for side in stored["spacing_mm"])
        inputs = stored["inputs"]
    return SyntheticScan(inputs, np.zeros(inputs.shape[:3], bool)), references, (a, b, c)
