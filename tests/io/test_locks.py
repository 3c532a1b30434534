"""Locks of a process: one thread at a time, and open in a process that is forked meanwhile."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import ROOT

from wmhseg.io.locks import ProcessLock


def test_one_thread_at_a_time_and_itself_again() -> None:
    lock, inside = ProcessLock(), list[int]()

    def work(number: int) -> int:
        with lock.held(), lock.held():
            inside.append(number)
            together = len(inside)
            time.sleep(0.001)  # the others get their turn here, if they may
            inside.remove(number)
        return together

    with ThreadPoolExecutor(4) as pool:
        assert max(pool.map(work, range(40))) == 1


FORKED = """
import os, signal, threading
from wmhseg.io.locks import ProcessLock
lock, taken, over = ProcessLock(), threading.Event(), threading.Event()
def hold():
    with lock.held():
        taken.set()
        over.wait()
threading.Thread(target=hold, daemon=True).start()
taken.wait()
child = os.fork()
if not child:
    signal.alarm(20)  # ends a process that waits for ever
    with lock.held():
        os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
over.set()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="nothing forks on Windows")
def test_open_in_a_forked_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.stdout == "7\n", done.stderr


def test_no_other_lock_waits_in_a_forked_process() -> None:
    """Locks of a module live as long as the process: all of them are of this kind."""
    makers = {
        str(path.relative_to(ROOT / "wmhseg"))
        for path in (ROOT / "wmhseg").rglob("*.py")
        if "Lock()" in path.read_text(encoding="utf-8").replace("ProcessLock()", "")
    }
    # A worker of Dask never forks: what it segments in are processes that are spawned.
    assert makers == {"io/locks.py", "engines/sharing.py", "clusters/dask_workers.py"}
