"""Segments many subjects: resumably, each failure named, none of them stopping the rest.

``OUTPUT/<subject>/`` holds ``result.nii.gz``, ``result.json``, a picture and masks of other labels
if they were asked for and, written after these, ``done.json``: the fingerprint of what they were
made from. A second run skips a subject whose fingerprint is still the same. ``OUTPUT/summary.tsv``
is brought up to date after every subject; rows of subjects of other runs stay in it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from wmhseg import errors, processors
from wmhseg.batch import claims, workers
from wmhseg.batch.parts import COMPLETE, OWN, STOPPED, Part
from wmhseg.batch.shards import Shard, deal
from wmhseg.batch.summary import FAILED, SUMMARY, WAITING, Row, write_summary
from wmhseg.batch.task import Task, done_before, segment_one
from wmhseg.batch.turns import Held, Turn, take
from wmhseg.datasets.subjects import Subject
from wmhseg.io import files
from wmhseg.segmentation.options import Options
from wmhseg.segmentation.pipeline import Segmenter
from wmhseg.version import __version__
from wmhseg.weights import store

_MAX_NAME_BYTES = 200
_AT_ONCE = 8
_REST = 20  # times as long as the summary takes to be written it is left alone
_LOOK_AGAIN_S = 2.0

OnRow = Callable[[int, int, Row], None]
"""Takes the number of subjects that are finished, that of all, and the newest row."""

Elsewhere = Callable[[Sequence[Turn]], Generator[tuple[int, Any], None, None]]
"""Takes turns of subjects; yields the index of each with what ``take`` or ``workers`` say of it."""


@dataclass(frozen=True)
class BatchOptions:
    """How to run a batch.

    Attributes:
        model: Name or folder of a model.
        options: As of one segmentation. Threads None shares the processors among the jobs, or
            leaves it to what works elsewhere.
        jobs: Processes at once.
        force: Segment again what is done.
        command: The command line, for the reports; None where it was called from Python.
        picture: File name of the picture in each subject's folder, one of ``task.PICTURES``; "" for
            none.
        others: Labels besides WMH whose masks are written as well, as ``<label>.nii.gz``.
        task: Where each subject's files go, and which they are.
        page: Write a page about each result as well.
        shard: Which of the subjects this process takes, None for all. It writes its own part of
            the table, and not the summary, which ``collect`` makes.
        elsewhere: Does the work in place of ``jobs`` processes on this machine.
    """

    model: str = store.DEFAULT_MODEL
    options: Options = field(default_factory=Options)
    jobs: int = 1
    force: bool = False
    command: str | None = None
    picture: str = ""
    others: tuple[str, ...] = ()
    task: type[Task] = Task
    page: bool = False
    shard: Shard | None = None
    elsewhere: Elsewhere | None = None


def check_names(subjects: Sequence[Subject]) -> None:
    """Makes sure that every subject can have a folder of its own.

    Raises:
        NoCasesError: There is no subject.
        UsageError: A name is used twice, or no name of a folder.
    """
    if not subjects:
        raise errors.NoCasesError("At least one subject was expected", received="none")
    for subject in subjects:
        name = subject.name
        # Names in another encoding than the terminal's are names of folders all the same.
        shown = files.printable(name)
        plain = shown.isprintable() and not set(name) & set('/\\:*?"<>|')
        if not name or not plain or name[0] == "." or len(shown.encode()) > _MAX_NAME_BYTES:
            raise errors.UsageError(
                "Subjects with names that a folder can have were expected",
                received=f'"{name}"' + (f" in {subject.where}" if subject.where else ""),
                advice="Use letters, digits, - and _.",
            )
    # Folders that differ in case alone are one on some disks.
    counts = Counter(subject.name.casefold() for subject in subjects)
    twice = sorted({s.name for s in subjects if counts[s.name.casefold()] > 1})
    if twice:
        raise errors.UsageError(
            "Every subject once was expected",
            received=f"more than one called {', '.join(twice[:10])}: "
            + _places(subjects, twice[0]),
            advice="Give them different names in a table: subject, flair, t1.",
        )


def _places(subjects: Sequence[Subject], name: str) -> str:
    """Where those of one name stand, in a message."""
    namesakes = [s for s in subjects if s.name.casefold() == name.casefold()]
    return " and ".join(s.where or str(s.flair or s.problem) for s in namesakes[:10])


def check(subjects: Sequence[Subject], batch: BatchOptions) -> None:
    """Finds out what can be wrong with a batch as a whole, before anything is written.

    Raises:
        UsageError: As of ``run``.
        ModelError: The model cannot be used.
    """
    check_names(subjects)
    if batch.jobs < 1:
        raise errors.UsageError("One job or more was expected", received=batch.jobs)
    model = store.find(batch.model)
    store.check_marked(model, batch.others)
    Segmenter(model, batch.options)  # what the model cannot do


def run(
    subjects: Sequence[Subject],
    output: Path,
    batch: BatchOptions,
    on_row: OnRow | None = None,
    work: Callable[[Any], Row] = segment_one,
) -> list[Row]:
    """Segments all subjects and keeps the summary up to date.

    Args:
        subjects: Whom; see ``check_names``.
        output: Folder of results.
        batch: How.
        on_row: Called after each subject.
        work: What is done with each; a function of a module, for other processes.

    Returns:
        One row a subject, in their order.

    Raises:
        UsageError: Names are not fit, there is less than one job, or the model does not mark a
            label, or has no rules of a reader, that is asked for.
        ModelError: The model cannot be used.
        OutputError: The summary cannot be written.
    """
    check(subjects, batch)
    files.check_writable(output)
    if batch.shard is not None:
        subjects = deal(subjects, batch.shard)
    tasks = tasks_of(subjects, output, batch)
    before = [None] * len(tasks) if batch.force else known(tasks)
    rows = [row or task.row() for task, row in zip(tasks, before, strict=True)]
    done = sum(row.status != WAITING for row in rows)
    with _kept(rows, output, batch) as keep:
        for index, answer in _answers(tasks, rows, Work(output, batch, work)):
            rows[index] = _row(tasks[index], answer)
            keep(rows[index])
            done += 1
            if on_row is not None:
                on_row(done, len(rows), rows[index])
    return rows


@dataclass(frozen=True)
class Work:
    """What is done, where and how."""

    output: Path
    batch: BatchOptions
    work: Callable[[Any], Row]

    @property
    def claims(self) -> Path:
        """Folder of claims."""
        return self.output / OWN / "claims"

    def turns(self, tasks: Sequence[Task]) -> list[Turn]:
        """What processes are given."""
        following = [task.subject for task in tasks[1:]]
        # With more processes than one nobody knows which takes the next.
        if self.batch.jobs == 1 and self.batch.elsewhere is None:
            tasks = [replace(t, upcoming=s) for t, s in zip_longest(tasks, following)]
        return [Turn(task, self.work, self.claims, self.batch.force) for task in tasks]

    def answers(self, tasks: Sequence[Task]) -> Generator[tuple[int, Any], None, None]:
        """Index of a task and what became of it, here or elsewhere."""
        turns = self.turns(tasks)
        if self.batch.elsewhere is not None:
            return self.batch.elsewhere(turns)
        return workers.run(turns, take, self.batch.jobs)


def _answers(
    tasks: Sequence[Task], rows: Sequence[Row], work: Work
) -> Generator[tuple[int, Any], None, None]:
    """What became of each task that waits; those that others are at come last."""
    todo = [index for index, row in enumerate(rows) if row.status == WAITING]
    held: dict[int, Held] = {}
    while todo:
        answers = work.answers([tasks[index] for index in todo])
        try:
            with contextlib.closing(answers):
                for position, answer in answers:
                    index = todo[position]
                    if isinstance(answer, Held):
                        held[index] = answer
                        continue
                    if isinstance(answer, workers.Crash):
                        claims.bury(work.claims)
                        tasks[index].tidy()
                    held.pop(index, None)
                    yield index, answer
        finally:
            claims.bury(work.claims)
        todo = _free(tasks, list(held), work)
    yield from held.items()


def _free(tasks: Sequence[Task], held: Sequence[int], work: Work) -> list[int]:
    """Waits until somebody has finished, given back or died over one of some subjects.

    Returns:
        Those that nobody is at any more; none if all are held for longer than the dead can be.
    """
    until = time.monotonic() + claims.LEASE_S + _LOOK_AGAIN_S
    while held and time.monotonic() < until:
        free = [i for i in held if claims.holder_of(work.claims, tasks[i].subject.name) is None]
        if free:
            return free
        time.sleep(_LOOK_AGAIN_S)
    return []


@contextlib.contextmanager
def _kept(rows: list[Row], output: Path, batch: BatchOptions) -> Iterator[Callable[[Row], None]]:
    """Keeps rows on the disk: in the summary, or, of a shard, in a part of its own.

    Yields:
        What is to be called with each row that is new in ``rows``.
    """
    if batch.shard is not None:
        part = Part(output, batch.shard, len(rows))
        how = STOPPED
        try:
            yield part.add
            how = COMPLETE
        finally:
            part.end(how)
        return
    took_s = _timed(write_summary, output / SUMMARY, rows, batch.task.stamp_in)
    next_s = time.monotonic() + _REST * took_s

    def keep(_: Row) -> None:
        nonlocal next_s
        if time.monotonic() >= next_s:
            took_s = _timed(write_summary, output / SUMMARY, rows)
            next_s = time.monotonic() + _REST * took_s

    try:
        yield keep
    finally:
        write_summary(output / SUMMARY, rows, batch.task.stamp_in)


def _timed(work: Callable[..., object], *arguments: object) -> float:
    """Does something; seconds that it took."""
    began_s = time.monotonic()
    work(*arguments)
    return time.monotonic() - began_s


def known(tasks: Sequence[Task], *, by_content: bool = False) -> Iterator[Row | None]:
    """What ``done_before`` says of each task; several are asked at once, as disks answer slowly."""
    asked = functools.partial(done_before, by_content=by_content)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(asked, tasks)


def tasks_of(subjects: Sequence[Subject], output: Path, batch: BatchOptions) -> list[Task]:
    """What is to be done for each subject.

    Raises:
        ModelError: The model cannot be used.
    """
    model = store.find(batch.model)
    options = batch.options
    if options.threads is None and batch.elsewhere is None:
        share = max(1, processors.available_processors() // batch.jobs)
        options = replace(options, threads=share)
    method = {
        "version": __version__,
        "model": asdict(model.preset),
        # Threads and batch size change no mask.
        "options": asdict(replace(options, threads=None, batch=None)),
    }
    methods = [
        json.dumps({**method, "scans": scans}, sort_keys=True, default=str) for scans in range(3)
    ]
    tasks = []
    for subject in subjects:
        made = batch.task(
            subject,
            output / subject.name,
            str(model.folder),
            options,
            methods[sum(path is not None for path in (subject.flair, subject.t1))],
            batch.picture,
            command=batch.command,
            others=batch.others,
            page=batch.page,
        )
        tasks.append(made)
    return tasks


def _row(task: Task, answer: Row | Held | workers.Crash) -> Row:
    if isinstance(answer, Row):
        return answer
    if isinstance(answer, Held):
        return task.row(error=f"another process is at it: {answer.by}")
    error = "the process that segmented it was killed or crashed"
    if answer.exit_code == 137:
        error += ", perhaps for want of memory"
    return task.row(status=FAILED, exit_code=answer.exit_code, error=f"{error}.")
