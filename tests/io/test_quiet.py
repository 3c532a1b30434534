"""What is held back from standard error, and that nothing else is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import suppress

import pytest

from wmhseg.io.quiet import without_chatter


def test_everything_is_dropped_inside_and_nothing_after(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with suppress(KeyError), without_chatter():
        os.write(2, b"inside\n")
        raise KeyError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_only_the_chatter_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    with without_chatter(re.compile(rb"pages?\n")):
        os.write(2, b"page\nsomething else\npages\n")
    assert capfd.readouterr().err == "something else\n"


def test_without_standard_error_nothing_happens() -> None:
    code = (
        "import os, re; from wmhseg.io.quiet import without_chatter as quiet; os.close(2)\n"
        "with quiet(re.compile(b'x')): done = 1\n"
        "with quiet(): done += 1\n"
        "print(done)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "2\n"


def test_a_full_disk_behind_standard_error_is_no_failure() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    code = (
        "import os, re; from wmhseg.io.quiet import without_chatter as quiet\n"
        "with quiet(re.compile(b'x')): os.write(2, b'y')\n"
        "print('done')"
    )
    with open("/dev/full", "wb") as full:
        run = subprocess.run(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=full, text=True, check=True
        )
    assert run.stdout == "done\n"
