"""Folders whose files are empty: finding reads names alone."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest


def touch(root: Path, *names: str) -> Path:
    """Makes empty files of these names below a folder, and returns the folder."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def close(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Lets nobody look into a folder, not even root, whom permissions do not stop."""
    scandir = os.scandir

    def refused(path: Any) -> Any:
        if os.fspath(path) == os.fspath(folder):
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
