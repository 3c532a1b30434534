"""Messages of one clear line, and exit codes that the documentation lists."""

from __future__ import annotations

import ast
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


def test_a_message_stays_short_whatever_was_received() -> None:
    """Found by the fuzzer: the columns of a damaged table were printed, all 30,000 of them."""
    error = WmhsegError("A table was expected", received="\x1b, " * 50_000, advice="Look.")
    assert len(str(error)) < 4000
    assert str(error).endswith(" characters in all). Look.")
    assert len(error.received) == 150_000
    assert "…" not in str(WmhsegError("x" * 2999))
    assert len(str(WmhsegError("A file was expected", received="\U000e0001" * 2000))) < 4000


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


def test_no_code_is_one_that_others_use() -> None:
    """16 to 31 and 64 to 78: the BIDS execution draft; 125: Docker; 126 and above: shells."""
    ours = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert {130, 143} < ours
    theirs = {kind.exit_code for kind in errors.BidsError.__subclasses__()}
    assert theirs == {16, 17, 18}  # what the draft means by them
    ours |= {kind.exit_code for kind in classes().values()} - theirs
    taken = {*range(16, 32), *range(64, 79), *range(125, 256)} - {130, 143}
    assert ours & taken == set()


def raised() -> list[tuple[str, str]]:
    """Place and name of every class that the package and its experiments raise."""
    found = []
    for folder in ("wmhseg", "evaluation"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                    name = ast.unparse(node.exc.func).rpartition(".")[2]
                    found.append((f"{path.relative_to(ROOT)}:{node.lineno}", name))
    return found


def test_bases_are_never_raised() -> None:
    """What a user meets has a code of its own."""
    names = raised()
    assert len(names) > 100
    assert [(place, name) for place, name in names if name in BASES | {"WmhsegError"}] == []


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
    families = {
        "InputError": range(80, 96),
        "OutputError": range(96, 98),
        "ModelError": range(100, 105),
        "EvaluationError": (111, 112, 113, 114, 116),
        "TrainingError": range(119, 124),
        "BidsError": range(16, 19),
    }
    assert set(families) == BASES
    for name, kind in classes().items():
        for family, codes in families.items():
            member = issubclass(kind, getattr(errors, family))
            assert member == (kind.exit_code in codes or name == family)


def test_errors_travel_between_processes() -> None:
    error = errors.ChecksumError("One sum was expected", received="another", advice="Get it again.")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is errors.ChecksumError
    assert (str(back), back.received) == (str(error), "another")
