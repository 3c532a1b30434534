"""The two levels of the BIDS App: each scan on its own, and the table of everybody."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wmhseg.batch import run
from wmhseg.batch.run import BatchOptions, OnRow
from wmhseg.batch.summary import SUMMARY, Row, stored_rows
from wmhseg.batch.task import remove_if_empty
from wmhseg.bids_app import citation, description, names, tables
from wmhseg.bids_app.names import LOGS, Places
from wmhseg.bids_app.task import DerivativesTask
from wmhseg.datasets import bids, bids_choice, bids_dataset
from wmhseg.datasets.bids_choice import Selection
from wmhseg.datasets.bids_filters import Filters
from wmhseg.datasets.folders import Warn, left_out, warned
from wmhseg.errors import AnalysisLevelError, NoCasesError, OutputError
from wmhseg.html_report import group as group_page
from wmhseg.html_report import results
from wmhseg.io import files
from wmhseg.reporting import provenance
from wmhseg.segmentation import anatomy
from wmhseg.version import __version__
from wmhseg.weights import store

PARTICIPANT, GROUP = "participant", "group"


@dataclass(frozen=True)
class Request:
    """What is to be done.

    Attributes:
        data: Folder of the data set; nothing is ever written to it, but for its derivatives.
        output: Folder of the derivatives.
        filters: Who and what is asked for.
        any_session: Take T1w scans of other sessions where one's own has none.
    """

    data: Path
    output: Path
    filters: Filters = field(default_factory=Filters)
    any_session: bool = False


def check_level(level: str) -> None:
    """Makes sure that a level of analysis is one of the two.

    Raises:
        AnalysisLevelError: It is another.
    """
    if level not in (PARTICIPANT, GROUP):
        raise AnalysisLevelError(
            f"The level of analysis, {PARTICIPANT} or {GROUP}, was expected", received=level
        )


def select(request: Request, warn: Warn = warned) -> Selection:
    """Chooses the scans, and says what is left out.

    Args:
        request: Nothing is written to its output.
        warn: Is given a sentence about what is left out.

    Raises:
        InputError: The data set or its scans are missing, or it cannot be read.
        BidsError: It is no data set of BIDS, or nothing in it is asked for.
    """
    bids_dataset.check_data_set(request.data)
    people = bids_dataset.find_people(request.data, warn)
    selection = bids_choice.select(people, request.filters, any_session=request.any_session)
    for what, found in (
        ("Participants and sessions without a FLAIR scan", selection.without),
        (
            "T1w scans of other sessions (use them with --t1-from-any-session) for scans whose "
            "session has none",
            selection.elsewhere,
        ),
    ):
        if found:
            warn(left_out(what, [Path(name) for name in found]))
    return selection


def participants(
    request: Request, batch: BatchOptions, on_row: OnRow | None = None, warn: Warn = warned
) -> list[Row]:
    """Segments the scans of a data set, resumably, and writes their derivatives.

    Args:
        request: Which, and where to.
        batch: How; ``task`` is set here.
        on_row: Called after each scan.
        warn: As of ``select``.

    Returns:
        One row a scan.

    Raises:
        WmhsegError: As of ``select`` and of ``batch.run.run``, or the output is not fit to be
            written to. Nothing is written then.
    """
    source = bids_dataset.check_data_set(request.data)
    description.check_output(request.data, request.output)
    subjects = select(request, warn).subjects
    batch = replace(batch, task=DerivativesTask, measures=True)
    run.check(subjects, batch)
    preset = store.find(batch.model).preset
    anatomist = anatomy.installed()
    cited = citation.made(preset, batch.options, None if anatomist is None else anatomist.preset)
    description.write(request.data, request.output, source, cited.references, batch.others)
    logs = request.output / LOGS
    files.check_writable(logs)
    files.write_text(logs / "CITATION.md", cited.markdown())
    log = _Log(logs, batch)

    def told(done: int, total: int, row: Row) -> None:
        log.add(row)
        _finish(request.output, [row.subject])
        if on_row is not None:
            on_row(done, total, row)

    def close() -> None:
        _finish(request.output, [subject.name for subject in subjects])
        log.write()

    try:
        rows = run.run(subjects, logs, batch, told)
    except BaseException:
        with contextlib.suppress(OutputError):  # what ended the run is what is to be told
            close()
        raise
    close()
    return rows


def _finish(output: Path, scans: Iterable[str]) -> None:
    """Brings the tables of sessions up to date, and removes folders in which nothing is left."""
    sessions = {(p := Places(output, scan)).session_folder: p for scan in scans}
    for folder, places in sessions.items():
        tables.write_scans(places)
        for place in (folder, folder.parent):
            if place != output:
                remove_if_empty(place)


def group(request: Request, warn: Warn = warned, *, page: bool = False) -> list[dict[str, Any]]:
    """Writes the table of everybody: a row a scan, of those too that have no result.

    Args:
        request: Filters choose rows.
        warn: As of ``select``.
        page: Write a page about it as well.

    Returns:
        The rows.

    Raises:
        WmhsegError: As of ``select``; NoCasesError if there is no result.
    """
    description.check_output(request.data, request.output)
    subjects = select(request, warn).subjects
    if not any(names.results_below(request.output)):
        raise NoCasesError(
            f"Results of the level {PARTICIPANT} were expected in {request.output}",
            received="none",
            advice=f"Run the level {PARTICIPANT} first, with the same folders.",
        )
    stored = stored_rows(request.output / LOGS / SUMMARY)
    known = {row.subject: row for row in stored if bids.parse(f"{row.subject}_FLAIR")}
    rows = {s.name: known.get(s.name, Row(s.name)) for s in subjects}
    only = set(rows) if request.filters.any else None
    if only is None:
        rows = known | rows
    table = tables.write_group(request.output, list(rows.values()), only)
    if page:
        found = results.read(request.output)
        group_page.write(request.output / names.GROUP_PAGE, found, request.data.resolve().name)
    return table


class _Log:
    """What a run did, in a text file of its own."""

    def __init__(self, folder: Path, batch: BatchOptions) -> None:
        began = datetime.now(UTC)
        # Jobs of an array may begin in one second.
        self._path = folder / f"{began:%Y%m%dT%H%M%S.%fZ}_{PARTICIPANT}.log"
        self._lines = [
            f"wmhseg {__version__}, model {batch.model}, {began.isoformat(timespec='seconds')}",
            f"container: {provenance.container_name() or 'none'}",
            f"command: {batch.command or 'none, called from Python'}",
        ]

    def add(self, row: Row) -> None:
        """Takes what became of a scan."""
        found = f"{row.volume_ml} ml, {row.lesion_count} lesions, from {row.scans}, {row.seconds} s"
        self._lines.append(f"{row.subject}: {row.status}: {row.error or found}")
        self._lines += [f"{row.subject}: warning: {warning}" for warning in row.warnings]

    def write(self) -> None:
        """Writes it."""
        ended = datetime.now(UTC).isoformat(timespec="seconds")
        files.write_text(self._path, "\n".join([*self._lines, f"ended: {ended}"]) + "\n")


def failures(rows: Sequence[Row]) -> list[int]:
    """What the scans that have no result would have ended ``wmhseg segment`` with."""
    return [row.exit_code for row in rows if row.exit_code]
