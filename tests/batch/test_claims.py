"""One process a subject, whoever is killed: claims among real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from conftest import ROOT

from wmhseg.batch import claims
from wmhseg.batch.claims import Claim, Holder, LostError


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}


def taken(folder: Path, name: str = "s") -> Claim:
    claim = claims.take(folder, name)
    assert isinstance(claim, Claim)
    return claim


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def start(script: Path, *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(script), *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())


def test_one_at_a_time(tmp_path: Path) -> None:
    first = taken(tmp_path)
    second = claims.take(tmp_path, "s")
    assert isinstance(second, Holder)
    assert (second.process, second.is_here) == (os.getpid(), True)
    assert left(tmp_path) == ["s"]
    other = taken(tmp_path, "t")
    first.check()
    first.give_back()
    assert left(tmp_path) == ["t"]
    taken(tmp_path).give_back()
    other.give_back()
    assert left(tmp_path) == []


def write(folder: Path, holder: Holder, age_s: float = 0.0) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "s").write_text(json.dumps(asdict(holder)))
    then = time.time() - age_s
    os.utime(folder / "s", (then, then))


ENDED = subprocess.Popen([sys.executable, "-c", ""])
ENDED.wait()
ELSEWHERE = Holder(place="another machine")


@pytest.mark.parametrize(
    ("holder", "age_s", "dead"),
    [
        (Holder(), 0, False),
        (Holder(), claims.LEASE_S + 5, True),  # it hangs, or its disk did
        (Holder(process=ENDED.pid, born="1"), 0, True),
        (Holder(born="1"), 0, True),  # its number is somebody else's by now
        (ELSEWHERE, claims.LEASE_S - 5, False),
        (ELSEWHERE, claims.LEASE_S + 5, True),
        (replace(ELSEWHERE, process=ENDED.pid, born="1"), 0, False),  # not seen from here
    ],
)
def test_who_is_dead(holder: Holder, age_s: float, dead: bool, tmp_path: Path) -> None:
    write(tmp_path, holder, age_s)
    assert (claims.holder_of(tmp_path, "s") is None) == dead
    claim = claims.take(tmp_path, "s")
    assert isinstance(claim, Claim) == dead
    if isinstance(claim, Claim):
        claim.check()
        assert left(tmp_path) == ["s"]
        claim.give_back()
        assert left(tmp_path) == []


def test_what_the_dead_of_this_machine_held_is_given_back(tmp_path: Path) -> None:
    folder = tmp_path / "own" / "claims"
    folder.parent.mkdir()
    write(folder, Holder(process=ENDED.pid, born="1"))
    claims.bury(folder)
    assert not folder.parent.exists()
    folder.parent.mkdir()
    write(folder, ELSEWHERE)
    claim = taken(folder, "t")
    claims.bury(folder)
    assert left(folder) == ["s", "t"]
    claim.give_back()


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"more": 1}'])
def test_a_damaged_claim_is_somebodys_until_it_is_too_old(content: str, tmp_path: Path) -> None:
    (tmp_path / "s").write_text(content)
    assert isinstance(claims.take(tmp_path, "s"), Holder)
    long_ago = time.time() - claims.LEASE_S - 5
    os.utime(tmp_path / "s", (long_ago, long_ago))
    taken(tmp_path).give_back()


def test_who_was_deposed_knows_it_and_leaves_the_claim(tmp_path: Path) -> None:
    claim = taken(tmp_path)
    write(tmp_path, ELSEWHERE)
    with pytest.raises(LostError, match="taken over"):
        claim.check()
    claim.give_back()
    assert left(tmp_path) == ["s"]


def test_who_could_not_renew_counts_itself_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = taken(tmp_path)
    later = claims._clock_s() + claims.LEASE_S / 2 + 1
    monkeypatch.setattr(claims, "_clock_s", lambda: later)
    with pytest.raises(LostError, match="renewed"):
        claim.check()
    claim.give_back()
    assert left(tmp_path) == ["s"]  # by now it may be another's


def test_renewed_while_the_work_lasts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "BEAT_S", 0.01)
    claim = taken(tmp_path)
    os.utime(tmp_path / "s", (1, 1))
    until = time.monotonic() + 20
    while (tmp_path / "s").stat().st_mtime < 100 and time.monotonic() < until:
        time.sleep(0.01)
    assert (tmp_path / "s").stat().st_mtime > 100
    claim.give_back()


def test_where_files_can_have_one_name_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    claim = taken(tmp_path)
    claim.check()
    assert isinstance(claims.take(tmp_path, "s"), Holder)
    claim.give_back()
    assert left(tmp_path) == []


RACE = """
import os, sys, time
from pathlib import Path
from wmhseg.batch import claims

folder, log, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
done = 0
while done < rounds:
    claim = claims.take(folder, "s")
    if isinstance(claim, claims.Claim):
        os.write(descriptor, f"{os.getpid()} in\\n".encode())
        time.sleep(0.001)
        claim.check()
        os.write(descriptor, f"{os.getpid()} out\\n".encode())
        claim.give_back()
        done += 1
        # As a process that was killed leaves it, and all the others see at once.
        if done % 5 == 0:
            claims._linked(folder / "dead", folder / "s", (folder / "dead").read_bytes())
