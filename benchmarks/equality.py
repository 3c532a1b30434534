"""How far masks are from those of Keras in float32 on the CPU, on one or many cases.

    python -m benchmarks.equality [--data DIR] [--only CASE] [--precision f32 bf16 gpu-f32 ...]

Cases are DIR/*/pre/FLAIR.nii.gz and T1.nii.gz, segmented by the default model with intensities
adapted; without --data the synthetic case. gpu-... is Keras on a GPU, the others are OpenVINO.
bfloat16 is left out, and that is said, on a processor that has none; int8, which wmhseg does not
offer, needs NNCF and --heads (int8.py). Exits with 1 when a bar is missed: float32 1 voxel of
100,000 lesion voxels over all cases; in each case DSC 0.995 and 1 % of volume for bfloat16 and
TensorFloat-32, 0.99 and 2 % for int8.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from wmhseg.datasets import demo
from wmhseg.segmentation.options import Options
from wmhseg.segmentation.pipeline import Segmenter

# DSC and change of volume that a case may have at worst.
BARS = {
    "bf16": (0.995, 0.01),
    "gpu-bf16": (0.995, 0.01),
    "gpu-tf32": (0.995, 0.01),
    "int8": (0.99, 0.02),
}
EXACT = ("f32", "gpu-f32")


def start(precision: Any, heads: Path | None) -> Segmenter:
    """The default model in a precision, on the CPU unless it says otherwise."""
    if precision.startswith("gpu-"):
        on_gpu = precision.removeprefix("gpu-")
        return Segmenter(options=Options(engine="keras", device="gpu", precision=on_gpu))
    if precision == "int8":
        from benchmarks import int8

        if heads is None:
            raise SystemExit("--heads DIR was expected with --precision int8")
        return Segmenter(engine=int8.engine(heads))
    return Segmenter(options=Options(engine="openvino", precision=precision))


def compare(found: Any, expected: Any) -> tuple[float, float]:
    """DSC and change of volume between two masks; 1 and 0 where both are empty."""
    ours, theirs = int(found.sum()), int(expected.sum())
    if not theirs:
        return (0.0, np.inf) if ours else (1.0, 0.0)
    return 2 * int((found & expected).sum()) / (ours + theirs), ours / theirs - 1


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", action="append", default=[], metavar="CASE")
    parser.add_argument("--precision", nargs="+", choices=(*EXACT, *BARS), default=["f32", "bf16"])
    parser.add_argument("--heads", type=Path, help="for int8: prepared heads, or label maps")
    arguments = parser.parse_args()
    keras = Segmenter(options=Options(engine="keras", device="cpu"))
    wanted = [name for name in arguments.precision if name != "bf16" or machine.has_bfloat16()]
    if len(wanted) < len(arguments.precision):
        print("No bfloat16 on this processor: left out.\n")
    others = {name: start(name, arguments.heads) for name in wanted}
    cases, differing, lesion, missed = 0, dict.fromkeys(others, 0), 0, False
    print("| case | precision | lesion voxels | differing | DSC | volume | largest difference |")
    print("|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data or demo.write_case(Path(folder)).parent
        for pre in sorted(data.glob("*/pre")):
            name = pre.parent.name
            if arguments.only and name not in arguments.only:
                continue
            cases += 1
            loaded = keras.load(pre / "FLAIR.nii.gz", pre / "T1.nii.gz")
            reference = keras.compute(loaded)
            expected = reference.mask > 0
            lesion += int(expected.sum())
            for precision, segmenter in others.items():
                result = segmenter.compute(loaded)
                found = result.mask > 0
                wrong = int((found != expected).sum())
                dsc, change = compare(found, expected)
                largest = float(np.abs(result.probability - reference.probability).max())
                differing[precision] += wrong
                least, most = BARS.get(precision, (0.0, np.inf))
                missed |= dsc < least or abs(change) > most
                print(
                    f"| {name} | {precision} | {expected.sum()} | {wrong} | {dsc:.5f} "
                    f"| {change:+.3%} | {largest:.1e} |",
                    flush=True,
                )
    if not cases:
        raise SystemExit(f"Cases <name>/pre/FLAIR.nii.gz were expected. Received: none in {data}")
    for precision, count in differing.items():
        print(f"{precision}: {count} of {lesion} lesion voxels differ")
    inexact = max((differing[name] for name in EXACT if name in differing), default=0)
    return int(missed or inexact * 100_000 > lesion)


if __name__ == "__main__":
    sys.exit(main())
