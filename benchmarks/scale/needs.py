"""Measures what ``wmhseg segment`` needs, beside what ``wmhseg.batch.needs`` expects.

    python -m benchmarks.scale.needs --sizes 240x240x12 240x240x48 512x512x24

The synthetic case, cut or enlarged to each size, in a fresh process with one thread. Seconds are
those of the processor, so that a busy machine does not matter much; memory is the largest.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import SimpleITK as sitk

from benchmarks import machine, speed
from wmhseg.batch.needs import needs
from wmhseg.datasets import demo

_THICK_MM = 3.0  # whatever the number of slices: scans with thicker ones are refused


def resized(path: Path, size: tuple[int, int, int], target: Path) -> None:
    """Writes an image of another number of voxels that shows the same."""
    image = sitk.ReadImage(str(path))
    spacing = [s * n / m for s, n, m in zip(image.GetSpacing(), image.GetSize(), size, strict=True)]
    made = sitk.Resample(image, size, sitk.Transform(), sitk.sitkLinear, image.GetOrigin(), spacing,
                         image.GetDirection(), 0.0, sitk.sitkFloat32)  # fmt: skip
    made.SetSpacing((made.GetSpacing()[0], made.GetSpacing()[1], _THICK_MM))
    sitk.WriteImage(made, str(target))


def measure(size: tuple[int, int, int], model: str, folder: Path) -> tuple[float, float, float]:
    """Wall-clock and processor seconds, and GB, of a run on a scan of so many voxels."""
    case = demo.write_case(folder / "case") / "pre"
    for name in ("FLAIR", "T1"):
        resized(case / f"{name}.nii.gz", size, folder / f"{name}.nii.gz")
    return speed.run(
        [sys.executable, "-m", "wmhseg", "segment", "--quiet", "--model", model, "--threads", "1",
         "--flair", str(folder / "FLAIR.nii.gz"), "--t1", str(folder / "T1.nii.gz"),
         "--on-unsuitable", "warn", "--output", str(folder / "r.nii.gz")]
    )  # fmt: skip


def main() -> None:
    """Reads the arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["240x240x12"], metavar="XxYxZ")
    parser.add_argument("--model", default="unet-synthetic")
    parser.add_argument("--members", type=int, default=3, metavar="N", help="of that model")
    chosen = parser.parse_args()
    print(f"{chosen.model}, one thread; {machine.kind()}\n")
    print("| voxels | s | s of processor | GB | s expected | GB expected |")
    print("|---|---|---|---|---|---|")
    for text in chosen.sizes:
        x, y, z = map(int, text.split("x"))
        with tempfile.TemporaryDirectory(prefix="wmhseg-needs-") as folder:
            taken_s, worked_s, most_gb = measure((x, y, z), chosen.model, Path(folder))
        expected = needs(z, chosen.members, 1, megavoxels=x * y * z / 1e6)
        print(f"| {text} | {taken_s:.0f} | {worked_s:.0f} | {most_gb:.2f} "
              f"| {expected.seconds:.0f} | {expected.gigabytes:.2f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
