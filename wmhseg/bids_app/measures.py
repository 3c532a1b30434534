"""What is measured of a result: the one place where measures join the BIDS App.

* ``of_result`` returns what goes into the sidecar of the mask, besides the report; a measure needs
  a line there.
* ``COLUMNS`` names the keys of a sidecar that the tables of scans and of the group show, each with
  what their JSON dictionaries say; a measure needs a line there as well.
* ``lesions_of`` numbers the lesions and gives each a row; ``LESION_COLUMNS`` describes these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from wmhseg.measures import marks
from wmhseg.segmentation.result import Segmentation

Described = Mapping[str, Mapping[str, Any]]
"""Column -> what a JSON dictionary of BIDS says about it."""

COLUMNS: Described = {
    "volume_ml": {
        "LongName": "Volume of white matter hyperintensities",
        "Description": "Voxels of the mask times the volume of a voxel.",
        "Units": "mL",
    },
    "lesion_count": {
        "LongName": "Number of lesions",
        "Description": "26-connected components of the mask; lesions that touch count once.",
    },
    "largest_lesion_ml": {
        "LongName": "Volume of the largest lesion",
        "Description": "Of the 26-connected components of the mask.",
        "Units": "mL",
    },
}

LESION_COLUMNS: Described = {
    "index": {
        "LongName": "Number of the lesion",
        "Description": "The value of its voxels in the _dseg image; 1 is the largest lesion.",
        "Format": "integer",
    },
    "name": {"Description": "What the lesion is called."},
    "mapping": {
        "Description": "The label of BIDS' own list that it belongs to: 8, Lesion.",
        "Format": "integer",
    },
    "volume_ml": {
        "LongName": "Volume of the lesion",
        "Description": "Its voxels times the volume of a voxel.",
        "Units": "mL",
    },
}

_BIDS_LESION = 8  # "Common image-derived labels" of BIDS


@dataclass(frozen=True)
class Lesions:
    """The lesions of a mask.

    Attributes:
        labels: (slice, row, column), 0 or the number of the lesion.
        rows: One a lesion, in the order of their numbers: column of ``LESION_COLUMNS`` -> value.
    """

    labels: npt.NDArray[Any]
    rows: tuple[Mapping[str, Any], ...]


def of_result(result: Segmentation) -> dict[str, Any]:
    """What the sidecar of the mask says besides the report, whose figures need not be repeated.

    Args:
        result: A finished segmentation.

    Returns:
        Key -> plain value. None so far: volume and count stand in the report.
    """
    del result
    return {}


def lesions_of(result: Segmentation) -> Lesions:
    """Gives each lesion of a result a row, numbered as ``wmhseg measure`` does: by size."""
    found = marks.find(result.mask)
    rows = tuple(
        {
            "index": number,
            "name": f"WMH lesion {number}",
            "mapping": _BIDS_LESION,
            "volume_ml": round(size * result.grid.voxel_ml, 4),
        }
        for number, size in enumerate(found.sizes_vox.tolist(), 1)
    )
    return Lesions(found.volume(), rows)


def described(labels: tuple[str, ...]) -> dict[str, Mapping[str, Any]]:
    """``COLUMNS``, and those of labels besides WMH."""
    columns = dict(COLUMNS)
    for label in labels:
        columns[f"{label}_volume_ml"] = {
            "LongName": f"Volume of {label}",
            "Description": f"Voxels of the mask of {label} times the volume of a voxel.",
            "Units": "mL",
        }
        columns[f"{label}_lesion_count"] = {
            "LongName": f"Number of lesions of {label}",
            "Description": f"26-connected components of the mask of {label}.",
        }
    return columns


def of_sidecar(sidecar: Mapping[str, Any]) -> dict[str, Any]:
    """The measures that the sidecar of a mask holds: column of ``described`` -> value."""
    values = {name: sidecar.get(name) for name in COLUMNS}
    for label, found in sidecar.get("others", {}).items():
        for name in ("volume_ml", "lesion_count"):
            values[f"{label}_{name}"] = found.get(name)
    return values
