"""The command that segments many subjects: batch."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from wmhseg import errors
from wmhseg.cli.console import Console, console_of, print_json
from wmhseg.cli.found import ABOUT, print_found
from wmhseg.cli.options import (
    add_picture,
    add_running,
    add_stroke,
    command_line,
    model_of,
    options_of,
    picture_of,
)
from wmhseg.cli.parser import examples, whole
from wmhseg.io.progress import Bar

if TYPE_CHECKING:
    from wmhseg.batch.run import BatchOptions, Elsewhere, OnRow
    from wmhseg.batch.shards import Shard
    from wmhseg.batch.summary import Row
    from wmhseg.datasets.subjects import Subject

_MOST_NAMES = 10


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_batch)
    examples(
        parser,
        "batch study --output results --dry-run",
        "batch study --output results",
        "batch subjects.csv --output results --jobs 2 --threshold 0.6",
        "batch subjects.tsv --output results --shard 3/8",
        "batch subjects.tsv --output results --collect",
    )
    parser.add_argument(
        "subjects",
        metavar="TABLE|DIR",
        help="a table with the columns subject, flair and t1; or a folder of scans",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        help="folder to write to: summary.tsv, and a folder for each subject",
    )
    parser.add_argument(
        "--jobs",
        type=whole,
        default=1,
        metavar="N",
        help="subjects at once; each needs its own memory (default: 1)",
    )
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="work on the workers of a Dask cluster, in place of processes here: tcp://… of its "
        "scheduler, or its file; slurm: of --jobs jobs of SLURM that it starts (docs/slurm.md)",
    )
    parser.add_argument(
        "--shard",
        metavar="I/N",
        help="take one of N parts of the subjects, for many machines (docs/scale.md); slurm/N or "
        "slurm: I is the number of the task of a job array of SLURM",
    )
    parser.add_argument(
        "--collect",
        action="store_true",
        help="segment nothing: make summary.tsv of what shards have written, and name what is "
        "missing",
    )
    parser.add_argument("--force", action="store_true", help="segment again what is done")
    parser.add_argument("--dry-run", action="store_true", help=ABOUT)
    add_results(parser)
    add_running(parser, many=True)


def add_results(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say what is written about each subject.

    Args:
        parser: The command's.
    """
    add_picture(parser, "overlay.png in each subject's folder")
    parser.add_argument(
        "--report",
        action="store_true",
        help="a page about the result, report.html in each subject's folder (docs/report.md)",
    )
    parser.add_argument(
        "--measures",
        action="store_true",
        help="the measures of the result in each subject's folder (docs/measures.md), and the main "
        "ones in the summary",
    )
    add_stroke(parser, "stroke.nii.gz in each subject's folder")


def _batch(arguments: argparse.Namespace) -> int:
    from wmhseg.batch import run, shards
    from wmhseg.datasets.subjects import find_subjects, read_subjects, why_not

    console = console_of(arguments)
    source = Path(arguments.subjects)
    if not (arguments.output or arguments.dry_run):
        raise errors.UsageError("A folder for the results was expected", advice="Add --output DIR.")
    shard = _shard_of(arguments)
    subjects = find_subjects(source, console.warn) if source.is_dir() else read_subjects(source)
    if arguments.dry_run:
        run.check_names(subjects)
        subjects = subjects if shard is None else shards.deal(subjects, shard)
        found = [
            {"subject": s.name, "flair": s.flair, "t1": s.t1, "why_not": why_not(s)}
            for s in subjects
        ]
        print_found(found, as_json=arguments.json)
        return errors.EXIT_OK
    settings = run.BatchOptions(
        model_of(arguments),
        options_of(arguments),
        arguments.jobs,
        arguments.force,
        command_line(arguments),
        picture_of(arguments),
        ("stroke",) if arguments.stroke else (),
        page=arguments.report,
        measures=arguments.measures,
        shard=shard,
        elsewhere=_elsewhere(arguments),
    )
    output = Path(arguments.output)
    rows = (_collected if arguments.collect else _run)(subjects, output, settings, console)
    _tell(rows, output, settings, console, as_json=arguments.json)
    return errors.EXIT_OK


