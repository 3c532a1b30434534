"""Eight-bit integers in place of float32: how much faster the networks are.

    python -m benchmarks.int8 --heads DIR [--rounds 5] [--slices 12]

DIR holds prepared heads, or label maps. Ranges are taken from synthetic scans made from them, never
from a case that is scored. It needs NNCF, which the project does not install (pip install nncf).
How far the masks are off: ``python -m benchmarks.equality --precision int8 --heads DIR``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.machine import first_member
from wmhseg import processors
from wmhseg.engines import openvino_core
from wmhseg.engines.openvino_engine import OpenVinoEngine, settings
from wmhseg.synthesis import heads
from wmhseg.synthesis.arrays import NUMPY
from wmhseg.synthesis.recipe import Recipe
from wmhseg.synthesis.scan import make_scan

SCANS, SLICES_OF_EACH, HEADS = 24, 8, 6


def examples(folder: Path) -> list[npt.NDArray[np.float32]]:
    """Slices of synthetic scans, (1, channel, row, column) each, always the same ones."""
    paths = sorted(folder.glob("*.npz"))[:HEADS]
    loaded = [heads.read_head(p) for p in paths] or heads.load_heads(folder)[:HEADS]
    rng = np.random.default_rng(5)
    found = []
    for _ in range(SCANS):
        stack = make_scan(rng, loaded, Recipe(), NUMPY).inputs
        for index in rng.permutation(len(stack))[:SLICES_OF_EACH]:
            found.append(np.moveaxis(stack[index], -1, 0)[None])
    return found


def quantiser(folder: Path) -> Callable[[Any], Any]:
    """Turns an OpenVINO model into one of eight-bit convolutions, as NNCF does by itself."""
    # It would send a message to its makers.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # not importable
    try:
        import nncf
    except ImportError:
        raise SystemExit("NNCF was expected to be installed: pip install nncf") from None
    slices = examples(folder)

    def quantised(model: Any) -> Any:
        return nncf.quantize(model, nncf.Dataset(slices), subset_size=len(slices))

    return quantised


def engine(folder: Path) -> OpenVinoEngine:
    """An engine that computes in eight bits."""
    return OpenVinoEngine(openvino_core.start_openvino(), change=quantiser(folder))


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--heads", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slices", type=int, default=12)
    given = parser.parse_args()
    from wmhseg.engines.openvino_graph import to_openvino  # here: --help does without it

    described, tensors = first_member()
    core, how = openvino_core.openvino_core(), settings(openvino_core.start_openvino())
    model = to_openvino(described, tensors, 1)
    requests = {"f32": core.compile_model(model, "CPU", how).create_infer_request()}
    model = quantiser(given.heads)(to_openvino(described, tensors, 1))
    requests["int8"] = core.compile_model(model, "CPU", how).create_infer_request()
    scan = examples(given.heads)[0]
    rates: dict[str, list[float]] = {name: [] for name in requests}
    for _ in range(given.rounds):
        for name, request in requests.items():
            request.infer([scan])
            started = time.perf_counter()
            for _ in range(given.slices):
                request.infer([scan], share_inputs=True, share_outputs=True)
            rates[name].append(1000 * (time.perf_counter() - started) / given.slices)
    print(f"{processors.processor_name()}, {given.rounds} rounds, taking turns\n")
    print("| | ms a slice and member, median (min to max) | ratio |\n|---|---|---|")
    for name, found in rates.items():
        ratio = statistics.median(found) / statistics.median(rates["f32"])
        print(
            f"| {name} | {statistics.median(found):.0f} ({min(found):.0f} to {max(found):.0f}) "
            f"| {ratio:.2f} |"
        )


if __name__ == "__main__":
    main()
