"""Options that several commands share, and what is made of them.

Choices and defaults are those of ``Options`` and ``Steps``: none is repeated here.
"""

from __future__ import annotations

import argparse
import shlex
from typing import get_args, get_type_hints

from wmhseg.cli.parser import number, positive, share
from wmhseg.preparation.steps import SWITCHES, Steps
from wmhseg.segmentation.options import Options

PICTURE_FORMATS = ("png", "pdf")


def add_choice(
    group: argparse._ActionsContainer,
    record: type[Options | Steps],
    name: str,
    about: str | None = None,
    *,
    without: tuple[str, ...] = (),
) -> None:
    """Adds an option for a field of a record: its choices, and its default.

    Args:
        group: What to add to.
        record: The record; the field's type is a ``Literal``.
        name: The field's name.
        about: A sentence for the help.
        without: Choices that are not offered.
    """
    choices = get_args(get_type_hints(record)[name])
    group.add_argument(
        "--" + name.replace("_", "-"),
        choices=[choice for choice in choices if choice not in without],
        default=getattr(record, name),
        help=about,
    )


def add_running(parser: argparse.ArgumentParser, *, many: bool = False) -> None:
    """Adds what commands that segment have in common: one model, and the options.

    Args:
        parser: The command's.
        many: Whether it segments many scans; then the precision may be left to the processor.
    """
    group = parser.add_argument_group("what to run")
    model = group.add_argument(
        "--model",
        metavar="NAME|PATH",
        help='name from "wmhseg models", or a model folder (default: mixed-tuned)',
    )
    model.completer = _model_names  # type: ignore[attr-defined]  # what argcomplete looks for
    group.add_argument("--json", action="store_true", help="print the report as JSON")
    add_options(parser, many=many)


def _model_names(**_: object) -> list[str]:
    """What a shell offers after ``--model``."""
    from wmhseg.weights import store

    return [model.preset.name for model in store.all_models()]


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


def add_stroke(parser: argparse.ArgumentParser, where: str) -> None:
    """Adds the option of commands that name the mask of stroke themselves.

    Args:
        parser: The command's.
        where: Where the mask goes.
    """
    parser.add_argument(
        "--stroke",
        action="store_true",
        help=f"a mask of stroke, {where}; for a model that marks it",
    )


def picture_of(arguments: argparse.Namespace) -> str:
    """File name of the picture that was asked for with ``add_picture``, "" if none was."""
    wanted = arguments.overlay_format or (PICTURE_FORMATS[0] if arguments.overlay else "")
    return f"overlay.{wanted}" if wanted else ""


def add_reader(group: argparse._ActionsContainer) -> None:
    """Adds the option for the rules by which masks are made.

    Args:
        group: What to add to.
    """
    add_choice(
        group,
        Options,
        "reader",
        "who marks: sparing less, generous more than balanced, where the model has such rules",
    )


def add_options(parser: argparse.ArgumentParser, *, many: bool = False) -> None:
    """Adds the options of a segmentation; they are the same wherever something is segmented.

    Args:
        parser: The command's.
        many: See ``add_running``.
    """
    group = parser.add_argument_group("how to run")
    add_choice(group, Options, "device", "auto: a GPU if there is one")
    add_choice(
        group, Options, "engine", "auto: OpenVINO on a CPU where it is installed, else Keras"
    )
    add_choice(
        group,
        Options,
        "precision",
        "f32 is exact; bf16 (processors and GPUs that have it) and tf32 (GPUs) are faster, but "
        "their masks differ a little"
        + ("; auto: bf16 on processors that have it (docs/speed.md)" if many else ""),
        without=() if many else ("auto",),
    )
    group.add_argument("--threads", type=positive, metavar="N", help="default: all available")
    group.add_argument(
        "--batch",
        type=positive,
        metavar="N",
        help="slices computed at once: fewer need less memory",
    )
    add_reader(group)
    group.add_argument(
        "--threshold",
        type=share,
        metavar="P",
        help="voxels with a higher probability are WMH (default: the reader's)",
    )
    group.add_argument(
        "--min-lesion",
        type=number,
        metavar="MM3",
        help="remove smaller lesions; 0 keeps all (default: the reader's)",
    )
    group.add_argument(
        "--lesion-peak",
        type=number,
        metavar="P",
        help="remove lesions in which no voxel has a higher probability; 0 keeps all (default: the "
        "reader's)",
    )
    add_choice(
        group,
        Options,
        "flips",
        "on: average with the scan flipped left to right, at twice the time (default: the model's)",
    )
    group.add_argument(
        "--temperature",
        type=number,
        default=Options.temperature,
        metavar="T",
        help="divide the logits of the probability map by T; changes no mask "
        f"(default: {Options.temperature})",
    )
    add_choice(
        group,
        Options,
        "on_unsuitable",
        "what to do when the scans cannot give a meaningful mask, as wmhseg check finds: stop, or "
        "go on with a warning (default: error)",
    )
    group = parser.add_argument_group(
        "scans as the scanner gave them (docs/raw-scans.md)",
        'The default "preset" leaves it to the model: adapt and auto for our own models, keep and '
        "off for published methods.",
    )
    add_choice(
        group,
        Options,
        "intensity_scale",
        "adapt: multiply scans that are darker or brighter than those of the challenge "
        f"(default: {Options.intensity_scale})",
    )
    group.add_argument(
        "--pixel-size",
        type=_pixel_size,
        default=Steps.pixel_size,
        metavar="auto|off|MM",
        help="auto: bring unusual pixels to 1 mm, and those at which the brain would not fit into "
        "the network's field to larger ones; or pixels of so many mm "
        f"(default: {Steps.pixel_size})",
    )
    for name, about in (
        ("reorient", "turn axes to the model's"),
        ("bias_correction", "N4; auto: when FLAIR and T1 lie on two grids"),
        ("registration", "T1 to FLAIR; auto: when they lie on two grids; header: only resample"),
        ("on_registration_failure", "when T1 does not match FLAIR"),
    ):
        add_choice(group, Steps, name, f"{about} (default: {getattr(Steps, name)})")


def _pixel_size(text: str) -> str | float:
    """A word, or a number of mm; ``Steps`` says which are allowed."""
    try:
        return float(text)
    except ValueError:
        return text


def options_of(arguments: argparse.Namespace) -> Options:
    """The options of a segmentation that arguments ask for.

    Args:
        arguments: Of a command with the options of ``add_options``.
    """
    return Options(
        device=arguments.device,
        threads=arguments.threads,
        batch=arguments.batch,
        intensity_scale=arguments.intensity_scale,
        threshold=arguments.threshold,
        min_lesion_mm3=arguments.min_lesion,
        lesion_peak=arguments.lesion_peak,
        reader=arguments.reader,
        flips=arguments.flips,
        temperature=arguments.temperature,
        engine=arguments.engine,
        precision=arguments.precision,
        on_unsuitable=arguments.on_unsuitable,
        steps=Steps(**{name: getattr(arguments, name) for name in SWITCHES}),
    )


def model_of(arguments: argparse.Namespace) -> str:
    """Name or folder of the model that was asked for, or of the default one."""
    from wmhseg.weights import store

    return arguments.model or store.DEFAULT_MODEL


def command_line(arguments: argparse.Namespace) -> str:
    """The command line that was given, ready to paste."""
    return shlex.join(["wmhseg", *arguments.words])
