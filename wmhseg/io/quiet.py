"""Keeps what compiled code writes straight to standard error from the user."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

from wmhseg.io.locks import ProcessLock

# Standard error belongs to the whole process.
_ONE_AT_A_TIME = ProcessLock()


@contextlib.contextmanager
def without_chatter(chatter: re.Pattern[bytes] | None = None) -> Iterator[None]:
    """Holds back what is written to file descriptor 2 inside, by any thread.

    Python's ``sys.stderr`` cannot be used for that, as compiled code writes past it. What is
    raised inside still says what went wrong.

    Args:
        chatter: What is dropped; the rest, such as a line of another thread, is written when the
            block ends. None drops everything.
    """
    with _ONE_AT_A_TIME.held(), contextlib.ExitStack() as stack:
        try:
            kept = os.dup(2)
            stack.callback(os.close, kept)
            held = stack.enter_context(tempfile.TemporaryFile())
        except OSError:  # standard error is closed, or there is nowhere to hold it
            yield
            return
        # What waits to be written is no chatter; there may be no such stream, or a full disk.
        with contextlib.suppress(AttributeError, OSError, ValueError):
            sys.stderr.flush()
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            if chatter is not None:
                held.seek(0)
                _write_all(chatter.sub(b"", held.read()))


def _write_all(text: bytes) -> None:
    with contextlib.suppress(OSError):  # standard error may lead to a full disk
        while text:
            text = text[os.write(2, text) :]
