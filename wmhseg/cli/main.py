"""The command line: arguments in, one public function called, an exit code out.

Each command has a file here, named as it is or as its kind. Heavy packages are imported inside
the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from wmhseg import errors
from wmhseg.cli import batch, challenge, check, demo, models, scoring, segment, training
from wmhseg.cli.options import Commands, add_general
from wmhseg.version import __version__

# In the order of the help.
_COMMANDS = (segment, challenge, models, check, batch, scoring, training, demo)

_EPILOG = """\
Without a command, wmhseg runs the challenge layout: /input/pre/FLAIR.nii.gz and T1.nii.gz are
segmented to /output/result.nii.gz.

exit codes: 0 done; 1 internal error; 2 wrong arguments; 80-95 input files; 96-97 output;
100-103 models; 110 device; 111-116 evaluation and batch; 120-123 training; 130 interrupted;
143 terminated.
docs/exit-codes.md lists them all.

For research. Not a medical device; not for diagnosis."""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors have the form of all others."""

    def error(self, message: str) -> Any:
        raise errors.UsageError(
            message[:1].upper() + message[1:], advice=f'See "{self.prog} --help".'
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
    add_general(parser, top=True)
    commands = Commands(parser)
    for module in _COMMANDS:
        module.add_to(commands)
    return parser


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
