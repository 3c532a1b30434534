"""The networks on a GPU: precisions, batch sizes, images per second, share of the card's peak.

    python -m benchmarks.gpu [--batches 1 4 16 64] [--slices 256] [--rounds 5] [--device gpu]

One member of the default model through Keras, from slices in main memory to probabilities in main
memory, each precision in a process of its own. The peak is that of a chain of large 3x3
convolutions in the same precision through the same backend. Without a GPU it says so and ends with
0; ``--device cpu`` tries the program out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.machine import ROOT, has_gpu
from wmhseg.engines import backends, interface, keras_engine, runtime
from wmhseg.engines.start import start_engine
from wmhseg.networks.graph import Convolution, Graph, InputLayer, Layer
from wmhseg.weights import store
from wmhseg.weights.store import Model

WITH: dict[str, tuple[runtime.Precision, ...]] = {
    "gpu": ("f32", "tf32", "bf16"),
    "cpu": ("f32",),
}


def chain(convolutions: int, pixels: int, maps: int) -> Graph:
    """Large convolutions one after another, with little to bring in and out."""
    layer = Layer(InputLayer((pixels, pixels, 2)), (), "scan")
    for number in range(convolutions):
        layer = Layer(Convolution(maps, 3), (layer,), f"large{number}")
    return Graph("peak", Layer(Convolution(1, 1), (layer,), "out"))


def peak_gflops(
    engine: keras_engine.KerasEngine, described: Graph, batch: int, repeats: int
) -> float:
    """The fastest that a chain of convolutions runs."""
    from wmhseg.networks.keras_model import Types, to_keras

    scan = np.random.default_rng(0).standard_normal((batch, *described.inputs[0].size), np.float32)
    best = float("inf")
    types: Types = "bfloat16" if engine.runtime.precision == "bf16" else "float32"
    with engine.scope():
        network = to_keras(described, types=types)
        network.predict_on_batch(scan)
        for _ in range(repeats):
            started = time.perf_counter()
            network.predict_on_batch(scan)
            best = min(best, time.perf_counter() - started)
    return 2 * described.multiplications() * batch / best / 1e9


def peak_memory_gb(machine: runtime.Runtime) -> float | None:
    """GPU memory taken at most since the last call, in GB; None where it is not told."""
    if machine.device == "gpu" and machine.backend == "tensorflow":
        import tensorflow as tf

        found = float(tf.config.experimental.get_memory_info("GPU:0")["peak"]) / 1e9
        tf.config.experimental.reset_memory_stats("GPU:0")
        return found
    if machine.device == "gpu" and machine.backend == "torch":
        import torch

        found = torch.cuda.max_memory_allocated() / 1e9
        torch.cuda.reset_peak_memory_stats()
        return found
    return None


def worker(given: argparse.Namespace) -> None:
    """Measures one precision in this process and prints what it took, as JSON."""
    engine = start_engine("keras", given.device, precision=given.precision)
    assert isinstance(engine, keras_engine.KerasEngine)
    model: Model = store.find(store.DEFAULT_MODEL)
    preset, member = model.preset, model.preset.members[0]
    engine.load(model, member)
    work = 2 * interface.describe(model, member).multiplications()
    rng = np.random.default_rng(0)
    rows = []
    for size in given.batches:
        signature = preset.signature
        batch = {
            port: rng.standard_normal((size, *signature.field, channels), np.float32)
            for port, channels in signature.inputs
        }
        engine.predict(batch)
        rates = []
        for _ in range(given.rounds):
            started = time.perf_counter()
            calls = max(1, given.slices // size)
            for _ in range(calls):
                engine.predict(batch)
            rates.append(calls * size / (time.perf_counter() - started))
        rows.append(
            {
                "batch": size,
                "slowest": min(rates),
                "fastest": max(rates),
                "images": statistics.median(rates),
                "gflops": statistics.median(rates) * work / 1e9,
                "peak_gb": peak_memory_gb(engine.runtime),
            }
        )
    large, size = (chain(24, 96, 256), 16) if given.device == "gpu" else (chain(4, 96, 256), 1)
    peak = peak_gflops(engine, large, size, 2 * given.rounds)
    print(json.dumps({"on": backends.hardware(engine.runtime), "peak": peak, "rows": rows}))


def table(device: str, words: Sequence[str] = ()) -> list[str]:
    """Measures all precisions of a device and returns the lines of a table."""
    lines: list[str] = []
    failed: list[str] = []
    for precision in WITH[device]:
        command = [sys.executable, "-m", "benchmarks.gpu", "--precision", precision]
        command += ["--device", device, *words]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            failed.append(f"{precision}: failed with status {done.returncode}, see above.")
            continue
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        lines = lines or [
            f"One member through Keras on {found['on']}:",
            "",
            "| precision | batch | images/s, median (min to max) | GFLOP/s (nominal) "
            "| peak GFLOP/s | share | GPU memory GB |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {precision} | {row['batch']} | {row['images']:.1f} ({row['slowest']:.1f} to "
            f"{row['fastest']:.1f}) | {row['gflops']:.0f} | {found['peak']:.0f} "
            f"| {row['gflops'] / found['peak']:.0%} "
            f"| {'' if row['peak_gb'] is None else round(row['peak_gb'], 2)} |"
            for row in found["rows"]
        ]
    return [*lines, *(["", *failed] if failed else [])]


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--slices", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--precision", choices=WITH["gpu"], help="this one, as JSON")
    given = parser.parse_args()
    if given.precision:
        worker(given)
    elif given.device == "gpu" and not has_gpu():
        print("No GPU: skipped.")
    else:
        words = ["--batches", *map(str, given.batches), "--slices", str(given.slices)]
        print("\n".join(table(given.device, [*words, "--rounds", str(given.rounds)])))


if __name__ == "__main__":
    main()
