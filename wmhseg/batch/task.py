"""One subject: segmented in this process, or found to be done."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from wmhseg import errors
from wmhseg.batch import answers
from wmhseg.batch.claims import LostError
from wmhseg.batch.summary import (
    DONE,
    FAILED,
    LOOK,
    METHOD,
    SKIPPED,
    Other,
    Row,
    mask_in,
    row_of,
    stamp_in,
)
from wmhseg.datasets.subjects import Subject
from wmhseg.io import files, looks, stamps
from wmhseg.io.looks import Look
from wmhseg.io.stamps import Stamp
from wmhseg.reporting import earlier
from wmhseg.reporting.report import Report, path_beside
from wmhseg.segmentation import pipeline
from wmhseg.segmentation.loading import Loaded
from wmhseg.segmentation.options import Options
from wmhseg.segmentation.result import Segmentation
from wmhseg.weights.methods import method_name

PAGE = "report.html"
PICTURES = ("overlay.png", "overlay.pdf")


def _nobody_else() -> None:
    """Where nobody else can be at a subject."""


@dataclass(frozen=True)
class Task:
    """What a process needs to segment one subject.

    Attributes:
        subject: Whom.
        folder: Where to write.
        model: Folder of the model.
        options: How.
        method: Version, model and options, in words; whatever decides the outcome but the scans.
        picture: File name of the picture to write as well, one of ``PICTURES``; "" for none.
        upcoming: The subject that comes next in the same process, None if nobody knows.
        command: The command line, for the report; None where it was called from Python.
        others: Labels besides WMH whose masks are to be written as well.
        page: Whether a page about the result is to be written as well.
        measures: Whether its measures are.
        sure: Called just before results appear; raises ``claims.LostError`` if the subject is
            another process's by now.
    """

    subject: Subject
    folder: Path
    model: str
    options: Options
    method: str
    picture: str = ""
    upcoming: Subject | None = None
    command: str | None = None
    others: tuple[str, ...] = ()
    page: bool = False
    measures: bool = False
    sure: Callable[[], None] = field(default=_nobody_else, compare=False)

    def row(self, **known: Any) -> Row:
        """The subject's row.

        Args:
            **known: Fields of ``Row`` besides the subject and its scans.
        """
        flair, t1 = (str(path or "") for path in (self.subject.flair, self.subject.t1))
        return Row(self.subject.name, flair=flair, t1=t1, **known)

    @property
    def scans(self) -> list[Path]:
        """The files that the result is made from."""
        return [path for path in (self.subject.flair, self.subject.t1) if path is not None]

    @property
    def fingerprint(self) -> str:
        """Of the scans, which are read for it, and the method; "" if they cannot be read."""
        return stamps.fingerprint(self.method, *self.scans) if self.scans else ""

    @property
    def method_mark(self) -> str:
        """Checksum of the method."""
        return stamps.combined(self.method)

    @property
    def mask(self) -> Path:
        """The mask to write."""
        return mask_in(self.folder)

    @property
    def stamp(self) -> Stamp:
        """What says that all is complete, and what it was made from."""
        stamp = stamp_in(self.folder)
        drawn = () if self.overlay is None else (self.overlay,)
        pages = (self.folder / PAGE,) if self.page else ()
        measured = answers.files_in(self.folder, structures=self.options.anatomy)
        more = (*drawn, *pages, *self.other_masks.values(), *(measured if self.measures else ()))
        return replace(stamp, outputs=(*stamp.outputs, *more))

    @property
    def other_masks(self) -> dict[str, Path]:
        """Label besides WMH -> its mask to write."""
        return {label: self.folder / f"{label}.nii.gz" for label in self.others}

    @property
    def overlay(self) -> Path | None:
        """The picture to write, if any."""
        return self.folder / self.picture if self.picture else None

    @staticmethod
    def stamp_in(folder: Path) -> Stamp:
        """The stamp in the folder of a subject, whatever was written besides mask and report.

        Args:
            folder: As ``folder`` of the subject's task.
        """
        return stamp_in(folder)

    def save(self, segmentation: Segmentation) -> tuple[Report, dict[str, float]]:
        """Writes a result, all but the stamp.

        Returns:
            The report as it was written, and the main figures of the measures.
        """
        if not (self.page or self.measures):
            segmentation.save(self.mask, overlay=self.overlay, others=self.other_masks)
            return segmentation.report, {}
        page, name = self.folder / PAGE if self.page else None, self.subject.name
        made = answers.answered(segmentation, self.mask, page, name)
        with files.together():
            if page is not None:
                made.save_page(page)
            if self.measures:
                made.save(self.folder)
            made.result.save(self.mask, overlay=self.overlay, others=self.other_masks)
        return made.result.report, made.main() if self.measures else {}

    def tidy(self) -> None:
        """Leaves no folder of a subject that has no result."""
        remove_if_empty(self.folder)

    def clear(self) -> None:
        """Removes an outdated result with all that was written with it."""
        replace(self.stamp, outputs=(*self.stamp.outputs, *self.left_over())).clear()

    def left_over(self) -> list[Path]:
        """Whatever pictures and masks of other labels there may be of an outdated result."""
        named = earlier.left_behind(path_beside(self.mask), {}, self.scans)
        measured = answers.left_over(self.folder, self.scans)
        return [*(self.folder / name for name in PICTURES), *named, *measured]


def done_before(task: Task, *, by_content: bool = True) -> Row | None:
    """The row of an earlier run on the same inputs, None if there is none.

    Args:
        task: What would be done.
        by_content: Read scans whose sizes and times do not show that they are the same; otherwise
            only what is sure without reading counts.
    """
    content = task.stamp.content()
    if content is None or not _same(task, content, by_content=by_content):
        return None
    row, now = row_of(content), task.row()
    return None if row is None else replace(row, status=SKIPPED, flair=now.flair, t1=now.t1)


def of_method(task: Task, content: dict[str, Any]) -> bool:
    """Whether a stamp may be of the task's method; older versions did not write which it was."""
    return content.get(METHOD) in (None, task.method_mark)