"""


def test_never_two_at_once(tmp_path: Path) -> None:
    """Four processes, forty turns each; claims of the dead lie in their way now and then."""
    script, folder, log = tmp_path / "race.py", tmp_path / "claims", tmp_path / "log"
    script.write_text(RACE)
    folder.mkdir()
    (folder / "dead").write_text(json.dumps(asdict(Holder(process=ENDED.pid, born="1"))))
    running = [start(script, folder, log, 40) for _ in range(4)]
    assert [process.wait(240) for process in running] == [0] * 4
    lines = [line.split() for line in log.read_text().splitlines()]
    for one, other in zip(lines[::2], lines[1::2], strict=True):
        assert (one[0], one[1], other[1]) == (other[0], "in", "out")
    assert Counter(line[0] for line in lines) == {str(p.pid): 80 for p in running}
    assert set(left(folder)) <= {"dead", "s"}


SHARD = """
import sys, time
from pathlib import Path
from batch_work import slowly
from wmhseg.batch import run
from wmhseg.batch.shards import Shard
from wmhseg.datasets.subjects import Subject

if __name__ == "__main__":
    data, out, number, count, jobs, *names = sys.argv[1:]
    who = [Subject(name, Path(data, f"{name}.nii")) for name in names]
    shard = Shard(int(number), int(count)) if count != "0" else None
    options = run.BatchOptions(model="bright", shard=shard, jobs=int(jobs))
    rows = run.run(who, Path(out), options, work=slowly)
    print(sum(row.status in ("done", "done before") for row in rows))
"""


def test_shards_that_meet_and_are_killed(tmp_path: Path, use_models: Path) -> None:
    """Two runs of all subjects at once, the first one killed, with and without its worker."""
    names = [f"s{n}" for n in range(8)]
    script, out = tmp_path / "shard.py", tmp_path / "out"
    script.write_text(SHARD)
    for name in names:
        (tmp_path / f"{name}.nii").write_bytes(name.encode())
    first = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path), str(out), "1", "1", "1", *names],
        env=environment(),
        start_new_session=True,
    )
    until = time.monotonic() + 120
    while not list(out.glob("*/result.json")) and time.monotonic() < until:
        time.sleep(0.02)
    others = [
        start(script, tmp_path, out, 1, 1, 1, *names),
        start(script, tmp_path, out, 0, 0, 1, *names),
    ]
    time.sleep(0.3)
    first.kill()  # its worker finishes what it has begun
    first.wait()
    assert [process.communicate(timeout=240)[0].strip() for process in others] == ["8", "8"]
    assert [process.returncode for process in others] == [0, 0]
    made = (out / "made").read_text().split()
    assert sorted(made) == names  # each once
    assert not (out / ".wmhseg" / "claims").exists()


def test_a_worker_that_is_killed_gives_its_subject_to_the_next(
    tmp_path: Path, use_models: Path
) -> None:
    """Both processes die with SIGKILL in the middle of a subject: the next run takes it at once."""
    script, out = tmp_path / "shard.py", tmp_path / "out"
    script.write_text(SHARD)
    (tmp_path / "forever.nii").write_bytes(b"x")
    words = [sys.executable, str(script), str(tmp_path), str(out), "1", "1", "1", "forever"]
    first = subprocess.Popen(words, env=environment(), start_new_session=True)
    claim = out / ".wmhseg" / "claims" / "forever"
    until = time.monotonic() + 120
    while not (out / "begun").exists() and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert claim.exists()
    (out / "forever").mkdir(exist_ok=True)
    left = out / "forever" / ".wmhseg-0123456789abcdef.part"  # as of one that was writing
    left.touch()
    began = time.monotonic()
    again = start(script, tmp_path, out, 1, 1, 1, "forever")
    assert again.communicate(timeout=200)[0].strip() == "1"
    assert time.monotonic() - began < claims.LEASE_S / 4
    assert not claim.exists()
    assert not left.exists()


def test_sigterm_gives_the_subject_back(tmp_path: Path, use_models: Path) -> None:
    """To all processes at once, as schedulers send it: no claim, no part of a file stays."""
    script, out = tmp_path / "shard.py", tmp_path / "out"
    script.write_text("import signal, sys\nsignal.signal(15, lambda *_: sys.exit(143))\n" + SHARD)
    (tmp_path / "forever.nii").write_bytes(b"x")
    words = [sys.executable, str(script), str(tmp_path), str(out), "1", "1", "1", "forever"]
    process = subprocess.Popen(words, env=environment(), start_new_session=True)
    until = time.monotonic() + 120
    while not (out / "begun").exists() and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(60) == 143
    assert not (out / ".wmhseg" / "claims").exists()
    (part,) = (out / ".wmhseg" / "parts").iterdir()
    assert json.loads(part.read_text().splitlines()[-1])["end"] == "stopped"
    assert [p.name for p in out.rglob("*") if p.name.endswith(".part")] == []
