"""The command that segments many subjects: batch."""

from __future__ import annotations

import argparse
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
    from wmhseg.batch.run import OnRow
    from wmhseg.batch.summary import Row


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_batch)
    examples(
        parser,
        "batch study --output results --dry-run",
        "batch study --output results",
        "batch subjects.csv --output results --jobs 2 --threshold 0.6",
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
    parser.add_argument("--dry-run", action="store_true", help=ABOUT)
    add_results(parser)
    add_running(parser)


def add_results(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say what is written about each subject, and whether again.

    Args:
        parser: The command's.
    """
    parser.add_argument("--force", action="store_true", help="segment again what is done")
    add_picture(parser, "overlay.png in each subject's folder")
    parser.add_argument(
        "--report",
        action="store_true",
        help="a page about the result, report.html in each subject's folder (docs/report.md)",
    )
    add_stroke(parser, "stroke.nii.gz in each subject's folder")


def _batch(arguments: argparse.Namespace) -> int:
    from wmhseg.batch import run, summary
    from wmhseg.datasets.subjects import find_subjects, read_subjects, why_not
    from wmhseg.reporting import report

    console = console_of(arguments)
    source = Path(arguments.subjects)
    if not (arguments.output or arguments.dry_run):
        raise errors.UsageError("A folder for the results was expected", advice="Add --output DIR.")
    subjects = find_subjects(source, console.warn) if source.is_dir() else read_subjects(source)
    if arguments.dry_run:
        run.check_names(subjects)
        found = [
            {"subject": s.name, "flair": s.flair, "t1": s.t1, "why_not": why_not(s)}
            for s in subjects
        ]
        print_found(found, as_json=arguments.json)
        return errors.EXIT_OK
    output = Path(arguments.output)
    # Where there is no bar the lines of the subjects say how far it is.
    bar = Bar("segmenting", "subjects", quiet=console.quiet or not sys.stderr.isatty())
    settings = run.BatchOptions(
        model_of(arguments),
        options_of(arguments),
        arguments.jobs,
        arguments.force,
        command_line(arguments),
        picture_of(arguments),
        ("stroke",) if arguments.stroke else (),
        page=arguments.report,
    )
    with bar:
        rows = run.run(subjects, output, settings, teller(console, bar))
    if arguments.json:
        print_json([asdict(row) for row in rows])
    else:
        print_rows(rows, output / summary.SUMMARY)
    console.say(report.NOT_A_DEVICE)
    summary.check_all_done(rows, output / summary.SUMMARY)
    return errors.EXIT_OK


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

    for status in (summary.DONE, summary.SKIPPED, summary.FAILED):
        print(f"{status:<13}{sum(row.status == status for row in rows)} of {len(rows)}")
    print(f"{'written':<13}{written}")


COMMANDS = {"batch": _add_arguments}
