"""Resuming: whether what an earlier run left is made from the same as would be made today.

Short work is done again or left as it is. Its fingerprint, a checksum of the content of the input
files and of everything else that decides the outcome, stands in a ``Stamp`` beside the outputs or
in a table of them. Long work, such as a training, goes on where it stopped: what it is made from is
written down in full before it begins, so that an error can say what has changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wmhseg.errors import InputError
from wmhseg.io import checksums, files

_MAX_BYTES = 1 << 22  # of a stamp, which holds a few hundred


def fingerprint(salt: str, *inputs: Path | None) -> str:
    """Checksum of what a piece of work is made from.

    Args:
        salt: Whatever else decides the outcome, such as version and options.
        inputs: Plain files, in an order that is always the same. Their content counts, not their
            names or times.

    Returns:
        16 hexadecimal digits; "" if an input is None or cannot be read as a plain file: whoever
        needs the file will say why.
    """
    contents = []
    for path in inputs:
        if path is None:
            return ""
        try:
            contents.append(checksums.sha256_of(path))
        except InputError:
            return ""
    return combined(salt, *contents)


def combined(salt: str, *contents: str) -> str:
    """The fingerprint of inputs that have been read already.

    Args:
        salt: As of ``fingerprint``.
        contents: SHA-256 of each input, in hexadecimal digits.
    """
    digest = hashlib.sha256(salt.encode())
    for content in contents:
        digest.update(bytes.fromhex(content))
    return digest.hexdigest()[:16]


def same(stored: object, today: str) -> bool:
    """Whether a stored fingerprint is today's; "" is no fingerprint, and the same as none."""
    return bool(today) and stored == today


@dataclass(frozen=True)
class Stamp:
    """A JSON file that says what the files beside it were made from.

    It is written last and removed first: outputs without it are unfinished, or somebody else's.

    Attributes:
        path: The file.
        outputs: What it vouches for.
    """

    path: Path
    outputs: tuple[Path, ...]

    def read(self, today: str) -> dict[str, Any] | None:
        """What was stored with the fingerprint.

        Args:
            today: Fingerprint of what would be made now.

        Returns:
            The facts that ``write`` was given, or None: an output is missing, the stamp is missing
            or damaged, or the outputs were made from something else.
        """
        content = self.content()
        if content is None or not same(content.pop("fingerprint", ""), today):
            return None
        return content

    def facts(self) -> dict[str, Any] | None:
        """What was stored, whatever the outputs were made from; None as of ``read``."""
        content = self.content()
        if content is not None:
            content.pop("fingerprint", "")
        return content

    def content(self) -> dict[str, Any] | None:
        """As ``facts``, with the fingerprint, if there is one."""
        if not all(path.is_file() for path in self.outputs):
            return None
        try:
            with files.reading(self.path, "stamp", advice="") as file:
                content = json.loads(file.read(_MAX_BYTES))
        except (InputError, ValueError, RecursionError):
            return None
        return content if isinstance(content, dict) else None

    def write(self, fingerprint: str, facts: Mapping[str, Any] | None = None) -> None:
        """Declares the outputs complete.

        Args:
            fingerprint: Of what they were made from.
            facts: Whatever a later run wants to know without reading the outputs.

        Raises:
            OutputError: It cannot be written.
        """
        content = {"fingerprint": fingerprint, **(facts or {})}
        files.write_text(self.path, json.dumps(content, indent=2) + "\n")

    def clear(self) -> None:
        """Removes outdated outputs, so that none of other inputs can stay.

        Without a stamp nothing is removed: the files may be anybody's.
        """
        if self.path.is_file():
            for path in (self.path, *self.outputs):
                with contextlib.suppress(OSError):  # it will be found to be unwritable, too
                    path.unlink()


def write_sources(folder: Path, texts: Mapping[str, str]) -> None:
    """Writes down what work is made from, before it begins: all files or none.

    Args:
        folder: An existing folder.
        texts: File name -> content.

    Raises:
        OutputError: They cannot be written.
    """
    with files.together():
        for name, text in texts.items():
            files.write_text(folder / name, text)


def changed_source(folder: Path, texts: Mapping[str, str]) -> str:
    """Name of the first file that ``write_sources`` would now write otherwise, "" if none.

    A file that is missing or cannot be read counts as changed.
    """
    for name, text in texts.items():
        try:
            if (folder / name).read_text("utf-8") == text:
                continue
        except (OSError, ValueError):
            pass
        return name
    return ""
