"""Keeps watch over the processes that try inputs, one a processor.

A process that dies, or takes too long over an input, or holds too much memory, is replaced by
another; that input is tried again alone. What took too long, perhaps because the machine was busy,
counts as what comes of it then, with three times the patience; the rest is a failure either way.
Where a reader has its library look at a file in a process of its own, and the library died or hung
here, the second try is made that way: a refusal is then what the package promises.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from . import work
from .report import Count, End, Report
from .targets import NAMES, name_of, target

BLOCK = 1 << 14
"""Inputs that are counted together: a run can be resumed at the beginning of a block."""

_LOOK_S = 0.03
_GUARDED_S = 60.0  # a reader that starts a process of its own, on a busy machine


@dataclass(frozen=True)
class Unit:
    """Work for one process.

    Attributes:
        target: Name of the target.
        numbers: Of its inputs.
        block: First number of their block.
        again: What the first try of an input ended with, "" before it.
    """

    target: str
    numbers: Sequence[int]
    block: int
    again: str = ""

    @property
    def guarded(self) -> bool:
        """Whether the reader's own process does what cannot be trusted."""
        return bool(self.again and target(self.target).read_guarded)

    @property
    def patience_s(self) -> float:
        """How long an input may take."""
        aim = target(self.target)
        if not self.again:
            return aim.patience_s
        return _GUARDED_S if self.guarded else 3 * aim.patience_s


@dataclass
class _Worker:
    unit: Unit
    pid: int
    pipe: int
    folder: Path
    heard: float
    done: int = 0
    text: bytes = b""
    killed: str = ""
    ends: list[End] = field(default_factory=list)


