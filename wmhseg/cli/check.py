"""The command that looks scans over: check."""

from __future__ import annotations

import argparse
from pathlib import Path

from wmhseg import errors, records
from wmhseg.cli.console import print_json
from wmhseg.cli.parser import examples


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_check)
    examples(
        parser,
        "check FLAIR.nii.gz T1.nii.gz",
        "check FLAIR.nii.gz --json found.json",
    )
    parser.add_argument("flair", metavar="F", help="FLAIR scan, NIfTI")
    parser.add_argument("t1", metavar="T1", nargs="?", help="T1 scan, NIfTI")
    parser.add_argument("--json", metavar="FILE|-", help="write JSON; -: print it instead")


def _check(arguments: argparse.Namespace) -> int:
    from wmhseg.checking.check import check
    from wmhseg.checking.findings import Level, check_suitable, to_dict
    from wmhseg.io import files

    scans = [Path(path) for path in (arguments.flair, arguments.t1) if path]
    target = Path(arguments.json) if arguments.json not in (None, "-") else None
    if target is not None:
        files.check_outputs([target], inputs=scans)
    findings = check(*scans)
    content = {"flair": arguments.flair, "t1": arguments.t1, **to_dict(findings)}
    if target is not None:
        files.write_text(target, records.json_text(content))
    if arguments.json == "-":
        print_json(content)
    else:
        for finding in findings:
            if not (arguments.quiet and finding.level is Level.OK):
                print(f"{finding.level:<9}{finding.text}")
    check_suitable(findings)
    return errors.EXIT_OK


COMMANDS = {"check": _add_arguments}
