"""Scores pairs of reference and result: in parallel, resumably, each failure named.

The table of scores (CSV or TSV) is both the result and the memory: a case is scored again only if
its reference, its result, this program's version or the organisers' script beside it has changed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
import warnings
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from wmhseg import geometry, processors
from wmhseg.datasets.cases import Case, Problem, ProblemKind
from wmhseg.datasets.results import OTHERS, Pair
from wmhseg.errors import (
    CasesFailedError,
    GridMismatchError,
    InputError,
    MissingFileError,
    ScoringFailedError,
    TableError,
    UsageError,
)
from wmhseg.geometry import Grid
from wmhseg.io import checksums, images, stamps
from wmhseg.io.progress import Progress
from wmhseg.preparation import sizes
from wmhseg.scoring import metrics, official
from wmhseg.scoring.masks import MaskWarning, of_label
from wmhseg.scoring.table import VALUES, Score, read_table, write_table
from wmhseg.version import __version__

_SAVE_EVERY_S = 2.0


@dataclass(frozen=True)
class Scoring:
    """How to score.

    Attributes:
        jobs: Processes at once; None for one a processor.
        force: Score again what the table holds already.
        script: The organisers' evaluation.py to run beside ours, None for ours alone.
    """

    jobs: int | None = None
    force: bool = False
    script: Path | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: There is less than one job.
            MissingFileError: The script is not there.
        """
        if self.jobs is not None and self.jobs < 1:
            raise UsageError("One process or more was expected", received=f"{self.jobs} jobs")
        if self.script is not None and not self.script.is_file():
            raise MissingFileError(
                "The organisers' evaluation.py was expected",
                received=f"no file {self.script}",
                advice="It is in their repository hjkuijf/wmhchallenge on GitHub.",
            )


def score_pairs(
    pairs: Sequence[Pair], table: Path, scoring: Scoring, progress: Progress | None = None
) -> list[Score]:
    """Score every pair, and keep the table of scores up to date on the way.

    Args:
        pairs: What to score. Pairs with a problem come back with it.
        table: The table, .csv or .tsv; what it holds already is used unless inputs have changed.
        scoring: How to score.
        progress: Called with (done, total).

    Returns:
        One score a pair, in their order.

    Raises:
        OfficialDifferenceError: The organisers' script found other numbers for a case. The table
            then holds what was scored until there.
        OfficialScriptError: It does not run.
        TableError: The table that is there is something else.
        OutputError: The table cannot be written.
    """
    earlier = _earlier(table, scoring)
    salt = _salt(scoring)
    scores: list[Score | None] = []
    tasks = []
    for index, pair in enumerate(pairs):
        fingerprint = stamps.fingerprint(
            salt, pair.case.reference, pair.result, *pair.others.values()
        )
        known = earlier.get(pair.case.name)
        if pair.problem is not None:
            scores.append(_score_of(pair.case, problem=pair.problem))
        elif known is not None and stamps.same(known.fingerprint, fingerprint):
            scores.append(_moved(known, pair.case))
        else:
            scores.append(None)
            tasks.append((index, _ScoringTask(pair, fingerprint, scoring.script)))
    done, saved_at = len(pairs) - len(tasks), time.monotonic()
    try:
        with contextlib.closing(_results(tasks, scoring)) as results:
            for index, score in results:
                if score.official is not None:
                    official.check(score.case, score.values, score.official, " ".join(score.notes))
                scores[index] = score
                done += 1
                if progress is not None:
                    progress(done, len(pairs))
                if time.monotonic() - saved_at > _SAVE_EVERY_S:
                    write_table(table, [s for s in scores if s is not None])
                    saved_at = time.monotonic()
    finally:
        # Whatever happened, the next run goes on from here.
        write_table(table, [s for s in scores if s is not None])
    return [score for score in scores if score is not None]


