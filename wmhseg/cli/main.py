"""The command line: arguments in, one public function called, an exit code out.

Heavy packages are imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wmhseg import errors
from wmhseg.cli import scans, scoring, training
from wmhseg.cli.console import Console
from wmhseg.version import __version__

if TYPE_CHECKING:
    from wmhseg.segmentation.options import Options
    from wmhseg.segmentation.result import Segmentation
    from wmhseg.weights.store import Model

_EPILOG = """\
Without a command, wmhseg runs the challenge layout: /input/pre/FLAIR.nii.gz and T1.nii.gz are
segmented to /output/result.nii.gz.

exit codes: 0 done; 1 internal error; 2 wrong arguments; 10-25 input files; 30-31 output;
40-43 models; 50 device; 60-66 evaluation and batch; 70-73 training; 130 interrupted;
143 terminated.
docs/exit-codes.md lists them all.

For research. Not a medical device; not for diagnosis."""


# As in raw.SWITCHES, which a test checks: "--help" does not wait for SimpleITK.
_STEPS: dict[str, tuple[str, ...]] = {
    "reorient": ("auto", "off"),
    "pixel_size": ("auto", "off"),
    "bias_correction": ("auto", "on", "off"),
    "registration": ("auto", "on", "header", "off"),
    "on_registration_failure": ("error", "flair-only"),
}


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors have the form of all others."""

    def error(self, message: str) -> Any:
        raise errors.UsageError(
            message[:1].upper() + message[1:], advice=f'See "{self.prog} --help".'
        )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise ValueError
    return value


_positive.__name__, _share.__name__ = "whole number above 0", "number from 0 to below 1"


def _add_general(parser: argparse.ArgumentParser, *, top: bool) -> None:
    """Adds the options that stand before or after the command alike."""
    missing: Any = False if top else argparse.SUPPRESS
    parser.add_argument(
        "--debug", action="store_true", default=missing, help="show the stack trace of an error"
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", default=missing, help="print results and errors only"
    )
    parser.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        default=missing,
        help="say which model and folders are used",
    )


def _add_running(parser: argparse.ArgumentParser, *, scale: str) -> None:
    """Adds the options of commands that segment."""
    group = parser.add_argument_group("how to run")
    group.add_argument("--model", metavar="NAME|PATH", help='see "wmhseg models"')
    group.add_argument("--device", choices=["auto", "cpu", "gpu"], default="auto")
    group.add_argument(
        "--engine",
        choices=["auto", "keras", "openvino"],
        default="auto",
        help="auto: OpenVINO on a CPU where it is installed, else Keras",
    )
    group.add_argument(
        "--precision",
        choices=["f32", "tf32", "bf16"],
        default="f32",
        help="bf16, where the processor or GPU has it, and tf32, on GPUs: meant to be faster, not "
        "equal to the last voxel",
    )
    group.add_argument("--threads", type=_positive, metavar="N", help="default: all available")
    group.add_argument(
        "--batch", type=_positive, metavar="N", help="slices at once; bounds the memory"
    )
    group.add_argument(
        "--threshold", type=_share, metavar="P", help="probability above which a voxel is WMH"
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
    group.add_argument(
        "--intensity-scale",
        choices=["adapt", "keep"],
        default=scale,
        help=f"bring scans that are not on the challenge's scale to it (default: {scale})",
    )
    group.add_argument("--json", action="store_true", help="print the report as JSON")
    if scale == "adapt":  # the challenge's layout holds prepared scans
        _add_steps(parser)


def _add_steps(parser: argparse.ArgumentParser) -> None:
    """Adds the switches of the steps on raw scans; a command without them takes none."""
    group = parser.add_argument_group("scans as the scanner gave them (docs/raw-scans.md)")
    for name, about in (
        ("reorient", "turn axes to the model's"),
        ("pixel-size", "bring pixels outside the training's range to 1 mm"),
        ("bias-correction", "N4; auto: when FLAIR and T1 lie on two grids"),
        ("registration", "T1 to FLAIR; auto: when they lie on two grids; header: only resample"),
        ("on-registration-failure", "when T1 does not match FLAIR"),
    ):
        allowed = _STEPS[name.replace("-", "_")]
        group.add_argument(
            f"--{name}",
            choices=allowed,
            default=allowed[0],
            help=f"{about} (default: {allowed[0]})",
        )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="wmhseg",
        allow_abbrev=False,
        description="Segments white matter hyperintensities on FLAIR and T1 brain MRI.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"wmhseg {__version__}")
    _add_general(parser, top=True)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, about: str, run: Callable[..., int]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=about, allow_abbrev=False)
        added.set_defaults(run=run)
        _add_general(added, top=False)
        return added

    one = command("segment", "Segment one pair of scans.", _segment)
    one.add_argument("--flair", required=True, metavar="F", help="FLAIR scan, NIfTI")
    one.add_argument("--t1", metavar="T1", help="T1 scan of the same head, NIfTI")
    one.add_argument("--output", required=True, metavar="O", help="mask to write, .nii.gz or .nii")
    one.add_argument("--probability", metavar="P", help="probability map to write as well")
    one.add_argument("--overlay", metavar="PNG", help="picture of the result to write as well")
    one.add_argument("--mask-on-t1", metavar="M", help="mask on the T1 grid to write as well")
    _add_running(one, scale="adapt")

    layout = command("challenge", "Segment a case in the challenge's layout.", _challenge)
    layout.add_argument("--input", default="/input", metavar="DIR", help="default: /input")
    layout.add_argument("--output", default="/output", metavar="DIR", help="default: /output")
    _add_running(layout, scale="keep")

    models = command("models", "List or import models.", _models)
    models.add_argument("--json", action="store_true", help="print JSON")
    actions = models.add_subparsers(dest="action", metavar="ACTION")
    importing = actions.add_parser(
        "import", help="import the authors' public Keras-2 weights (HDF5)"
    )
    importing.set_defaults(run=_import)
    _add_general(importing, top=False)
    importing.add_argument("files", nargs="+", metavar="HDF5", help="one file a member")
    importing.add_argument("--name", required=True, help="name of the new model")
    importing.add_argument("--preset", default="released", help="pre- and post-processing")
    importing.add_argument("--network", default="unet", help="unet or stacknet")
    importing.add_argument("--kernel", type=_positive, help="kernel of the first stage(s)")
    importing.add_argument("--channels", type=int, choices=[1, 2], default=2)
    importing.add_argument("--licence", default="unknown: see where the files come from")
    importing.add_argument("--into", metavar="DIR", help="folder of models; default: the user's")

    scans.add_commands(command, _add_running, _options)
    scoring.add_commands(command)
    training.add_commands(command)

    demo = command("demo", "Write a synthetic case in the challenge's layout, or run it.", _demo)
    demo.add_argument("--output", required=True, metavar="DIR")
    demo.add_argument("--case-only", action="store_true", help="write the case, do not segment it")
    return parser


