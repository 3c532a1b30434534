"""The JSON files beside images: what BIDS asks for, and for the mask the whole report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from wmhseg.bids_app.measures import LESION_COLUMNS, STRUCTURE_COLUMNS
from wmhseg.bids_app.names import Places

RAW = "raw"
"""The data set that scans come from, in BIDS URIs; ``DatasetLinks`` says where it is."""


def uri_of_scan(scan: Path) -> str:
    """The BIDS URI of a scan of a data set: ``bids:raw:sub-01/anat/sub-01_FLAIR.nii.gz``."""
    parts = scan.parts
    first = 4 if parts[-3].startswith("ses-") else 3
    return f"bids:{RAW}:" + "/".join(parts[-first:])


def uri_of_result(path: Path, root: Path) -> str:
    """The BIDS URI of a file of the derivatives themselves."""
    return f"bids::{path.relative_to(root).as_posix()}"


def of_mask(label: str, flair: Path, scans: Iterable[Path]) -> dict[str, Any]:
    """What the sidecar of a mask says.

    Args:
        label: What is marked, such as "WMH".
        flair: The scan whose voxels the mask's are.
        scans: All that it was made from.
    """
    return {
        "Description": f"Mask of {label}, 1 where it is marked, on the voxels of the FLAIR scan.",
        "Type": "Lesion",
        "Manual": False,
        **_from(flair, scans),
    }


def of_probability(flair: Path, scans: Iterable[Path]) -> dict[str, Any]:
    """What the sidecar of the probability map says; arguments as of ``of_mask``."""
    return {
        "Description": "Mean of what the networks say for white matter hyperintensities, 0 to 1, "
        "on the voxels of the FLAIR scan. It is not calibrated: 0.7 does not mean 70 %.",
        "Manual": False,
        **_from(flair, scans),
    }


def of_lesions(places: Places, flair: Path) -> dict[str, Any]:
    """What the sidecar of the map of lesions, and of its table, says."""
    columns: Mapping[str, Any] = LESION_COLUMNS
    return {
        "Description": "The lesions of the mask, numbered by size: its 26-connected components.",
        "Manual": False,
        "Sources": [uri_of_result(places.mask, places.root)],
        "SpatialReference": uri_of_scan(flair),
        **columns,
    }


def of_structures(model: str, flair: Path, scans: Iterable[Path]) -> dict[str, Any]:
    """What the sidecar of the map of structures, and of its table, says.

    Args:
        model: Which named them.
        flair: As of ``of_mask``, and
        scans: as there.
    """
    columns: Mapping[str, Any] = STRUCTURE_COLUMNS
    return {
        "Description": f"Structures of the head, named by the model {model}.",
        "Manual": False,
        **_from(flair, scans),
        **columns,
    }


def _from(flair: Path, scans: Iterable[Path]) -> dict[str, Any]:
    return {
        "Sources": [uri_of_scan(scan) for scan in scans],
        "SpatialReference": uri_of_scan(flair),
    }