def check_all_scored(scores: Sequence[Score], where: str) -> None:
    """End with an error if anything was wrong with a case.

    Args:
        scores: All scores.
        where: What to read, for the message.

    Raises:
        CasesFailedError: It counts and names the cases.
    """
    failed = [(s.problem.kind, s.case) for s in scores if s.problem is not None]
    if not failed:
        return
    counts = Counter(kind for kind, _ in failed)
    parts = [
        f"{count} x {kind} ({', '.join(case for k, case in failed if k == kind)})"
        for kind, count in counts.items()
    ]
    scored = sum(score.scored for score in scores)
    raise CasesFailedError(
        f"{len(scores)} cases without a problem were expected",
        received=", ".join(parts),
        advice=f"{scored} of {len(scores)} cases were scored. See {where}.",
    )


# Resuming -----------------------------------------------------------------------------------------


def _earlier(table: Path, scoring: Scoring) -> dict[str, Score]:
    """What an earlier run has scored, by case."""
    if scoring.force or not table.exists():
        return {}
    try:
        scores = read_table(table)
    except TableError as error:
        raise TableError(
            f"A table of this program, or none, was expected at {table}",
            received=error.received,
            advice="Choose another --output, or replace it with --force.",
        ) from None
    return {score.case: score for score in scores if score.scored}


def _salt(scoring: Scoring) -> str:
    script = scoring.script
    return f"{__version__} {checksums.sha256_of(script) if script else ''}"


def _moved(score: Score, case: Case) -> Score:
    """An earlier score of the same files, under what is known about the case today."""
    return _score_of(
        case,
        values=score.values,
        problem=score.problem,
        notes=score.notes,
        official=score.official,
        fingerprint=score.fingerprint,
        others=score.others,
    )


# One case -----------------------------------------------------------------------------------------


