"""Files that only grow: a line of JSON for each thing that has happened.

One process writes a journal, and it never writes to a line twice: a program that is killed costs
the line that it was writing, which readers leave out. Nothing is rewritten, so that a line costs
the same in a journal of 50,000.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wmhseg import errors
from wmhseg.io import files

_MAX_BYTES = 1 << 30


class Journal:
    """A journal that this process writes."""

    def __init__(self, path: Path) -> None:
        """Begins it.

        Args:
            path: A file that does not exist; its folder is made if needed.

        Raises:
            OutputError: It cannot be written, or is there already.
        """
        self.path = path
        with files.output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
            self._file = os.fdopen(os.open(path, flags, 0o666), "ab")

    def add(self, entry: Mapping[str, Any]) -> None:
        """Adds a line; whoever reads the file sees it at once.

        Args:
            entry: Plain values.

        Raises:
            OutputError: The disk is full, or gone.
        """
        line = files.printable(json.dumps(entry, ensure_ascii=False)).encode("utf-8")
        with files.output_errors(self.path):
            self._file.write(line + b"\n")
            self._file.flush()

    def close(self) -> None:
        """Ends it.

        Raises:
            OutputError: As of ``add``.
        """
        with files.output_errors(self.path):
            self._file.close()


def entries(path: Path) -> Iterator[dict[str, Any]]:
    """What a journal says so far.

    Args:
        path: Of a journal, be it finished or not.

    Yields:
        Each entry. Lines that are damaged or incomplete are left out, and so is a file that cannot
        be read.
    """
    try:
        with files.reading(path, f'journal "{path}"', advice="") as file:
            content = file.read(_MAX_BYTES)
    except errors.InputError:
        return
    for line in content.split(b"\n")[:-1]:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict):
            yield entry
