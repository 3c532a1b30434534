"""A SLURM of one node on this machine, for tests: its own keys, ports and folders.

Debian's packages munge, slurmctld, slurmd and slurm-client are enough, and root, whose work
starting other people's jobs is. No cgroups are used, so that it runs in containers as well.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue", "scancel")
_PATIENCE_S, _ANSWER_S = 120.0, 300.0
# What a task has to end in good order; wmhseg gives its processes 8 s.
KILL_WAIT_S = 15


def why_not() -> str:
    """Why none can be started here, "" if it can."""
    missing = [name for name in PROGRAMS if _found(name) is None]
    if missing:
        return (
            f"no SLURM here: {', '.join(missing)} (apt install munge slurmctld slurmd slurm-client)"
        )
    return "" if os.geteuid() == 0 else "SLURM's daemons are started by root"


def _found(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


class Node:
    """A controller and a node that run.

    Attributes:
        name: The node's.
        folder: Where its files are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, socket.gethostname().partition(".")[0]

    def __call__(self, *words: str) -> str:
        """Runs a command of SLURM; returns what it prints."""
        done = subprocess.run(words, capture_output=True, text=True, timeout=_ANSWER_S)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def states(self, job: str) -> dict[str, str]:
        """Number of a task (or "" of a job without any) -> its state."""
        found: dict[str, str] = {}
        for record in self("scontrol", "show", "job", job).split("\n\n"):
            state = re.search(r"JobState=(\w+)", record)
            task = re.search(r"ArrayTaskId=(\S+)", record)
            if state:
                for one in _numbers(task[1] if task else ""):
                    found[one] = state[1]
        return found

    def process(self, job: str, task: str) -> int:
        """The process of wmhseg in a task."""
        (number,) = (
            line.split("=")[1]
            for line in self("scontrol", "show", "job", f"{job}_{task}").split()
            if line.startswith("JobId=")
        )
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                surroundings = (path / "environ").read_bytes().split(b"\0")
                words = (path / "cmdline").read_bytes().split(b"\0")
                if f"SLURM_JOB_ID={number}".encode() in surroundings and b"--shard" in words:
                    return int(path.name)
        raise AssertionError(f"no process of {job}_{task}")

    def script(self, job: str, task: str) -> int:
        """The process of a task's script, which has started that of wmhseg."""
        status = Path("/proc", str(self.process(job, task)), "status").read_text()
        (parent,) = re.findall(r"^PPid:\s+(\d+)$", status, re.M)
        return int(parent)

    def until(self, what: Callable[[], bool], seconds: float, doing: str) -> None:
        """Waits.

        Raises:
            AssertionError: It has taken longer than it may.
        """
        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end:
                queue = self("squeue", "--all")
                raise AssertionError(f"{doing}: not in {seconds} s\n{queue}\n{self.log()}")
            time.sleep(0.2)

    def resume(self) -> None:
        """Takes the node back into service."""

        def back() -> bool:
            words = ["scontrol", "update", f"node={self.name}", "state=resume"]
            subprocess.run(words, capture_output=True)  # refused if it is in service again
            return self("sinfo", "-h", "-o", "%T").strip() in ("idle", "mixed", "allocated")

        self.until(back, _PATIENCE_S, "taking the node back")

    def log(self) -> str:
        """The last that its daemons said."""
        paths = sorted(self.folder.glob("*.log"))
        return "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in paths)


def _numbers(task: str) -> list[str]:
    """Tasks of an array that SLURM tells in one word: "7", "3-5,8", "5-8%2"."""
    found: list[str] = []
    for part in task.partition("%")[0].split(","):
        first, _, last = part.partition("-")
        found += [part] if not last else [str(n) for n in range(int(first), int(last) + 1)]
    return found


def _ports(count: int) -> list[int]:
    """Ports that nobody uses."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def _configuration(node: Node, cpus: int) -> str:
    folder, (controller, worker) = node.folder, _ports(2)
    return f"""\
