"""Plots of scores: boxes by metric and scanner, volumes, and recall by lesion size.

matplotlib is an extra and is imported on the first call. Every function returns a PNG's bytes.
"""

from __future__ import annotations

import importlib.util
import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wmhseg.errors import PlotsUnavailableError
from wmhseg.scoring.statistics import bland_altman
from wmhseg.scoring.summary import CHALLENGE, LABELS, SIZE_CLASSES, by_place, size_classes
from wmhseg.scoring.table import Score, finite

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Sets = Mapping[str, Sequence[Score]]
"""Name of a model -> its scores."""

# Okabe and Ito's colours, told apart by people with any colour vision.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999", "#F0E442")
_DOT: Any = {"s": 16, "alpha": 0.8, "linewidths": 0}
_DPI = 130
_LONGEST_NAME = 18


NO_PLOTS = "No plots are drawn: matplotlib is not installed (pip install 'wmhseg[plots]')."


def available() -> bool:
    """Whether plots can be drawn: whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def check_available() -> None:
    """Find out before hours of computing whether plots can be drawn.

    Raises:
        PlotsUnavailableError: matplotlib is not installed.
    """
    if not available():
        raise PlotsUnavailableError(
            "The package matplotlib was expected, for plots",
            received="none installed",
            advice="pip install 'wmhseg[plots]', or leave the plots out with --no-plots.",
        )


def draw_all(sets: Sets, heading: str) -> dict[str, bytes]:
    """Draw every plot.

    Args:
        sets: The scores of one model or of several, side by side.
        heading: Printed above each, with the role of the data.

    Returns:
        File name -> PNG. Empty if no case is scored.

    Raises:
        PlotsUnavailableError: matplotlib is not installed.
    """
    check_available()
    scored = {name: [s for s in scores if s.scored] for name, scores in sets.items()}
    scored = {name: scores for name, scores in scored.items() if scores}
    if not scored:
        return {}
    plots: dict[str, Callable[[Sets, str], bytes]] = {
        "metrics_by_scanner.png": metric_boxes,
        "bland_altman.png": bland_altman_plot,
        "volumes.png": volume_scatter,
        "recall_by_lesion_size.png": size_recall,
    }
    return {name: draw(scored, heading) for name, draw in plots.items()}


def metric_boxes(sets: Sets, heading: str) -> bytes:
    """Draw a box for each challenge metric, scanner and model; dots are cases.

    In brackets: number of cases with a value.

    Args:
        sets: Scored cases of each model.
        heading: Printed above.

    Returns:
        PNG.
    """
    places = {name: by_place(scores) for name, scores in sets.items()}
    groups = list(dict.fromkeys(place for by_name in places.values() for place in by_name))
    figure = new_figure(heading, width=2.6 * len(CHALLENGE) + 1, height=4.8)
    for axes, metric in zip(figure.subplots(1, len(CHALLENGE)), CHALLENGE, strict=True):
        counts = [0] * len(groups)
        for row, (name, by_name) in enumerate(places.items()):
            values = [finite(by_name.get(place, []), metric) for place in groups]
            counts = [max(n, len(sample)) for n, sample in zip(counts, values, strict=True)]
            _draw_boxes(axes, values, row, len(places))
            if metric == CHALLENGE[0]:
                axes.plot([], [], color=colour(row), linewidth=6, label=name)
        axes.set_title(LABELS[metric], fontsize=10)
        ticks = [f"{_short(place) or 'all'} ({n})" for place, n in zip(groups, counts, strict=True)]
        axes.set_xticks(range(len(groups)), ticks, fontsize=8, rotation=60, ha="right")
        axes.set_xlim(-0.6, len(groups) - 0.4)
        if metric in ("dsc", "recall", "f1"):
            axes.set_ylim(-0.02, 1.02)
        else:
            axes.set_ylim(bottom=0)
        axes.grid(axis="y", alpha=0.25)
    _legend(figure, sets)
    return to_png(figure)


def bland_altman_plot(sets: Sets, heading: str) -> bytes:
    """Draw the difference of volumes over their mean, with bias and limits of agreement.

    Args:
        sets: Scored cases of each model.
        heading: Printed above.

    Returns:
        PNG.
    """
    figure = new_figure(heading, width=6.4, height=4.6)
    axes = figure.subplots()
    for row, (name, scores) in enumerate(sets.items()):
        reference, result = _volumes(scores)
        axes.scatter((reference + result) / 2, result - reference, color=colour(row), **_DOT)
        label = f"{name} (n = {reference.size})"
        if reference.size > 1:
            agreement = bland_altman(reference, result)
            axes.axhline(agreement.bias_ml, color=colour(row), linewidth=1.2)
            for limit in (agreement.lower_ml, agreement.upper_ml):
                axes.axhline(limit, color=colour(row), linewidth=1, linestyle="--")
            label += f": bias {agreement.bias_ml:.2f} ml"
        axes.scatter([], [], color=colour(row), label=label)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_xlabel("Mean of reference and result (ml)")
    axes.set_ylabel("Result minus reference (ml)")
    axes.legend(fontsize=8, frameon=False)
    return to_png(figure)


def volume_scatter(sets: Sets, heading: str) -> bytes:
    """Draw the result's volume over the reference's; the diagonal is agreement.

    Args:
        sets: Scored cases of each model.
        heading: Printed above.

    Returns:
        PNG.
    """
    figure = new_figure(heading, width=5.2, height=5.2)
    axes = figure.subplots()
    largest = 0.0
    for row, (name, scores) in enumerate(sets.items()):
        reference, result = _volumes(scores)
        label = f"{name} (n = {reference.size})"
        axes.scatter(reference, result, color=colour(row), label=label, **_DOT)
        largest = max([largest, *reference, *result])
    edge = 1.05 * (largest or 1)
    axes.plot([0, edge], [0, edge], color="black", linewidth=0.6)
    axes.set(xlim=(0, edge), ylim=(0, edge), aspect="equal")
    axes.set_xlabel("Reference volume (ml)")
    axes.set_ylabel("Result volume (ml)")
    axes.legend(fontsize=8, frameon=False)
    return to_png(figure)


def size_recall(sets: Sets, heading: str) -> bytes:
    """Draw recall by size of lesion, over the lesions of all cases together.

    Args:
        sets: Scored cases of each model.
        heading: Printed above.

    Returns:
        PNG.
    """
    figure = new_figure(heading, width=5.6, height=4.2)
    axes = figure.subplots()
    width = 0.8 / len(sets)
    lesions: dict[str, set[int]] = {name: set() for name in SIZE_CLASSES}
    for row, (name, scores) in enumerate(sets.items()):
        classes = size_classes(scores)
        heights = [0 if math.isnan(size.recall) else size.recall for size in classes]
        places = np.arange(len(classes)) + _offset(row, len(sets), width)
        axes.bar(places, heights, 0.92 * width, color=colour(row), label=name)
        for size in classes:
            lesions[size.name].add(size.lesions)
    # Models with failed cases have fewer.
    counts = [
        "-".join(map(str, sorted({min(numbers), max(numbers)}))) for numbers in lesions.values()
    ]
    ticks = [f"{v} voxels\nn = {n}" for v, n in zip(SIZE_CLASSES.values(), counts, strict=True)]
    axes.set_xticks(range(len(SIZE_CLASSES)), ticks)
    axes.set_xlabel("Size of the reference lesion; n: number of lesions")
    axes.set_ylabel("Share detected")
    axes.set_ylim(0, 1.02)
    _legend(figure, sets)
    return to_png(figure)


def new_figure(heading: str, *, width: float, height: float) -> Figure:
    """An empty figure, sizes in inches; made without pyplot, so that no window system is asked."""
    check_available()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(heading, fontsize=11)
    return figure


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG."""
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=_DPI)
    return target.getvalue()


