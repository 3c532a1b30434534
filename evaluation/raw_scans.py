"""Segments scans as the scanner gave them, end to end, and draws what is to be looked at.

    python -m evaluation.raw_scans --data DIR --output DIR [--model NAME]

DIR holds one folder a session with FLAIR.nii.gz and T1.nii.gz on grids of their own. Beside each
mask the output folder gets its overlay, and a picture of FLAIR with the edges of the registered T1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

import wmhseg
from wmhseg import geometry
from wmhseg.io import images
from wmhseg.io.pictures import write_picture
from wmhseg.preparation import registration
from wmhseg.preparation.registration import Rigid
from wmhseg.reporting.pictures import MARKED
from wmhseg.reporting.window import look_at
from wmhseg.weights import store


def edges_over(flair: images.Scan, t1: images.Scan, move: Rigid, panels: int = 8) -> np.ndarray:
    """FLAIR with the edges of the registered T1 drawn over it, as an RGB sheet."""
    turn = geometry.turn_to(flair.grid, "LPS")
    placed = registration.resample(t1, flair.grid, move).array
    smooth = ndimage.gaussian_filter(turn.forward(placed), (0, 1, 1))
    slope = np.hypot(np.gradient(smooth, axis=1), np.gradient(smooth, axis=2))
    edges = slope > np.percentile(slope, 93)
    volume = turn.forward(flair.array)
    look = look_at(volume, turn.target.spacing_mm)
    first, behind = look.slices
    tiles = []
    for place in np.linspace(0.3, 0.85, panels):
        index = round(first + place * (behind - 1 - first))
        tiles.append(np.repeat(look.window.grey(volume[index])[..., None], 3, -1))
        tiles[-1][edges[index]] = MARKED
    across = min(4, panels)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % across)
    lines = [np.concatenate(tiles[i : i + across], 1) for i in range(0, len(tiles), across)]
    return np.concatenate(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--model", default=store.DEFAULT_MODEL)
    parser.add_argument("--only", nargs="*", default=None, help="names of sessions")
    arguments = parser.parse_args(argv)
    for folder in sorted(p for p in arguments.data.iterdir() if (p / "FLAIR.nii.gz").exists()):
        if arguments.only is not None and folder.name not in arguments.only:
            continue
        flair = images.read_scan(folder / "FLAIR.nii.gz", name="FLAIR")
        t1 = images.read_scan(folder / "T1.nii.gz", name="T1")
        result = wmhseg.segment(flair, t1, model=arguments.model)
        target = arguments.output / folder.name
        result.save(
            target / "result.nii.gz",
            overlay=target / "overlay.png",
            t1_mask=target / "result_on_t1.nii.gz",
        )
        assert result.t1_place is not None
        move = result.t1_place.move
        write_picture(target / "registration.png", edges_over(flair, t1, move))
        registered, marked = result.report.steps.registration.result, result.report.lesions
        agreement = registered.agreement if registered else float("nan")
        print(
            f"{folder.name:14} {marked.volume_ml:7.2f} ml {marked.count:4} lesions; "
            f"edge agreement {agreement:.3f}, "
            f"{move.angle_deg:.1f} degrees, {move.distance_mm:.1f} mm; seconds: "
            f"{ {k: round(v, 1) for k, v in result.report.seconds.items()} }",
            flush=True,
        )
        for warning in result.report.warnings:
            print(f"    {warning}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
