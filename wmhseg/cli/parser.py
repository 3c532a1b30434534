"""What the parsers of all commands have in common. Light: ``--help`` loads nothing else of ours."""

from __future__ import annotations

import argparse
from typing import Any

from wmhseg.errors import UsageError


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors have the form of all others."""

    def error(self, message: str) -> Any:
        """Raises what is wrong, in place of ending the program.

        Raises:
            UsageError: Always.
        """
        raise UsageError(message[:1].upper() + message[1:], advice=f'See "{self.prog} --help".')


def add_general(parser: argparse.ArgumentParser, *, top: bool = False) -> None:
    """Adds the options that stand before or after the command alike.

    Args:
        parser: Of a command, or of the whole program.
        top: Whether it is that of the whole program, which gives the defaults.
    """
    missing: Any = False if top else argparse.SUPPRESS
    for *names, about in (
        ("--debug", "show the stack trace of an error"),
        ("-q", "--quiet", "print results and errors only"),
        ("-v", "--verbose", "say which model and folders are used"),
    ):
        parser.add_argument(*names, action="store_true", default=missing, help=about)


def positive(text: str) -> int:
    """A whole number above 0."""
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def share(text: str) -> float:
    """A number from 0 to below 1."""
    value = float(text)
    if not 0 <= value < 1:
        raise ValueError
    return value


# argparse says "invalid whole number above 0 value".
positive.__name__, share.__name__ = "whole number above 0", "number from 0 to below 1"
