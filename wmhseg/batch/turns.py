"""A subject's turn in a process: claim it, look whether it is done, and if not, do it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wmhseg import errors
from wmhseg.batch import claims
from wmhseg.batch.summary import FAILED, Row
from wmhseg.batch.task import Task, done_before, renew
from wmhseg.io import files


@dataclass(frozen=True)
class Turn:
    """What a process is given.

    Attributes:
        task: Whom, and how.
        work: What is done; a function of a module.
        claims: Folder of claims.
        force: Do it again if it is done.
    """

    task: Task
    work: Callable[[Any], Row]
    claims: Path
    force: bool = False


@dataclass(frozen=True)
class Held:
    """Another process is at work on the subject.

    Attributes:
        by: Which, in words.
    """

    by: str


def take(turn: Turn) -> Row | Held:
    """Does what is left to do for a subject, if nobody else is at it.

    Args:
        turn: Whose.

    Returns:
        The subject's row, or who has it.
    """
    task = turn.task
    try:
        claim = claims.take(turn.claims, task.subject.name)
        if isinstance(claim, claims.Holder):
            return Held(str(claim))
        try:
            return _claimed(turn, replace(task, sure=claim.check))
        finally:
            claim.give_back()
    except claims.LostError as error:
        return Held(str(error))
    except errors.WmhsegError as error:
        return task.row(status=FAILED, exit_code=error.exit_code, error=str(error))


def _claimed(turn: Turn, task: Task) -> Row:
    with contextlib.suppress(OSError):  # opened, a folder of NFS tells what others have written
        os.scandir(task.folder).close()
    row = None if turn.force else done_before(task)
    if row is not None:
        renew(task)
        return row
    files.clear_parts(task.folder)
    return turn.work(task)
