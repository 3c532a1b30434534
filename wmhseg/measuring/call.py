"""Measuring from Python: of a result in memory, or of files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from wmhseg.errors import UsageError
from wmhseg.measures.anatomy import Numbers
from wmhseg.measuring import content, of_result, reading, saving
from wmhseg.measuring import measure as measuring
from wmhseg.measuring.measure import Measures
from wmhseg.measuring.reading import AtlasSpace, Paths
from wmhseg.measuring.scene import Wanted
from wmhseg.reporting.provenance import Provenance, scan_file
from wmhseg.segmentation.result import Segmentation

PathLike = str | os.PathLike[str]


class Known(TypedDict, total=False):
    """What may be known of a result besides FLAIR and mask, as ``wmhseg measure`` takes it."""

    probability: PathLike
    members: Sequence[PathLike]
    threshold: float
    t1: PathLike
    anatomy: PathLike
    anatomy_numbers: Numbers
    exclude: PathLike
    atlas: PathLike
    atlas_labels: PathLike
    atlas_space: AtlasSpace
    mni: bool
    fill_t1: bool


_FILES = ("probability", "t1", "anatomy", "exclude", "atlas", "atlas_labels")
_WITH_RESULT = ("mni",)


@dataclass(frozen=True, eq=False)
class Measurement:
    """What was measured of a mask. Units stand in the names: docs/measures.md explains each.

    Attributes:
        scan: The row of measures.tsv: name -> figure, None where it is not known.
        lesions: The rows of lesions.tsv, the largest lesion first.
        curve: The rows of curve.tsv: volume and count against threshold; none without a
            probability map.
        regions: The rows of regions.tsv; none without an atlas.
        labels: (slice, row, column) whole numbers in the order of FLAIR's file: the number of the
            lesion that a voxel belongs to, 0 elsewhere.
        left_out: What could not be measured, and why, in sentences.
        warnings: What speaks against trusting the measures, in sentences.

    >>> import wmhseg
    >>> result = wmhseg.segment("FLAIR.nii.gz", options=wmhseg.Options(members=True))
    >>> found = wmhseg.measure(result)
    >>> found.scan["lesion_count"] == len(found.lesions) == int(found.labels.max())
    True
    >>> found.scan["tiv_ml"] is None, any("anatomy" in why for why in found.left_out)
    (True, True)
    >>> removed = found.save("measures")
    """

    scan: dict[str, Any]
    lesions: list[dict[str, Any]] = field(repr=False)
    curve: list[dict[str, Any]] = field(repr=False)
    regions: list[dict[str, Any]] = field(repr=False)
    labels: npt.NDArray[np.integer[Any]] = field(repr=False)
    left_out: tuple[str, ...]
    warnings: tuple[str, ...]
    _measures: Measures = field(repr=False)
    _provenance: Provenance = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Returns what measures.json holds, but for the names of files."""
        return saving.report(self._measures, self._provenance)

    def save(self, folder: PathLike) -> list[Path]:
        """Writes what ``wmhseg measure`` writes, all files or none.

        Args:
            folder: Where to; it is made if needed. Files of an earlier measurement are replaced.

        Returns:
            Files of an earlier measurement there that were removed, as this one has no such.

        Raises:
            OutputNotWritableError: If the folder cannot be made or written to.
            DiskFullError: If there is no room.
        """
        return saving.save(self._measures, Path(folder), self._provenance)


def measure(
    result: Segmentation | PathLike, mask: PathLike | None = None, **known: Unpack[Known]
) -> Measurement:
    """Measures a mask: how much, how many, where, how large, and how sure that is.

    Args:
        result: What ``wmhseg.segment`` returned; or the FLAIR scan of a mask, a path. Of a result
            that was computed with ``Options(members=True, anatomy=True)`` more can be measured.
        mask: The mask on FLAIR's voxels, a path; only with a FLAIR scan.
        **known: The options of ``wmhseg measure``, with _ for -: ``probability``, ``members`` (a
            list), ``threshold``, ``t1``, ``anatomy``, ``anatomy_numbers``, ``exclude``, ``atlas``,
            ``atlas_labels``, ``atlas_space``, ``mni``, ``fill_t1``. ``anatomy="auto"`` has the
            network name it. With a result of ``wmhseg.segment``: ``mni`` alone.

    Returns:
        What was measured; nothing is written.

    Raises:
        WmhsegError: One of its children, each with one clear sentence.

    >>> import wmhseg
    >>> result = wmhseg.segment("FLAIR.nii.gz", options=wmhseg.Options(anatomy=True))
    >>> removed = result.save("wmh.nii.gz", probability="p.nii.gz")
    >>> found = wmhseg.measure("FLAIR.nii.gz", "wmh.nii.gz", probability="p.nii.gz")
    >>> abs(found.scan["volume_ml"] - result.report.lesions.volume_ml) < 1e-3
    True
    >>> low, high = (found.scan[f"thresholds_{end}_ml"] for end in ("lowest", "highest"))
    >>> low <= high
    True
    >>> wmhseg.measure("FLAIR.nii.gz")
    Traceback (most recent call last):
    wmhseg.errors.UsageError: A FLAIR scan and its mask were expected. Received: no mask.
    """
    unknown = set(known) - set(Known.__annotations__)
    if unknown:
        raise UsageError(
            f"Options out of {', '.join(Known.__annotations__)} were expected",
            received=", ".join(sorted(unknown)),
        )
    wanted = Wanted(known.get("mni", False), known.get("fill_t1", False))
    if isinstance(result, Segmentation):
        more = [*(["mask"] if mask is not None else []), *set(known).difference(_WITH_RESULT)]
        if more:
            raise UsageError(
                f"A result of wmhseg.segment and, at most, {', '.join(_WITH_RESULT)} were expected",
                received=f"{', '.join(sorted(more))} as well",
                advice="Save the result and measure its files.",
            )
        found = measuring.measure(of_result.scene(result), wanted)
        return _measurement(found, result.report.provenance)
    if mask is None:
        raise UsageError("A FLAIR scan and its mask were expected", received="no mask")
    paths = Paths.given(
        result,
        mask,
        known.get("members", ()),
        {name: known.get(name) for name in _FILES},  # type: ignore[misc]
    )
    scene = reading.read(
        paths,
        wanted,
        threshold=known.get("threshold"),
        numbers=known.get("anatomy_numbers", "own"),
        atlas_space=known.get("atlas_space", "auto"),
    )
    inputs = {name: scan_file(path) for name, path in paths.named().items()}
    return _measurement(measuring.measure(scene, wanted), Provenance(inputs))


def _measurement(found: Measures, provenance: Provenance) -> Measurement:
    return Measurement(
        content.scan_row(found),
        content.lesion_rows(found),
        content.curve_rows(found),
        content.region_rows(found),
        found.turn.restore(found.lesions.volume()),
        found.left_out,
        found.warnings,
        found,
        provenance,
    )
