"""Kills ``segment`` and ``batch`` at random moments, looks at what is left, and runs them again.

    python tests/fuzz_kills.py --kills 200            100 of each command

Half of the moments are spread evenly over the work of a run (its processor time, so that other
programs do not matter); the other half follow a change in the folder of results, by up to some
milliseconds, so that they fall into the writing. After each kill a result must be absent or equal
to that of a run that nobody disturbed, and nothing else may be there but hidden
``.wmhseg-*.part``. Run again over what is left, the command must end with the same results; a batch
must not compute anew what it had finished. Of a batch either the first process alone is killed (its
workers finish what they have begun, while the second run goes on) or all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import random
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

import SimpleITK as sitk

from wmhseg.datasets import demo
from wmhseg.weights import store

SUBJECTS = {"a": 12, "b": 20, "c": 28}
"""Subject -> first of its slices of the demo case."""

CLAIMS = (".wmhseg", "claims")
SLICES, SIDE = 8, 80
FIELD = 64  # of the model that is made of the default one's first member: a run takes little time
ENDED = "had ended before"
HANG_S = 1800  # of a run of some seconds, on a machine that is busy with something else
_LAST_S = 60  # until a worker that lives has given back what it has finished
_HURRY_S = 0.02  # longest wait after a change in the folder
_CREATED, _MOVED_TO, _IS_FOLDER = 0x100, 0x80, 0x40000000  # of linux/inotify.h
_EVENT = struct.Struct("iIII")


@dataclass(frozen=True)
class Job:
    """A command to kill.

    Attributes:
        name: "segment" or "batch".
        words: The command, but for the folder of results.
        reference: Folder of the results of a run that nobody disturbed.
        work_s: Processor time of that.
        changes: How many files and folders it made.
    """

    name: str
    words: tuple[str, ...]
    reference: Path
    work_s: float
    changes: int

    def command(self, out: Path) -> list[str]:
        """The command with a folder of results."""
        words = [word.replace("OUT", str(out)) for word in self.words]
        return [sys.executable, "-m", "wmhseg", *words]


# Looking on -------------------------------------------------------------------------------------


class Watch:
    """Tells of files and folders that appear in a folder, and in folders made in it."""

    def __init__(self, folder: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._number = self._libc.inotify_init()
        self._places: dict[int, Path] = {}
        self._add(folder)

    def _add(self, folder: Path) -> None:
        mark = self._libc.inotify_add_watch(self._number, os.fsencode(folder), _CREATED | _MOVED_TO)
        self._places[mark] = folder

    def wait(self, changes: int, process: subprocess.Popen[Any], longest_s: float) -> int:
        """Waits for so many changes, the process's end or a time; returns how many there were."""
        seen, until = 0, time.monotonic() + longest_s
        while seen < changes and time.monotonic() < until:
            if select.select([self._number], [], [], 0.01)[0]:
                seen += self._read()
            elif process.poll() is not None:
                break
        return seen

    def _read(self) -> int:
        data, at, count = os.read(self._number, 1 << 16), 0, 0
        while at < len(data):
            mark, mask, _, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size
            name = os.fsdecode(data[at : at + length].rstrip(b"\0"))
            at += length
            count += 1
            if mask & _IS_FOLDER and mark in self._places:
                self._add(self._places[mark] / name)
        return count

    def close(self) -> None:
        os.close(self._number)


def work_s(pid: int) -> float:
    """Processor time so far of a process and of those that it started."""
    try:
        numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has ended
        return 0.0
    own = sum(map(int, numbers[11:15])) / os.sysconf("SC_CLK_TCK")
    return own + sum(map(work_s, map(int, children)))


# Results ----------------------------------------------------------------------------------------


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, as paths relative to it."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder)


def content(path: Path) -> Any:
    """What has to be equal: all bytes, but for how long things took."""
    if path.name == "summary.tsv":
        names, *rows = (line.split("\t") for line in path.read_text().splitlines())
        left = {"seconds", "status"}
        return sorted([c for n, c in zip(names, row, strict=True) if n not in left] for row in rows)
    if path.suffix == ".json":
        return _without_times(json.loads(path.read_text()))
    return path.read_bytes()


