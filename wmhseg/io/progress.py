"""How far long work is: the callback by which it says so, and a bar for the person who waits.

On a terminal there is a bar with the time that is left, by rich. Elsewhere, and without rich, a
plain line comes every quarter, of work that takes longer than a moment.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

Progress = Callable[[int, int], None]
"""Called with (done, total) after each part of the work."""

PERCENT = "%"
"""The unit of work whose parts are nothing that a person counts."""

_A_MOMENT_S = 1.0
_USUAL_STEPS = 6
_open: set[Bar] = set()


class Bar:
    """Shows how far one piece of work is. It is a ``Progress``, to be used in a ``with``."""

    def __init__(self, doing: str, unit: str, *, quiet: bool = False) -> None:
        """Shows nothing yet.

        Args:
            doing: Such as "segmenting".
            unit: What is counted, such as "slices", or PERCENT.
            quiet: Show nothing at all.
        """
        self._doing, self._unit, self._quiet = doing, unit, quiet
        self._began, self._quarters, self._told = time.monotonic(), 0, False
        self._drawn: RichProgress | None = None

    def __enter__(self) -> Bar:
        """Shows at once that the work has begun."""
        self._began = time.monotonic()
        self._draw()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Takes the bar away."""
        self.close()

    def __call__(self, done: int, total: int) -> None:
        """Shows that ``done`` of ``total`` parts are done; the total may grow."""
        if self._quiet:
            return
        if self._drawn is None:
            self._draw()
        if self._drawn is not None:
            (task,) = self._drawn.task_ids
            self._drawn.update(task, completed=done, total=total)
        elif total and 4 * done // total > self._quarters:
            self._quarters = 4 * done // total
            # That all is done is news only to those who have been told of a part.
            self._told |= done < total and time.monotonic() - self._began > _A_MOMENT_S
            if self._told:
                print(f"{self._doing}: {25 * self._quarters} %", file=sys.stderr, flush=True)
        if done >= total:
            self.close()

    def close(self) -> None:
        """Takes the bar away; nothing happens where there is none."""
        _open.discard(self)
        if self._drawn is not None:
            self._drawn.stop()
            self._drawn = None
            self._quiet = True

    def _draw(self) -> None:
        if self._quiet or not sys.stderr.isatty():
            return
        with contextlib.suppress(ImportError):  # then there are lines
            self._drawn = _rich_bar(self._doing, self._unit)
            self._drawn.start()
            _open.add(self)


def _rich_bar(doing: str, unit: str) -> RichProgress:
    # Here: nobody else waits for rich.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    counted = "{task.percentage:>3.0f} %" if unit == PERCENT else "{task.completed}/{task.total} "
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn(counted + unit.removeprefix(PERCENT), markup=False),
        TimeElapsedColumn(),
        TextColumn("left", style="dim"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,  # results go where they should
        refresh_per_second=4,
    )
    bar.add_task(doing, total=None)
    return bar


def close_all() -> None:
    """Takes every bar away, so that an error stands on a line of its own."""
    for bar in list(_open):
        bar.close()


class Tally:
    """Adds up work in parts that is planned little by little, for a ``Progress``."""

    def __init__(self, progress: Progress | None = None) -> None:
        """Begins with no work.

        Args:
            progress: Who is told; None for nobody.
        """
        self._progress = progress
        self._done = self._total = 0

    def plan(self, parts: int) -> None:
        """Adds parts that are still to be done."""
        self._total += parts

    def done(self, parts: int) -> None:
        """Says that parts are done, of those that were planned."""
        self._done = min(self._done + parts, self._total)
        if self._progress is not None:
            self._progress(self._done, self._total)

    def part(self, parts: int) -> Part:
        """Begins work that does not know beforehand in how many steps it will be done."""
        return Part(self, parts)


class Part:
    """Work of a known size in an unknown number of steps, of which few are usual."""

    def __init__(self, tally: Tally, parts: int) -> None:
        """Begins it.

        Args:
            tally: Where it is counted.
            parts: How much of the planned work it is.
        """
        self._tally, self._left = tally, parts
        self._step = max(1, parts // _USUAL_STEPS)

    def step(self) -> None:
        """Says that it goes on."""
        now = min(self._step, self._left - 1)
        if now > 0:
            self._left -= now
            self._tally.done(now)

    def finish(self) -> None:
        """Says that it is done, whatever the number of steps."""
        self._tally.done(self._left)
        self._left = 0