def _elsewhere(arguments: argparse.Namespace) -> Elsewhere | None:
    """What runs the work in place of processes of this machine, None for these."""
    if arguments.dask is None:
        return None
    from wmhseg.clusters.dask_workers import SLURM, Cluster

    if arguments.jobs != 1 and arguments.dask != SLURM:
        raise errors.UsageError(
            "--dask was expected without --jobs", advice="There are as many as there are workers."
        )
    return Cluster(arguments.dask, Path(arguments.output), arguments.jobs).run


def _shard_of(arguments: argparse.Namespace) -> Shard | None:
    """The shard that is asked for, None for all subjects."""
    from wmhseg.batch import shards

    if arguments.shard is None:
        return None
    if arguments.collect:
        raise errors.UsageError(
            "--collect was expected without --shard", advice="It is about all shards."
        )
    return shards.parse(arguments.shard, os.environ)


def _run(
    subjects: Sequence[Subject], output: Path, settings: BatchOptions, console: Console
) -> list[Row]:
    from wmhseg.batch import run, shards

    if settings.shard is not None:
        own = len(shards.deal(subjects, settings.shard))
        console.say(f"shard {settings.shard}: {own} of {len(subjects)} subjects")
    # Where there is no bar the lines of the subjects say how far it is.
    bar = Bar("segmenting", "subjects", quiet=console.quiet or not sys.stderr.isatty())
    with bar:
        return run.run(subjects, output, settings, teller(console, bar))


def _collected(
    subjects: Sequence[Subject], output: Path, settings: BatchOptions, console: Console
) -> list[Row]:
    from wmhseg.batch import collect, summary

    found = collect.collect(subjects, output, settings)
    for status, what in (
        (summary.FAILED, "failed"),
        (summary.OUTDATED, "have a result of other scans or options"),
        (summary.WAITING, "have no result"),
    ):
        names = [row.subject for row in found.rows if row.status == status]
        if names:
            console.warn(f"{len(names)} {what}: {_few(names)}")
    if found.unfinished:
        shards = _few([str(shard) for shard in found.unfinished])
        console.warn(f"{len(found.unfinished)} shards have not come to their end: {shards}")
    return found.rows


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMES]) + ", …" * (len(names) > _MOST_NAMES)


def _tell(
    rows: Sequence[Row], output: Path, settings: BatchOptions, console: Console, *, as_json: bool
) -> None:
    """Says what became of all subjects; ends with an error if one has no result."""
    from wmhseg.batch import parts, summary
    from wmhseg.reporting import report

    written = output / summary.SUMMARY
    if settings.shard is not None:
        written = parts.folder_in(output)
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        print_rows(rows, written)
    console.say(report.NOT_A_DEVICE)
    summary.check_all_done(rows, written)


def teller(console: Console, bar: Bar) -> OnRow:
    """What tells about each subject when it is finished.

    Args:
        console: Where to say it.
        bar: Is told how far the work is.
    """

    def tell(done: int, total: int, row: Row) -> None:
        bar(done, total)
        if row.error:
            console.warn(f"{done}/{total} {row.subject}: {row.error}")
            return
        load = f"{row.volume_ml:.2f} ml, {row.lesion_count} lesions, from {row.scans}"
        for label, other in row.others.items():
            load += f"; {label} {other.volume_ml:.2f} ml, {other.lesion_count} lesions"
        console.say(f"{done}/{total} {row.subject}: {load}")
        for warning in row.warnings:
            console.warn(f"{row.subject}: {warning}")

    return tell


def print_rows(rows: Sequence[Row], written: Path) -> None:
    """Prints how many subjects are done, and where the results are."""
    from wmhseg.batch import summary

    always = (summary.DONE, summary.SKIPPED, summary.FAILED)
    for status in (*always, summary.OUTDATED, summary.WAITING):
        number = sum(row.status == status for row in rows)
        if number or status in always:
            print(f"{status:<13}{number} of {len(rows)}")
    print(f"{'written':<13}{written}")


COMMANDS = {"batch": _add_arguments}
