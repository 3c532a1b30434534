"""What an earlier run wrote under the same name: a second run leaves nothing of it behind.

A report names the files that were written with it. When the next run replaces it, those that this
run does not write itself would show another result: a picture without the lesions of the new mask.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from wmhseg.errors import InputError
from wmhseg.io import files

_KEY = "files"
PAGE = "page"
"""Key of the name of the page (HTML) about the result, where there is one."""
WRITTEN = (".nii", ".nii.gz", ".png", ".pdf")
"""Endings of what is written beside a report."""
_PAGES = (".html", ".htm")
_MAX_BYTES = 1 << 24


def named(outputs: Mapping[str, Path], report: Path) -> dict[str, dict[str, str]]:
    """What a report says about the files beside it.

    Args:
        outputs: What a file is -> its path.
        report: The report's path.
    """
    return {_KEY: {what: relative(path, report) for what, path in outputs.items()}}


def left_behind(
    report: Path,
    outputs: Mapping[str, Path],
    inputs: Iterable[Path] = (),
    endings: tuple[str, ...] = WRITTEN,
) -> list[Path]:
    """Files of an earlier run that the next one does not replace.

    Args:
        report: Of the earlier run, if there was one, and of the next.
        outputs: What the next run writes.
        inputs: What it reads: never removed, whoever wrote it.
        endings: Of the names of files that such a run writes.

    Returns:
        Those that are still as the earlier run left them: none that is newer than its report.
    """
    kept = {os.path.realpath(path) for path in (*outputs.values(), *inputs)}
    paths = [report.parent / name for name in _stored(report, endings)]
    return [
        path
        for path in paths
        if os.path.realpath(path) not in kept
        and path.is_file()
        and not path.is_symlink()
        and path.stat().st_mtime <= report.stat().st_mtime
    ]


def _stored(report: Path, endings: tuple[str, ...]) -> list[str]:
    """Names in an earlier report; none if there is none, or it is somebody else's."""
    try:
        with files.reading(report, "report", advice="") as file:
            content = json.loads(file.read(_MAX_BYTES))
    except (InputError, ValueError, RecursionError):
        return []
    listed = content.get(_KEY) if isinstance(content, dict) else None
    names = [*listed.values()] if isinstance(listed, dict) else []
    found = [name for name in names if isinstance(name, str) and _is_ours(name, endings)]
    page = content.get(PAGE) if isinstance(content, dict) else None
    if isinstance(page, str) and _is_ours(page, _PAGES):
        found.append(page)
    return found


def _is_ours(name: str, endings: tuple[str, ...]) -> bool:
    """Whether it may be a file beside the report that this program wrote.

    A report may come from anywhere, and what it names is removed: never a file elsewhere.
    """
    return "\0" not in name and Path(name).name == name and name.lower().endswith(endings)


def relative(path: Path, report: Path) -> str:
    """A file as a report names it: from the report's folder.

    Args:
        path: The file.
        report: The report's path.
    """
    try:
        return Path(os.path.relpath(path, report.parent)).as_posix()
    except ValueError:  # on another drive
        return str(path)
