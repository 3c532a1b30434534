"""Checksums of files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from wmhseg.io import files


def sha256_of(path: Path) -> str:
    """Checksum of a file's content, 64 hexadecimal digits.

    Raises:
        InputError: If it is missing, no plain file, or cannot be read.
    """
    digest = hashlib.sha256()
    with files.reading(path, f'file "{path}"', advice="Name a file.") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()
