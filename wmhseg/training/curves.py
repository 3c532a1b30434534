"""The picture of a training: the loss of each run and its validation scores, over steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wmhseg.scoring.figures import colour, new_figure, to_png


def training_curves(
    losses: Mapping[str, Sequence[tuple[int, float]]],
    scores: Mapping[str, Sequence[tuple[int, float, float]]],
    heading: str,
) -> bytes:
    """Draws the loss of each run over its steps, and beside it its validation scores.

    Args:
        losses: Name of a run -> steps and training losses.
        scores: Name of a run -> steps, mean DSC and mean lesion F1 on validation cases; may be
            empty.
        heading: Printed above.

    Returns:
        PNG.

    Raises:
        PlotsUnavailableError: matplotlib is not installed.
    """
    figure = new_figure(heading, width=10 if scores else 5.5, height=4.2)
    panels = figure.subplots(1, 2 if scores else 1, squeeze=False)[0]
    for row, (name, points) in enumerate(losses.items()):
        panels[0].plot(*zip(*points, strict=True), color=colour(row), label=name)
        for values, style in ((1, "-o"), (2, "--s")) if scores.get(name) else ():
            panels[1].plot(
                [point[0] for point in scores[name]],
                [point[values] for point in scores[name]],
                style,
                color=colour(row),
                markersize=4,
                label=f"{name}: {'DSC' if values == 1 else 'lesion F1'}",
            )
    panels[0].set_ylabel("Training loss")
    if scores:
        panels[1].set(ylabel="Mean over the validation cases", ylim=(-0.02, 1.02))
    for axes in panels:
        axes.set_xlabel("Step")
        axes.grid(alpha=0.25)
        axes.legend(fontsize=8, frameon=False)
    return to_png(figure)
