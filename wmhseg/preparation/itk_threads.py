"""Keeps ITK's iterative methods to one thread, so that equal scans give equal bits everywhere.

Sums of several threads are rounded in an order that depends on their number. Setting the threads of
one method is not enough: some of its parts ask for the process's setting.
"""

# SimpleITK comes without type hints.
# mypy: untyped-calls-exclude="SimpleITK"

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from SimpleITK import ProcessObject

from wmhseg.io.locks import ProcessLock

_ONE_AT_A_TIME = ProcessLock()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Has ITK use one thread inside; other Python threads wait for their turn."""
    with _ONE_AT_A_TIME.held():
        usual = ProcessObject.GetGlobalDefaultNumberOfThreads()
        ProcessObject.SetGlobalDefaultNumberOfThreads(1)
        try:
            yield
        finally:
            ProcessObject.SetGlobalDefaultNumberOfThreads(usual)
