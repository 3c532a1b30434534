"""The reliability diagram as a picture. matplotlib is loaded on the first call."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from evaluation.calibration import tally
from evaluation.calibration.tally import Tally
from wmhseg.scoring import figures

_COLOURS = ("#0072B2", "#D55E00")  # told apart by people with any colour vision
_DPI = 130


def draw(sets: Mapping[str, Tally], temperatures: Sequence[float]) -> bytes:
    """What was said against what was true, and below how many voxels were said to be so.

    Args:
        sets: Kind of scans -> their voxels together; a column each.
        temperatures: A line each; the first is dashed.

    Returns:
        A PNG's bytes.

    Raises:
        PlotsUnavailableError: If matplotlib is not installed.
    """
    figures.check_available()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(sets), 5.4), dpi=_DPI, layout="constrained")
    axes = figure.subplots(
        2, len(sets), squeeze=False, sharex=True, sharey="row", height_ratios=(3, 1)
    )
    for column, (kind, voxels) in enumerate(sets.items()):
        above, below = axes[:, column]
        above.plot([0, 1], [0, 1], color="#999999", linewidth=1)
        for temperature, colour in zip(temperatures, _COLOURS, strict=False):
            bins = tally.reliability(voxels, temperature)
            said = [one.said for one in bins]
            style = "--" if temperature == 1 else "-"
            label = f"T = {temperature:.2f}"
            true = [one.true for one in bins]
            above.plot(said, true, style, marker="o", markersize=4, color=colour, label=label)
            counts = [one.count for one in bins]
            below.plot(said, counts, style, marker="o", markersize=3, color=colour)
        above.set(title=f"{kind} scans", ylim=(0, 1), aspect="equal")
        below.set(yscale="log", xlabel="probability", xlim=(0, 1))
        above.legend(loc="upper left", frameon=False)
    axes[0, 0].set_ylabel("share that the reference marks")
    axes[1, 0].set_ylabel("voxels")
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    return drawn.getvalue()
