"""Options that several commands share, and what is made of them.

Choices and defaults are those of ``Options`` and ``Steps``: none is repeated here.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import get_args, get_type_hints

from wmhseg.cli.parser import positive, share
from wmhseg.preparation.steps import PREPARED, SWITCHES, Steps
from wmhseg.segmentation.options import Options

PICTURE_FORMATS = ("png", "pdf")


def add_choice(
    group: argparse._ActionsContainer,
    record: type[Options | Steps],
    name: str,
    about: str | None = None,
    *,
    default: str | None = None,
) -> None:
    """Adds an option for a field of a record: its choices, and its default.

    Args:
        group: What to add to.
        record: The record; the field's type is a ``Literal``.
        name: The field's name.
        about: A sentence for the help.
        default: What to take in place of the record's default.
    """
    group.add_argument(
        "--" + name.replace("_", "-"),
        choices=get_args(get_type_hints(record)[name]),
        default=default or getattr(record, name),
        help=about,
    )


def add_running(parser: argparse.ArgumentParser, *, prepared: bool = False) -> None:
    """Adds the options of commands that segment.

    Args:
        parser: The command's.
        prepared: Whether its scans are known to be prepared: then there are no switches for the
            steps on raw scans, and intensities are kept.
    """
    group = parser.add_argument_group("how to run")
    group.add_argument("--model", metavar="NAME|PATH", help='see "wmhseg models"')
    add_choice(group, Options, "device")
    add_choice(
        group, Options, "engine", "auto: OpenVINO on a CPU where it is installed, else Keras"
    )
    add_choice(
        group,
        Options,
        "precision",
        "bf16, where the processor or GPU has it, and tf32, on GPUs: meant to be faster, not equal "
        "to the last voxel",
    )
    group.add_argument("--threads", type=positive, metavar="N", help="default: all available")
    group.add_argument(
        "--batch", type=positive, metavar="N", help="slices at once; bounds the memory"
    )
    group.add_argument(
        "--threshold", type=share, metavar="P", help="probability above which a voxel is WMH"
    )
    group.add_argument(
        "--min-lesion", type=float, metavar="MM3", help="remove smaller lesions; 0 keeps all"
    )
    group.add_argument(
        "--lesion-peak",
        type=float,
        metavar="P",
        help="remove lesions without a voxel above this probability; 0 keeps all",
    )
    scale = "keep" if prepared else Options.intensity_scale
    add_choice(
        group,
        Options,
        "intensity_scale",
        f"bring scans that are not on the challenge's scale to it (default: {scale})",
        default=scale,
    )
    add_choice(
        group,
        Options,
        "on_unsuitable",
        "when wmhseg check finds that a result would be worthless (default: error)",
    )
    group.add_argument("--json", action="store_true", help="print the report as JSON")
    if prepared:
        parser.set_defaults(**asdict(PREPARED))
    else:
        _add_steps(parser)


def add_picture(parser: argparse.ArgumentParser, where: str) -> None:
    """Adds the options of commands that name the picture of a result themselves.

    Args:
        parser: The command's.
        where: Where the picture goes.
    """
    parser.add_argument(
        "--overlay",
        action="store_true",
        help=f"a picture of the result, {where} (docs/picture.md)",
    )
    parser.add_argument(
        "--overlay-format",
        choices=PICTURE_FORMATS,
        metavar="png|pdf",
        help="as --overlay; png (default): one page; pdf: all slices with marks",
    )


def picture_of(arguments: argparse.Namespace) -> str:
    """File name of the picture that was asked for with ``add_picture``, "" if none was."""
    wanted = arguments.overlay_format or (PICTURE_FORMATS[0] if arguments.overlay else "")
    return f"overlay.{wanted}" if wanted else ""


def _add_steps(parser: argparse.ArgumentParser) -> None:
    """Adds the switches of the steps on raw scans."""
    group = parser.add_argument_group("scans as the scanner gave them (docs/raw-scans.md)")
    for name, about in (
        ("reorient", "turn axes to the model's"),
        ("pixel_size", "bring unusual pixels to 1 mm"),
        ("bias_correction", "N4; auto: when FLAIR and T1 lie on two grids"),
        ("registration", "T1 to FLAIR; auto: when they lie on two grids; header: only resample"),
        ("on_registration_failure", "when T1 does not match FLAIR"),
    ):
        add_choice(group, Steps, name, f"{about} (default: {getattr(Steps, name)})")


def options_of(arguments: argparse.Namespace) -> Options:
    """The options of a segmentation that arguments ask for.

    Args:
        arguments: Of a command with the options of ``add_running``.
    """
    return Options(
        device=arguments.device,
        threads=arguments.threads,
        batch=arguments.batch,
        intensity_scale=arguments.intensity_scale,
        threshold=arguments.threshold,
        min_lesion_mm3=arguments.min_lesion,
        lesion_peak=arguments.lesion_peak,
        engine=arguments.engine,
        precision=arguments.precision,
        on_unsuitable=arguments.on_unsuitable,
        steps=Steps(**{name: getattr(arguments, name) for name in SWITCHES}),
    )


def model_of(arguments: argparse.Namespace) -> str:
    """Name or folder of the model that was asked for, or of the default one."""
    from wmhseg.weights import store

    return arguments.model or store.DEFAULT_MODEL
