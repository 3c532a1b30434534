"""Where a result comes from: scans, date, command and container, for the report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wmhseg.io import checksums, files

_IMAGE_NAMES = ("WMHSEG_IMAGE", "APPTAINER_NAME", "SINGULARITY_NAME")
"""Environment variables that name the container: our image sets the first, Apptainer the others."""

KEYS = ("inputs", "date", "command", "container")
"""What ``Provenance.to_dict`` adds to a JSON file."""


@dataclass(frozen=True)
class ScanFile:
    """A scan that was segmented.

    Attributes:
        path: As it was given; None for a scan that was no file.
        sha256: Of the file's content, compressed as it is; None for a scan that was no file.
    """

    path: str | None = None
    sha256: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        return {"path": self.path and files.printable(self.path), "sha256": self.sha256}


@dataclass(frozen=True)
class Provenance:
    """What a result was made from, when, and by what.

    Attributes:
        scans: "FLAIR", and "T1" if one was given -> the file.
        date: When the scans were read, UTC, as in "2026-11-25T23:15:04+00:00".
        container: Name of the image or container file, None outside one.
        command: The command line, None where it was called from Python.
    """

    scans: Mapping[str, ScanFile]
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    container: str | None = field(default_factory=lambda: container_name())
    command: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, in the documented order."""
        command = self.command and files.printable(self.command)
        scans = {name: scan.to_dict() for name, scan in self.scans.items()}
        return dict(zip(KEYS, (scans, self.date, command, self.container), strict=True))


def scan_file(source: object) -> ScanFile:
    """What is known about a scan that a caller gave.

    Args:
        source: A path, or anything else, of which nothing is known.

    Raises:
        InputError: If the path is no file that can be read.
    """
    if not isinstance(source, (str, os.PathLike)):
        return ScanFile()
    path = Path(source)
    return ScanFile(os.fsdecode(source), checksums.sha256_of(path))


def container_name() -> str | None:
    """Name of the image or file of the container that this runs in, None outside one."""
    names = (os.environ.get(name) for name in _IMAGE_NAMES)
    return next((files.printable(name) for name in names if name), None)
