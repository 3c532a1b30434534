"""The anatomy of scans in files, named by the network that comes with the package."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from wmhseg.errors import UnsuitableScanError
from wmhseg.io.progress import Progress
from wmhseg.measures.anatomy import Anatomy, of_model
from wmhseg.preparation.steps import Steps
from wmhseg.segmentation.anatomy import Anatomist
from wmhseg.segmentation.options import Options

T1_NOT_SEEN = (
    "The structures were named by FLAIR alone: as prepared for the network, T1 did not match FLAIR."
)
REFUSED = "The structures were named in scans that a segmentation would refuse:"


def named(
    flair: Path, t1: Path | None, progress: Progress | None = None
) -> tuple[Anatomy, tuple[str, ...]]:
    """Names the structures of a scan as ``batch --measures`` does.

    A scan that a segmentation would refuse, or a T1 that does not match, is warned of: there is a
    mask already. What else a segmentation would say about the scans is not repeated, as the
    measures of a result in memory do not say it either.

    Args:
        flair: The FLAIR scan, and
        t1: T1 of the same head, if any; on other voxels it is registered.
        progress: Called with (done, total) slices while the network computes.

    Returns:
        The anatomy on FLAIR's own voxels and axes, and what speaks against trusting it.

    Raises:
        ModelError: If the model is not installed, or damaged.
        InputError: If a scan cannot be read.
        DeviceError: If no engine starts.
    """
    said = []
    anatomist = Anatomist(options=Options(steps=Steps(on_registration_failure="flair-only")))
    try:
        loaded = anatomist.load(flair, t1)
    except UnsuitableScanError as error:
        said.append(f"{REFUSED} {error.received}")
        anatomist = Anatomist(options=replace(anatomist.options, on_unsuitable="warn"))
        loaded = anatomist.load(flair, t1)
    found = anatomist.compute(loaded, progress)
    if t1 is not None and anatomist.model.preset.takes_t1 and not found.t1_used:
        said.append(T1_NOT_SEEN)
    return of_model(found.labels, found.model), tuple(said)
