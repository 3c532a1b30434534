"""Checksums of files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from wmhseg.io import files


def sha256_of(path: Path) -> str:
    """Checksum of a file, 64 hexadecimal digits.

    Raises:
        InputError: If it is missing or cannot be read.
    """
    digest = hashlib.sha256()
    with files.reading(path, f'file "{path}"', advice="Name a file.") as handle:
        while chunk := handle.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


def fingerprint(salt: str, *paths: Path | None) -> str:
    """Checksum of the content of files, to find out whether anything has changed.

    Args:
        salt: Whatever else matters.
        paths: Plain files.

    Returns:
        16 hexadecimal digits; "" if a path is None or cannot be read as a plain file.
    """
    digest = hashlib.sha256(salt.encode())
    for path in paths:
        if path is None or not path.is_file():
            return ""
        try:
            with path.open("rb") as handle:
                digest.update(hashlib.file_digest(handle, "sha256").digest())
        except OSError:
            return ""  # whoever needs the file will say why
    return digest.hexdigest()[:16]
