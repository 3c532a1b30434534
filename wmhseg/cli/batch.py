"""The command that segments many subjects: batch."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from wmhseg import errors
from wmhseg.cli.console import console_of, print_json
from wmhseg.cli.found import ABOUT, print_found
from wmhseg.cli.options import add_running, model_of, options_of

if TYPE_CHECKING:
    from wmhseg.batch.summary import Row


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_batch)
    parser.add_argument(
        "subjects", metavar="TABLE|DIR", help="columns subject, flair, t1; or scans"
    )
    parser.add_argument("--output", metavar="DIR", help="one folder a subject in it")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="at once; default: 1")
    parser.add_argument("--force", action="store_true", help="segment again what is done")
    parser.add_argument("--dry-run", action="store_true", help=ABOUT)
    add_running(parser)


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

    def tell(done: int, total: int, row: Row) -> None:
        if row.error:
            console.warn(f"{done}/{total} {row.subject}: {row.error}")
            return
        load = f"{row.volume_ml:.2f} ml, {row.lesion_count} lesions, from {row.scans}"
        console.say(f"{done}/{total} {row.subject}: {load}")
        for warning in row.warnings:
            console.warn(f"{row.subject}: {warning}")

    settings = run.BatchOptions(
        model_of(arguments), options_of(arguments), arguments.jobs, arguments.force
    )
    rows = run.run(subjects, output, settings, tell)
    if arguments.json:
        print_json([asdict(row) for row in rows])
    else:
        for status in (summary.DONE, summary.SKIPPED, summary.FAILED):
            print(f"{status:<13}{sum(row.status == status for row in rows)} of {len(rows)}")
        print(f"{'written':<13}{output / summary.SUMMARY}")
    console.say(report.NOT_A_DEVICE)
    summary.check_all_done(rows, output / summary.SUMMARY)
    return errors.EXIT_OK


COMMANDS = {"batch": _add_arguments}
