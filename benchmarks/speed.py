"""Time and memory of the engines against the naive Keras way, in one run, taking turns.

    python -m benchmarks.speed [--rounds 5] [--quick] [--output benchmarks]

Whole processes, from exec to the written mask, on the synthetic case (240 x 240 x 48 voxels, the
default model); then the cost against slices, members and threads, each in a process of its own,
and the convolution peak of the machine (one large 3x3 convolution through the same library).
Writes the section of this kind of processor in RESULTS.md and, where matplotlib is installed, a
picture of the cost. ``--quick`` is a smoke test: few slices, one round, no figure to quote, and
nothing is written without ``--output``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine, results
from benchmarks.machine import ROOT

NAIVE = "naive Keras"
HEAD = (
    "# Speed",
    "",
    "`make bench` (`python -m benchmarks.speed`): the newest run on each kind of processor.",
)


def run(command: Sequence[str]) -> tuple[float, float, float]:
    """Runs a fresh process; returns wall-clock and processor seconds, and peak memory in GB."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed with status {status}")
    seconds = time.perf_counter() - started
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20


def ways(folder: Path, flair: Path, t1: Path, gpu: bool) -> dict[str, list[str]]:
    """Name -> command that segments the case."""
    segment = [sys.executable, "-m", "wmhseg", "segment", "--quiet"]
    segment += ["--flair", str(flair), "--t1", str(t1), "--output", str(folder / "r.nii.gz")]
    naive = [sys.executable, "-m", "benchmarks.naive", str(folder), str(flair), str(t1)]
    found = {NAIVE: [*naive, str(folder / "naive.nii.gz")]}
    found["keras f32"] = [*segment, "--engine", "keras", "--device", "cpu"]
    for precision in machine.precisions():
        words = ["--engine", "openvino", "--precision", precision]
        found[f"openvino {precision}"] = [*segment, *words]
    if gpu:
        for precision in ("f32", "tf32", "bf16"):
            words = ["--engine", "keras", "--device", "gpu", "--precision", precision]
            found[f"keras gpu {precision}"] = [*segment, *words]
    return found


def whole_process(folder: Path, rounds: int, slices: int | None, gpu: bool) -> list[str]:
    """The table of whole processes, all ways taking turns."""
    import SimpleITK as sitk

    from wmhseg.datasets import demo

    case = demo.write_case(folder) / "pre"
    if slices is not None:
        first = (48 - slices) // 2
        for path in case.glob("*.nii.gz"):
            part = sitk.ReadImage(str(path))[:, :, first : first + slices]
            sitk.WriteImage(part, str(path))
    subprocess.run(
        [sys.executable, "-m", "benchmarks.naive", "--save", str(folder)], check=True, cwd=ROOT
    )
    commands = ways(folder, case / "FLAIR.nii.gz", case / "T1.nii.gz", gpu)
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    work: dict[str, list[float]] = {name: [] for name in commands}
    memory = dict.fromkeys(commands, 0.0)
    outside: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            took, busy, peak = run(command)
            seconds[name].append(took)
            work[name].append(busy)
            memory[name] = max(memory[name], peak)
            if name != NAIVE:
                stages = json.loads((folder / "r.json").read_text())["seconds"]
                outside[name].append(took - stages["predict"])
    lines = [
        "| way | median s (min to max) "
        "| ratio to naive | processor s | outside the networks s | peak GB |",
        "|---|---|---|---|---|---|",
    ]
    naive = statistics.median(seconds[NAIVE])
    for name, values in seconds.items():
        rest = f"{statistics.median(outside[name]):.2f}" if outside[name] else ""
        lines.append(
            f"| {name} | {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
            f" | {statistics.median(values) / naive:.2f} | {statistics.median(work[name]):.1f}"
            f" | {rest} | {memory[name]:.2f} |"
        )
    return lines


def worker(slices: int, members: int, threads: int, precision: str) -> None:
    """Computes a random stack in this process and prints what it took, as JSON."""
    import resource

    import numpy as np

    from wmhseg.engines import interface
    from wmhseg.engines.start import start_engine
    from wmhseg.segmentation import ensemble
    from wmhseg.weights import store
    from wmhseg.weights.store import Model

    found = store.find("unet-synthetic")  # members of one kind
    chosen = found.preset
    repeated = tuple(chosen.members[i % len(chosen.members)] for i in range(members))
    object.__setattr__(chosen, "members", repeated)
    model = Model(found.folder, chosen)
    engine = start_engine("openvino", "cpu", threads, precision)  # type: ignore[arg-type]
    ((port, channels),) = chosen.signature.inputs
    size = (slices, *chosen.preprocessing.field, channels)
    stack = np.random.default_rng(0).standard_normal(size, np.float32)
    ensemble.mean_probability({port: stack[:1]}, model, engine)  # loads and compiles
    started = time.perf_counter()
    ensemble.mean_probability({port: stack}, model, engine)
    seconds = time.perf_counter() - started
    each = [interface.describe(model, member).multiplications() for member in repeated]
    work = 2 * sum(each) * slices * (2 if chosen.flips else 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"seconds": seconds, "gflops": work / seconds / 1e9, "peak_gb": peak}))


