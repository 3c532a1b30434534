"""What a person sees of long work: a bar on a terminal, few lines elsewhere."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from wmhseg.cli.console import Console
from wmhseg.io import progress
from wmhseg.io.progress import PERCENT, Bar, Tally


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Time passes when it is told to."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return lambda seconds: now.__setitem__(0, now[0] + seconds)


def seen(text: str) -> str:
    """Without what steers a terminal."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


@pytest.mark.parametrize(("unit", "shown"), [("slices", "3/4 slices"), (PERCENT, "75 %")])
def test_a_bar_on_a_terminal(unit: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with Console().progress("segmenting", unit) as show:
        show(3, 4)
        assert show._drawn is not None
        show._drawn.refresh()
        during = seen(terminal.getvalue())
        print("a line", file=sys.stderr)
    assert sys.stderr is terminal
    assert "segmenting" in during
    assert shown in during
    assert "left" in during
    assert re.search(r"\d:\d\d:\d\d", during)  # time passed, and left
    assert "a line" in terminal.getvalue()
    assert terminal.getvalue().rstrip().endswith(("\x1b[?25h", "\x1b[2K"))  # the cursor is back


def test_an_error_takes_the_bar_away(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    bar = Bar("working", "parts")
    bar(1, 3)
    progress.close_all()
    assert sys.stderr is terminal
    assert "\x1b[?25h" in terminal.getvalue()
    length = len(terminal.getvalue())
    bar(2, 3)  # nothing begins again
    assert len(terminal.getvalue()) == length


def test_few_lines_elsewhere(
    capsys: pytest.CaptureFixture[str], clock: Callable[[float], None]
) -> None:
    with Bar("working", "parts") as show:
        for done in range(1, 101):
            clock(0.05)
            show(done, 100)
    assert capsys.readouterr() == ("", "".join(f"working: {q} %\n" for q in (25, 50, 75, 100)))


def test_what_takes_a_moment_is_not_told(
    capsys: pytest.CaptureFixture[str], clock: Callable[[float], None]
) -> None:
    with Bar("working", "parts") as show:
        for done in range(5):
            clock(0.1)
            show(done, 4)
    with Bar("working", "parts") as show:
        clock(9)
        show(1, 1)  # nobody has heard of it before
    with Bar("working", "parts", quiet=True) as show:
        for done in range(5):
            clock(9)
            show(done, 4)
    assert capsys.readouterr() == ("", "")


def test_without_rich_there_are_lines(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    clock: Callable[[float], None],
) -> None:
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Bar("working", "parts") as show:
        clock(2)
        show(1, 2)
    assert capsys.readouterr().err == "working: 50 %\n"


def test_parts_add_up_to_the_whole() -> None:
    told: list[tuple[int, int]] = []
    tally = Tally(lambda done, total: told.append((done, total)))
    tally.plan(10)
    tally.done(4)
    tally.plan(60)
    part = tally.part(60)
    for _ in range(9):  # more steps than usual
        part.step()
    part.finish()
    tally.done(6)
    assert told[0] == (4, 10)
    assert told[-1] == (70, 70)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert all(done <= total for done, total in told)
    Tally().done(1)  # told to nobody


def test_help_does_not_wait_for_rich() -> None:
    code = "import sys, wmhseg.cli.main, wmhseg.cli.segment; print('rich' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout == "False\n"


def test_every_step_of_a_segmentation_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading, bias and registration of a raw pair."""
    from dataclasses import replace

    from lopsided_head import pair

    from wmhseg.segmentation import options, pipeline

    flair, t1 = pair()
    x, y, z = t1.grid.origin_mm
    aside = replace(t1, grid=replace(t1.grid, origin_mm=(x + 2, y, z)))
    told: list[tuple[int, int]] = []
    chosen = options.Options(on_unsuitable="warn")

    def show(done: int, total: int) -> None:
        told.append((done, total))

    segmenter = pipeline.Segmenter(options=chosen)
    loaded = segmenter.load(flair, aside, progress=show)
    assert told[-1][0] == told[-1][1]
    assert len(told) > 10
    assert len({total for _, total in told}) == 1  # a bar never goes back
    silent: Any = segmenter.load(flair, aside).aligned.steps.registration.result
    assert loaded.aligned.steps.registration.result == silent  # being told changes nothing


def test_a_search_that_starts_again_is_planned_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    from lopsided_head import pair

    from wmhseg.preparation import registration

    monkeypatch.setattr(registration, "_climb", lambda _pair, start, *_: (start, 0.0))
    monkeypatch.setattr(registration, "_agreement", lambda *_: 0.0)
    told: list[tuple[int, int]] = []
    tally = Tally(lambda done, total: told.append((done, total)))
    tally.plan(registration.PARTS)
    assert not registration.register(*pair(), tally).succeeded
    assert told[0][1] == registration.PARTS < told[-1][1]
    assert told[-1][0] == told[-1][1]
    assert sum(done == total for done, total in told) == 2  # of the first search, and of all