def _options(arguments: argparse.Namespace) -> Options:
    from wmhseg.preparation import steps
    from wmhseg.segmentation.options import Options

    chosen: dict[str, Any] = {name: getattr(arguments, name, None) for name in _STEPS}
    return Options(
        device=arguments.device,
        threads=arguments.threads,
        batch=arguments.batch,
        intensity_scale=arguments.intensity_scale,
        threshold=arguments.threshold,
        steps=steps.PREPARED if None in chosen.values() else steps.Steps(**chosen),
        min_lesion_mm3=arguments.min_lesion,
        lesion_peak=arguments.lesion_peak,
        engine=arguments.engine,
        precision=arguments.precision,
    )


def _run(flair: Path, t1: Path | None, output: Path, arguments: argparse.Namespace) -> Segmentation:
    """Segments one case and writes it; what the two layouts share."""
    from wmhseg.io import files, images, pictures
    from wmhseg.reporting import report
    from wmhseg.segmentation import pipeline
    from wmhseg.weights import store

    console = Console(quiet=arguments.quiet, verbose=arguments.verbose)
    extra = [getattr(arguments, name, None) for name in ("probability", "overlay", "mask_on_t1")]
    targets = [output, report.path_beside(output), *(Path(p) for p in extra if p)]
    images.check_volume_name(output)
    for volume in (extra[0], extra[2]):
        if volume:
            images.check_volume_name(volume)
    if extra[1]:
        pictures.check_picture_name(extra[1])
    files.check_outputs(targets, inputs=[path for path in (flair, t1) if path is not None])
    model = store.find(arguments.model or store.DEFAULT_MODEL)
    if console.verbose:
        console.say(f"model        {model.preset.name} in {model.folder}")
        console.say(f"FLAIR        {flair}")
        console.say(f"T1           {t1 or 'none'}")
    result = pipeline.segment(
        flair,
        t1,
        model=model,
        options=_options(arguments),
        progress=console.progress("segmenting", "slices"),
    )
    for warning in result.report.warnings:
        console.warn(warning)
    result.save(output, *extra)
    if arguments.json:
        print(result.report.to_json(), end="")
    else:
        for line in result.report.to_lines():
            print(line)
        print(f"written      {output}")
    console.say(report.NOT_A_DEVICE)
    return result


def _segment(arguments: argparse.Namespace) -> int:
    t1 = Path(arguments.t1) if arguments.t1 else None
    _run(Path(arguments.flair), t1, Path(arguments.output), arguments)
    return errors.EXIT_OK


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
    model = store.find(arguments.model or store.DEFAULT_MODEL)
    t1 = pre / "T1.nii.gz" if model.preset.takes_t1 else None
    if t1 is not None and not t1.exists() and (pre / "FLAIR.nii.gz").exists():
        alone = model.preset.works_without_t1
        raise errors.MissingFileError(
            f"FLAIR.nii.gz and T1.nii.gz were expected in {pre}",
            received="no T1.nii.gz",
            advice=f"To use FLAIR alone: wmhseg segment --flair {pre / 'FLAIR.nii.gz'} --output "
            f"{Path(arguments.output) / 'result.nii.gz'}"
            if alone
            else "",
        )
    output = Path(arguments.output) / "result.nii.gz"
    _run(pre / "FLAIR.nii.gz", t1, output, arguments)
    return errors.EXIT_OK


