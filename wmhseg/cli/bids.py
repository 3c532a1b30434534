"""The BIDS App: bids."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wmhseg import errors
from wmhseg.cli.batch import print_rows, teller
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
    from wmhseg.bids_app.app import Request


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_bids)
    examples(
        parser,
        "bids study derivatives/wmhseg participant --dry-run",
        "bids study derivatives/wmhseg participant --participant-label 01 02 --jobs 2",
        "bids study derivatives/wmhseg group",
    )
    parser.add_argument("data", metavar="BIDS", help="folder of a BIDS data set; only read")
    parser.add_argument("output", metavar="OUT", help="folder of the derivatives")
    parser.add_argument(
        "level",
        metavar="participant|group",
        help="participant: segment each scan; group: one table of all results",
    )
    group = parser.add_argument_group("which scans (docs/bids.md)")
    for what, other, about in (
        ("participant", "subject", "labels of participants, with or without sub-"),
        ("session", "", "labels of sessions, with or without ses-"),
    ):
        flags = [f"--{what}-label", f"--{what}_label", *([f"--{other}-label"] if other else [])]
        about += "; or a .txt file with one a line (default: all)"
        group.add_argument(*flags, nargs="+", default=[], metavar="LABEL", help=about)
    group.add_argument(
        "--bids-filter-file",
        "--bids_filter_file",
        metavar="JSON",
        help='what names of scans must say: {"flair": {"acquisition": "3D"}, "t1w": {"run": 1}}',
    )
    group.add_argument(
        "--t1-from-any-session",
        action="store_true",
        help="where a session has no T1w scan use that of the participant's nearest session",
    )
    parser.add_argument(
        "--jobs",
        type=whole,
        default=1,
        metavar="N",
        help="scans at once; each needs its own memory (default: 1)",
    )
    parser.add_argument("--force", action="store_true", help="segment again what is done")
    parser.add_argument("--dry-run", action="store_true", help=ABOUT)
    add_picture(parser, "…_overlay.png beside the mask")
    parser.add_argument(
        "--report",
        action="store_true",
        help="a page about each result, …_report.html beside the mask (docs/report.md); of the "
        "level group: one about everybody, group.html",
    )
    add_stroke(parser, "…_label-stroke_…mask.nii.gz beside that of WMH")
    add_running(parser, many=True)


def _bids(arguments: argparse.Namespace) -> int:
    from wmhseg.bids_app import app

    console = console_of(arguments)
    app.check_level(arguments.level)
    request = _request(arguments, console)
    if arguments.dry_run:
        _show(request, console, as_json=arguments.json)
    elif arguments.level == app.GROUP:
        _group(request, console, arguments)
    else:
        _participants(request, arguments, console)
    return errors.EXIT_OK


def _request(arguments: argparse.Namespace, console: Console) -> Request:
    from wmhseg.bids_app.app import Request
    from wmhseg.datasets import bids_filters

    path = arguments.bids_filter_file
    filters = bids_filters.Filters(
        bids_filters.labels(arguments.participant_label, "sub"),
        bids_filters.labels(arguments.session_label, "ses"),
        bids_filters.read_queries(Path(path), console.warn) if path else {},
    )
    data, output = Path(arguments.data), Path(arguments.output)
    return Request(data, output, filters, arguments.t1_from_any_session)


def _show(request: Request, console: Console, *, as_json: bool) -> None:
    """What would be segmented from what."""
    from wmhseg.bids_app import app
    from wmhseg.datasets.subjects import why_not

    found = [
        {
            "scan": s.name,
            "flair": s.flair,
            "t1": s.t1,
            "why_not": why_not(s),
            "notes": " ".join(s.notes) or None,
        }
        for s in app.select(request, console.warn).subjects
    ]
    print_found(found, as_json=as_json)


def _group(request: Request, console: Console, arguments: argparse.Namespace) -> None:
    from wmhseg.batch.summary import DONE
    from wmhseg.bids_app import app, names, tables
    from wmhseg.reporting import report

    rows = app.group(request, console.warn, page=arguments.report)
    if arguments.json:
        print_json(rows)
    else:
        done = sum(row["status"] == DONE for row in rows)
        print(f"{'results':<13}{done} of {len(rows)} scans")
        print(f"{'written':<13}{request.output / tables.GROUP}.tsv")
        if arguments.report:
            print(f"{'written':<13}{request.output / names.GROUP_PAGE}")
    console.say(report.NOT_A_DEVICE)


def _participants(request: Request, arguments: argparse.Namespace, console: Console) -> None:
    from wmhseg.batch import summary
    from wmhseg.batch.run import BatchOptions
    from wmhseg.bids_app import app, exit_codes
    from wmhseg.bids_app.names import LOGS
    from wmhseg.reporting import report

    settings = BatchOptions(
        model_of(arguments),
        options_of(arguments),
        arguments.jobs,
        arguments.force,
        command_line(arguments),
        picture_of(arguments),
        ("stroke",) if arguments.stroke else (),
        page=arguments.report,
    )
    bar = Bar("segmenting", "scans", quiet=console.quiet or not sys.stderr.isatty())
    with bar:
        rows = app.participants(request, settings, teller(console, bar), console.warn)
    written: list[Any] = [asdict(row) for row in rows]
    if arguments.json:
        print_json(written)
    else:
        print_rows(rows, request.output)
    console.say(report.NOT_A_DEVICE)
    try:
        summary.check_all_done(rows, request.output / LOGS / summary.SUMMARY)
    except errors.SubjectsFailedError as error:
        error.exit_code = exit_codes.code_of_all(app.failures(rows))
        raise


COMMANDS = {"bids": _add_arguments}
