"""Simulates a cluster that segments many scans in shards: node hours, waiting, cost, limits.

    python -m benchmarks.scale.simulate --plot docs/scale.png

A discrete simulation: every subject, start of a job and failure of a node is an event. The file
system is one server that answers so many requests a second, one after the other. Jobs of one core
each take shards from a queue; a node that fails takes its job along, which is queued again, and
the subject in its hands waits until its claim is too old. All inputs are options, with a default
that is either measured (docs/scale.md says where) or an assumption; prices are yours.
"""

from __future__ import annotations

import argparse
import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from wmhseg.batch.claims import LEASE_S


@dataclass(frozen=True)
class Inputs:
    """What is simulated.

    Attributes:
        subjects: How many.
        shard: Subjects in a shard.
        jobs: How many run at once, at most.
        scan_s: Mean seconds of a scan, on the cores of a job.
        spread: Standard deviation of the logarithm of these.
        start_s: From the start of a job to its first subject.
        queue_s: From asking for a job to its start, where a place is free.
        requests: To the file system for a subject: claim, stat, read, write, rename.
        walk: Requests to find all subjects: 1 for a table; 3 a subject in a folder.
        requests_s: How many requests the file system answers in a second.
        failures_h: Failures of a job's node in an hour.
        price: Of a job's place for an hour, in your currency.
    """

    subjects: int = 50_000
    shard: int = 100
    jobs: int = 500
    scan_s: float = 46.0
    spread: float = 0.3
    start_s: float = 30.0
    queue_s: float = 60.0
    requests: int = 60
    walk: int = 1
    requests_s: float = 5000.0
    failures_h: float = 1e-3
    price: float = 0.05


@dataclass(frozen=True)
class Outcome:
    """What came out.

    Attributes:
        hours: Until the last subject is done.
        job_hours: Of all jobs together.
        useful: Share of these in which scans are computed.
        waiting: Share in which jobs wait for the file system.
        restarts: Jobs that were queued again.
        cost: Of all job hours.
    """

    hours: float
    job_hours: float
    useful: float
    waiting: float
    restarts: int
    cost: float


@dataclass
class _Job:
    left: int
    began_s: float = 0.0
    dies_s: float = float("inf")
    blocked_s: float = 0.0  # when the claim of the job that died becomes too old


class _Cluster:
    """The state between two events."""

    def __init__(self, given: Inputs, seed: int) -> None:
        self.given, self.chance = given, random.Random(seed)
        whole, rest = divmod(given.subjects, given.shard)
        self.queue = [_Job(given.shard) for _ in range(whole)] + [_Job(rest)] * bool(rest)
        self.events: list[tuple[float, int, str, _Job]] = []
        self.number = self.restarts = 0
        self.server_s = self.computed_s = self.waited_s = self.held_s = self.end_s = 0.0

    def at(self, time_s: float, what: str, job: _Job) -> None:
        self.number += 1
        heapq.heappush(self.events, (time_s, self.number, what, job))

    def asked(self, now_s: float, requests: float, job: _Job) -> float:
        """When the file system has answered what a job asks now, one request after the other."""
        self.server_s = max(self.server_s, now_s) + requests / self.given.requests_s
        self.waited_s += max(0.0, min(self.server_s, job.dies_s) - now_s)
        return self.server_s

    def launch(self, now_s: float) -> None:
        """Starts the next job of the queue, if there is one."""
        if self.queue:
            job = self.queue.pop()
            job.began_s = now_s + self.given.queue_s
            rate = self.given.failures_h / 3600
            job.dies_s = job.began_s + self.chance.expovariate(rate) if rate else float("inf")
            self.at(job.began_s + self.given.start_s, "start", job)

    def ended(self, now_s: float, job: _Job) -> None:
        self.held_s += now_s - job.began_s
        self.launch(now_s)

    def subject(self, now_s: float, job: _Job) -> None:
        """Begins a subject, unless all are done."""
        if not job.left:
            self.end_s = max(self.end_s, now_s)
            self.ended(now_s, job)
            return
        if job.left == 1 and now_s < job.blocked_s:  # what a job that died was at comes last
            self.at(job.blocked_s, "subject", job)
            return
        middle = self.given.scan_s
        taken_s = middle * self.chance.lognormvariate(
            -(self.given.spread**2) / 2, self.given.spread
        )
        done_s = self.asked(now_s, self.given.requests, job) + taken_s
        if done_s > job.dies_s:
            died_s = max(now_s, job.dies_s)
            self.restarts += 1
            self.queue.insert(0, _Job(job.left, blocked_s=died_s + LEASE_S))
            self.ended(died_s, job)
            return
        self.computed_s += taken_s
        job.left -= 1
        self.at(done_s, "subject", job)


