"""Runs tasks in processes of their own, so that a crash costs one task and nothing else.

``concurrent.futures`` gives up all tasks when one process dies. Here each process has a pipe; one
that is killed (for want of memory, by a fault in compiled code) is replaced, and the answer to its
task is a ``Crash``. Between tasks a process stays, with what it has loaded.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

_PATIENCE_S = 8.0  # a container engine kills after ten

Work = Callable[[Any], Any]


@dataclass(frozen=True)
class Crash:
    """A process died over a task.

    Attributes:
        exit_code: Of the process; 128 and more mean a signal, as in a shell.
    """

    exit_code: int


class _Worker:
    """A process that works on one task after the other."""

    def __init__(self, work: Work) -> None:
        # Not forked: an engine's threads may be running in this process.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(work, theirs), daemon=True)
        self.process.start()
        theirs.close()  # so that its death is seen as the end of the pipe
        self.task = -1
        self._ending = False

    def give(self, index: int, task: Any) -> None:
        self.task = index
        with contextlib.suppress(OSError):  # it has died: the pipe's end will tell
            self.pipe.send(task)

    def answer(self) -> Any:
        """What came back for its task; waits for a process that has died."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join(_PATIENCE_S)
            code = self.process.exitcode
            return Crash(1 if code is None else code if code >= 0 else 128 - code)

    def terminate(self) -> None:
        """Asks it to end, once."""
        if not self._ending:
            self._ending = True
            self.process.terminate()

    def stop(self) -> None:
        """Asks it to end, which removes its temporary files, and kills it if it does not."""
        with contextlib.suppress(OSError):
            self.pipe.close()
        if self.task >= 0 and self.process.is_alive():
            self.terminate()
        self.process.join(_PATIENCE_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def run(
    tasks: Sequence[Any], work: Work, jobs: int
) -> Generator[tuple[int, Any | Crash], None, None]:
    """Works on all tasks, whatever happens to some.

    Args:
        tasks: What ``work`` takes; sent to other processes.
        work: A function of a module. It answers errors by values: what it raises is a crash.
        jobs: Processes at once.

    Yields:
        Index of a task and what ``work`` returned, or a ``Crash``; in any order. Closing the
        generator ends the processes.
    """
    waiting = list(enumerate(tasks))[::-1]
    workers: list[_Worker] = []
    try:
        for _ in range(min(jobs, len(tasks))):
            workers.append(_Worker(work))
            workers[-1].give(*waiting.pop())
        while workers:
            ready = wait([worker.pipe for worker in workers])
            for worker in [w for w in workers if w.pipe in ready]:
                index, answer = worker.task, worker.answer()
                worker.task = -1
                if isinstance(answer, Crash) or not waiting:
                    workers.remove(worker)
                    worker.stop()
                if waiting:
                    if isinstance(answer, Crash):
                        worker = _Worker(work)
                        workers.append(worker)
                    worker.give(*waiting.pop())
                yield index, answer
    finally:
        for worker in workers:
            if worker.task >= 0:
                worker.terminate()  # all at once, then one by one
        for worker in workers:
            worker.stop()


def _serve(work: Work, pipe: Connection) -> None:
    """The life of a process: tasks in, answers out, until the pipe is closed."""
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
        signal.signal(signal.SIGTERM, _terminated)
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            pipe.send(work(task))
        except (BrokenPipeError, ConnectionResetError):
            return


def _terminated(number: int, _frame: object) -> None:
    # Unwinds, so that no temporary file and no claim stays. A second one must not disturb that:
    # schedulers send it to all processes, and so does the parent, which kills in the end.
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)
