"""The command for a case in the challenge's layout: challenge."""

from __future__ import annotations

import argparse
from pathlib import Path

from wmhseg import errors
from wmhseg.cli.options import (
    add_picture,
    add_running,
    add_stroke,
    model_of,
    options_of,
    picture_of,
)
from wmhseg.cli.parser import examples
from wmhseg.cli.segment import CaseFiles, segment_case


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_challenge)
    examples(
        parser,
        "challenge",
        "challenge --input case --output result --model stacknet-synthetic",
    )
    parser.add_argument(
        "--input",
        default="/input",
        metavar="DIR",
        help="folder with pre/FLAIR.nii.gz and pre/T1.nii.gz (default: /input)",
    )
    parser.add_argument(
        "--output",
        default="/output",
        metavar="DIR",
        help="folder for result.nii.gz and result.json (default: /output)",
    )
    add_picture(parser, "overlay.png beside the mask")
    add_stroke(parser, "result_stroke.nii.gz beside that of WMH")
    add_running(parser)


def _challenge(arguments: argparse.Namespace) -> int:
    from wmhseg.weights import store

    pre = Path(arguments.input) / "pre"
    if not pre.is_dir():
        raise errors.MissingFileError(
            "A case in the challenge's layout was expected: a folder with pre/FLAIR.nii.gz and "
            "pre/T1.nii.gz",
            received=f"no folder {pre}",
            advice="Mount the case's folder: docker run -v CASE:/input -v OUT:/output wmhseg.",
        )
    flair, t1, output = (
        pre / "FLAIR.nii.gz",
        pre / "T1.nii.gz",
        Path(arguments.output) / "result.nii.gz",
    )
    preset = store.find(model_of(arguments)).preset
    needs_t1 = preset.takes_t1
    if needs_t1 and not t1.exists() and flair.exists():
        alone = f"To use FLAIR alone: wmhseg segment --flair {flair} --output {output}"
        raise errors.MissingFileError(
            f"FLAIR.nii.gz and T1.nii.gz were expected in {pre}",
            received="no T1.nii.gz",
            advice=alone if preset.works_without_t1 else "",
        )
    picture = picture_of(arguments)
    segment_case(
        CaseFiles(
            flair,
            t1 if needs_t1 else None,
            output,
            overlay=output.with_name(picture) if picture else None,
            others={"stroke": output.with_name("result_stroke.nii.gz")} if arguments.stroke else {},
        ),
        model_of(arguments),
        options_of(arguments),
        arguments,
    )
    return errors.EXIT_OK


COMMANDS = {"challenge": _add_arguments}
