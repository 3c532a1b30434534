"""What shards write of the table: a journal a run, which nobody else writes and nothing rewrites.

They stand in ``OUTPUT/.wmhseg/parts``, where no subject's folder can be. A shard that is started
again begins another one. ``collect`` makes the summary of them and of what subjects' folders say.
"""

from __future__ import annotations

import os
import platform
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wmhseg.batch.shards import Shard
from wmhseg.batch.summary import Row, row_of
from wmhseg.datasets.folders import natural
from wmhseg.io.journals import Journal, entries

OWN = ".wmhseg"
"""Folder in that of the results for what is no result."""

COMPLETE, STOPPED = "complete", "stopped"


def folder_in(output: Path) -> Path:
    """Where the parts of a folder of results are."""
    return output / OWN / "parts"


class Part:
    """The part of the table that this run of a shard writes."""

    def __init__(self, output: Path, shard: Shard, subjects: int) -> None:
        """Begins it.

        Args:
            output: Folder of results.
            shard: Which one runs.
            subjects: How many it has.

        Raises:
            OutputError: It cannot be written.
        """
        began = datetime.now(UTC)
        name = f"{shard.number}-of-{shard.count}_{began:%Y%m%dT%H%M%SZ}_{secrets.token_hex(4)}"
        self._journal = Journal(folder_in(output) / f"{name}.jsonl")
        self._add(
            {
                "shard": [shard.number, shard.count],
                "subjects": subjects,
                "host": platform.node(),
                "process": os.getpid(),
            }
        )

    @property
    def path(self) -> Path:
        """Its file."""
        return self._journal.path

    def add(self, row: Row) -> None:
        """Adds what became of a subject.

        Raises:
            OutputError: It cannot be written.
        """
        self._add({"row": asdict(row)})

    def end(self, how: str) -> None:
        """Ends it.

        Args:
            how: ``COMPLETE`` or ``STOPPED``.

        Raises:
            OutputError: It cannot be written.
        """
        self._add({"end": how})
        self._journal.close()

    def _add(self, entry: Mapping[str, Any]) -> None:
        self._journal.add({"at": datetime.now(UTC).isoformat(), **entry})


@dataclass
class Parts:
    """What all parts say.

    Attributes:
        rows: Name of a subject -> the latest row about it.
        shards: Shard -> how its latest run ended, "" if it has not.
    """

    rows: dict[str, Row] = field(default_factory=dict)
    shards: dict[Shard, str] = field(default_factory=dict)

    @property
    def unfinished(self) -> list[Shard]:
        """Shards, of as many as the latest run had, that never began or did not come to an end."""
        count = next(reversed(self.shards), Shard(1, 0)).count
        every = (Shard(number, count) for number in range(1, count + 1))
        return [shard for shard in every if self.shards.get(shard) != COMPLETE]


def read(output: Path) -> Parts:
    """Reads all parts in a folder of results, in the order in which things happened."""
    told: list[tuple[str, Any, dict[str, Any]]] = []
    for path in sorted(folder_in(output).glob("*.jsonl"), key=lambda p: natural(p.name)):
        shard = None
        for entry in entries(path):
            shard = entry.get("shard", shard)
            told.append((str(entry.get("at")), shard, entry))
    found = Parts()
    for _, numbers, entry in sorted(told, key=lambda one: one[0]):
        if "shard" in entry or "end" in entry:
            try:
                shard = Shard(*map(int, numbers))
            except (TypeError, ValueError):
                continue
            found.shards.pop(shard, None)  # so that the latest stands last
            found.shards[shard] = str(entry.get("end", ""))
        row = row_of(entry.get("row"))
        if row is not None:
            found.rows[row.subject] = row
    return found
