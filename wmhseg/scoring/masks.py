"""One pair of masks: read, compared in space, scored."""

from __future__ import annotations

import warnings
from pathlib import Path

from wmhseg.errors import (
    GridMismatchError,
)
from wmhseg.io import images
from wmhseg.scoring import metrics
from wmhseg.scoring.table import VALUES


def score_masks(reference: Path, result: Path) -> tuple[dict[str, float], tuple[str, ...]]:
    """Score one result.

    Args:
        reference: Mask of labels 0, 1 (WMH) and 2 (left out), NIfTI.
        result: Mask or probability map on the same grid, NIfTI.

    Returns:
        The metrics by name (``VALUES``), and notes on unusual values and geometry.

    Raises:
        GridMismatchError: The sizes differ. Another position in space only gives a note: the
            reference's is used for both, as the organisers do.
        InputError: A file cannot be read.
    """
    labels, grid = images.read_labels(reference)
    mask, own_grid = images.read_labels(result)
    difference = grid.difference(own_grid)
    if grid.shape != own_grid.shape:
        raise GridMismatchError(
            "Reference and result of one size were expected",
            received=difference,
            advice="Bring the result onto the grid of the reference (the FLAIR image) first.",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", metrics.MaskWarning)  # they are in the notes
        found = metrics.evaluate(labels, mask, grid.spacing_mm)
    notes = found.notes
    if difference:
        notes += (f"The result's geometry is wrong ({difference}): the reference's is used.",)
    return {name: float(getattr(found, name)) for name in VALUES}, notes
