"""What threads and processes may share of an engine.

An engine keeps the member that is current, so one thread at a time may load and predict. And an
engine's own threads do not live on in a process that was forked: whatever waits for them there
waits for ever.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from wmhseg.errors import DeviceError

_locks: WeakKeyDictionary[Any, threading.RLock] = WeakKeyDictionary()
_making_locks = threading.Lock()
_any_other = threading.RLock()
_started = False
_forked = False


def note_started() -> None:
    """To be called before an engine starts in this process."""
    global _started
    _started = True


def check_not_forked() -> None:
    """Refuses to compute where an engine's threads were left behind.

    Raises:
        DeviceError: If an engine had started in the process that this one was forked from.
    """
    if _forked:
        raise DeviceError(
            "A process of its own was expected, in which no engine had started before",
            received="one that was forked after an engine had started: its threads are not there",
            advice='Start processes by "spawn", such as '
            'multiprocessing.get_context("spawn").Pool(), or segment nothing before the fork.',
        )


def _after_fork() -> None:
    """In a forked process: locks may be held by threads that are gone, an engine's threads too."""
    global _forked, _locks, _making_locks, _any_other
    _forked = _forked or _started
    _locks, _making_locks, _any_other = WeakKeyDictionary(), threading.Lock(), threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def alone(engine: Any) -> Iterator[None]:
    """Lets one thread at a time work with an engine; the others wait."""
    with _making_locks:
        try:
            lock = _locks.setdefault(engine, threading.RLock())
        except TypeError:  # somebody's own engine that cannot be a key
            lock = _any_other
    with lock:
        yield
