"""What the derivatives say about themselves: the files at their root."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wmhseg import records
from wmhseg.bids_app import tables
from wmhseg.bids_app.names import DESC, GROUP_PAGE, LOGS, STRUCTURES_DESC, plain_label
from wmhseg.bids_app.sidecars import RAW
from wmhseg.datasets.bids_dataset import DESCRIPTION
from wmhseg.errors import InputError, OutputNotWritableError, UsageError
from wmhseg.io import files
from wmhseg.reporting import provenance
from wmhseg.version import __version__

BIDS_VERSION = "1.11.1"
"""The version of BIDS whose rules the derivatives follow."""

_NAME = "wmhseg"
_CONTAINER_ID = "WMHSEG_IMAGE_ID"
_APPTAINER = ("APPTAINER_NAME", "SINGULARITY_NAME")
_MAX_BYTES = 1 << 24
_IGNORED = (
    f"{tables.GROUP}.*", "*_overlay.png", "*_overlay.pdf", "*_report.html", GROUP_PAGE,
    "*rating.json",
)  # fmt: skip
_README = f"""\
# White matter hyperintensities, by wmhseg {__version__}

Masks, probability maps, numbered lesions, volumes and counts, in the form of BIDS derivatives.
For research. Not a medical device; not for diagnosis.

* `sub-*/[ses-*/]anat/*_label-L_desc-{DESC}_mask.nii.gz`: the mask, on the voxels of the FLAIR
  scan; its JSON file has volume, count, warnings, and how it was made.
* `…_probseg.nii.gz`: the mean of what the networks say; `…_desc-{DESC}_dseg.nii.gz` and `.tsv`:
  the lesions, numbered and measured; `…_desc-{STRUCTURES_DESC}_dseg.nii.gz` and `.tsv`: structures
  of the head, if a model of them was installed; `…_report.html`: a page to look at, if asked for.
* `sub-*/[ses-*/]sub-*_scans.tsv`: a row a mask. `{tables.GROUP}.tsv`: a row a scan, of everybody
  (made by the level "group").
* `{LOGS}/<scan>/measures.json`, `measures.tsv` and `curve.tsv`: everything that was measured.
* `{LOGS}/CITATION.md`: words and references for a paper; `{LOGS}/summary.tsv`: what became of each
  scan.
"""


def check_output(data: Path, output: Path) -> None:
    """Makes sure that derivatives may be written to a folder.

    Args:
        data: Folder of the data set.
        output: Folder of the derivatives.

    Raises:
        UsageError: It is the data set, or lies in it elsewhere than in ``derivatives``.
        OutputNotWritableError: It holds a data set that this program did not write.
    """
    inside = Path(os.path.realpath(output)).relative_to
    try:
        parts = inside(os.path.realpath(data)).parts
    except ValueError:
        parts = ("derivatives",)
    if not parts or parts[0] != "derivatives":
        raise UsageError(
            "A folder for the results outside of the data set, or in its derivatives, was expected",
            received=output,
            advice=f"For instance {data / 'derivatives' / _NAME}.",
        )
    stored = _stored(output / DESCRIPTION)
    if stored is None:
        return
    makers = stored.get("GeneratedBy")
    listed = makers if isinstance(makers, list) else []
    if _NAME not in [maker.get("Name") for maker in listed if isinstance(maker, dict)]:
        raise OutputNotWritableError(
            f"A new folder, or one of earlier results of {_NAME}, was expected",
            received=f"{output}, with a {DESCRIPTION} of something else",
            advice="Choose another folder; results of several programs stand side by side.",
        )


def _stored(path: Path) -> dict[str, Any] | None:
    """What stands there; None if nothing does, empty if it cannot be understood."""
    if not path.exists():
        return None
    try:
        with files.reading(path, DESCRIPTION, advice="") as file:
            content = json.loads(file.read(_MAX_BYTES))
    except (InputError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def write(
    data: Path,
    output: Path,
    source: Mapping[str, Any],
    references: Sequence[str],
    others: Iterable[str],
) -> None:
    """Writes all but the images and tables: all files or none.

    Args:
        data: Folder of the data set.
        output: Folder of the derivatives.
        source: The data set's own description.
        references: What to cite.
        others: Labels besides WMH whose masks are written.

    Raises:
        OutputError: They cannot be written.
    """
    files.check_writable(output)
    rows = [
        {
            "desc_id": f"desc-{DESC}",
            "description": f"White matter hyperintensities, as {_NAME} marks them.",
        },
        {
            "desc_id": f"desc-{STRUCTURES_DESC}",
            "description": f"Structures of the head, as a model of {_NAME} names them.",
        },
    ]
    for label in others:
        text = f"{label.capitalize()}, as a model of {_NAME} marks it besides WMH."
        rows.append({"desc_id": f"desc-{plain_label(label)}", "description": text})
    content = _description(data, output, source, references)
    with files.together():
        files.write_text(output / DESCRIPTION, records.json_text(content))
        tables.write_table(output / "descriptions.tsv", ["desc_id", "description"], rows)
        told = {"Description": "What the values of desc in names of files stand for."}
        files.write_text(output / "descriptions.json", records.json_text(told))
        files.write_text(output / "README.md", _README)
        files.write_text(output / ".bidsignore", "\n".join(_IGNORED) + "\n")


def _description(
    data: Path, output: Path, source: Mapping[str, Any], references: Sequence[str]
) -> dict[str, Any]:
    link = _link(data, output)
    name = source.get("Name") or data.resolve().name
    made: dict[str, Any] = {"Name": _NAME, "Version": __version__}
    container = _container()
    if container:
        made["Container"] = container
    origin = {"URL": link}
    if isinstance(source.get("DatasetDOI"), str):
        origin["DOI"] = source["DatasetDOI"]
    return {
        "Name": f"White matter hyperintensities of {name}",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [made],
        "SourceDatasets": [origin],
        "DatasetLinks": {RAW: link},
        "HowToAcknowledge": f"See {LOGS}/CITATION.md.",
        "ReferencesAndLinks": list(references),
    }


def _link(data: Path, output: Path) -> str:
    """Where the data set is: from the derivatives if they lie in it, which may then be moved."""
    there, here = Path(os.path.realpath(data)), Path(os.path.realpath(output))
    if here.is_relative_to(there):
        return "/".join([".."] * len(here.relative_to(there).parts)) + "/"
    return there.as_uri()


def _container() -> dict[str, str]:
    """What is known of the image that this runs in; empty outside one."""
    name = provenance.container_name()
    if name is None:
        return {}
    apptainer = any(os.environ.get(variable) for variable in _APPTAINER)
    found = {"Type": "apptainer" if apptainer else "docker", "Tag": name}
    number = os.environ.get(_CONTAINER_ID)
    return {**found, "ID": files.printable(number)} if number else found
