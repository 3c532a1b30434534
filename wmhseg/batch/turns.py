"""A subject's turn in a process: look whether it is done, and if not, do it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wmhseg.batch.summary import Row
from wmhseg.batch.task import Task, done_before, renew


@dataclass(frozen=True)
class Turn:
    """What a process is given.

    Attributes:
        task: Whom, and how.
        work: What is done; a function of a module.
        force: Do it again if it is done.
    """

    task: Task
    work: Callable[[Any], Row]
    force: bool = False


def take(turn: Turn) -> Row:
    """Does what is left to do for a subject.

    Args:
        turn: Whose.

    Returns:
        The subject's row.
    """
    row = None if turn.force else done_before(turn.task)
    if row is not None:
        renew(turn.task)
        return row
    return turn.work(turn.task)
