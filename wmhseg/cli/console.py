"""What a person sees while a command runs: results on stdout, everything else on stderr."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from collections.abc import Iterator
from typing import Any

from wmhseg import records
from wmhseg.io.progress import PERCENT, Bar, close_all


class Console:
    """Prints to the right place, no more than was asked for."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        """Makes a console.

        Args:
            quiet: Print results, warnings and errors only.
            verbose: Print every step.
        """
        self.quiet, self.verbose = quiet, verbose

    def say(self, line: str) -> None:
        """Prints a line that is not a result."""
        if not self.quiet:
            print(line, file=sys.stderr, flush=True)

    def warn(self, line: str) -> None:
        """Prints a warning, quiet or not."""
        print(f"wmhseg: warning: {line}", file=sys.stderr, flush=True)

    def progress(self, doing: str, unit: str = PERCENT) -> Bar:
        """Shows how far work is: ``with console.progress("scoring", "cases") as show``.

        Args:
            doing: Such as "segmenting".
            unit: What is counted, such as "slices".
        """
        return Bar(doing, unit, quiet=self.quiet)


@contextlib.contextmanager
def everything_printable() -> Iterator[None]:
    """What a terminal's encoding cannot express is printed as an escape, and is no error.

    Names of files hold what they hold: Latin-1 in an UTF-8 terminal, umlauts in an ASCII one.
    """
    changed: list[tuple[io.TextIOWrapper, str]] = []
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            changed.append((stream, stream.errors or "strict"))
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:  # a program that called main() keeps its own ways
        close_all()
        for stream, before in changed:
            with contextlib.suppress(OSError, ValueError):  # a full disk, or closed meanwhile
                stream.reconfigure(errors=before)


def console_of(arguments: argparse.Namespace) -> Console:
    """The console that ``--quiet`` and ``--verbose`` ask for."""
    return Console(quiet=arguments.quiet, verbose=arguments.verbose)


def print_json(content: Any) -> None:
    """Prints plain values as JSON."""
    print_json_text(records.json_text(content))


def print_json_text(text: str) -> None:
    """Prints JSON that is JSON in a terminal of any encoding."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:  # an escape of Python's, such as "\xe4", is none of JSON's
        text = "".join(c if c.isascii() else json.dumps(c)[1:-1] for c in text)
    print(text, end="")
