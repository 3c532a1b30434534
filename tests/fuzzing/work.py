"""The work of one process: makes inputs by their numbers, tries them and tells how each ended."""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from wmhseg.errors import WmhsegError

from . import ends
from .targets import Files, Target

ADDRESS_SPACE_BYTES = 4 << 30
RESIDENT_BYTES = 1 << 30
FAILED = "!"
"""Begins what must not happen; anything else is "read" or the name of a class of errors."""


def run(target: Target, seed: int, numbers: Sequence[int], out: int, *, guarded: bool) -> None:
    """Tries inputs one after the other.

    Args:
        target: What is tried.
        seed: Of the inputs.
        numbers: Their numbers.
        out: File descriptor; a line an input is written to it: number, end, seconds, peak in kB.
        guarded: Use the whole reader where the target has two.
    """
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    folder = Path(tempfile.gettempdir())
    with open(folder / "trace", "wb") as trace, open(folder / "printed", "w+b") as printed:
        faulthandler.enable(trace)
        for descriptor in (1, 2):
            os.dup2(printed.fileno(), descriptor)
        status = os.open("/proc/self/status", os.O_RDONLY)
        warnings.simplefilter("error")
        place = folder / "model"
        place.mkdir()
        for number in numbers:
            given = target.made(seed, number)
            began = time.monotonic()
            # What may hang is stopped after what it takes a processor, not others.
            signal.setitimer(signal.ITIMER_PROF, 0 if guarded else target.processor_s)
            end = attempt(target, place, given, guarded=guarded)
            signal.setitimer(signal.ITIMER_PROF, 0)
            seconds = time.monotonic() - began
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            if os.fstat(printed.fileno()).st_size:
                said = os.pread(printed.fileno(), 200, 0)
                end = f"{FAILED}printed {said!r}"
                os.truncate(printed.fileno(), 0)
                os.lseek(printed.fileno(), 0, os.SEEK_SET)
            peak = _peak_kb(status)
            if peak << 10 > RESIDENT_BYTES:
                end = f"{FAILED}{peak >> 10} MB resident"
            os.write(out, f"{number}\t{end}\t{seconds:.6f}\t{peak}\n".encode())


def attempt(target: Target, place: Path, given: Files, *, guarded: bool = False) -> str:
    """Tries one input.

    Args:
        target: What is tried.
        place: An empty folder; it is empty afterwards.
        given: The input.
        guarded: As of ``run``.

    Returns:
        How it ended.
    """
    read = target.read_guarded if guarded and target.read_guarded else target.read
    try:
        for name, content in given.items():
            (place / name).write_bytes(content)
        read(place, given)
    except WmhsegError as error:
        try:
            ends.check_error(error)
        except AssertionError as unclear:
            return FAILED + ends.told(unclear)
        return type(error).__name__
    except BaseException as error:
        return FAILED + ends.told(error)
    finally:
        left = []
        for path in place.iterdir():
            path.unlink()
            if path.name not in given:
                left.append(path.name)
    return f"{FAILED}left {left} behind" if left else "read"


def _peak_kb(status: int) -> int:
    """Most memory this process has held. That of ``getrusage`` counts the one that started it."""
    text = os.pread(status, 4096, 0)
    return int(text[text.index(b"VmHWM:") + 6 :].split(None, 1)[0])
