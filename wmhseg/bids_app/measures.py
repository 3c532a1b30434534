"""What is measured of a result: the one place where measures join the BIDS App.

* ``of_result`` returns what goes into the sidecar of the mask, besides the report.
* ``COLUMNS`` and ``MEASURED`` name what the tables of scans and of the group show of a sidecar,
  each with what their JSON dictionaries say.
* ``lesions_of`` numbers the lesions and gives each a row; ``LESION_COLUMNS`` describes these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from wmhseg.measures.places import RULES
from wmhseg.measuring import content
from wmhseg.measuring.measure import Measures
from wmhseg.segmentation.anatomy import Anatomy
from wmhseg.weights.structures import STRUCTURES

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

_ML = {"Units": "mL"}
_NEEDS = "Needs the structures of the head; n/a without."
MEASURED: Described = {
    "periventricular_continuity_ml": {
        "Description": f"Volume of lesions that touch a lateral ventricle. {_NEEDS}", **_ML,
    },
    "deep_continuity_ml": {
        "Description": "Volume of lesions of white matter that touch neither a lateral ventricle "
        f"nor the cortex. {_NEEDS}", **_ML,
    },
    "juxtacortical_continuity_ml": {
        "Description": "Volume of lesions that touch the cortex and no lateral ventricle. "
        f"{_NEEDS}", **_ML,
    },
    "infratentorial_ml": {
        "Description": f"Volume of lesions of cerebellum and brainstem. {_NEEDS}", **_ML,
    },
    "deep_grey_ml": {"Description": f"Volume of lesions of deep grey matter. {_NEEDS}", **_ML},
    "strive_wmh_ml": {
        "Description": f"Volume without lesions of deep grey matter and brainstem. {_NEEDS}", **_ML,
    },
    "tiv_ml": {"Description": f"Intracranial volume. {_NEEDS}", **_ML},
    "white_matter_ml": {
        "Description": f"Volume of white matter, its lesions included. {_NEEDS}", **_ML,
    },
    "ventricles_ml": {"Description": f"Volume of all ventricles. {_NEEDS}", **_ML},
    "wmh_percent_of_tiv": {
        "Description": f"Share of the intracranial volume that is marked. {_NEEDS}", "Units": "%",
    },
    "fazekas_periventricular_estimate": {
        "Description": "Estimate, by size, of the periventricular Fazekas grade; not a rating. "
        f"{_NEEDS}",
    },
    "fazekas_deep_estimate": {
        "Description": f"Estimate, by size, of the deep Fazekas grade; not a rating. {_NEEDS}",
    },
    "thresholds_lowest_ml": {
        "Description": "Smaller volume of those at thresholds 0.2 above and below the mask's.",
        **_ML,
    },
    "thresholds_highest_ml": {"Description": "The larger one of these.", **_ML},
    "members_lowest_ml": {
        "Description": "Smallest volume that a network of the ensemble marks alone.", **_ML,
    },
    "members_highest_ml": {"Description": "The largest one of these.", **_ML},
}  # fmt: skip
"""Columns of ``batch.summary.MEASURES``, from the key "measures" of a sidecar."""

_MM = {"Units": "mm"}
_LOOKUP: Described = {
    "index": {
        "LongName": "Number of the lesion",
        "Description": "The value of its voxels in the _dseg image; 1 is the largest lesion.",
        "Format": "integer",
    },
    "name": {"Description": "What the lesion is called."},
    "mapping": {
        "Description": "The label of BIDS' own list that it belongs to: 7, Lesion.",
        "Format": "integer",
    },
}
_PLACES = {
    name: name.replace("_", " ")
    for name in ("periventricular", "deep", "juxtacortical", "infratentorial", "deep_grey")
}
LESION_COLUMNS: Described = {
    **_LOOKUP,
    "volume_ml": {
        "LongName": "Volume of the lesion",
        "Description": "Its voxels times the volume of a voxel.", **_ML,
    },
    "voxels": {"Description": "Number of its voxels.", "Format": "integer"},
    **{
        f"{space}{axis}_mm": {"Description": f"Centre in {where}, {way}.", **_MM}
        for space, where in (("", "the scanner's space"), ("mni_", "MNI space"))
        for axis, way in (("x", "to the right"), ("y", "to the front"), ("z", "up"))
    },
    "diameter_mm": {"Description": "Largest diameter within an axial slice.", **_MM},
    **{
        f"place_{rule}": {"Description": f"Where it lies by the rule {rule}.", "Levels": _PLACES}
        for rule in RULES
    },
    "touches_cortex": {"Description": "Whether it touches the cortex: true or false."},
    "distance_to_ventricle_mm": {
        "Description": "Between the centres of its voxel and that of a lateral ventricle that are "
        "nearest.", **_MM,
    },
    "mean_probability": {"Description": "Mean of the probability map; not calibrated."},
    "peak_probability": {"Description": "Largest value of the probability map; not calibrated."},
    "agreement_of_members": {
        "Description": "Share of the networks that mark at least a voxel of it.",
    },
    "structural_disagreement": {
        "Description": "1 - the mean, over the networks, of the overlap (intersection over union) "
        "with the network's own lesion that overlaps it most.",
    },
}  # fmt: skip

STRUCTURE_COLUMNS: Described = {
    "index": {
        "LongName": "Number of the structure",
        "Description": "The value of its voxels in the _dseg image.",
        "Format": "integer",
    },
    "name": {"Description": "What the structure is called; left and right are the patient's."},
    "mapping": {
        "Description": "The label of BIDS' own list that it belongs to.",
        "Format": "integer",
    },
    "volume_ml": {"Description": "Its voxels times the volume of a voxel.", **_ML},
}

# Of "common image-derived labels" of BIDS.
_LESION = 7
_OF_STRUCTURE = {
    "background": 0, "head": 6, "outer-csf": 3, "left-lateral-ventricle": 3,
    "right-lateral-ventricle": 3, "other-ventricles": 3, "cortex": 8, "white-matter": 2,
    "deep-grey": 9, "cerebellum": 11, "brainstem": 10,
}  # fmt: skip


@dataclass(frozen=True)
class Lesions:
    """The lesions of a mask.

    Attributes:
        labels: (slice, row, column), 0 or the number of the lesion, on the scan's own axes.
        rows: One a lesion, in the order of their numbers: column of ``LESION_COLUMNS`` -> value.
    """

    labels: npt.NDArray[Any]
    rows: tuple[Mapping[str, Any], ...]


def of_result(measured: Measures) -> dict[str, Any]:
    """What the sidecar of the mask says besides the report, whose figures need not be repeated.

    Args:
        measured: Of the result.

    Returns:
        Key -> plain value.
    """
    row = content.scan_row(measured)
    return {"measures": {name: value for name, value in row.items() if name not in COLUMNS}}


def lesions_of(measured: Measures) -> Lesions:
    """Gives each lesion of a result a row, numbered as ``wmhseg measure`` does: by size."""
    rows = tuple(
        {"index": n, "name": f"WMH lesion {n}", "mapping": _LESION, **row}
        for n, row in enumerate(content.lesion_rows(measured), 1)
    )
    return Lesions(measured.turn.restore(measured.lesions.volume()), rows)


def structure_rows(named: Anatomy) -> list[dict[str, Any]]:
    """A row a structure, those that are nowhere and the background included."""
    volumes = named.volumes_ml()
    return [
        {
            "index": number,
            "name": name,
            "mapping": _OF_STRUCTURE[name],
            "volume_ml": None if name not in volumes else round(volumes[name], 4),
        }
        for number, name in enumerate(STRUCTURES)
    ]


def described(labels: tuple[str, ...]) -> dict[str, Mapping[str, Any]]:
    """``COLUMNS``, ``MEASURED``, and those of labels besides WMH."""
    columns = {**COLUMNS, **MEASURED}
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
    found = sidecar.get("measures")
    values |= {name: found.get(name) for name in MEASURED} if isinstance(found, dict) else {}
    for label, found in sidecar.get("others", {}).items():
        for name in ("volume_ml", "lesion_count"):
            values[f"{label}_{name}"] = found.get(name)
    return values
