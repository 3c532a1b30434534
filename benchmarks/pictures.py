"""How long the picture of a result takes: drawing and writing, PNG and PDF.

    python -m benchmarks.pictures [--rounds N]

Synthetic heads of the usual two sizes, each with 200 lesions, which is many. Printed is the least
of a few rounds, in seconds of one processor (whatever else the machine does) and on the clock.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy import ndimage

from wmhseg import processors
from wmhseg.io.pictures import write_picture
from wmhseg.reporting import sheet
from wmhseg.reporting.caption import Caption
from wmhseg.reporting.sheet import View

CAPTION = Caption("WMH 10.00 ml, 200 lesions", "FLAIR.nii.gz", ("model",), "For research.")
# Slices, rows, columns; distances in mm; most seconds of the PNG.
SIZES = (((48, 240, 240), (3.0, 1.0, 1.0), 1.5), ((182, 218, 182), (1.0, 1.0, 1.0), 3.0))


def head(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> View:
    """An ellipsoid with some texture, and 200 lesions spread over it."""
    rng = np.random.default_rng(0)
    place = [(np.arange(n) - (n - 1) / 2) / (0.44 * n) for n in shape]
    radius = sum(p**2 for p in np.ix_(*place))
    flair = ndimage.gaussian_filter(rng.normal(size=shape), 1.5) * 300 + 300
    flair = np.where(radius < 1, np.maximum(flair, 0), rng.random(shape) * 10)
    mask = np.zeros(shape, np.uint8)
    inside = np.argwhere(radius < 0.7)
    for z, y, x in inside[rng.choice(len(inside), 200, replace=False)]:
        mask[z, y : y + 4, x : x + 3] = 1
    return View(flair.astype(np.float32), mask, spacing_mm, range(shape[0]))


def seconds(view: View, path: Path, rounds: int) -> tuple[float, float, int]:
    """Least seconds of the processor and on the clock; pages."""
    spent = []
    for _ in range(rounds):
        processor, clock = time.process_time(), time.perf_counter()
        pages = sheet.pages(view, CAPTION) if path.suffix == ".pdf" else [
            sheet.one_page(view, CAPTION)
        ]  # fmt: skip
        write_picture(path, *pages)
        spent.append((time.process_time() - processor, time.perf_counter() - clock))
    return min(p for p, _ in spent), min(c for _, c in spent), len(pages)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pictures", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    print(f"{processors.processor_name()}\n")
    print("| scan | file | pages | processor, s | clock, s | bar, s |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for shape, spacing_mm, bar in SIZES:
            view = head(shape, spacing_mm)
            size = " x ".join(str(n) for n in shape)
            for name, most in (("o.png", f"{bar}"), ("o.pdf", "-")):
                processor, clock, pages = seconds(view, Path(folder, name), rounds)
                print(
                    f"| {size} | {name[-3:]} | {pages} | {processor:.2f} | {clock:.2f} | {most} |"
                )


if __name__ == "__main__":
    main()