def _models(arguments: argparse.Namespace) -> int:
    from wmhseg.weights import store

    rows = []
    broken = []
    for folder in store.installed():
        try:
            rows.append(_describe(store.find(folder.name)))
        except errors.WmhsegError as error:
            broken.append((folder.name, str(error)))
    if arguments.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    elif not rows:
        print("No model is installed.")
    else:
        for row in rows:
            default = "  (default)" if row["name"] == store.DEFAULT_MODEL else ""
            print(f"{row['name']}{default}")
            for key in list(row)[1:]:
                print(f"    {key:<14}{row[key]}")
    for name, message in broken:
        print(f"wmhseg: warning: model {name} is broken: {message}", file=sys.stderr)
    return errors.PresetError.exit_code if broken else errors.EXIT_OK


def _describe(model: Model) -> dict[str, str]:
    from wmhseg.weights import methods

    preset = model.preset
    networks = sorted({f"{m.network} {m.options or ''}".strip() for m in preset.members})
    return {
        "name": preset.name,
        "what": preset.description,
        "members": f"{len(preset.members)} x {', '.join(networks)}",
        "input": ("FLAIR and T1, or FLAIR alone" if preset.works_without_t1 else "FLAIR and T1")
        if preset.takes_t1
        else "FLAIR",
        "preset": methods.method_name(preset),
        "trained on": preset.training_data,
        "licence": preset.licence,
        "reference": preset.reference,
        "folder": str(model.folder),
    }


def _import(arguments: argparse.Namespace) -> int:
    from wmhseg.weights import importing
    from wmhseg.weights.inputs import inputs_of_channels

    made = importing.import_keras2(
        [Path(name) for name in arguments.files],
        importing.Import(
            name=arguments.name,
            method=arguments.preset,
            network=arguments.network,
            options={} if arguments.kernel is None else {"kernel": arguments.kernel},
            inputs=inputs_of_channels(arguments.channels, "error"),
            licence=arguments.licence,
        ),
        into=Path(arguments.into) if arguments.into else None,
    )
    print(f"{made.preset.name}: {len(made.preset.members)} members in {made.folder}")
    return errors.EXIT_OK


def _demo(arguments: argparse.Namespace) -> int:
    from wmhseg.datasets import demo

    folder = Path(arguments.output)
    case = demo.write_case(folder)
    if arguments.case_only:
        print(f"written      {case}")
        return errors.EXIT_OK
    return main(
        [
            "segment",
            *("--flair", str(case / "pre" / "FLAIR.nii.gz")),
            *("--t1", str(case / "pre" / "T1.nii.gz")),
            *("--output", str(folder / "output" / "result.nii.gz")),
            *("--overlay", str(folder / "output" / "overlay.png")),
            *(["--debug"] if arguments.debug else []),
            *(["--quiet"] if arguments.quiet else []),
        ]
    )


def _terminate(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: Arguments without the program's name; None for those of the process.

    Returns:
        The exit code; errors have been printed as one line.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    # A container is stopped by SIGTERM: unwind, so that no temporary file stays. Outside the main
    # thread the host program handles signals.
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGTERM, _terminate)
    try:
        arguments = _parser().parse_args(words)
        if arguments.command is None:
            general = [word for word in words if word.startswith("-")]
            arguments = _parser().parse_args([*general, "challenge"])
        arguments.words = words
        code = int(arguments.run(arguments))
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except errors.WmhsegError as error:
        return _failed(str(error), error.exit_code, debug)
    except KeyboardInterrupt:
        return _failed("interrupted", errors.EXIT_INTERRUPTED, debug=False)
    except BrokenPipeError:
        # The reader of our output has gone (wmhseg models | head): not an error of ours.
        _discard_output()
        return errors.EXIT_OK
    except MemoryError:
        return _failed(
            "Enough memory was expected. Received: none left. Use a smaller --batch.",
            errors.EXIT_INTERNAL,
            debug,
        )
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            # Files are written elsewhere and have errors of their own.
            _discard_output()
            return _failed(
                "Room on the disk was expected for what is printed. Received: a full disk.",
                errors.DiskFullError.exit_code,
                debug,
            )
        kind = type(error).__name__
        return _failed(
            f"internal error: {kind}: {' '.join(str(error).split())[:300]}. Run again with "
            "--debug and report what it prints.",
            errors.EXIT_INTERNAL,
            debug,
        )


def _discard_output() -> None:
    """Sends what is still to be printed nowhere, so that the interpreter ends in peace."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed(message: str, code: int, debug: bool) -> int:
    # Whoever closed standard error, or filled its disk, still gets the exit code.
    if sys.stderr is None:
        return code
    with contextlib.suppress(OSError):
        if debug:
            import traceback

            traceback.print_exc()
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr)  # clears a progress bar that was left open
        print(f"wmhseg: error: {message}", file=sys.stderr, flush=True)
    return code
