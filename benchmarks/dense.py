"""Time and memory of the location-sensitive networks over a whole scan, with random weights.

    python -m benchmarks.dense [--slices 48] [--architecture MSWS] [--first pixels] [--threads N]

A scan of 240 x 240 x 48 voxels with a brain of 1.4 litres (an ellipsoid, 0.96 x 0.96 x 3 mm) in a
fresh process: loading (the frequencies of the weights included), then slice by slice. With fewer
``--slices``: those in the middle, which are the largest.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from typing import Any

from benchmarks.machine import ROOT, expect_packages

FIELD = (240, 240)
RADII_MM = (52.0, 88.0, 72.0)
SPACING_MM = (3.0, 0.96, 0.96)


def brain(slices: int) -> Any:
    """(slice, row, column): an ellipsoid of 1.4 litres, its middle slices."""
    import numpy as np

    offsets = [
        (np.arange(size) - (size - 1) / 2) * spacing / radius
        for size, spacing, radius in zip((48, *FIELD), SPACING_MM, RADII_MM, strict=True)
    ]
    z, y, x = np.meshgrid(*offsets, indexing="ij", sparse=True)
    first = (48 - slices) // 2
    return (z**2 + y**2 + x**2 < 1)[first : first + slices]


def worker(slices: int, architecture: str, first: str, threads: int) -> None:
    """Computes a scan in this process and prints what it took, as JSON."""
    import resource

    import numpy as np

    from wmhseg.engines import openvino_engine
    from wmhseg.engines.runtime import Runtime
    from wmhseg.networks import catalogue
    from wmhseg.networks.signature import Signature

    signature = Signature(FIELD, (("scan", 2), ("location", 8)), 2, "softmax")
    options = {"architecture": architecture, "place": "FFCL", "first": first}
    described = catalogue.describe("location", signature, options)
    rng = np.random.default_rng(0)
    tensors = {
        name: 0.01 * rng.standard_normal(shape, np.float32)
        for name, shape in described.variables().items()
    }
    started, busy = time.perf_counter(), time.process_time()
    engine = openvino_engine.OpenVinoEngine(Runtime("openvino", "cpu", threads))
    compiled = engine.compiled(described, tensors)
    del tensors
    told = {"load": time.perf_counter() - started, "load_cpu": time.process_time() - busy}
    inside = brain(slices)
    started, busy = time.perf_counter(), time.process_time()
    for one in inside:
        scan = rng.random((1, *FIELD, 2), np.float32) * one[None, :, :, None]
        where = rng.random((1, *FIELD, 8), np.float32) * one[None, :, :, None]
        compiled({"scan": scan, "location": where})
    told |= {"scan": time.perf_counter() - started, "scan_cpu": time.process_time() - busy}
    told |= {"voxels": int(inside.sum())}
    told |= {"peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}
    print(json.dumps(told))


def main() -> None:
    """Runs the command."""
    if sys.argv[1:2] == ["--worker"]:
        worker(int(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5]))
        return
    from wmhseg import processors

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--slices", type=int, default=48)
    parser.add_argument("--architecture", default="MSWS", choices=("SS", "MSIW", "MSWS"))
    parser.add_argument("--first", default="pixels", choices=("pixels", "means"))
    parser.add_argument("--threads", type=int, default=processors.available_processors())
    given = parser.parse_args()
    expect_packages("openvino")
    words = [str(given.slices), given.architecture, given.first, str(given.threads)]
    command = [sys.executable, "-m", "benchmarks.dense", "--worker", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    told = json.loads(done.stdout)
    print(f"{given.architecture}, {given.first}, {given.threads} threads")
    print(processors.processor_name())
    print(f"240 x 240 x {given.slices} voxels, {told['voxels']:,} of them inside the brain\n")
    print("| | s | processor s |")
    print("|---|---|---|")
    print(f"| loading | {told['load']:.1f} | {told['load_cpu']:.1f} |")
    print(f"| the scan | {told['scan']:.1f} | {told['scan_cpu']:.1f} |")
    print(f"\npeak memory {told['peak_gb']:.2f} GB")


if __name__ == "__main__":
    main()
