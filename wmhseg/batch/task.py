"""One subject: segmented in this process, or found to be done."""

from __future__ import annotations

import contextlib
import functools
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from wmhseg import errors
from wmhseg.batch.summary import DONE, FAILED, SKIPPED, Row, mask_in, row_of, stamp_in
from wmhseg.datasets.subjects import Subject
from wmhseg.io import files
from wmhseg.io.stamps import Stamp
from wmhseg.segmentation import pipeline
from wmhseg.segmentation.options import Options
from wmhseg.segmentation.result import Segmentation


@dataclass(frozen=True)
class Task:
    """What a process needs to segment one subject.

    Attributes:
        subject: Whom.
        folder: Where to write.
        model: Folder of the model.
        options: How.
        fingerprint: Of inputs, model and options; "" if they cannot be read.
        upcoming: The subject that comes next in the same process, None if nobody knows.
    """

    subject: Subject
    folder: Path
    model: str
    options: Options
    fingerprint: str
    upcoming: Subject | None = None

    @property
    def mask(self) -> Path:
        """The mask to write."""
        return mask_in(self.folder)

    @property
    def stamp(self) -> Stamp:
        """What says that mask and report are complete, and what they were made from."""
        return stamp_in(self.folder)


def done_before(task: Task) -> Row | None:
    """The row of an earlier run on the same inputs, None if there is none."""
    row = row_of(task.stamp.read(task.fingerprint))
    return None if row is None else replace(row, status=SKIPPED)


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
        remove_if_empty(task.folder)
    return row


def remove_if_empty(folder: Path) -> None:
    """Leaves no folder of a subject that has no result."""
    with contextlib.suppress(OSError):  # it holds something, or was never made
        folder.rmdir()


def _segmented(task: Task) -> Row:
    subject = task.subject
    try:
        inputs = [path for path in (subject.flair, subject.t1) if path is not None]
        _check_flair(subject)
        task.stamp.clear()
        files.check_outputs([*task.stamp.outputs, task.stamp.path], inputs=inputs)
        segmentation = _kept_segmenter(task.model, task.options).segment(subject, task.upcoming)
        segmentation.save(task.mask)
        report = segmentation.report
        row = Row(
            subject.name,
            DONE,
            round(report.lesions.volume_ml, 4),
            report.lesions.count,
            round(sum(report.seconds.values()), 1),
            report.warnings,
            errors.EXIT_OK,
            scans="FLAIR and T1" if report.t1_used else "FLAIR",
        )
        task.stamp.write(task.fingerprint, asdict(row))
    except errors.WmhsegError as error:
        return Row(subject.name, FAILED, exit_code=error.exit_code, error=str(error))
    except MemoryError:
        return _failed_inside(subject, "no memory was left")
    except Exception as error:  # whatever it is, it is this subject's alone
        line = " ".join(f"internal error: {type(error).__name__}: {error}".split())[:300]
        return _failed_inside(subject, line)
    return row


def _failed_inside(subject: Subject, line: str) -> Row:
    return Row(subject.name, FAILED, exit_code=errors.EXIT_INTERNAL, error=line)


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
        self._ahead: tuple[Subject, Future[pipeline.Loaded]] | None = None

    def segment(self, subject: Subject, upcoming: Subject | None) -> Segmentation:
        """Segments a subject.

        Args:
            subject: Whom. If it was announced as upcoming, it has been read by now.
            upcoming: Whom to read meanwhile, None for nobody.

        Raises:
            WmhsegError: If this subject cannot be segmented.
        """
        ahead, self._ahead = self._ahead, None
        loaded = ahead[1].result() if ahead and ahead[0] == subject else self._load(subject)
        del ahead
        if upcoming is not None:
            self._ahead = (upcoming, self._thread.submit(self._load, upcoming))
        return self._segmenter.compute(loaded)

    def _load(self, subject: Subject) -> pipeline.Loaded:
        return self._segmenter.load(_check_flair(subject), subject.t1)


@functools.lru_cache(maxsize=1)
def _kept_segmenter(model: str, options: Options) -> SegmenterAhead:
    """The one of this process, from task to task."""
    return SegmenterAhead(model, options)
