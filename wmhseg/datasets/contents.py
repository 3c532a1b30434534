"""What the first bytes of files tell: whether what was found is there at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from wmhseg.errors import InputError
from wmhseg.io import files

_BEGINNING_BYTES = 64


def not_there(found: Mapping[str, Path | None]) -> str:
    """Why the first of some files that cannot be used is not what its name says; "" if all are.

    Links to nowhere, pointers of git-annex and Git LFS, and files that may not be read are told.

    Args:
        found: What to call each, such as "FLAIR scan" -> the file, None if there is none.
    """
    for what, path in found.items():
        if path is not None and (reason := _not_there(f'{what} "{path}"', path)):
            return reason
    return ""


def _not_there(label: str, path: Path) -> str:
    try:
        with files.reading(path, label, advice="Name a file.") as file:
            pointer, advice = files.pointer(file.read(_BEGINNING_BYTES))
    except InputError as error:
        return str(error)
    return f"The {label} is {pointer}. {advice}" if pointer else ""