_OF_A_RUN = ("seconds", "date", "command")


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_times(v) for k, v in value.items() if k not in _OF_A_RUN}
    return value


def check_left(job: Job, out: Path) -> str:
    """Checks what a killed run left; says how much that is."""
    whole = 0
    for name in files_below(out):
        if name.name.startswith(".wmhseg-") and name.suffix == ".part":
            continue
        if name.parts[:2] == CLAIMS and name.name.partition("~")[0] in SUBJECTS:
            continue  # of a process that was killed; the run that follows takes them over
        assert (job.reference / name).is_file(), f"{name} is no result"
        if name.name == "summary.tsv":  # of the subjects so far
            lines = (out / name).read_text()
            assert lines.endswith("\n"), f"{name} is cut short"
            assert len(lines.splitlines()) == 1 + len(SUBJECTS), f"{name} lacks rows"
            continue
        assert content(out / name) == content(job.reference / name), f"{name} differs"
        whole += 1
    for folder in out.iterdir() if job.name == "batch" else ():
        if (folder / "done.json").exists():
            assert (folder / "result.nii.gz").exists(), f"{folder.name} is not done"
    results = sum(1 for name in files_below(job.reference) if name.name != "summary.tsv")
    return "nothing" if not whole else "a part" if whole < results else "all"


def check_again(job: Job, out: Path) -> int:
    """Runs the command again and checks its results; returns how many subjects it passed over."""
    done = {f.parent: f.stat().st_mtime_ns for f in out.glob("*/done.json")}
    masks = {f: (f / "result.nii.gz").stat().st_mtime_ns for f in done}
    again = subprocess.run(
        job.command(out), cwd=ROOT, capture_output=True, text=True, timeout=HANG_S
    )
    assert again.returncode == 0, again.stderr
    names, wanted = [], list(files_below(job.reference))
    until = time.monotonic() + _LAST_S
    while time.monotonic() < until:
        names = [n for n in files_below(out) if n.suffix != ".part"]
        # A worker of the killed process may have published the last result, and the second run have
        # passed over it, before its claim is given back.
        if not any(n.parts[:2] == CLAIMS for n in names):
            break
        time.sleep(0.2)
    assert names == wanted, f"not all results: {names}"
    for name in names:
        assert content(out / name) == content(job.reference / name), f"{name} differs afterwards"
    for folder, time_ns in masks.items():
        assert (folder / "result.nii.gz").stat().st_mtime_ns == time_ns, f"{folder} made again"
    if job.name == "batch":
        rows = [line.split("\t") for line in (out / "summary.tsv").read_text().splitlines()[1:]]
        status = {row[0]: row[1] for row in rows}
        assert set(status.values()) <= {"done", "done before"}, status
        assert all(status[folder.name] == "done before" for folder in done), status
    return len(done)


# Killing ----------------------------------------------------------------------------------------


