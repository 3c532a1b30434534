"""Whether a head can be as large as its anatomy says.

A network that takes muscle for brain, a header with a wrong voxel size and a scan that shows a part
of the head all end as an intracranial volume that few adults have, and as shares of it that look
like any others. docs/measures.md has the published volumes that the limits are made of, and says
why white matter and ventricles have none.
"""

from __future__ import annotations

LOWEST_ML, HIGHEST_ML = 900.0, 2000.0
"""Of an adult: three standard deviations around published means, outward to full hundreds."""

BEGINNING = "The anatomy holds an intracranial volume of"
"""How the sentence begins, whatever the anatomy."""


def doubt(tiv_ml: float) -> str | None:
    """What is to be said of an intracranial volume.

    Args:
        tiv_ml: It, in ml.

    Returns:
        A sentence; None where an adult may have it.
    """
    told_ml = round(tiv_ml)  # as it is shown: no "2000 ml, few have over 2000 ml"
    if LOWEST_ML <= told_ml <= HIGHEST_ML:
        return None
    limit = f"over {HIGHEST_ML:.0f}" if told_ml > HIGHEST_ML else f"under {LOWEST_ML:.0f}"
    return (
        f"{BEGINNING} {told_ml} ml; few adults have {limit} ml (docs/measures.md). Check that the "
        "scan shows a whole head, its voxel size, and the anatomy (some leave out the fluid "
        "outside of the brain), before you use TIV, white matter, ventricles or shares of them."
    )
