"""Counts of what happened, as a table and as JSON that a later run adds to."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .targets import NAMES
from .work import ADDRESS_SPACE_BYTES, FAILED, RESIDENT_BYTES


@dataclass(frozen=True)
class End:
    """How one input ended.

    Attributes:
        target: Its target.
        number: Its number.
        how: "read", the name of a class of errors, or ``FAILED`` and what happened.
        seconds: How long it took.
        peak_kb: Most memory that the process had held by then.
        guarded: Whether the library died or hung, and the reader's own process was tried.
        hung: Whether it took longer than it may.
    """

    target: str
    number: int
    how: str
    seconds: float
    peak_kb: int = 0
    guarded: bool = False
    hung: bool = False


@dataclass
class Count:
    """What happened to the inputs of one target."""

    ends: dict[str, int] = field(default_factory=dict)
    contained: int = 0
    hangs: int = 0
    failures: list[str] = field(default_factory=list)
    failed: int = 0
    slowest_s: float = 0.0
    slowest: int = 0
    peak_kb: int = 0

    def add(self, end: End, seed: int) -> None:
        """Counts one more."""
        self.hangs += end.hung
        self.peak_kb = max(self.peak_kb, end.peak_kb)
        if end.seconds > self.slowest_s:
            self.slowest_s, self.slowest = end.seconds, end.number
        if end.how.startswith(FAILED):
            self.failed += 1
            if len(self.failures) < 100:
                self.failures.append(f"{end.target}:{seed}:{end.number}: {end.how[1:]}")
            return
        self.ends[end.how] = self.ends.get(end.how, 0) + 1
        self.contained += end.guarded and end.how != "read"

    def merge(self, other: Count) -> None:
        """Adds the counts of other inputs."""
        self.ends = dict(Counter(self.ends) + Counter(other.ends))
        self.contained += other.contained
        self.hangs += other.hangs
        self.failures += other.failures
        self.failed += other.failed
        self.peak_kb = max(self.peak_kb, other.peak_kb)
        if other.slowest_s > self.slowest_s:
            self.slowest_s, self.slowest = other.slowest_s, other.slowest

    @property
    def inputs(self) -> int:
        """How many."""
        return sum(self.ends.values()) + self.failed


@dataclass
class Report:
    """A run, or several that went on with each other.

    Attributes:
        seed: Of the inputs.
        start: Number of the first input.
        next: Number to go on with.
        seconds: Time taken.
        processor_s: Time of processors, all together.
        counts: By target.
    """

    seed: int
    start: int
    next: int
    seconds: float = 0.0
    processor_s: float = 0.0
    counts: dict[str, Count] = field(default_factory=lambda: {name: Count() for name in NAMES})

    @property
    def inputs(self) -> int:
        """How many."""
        return sum(count.inputs for count in self.counts.values())

    @property
    def failed(self) -> int:
        """How many ended as they must not."""
        return sum(count.failed for count in self.counts.values())

    def write(self, path: Path) -> None:
        """Writes it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        more = {"inputs": self.inputs, "failed": self.failed}
        path.write_text(json.dumps(asdict(self) | more, indent=1) + "\n")

    def __str__(self) -> str:
        """A table in Markdown, and what failed."""
        lines = [
            "| target | inputs | results | refused | crashes | of them hangs | stopped in a child "
            "| slowest | most memory |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        whole = Count()
        for name, count in self.counts.items():
            if count.inputs:
                lines.append(_row(name, count))
            whole.merge(count)
        lines.append(_row("all", whole))
        refused = [(n, name) for name, n in whole.ends.items()]
        rates = [self.inputs / (t or math.inf) for t in (self.seconds, self.processor_s)]
        lines += [
            "",
            f"numbers {self.start} to {self.next - 1} of seed {self.seed}, {self.seconds:.0f} s, "
            f"{rates[0]:.0f} inputs/s; {self.processor_s:.0f} s of processors, {rates[1]:.0f} "
            "inputs per second of one",
            f"bounds: {RESIDENT_BYTES >> 20} MB resident, {ADDRESS_SPACE_BYTES >> 20} MB of "
            "address space",
            "slowest: " + ", ".join(
                f"{n}:{self.seed}:{c.slowest}" for n, c in self.counts.items() if c.inputs
            ),
            "refused as: " + ", ".join(
                f"{name} {n}" for n, name in sorted(refused, reverse=True) if name != "read"
            ),
        ]  # fmt: skip
        return "\n".join([*lines, *whole.failures[:40]])


def _row(name: str, count: Count) -> str:
    read = count.ends.get("read", 0)
    refused = count.inputs - count.failed - read
    return (
        f"| {name} | {count.inputs} | {read} | {refused} | {count.failed} "
        f"| {count.hangs} | {count.contained} | {count.slowest_s:.2f} s "
        f"| {count.peak_kb >> 10} MB |"
    )


def earlier(path: Path, seed: int, start: int) -> Report | None:
    """A report that ends where another run begins."""
    if not start or not path.exists():
        return None
    value: dict[str, Any] = json.loads(path.read_text())
    if (value["seed"], value["next"]) != (seed, start):
        return None
    counts = {name: Count(**one) for name, one in value["counts"].items()}
    times = value["seconds"], value["processor_s"]
    return Report(seed, value["start"], start, *times, counts)
