"""Subjects on the workers of a Dask cluster that somebody else has started, or SLURM starts.

Workers must have the same wmhseg, and see the same files at the same paths. Each keeps one engine
and works on one subject at a time, whatever its number of threads, which are the engine's. When a
worker dies, Dask gives its subject to another; what was written is not done again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wmhseg import errors
from wmhseg.batch.summary import Row
from wmhseg.batch.turns import Held, Turn, take
from wmhseg.batch.workers import Crash
from wmhseg.version import __version__

SLURM = "slurm"
"""In place of an address: a scheduler here, and workers that are jobs of SLURM."""

Queued = Callable[[], bool]
"""Whether workers may still come by themselves."""

_CONNECT_S = 30
_SUBMIT_S = 120
_ANSWER_S = 60
_WORKERS_S = 60
_NO_WORKER_S = 600
_LOOK_S = 5
_KILLED = 137

_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Cluster:
    """A cluster to work on.

    Attributes:
        address: Of its scheduler, such as ``tcp://10.0.0.1:8786``; or the file that it has written
            with ``--scheduler-file``; or ``SLURM``.
        output: Folder of the results.
        jobs: Jobs of SLURM to start.
    """

    address: str
    output: Path
    jobs: int = 1

    def run(self, turns: Sequence[Turn]) -> Generator[tuple[int, Row | Held | Crash], None, None]:
        """Works on all turns.

        Args:
            turns: Of subjects.

        Yields:
            Index of a turn and what ``take`` says, or a ``Crash`` where the subject has killed
            several workers; in any order. Closing the generator gives up what has not begun.

        Raises:
            ClusterError: There is no such cluster, it goes away, or its workers have another
                wmhseg or other files.
        """
        if not turns:
            return
        with self._scheduler() as (where, queued), self._client(where) as client:
            folders = {str(self.output.absolute()), *(_elsewhere(t).task.model for t in turns)}
            _check(client, sorted(folders), queued)
            yield from _spread(client, turns, queued)

    @contextlib.contextmanager
    def _scheduler(self) -> Iterator[tuple[dict[str, Any], Queued]]:
        """Where the scheduler is, in words of ``Client``; one of our own ends with the work."""
        file = Path(self.address)
        if self.address != SLURM:
            by_file = file.is_file()
            where = {"scheduler_file": str(file)} if by_file else {"address": self.address}
            yield where, lambda: False
            return
        cluster = _slurm_cluster()
        try:
            jobs = _submitted(cluster, self.jobs)
            yield {"address": cluster.scheduler_address}, lambda: _in_queue(jobs)
        finally:
            with contextlib.suppress(Exception):  # of jobs that SLURM has refused, for one
                cluster.close(timeout=10)

    @contextlib.contextmanager
    def _client(self, where: dict[str, Any]) -> Iterator[Any]:
        from distributed import Client

        try:
            client = Client(**where, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise errors.ClusterError(
                f"--dask: a scheduler of Dask was expected at {self.address}",
                received=f"{type(error).__name__}: {error}",
                advice="Name its address, such as tcp://10.0.0.1:8786, or its --scheduler-file.",
            ) from None
        try:
            yield client
        finally:
            with contextlib.suppress(Exception):
                client.close(timeout=10)


def _slurm_cluster() -> Any:
    """A scheduler here whose workers will be jobs of SLURM."""
    if shutil.which("sbatch") is None:
        raise errors.ClusterError(
            "--dask slurm: SLURM's sbatch was expected on PATH",
            received="none",
            advice="Run it where jobs are submitted, or give the address of a cluster.",
        )
    from dask_jobqueue.slurm import SLURMCluster

    try:
        return SLURMCluster()
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        raise errors.ClusterError(
            "--dask slurm: Dask's settings of this site were expected, such as jobqueue.slurm."
            "cores, .memory and .walltime",
            received=" ".join(str(error).split()),
            advice="Write them to ~/.config/dask/jobqueue.yaml (docs/slurm.md).",
        ) from None


def _submitted(cluster: Any, jobs: int) -> list[str]:
    """Submits jobs; returns their numbers. Dask would wait for ever for those that are refused."""
    cluster.scale(jobs=jobs)
    end = time.monotonic() + _SUBMIT_S
    while True:
        taken = [str(one.job_id) for one in cluster.workers.values() if one.job_id]
        if len(taken) >= jobs:
            return taken
        if time.monotonic() > end:
            raise errors.ClusterError(
                f"--dask slurm: SLURM was expected to take {jobs} jobs",
                received=f"{len(taken)} taken in {_SUBMIT_S} s",
                advice="Hand this script to sbatch to see why not: python -c 'from dask_jobqueue "
                "import SLURMCluster; print(SLURMCluster().job_script())'.",
            )
        time.sleep(0.2)


def _in_queue(jobs: list[str]) -> bool:
    """Whether one of the jobs waits or runs; also where SLURM does not answer."""
    words = ["squeue", "--noheader", "--jobs", ",".join(jobs)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_ANSWER_S)
    except (OSError, subprocess.TimeoutExpired):
        return True
    gone = not done.stdout.strip() if done.returncode == 0 else "nvalid job" in done.stderr
    return not gone


def _check(client: Any, folders: list[str], queued: Queued) -> None:
    """Makes sure that there are workers who can do it, or waits while they may come."""
    while True:
        try:
            client.wait_for_workers(1, timeout=_WORKERS_S)
            break
        except TimeoutError:
            if not queued():
                raise errors.ClusterError(
                    "A worker of the Dask cluster was expected",
                    received=f"none in {_WORKERS_S} s",
                    advice="Start workers, or see in the logs of the jobs why they ended, and run "
                    "again.",
                ) from None

    def look() -> tuple[str, list[str]]:
        from wmhseg.version import __version__ as version

        return version, [folder for folder in folders if not os.path.isdir(folder)]

    # Functions within functions travel as they are: a worker without wmhseg can answer as well.
    for worker, answer in client.run(look, on_error="return").items():
        if isinstance(answer, BaseException):
            raise errors.ClusterError(
                f"wmhseg {__version__} was expected on every worker",
                received=f"{type(answer).__name__}: {answer} on {worker}",
                advice="Install it in the environment in which the workers run.",
            )
        version, missing = answer
        if version != __version__:
            raise errors.ClusterError(
                f"wmhseg {__version__} was expected on every worker",
                received=f"{version} on {worker}",
            )
        if missing:
            raise errors.ClusterError(
                "Workers that see the folders of results and models were expected",
                received=f"no {missing[0]} on {worker}",
                advice="Use a disk that all machines have at the same path.",
            )


def _spread(
    client: Any, turns: Sequence[Turn], queued: Queued
) -> Iterator[tuple[int, Row | Held | Crash]]:
    """One turn a worker at a time, so that none waits at one worker while another has nothing."""
    from distributed import wait

    waiting = list(range(len(turns)))[::-1]
    running: dict[Any, tuple[int, str]] = {}
    seen = time.monotonic()
    while waiting or running:
        free = set(client.nthreads()) - {worker for _, worker in running.values()}
        for worker in sorted(free)[: len(waiting)]:
            index = waiting.pop()
            future = client.submit(
                _work,
                _elsewhere(turns[index]),
                key=f"wmhseg-{os.getpid()}-{index}",
                pure=False,
                workers=[worker],
                allow_other_workers=True,  # if it dies
            )
            running[future] = index, worker
        seen = time.monotonic() if client.nthreads() else seen
        if time.monotonic() - seen > _NO_WORKER_S and not queued():
            raise errors.ClusterError(
                "Workers of the Dask cluster were expected to stay",
                received=f"none for {_NO_WORKER_S} s",
                advice="Run again when there are some: what is done is kept.",
            )
        with client.as_current(), contextlib.suppress(TimeoutError):
            wait(list(running), timeout=_LOOK_S, return_when="FIRST_COMPLETED")
        for future in [one for one in running if one.done()]:
            index, _ = running.pop(future)
            yield index, _answer(future, turns[index])


def _answer(future: Any, turn: Turn) -> Row | Held | Crash:
    from distributed import KilledWorker

    if future.status == "finished":
        answer: Row | Held = future.result()
        if isinstance(answer, Held):
            return answer
        here = turn.task.row()
        return replace(answer, flair=here.flair, t1=here.t1)
    if future.status == "error" and isinstance(future.exception(), KilledWorker):
        return Crash(_KILLED)
    told = future.exception() if future.status == "error" else f"the work is {future.status}"
    raise errors.ClusterError(
        "The Dask cluster was expected to do the work",
        received=f"{told} ({turn.task.subject.name})",
        advice="Run again when it is there: what is done is kept.",
    )


def _elsewhere(turn: Turn) -> Turn:
    """The turn as it is the same in any working directory."""
    task, subject = turn.task, turn.task.subject
    flair, t1 = (path and path.absolute() for path in (subject.flair, subject.t1))
    task = replace(
        task,
        subject=replace(subject, flair=flair, t1=t1),
        folder=task.folder.absolute(),
        model=str(Path(task.model).absolute()),
    )
    return replace(turn, task=task, claims=turn.claims.absolute())


def _work(turn: Turn) -> Row | Held:
    """What a worker does; its engine is kept from subject to subject, and has all its threads."""
    from distributed import get_worker

    options = turn.task.options
    if options.threads is None:
        options = replace(options, threads=get_worker().state.nthreads)
    with _one_at_a_time:
        return take(replace(turn, task=replace(turn.task, options=options)))
