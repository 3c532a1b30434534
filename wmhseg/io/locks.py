"""Locks that belong to a whole process, and are open in a process that is forked from it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class ProcessLock:
    """Lets one thread at a time in, and itself again.

    A fork copies a lock as it is, but not the thread that holds it: in the new process nobody
    would ever open it. There it begins anew, and open.
    """

    def __init__(self) -> None:
        """Makes an open lock, which lives as long as the process."""
        self._lock = threading.RLock()
        if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.RLock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Waits for the others, and keeps them waiting inside."""
        with self._lock:
            yield
