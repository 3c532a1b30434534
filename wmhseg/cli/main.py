"""The command line: arguments in, one public function called, an exit code out.

A command's file is loaded when the command is given, and imports heavy packages when it runs, so
that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import os
import signal
import sys
import warnings
from collections.abc import Sequence

from wmhseg import errors
from wmhseg.cli.console import everything_printable
from wmhseg.cli.parser import Parser, add_general
from wmhseg.io.progress import close_all
from wmhseg.version import __version__

# Name -> its file here, which has a table COMMANDS of functions that add arguments, and a sentence.
_COMMANDS = {
    "segment": ("segment", "Segment one pair of scans."),
    "challenge": ("challenge", "Segment a case in the challenge's layout."),
    "models": ("models", "List or import models."),
    "check": ("check", "Say what a FLAIR scan (and its T1) look like."),
    "batch": (
        "batch",
        "Segment many subjects: a table, or a folder in the challenge's, BIDS or flat layout.",
    ),
    "slurm": ("slurm", "Write scripts that segment many subjects on a cluster; submit them."),
    "bids": ("bids", "Run as a BIDS App: BIDS data set in, BIDS derivatives out."),
    "measure": ("measure", "Measure a mask: lesions, places, regions, how sure it is."),
    "report": ("report", "Write a page to look at: of one result, or of a folder of results."),
    "evaluate": ("scoring", "Score results against their references."),
    "rank": (
        "scoring",
        "Say where a table of scores would stand among the teams published in 2017.",
    ),
    "compare": ("scoring", "Compare two tables of scores case by case."),
    "train": (
        "training",
        "Train a model on scans with masks, or on synthetic scans; run again to go on.",
    ),
    "demo": ("demo", "Write a synthetic case in the challenge's layout, or run it."),
    "completion": ("completion", "Print what lets a shell complete commands and options."),
}

_EPILOG = """\
Without a command, wmhseg runs the challenge layout: /input/pre/FLAIR.nii.gz and T1.nii.gz are
segmented to /output/result.nii.gz. With folders in place of a command, as in
"wmhseg /bids /out participant", it runs the command bids.

exit codes: 0 done; 1 internal error; 2 wrong arguments; 80-95 input files; 96-97 output;
100-103 models; 109 package not installed; 110 device; 111-118 evaluation, batch and
clusters; 120-123 training; 130 interrupted; 143 terminated; of bids 16-18 and 64-74.
docs/exit-codes.md lists them all.

For research. Not a medical device; not for diagnosis."""


def _parser(given: str | None) -> argparse.ArgumentParser:
    """The parser of all commands; the arguments are those of the one that is given."""
    parser = Parser(
        prog="wmhseg",
        allow_abbrev=False,
        description="Segments white matter hyperintensities on FLAIR and T1 brain MRI.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"wmhseg {__version__}")
    add_general(parser, top=True)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, (file, about) in _COMMANDS.items():
        command = commands.add_parser(name, help=about, description=about, allow_abbrev=False)
        if name == given:
            add_general(command)
            importlib.import_module(f"wmhseg.cli.{file}").COMMANDS[name](command)
    return parser


def _with_command(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """The command that is given, and the words with it.

    BIDS Apps are called without one, ``/bids /out participant``: a folder in its place.
    """
    given = next((word for word in words if not word.startswith("-")), None)
    if given is None or given in _COMMANDS or os.path.isfile(given):
        return given, list(words)
    if os.sep not in given and not os.path.isdir(given):
        return given, list(words)
    place = words.index(given)
    return "bids", [*words[:place], "bids", *words[place:]]


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    """The arguments; without a command, those of the challenge's layout."""
    given, words = _with_command(words)
    arguments = _parser(given).parse_args(words)
    if arguments.command is None:
        general = [word for word in words if word.startswith("-")]
        arguments = _parser("challenge").parse_args([*general, "challenge"])
    arguments.words = words
    return arguments


def _complete() -> None:
    """Answers the shell, which asks what may follow; ends the program then.

    The functions that ``wmhseg completion`` prints call the program with the line so far.
    """
    try:
        import argcomplete
    except ImportError:
        raise SystemExit(errors.EXIT_INTERNAL) from None
    words = os.environ.get("COMP_LINE", "").split()[1:]
    given = next((word for word in words if word in _COMMANDS), None)
    argcomplete.autocomplete(_parser(given))


def _terminate(number: int, _frame: object) -> None:
    # Once: a scheduler's second one must not cut the tidying up short.
    signal.signal(number, lambda *_: None)
    raise SystemExit(errors.EXIT_TERMINATED)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: Arguments without the program's name; None for those of the process.

    Returns:
        The exit code; errors have been printed as one line.
    """
    with everything_printable(), warnings.catch_warnings():
        # Commands print these sentences themselves.
        warnings.simplefilter("ignore", errors.WmhsegWarning)
        return _main(list(sys.argv[1:] if argv is None else argv))


def _main(words: list[str]) -> int:
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    debug = "--debug" in words
    # A container is stopped by SIGTERM: unwind, so that no temporary file stays. Outside the main
    # thread the host program handles signals.
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGTERM, _terminate)
    try:
        arguments = _parsed(words)
        code = int(arguments.run(arguments))
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except errors.WmhsegError as error:
        return _failed(str(error), _code(words, error), debug)
    except ModuleNotFoundError as error:
        missing = errors.missing_package(error.name or str(error))
        return _failed(str(missing), _code(words, missing), debug)
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
            full = errors.DiskFullError(
                "Room on the disk was expected for what is printed", received="a full disk"
            )
            return _failed(str(full), _code(words, full), debug)
        kind = type(error).__name__
        return _failed(
            f"internal error: {kind}: {' '.join(str(error).split())[:300]}. Run again with "
            "--debug and report what it prints.",
            errors.EXIT_INTERNAL,
            debug,
        )


def _code(words: Sequence[str], error: errors.WmhsegError) -> int:
    """What an error ends the program with; the BIDS App has codes of its own."""
    if _with_command(words)[0] != "bids":
        return error.exit_code
    from wmhseg.bids_app import exit_codes

    return exit_codes.code_of(error.exit_code)


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
        close_all()
        print(f"wmhseg: error: {message}", file=sys.stderr, flush=True)
    return code