def _same(task: Task, content: dict[str, Any], *, by_content: bool) -> bool:
    """Whether a stamp says what it would say now."""
    if not of_method(task, content):
        return False
    if METHOD in content and looks.unchanged(content.get(LOOK), looks.look(task.scans)):
        return True
    return by_content and stamps.same(content.get("fingerprint"), task.fingerprint)


def renew(task: Task) -> None:
    """Notes what the file system says of scans that were read and found to be the same.

    So that they need not be read the next time. Where it cannot be written they will be.
    """
    content = task.stamp.content()
    seen = {METHOD: task.method_mark, LOOK: looks.look(task.scans)}
    if content is not None and any(content.get(k) != v for k, v in seen.items()):
        with contextlib.suppress(errors.OutputError):
            task.stamp.write(str(content.pop("fingerprint", "")), content | seen)


def segment_one(task: Task) -> Row:
    """Segments one subject in this process; errors become a row.

    Args:
        task: What to do.

    Returns:
        The subject's row.
    """
    with warnings.catch_warnings():
        # The row holds them, and whoever runs the batch tells.
        warnings.simplefilter("ignore", errors.WmhsegWarning)
        row = _segmented(task)
    if row.status == FAILED:
        task.tidy()
    return row


def remove_if_empty(folder: Path) -> None:
    """Removes a folder that holds nothing."""
    with contextlib.suppress(OSError):  # it holds something, or was never made
        folder.rmdir()


