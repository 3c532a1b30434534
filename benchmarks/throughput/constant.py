"""How far networks look, and so which rows and columns of background they need not compute."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wmhseg.datasets import demo
from wmhseg.datasets.scan_names import challenge_scans
from wmhseg.engines import interface
from wmhseg.networks import graph
from wmhseg.segmentation.pipeline import Segmenter
from wmhseg.weights import store
from wmhseg.weights.store import Model


def seen(described: graph.Graph) -> int:
    """How many pixels away a change of what comes in may change what comes out.

    Counted from the output back: a layer's reach weighs as much as a pixel of it spans of the
    input. Of layers with several ways to the input the farthest counts.
    """
    pixel: dict[str, float] = {}
    reach: dict[str, float] = {}
    for layer in described.layers:
        before = [x.name for x in layer.inputs]
        span = max((pixel[name] for name in before), default=1.0)
        far = max((reach[name] for name in before), default=0.0)
        step, wide = _own(layer.operation)
        reach[layer.name] = far + wide * span
        pixel[layer.name] = span * step
    return int(np.ceil(reach[described.output.name]))


def _own(operation: graph.Operation) -> tuple[float, float]:
    """What a layer multiplies the span of a pixel by, and its reach in pixels of its input."""
    match operation:
        case graph.Convolution() as one:
            return 1.0, (one.reach + 1) // 2
        case graph.GrowingConvolution(_, kernel):
            return 0.5, kernel / 4
        case graph.MaxPool():
            return 2.0, 1.0
        case graph.MeanPool(side, stride):
            return float(stride), float(side - 1)
        case graph.Doubling():
            return 0.5, 0.5
        case graph.Enlarging(factor):
            return 1 / factor, 1.0
        case graph.Patchwise():
            raise ValueError("patches look as far as they are wide, and are computed where asked")
        case _:
            return 1.0, 0.0


def spared(stack: npt.NDArray[np.float32], far: int) -> float:
    """The share of rows and columns that one value can stand for, each slice by itself.

    Args:
        stack: (slice, row, column, channel).
        far: How many pixels a network sees.

    Returns:
        The share of pixels outside the box of what is not background, grown by ``far`` pixels, and
        as far from the border of the field, where zeros come in.
    """
    rows, columns = stack.shape[1:3]
    pixels = rows * columns
    left = 0
    for one in stack:
        differs = (one != one[0, 0]).any(-1)
        if differs.any():
            left += pixels - _needed(differs.any(1), far) * _needed(differs.any(0), far)
        # A slice of background alone is computed once for all today: nothing more is spared.
    return left / (len(stack) * pixels)


def _needed(holds: npt.NDArray[np.bool_], far: int) -> int:
    """How many rows (or columns) have to be computed where some hold more than background."""
    held = np.flatnonzero(holds)
    low, high = max(0, int(held[0]) - far), min(len(holds), int(held[-1]) + 1 + far)
    # Outside, only those whose view ends before the border of the field are alike.
    return min(len(holds), high - low + min(low, far) + min(len(holds) - high, far))


def told() -> str:
    """Lines about the shipped models, and what the synthetic case would spare the default one."""
    lines = []
    for model in _whole_slices():
        far = seen(interface.describe(model, model.preset.members[0]))
        line = f"{model.preset.name}: sees {far} pixels to each side of its field of "
        lines.append(line + " x ".join(map(str, model.preset.signature.field)) + " pixels")
        if model.preset.name == store.DEFAULT_MODEL:
            share = spared(_synthetic_case(model), far)
            lines.append(f"  of the synthetic case {share:.1%} of the pixels need not be computed")
    return "\n".join(lines)


def _synthetic_case(model: Model) -> npt.NDArray[np.float32]:
    """What the networks take of it, (slice, row, column, channel)."""
    with tempfile.TemporaryDirectory() as folder:
        scans = challenge_scans(demo.write_case(Path(folder)))
        loaded = Segmenter(model).load(scans["FLAIR"], scans["T1"])
    (stack,) = loaded.inputs.stacks.values()
    return stack


def _whole_slices() -> list[Model]:
    """The installed models whose networks see slices of one size."""
    return [one for one in store.all_models() if one.preset.preprocessing.field is not None]
