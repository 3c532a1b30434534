"""Drawn scans as networks take them: each channel made by the functions of inference.

Processes that draw import this module, so it must not load Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.channels import location, making
from wmhseg.channels.location import Located
from wmhseg.errors import RegistrationError
from wmhseg.geometry import Fit, Grid
from wmhseg.preparation import intensity
from wmhseg.synthesis import scan
from wmhseg.synthesis.recipe import Recipe
from wmhseg.synthesis.scan import Drawing, SyntheticScan
from wmhseg.training import classes
from wmhseg.weights.inputs import How, Input
from wmhseg.weights.preset import Preset

Stacks = dict[str, making.Float]
"""Port -> (slice, row, column, channel)."""

_TRIES = 20


@dataclass(frozen=True)
class Shown:
    """A scan as networks take it.

    Attributes:
        stacks: Port -> (slice, row, column, channel).
        brain: (slice, row, column) the brain, outside of which nothing is marked; None if nobody
            looked for it.
    """

    stacks: Stacks
    brain: npt.NDArray[np.bool_] | None = None


def as_shown(rng: np.random.Generator, drawing: Drawing, recipe: Recipe, shown: Preset) -> Shown:
    """A synthetic scan as networks take it, by the functions of inference.

    Args:
        rng: Source of randomness, where ``scan.draw_scan`` left it.
        drawing: What was drawn, of the networks' field.
        recipe: Says how often T1 is missing.
        shown: The model: its inputs and its preprocessing.

    Raises:
        RegistrationError: If the model is told where voxels lie in the brain, and that is not
            found.
    """
    method = shown.preprocessing
    volumes = {"FLAIR": drawing.flair, "T1": drawing.t1}
    made: dict[How, Mapping[str, npt.NDArray[Any]]] = {}
    if any(one.how == "z-score" for one in shown.inputs):
        made["z-score"] = {
            name: scan.normalise(rng, volume, method) for name, volume in volumes.items()
        }
    located: Located | None = None
    without_t1 = rng.random() < recipe.without_t1
    if without_t1 or not shown.takes_t1:
        del volumes["T1"]
    others = tuple(one for one in shown.inputs if one.how != "z-score")
    if others:
        if method.ceiling is not None:
            volumes = {k: intensity.limit(v, method.ceiling) for k, v in volumes.items()}
        slices, rows, columns = drawing.flair.shape
        fit = Fit(Grid((slices, rows, columns), drawing.spacing_mm), (rows, columns))
        if shown.takes_location:
            located = location.features(volumes["FLAIR"], volumes.get("T1"), drawing.spacing_mm)
        made |= making.made(volumes, fit, replace(shown, inputs=others), located)
    given = {
        how: {name: volume for name, volume in scans.items() if name != "T1" or not without_t1}
        for how, scans in made.items()
    }
    stacks = making.stacked(given, shown.inputs)
    return Shown(stacks, None if located is None else located.brain)


def in_place(
    rng: np.random.Generator, draw: Callable[[], Drawing], recipe: Recipe, shown: Preset
) -> tuple[Drawing, Shown]:
    """A scan; those whose place in the brain is not found are left out, as at inference.

    Args:
        rng: As of ``as_shown``.
        draw: Draws a scan with it.
        recipe: As of ``as_shown``.
        shown: As of ``as_shown``.

    Raises:
        RegistrationError: If it is found in none of many.
    """
    for left in reversed(range(_TRIES)):
        drawing = draw()
        try:
            return drawing, as_shown(rng, drawing, recipe, shown)
        except RegistrationError:
            if not left:
                raise
    raise AssertionError


def numbers_of(drawing: Drawing) -> npt.NDArray[np.uint8]:
    """What a mask of a drawn scan would hold: 0, 1 for WMH, 2 for stroke."""
    numbers: npt.NDArray[np.uint8] = drawing.target.astype(np.uint8)
    numbers[drawing.stroke] = classes.NAMES.index(classes.STROKE)
    return numbers


def stacks_of(scan: SyntheticScan, inputs: Sequence[Input]) -> Stacks:
    """A normalised synthetic scan as networks of z-scores take it."""
    drawn = {"FLAIR": scan.inputs[..., 0], "T1": scan.inputs[..., 1]}
    return making.stacked({"z-score": drawn}, inputs)
