"""Dealing subjects out to processes on many machines, which know nothing of each other.

Every process is told which shard it is, of how many, and reads the same table. Subjects are sorted
by the checksum of their names and dealt out like cards: the first to shard 1, the second to shard
2, and so on. So

* shards differ by one subject at most, whatever their number;
* a subject's shard depends on the names in the table alone, not on their order, on the machine or
  on the version of Python;
* neighbours in the table, such as the scans of one site, are spread over all shards.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wmhseg.datasets.subjects import Subject
from wmhseg.errors import UsageError

SLURM = "slurm"
_FORMS = f"I/N, such as 3/8, {SLURM}/N or {SLURM}"
_MOST = 1_000_000


@dataclass(frozen=True)
class Shard:
    """One of several parts of a table.

    Attributes:
        number: Which, from 1.
        count: Of how many.
    """

    number: int
    count: int

    def __str__(self) -> str:
        """Returns it as it is given."""
        return f"{self.number}/{self.count}"


def parse(text: str, environment: Mapping[str, str]) -> Shard:
    """Which shard a command asks for.

    Args:
        text: ``I/N``; ``slurm/N``, where the number of the task in a job array of SLURM is I; or
            ``slurm``, where the array says N as well.
        environment: Variables of the process.

    Raises:
        UsageError: It is none of these, or SLURM did not start the process as a task of an array
            that is numbered from 1 to N.
    """
    first, _, count = text.strip().partition("/")
    if first.lower() == SLURM:
        return _of_slurm(count, environment)
    if not (_is_whole(first) and _is_whole(count)):
        raise UsageError(f"--shard: {_FORMS} was expected", received=f'"{text}"')
    return _checked(int(first), int(count))


def _is_whole(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9]{1,9}", text))


def _checked(number: int, count: int) -> Shard:
    if not 1 <= number <= count <= _MOST:
        raise UsageError(
            f"A shard from 1/N to N/N was expected, with N up to {_MOST}",
            received=f"{number}/{count}",
        )
    return Shard(number, count)


def _of_slurm(count: str, environment: Mapping[str, str]) -> Shard:
    """The shard of a task; the array's own range counts only where it leaves no doubt."""
    names = [f"SLURM_ARRAY_TASK_{what}" for what in ("ID", "MIN", "MAX", "COUNT")]
    task, lowest, highest, tasks = (environment.get(name, "") for name in names)
    if not _is_whole(task):
        raise UsageError(
            f"--shard {SLURM} was expected in a task of a job array of SLURM",
            received=f"SLURM_ARRAY_TASK_ID={task}" if task else "no SLURM_ARRAY_TASK_ID",
            advice="Submit it by sbatch --array=1-N, or name the shard: --shard I/N.",
        )
    if count:
        if not _is_whole(count):
            raise UsageError(f"--shard: {_FORMS} was expected", received=f'"{SLURM}/{count}"')
        return _checked(int(task), int(count))
    # An array of some tasks that are to run again (--array=3,7) is not the array that was dealt to.
    if lowest != "1" or not _is_whole(tasks) or highest != tasks:
        raise UsageError(
            f"--shard {SLURM} was expected in a job array that is numbered from 1 to N",
            received=f"tasks {lowest or '?'} to {highest or '?'}, {tasks or '?'} in all",
            advice=f"Say how many shards there are: --shard {SLURM}/N.",
        )
    return _checked(int(task), int(tasks))


def deal(subjects: Sequence[Subject], shard: Shard) -> list[Subject]:
    """The subjects of a shard, in their order; there may be none.

    Args:
        subjects: All of the table, with names that differ.
        shard: Which.
    """
    order = sorted(range(len(subjects)), key=lambda i: (_mark(subjects[i]), i))
    return [subjects[i] for i in sorted(order[shard.number - 1 :: shard.count])]


def _mark(subject: Subject) -> bytes:
    return hashlib.sha256(subject.name.encode("utf-8", "surrogateescape")).digest()