def kill_one(rng: random.Random, job: Job, folder: Path) -> tuple[str, ...]:
    """Starts the command, kills it at a random moment, and runs it again.

    Returns:
        Command, kind of moment, what was killed, and how much was left.
    """
    out = folder / "out"
    out.mkdir()
    watch = Watch(out)
    writing, group = rng.random() < 0.5, job.name == "segment" or rng.random() < 0.5
    process = subprocess.Popen(job.command(out), cwd=ROOT, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    if writing:
        watch.wait(rng.randint(1, job.changes), process, 300)
        time.sleep(rng.uniform(0, _HURRY_S))
    else:
        moment = rng.uniform(0, job.work_s)
        while process.poll() is None and work_s(process.pid) < moment:
            time.sleep(0.005)
    ended = process.poll() is not None
    if group and not ended:
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    watch.close()
    try:
        left = check_left(job, out)
        check_again(job, out)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    what = ENDED if ended else "all processes" if group else "the first process"
    return job.name, "writing" if writing else "any moment", what, left


def small_model(folder: Path) -> Path:
    """Writes a model that loads and computes in little time."""
    whole = store.find(store.DEFAULT_MODEL).folder
    values = json.loads((whole / "preset.json").read_text())
    values |= {"name": "small", "members": values["members"][:1]}
    values["preprocessing"]["field"] = [FIELD, FIELD]
    folder.mkdir()
    (folder / "preset.json").write_text(json.dumps(values))
    (folder / "MODEL_CARD.md").write_text("# small\n")
    weights = values["members"][0]["file"]
    (folder / weights).symlink_to(whole / weights)
    return folder


def prepare(folder: Path) -> list[Job]:
    """Makes small scans, and runs both commands on them undisturbed."""
    model = small_model(folder / "small")
    case = demo.write_case(folder / "demo")
    for subject, first in SUBJECTS.items():
        place = folder / "in" / subject
        place.mkdir(parents=True)
        for name in ("FLAIR.nii.gz", "T1.nii.gz"):
            whole = sitk.ReadImage(str(case / "pre" / name))
            sitk.WriteImage(
                whole[80 : 80 + SIDE, 74 : 74 + SIDE, first : first + SLICES], str(place / name)
            )
    one = folder / "in" / "b"
    common = ("--model", str(model), "--on-unsuitable", "warn", "--threads", "2", "-q")  # fmt: skip
    segment = ("segment", "--flair", f"{one}/FLAIR.nii.gz", "--t1", f"{one}/T1.nii.gz",
               "--output", "OUT/result.nii.gz", "--probability", "OUT/p.nii.gz",
               "--overlay", "OUT/o.png", "--mask-on-t1", "OUT/t1.nii.gz", *common)  # fmt: skip
    batch = ("batch", f"{folder}/in", "--output", "OUT", *common)
    return [_undisturbed(folder, name, words) for name, words in
            (("segment", segment), ("batch", batch))]  # fmt: skip


def _undisturbed(folder: Path, name: str, words: tuple[str, ...]) -> Job:
    out = folder / f"reference-{name}"
    out.mkdir()
    watch = Watch(out)
    job = Job(name, words, out, 0.0, 0)
    process = subprocess.Popen(job.command(out), cwd=ROOT, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    changes, taken_s = 0, 0.0
    while process.poll() is None:
        changes += watch.wait(1, process, 0.02)
        taken_s = max(taken_s, work_s(process.pid))
    changes += watch.wait(1 << 30, process, 0.1)
    watch.close()
    assert process.wait() == 0
    return Job(name, words, out, taken_s, changes)


def kills(count: int, seed: int) -> int:
    """Kills both commands so many times in all; returns the number of failures."""
    found, failures = Counter[tuple[str, ...]](), list[str]()
    with tempfile.TemporaryDirectory(prefix="wmhseg-kills-") as name:
        jobs = prepare(Path(name))
        for job in jobs:
            print(f"{job.name}: {job.work_s:.1f} s of work, {job.changes} files and folders made")
        tried = killed = 0
        while killed < count:
            job = jobs[killed % 2]
            with tempfile.TemporaryDirectory(prefix="wmhseg-kill-") as folder:
                try:
                    kinds = kill_one(random.Random(f"{seed} {tried}"), job, Path(folder))
                    found[kinds] += 1
                    killed += ENDED not in kinds
                except (AssertionError, subprocess.TimeoutExpired) as error:
                    failures.append(f"kill {tried}, {job.name}: {error}")
                    print(failures[-1], flush=True)
                    killed += 1
            tried += 1
            if tried % 10 == 0:
                print(f"{killed} killed, {len(failures)} failures", flush=True)
    for kinds, n in sorted(found.items()):
        print(f"    {', '.join(kinds)} left: {n}")
    print(f"killed {count}, half-written or wrong afterwards: {len(failures)}")
    return 1 if failures else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    return kills(chosen.kills, chosen.seed)


if __name__ == "__main__":
    sys.exit(main())
