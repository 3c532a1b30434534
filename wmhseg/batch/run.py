"""Segments many subjects: resumably, each failure named, none of them stopping the rest.

``OUTPUT/<subject>/`` holds ``result.nii.gz``, ``result.json`` and, written after both,
``done.json``: the fingerprint of what they were made from. A second run skips a subject whose
fingerprint is still the same. ``OUTPUT/summary.tsv`` is brought up to date after every subject.
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from wmhseg import errors, processors
from wmhseg.batch import workers
from wmhseg.datasets.subjects import Subject
from wmhseg.io import files
from wmhseg.io.checksums import fingerprint
from wmhseg.segmentation import pipeline
from wmhseg.segmentation.options import Options
from wmhseg.segmentation.result import Segmentation
from wmhseg.version import __version__
from wmhseg.weights import store

RESULT, REPORT, STAMP, SUMMARY = "result.nii.gz", "result.json", "done.json", "summary.tsv"
DONE, SKIPPED, FAILED, WAITING = "done", "done before", "failed", "not run"
COLUMNS = (
    "subject", "status", "volume_ml", "lesion_count", "seconds", "warnings", "exit_code", "error",
)  # fmt: skip

_MAX_NAME_BYTES = 200

Told = Callable[[int, int, "Row"], None]


@dataclass(frozen=True)
class Settings:
    """How to run a batch.

    Attributes:
        model: Name or folder of a model.
        options: As of one segmentation. Threads None shares the processors among the jobs.
        jobs: Processes at once.
        force: Segment again what is done.
    """

    model: str = store.DEFAULT_MODEL
    options: Options = field(default_factory=Options)
    jobs: int = 1
    force: bool = False


@dataclass(frozen=True)
class Row:
    """What the summary says about one subject.

    Attributes:
        subject: Its name.
        status: "done", "done before", "failed" or "not run".
        volume_ml: Of the mask, None if there is none.
        lesion_count: As above.
        seconds: Wall-clock time, None if nothing was run.
        warnings: Sentences.
        exit_code: What ``wmhseg segment`` would have ended with; None while it has not run.
        error: One line, "" if there was none.
    """

    subject: str
    status: str = WAITING
    volume_ml: float | None = None
    lesion_count: int | None = None
    seconds: float | None = None
    warnings: tuple[str, ...] = ()
    exit_code: int | None = None
    error: str = ""


@dataclass(frozen=True)
class Task:
    """What a process needs to segment one subject.

    Attributes:
        subject: Whom.
        folder: Where to write.
        model: Folder of the model.
        options: How.
        fingerprint: Of inputs, model and options.
        upcoming: The subject that comes next in the same process, None if nobody knows.
    """

    subject: Subject
    folder: Path
    model: str
    options: Options
    fingerprint: str
    upcoming: Subject | None = None


# Which subjects ---------------------------------------------------------------------------------


def check_names(subjects: Sequence[Subject]) -> None:
    """Makes sure that every subject can have a folder of its own.

    Raises:
        NoCasesError: There is no subject.
        UsageError: A name is used twice, or no name of a folder.
    """
    if not subjects:
        raise errors.NoCasesError("At least one subject was expected", received="none")
    for name in (subject.name for subject in subjects):
        plain = name.isprintable() and not set(name) & set('/\\:*?"<>|')
        if not name or not plain or name[0] == "." or len(name.encode()) > _MAX_NAME_BYTES:
            raise errors.UsageError(
                "Subjects with names that a folder can have were expected",
                received=f'"{name}"',
                advice="Use letters, digits, - and _.",
            )
    # Folders that differ in case alone are one on some disks.
    counts = Counter(subject.name.casefold() for subject in subjects)
    twice = sorted({s.name for s in subjects if counts[s.name.casefold()] > 1})
    if twice:
        raise errors.UsageError(
            "Every subject once was expected",
            received=f"more than one called {', '.join(twice[:10])}",
            advice="Give them different names in a table: subject, flair, t1.",
        )


# One subject ------------------------------------------------------------------------------------


class _Reader:
    """Keeps the engine, and reads and prepares the next subject while this one is computed."""

    def __init__(self, model: str, options: Options) -> None:
        self._segmenter = pipeline.Segmenter(model, options)
        self._thread = ThreadPoolExecutor(1)
        self._ahead: tuple[Subject, Future[pipeline.Loaded]] | None = None

    def segment(self, subject: Subject, upcoming: Subject | None) -> Segmentation:
        ahead, self._ahead = self._ahead, None
        loaded = ahead[1].result() if ahead and ahead[0] == subject else self._load(subject)
        del ahead
        if upcoming is not None:
            self._ahead = (upcoming, self._thread.submit(self._load, upcoming))
        return self._segmenter.compute(loaded)

    def _load(self, subject: Subject) -> pipeline.Loaded:
        if subject.flair is None or subject.problem:
            raise errors.MissingFileError("A FLAIR scan was expected", received=subject.problem)
        return self._segmenter.load(subject.flair, subject.t1)


@functools.lru_cache(maxsize=1)
def _reader(model: str, options: Options) -> _Reader:
    return _Reader(model, options)


def segment_one(task: Task) -> Row:
    """Segments one subject in this process; errors become a row.

    Args:
        task: What to do.

    Returns:
        The subject's row.
    """
    name = task.subject.name
    if task.subject.flair is None or task.subject.problem:
        return _failed(name, errors.MissingFileError("A FLAIR scan was expected",
                                                     received=task.subject.problem))  # fmt: skip
    try:
        target = task.folder / RESULT
        inputs = [path for path in (task.subject.flair, task.subject.t1) if path is not None]
        _remove_outdated(task.folder)
        files.check_outputs([target, task.folder / REPORT, task.folder / STAMP], inputs=inputs)
        result = _reader(task.model, task.options).segment(task.subject, task.upcoming)
        result.save(target)
        told = result.report
        row = Row(
            name,
            DONE,
            round(told.lesions.volume_ml, 4),
            told.lesions.count,
            round(sum(told.seconds.values()), 1),
            told.warnings,
            errors.EXIT_OK,
        )
        stamp = {"fingerprint": task.fingerprint, **asdict(row)}
        files.write_text(task.folder / STAMP, json.dumps(stamp, indent=2) + "\n")
    except errors.WmhsegError as error:
        return _failed(name, error)
    except MemoryError:
        return Row(name, FAILED, exit_code=errors.EXIT_INTERNAL, error="no memory was left")
    except Exception as error:  # whatever it is, it is this subject's alone
        line = " ".join(f"internal error: {type(error).__name__}: {error}".split())[:300]
        return Row(name, FAILED, exit_code=errors.EXIT_INTERNAL, error=line)
    return row


def _failed(name: str, error: errors.WmhsegError) -> Row:
    return Row(name, FAILED, exit_code=error.exit_code, error=str(error))


def _remove_outdated(folder: Path) -> None:
    """Removes an earlier result of this program, so that none of other inputs can stay."""
    if (folder / STAMP).is_file():
        for name in (STAMP, RESULT, REPORT):
            with contextlib.suppress(OSError):  # what cannot be removed will not be written either
                (folder / name).unlink()


def _done_before(task: Task) -> Row | None:
    """The row of an earlier run on the same inputs, None if there is none."""
    if not task.fingerprint or not all((task.folder / n).is_file() for n in (RESULT, REPORT)):
        return None
    try:
        stored = json.loads((task.folder / STAMP).read_text("utf-8"))
        if stored.pop("fingerprint") != task.fingerprint:
            return None
        stored["warnings"] = tuple(map(str, stored["warnings"]))
        return replace(Row(**stored), status=SKIPPED)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None  # no stamp, or somebody else's


# All subjects -----------------------------------------------------------------------------------


def run(
    subjects: Sequence[Subject],
    output: Path,
    settings: Settings,
    told: Told | None = None,
    work: Callable[[Any], Row] = segment_one,
) -> list[Row]:
    """Segments all subjects and keeps the summary up to date.

    Args:
        subjects: Whom; see ``check_names``.
        output: Folder of results.
        settings: How.
        told: Called with (done, all, row) after each subject.
        work: What is done with each; a function of a module, for other processes.

    Returns:
        One row a subject, in their order.

    Raises:
        UsageError: Names are not fit, or there is less than one job.
        ModelError: The model cannot be used.
        OutputError: The summary cannot be written.
    """
    check_names(subjects)
    if settings.jobs < 1:
        raise errors.UsageError("One job or more was expected", received=settings.jobs)
    files.check_writable(output)
    tasks = _tasks(subjects, output, settings)
    rows = [(None if settings.force else _done_before(task)) or Row(s.name)
            for task, s in zip(tasks, subjects, strict=True)]  # fmt: skip
    open_ = [index for index, row in enumerate(rows) if row.status == WAITING]
    done = len(rows) - len(open_)
    write_summary(output / SUMMARY, rows)
    work_list = [tasks[index] for index in open_]
    if settings.jobs == 1:  # with more, nobody knows which process takes the next one
        following = [task.subject for task in work_list[1:]]
        work_list = [replace(t, upcoming=s) for t, s in zip_longest(work_list, following)]
    answers = workers.run(work_list, work, settings.jobs)
    try:
        with contextlib.closing(answers):
            for position, answer in answers:
                index = open_[position]
                rows[index] = _row(subjects[index].name, answer)
                done += 1
                write_summary(output / SUMMARY, rows)
                if told is not None:
                    told(done, len(rows), rows[index])
    finally:
        write_summary(output / SUMMARY, rows)
    return rows


def _tasks(subjects: Sequence[Subject], output: Path, settings: Settings) -> list[Task]:
    model = store.find(settings.model)
    options = settings.options
    if options.threads is None:
        share = max(1, processors.available_processors() // settings.jobs)
        options = replace(options, threads=share)
    method = {
        "version": __version__,
        "model": asdict(model.preset),
        # Threads and batch size change no mask.
        "options": asdict(replace(options, threads=None, batch=None)),
    }
    made = []
    for subject in subjects:
        paths = [path for path in (subject.flair, subject.t1) if path is not None]
        salt = json.dumps({**method, "scans": len(paths)}, sort_keys=True, default=str)
        folder = output / subject.name
        stamp = fingerprint(salt, *paths) if paths else ""
        made.append(Task(subject, folder, str(model.folder), options, stamp))
    return made


def _row(name: str, answer: Row | workers.Crash) -> Row:
    if isinstance(answer, Row):
        return answer
    error = "the process that segmented it was killed or crashed"
    if answer.exit_code == 137:
        error += ", perhaps for want of memory"
    return Row(name, FAILED, exit_code=answer.exit_code, error=f"{error}.")


def to_dict(row: Row) -> dict[str, Any]:
    """A row as plain values."""
    return asdict(row)


def write_summary(path: Path, rows: Iterable[Row]) -> None:
    """Writes the table of all subjects, complete or not at all.

    Args:
        path: Tab-separated.
        rows: One a subject.

    Raises:
        OutputError: It cannot be written.
    """
    lines = ["\t".join(COLUMNS)]
    for row in rows:
        values = {**asdict(row), "warnings": " | ".join(row.warnings)}
        cells = ["n/a" if values[c] is None else str(values[c]) for c in COLUMNS]
        lines.append("\t".join(" ".join(cell.split()) for cell in cells))
    files.write_text(path, "\n".join(lines) + "\n")


def check_all_done(rows: Sequence[Row], summary: Path) -> None:
    """Ends with an error if a subject has no result.

    Raises:
        SubjectsFailedError: It counts and names them.
    """
    failed = [row.subject for row in rows if row.status not in (DONE, SKIPPED)]
    if failed:
        more = ", …" if len(failed) > 10 else ""
        raise errors.SubjectsFailedError(
            f"A result for each of {len(rows)} subjects was expected",
            received=f"none for {len(failed)} ({', '.join(failed[:10])}{more})",
            advice=f"{summary} says why. Run again to go on with these.",
        )
