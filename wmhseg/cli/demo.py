"""The command that tries everything on a synthetic case: demo."""

from __future__ import annotations

import argparse
from pathlib import Path

from wmhseg import errors
from wmhseg.cli.options import add_reader
from wmhseg.cli.parser import examples
from wmhseg.cli.segment import CaseFiles, segment_case
from wmhseg.segmentation.options import Options


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_demo, json=False)
    examples(parser, "demo --output demo")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write to")
    add_reader(parser)
    parser.add_argument(
        "--case-only", action="store_true", help="write the case, do not segment it"
    )


def _demo(arguments: argparse.Namespace) -> int:
    from wmhseg.datasets import demo
    from wmhseg.weights import store

    folder = Path(arguments.output)
    case = demo.write_case(folder)
    if arguments.case_only:
        print(f"written      {case}")
        return errors.EXIT_OK
    files = CaseFiles(
        flair=case / "pre" / "FLAIR.nii.gz",
        t1=case / "pre" / "T1.nii.gz",
        output=folder / "output" / "result.nii.gz",
        overlay=folder / "output" / "overlay.png",
    )
    segment_case(files, store.DEFAULT_MODEL, Options(reader=arguments.reader), arguments)
    return errors.EXIT_OK


COMMANDS = {"demo": _add_arguments}
