"""The whole summary, of what many shards have left in one folder.

The folders of subjects have the last word: a subject is done if its result is there, complete, and
made from today's scans by today's method. Parts of shards say why others failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wmhseg.batch import parts, run
from wmhseg.batch.run import BatchOptions
from wmhseg.batch.shards import Shard
from wmhseg.batch.summary import (
    DONE,
    FAILED,
    OUTDATED,
    SUMMARY,
    Row,
    row_of,
    stored_rows,
    write_summary,
)
from wmhseg.batch.task import Task, of_method
from wmhseg.datasets.subjects import Subject

_SCANS = "the result was made from other scans"
_METHOD = "the result was made with {}, not with {}"
_OTHERWISE = "the result was made with other options or another version"


@dataclass(frozen=True)
class Collected:
    """What was found.

    Attributes:
        rows: One a subject, in their order.
        unfinished: Shards that never began, still run, or were stopped.
    """

    rows: list[Row]
    unfinished: list[Shard]


def collect(subjects: Sequence[Subject], output: Path, batch: BatchOptions) -> Collected:
    """Makes the summary; segments nothing.

    Args:
        subjects: All of the table.
        output: Folder of results.
        batch: How they were to be made.

    Raises:
        WmhsegError: As of ``run.run``.
    """
    run.check(subjects, batch)
    tasks = run.tasks_of(subjects, output, batch)
    told = parts.read(output)
    failed = {row.subject: row for row in stored_rows(output / SUMMARY) if row.status == FAILED}
    failed |= told.rows
    found = run.known(tasks, by_content=True)
    rows = [
        replace(row, status=DONE) if row is not None else _without(task, failed)
        for task, row in zip(tasks, found, strict=True)
    ]
    write_summary(output / SUMMARY, rows, batch.task.stamp_in)
    return Collected(rows, told.unfinished)


def _without(task: Task, told: dict[str, Row]) -> Row:
    """The row of a subject that has no result of today's scans and method."""
    content = task.stamp.content()
    if content is not None and row_of(content) is not None:
        why = _SCANS if of_method(task, content) else _other_method(task, content)
        return task.row(status=OUTDATED, error=why)
    row = told.get(task.subject.name)
    if row is None or row.status != FAILED:
        return task.row()
    return task.row(status=FAILED, exit_code=row.exit_code, error=row.error)


def _other_method(task: Task, content: Mapping[str, Any]) -> str:
    """What of the method was another, as far as a result says it."""
    now = {"model": Path(task.model).name, "reader": task.options.reader}
    other = [what for what, value in now.items() if (content.get(what) or value) != value]
    if not other:
        return _OTHERWISE
    then = (f"{what} {content[what]}" for what in other)
    return _METHOD.format(" and ".join(then), " and ".join(f"{what} {now[what]}" for what in other))