class Guard:
    """Has blocks of inputs tried."""

    def __init__(self, seed: int, jobs: int, only: Sequence[str] = NAMES) -> None:
        """Makes the corpus of each target, which all processes share."""
        self.seed, self.jobs, self.only = seed, jobs, only
        self._waiting: deque[Unit] = deque()
        self._workers: list[_Worker] = []
        self._open: dict[int, tuple[set[int], dict[str, Count]]] = {}
        for name in only:
            target(name)

    def run(self, report: Report, stop: int, until: float, notes: Path | None = None) -> None:
        """Tries inputs and counts them in whole blocks.

        Args:
            report: Is added to; begins with its ``next``.
            stop: Number to stop before.
            until: Time (monotonic) from which on no further block is begun.
            notes: Where to write the report after every few blocks.
        """
        began, before = time.monotonic(), report.seconds
        used, used_before = _processor_s(), report.processor_s
        blocks = iter(range(report.next, stop, BLOCK))
        more = True
        try:
            while more or self._waiting or self._workers:
                if more and len(self._waiting) < self.jobs:
                    block = next(blocks, None) if time.monotonic() < until else None
                    more = block is not None
                    if block is not None:
                        self._begin(block, min(stop, block + BLOCK))
                while self._waiting and len(self._workers) < self.jobs:
                    self._workers.append(self._start(self._waiting.popleft()))
                self._look()
                report.seconds = before + time.monotonic() - began
                report.processor_s = used_before + _processor_s() - used
                if self._close(report, stop) and notes is not None:
                    report.write(notes)
                time.sleep(_LOOK_S)
        finally:
            for worker in self._workers:
                self._kill(worker, "the run ends")
                self._bury(worker)

    def try_one(self, name: str, number: int) -> End:
        """Tries one input."""
        ends: list[End] = []
        waiting = [Unit(name, [number], 0)]
        while waiting:
            worker = self._start(waiting.pop())
            while not self._over(worker):
                time.sleep(_LOOK_S)
            ends += worker.ends
            waiting += self._bury(worker)
        return ends[-1]

    def _begin(self, block: int, stop: int) -> None:
        numbers: dict[str, list[int]] = {name: [] for name in self.only}
        for number in range(block, stop):
            numbers.get(name_of(number), []).append(number)
        units = [Unit(name, some, block) for name, some in numbers.items() if some]
        self._open[block] = ({n for unit in units for n in unit.numbers}, {})
        self._waiting += units

    def _close(self, report: Report, stop: int) -> bool:
        """Counts the blocks that are complete, in their order."""
        closed = False
        while report.next in self._open and not self._open[report.next][0]:
            for name, count in self._open.pop(report.next)[1].items():
                report.counts[name].merge(count)
            report.next = min(stop, report.next + BLOCK)
            closed = True
        return closed

    def _start(self, unit: Unit) -> _Worker:
        folder = Path(tempfile.mkdtemp(prefix="wmhseg-fuzz-"))
        reading, writing = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                os.setsid()  # what it starts ends with it
                os.close(reading)
                tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
                aim = target(unit.target)
                work.run(aim, self.seed, unit.numbers, writing, guarded=unit.guarded)
            except BaseException as error:
                with open(folder / "trace", "a") as trace:
                    trace.write(f"{type(error).__name__}: {error}\n")
                os._exit(70)
            os._exit(0)
        os.close(writing)
        os.set_blocking(reading, False)
        return _Worker(unit, pid, reading, folder, time.monotonic())

    def _look(self) -> None:
        for worker in [worker for worker in self._workers if self._over(worker)]:
            self._workers.remove(worker)
            self._waiting.extendleft(self._bury(worker))
            numbers, counts = self._open[worker.unit.block]
            for end in worker.ends:
                numbers.discard(end.number)
                counts.setdefault(end.target, Count()).add(end, self.seed)

    def _over(self, worker: _Worker) -> bool:
        """Listens to a process; whether it has said its last."""
        said = None
        with contextlib.suppress(BlockingIOError):
            while said := os.read(worker.pipe, 1 << 16):
                worker.text += said
                worker.heard = time.monotonic()
        *lines, worker.text = worker.text.split(b"\n")
        unit = worker.unit
        for line in lines:
            number, how, seconds, peak = line.decode().split("\t")
            if unit.again and not unit.guarded and not unit.again.startswith("hang"):
                # What came before it in that process brought it about: no less a fault.
                how = f"{work.FAILED}{unit.again}; alone it ended as {how}"
            end = End(unit.target, int(number), how, float(seconds), int(peak), unit.guarded)
            worker.ends.append(end)
            worker.done += 1
        if said == b"":
            return True
        if time.monotonic() - worker.heard > unit.patience_s:
            self._kill(worker, f"hang of more than {unit.patience_s:g} s")
        elif _resident_bytes(worker.pid) > work.RESIDENT_BYTES:
            self._kill(worker, f"more than {work.RESIDENT_BYTES >> 20} MB resident")
        return False

    def _kill(self, worker: _Worker, why: str) -> None:
        """Ends a process, at first in a way that has it say where it stands."""
        number = signal.SIGKILL if worker.killed else signal.SIGABRT
        worker.killed = worker.killed or why
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, number)
        worker.heard = time.monotonic() - worker.unit.patience_s + 1  # a second to obey

    def _bury(self, worker: _Worker) -> Iterator[Unit]:
        """Cleans up behind a process; what is left of its work."""
        if worker.killed == "the run ends":
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)
        _, status = os.waitpid(worker.pid, 0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        os.close(worker.pipe)
        left = list(worker.unit.numbers[worker.done :])
        why = worker.killed or f"death by {_cause(status)}"
        if left:
            with contextlib.suppress(OSError):
                trace = (worker.folder / "trace").read_text("utf-8", "replace")
                frames = [line.strip() for line in trace.splitlines() if line.strip()]
                why = ascii(f"{why}: {' < '.join(frames[:5])}"[:500])[1:-1]
        shutil.rmtree(worker.folder, ignore_errors=True)
        if not left or worker.killed == "the run ends":
            return iter(())
        return self._second_try(worker, left, why)

    def _second_try(self, worker: _Worker, left: Sequence[int], why: str) -> Iterator[Unit]:
        unit = worker.unit
        if unit.again:
            hung = worker.killed.startswith("hang")
            how = f"{work.FAILED}{why}; before: {unit.again}"
            worker.ends.append(
                End(unit.target, left[0], how, unit.patience_s, guarded=True, hung=hung)
            )
        else:
            yield replace(unit, numbers=left[:1], again=why)
        if left[1:]:
            yield replace(unit, numbers=left[1:])


def _processor_s() -> float:
    """Time of this process and of those that it has seen the end of."""
    return sum(os.times()[:4])


def _cause(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return signal.Signals(-code).name if code < 0 else f"exit {code}"


def _resident_bytes(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError), open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
