"""Masks that other tools made, as their users published them, as contenders.

A folder a case, named like it, with a file ``wmh_<tool>.nii.gz`` a tool. A tool is scored on the
cases that it has a mask of; nothing is computed here.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from evaluation.contender import Contender
from wmhseg.datasets.cases import Case
from wmhseg.errors import MissingFileError
from wmhseg.io import files
from wmhseg.io.stamps import fingerprint

_FIRST, _LAST = "wmh_", ".nii.gz"


def peers(folder: Path) -> list[Contender]:
    """One contender for each tool that a folder holds masks of.

    Args:
        folder: Holds ``<case>/wmh_<tool>.nii.gz``.

    Raises:
        MissingFileError: If it holds none.
    """
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.glob(f"*/{_FIRST}*{_LAST}")):
        tool = path.name.removeprefix(_FIRST).removesuffix(_LAST)
        found.setdefault(tool, {})[path.parent.name] = path
    if not found:
        raise MissingFileError(
            f"Masks of other tools, <case>/{_FIRST}<tool>{_LAST}, were expected in {folder}",
            received="none",
        )
    return [_peer(tool, masks) for tool, masks in found.items()]


def _peer(tool: str, masks: dict[str, Path]) -> Contender:
    return Contender(
        name=tool,
        about=f"published masks of this tool, of {len(masks)} case(s) only: {', '.join(masks)}",
        identity=fingerprint(tool, *masks.values()),
        segment=partial(_copy, masks),
        only=frozenset(masks),
    )


def _copy(masks: dict[str, Path], case: Case, target: Path) -> None:
    files.write_bytes(target, masks[case.name].read_bytes())
