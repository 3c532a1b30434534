"""Processes that die cost one task each."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from batch_work import double, sleep

from wmhseg.batch import workers
from wmhseg.batch.workers import Crash


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_crash_costs_its_own_task(jobs: int) -> None:
    tasks = [1, 13, 2, 14, 3, 15, 4]
    found = dict(workers.run(tasks, double, jobs))
    assert sorted(found) == list(range(7))
    assert found[1] == Crash(128 + 9)
    assert found[3] == Crash(7)
    assert found[5] == Crash(1)
    assert [found[i][1] for i in (0, 2, 4, 6)] == [2, 4, 6, 8]


def test_a_process_stays_for_the_next_task() -> None:
    found = [answer[0] for _, answer in workers.run([1, 2, 3], double, 1)]
    assert len(set(found)) == 1


def test_no_tasks() -> None:
    assert list(workers.run([], double, 4)) == []


def test_a_second_signal_does_not_cut_tidying_short(tmp_path: Path) -> None:
    """A scheduler tells every process of a job, and so does the parent of some of them."""
    answers = workers.run([str(tmp_path / "part")], sleep, 1)

    def tell() -> None:
        while not (tmp_path / "part").exists():
            time.sleep(0.05)
        (worker,) = multiprocessing.active_children()
        for _ in range(3):
            worker.terminate()
            time.sleep(0.1)

    threading.Thread(target=tell, daemon=True).start()
    assert list(answers) == [(0, Crash(143))]
    assert not (tmp_path / "part").exists()


def test_closing_ends_what_runs(tmp_path: Path) -> None:
    """SIGTERM first, so that a temporary file is removed."""
    answers = workers.run([str(tmp_path / "part"), str(tmp_path / "next")], sleep, 1)
    begun: list[float] = []

    def interrupt() -> None:
        while not (tmp_path / "part").exists():
            time.sleep(0.05)
        begun.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    # A test run in the background of a shell is started with Ctrl-C ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Thread(target=interrupt, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            next(answers)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - begun[0] < 20  # of the minute that the task would take
    assert not (tmp_path / "part").exists()
    assert not (tmp_path / "next").exists()
