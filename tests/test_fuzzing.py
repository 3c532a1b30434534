"""The fuzzer's guard sees what goes wrong, and a part of what ``make fuzz`` tries goes well."""

from __future__ import annotations

import ctypes
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
from conftest import ROOT
from fuzzing import ends, hdf5_bytes, targets
from fuzzing.report import Count, End, Report, earlier

from wmhseg.errors import TableError, WmhsegError

_NEWER = 5  # an input of hdf5 in the newer layout, with seed 3
_BAD = "presets"  # a target whose place the one below takes


def _fuzz(*words: str | Path, code: str = "") -> subprocess.CompletedProcess[str]:
    """Runs the fuzzer in a process of its own: this one has threads, and is not to be forked."""
    run = "from fuzzing.__main__ import main; raise SystemExit(main())"
    return subprocess.run(
        [sys.executable, "-c", f"{code}\n{run}", *map(str, words)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        timeout=1200,
    )


@pytest.mark.slow
def test_some_seconds_of_fuzzing(tmp_path: Path) -> None:
    """Every reader, from a corpus that reaches its branches; the number is fixed, not the time."""
    report = tmp_path / "report.json"
    done = _fuzz("--inputs", 10_000, "--seed", 2026, "--report", report, "--keep", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(report.read_text())
    assert (told["inputs"], told["failed"], told["next"]) == (10_000, 0, 10_000)
    for name, count in told["counts"].items():
        assert count["ends"]["read"] >= 20, f"{name}: too few inputs are good"
        refused = sum(count["ends"].values()) - count["ends"]["read"]
        assert refused >= 100, f"{name}: too few inputs are bad"
        assert 0 < count["peak_kb"] < 1 << 20
    kinds = {kind for count in told["counts"].values() for kind in count["ends"]}
    assert len(kinds) >= 12


def _hang() -> None:
    while True:
        pass


def _grow() -> None:
    held = bytearray(300 << 20)
    held[::4096] = b"x" * len(held[::4096])
    time.sleep(60)


def _die_once(mark: Path) -> None:
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


_FAULTS: tuple[Callable[[Path], object], ...] = (
    lambda folder: {}["a key that is not there"],
    lambda folder: ctypes.string_at(0),
    lambda folder: _hang(),
    lambda folder: _grow(),
    lambda folder: os.write(2, b"chatter of a library"),
    lambda folder: (folder / "left").touch(),
    lambda folder: _die_once(Path(os.environ["ONCE"])),
)
_ERRORS = (
    WmhsegError("no code of its own", received="x"),
    TableError("bad, and not what was received"),
    TableError("A table was expected", received="none"),
)


def _misbehave(folder: Path, given: targets.Files) -> None:
    """What must not happen, by the number of the input; nothing for the last ones."""
    number = int(given["number"])
    if number < len(_FAULTS):
        _FAULTS[number](folder)
    elif number < len(_FAULTS) + len(_ERRORS):
        raise _ERRORS[number - len(_FAULTS)]


def bad_target(*, guarded: bool = False) -> targets.Target:
    """Stands in for another target in the process that ``_fuzz`` starts."""
    return targets.Target(
        _BAD,
        [],
        lambda rng, corpus: {},
        _misbehave,
        (),
        patience_s=3.0,
        read_guarded=(
            lambda folder, given: _misbehave(folder, {"number": b"%d" % (len(_FAULTS) + 2)})
        )
        if guarded
        else None,
    )


_WITH_BAD = """
import test_fuzzing
from fuzzing import guard, targets, work
class Bad(targets.Target):
    def made(self, seed, number):
        before = [targets.name_of(one) for one in range(number)].count(self.name)
        return {"number": b"%%d" %% before}
bad = Bad(**vars(test_fuzzing.bad_target(guarded=%s)))
guard.target = lambda name: bad
work.RESIDENT_BYTES = 256 << 20
import fuzzing.__main__
fuzzing.__main__.target = guard.target
"""


@pytest.mark.parametrize("guarded", [False, True])
def test_the_guard_counts_what_goes_wrong(
    tmp_path: Path, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "report.json"
    monkeypatch.setenv("ONCE", str(tmp_path / "once"))
    words = ("--only", _BAD, "--inputs", 128, "--report", report, "--keep", tmp_path / "kept")
    done = _fuzz(*words, code=_WITH_BAD % guarded)  # 12 inputs of this target
    assert done.returncode == 1, done.stdout + done.stderr
    count = json.loads(report.read_text())["counts"][_BAD]
    failures = " | ".join(sorted(line.split(": ", 1)[1] for line in count["failures"]))
    for told in ("KeyError: 'a key that is not there' (test_fuzzing.py", "printed b'chatter of",
                 "left ['left'] behind", "has no exit code", "no clear line"):  # fmt: skip
        assert told in failures
    # What dies, hangs or grows is a failure unless the reader has it done in another process.
    for told in ("before: death by SIGSEGV", "in _hang", "MB resident",
                 "death by SIGKILL: ; alone it ended as read"):  # fmt: skip
        assert (told in failures) is not guarded
    assert count["hangs"] == (not guarded)
    assert count["contained"] == (4 if guarded else 0)
    assert count["ends"] == {"read": 2, "TableError": 5 if guarded else 1}
    assert count["failed"] == len(count["failures"]) == (5 if guarded else 9)
    assert len(list((tmp_path / "kept").iterdir())) == count["failed"]


def test_a_number_is_always_the_same_input() -> None:
    for name in targets.NAMES:
        target = targets.target(name)
        made = [target.made(3, number) for number in range(40)]
        assert made == [target.made(3, number) for number in range(40)]
        assert made != [target.made(4, number) for number in range(40)]
        assert len({str(one) for one in made}) > 20
    taken = [targets.name_of(number) for number in range(320)]
    assert {name: taken.count(name) // 10 for name in targets.NAMES} == {
        "nifti": 10, "gzip": 5, "hdf5": 5, "tensors": 3, "presets": 3, "plans": 3, "tables": 3,
    }  # fmt: skip


def test_one_input_can_be_made_again(tmp_path: Path) -> None:
    """In another process and at another time, which HDF5 would store."""
    for name, number in (("tables", 11), ("hdf5", _NEWER)):
        done = _fuzz("--replay", f"{name}:3:{number}", "--keep", tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "ended as" in done.stdout
        folder = tmp_path / f"{name}-3-{number}"
        kept = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert kept == targets.target(name).made(3, number)


def test_headers_of_hdf5_carry_their_checksums() -> None:
    newer = targets.target("hdf5").made(3, _NEWER)["0.h5"]
    assert newer[8] in (2, 3)  # the layout with times and checksums
    held = io.BytesIO()
    with h5py.File(held, "w", libver="latest") as file:
        file.create_group("a")
    content = held.getvalue()
    assert hdf5_bytes.sealed(content) == content  # by the library's own reckoning
    timeless = hdf5_bytes.sealed(content, timeless=True)
    assert timeless != content
    with h5py.File(io.BytesIO(timeless)) as file:
        assert list(file) == ["a"]


def test_a_report_goes_on_where_another_ended(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    first = Report(seed=3, start=0, next=32, seconds=2.0)
    first.counts["nifti"].add(End("nifti", 1, "read", 0.5, 1024), 3)
    first.counts["hdf5"].add(End("hdf5", 2, "WeightsError", 1.5, 2048, guarded=True), 3)
    first.counts["hdf5"].add(End("hdf5", 3, "!death", 5.0, hung=True), 3)
    first.write(path)
    assert earlier(path, 3, 32) == first
    assert earlier(path, 3, 16) is None
    assert earlier(path, 4, 32) is None
    assert earlier(path, 3, 0) is None
    assert "| hdf5 | 2 | 0 | 1 | 1 | 1 | 1 | 5.00 s | 2 MB |" in str(first)
    assert "| all | 3 | 1 | 1 | 1 | 1 | 1 | 5.00 s | 2 MB |" in str(first)
    both = Count()
    for count in first.counts.values():
        both.merge(count)
    assert (both.inputs, both.slowest, both.failures) == (3, 3, ["hdf5:3:3: death"])


def test_lines_that_nobody_can_read_are_no_end() -> None:
    ends.check_error(TableError("A table was expected", received="none"))
    for error in (
        WmhsegError("No code", received="x"),
        TableError("Nothing received"),
    ):
        with pytest.raises(AssertionError):
            ends.check_error(error)
