"""Other ways of computing the default ensemble with OpenVINO: what they gain, and what they change.

    python -m benchmarks.throughput [--rounds 5] [--slices 8]

Each way computes the same slices with all members; all take turns, and a round's times are told as
shares of a slice at a time on all threads in that round, so that what else the machine does weighs
on all alike. The engine takes the way that gained most (``openvino_engine.side_by_side``). Huge
pages are asked for by an environment variable that is read when a process starts, so each round
starts two further processes, with and without them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.machine import ROOT, expect_packages
from benchmarks.throughput import constant
from wmhseg import processors
from wmhseg.engines import interface, openvino_core
from wmhseg.engines.openvino_engine import settings, side_by_side
from wmhseg.engines.openvino_graph import to_openvino
from wmhseg.networks import rewriting
from wmhseg.weights import store

Float = npt.NDArray[np.float32]
Way = Callable[[list[Float]], Float]

BEFORE = "a slice at a time on all threads"
SHIPPED = "a slice a stream, the threads shared among them (as shipped)"
HUGE_PAGES = "huge pages (GLIBC_TUNABLES=glibc.malloc.hugetlb=1)"
_TUNABLES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


def members(batch: int = 1) -> list[Any]:
    """The members of the default model as OpenVINO models."""
    model = store.find(store.DEFAULT_MODEL)
    return [
        to_openvino(
            *rewriting.merge_doublings(
                interface.describe(model, member), store.load(model, member)
            ),
            batch,
        )
        for member in model.preset.members
    ]


def merged(models: list[Any]) -> Any:
    """One OpenVINO model that gives the mean of several."""
    from openvino import Model, opset13

    first, *others = models
    shared = first.get_parameters()[0]
    for other in others:
        other.get_parameters()[0].output(0).replace(shared.output(0))
    outputs = [model.get_results()[0].input_value(0) for model in models]
    total = outputs[0]
    for output in outputs[1:]:
        total = opset13.add(total, output)
    mean = opset13.divide(total, opset13.constant(np.float32(len(models))))
    return Model([opset13.result(mean)], [shared], "ensemble")


def one_by_one(models: list[Any], how: dict[str, Any]) -> Way:
    """Members after one another, each slice alone: the mean of all members."""
    core = openvino_core.openvino_core()
    requests = [core.compile_model(model, "CPU", how).create_infer_request() for model in models]

    def compute(slices: list[Float]) -> Float:
        total = 0.0
        for request in requests:
            total = total + np.stack([np.array(request.infer([one])[0]) for one in slices])
        return np.asarray(total / np.float32(len(requests)), np.float32)

    return compute


def in_flight(models: list[Any], how: dict[str, Any]) -> Way:
    """As many slices at once as OpenVINO has streams."""
    from openvino import AsyncInferQueue

    core = openvino_core.openvino_core()
    queues = [AsyncInferQueue(core.compile_model(model, "CPU", how)) for model in models]

    def compute(slices: list[Float]) -> Float:
        found: list[list[Float]] = [[np.zeros(0, np.float32)] * len(slices) for _ in queues]
        for member, queue in enumerate(queues):

            def keep(request: Any, place: int, member: int = member) -> None:
                found[member][place] = np.array(request.get_output_tensor().data)

            queue.set_callback(keep)
            for place, one in enumerate(slices):
                queue.start_async([one], place)
            queue.wait_all()
        return np.asarray(sum(map(np.stack, found)) / np.float32(len(queues)), np.float32)

    return compute


def in_batches(size: int, how: dict[str, Any]) -> Way:
    """Several slices in one call."""
    core = openvino_core.openvino_core()
    made = [core.compile_model(one, "CPU", how).create_infer_request() for one in members(size)]

    def compute(slices: list[Float]) -> Float:
        total = 0.0
        for request in made:
            parts = [
                np.array(request.infer([np.concatenate(slices[at : at + size])])[0])
                for at in range(0, len(slices), size)
            ]
            total = total + np.concatenate(parts)[:, None]
        return np.asarray(total / np.float32(len(made)), np.float32)

    return compute


def ways() -> dict[str, Way]:
    """All that are tried in one process, first what the others are compared with."""
    machine = openvino_core.start_openvino(processors.available_processors())
    alone = settings(machine)
    hint = {name: alone[name] for name in ("INFERENCE_PRECISION_HINT", "ENABLE_CPU_PINNING")}
    return {
        BEFORE: one_by_one(members(), alone),
        "one compiled model of all members": one_by_one([merged(members())], alone),
        SHIPPED: in_flight(members(), side_by_side(machine)),
        "OpenVINO's throughput hint alone": in_flight(
            members(), hint | {"PERFORMANCE_HINT": "THROUGHPUT"}
        ),
        "two slices a call": in_batches(2, alone),
    }


def scan(slices: int) -> list[Float]:
    """Slices of noise, one (1, channel, row, column) array each."""
    model = store.find(store.DEFAULT_MODEL)
    (port,) = interface.describe(model, model.preset.members[0]).inputs
    rows, columns, channels = port.size
    made = np.random.default_rng(0).standard_normal((slices, 1, channels, rows, columns))
    return list(made.astype(np.float32))


def timed(way: Way, slices: list[Float]) -> tuple[float, Float]:
    """Seconds, and what was computed."""
    started = time.perf_counter()
    found = way(slices)
    return time.perf_counter() - started, found


def worker(slices: int) -> None:
    """Prints the seconds of a slice at a time in this process."""
    how = settings(openvino_core.start_openvino(processors.available_processors()))
    way, work = one_by_one(members(), how), scan(slices)
    way(work[:1])
    print(timed(way, work)[0])


def elsewhere(slices: int, extra: dict[str, str]) -> float:
    """Seconds of a slice at a time in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.throughput", "--worker", str(slices)]
    done = subprocess.run(
        command, env=os.environ | extra, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def measured(rounds: int, slices: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Shares of the seconds of a slice at a time; the largest difference of a probability."""
    tried, work = ways(), scan(slices)
    shares: dict[str, list[float]] = {}
    apart: dict[str, float] = {}
    for way in tried.values():
        way(work[:2])
    for _ in range(rounds):
        seconds, expected = timed(tried[BEFORE], work)
        for name, way in tried.items():
            if name == BEFORE:
                continue
            taken, found = timed(way, work)
            shares.setdefault(name, []).append(taken / seconds)
            apart[name] = max(apart.get(name, 0.0), float(np.abs(found - expected).max()))
        plain = elsewhere(slices, {})
        shares.setdefault(HUGE_PAGES, []).append(elsewhere(slices, _TUNABLES) / plain)
    return shares, apart


def main() -> None:
    """Runs the command."""
    if sys.argv[1:2] == ["--worker"]:
        worker(int(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slices", type=int, default=8, help="an even number")
    given = parser.parse_args()
    expect_packages("openvino")
    shares, apart = measured(given.rounds, given.slices + given.slices % 2)
    cores, name = processors.available_processors(), processors.processor_name()
    print(f"{cores} processors ({name}), {given.rounds} rounds of {given.slices} slices\n")
    print("| way | share of the seconds, median (least to most) | probability differs by |")
    print("|---|---|---|")
    for way, found in shares.items():
        differs = f"{apart[way]:.1e}" if way in apart else "0 (the same program)"
        print(
            f"| {way} | {statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f}) "
            f"| {differs} |"
        )
    print()
    print(constant.told())


if __name__ == "__main__":
    main()