def colour(row: int) -> str:
    """Colour of the model in a row."""
    return _COLOURS[row % len(_COLOURS)]


def _offset(row: int, rows: int, width: float) -> float:
    """Where the bar of one of several models stands, from the middle of its group."""
    return (row - (rows - 1) / 2) * width


def _legend(figure: Figure, sets: Sets) -> None:
    if len(sets) > 1:
        figure.legend(loc="outside lower center", ncols=4, fontsize=8, frameon=False)


def _short(place: str) -> str:
    """Name of a site and scanner, cut where it is too long."""
    return place if len(place) <= _LONGEST_NAME else f"{place[: _LONGEST_NAME - 1].rstrip()}…"


def _volumes(scores: Sequence[Score]) -> tuple[Any, Any]:
    """Reference and result volumes in ml, each of shape (cases,)."""
    keys = ("reference_ml", "result_ml")
    rows = [[s.values[k] for k in keys] for s in scores if set(keys) <= s.values.keys()]
    columns = np.array(rows, float).reshape(-1, 2).T
    return columns[0], columns[1]


def _draw_boxes(axes: Axes, values: Sequence[Sequence[float]], row: int, rows: int) -> None:
    """Draws one model's boxes, one for each group, and the cases as dots beside each other."""
    width = 0.8 / rows
    for group, sample in enumerate(values):
        if not sample:
            continue
        place = group + _offset(row, rows, width)
        axes.boxplot(
            [sample],
            positions=[place],
            widths=0.8 * width,
            manage_ticks=False,
            showfliers=False,
            medianprops={"color": "black"},
            boxprops={"color": colour(row)},
            whiskerprops={"color": colour(row)},
            capprops={"color": colour(row)},
        )
        # Spread evenly, not at random: the picture of the same numbers is the same.
        spread = np.linspace(-0.25, 0.25, len(sample)) if len(sample) > 1 else np.zeros(1)
        axes.scatter(place + spread * width, sample, color=colour(row), **_DOT)
