"""What lies in a folder, in natural order, and what a NIfTI file is called."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from wmhseg.errors import MissingFileError, UnreadableFileError

Warn = Callable[[str], None]
"""Takes a sentence about something that was found and is not used."""

_MOST_NAMES = 5
_ENDINGS = (".nii.gz", ".nii")


def warned(sentence: str) -> None:
    """Gives a sentence as a warning of Python's: what finders do unless told otherwise."""
    warnings.warn(sentence, stacklevel=3)


def files_below(root: Path, warn: Warn = warned) -> Iterator[Path]:
    """Yields every file below a folder in natural order, hidden ones left out.

    Links to folders are followed, but no folder is entered twice.

    Args:
        root: The folder.
        warn: Is given a sentence about each folder in it that cannot be read and is passed over,
            be it forbidden or a link to nowhere.

    Raises:
        MissingFileError: There is no such folder.
        UnreadableFileError: It cannot be read.
    """
    if not root.is_dir():
        raise MissingFileError("An existing folder was expected", received=root)

    def failed(error: OSError) -> None:
        reason = error.strerror or str(error)
        if error.filename == os.fspath(root):
            raise UnreadableFileError(
                "A readable folder was expected", received=f"{root}: {reason}"
            ) from error
        warn(f"{error.filename} is passed over, whatever it holds: {reason}.")

    entered = set()
    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=failed):
        real = os.path.realpath(folder)
        if real in entered:
            subfolders.clear()
            continue
        entered.add(real)
        subfolders[:] = sorted((n for n in subfolders if not n.startswith(".")), key=natural)
        for name in sorted((n for n in names if not n.startswith(".")), key=natural):
            path = Path(folder, name)
            if _lost_folder(path):
                warn(f"{path} is passed over: a link to {os.readlink(path)}, which is not there.")
            else:
                yield path


def _lost_folder(path: Path) -> bool:
    """Whether it may be a folder's link to nowhere; git-annex has such links for files alone."""
    if path.suffix or not path.is_symlink() or path.exists():
        return False
    return "annex/objects" not in os.readlink(path)


def left_out(what: str, paths: Sequence[Path]) -> str:
    """A sentence about files that are not used."""
    names = ", ".join(map(str, paths[:_MOST_NAMES])) + ", …" * (len(paths) > _MOST_NAMES)
    return f"{what} are left out, {len(paths)}: {names}"


def natural(text: str) -> list[tuple[int, str]]:
    """Key that sorts 2 before 10."""
    parts = re.split(r"([0-9]+)", text)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def stem_of(path: Path) -> str:
    """Name without the ending of NIfTI, "" for other files."""
    for ending in _ENDINGS:
        if path.name.endswith(ending):
            return path.name[: -len(ending)]
    return ""
