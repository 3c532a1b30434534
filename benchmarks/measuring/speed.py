"""Seconds and memory of ``wmhseg measure`` and ``wmhseg report``, from the command to the files.

    python -m benchmarks.measuring.speed [--rounds 5]

The scans are composed of the maps of the average brain, with lesions (about 20 ml in about 100)
where WMH are likely; probability, three members and an anatomy come with them. Commands of their
own measure each and write a page about it, as a user runs them; the sizes take turns. What is
allowed is for both together, which is what ``report`` does: it measures too.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy import ndimage

from benchmarks import machine
from wmhseg.channels import brain_maps, placement
from wmhseg.channels.placement import Placement
from wmhseg.geometry import Grid
from wmhseg.io import volume_files

# Name -> slices, rows, columns; distances in mm; seconds that are allowed.
SIZES = {
    "240 x 240 x 48, 3 mm slices": ((48, 240, 240), (3.0, 1.0, 1.0), 3.0),
    "182 x 218 x 182, 1 mm": ((182, 218, 182), (1.0, 1.0, 1.0), 15.0),
    "256 x 256 x 192, 1 mm": ((192, 256, 256), (1.0, 1.0, 1.0), 15.0),
}
OUTPUTS = {"measure": "measures", "report": "report.html"}
"""Command -> where it writes to."""
_MARKED_ML = 20.0
_MEMBERS = 3
_SHIFT_MM = 12.0  # of the middle of the brain above the middle of the maps: no cerebellum there


def _scene(folder: Path, shape: tuple[int, int, int], spacing_mm: tuple[float, ...]) -> list[str]:
    """Writes a scan and its result; returns the options that name them."""
    maps, grid = brain_maps.load(), Grid(shape, (spacing_mm[0], spacing_mm[1], spacing_mm[2]))
    middle = (np.array(shape) - 1) / 2 * spacing_mm
    centre = maps.points_mm.mean(0) - (_SHIFT_MM, 0, 0)
    placed = Placement(np.eye(3), centre - middle)

    def there(volume: np.ndarray) -> np.ndarray:
        return placement.mapped(volume.astype(np.float32), maps, placed, shape, grid.spacing_mm)

    brain, white, fluid = (there(v) for v in (maps.brain, maps.white_matter, maps.ventricles))
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), 2.0 / np.array(spacing_mm))
    likely = np.where(white > 0.3, there(maps.wmh) * np.exp(noise / noise.std()), 0)
    count = round(_MARKED_ML / grid.voxel_ml)
    mask = likely > np.sort(likely.ravel())[-count]
    soft = ndimage.gaussian_filter(mask.astype(np.float32), 0.7 / np.array(spacing_mm))
    flair = 100 * brain - 10 * white - 60 * fluid + 60 * soft + np.abs(rng.normal(0, 3, shape))
    x = placed.coordinates_mm(shape, grid.spacing_mm)[2]
    labels = np.where(brain > 0.5, 6, 0)
    labels[white > 0.5] = 7
    labels[fluid > 0.5] = np.where(x > 0, 3, 4)[fluid > 0.5]
    members = [f"{n}.nii.gz" for n in range(_MEMBERS)]
    volumes = {
        "flair.nii.gz": flair.astype(np.float32),
        "mask.nii.gz": mask.astype(np.uint8),
        "p.nii.gz": soft,
        "anatomy.nii.gz": labels.astype(np.uint8),
        **{name: np.clip(soft + 0.1 * n - 0.1, 0, 1) for n, name in enumerate(members)},
    }
    for name, volume in volumes.items():
        volume_files.write_volume(folder / name, volume, grid)
    path = {name: str(folder / name) for name in volumes}
    return [
        *("--flair", path["flair.nii.gz"], "--mask", path["mask.nii.gz"]),
        *("--probability", path["p.nii.gz"], "--anatomy", path["anatomy.nii.gz"]),
        *("--members", *(path[name] for name in members)),
    ]


def run(command: str, options: list[str], output: Path) -> tuple[float, float]:
    """Runs a command once; returns seconds, and those of the processor."""
    words = [sys.executable, "-m", "wmhseg", command, *options, "--output", str(output)]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([*words, "--quiet"], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = sum(getattr(after, n) - getattr(before, n) for n in ("ru_utime", "ru_stime"))
    return time.perf_counter() - started, used


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    times: dict[tuple[str, str], list[tuple[float, float]]] = {
        (name, command): [] for name in SIZES for command in OUTPUTS
    }
    with tempfile.TemporaryDirectory() as top:
        options = {}
        for name, (shape, spacing_mm, _) in SIZES.items():
            folder = Path(top) / str(len(options))
            folder.mkdir()
            options[name] = _scene(folder, shape, spacing_mm)
        for _ in range(rounds):
            for name, given in options.items():
                for command, output in OUTPUTS.items():
                    times[name, command].append(run(command, given, Path(top) / output))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
    print(f"{machine.kind()}; largest memory of all {peak:.2f} GB\n")
    print("| scan | command | median s | slowest | processor s | allowed, both |")
    print("|---|---|---|---|---|---|")
    for (name, command), found in times.items():
        seconds, used = zip(*found, strict=True)
        print(
            f"| {name} | {command} | {statistics.median(seconds):.1f} | {max(seconds):.1f} "
            f"| {statistics.median(used):.1f} | {SIZES[name][2]:.0f} |"
        )


if __name__ == "__main__":
    main()