def score_masks(
    reference: Path,
    result: Path,
    *,
    flair: Path | None = None,
    as_arrays: bool = False,
    label: int = 1,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Score one result.

    Args:
        reference: Mask of labels 0, 1 (WMH) and 2 (other pathology, left out of WMH), NIfTI.
        result: Mask or probability map whose voxels lie where the reference's do, in any order of
            axes, NIfTI.
        flair: The scan of both, which tells the one of two that lies elsewhere; None if unknown.
        as_arrays: Whether voxels are paired as they are stored, wherever they lie, as the
            challenge's organisers do.
        label: The reference's label that the result is to find. Only of WMH is another left out.

    Returns:
        The metrics by name (``VALUES``), and notes on unusual values and geometry.

    Raises:
        GridMismatchError: The sizes differ, or the places in space.
        UnsuitableScanError: Voxels have a size that no scan's have.
        InputError: A file cannot be read.
    """
    labels, grid = images.read_labels(reference)
    mask, own_grid = images.read_labels(result)
    if not as_arrays:
        sizes.check_voxel(grid, "reference")
        sizes.check_voxel(own_grid, "result")
    difference = grid.difference(own_grid)
    geometry_notes: tuple[str, ...] = ()
    turn = None if as_arrays else geometry.turn_between(own_grid, grid)
    if turn is not None:
        mask = turn.forward(mask)
        if difference:
            geometry_notes = (
                f"Reference and result are stored in two orders of axes ({grid.orientation} and "
                f"{own_grid.orientation}): the result was turned to the reference's.",
            )
    elif difference:
        where = _culprit(grid, own_grid, flair)
        if not as_arrays or grid.shape != own_grid.shape:
            raise GridMismatchError(
                "Reference and result in the same place, voxel by voxel, were expected",
                received=f"{difference}; {where}",
                advice="Bring both onto the grid of the FLAIR image first.",
            )
        geometry_notes = (
            f"By their headers reference and result lie apart ({difference}); {where}. Voxels were "
            "compared in the order in which they are stored, as the organisers do.",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MaskWarning)  # they are in the notes
        target = labels if label == 1 else of_label(labels, label)
        values = metrics.evaluate(target, mask, grid.spacing_mm)
    return {name: float(getattr(values, name)) for name in VALUES}, values.notes + geometry_notes


def score_others(
    reference: Path,
    others: Mapping[str, Path],
    *,
    flair: Path | None = None,
    as_arrays: bool = False,
) -> tuple[dict[str, dict[str, float]], tuple[str, ...]]:
    """Score the masks of labels besides WMH; what keeps one from that is a note.

    Args:
        reference: See ``score_masks``.
        others: Label of ``results.OTHERS`` -> the result's mask of it.
        flair: See ``score_masks``.
        as_arrays: See ``score_masks``.

    Returns:
        Label -> metrics by name, of those that the reference has; and notes.
    """
    figures, told = {}, []
    for name, path in others.items():
        label = OTHERS[name]
        try:
            values, notes = score_masks(
                reference, path, flair=flair, as_arrays=as_arrays, label=label
            )
        except InputError as error:
            told.append(f"{name} was not scored: {error}")
            continue
        if values["reference_lesions"]:
            figures[name] = values
            told += [f"{name}: {note}" for note in notes]
        else:
            told.append(
                f"The result marks {values['result_ml']:.2f} ml of {name}, and the reference has "
                f"no voxel of label {label}: there is no figure for it."
            )
    return figures, tuple(told)


def _culprit(reference: Grid, result: Grid, flair: Path | None) -> str:
    """Says which of two masks that lie apart is not on their scan, as far as it can be known."""
    scan = None
    if flair is not None:
        with contextlib.suppress(InputError):
            scan = images.read_grid(flair)
    if scan is None:
        return "which of them lies right cannot be known without the scan"
    on_scan = [geometry.turn_between(grid, scan) is not None for grid in (reference, result)]
    if on_scan == [True, False]:
        return "the result does not lie on the FLAIR image, the reference does"
    if on_scan == [False, True]:
        return "the reference does not lie on the FLAIR image, the result does"
    return "neither lies on the FLAIR image"


def _score_of(case: Case, **known: object) -> Score:
    return Score(case.name, case.split, case.site, case.scanner, **known)  # type: ignore[arg-type]


@dataclass(frozen=True)
class _ScoringTask:
    """What a process needs to score one pair."""

    pair: Pair
    fingerprint: str
    script: Path | None


def _score(task: _ScoringTask) -> Score:
    case, result = task.pair.case, task.pair.result
    if case.reference is None or result is None:
        raise UsageError("A pair of reference and result was expected", received=case.name)
    as_arrays = case.in_challenge_layout or task.script is not None
    try:
        values, notes = score_masks(case.reference, result, flair=case.flair, as_arrays=as_arrays)
    except GridMismatchError as error:
        kind = ProblemKind.SIZES if error.received.startswith("sizes") else ProblemKind.PLACES
        return _score_of(case, problem=Problem(kind, str(error)))
    except InputError as error:
        return _score_of(case, problem=Problem(ProblemKind.UNREADABLE, str(error)))
    others, more = score_others(
        case.reference, task.pair.others, flair=case.flair, as_arrays=as_arrays
    )
    empty = values["reference_lesions"] == 0
    return _score_of(
        case,
        values=values,
        problem=Problem(ProblemKind.EMPTY_REFERENCE, "no voxel of label 1") if empty else None,
        notes=notes + more,
        official=official.run(task.script, case.reference, result) if task.script else None,
        fingerprint=task.fingerprint,
        others=others,
    )


def _results(
    tasks: Sequence[tuple[int, _ScoringTask]], scoring: Scoring
) -> Generator[tuple[int, Score], None, None]:
    """Yields index and score of each task as it is finished, in any order."""
    jobs = min(scoring.jobs or processors.available_processors(), len(tasks))
    if jobs <= 1:
        yield from ((index, _score(task)) for index, task in tasks)
        return
    # Not forked: an engine's threads may be running in this process.
    pool = ProcessPoolExecutor(
        jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_ignore_interrupts
    )
    try:
        futures: dict[Future[Score], int] = {pool.submit(_score, t): i for i, t in tasks}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool:
        raise ScoringFailedError(
            "Scoring processes that live until their work is done were expected",
            received="one that was killed, perhaps for want of memory",
            advice="Run again with --jobs 1: it goes on where this stopped.",
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _ignore_interrupts() -> None:
    """Leaves Ctrl-C to the process that waits for this one."""
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
