"""The anatomy of scans in files, named by the network that comes with the package."""

from __future__ import annotations

from pathlib import Path

from wmhseg.io.progress import Progress
from wmhseg.measures.anatomy import Anatomy, of_model
from wmhseg.preparation.steps import Steps
from wmhseg.segmentation.anatomy import Anatomist
from wmhseg.segmentation.options import Options


def named(
    flair: Path, t1: Path | None, progress: Progress | None = None
) -> tuple[Anatomy, tuple[str, ...]]:
    """Names the structures of a scan as ``batch --measures`` does.

    A scan that a segmentation would refuse, or a T1 that does not match, is warned of: there is a
    mask already.

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
    options = Options(on_unsuitable="warn", steps=Steps(on_registration_failure="flair-only"))
    anatomist = Anatomist(options=options)
    found = anatomist.compute(anatomist.load(flair, t1), progress)
    return of_model(found.labels, found.model), found.warnings
