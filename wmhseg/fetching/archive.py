"""A model folder as one file: a zip of plain files, nothing compressed, the same bytes each time.

Weights hardly get smaller by compression (8 % measured), and how much depends on the library that
does it: without, the file of a model has one checksum wherever it is made.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import zipfile
from pathlib import Path
from typing import IO, BinaryIO

from wmhseg.errors import PresetError, WeightsError
from wmhseg.io import files

MOST_BYTES = 2_000_000_000
"""Of all files of a model together."""

_MOST_FILES = 40
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
# The oldest that the format knows: when a file was written says nothing here.
_DATE = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_ENCRYPTED = 0x1
_BROKEN = (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError)


def pack(folder: Path, target: BinaryIO) -> None:
    """Writes a model folder as one file.

    Args:
        folder: It holds plain files of plain names, and nothing else.
        target: A file to write to, at its beginning.

    Raises:
        PresetError: If something else is in the folder.
        InputError: If a file cannot be read.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
        for path in sorted(folder.iterdir(), key=lambda path: path.name):
            if not _NAME.fullmatch(path.name) or path.is_symlink() or not path.is_file():
                raise PresetError(
                    "Plain files with names of letters, digits and _ . - were expected in a model "
                    "folder",
                    received=path,
                )
            entry = zipfile.ZipInfo(path.name, _DATE)
            entry.create_system = _UNIX
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            with files.reading(path, f'file "{path}"', advice="Name a model folder.") as file:
                archive.writestr(entry, file.read())


def unpack(source: BinaryIO, folder: Path) -> None:
    """Writes the files of such a file into an empty folder.

    Nothing but plain files right in the folder is written, and no more than the file's own list
    says, whatever the file holds.

    Args:
        source: The file, open at any place.
        folder: An empty folder.

    Raises:
        WeightsError: If it is no such file.
        OutputNotWritableError: If the folder cannot be written to.
        DiskFullError: If the disk has no room.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            entries = archive.infolist()
            for reason in filter(None, map(_refused, entries)):
                raise _not_a_model(reason)
            _check_all(entries)
            for entry in entries:
                path = folder / entry.filename
                with archive.open(entry) as content, files.output_errors(path):
                    _write(content, path)
    except _BROKEN as error:
        raise _not_a_model(str(error)) from error


def _write(content: IO[bytes], path: Path) -> None:
    with open(path, "xb") as out:
        shutil.copyfileobj(content, out, 2**20)
        out.flush()
        os.fsync(out.fileno())  # a lack of room may show only now


def _refused(entry: zipfile.ZipInfo) -> str:
    """What is wrong with a file in the list; "" if nothing is."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    wrong = (
        (not _NAME.fullmatch(entry.filename), "a name that is none of a plain file"),
        (kind not in (0, stat.S_IFREG), "a link, folder or device"),
        (entry.compress_type != zipfile.ZIP_STORED, "a compressed file"),
        (entry.file_size != entry.compress_size, "a file of two sizes"),
        (bool(entry.flag_bits & _ENCRYPTED), "an encrypted file"),
    )
    return next((f"{why}: {entry.filename!r}" for so, why in wrong if so), "")


def _check_all(entries: list[zipfile.ZipInfo]) -> None:
    names = {entry.filename.casefold() for entry in entries}
    if len(names) != len(entries):
        raise _not_a_model("a name that stands twice")
    if len(entries) > _MOST_FILES:
        raise _not_a_model(f"{len(entries)} files")
    size = sum(entry.file_size for entry in entries)
    if size > MOST_BYTES:
        raise _not_a_model(f"{size} bytes")


def _not_a_model(received: str) -> WeightsError:
    return WeightsError(
        "The file of a model was expected: a zip of plain files, not compressed, 2 GB at most",
        received=received,
        advice="Get the file again.",
    )
