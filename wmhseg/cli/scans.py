"""The commands for scans as people have them: check, batch."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from wmhseg import errors
from wmhseg.cli.console import Console

if TYPE_CHECKING:
    from wmhseg.batch.summary import Row
    from wmhseg.segmentation.options import Options

Command = Callable[[str, str, Callable[..., int]], argparse.ArgumentParser]
AddRunning = Callable[..., None]
MakeOptions = Callable[[argparse.Namespace], "Options"]


def add_commands(command: Command, add_running: AddRunning, options: MakeOptions) -> None:
    """Add the commands of this module to the command line.

    Args:
        command: Makes a sub-command of a name, a sentence and the function that runs it.
        add_running: Adds the options of commands that segment.
        options: Makes the options of a segmentation of them.
    """
    checking = command("check", "Say what a FLAIR scan (and its T1) look like.", _check)
    checking.add_argument("flair", metavar="F", help="FLAIR scan, NIfTI")
    checking.add_argument("t1", metavar="T1", nargs="?", help="T1 scan, NIfTI")
    checking.add_argument("--json", metavar="FILE|-", help="write JSON; -: print it instead")

    about = "Segment many subjects: a table, or a folder in the challenge's, BIDS or flat layout."
    many = command("batch", about, lambda arguments: _batch(arguments, options))
    many.add_argument("subjects", metavar="TABLE|DIR", help="columns subject, flair, t1; or scans")
    many.add_argument("--output", required=True, metavar="DIR", help="one folder a subject in it")
    many.add_argument("--jobs", type=int, default=1, metavar="N", help="at once; default: 1")
    many.add_argument("--force", action="store_true", help="segment again what is done")
    add_running(many, scale="adapt")


def _check(arguments: argparse.Namespace) -> int:
    from wmhseg.checking import examine, findings
    from wmhseg.io import files, images

    paths = [Path(p) for p in (arguments.flair, arguments.t1) if p]
    target = arguments.json if arguments.json not in (None, "-") else None
    if target:
        files.check_outputs([Path(target)], inputs=paths)
    scans = [images.read_scan(p, name=n) for p, n in zip(paths, ("FLAIR", "T1"), strict=False)]
    found = examine.examine(*scans)
    content = {"flair": arguments.flair, "t1": arguments.t1, **findings.to_dict(found)}
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    if target:
        files.write_text(Path(target), text)
    if arguments.json == "-":
        # File names may hold what UTF-8 cannot express.
        sys.stdout.write(text.encode("utf-8", "backslashreplace").decode("utf-8"))
    else:
        shown = [f for f in found if not (arguments.quiet and f.level is findings.Level.OK)]
        for finding in shown:
            print(f"{finding.level:<9}{finding.text}")
    findings.check_suitable(found)
    return errors.EXIT_OK


def _batch(arguments: argparse.Namespace, options: MakeOptions) -> int:
    from wmhseg.batch import run, summary
    from wmhseg.datasets.subjects import find_subjects, read_subjects
    from wmhseg.reporting import report
    from wmhseg.weights import store

    console = Console(quiet=arguments.quiet, verbose=arguments.verbose)
    source, output = Path(arguments.subjects), Path(arguments.output)
    subjects = find_subjects(source) if source.is_dir() else read_subjects(source)

    def told(done: int, total: int, row: Row) -> None:
        if row.error:
            console.warn(f"{done}/{total} {row.subject}: {row.error}")
            return
        found = f"{row.volume_ml:.2f} ml, {row.lesion_count} lesions"
        console.say(f"{done}/{total} {row.subject}: {found}")
        for warning in row.warnings:
            console.warn(f"{row.subject}: {warning}")

    settings = run.BatchOptions(
        arguments.model or store.DEFAULT_MODEL,
        options(arguments),
        arguments.jobs,
        arguments.force,
    )
    rows = run.run(subjects, output, settings, told)
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False))
    else:
        for status in (summary.DONE, summary.SKIPPED, summary.FAILED):
            print(f"{status:<13}{sum(row.status == status for row in rows)} of {len(rows)}")
        print(f"{'written':<13}{output / summary.SUMMARY}")
    console.say(report.NOT_A_DEVICE)
    summary.check_all_done(rows, output / summary.SUMMARY)
    return errors.EXIT_OK