def simulate(given: Inputs, seed: int = 0) -> Outcome:
    """Runs it to the end.

    Args:
        given: What is simulated.
        seed: Of chance.
    """
    cluster = _Cluster(given, seed)
    for _ in range(given.jobs):
        cluster.launch(0.0)
    while cluster.events:
        now_s, _, what, job = heapq.heappop(cluster.events)
        if what == "start":
            ready_s = cluster.asked(now_s, given.walk, job)
            cluster.at(ready_s, "subject", job)
        else:
            cluster.subject(now_s, job)
    hours = cluster.held_s / 3600
    return Outcome(
        cluster.end_s / 3600,
        hours,
        cluster.computed_s / cluster.held_s,
        cluster.waited_s / cluster.held_s,
        cluster.restarts,
        hours * given.price,
    )


SHARDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
JOBS = (10, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)


def table(given: Inputs, name: str, values: Sequence[int]) -> list[tuple[int, Outcome]]:
    """Simulates and prints a row for each value of one input."""
    print(f"\n| {name} | hours | job hours | computing | file system | restarts | cost |")
    print("|---|---|---|---|---|---|---|")
    rows = []
    for value in values:
        changed: dict[str, Any] = {name: value}
        if name == "jobs":  # a shard a job, but of 100 subjects at most
            changed["shard"] = max(1, min(100, given.subjects // value))
        found = simulate(replace(given, **changed))
        rows.append((value, found))
        print(
            f"| {value} | {found.hours:.2f} | {found.job_hours:.0f} | {found.useful:.1%} "
            f"| {found.waiting:.1%} | {found.restarts} | {found.cost:.0f} |",
            flush=True,
        )
    return rows


def plot(path: Path, shards: Any, by_table: Any, by_walk: Any) -> None:
    """Draws what the tables say."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    sizes = [size for size, _ in shards]
    left.plot(sizes, [found.hours for _, found in shards], "o-", color="#1b6ca8")
    left.set(xscale="log", xlabel="subjects in a shard", title="Size of a shard")
    left.set_ylabel("hours until all are done", color="#1b6ca8")
    more = left.twinx()
    more.plot(sizes, [found.job_hours for _, found in shards], "s--", color="#b3541e")
    more.set_ylabel("job hours", color="#b3541e")
    for rows, label, mark in ((by_table, "table", "o-"), (by_walk, "folder searched", "s--")):
        right.plot([n for n, _ in rows], [found.hours for _, found in rows], mark, label=label)
    right.set(xscale="log", yscale="log", xlabel="jobs at once", title="Where it breaks first")
    right.set_ylabel("hours until all are done")
    right.legend(title="subjects come from a")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Reads the arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for one in fields(Inputs):
        kind = type(one.default)
        parser.add_argument(f"--{one.name.replace('_', '-')}", type=kind, default=one.default)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw it, as PNG or SVG")
    chosen = vars(parser.parse_args())
    target = chosen.pop("plot")
    given = Inputs(**chosen)
    print(given)
    shards = table(given, "shard", SHARDS)
    by_table = table(given, "jobs", JOBS)
    by_walk = table(replace(given, walk=3 * given.subjects), "jobs", JOBS)
    if target is not None:
        plot(target, shards, by_table, by_walk)


if __name__ == "__main__":
    main()