def _segmented(task: Task) -> Row:
    subject = task.subject
    try:
        _check_flair(subject)
        task.clear()
        files.check_outputs([*task.stamp.outputs, task.stamp.path], inputs=task.scans)
        segmenter = _kept_segmenter(task.model, task.options)
        segmentation = segmenter.segment(subject, task.upcoming)
        report = segmentation.report
        report = replace(report, warnings=(*subject.notes, *report.warnings))
        if task.command is not None:
            report = report.with_command(task.command)
        segmentation = replace(segmentation, report=report)
        with files.together():
            report, figures = task.save(segmentation)
            task.sure()
        row = replace(_done(task, report), measures=figures)
        facts = asdict(row) | report.provenance.to_dict()
        facts |= {METHOD: task.method_mark, LOOK: segmenter.seen}
        # Of what was read: the files may have been changed since.
        contents = [scan.sha256 or "" for scan in report.provenance.scans.values()]
        task.stamp.write(stamps.combined(task.method, *contents), facts)
    except errors.WmhsegError as error:
        return task.row(status=FAILED, exit_code=error.exit_code, error=str(error))
    except LostError:
        raise
    except MemoryError:
        return _failed_inside(task, "no memory was left")
    except Exception as error:  # whatever it is, it is this subject's alone
        line = " ".join(f"internal error: {type(error).__name__}: {error}".split())[:300]
        return _failed_inside(task, line)
    return row


def _done(task: Task, report: Report) -> Row:
    return task.row(
        status=DONE,
        volume_ml=round(report.lesions.volume_ml, 4),
        lesion_count=report.lesions.count,
        seconds=round(sum(report.seconds.values()), 1),
        warnings=report.warnings,
        exit_code=errors.EXIT_OK,
        scans="FLAIR and T1" if report.t1_used else "FLAIR",
        model=report.model.name,
        preset=method_name(report.model),
        threshold=str(report.model.postprocessing.threshold),
        reader=report.reader,
        others={
            label: Other(round(found.volume_ml, 4), found.count)
            for label, found in report.others.items()
        },
    )


def _failed_inside(task: Task, line: str) -> Row:
    return task.row(status=FAILED, exit_code=errors.EXIT_INTERNAL, error=line)


def _check_flair(subject: Subject) -> Path:
    if subject.flair is None or subject.problem:
        raise errors.MissingFileError("A FLAIR scan was expected", received=subject.problem)
    return subject.flair


class SegmenterAhead:
    """Keeps the engine, and reads and prepares the next subject while this one is computed."""

    def __init__(self, model: str, options: Options) -> None:
        """Finds the model.

        Raises:
            ModelError: If it cannot be used.
        """
        self._segmenter = pipeline.Segmenter(model, options)
        self._thread = ThreadPoolExecutor(1)
        self._ahead: tuple[Subject, Future[tuple[Look | None, Loaded]]] | None = None
        self.seen: Look | None = None
        """What the file system said of the latest subject's scans just before they were read."""

    def segment(self, subject: Subject, upcoming: Subject | None) -> Segmentation:
        """Segments a subject.

        Args:
            subject: Whom. If it was announced as upcoming, it has been read by now.
            upcoming: Whom to read meanwhile, None for nobody.

        Raises:
            WmhsegError: If this subject cannot be segmented.
        """
        ahead, self._ahead = self._ahead, None
        known = ahead is not None and ahead[0] == subject
        self.seen, loaded = ahead[1].result() if ahead and known else self._load(subject)
        del ahead
        if upcoming is not None:
            self._ahead = (upcoming, self._thread.submit(self._load, upcoming))
        return self._segmenter.compute(loaded)

    def _load(self, subject: Subject) -> tuple[Look | None, Loaded]:
        flair = _check_flair(subject)
        seen = looks.look([flair] if subject.t1 is None else [flair, subject.t1])
        return seen, self._segmenter.load(flair, subject.t1)


@functools.lru_cache(maxsize=1)
def _kept_segmenter(model: str, options: Options) -> SegmenterAhead:
    """The one of this process, from task to task."""
    return SegmenterAhead(model, options)