def measure(slices: int, members: int, threads: int, precision: str) -> dict[str, float]:
    words = [str(slices), str(members), str(threads), precision]
    command = [sys.executable, "-m", "benchmarks.speed", "--worker", *words]
    done = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def peak_gflops(precision: str, threads: int, repeats: int = 8) -> float:
    """The fastest a large 3x3 convolution runs: oneDNN through OpenVINO."""
    import numpy as np

    from wmhseg.engines import openvino_core
    from wmhseg.engines.openvino_engine import settings
    from wmhseg.engines.openvino_graph import to_openvino
    from wmhseg.networks.graph import Convolution, Graph, InputLayer, Layer

    layer = Layer(Convolution(256, 3), (Layer(InputLayer((96, 96, 256)), (), "scan"),), "peak")
    described = Graph("peak", layer)
    rng = np.random.default_rng(0)
    tensors = {
        name: rng.standard_normal(shape).astype(np.float32)
        for name, shape in described.variables().items()
    }
    how = settings(openvino_core.start_openvino(threads, precision))  # type: ignore[arg-type]
    core = openvino_core.openvino_core()
    made = core.compile_model(to_openvino(described, tensors, 1), "CPU", how)
    request, scan = made.create_infer_request(), rng.standard_normal((1, 256, 96, 96), np.float32)
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        request.infer([scan], share_inputs=True, share_outputs=True)
        best = min(best, time.perf_counter() - started)
    return 2 * described.multiplications() / best / 1e9


def scaling(quick: bool) -> tuple[list[str], dict[str, list[tuple[int, float]]]]:
    """The tables of peak share and of cost against slices, members and threads."""
    from wmhseg import processors

    cores = processors.available_processors()
    lines = [
        "Networks alone against one large convolution through the same library. Nominal: the "
        "operations of the original graph, of which the rewritten one needs 86 %, so the share can "
        "exceed 100 %.",
        "",
        "| | one convolution GFLOP/s | networks GFLOP/s (nominal) | share |",
        "|---|---|---|---|",
    ]
    for precision in machine.precisions():
        peak = peak_gflops(precision, cores)
        reached = measure(4 if quick else 24, 1, cores, precision)["gflops"]
        lines.append(f"| {precision} | {peak:.0f} | {reached:.0f} | {reached / peak:.0%} |")
    lines += ["", "Networks alone, float32; medians of 3 processes, from 64 slices on of one:", ""]
    lines += ["| slices | members | threads | s | ms a slice and member | peak GB |"]
    lines += ["|---|---|---|---|---|---|"]
    points: dict[str, list[tuple[int, float]]] = {"slices": [], "members": [], "threads": []}
    plan = [("slices", n, (n, 1, cores)) for n in ((2, 4) if quick else (8, 32, 128, 256))]
    plan += [("members", n, (8, n, cores)) for n in ((1, 2) if quick else (1, 2, 3, 4, 5))]
    plan += [("threads", n, (8, 1, n)) for n in sorted({1, cores})]
    for what, value, (slices, members, threads) in plan:
        slices = min(slices, 2) if quick and what != "slices" else slices
        repeats = 1 if quick or slices >= 64 else 3
        runs = [measure(slices, members, threads, "f32") for _ in range(repeats)]
        found = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        points[what].append((value, found["seconds"]))
        each = 1000 * found["seconds"] / slices / members
        lines.append(
            f"| {slices} | {members} | {threads} | {found['seconds']:.2f} | {each:.1f} "
            f"| {found['peak_gb']:.2f} |"
        )
    return lines, points


def on_gpu(quick: bool) -> list[str]:
    """The table of precisions and batch sizes on the GPU."""
    from benchmarks import gpu

    return gpu.table("gpu", ["--slices", "8", "--rounds", "1"] if quick else [])


def plot(points: dict[str, list[tuple[int, float]]], path: Path) -> bool:
    """Draws seconds against slices, members and threads; False without matplotlib."""
    try:
        import matplotlib

        matplotlib.use("svg")
        from matplotlib import pyplot
    except ImportError:
        return False
    figure, axes = pyplot.subplots(1, 3, figsize=(9, 3), layout="constrained")
    for axis, (what, values) in zip(axes, points.items(), strict=True):
        axis.plot(*zip(*values, strict=True), "o-")
        axis.set(xlabel=what, ylabel="seconds", ylim=(0, None))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    return True


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        slices, members, threads, precision = sys.argv[2:6]
        worker(int(slices), int(members), int(threads), precision)
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--output", type=Path, help="default: this folder, but for --quick")
    arguments: Any = parser.parse_args()

    machine.expect_packages("keras", "openvino")  # here: its processes would each say so
    quick = arguments.quick
    output = arguments.output or (None if quick else ROOT / "benchmarks")
    rounds = 1 if quick else arguments.rounds
    gpu = machine.has_gpu()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        table = whole_process(Path(name), rounds, 12 if quick else None, gpu)
    further, points = scaling(quick)
    kind = machine.kind()
    picture = f"scaling-{results.slug(kind)}.svg"
    drawn = output is not None and plot(points, output / picture)
    lines = [
        f"{datetime.date.today()}, {rounds} round(s), all ways taking turns; load of the machine "
        f"before the run {load:.1f}.",
        *(["", "**A smoke test: no figure here means anything.**"] if quick else []),
        *(["", "No GPU: those ways were skipped."] if not gpu else []),
        *([] if machine.has_bfloat16() else ["", "No bfloat16 on this processor: skipped."]),
        "",
        *table,
        "",
        *further,
        *(["", *on_gpu(quick)] if gpu else []),
        *(["", f"![Cost against slices, members and threads]({picture})"] if drawn else []),
    ]
    if output is not None:
        results.write_section(output / "RESULTS.md", HEAD, kind, lines)
    print("\n".join([f"## {kind}", "", *lines]))


if __name__ == "__main__":
    main()
