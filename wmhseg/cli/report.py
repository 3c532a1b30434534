"""The command that writes a page to look at: report."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from wmhseg import errors
from wmhseg.cli.console import console_of
from wmhseg.cli.measure import add_known, paths_of, scene_of
from wmhseg.cli.options import command_line
from wmhseg.cli.parser import examples

GROUP_PAGE = "group.html"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_report)
    examples(
        parser,
        "report --flair FLAIR.nii.gz --mask wmh.nii.gz --output report.html",
        "report --flair FLAIR.nii.gz --t1 T1.nii.gz --mask wmh.nii.gz --probability p.nii.gz "
        "--output report.html",
        "report --group results",
    )
    parser.add_argument("--flair", metavar="F", help="FLAIR scan, NIfTI")
    parser.add_argument("--mask", metavar="M", help="mask of WMH on FLAIR's voxels, 0 and 1")
    parser.add_argument(
        "--group",
        metavar="DIR",
        help='in place of a scan: a page of all results in a folder of "wmhseg batch" or "bids"',
    )
    parser.add_argument(
        "--output",
        metavar="HTML",
        help=f"page to write (docs/report.md); with --group by default DIR/{GROUP_PAGE}",
    )
    parser.add_argument(
        "--name", metavar="NAME", help="title of the page (default: the name of the mask's file)"
    )
    add_known(parser)


def _report(arguments: argparse.Namespace) -> int:
    return _group(arguments) if arguments.group else _single(arguments)


def _group(arguments: argparse.Namespace) -> int:
    from wmhseg.html_report import group, results, single
    from wmhseg.io import files
    from wmhseg.reporting.report import NOT_A_DEVICE

    alone = [f"--{name}" for name in ("flair", "mask") if getattr(arguments, name)]
    if alone:
        raise errors.UsageError(
            "--group DIR or --flair F and --mask M were expected",
            received=f"--group with {' and '.join(alone)}",
        )
    folder = Path(arguments.group)
    output = Path(arguments.output) if arguments.output else folder / GROUP_PAGE
    single.check_name(output)
    found = results.read(folder)
    # Links lead from the page to the reports.
    here = os.path.relpath(folder, output.parent)
    linked = [
        replace(one, report=Path(here, one.report).as_posix()) if one.report else one
        for one in found
    ]
    files.check_outputs([output], inputs=[])
    group.write(output, linked, arguments.name or folder.resolve().name)
    print(
        f"scans        {len(found)}, {sum(one.volume_ml is None for one in found)} without result"
    )
    print(f"written      {output}")
    console_of(arguments).say(NOT_A_DEVICE)
    return errors.EXIT_OK


def _single(arguments: argparse.Namespace) -> int:
    from wmhseg.html_report import facts, single
    from wmhseg.io import checksums, files
    from wmhseg.measuring.scene import Wanted
    from wmhseg.reporting.provenance import Provenance, scan_file
    from wmhseg.reporting.report import NOT_A_DEVICE

    lacking = [f"--{name}" for name in ("flair", "mask", "output") if not getattr(arguments, name)]
    if lacking:
        raise errors.UsageError(
            "--flair F, --mask M and --output HTML were expected, or --group DIR",
            received=f"no {' and no '.join(lacking)}",
        )
    console, paths, output = console_of(arguments), paths_of(arguments), Path(arguments.output)
    single.check_name(output)
    with files.without_empty_folders(output.parent):
        files.check_outputs([output], inputs=list(paths))
        scene = scene_of(arguments, paths, Wanted())
        inputs = {name: scan_file(path) for name, path in paths.named().items()}
        origin = facts.Origin(
            arguments.name or paths.mask.name,
            Provenance(inputs, command=command_line(arguments)),
            facts.beside(paths.mask),
            checksums.sha256_of(paths.mask),
        )
        found = facts.gather(scene, origin)
        single.write(output, found)
    for warning in found.warnings:
        console.warn(warning)
    for sentence in found.left_out:
        console.say(f"left out     {sentence}")
    print(f"written      {output}")
    console.say(NOT_A_DEVICE)
    return errors.EXIT_OK


COMMANDS = {"report": _add_arguments}
