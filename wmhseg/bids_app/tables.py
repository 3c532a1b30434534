"""The tables of the derivatives: results of a session, and of everybody, with their dictionaries.

Both are made of the sidecars of masks, never of each other: a table is what the files beside it
say.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wmhseg import errors, records
from wmhseg.batch.summary import DONE, FAILED, SKIPPED, WAITING, Row
from wmhseg.bids_app import measures
from wmhseg.bids_app.names import Places, entities_of, results_below
from wmhseg.datasets.folders import natural
from wmhseg.io import files

GROUP = "group_wmh"
"""Name of the table of everybody, without its ending."""

_NONE = "n/a"
_MAX_BYTES = 1 << 26
_KINDS = {"session_id": "ses", "acquisition": "acq", "run": "run"}
_HOW: measures.Described = {
    "t1_used": {"Description": "Whether the T1w scan was used besides FLAIR: true or false."},
    "model": {"Description": 'Name of the model; "wmhseg models" tells more.'},
    "preset": {"Description": "The method by which scans were prepared and masks made."},
    "reader": {"Description": "Whose rules the mask was made by."},
    "threshold": {"Description": "Voxels with a higher probability are marked."},
    "version": {"Description": "Version of wmhseg."},
    "warnings": {"Description": "Number of warnings; they stand in the sidecar of the mask."},
}
_WHO: measures.Described = {
    "participant_id": {"Description": "The participant, sub-<label>."},
    "session_id": {"Description": "The session, ses-<label>; n/a if the scan has none."},
    "acquisition": {"Description": "Label of acq in the name of the FLAIR scan, or n/a."},
    "run": {"Description": "Index of run in the name of the FLAIR scan, or n/a."},
    "scan": {"Description": "All entities of the name of the FLAIR scan: unique in this table."},
    "status": {
        "Description": "Whether there is a result.",
        "Levels": {
            "done": "There is one.",
            "failed": "There is none; error says why.",
            "not run": "There is none yet, as nobody tried or the run was ended before.",
        },
    },
}
_LAST: measures.Described = {
    "filename": {"Description": "The mask, from the folder of the table."},
    "error": {"Description": "Why there is no result, or n/a."},
}


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes a table as BIDS wants it: UTF-8, tabs, n/a where there is no value.

    Raises:
        OutputError: It cannot be written.
    """
    lines = ["\t".join(columns)]
    lines += ["\t".join(_cell(row.get(column)) for column in columns) for row in rows]
    files.write_text(path, "\n".join(lines) + "\n")


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = "" if value is None else " ".join(str(value).split())
    return text or _NONE


def write_scans(places: Places) -> None:
    """Writes the table of the results of a session, with its dictionary; none if there is none.

    Args:
        places: Of any scan of the session.

    Raises:
        OutputError: They cannot be written.
    """
    table = places.scans_table
    dictionary = table.with_suffix(".json")
    if not places.session_folder.is_dir():
        return
    with files.locked(places.session_folder):
        found = [(path, _read(path)) for _, path in results_below(places.session_folder)]
        if not found:
            for path in (table, dictionary):
                with contextlib.suppress(OSError):
                    path.unlink()
            return
        rows = [{"filename": f"anat/{_mask(path)}", **_values(sidecar)} for path, sidecar in found]
        columns = {"filename": _LAST["filename"], **measures.described(_labels(found)), **_HOW}
        with files.together():
            write_table(table, list(columns), rows)
            told = {"Description": "The masks of the session, and what is measured of them."}
            files.write_text(dictionary, records.json_text({**told, **columns}))


def write_group(
    root: Path, rows: Sequence[Row], only: Container[str] | None = None
) -> list[dict[str, Any]]:
    """Writes the table of everybody, with its dictionary.

    Args:
        root: Folder of the derivatives.
        rows: What became of scans, those that have no result among them.
        only: Names of the scans to show; None for all.

    Returns:
        Its rows.

    Raises:
        OutputError: They cannot be written.
    """
    done = {
        name: (path, _read(path))
        for name, path in results_below(root)
        if only is None or name in only
    }
    lacking = {row.subject: row for row in rows if row.subject not in done}
    columns = {**_WHO, **measures.described(_labels(done.values())), **_HOW, **_LAST}
    table = []
    for name in sorted({*done, *lacking}, key=natural):
        values = _who(name)
        if name in done:
            path, sidecar = done[name]
            place = path.with_name(_mask(path)).relative_to(root).as_posix()
            values |= {"status": DONE, "filename": place, **_values(sidecar)}
        else:
            row = lacking[name]
            # A result that the summary knows of has been removed.
            status = WAITING if row.status in (DONE, SKIPPED) else row.status
            values |= {"status": status, "error": row.error if status == FAILED else ""}
        table.append(values)
    with files.together():
        write_table(root / f"{GROUP}.tsv", list(columns), table)
        told = {"Description": "A row for each FLAIR scan, with a result or without."}
        files.write_text(root / f"{GROUP}.json", records.json_text({**told, **columns}))
    return table


def _who(scan: str) -> dict[str, Any]:
    found = entities_of(scan)
    values = {name: found.get(key) for name, key in _KINDS.items()}
    if values["session_id"]:
        values["session_id"] = f"ses-{values['session_id']}"
    return {"participant_id": f"sub-{found['sub']}", **values, "scan": scan}


def _mask(sidecar: Path) -> str:
    return sidecar.name.removesuffix(".json") + ".nii.gz"


def _read(path: Path) -> dict[str, Any]:
    """The content of a sidecar; nothing if somebody has spoilt it."""
    with contextlib.suppress(errors.InputError, ValueError, RecursionError):
        with files.reading(path, "sidecar", advice="") as file:
            content = json.loads(file.read(_MAX_BYTES))
        if isinstance(content, dict):
            return content
    return {}


def _values(sidecar: Mapping[str, Any]) -> dict[str, Any]:
    """Measures, and how they came about."""
    told = {name: sidecar.get(name) for name in _HOW}
    version = sidecar.get("versions", {}).get("wmhseg")
    count = len(sidecar.get("warnings", ()))
    return {**measures.of_sidecar(sidecar), **told, "version": version, "warnings": count}


def _labels(found: Iterable[tuple[Path, Mapping[str, Any]]]) -> tuple[str, ...]:
    """Labels besides WMH that any of the results has."""
    return tuple(sorted({label for _, sidecar in found for label in sidecar.get("others", {})}))