ClusterName=tests
SlurmctldHost={node.name}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={worker}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
# A job that is put back waits until its old credential has expired.
AuthInfo=socket={folder}/munge.socket,cred_expire=3
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
KillWait={KILL_WAIT_S}
MinJobAge=3600
NodeName={node.name} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=100000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def _cgroups(folder: Path) -> str:
    """Before 23.11 cgroups could not be done without, and an empty folder does for them."""
    told = subprocess.run([_found("slurmd") or "", "-V"], capture_output=True, text=True).stdout
    version = tuple(map(int, re.findall(r"\d+", told)[:2]))
    if version >= (23, 11):
        return "CgroupPlugin=disabled\n"
    (folder / "cgroup").mkdir()
    return f"CgroupPlugin=cgroup/v1\nCgroupMountpoint={folder}/cgroup\n"


@contextlib.contextmanager
def running(cpus: int = 2) -> Iterator[Node]:
    """Starts one, and ends it with whatever it runs.

    Args:
        cpus: Of the node, whatever the machine has.
    """
    # A socket's path has 107 bytes at most: not where pytest puts its folders.
    with tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp") as name:
        node = Node(Path(name))
        for part in ("state", "spool"):
            (node.folder / part).mkdir()
        (node.folder / "munge.key").write_bytes(secrets.token_bytes(128))
        (node.folder / "munge.key").chmod(0o400)
        (node.folder / "slurm.conf").write_text(_configuration(node, cpus))
        (node.folder / "cgroup.conf").write_text(_cgroups(node.folder))
        before = os.environ.get("SLURM_CONF")
        os.environ["SLURM_CONF"] = str(node.folder / "slurm.conf")
        daemons: list[subprocess.Popen[bytes]] = []
        try:
            daemons += [_munge(node.folder)]
            for daemon in ("slurmctld", "slurmd"):
                daemons.append(_started([daemon, "-D"], node.folder / f"{daemon}.out"))
            node.until(lambda: _idle(node, daemons), _PATIENCE_S, "starting SLURM")
            yield node
        finally:
            _end(node, daemons)
            if before is None:
                del os.environ["SLURM_CONF"]
            else:
                os.environ["SLURM_CONF"] = before


def _munge(folder: Path) -> subprocess.Popen[bytes]:
    options = [
        f"--{option}={folder}/munge.{ending}"
        for option, ending in (
            *(("key-file", "key"), ("socket", "socket"), ("pid-file", "pid")),
            *(("log-file", "log"), ("seed-file", "seed")),
        )
    ]
    started = _started(["munged", "--foreground", "--force", *options], folder / "munged.out")
    end = time.monotonic() + _PATIENCE_S
    while not (folder / "munge.socket").exists():
        assert started.poll() is None, (folder / "munged.out").read_text()
        assert time.monotonic() < end, "munged does not start"
        time.sleep(0.1)
    return started


def _started(words: list[str], output: Path) -> subprocess.Popen[bytes]:
    program = _found(words[0])
    assert program is not None, words[0]
    with output.open("wb") as file:
        return subprocess.Popen([program, *words[1:]], stdout=file, stderr=file)


def _idle(node: Node, daemons: list[subprocess.Popen[bytes]]) -> bool:
    assert all(one.poll() is None for one in daemons), node.log()
    asked = subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True)
    return asked.stdout.strip() == "idle"


def _end(node: Node, daemons: list[subprocess.Popen[bytes]]) -> None:
    """Ends what runs: jobs first, so that nothing of them stays."""
    with contextlib.suppress(Exception):
        node("scancel", "--user", "root")
        node.until(lambda: not node("squeue", "-h", "-t", "all", "-t", "R,CG"), 30, "ending jobs")
    for one in reversed(daemons):
        one.send_signal(signal.SIGTERM)
    for one in reversed(daemons):
        try:
            one.wait(20)
        except subprocess.TimeoutExpired:
            one.kill()
            one.wait()
