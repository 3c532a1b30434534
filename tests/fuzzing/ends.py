"""How an input may end: in a result, or in one clear line of one of this project's errors."""

from __future__ import annotations

import traceback

from wmhseg import errors

_LONGEST_LINE = 10_000


def check_error(error: errors.WmhsegError) -> None:
    """Raises AssertionError unless an error is one that a user can be shown."""
    line = str(error)
    clear = line.isprintable() and "Received:" in line and line.endswith((".", "!", "?"))
    assert clear, f"no clear line: {line[:200]!r}"
    assert len(line) <= _LONGEST_LINE, f"a line of {len(line)} characters: {line[:100]}"
    assert type(error).exit_code > 1, f"{type(error).__name__} has no exit code"


def told(error: BaseException) -> str:
    """What must not happen, in one line: the error and where it arose."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    places = " < ".join(f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno}" for f in reversed(frames))
    text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return ascii(f"{text} ({places})")[1:-1]
