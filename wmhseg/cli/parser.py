"""What the parsers of all commands have in common. Light: ``--help`` loads nothing else of ours."""

from __future__ import annotations

import argparse
import difflib
import math
import re
from collections.abc import Iterable
from typing import Any

from wmhseg.deprecation import Deprecation
from wmhseg.errors import UsageError


class _Help(argparse.HelpFormatter):
    """Help that tells the defaults, and leaves examples as they are written."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = text.splitlines()
        return text if len(lines) > 1 else super()._fill_text(text, width, indent)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help
        told = text is None or "default" in text or "%(default)s" in text
        plain = isinstance(action.default, (str, int, float)) and not isinstance(
            action.default, bool
        )
        if told or not plain or action.default in ("", argparse.SUPPRESS):
            return text
        return f"{text} (default: %(default)s)"


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors have the form of all others, and whose help has examples."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        """Takes what an ``ArgumentParser`` takes."""
        settings.setdefault("formatter_class", _Help)
        super().__init__(*args, **settings)
        self._words: list[str] = []

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Keeps the words, so that an error can tell which of them is near to an option."""
        self._words = list(args or ())
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> Any:
        """Raises what is wrong, in place of ending the program.

        Raises:
            UsageError: Always.
        """
        owner = self._owner()
        see, known = f'See "{owner.prog} --help".', owner._option_string_actions
        for word in self._words:
            option = word.partition("=")[0]
            if option.startswith("--") and option not in {**known, **self._option_string_actions}:
                raise UsageError(
                    f'An option of "{owner.prog}" was expected',
                    received=option,
                    advice=_nearest(option, known) + see,
                )
        for pattern, expected in _SENTENCES:
            found = re.fullmatch(pattern, message, re.DOTALL)
            if found:
                parts = {"choices": "", "received": "", **found.groupdict()}
                words = [name.strip(" '") for name in parts["choices"].split(",")]
                choices = [word for word in words if word]
                were = "were" if ", " in parts.get("name", "") else "was"
                raise UsageError(
                    expected.format(**parts | {"choices": ", ".join(choices), "were": were}),
                    received=parts["received"] or " ".join(self._words) or "nothing",
                    advice=_nearest(parts["received"], choices) + see,
                )
        raise UsageError(message[:1].upper() + message[1:], advice=see)

    def _owner(self) -> Parser:
        """The parser of the command that was given, or this one."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                given = next((word for word in self._words if word in action.choices), None)
                if given is not None:
                    owner: Parser = action.choices[given]
                    return owner
        return self


# What argparse says -> what was expected.
_SENTENCES = (
    (
        r"argument (?P<name>\S+): invalid choice: '?(?P<received>.*?)'? "
        r"\(choose from (?P<choices>.*)\)",
        "{name}: one of {choices} was expected",
    ),
    (
        r"argument (?P<name>\S+): invalid (?P<kind>.*) value: '(?P<received>.*)'",
        "{name}: {kind} was expected",
    ),
    (r"argument (?P<name>\S+): expected one argument", "A value after {name} was expected"),
    (r"the following arguments are required: (?P<name>.*)", "{name} {were} expected"),
    (r"unrecognized arguments: (?P<received>.*)", "Nothing more was expected"),
)


def _nearest(word: str, known: Iterable[str]) -> str:
    """A question, if a known word is near to one that was given."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"Did you mean {near[0]}? " if near else ""


def examples(parser: argparse.ArgumentParser, *lines: str) -> None:
    """Puts command lines below a command's help.

    Args:
        parser: The command's.
        *lines: Without the program's name.
    """
    parser.epilog = "\n".join(["examples:", *(f"  wmhseg {line}" for line in lines)])


class _Renamed(argparse.Action):
    """The old name of an option: does what the option does, and says that it goes."""

    def __init__(self, *args: Any, target: argparse.Action, going: Deprecation, **more: Any):
        super().__init__(*args, **more)
        self._target, self._going = target, going

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        self._going.say()
        self._target(parser, namespace, values, self._going.new)


def add_renamed(parser: argparse.ArgumentParser, going: Deprecation) -> None:
    """Lets an option's old name work on; the help does not show it.

    Args:
        parser: The command's, which has the option under its new name.
        going: The old and the new name.

    Raises:
        ValueError: The option has to be given always, under its new name.
    """
    target = parser._option_string_actions[going.new]
    if target.required:
        raise ValueError(f"{going.new} is required: argparse knows no other name of such an option")
    parser.add_argument(
        going.old,
        action=_Renamed,
        target=target,
        going=going,
        dest=target.dest,
        nargs=target.nargs,
        type=target.type,  # type: ignore[arg-type]  # None is no type, as for argparse itself
        choices=target.choices,
        default=argparse.SUPPRESS,
        help=argparse.SUPPRESS,
    )


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


def whole(text: str) -> int:
    """A whole number."""
    return int(text)


def number(text: str) -> float:
    """A number."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


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


# What is said to be expected when they fail.
whole.__name__, number.__name__ = "a whole number", "a number"
positive.__name__, share.__name__ = "a whole number above 0", "a number from 0 to below 1"
