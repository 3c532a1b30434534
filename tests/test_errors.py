"""Messages of one clear line, and exit codes that the documentation lists."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from wmhseg import errors
from wmhseg.errors import WmhsegError

ROOT = Path(__file__).resolve().parents[1]


def classes() -> dict[str, type[WmhsegError]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, WmhsegError)
    }


# Classes to catch, not to raise; they have no exit code of their own.
BASES = {name for name, kind in classes().items() if kind.__subclasses__()} - {"WmhsegError"}


def test_message_has_three_parts() -> None:
    error = WmhsegError("A scan was expected", received="a mask", advice="Give the scan.")
    assert str(error) == "A scan was expected. Received: a mask. Give the scan."
    assert (error.expected, error.received, error.advice) == (
        "A scan was expected",
        "a mask",
        "Give the scan.",
    )


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        (("A scan was expected",), "A scan was expected."),
        (("A scan was expected.", "a mask.", "Sorry"), "A scan was expected. Received: a mask."),
        (("A scan was expected", 0), "A scan was expected. Received: 0."),
        (("A\n  scan\twas expected", "two\r\nlines"), "A scan was expected. Received: two lines."),
        # The dots of a path are not the end of a sentence.
        (("A folder was expected", "../.."), "A folder was expected. Received: ../.."),
        # An escape sequence in a file name must not reach the terminal, nor half a UTF-16 pair.
        (("A file was expected", "a\x1b[2Jb"), r"A file was expected. Received: a\x1b[2Jb."),
        (("A file was expected", "a\udc80"), r"A file was expected. Received: a\udc80."),
        (("A file was expected", "Größe µ"), "A file was expected. Received: Größe µ."),
    ],
)
def test_message_is_one_clear_line(parts: tuple[object, ...], line: str) -> None:
    expected, received, advice = (*parts, "", "")[:3]
    message = str(WmhsegError(str(expected), received=received, advice=str(advice)))
    assert message == line + (" Sorry." if advice else "")
    assert message.isprintable()


def test_exit_codes_differ() -> None:
    codes = {name: kind.exit_code for name, kind in classes().items() if name not in BASES}
    assert len(codes) > 20
    assert len(set(codes.values())) == len(codes)
    # 0 is success; 128 and more are deaths by signals.
    assert all(1 <= code < 126 for code in codes.values())
    assert {"InputError", "OutputError", "ModelError"} <= BASES
    assert {n for n, kind in classes().items() if "exit_code" not in vars(kind)} == BASES


def test_documented_codes_are_those_of_the_classes() -> None:
    text = (ROOT / "docs" / "exit-codes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| *(\d+) *\| *(\w*) *\| *(.+?) *\|$", text, flags=re.MULTILINE)
    documented = {name: int(code) for code, name, _ in rows if name}
    assert documented == {n: kind.exit_code for n, kind in classes().items() if n not in BASES}
    unnamed = {int(code) for code, name, _ in rows if not name}
    assert unnamed == {errors.EXIT_OK, errors.EXIT_INTERRUPTED, errors.EXIT_TERMINATED}
    assert WmhsegError.exit_code == errors.EXIT_INTERNAL


def test_families() -> None:
    """A caller can catch all that is wrong with an input, an output or a model."""
    for kind in classes().values():
        code = kind.exit_code
        assert issubclass(kind, errors.InputError) == (
            10 <= code < 30 or kind.__name__ == "InputError"
        )
        assert issubclass(kind, errors.OutputError) == (
            30 <= code < 40 or kind.__name__ == "OutputError"
        )
        assert issubclass(kind, errors.ModelError) == (
            40 <= code < 50 or kind.__name__ == "ModelError"
        )


def test_errors_travel_between_processes() -> None:
    error = errors.ChecksumError("One sum was expected", received="another", advice="Get it again.")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is errors.ChecksumError
    assert (str(back), back.received) == (str(error), "another")
