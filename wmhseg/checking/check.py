"""Says what a scan or a pair looks like, wherever it comes from."""

from __future__ import annotations

from wmhseg.checking import examine
from wmhseg.checking.findings import Finding
from wmhseg.geometry import Triple
from wmhseg.io import sources
from wmhseg.io.sources import Source
from wmhseg.preparation import sizes


def check(
    flair: Source, t1: Source | None = None, *, spacing_mm: Triple | None = None
) -> list[Finding]:
    """Says in sentences what a FLAIR scan, and its T1, look like; nothing is changed or computed.

    Args:
        flair: What is taken for FLAIR: a path, a SimpleITK or nibabel image, an array (slice,
            row, column), or a ``wmhseg.Scan``.
        t1: What is taken for T1, in the same forms; None if there is none.
        spacing_mm: Voxel size (slice, row, column) in mm; needed for arrays, which are taken to
            be axial in LPS order.

    Returns:
        Findings about FLAIR, then T1, then the pair. One of the level "error" makes a result
        worthless.

    Raises:
        UsageError: If a source is of another form, or ``spacing_mm`` is missing or out of place.
        InputError: If a scan cannot be read.

    >>> import wmhseg
    >>> findings = wmhseg.check("FLAIR.nii.gz", "T1.nii.gz")
    >>> [f.text for f in findings if f.topic == "contrast"]
    ['FLAIR: looks like FLAIR.', 'T1: looks like T1.']
    >>> twice = wmhseg.check("FLAIR.nii.gz", "FLAIR.nii.gz")
    >>> [f.text for f in twice if f.scan == "pair" and f.level == "error"]
    ['FLAIR and T1 are one and the same image.']
    """
    flair_scan = sources.read(flair, spacing_mm, name="FLAIR")
    t1_scan = None if t1 is None else sources.read(t1, spacing_mm, name="T1")
    for scan in filter(None, (flair_scan, t1_scan)):
        if spacing_mm is not None:
            sizes.check_order(scan)
    return examine.examine(flair_scan, t1_scan)
