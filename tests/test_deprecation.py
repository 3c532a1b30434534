"""What goes in a later version works on, and is told once, in one line."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator

import pytest

from wmhseg import deprecation
from wmhseg.cli.parser import Parser, add_renamed, number
from wmhseg.deprecation import Deprecation
from wmhseg.errors import UsageError

GOING = Deprecation("--lesions", "--min-lesion", since="1.1", until="2.0")
LINE = (
    "wmhseg: warning: --lesions is deprecated since version 1.1 and goes with version 2.0. "
    "Use --min-lesion.\n"
)


@pytest.fixture(autouse=True)
def _nothing_told() -> Iterator[None]:
    before = set(deprecation._TOLD)
    deprecation._TOLD.clear()
    yield
    deprecation._TOLD.clear()
    deprecation._TOLD.update(before)


def parser() -> argparse.ArgumentParser:
    """A command with an option that had another name, a switch, and a list."""
    made = Parser(prog="wmhseg segment")
    made.add_argument("--min-lesion", type=number, default=3.0, metavar="MM3", help="smallest")
    made.add_argument("--quiet", action="store_true")
    made.add_argument("--flips", choices=("on", "off"), default="off")
    add_renamed(made, GOING)
    add_renamed(made, Deprecation("--silent", "--quiet", since="1.1", until="2.0"))
    add_renamed(made, Deprecation("--mirror", "--flips", since="1.1", until="2.0"))
    return made


def test_the_old_name_does_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    old = parser().parse_args(["--lesions", "7", "--silent", "--mirror", "on"])
    assert old == parser().parse_args(["--min-lesion", "7", "--quiet", "--flips", "on"])
    assert parser().parse_args([]) == argparse.Namespace(min_lesion=3.0, quiet=False, flips="off")
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(LINE)
    assert told.err.count("\n") == 3


def test_it_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        parser().parse_args(["--lesions", "7", "--lesions=8"])
    assert capsys.readouterr().err == LINE
    parser().parse_args(["--min-lesion", "7"])
    assert capsys.readouterr().err == ""


def test_what_is_wrong_is_told_as_ever() -> None:
    with pytest.raises(UsageError, match=r"--lesions: a number was expected\. Received: many"):
        parser().parse_args(["--lesions", "many"])
    with pytest.raises(UsageError, match=r"one of on, off was expected\. Received: left"):
        parser().parse_args(["--mirror", "left"])


def test_help_shows_the_new_name_alone() -> None:
    shown = parser().format_help()
    assert "--min-lesion" in shown
    assert "--lesions" not in shown


def test_an_option_that_must_be_given_is_refused() -> None:
    made = Parser(prog="wmhseg segment")
    made.add_argument("--min-lesion", required=True)
    with pytest.raises(ValueError, match="--min-lesion is required"):
        add_renamed(made, GOING)


def test_python_names_the_line_that_uses_it() -> None:
    going = Deprecation("wmhseg.Scanner", "wmhseg.Scan", since="1.1", until="2.0")

    def old_name() -> None:
        going.warn()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        old_name()
        old_name()
    (one,) = caught
    assert one.category is DeprecationWarning
    assert one.filename == __file__
    assert str(one.message) == (
        "wmhseg.Scanner is deprecated since version 1.1 and goes with version 2.0. Use wmhseg.Scan."
    )
