"""What a measurement writes into a folder: all files or none, and nothing of an earlier one left.

Volumes carry the forms of the file whose voxels they are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from wmhseg.io import files, nifti, volume_files
from wmhseg.measuring import content, space
from wmhseg.measuring.measure import Measures
from wmhseg.measuring.scene import Wanted
from wmhseg.records import json_text
from wmhseg.reporting import earlier
from wmhseg.reporting.provenance import Provenance
from wmhseg.reporting.report import NOT_A_DEVICE
from wmhseg.version import __version__

SCHEMA = 1
"""Version of the form of measures.json; see ``data/measures.schema.json``."""

REPORT = "measures.json"
_ALWAYS = {
    "scan": "measures.tsv",
    "lesions": "lesions.tsv",
    "lesion_map": "lesions_dseg.nii.gz",
}
_CURVE, _REGIONS = {"curve": "curve.tsv"}, {"regions": "regions.tsv"}
_MNI = {"wmh_in_mni": "wmh_mni.nii.gz", "flair_in_mni": "flair_mni.nii.gz"}
_FILLED = {"filled_t1": "t1_filled.nii.gz"}
STRUCTURES = "anatomy_dseg.nii.gz"
"""Label map of the structures, where a model has named them."""
_ANATOMY = {"anatomy": STRUCTURES}


def outputs(
    folder: Path, wanted: Wanted, *, curve: bool, regions: bool, anatomy: bool = False
) -> dict[str, Path]:
    """What will be written besides ``REPORT``.

    Args:
        folder: Where to.
        wanted: What else is made.
        curve: Whether there is a probability map.
        regions: Whether there is an atlas.
        anatomy: Whether a model has named the structures.

    Returns:
        What a file is -> its path.
    """
    names = {
        **_ALWAYS,
        **(_CURVE if curve else {}),
        **(_REGIONS if regions else {}),
        **(_MNI if wanted.mni else {}),
        **(_FILLED if wanted.filled_t1 else {}),
        **(_ANATOMY if anatomy else {}),
    }
    return {what: folder / name for what, name in names.items()}


def report(measures: Measures, provenance: Provenance) -> dict[str, Any]:
    """All that measures.json holds but for the names of the files."""
    known = measures.scene.anatomy
    model = None if known is None else known.model
    return {
        "schema": SCHEMA,
        **content.to_dict(measures),
        **_of_what_was_used(measures, provenance).to_dict(),
        "anatomy": None if known is None else known.source,
        "anatomy_model": None if model is None else asdict(model),
        "atlas": None
        if measures.scene.atlas is None
        else {"file": measures.scene.atlas.source, "space": measures.scene.atlas.space},
        "versions": {"wmhseg": __version__},
    }


def _of_what_was_used(measures: Measures, provenance: Provenance) -> Provenance:
    """The provenance without a T1 scan that was read and then not used."""
    t1 = measures.scene.t1
    if t1 is not None and t1.move is not None:
        return provenance
    scans = {name: file for name, file in provenance.scans.items() if name != "T1"}
    return replace(provenance, scans=scans)


def text(
    measures: Measures, provenance: Provenance, targets: Mapping[str, Path], path: Path
) -> str:
    """The content of measures.json.

    Args:
        measures: What was measured.
        provenance: What it was made from.
        targets: What a file besides it is -> its path.
        path: Its own path.
    """
    known = {**report(measures, provenance), **earlier.named(targets, path)}
    return json_text({**known, "notice": NOT_A_DEVICE})


def save(measures: Measures, folder: Path, provenance: Provenance) -> list[Path]:
    """Writes the files of a measurement; those of the same names are replaced.

    Args:
        measures: What was measured.
        folder: Where to; it is made if needed.
        provenance: What it was made from.

    Returns:
        Files of an earlier measurement in this folder that were removed, as this one does not
        write them.

    Raises:
        OutputNotWritableError: If the folder cannot be made or written to.
        DiskFullError: If there is no room.
    """
    wanted = Wanted(bool(measures.mni), measures.filled_t1 is not None)
    named = measures.scene.anatomy
    by_model = named is not None and named.model is not None
    targets = outputs(
        folder,
        wanted,
        curve=bool(measures.curve),
        regions=bool(measures.regions),
        anatomy=by_model,
    )
    files.check_writable(folder)
    told = folder / REPORT
    inputs = [Path(one.path) for one in provenance.scans.values() if one.path is not None]
    outdated = earlier.left_behind(told, targets, inputs, (*earlier.WRITTEN, ".tsv"))
    flair = measures.scene.flair
    with files.together():
        files.write_text(targets["scan"], content.to_tsv([content.scan_row(measures)]))
        files.write_text(
            targets["lesions"],
            content.to_tsv(content.lesion_rows(measures), content.LESION_COLUMNS),
        )
        if measures.curve:
            files.write_text(targets["curve"], content.to_tsv(content.curve_rows(measures)))
        if measures.regions:
            files.write_text(targets["regions"], content.to_tsv(content.region_rows(measures)))
        if measures.mni:
            for what, name in (("wmh_in_mni", "wmh"), ("flair_in_mni", "flair")):
                volume_files.write_volume(
                    targets[what], measures.mni[name], space.MNI_GRID, space=nifti.MNI_152
                )
        if measures.filled_t1 is not None:
            filled = measures.filled_t1
            volume_files.write_volume(
                targets["filled_t1"], filled.array.astype(np.float32), filled.grid, filled.header
            )
        if named is not None and by_model:
            volume_files.write_volume(targets["anatomy"], named.labels, flair.grid, flair.header)
        labels = measures.turn.restore(measures.lesions.volume())
        volume_files.write_volume(targets["lesion_map"], labels, flair.grid, flair.header)
        files.write_text(told, text(measures, provenance, targets, told))
    for path in outdated:
        with contextlib.suppress(OSError):
            path.unlink()
    return [path for path in outdated if not path.exists()]
