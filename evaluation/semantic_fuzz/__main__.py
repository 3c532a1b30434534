"""Stores a pair of scans in ways that mean the same, and asks for the same mask.

    python -m evaluation.semantic_fuzz --case DIR --chains 250 --seed 1

A chain is 1 to 4 changes: axes, forms, types, scaling, padding, cropping, versions and so on, of
both scans or of one. Its mask, brought back voxel by voxel, has to be that of the files as they are
to the bit; the forms in its header have to be FLAIR's to the bit, and the volume in the report that
of the mask. ``--case`` holds pre/FLAIR.nii.gz and pre/T1.nii.gz; without it the demo case is taken.

``--air`` measures something that is not lossless: planes of noise around the head are cut off.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evaluation.semantic_fuzz import changes, scans
from evaluation.semantic_fuzz.caching import CachingEngine
from evaluation.semantic_fuzz.scans import Array, Stored
from wmhseg.datasets import demo
from wmhseg.engines.start import start_engine
from wmhseg.errors import WmhsegError
from wmhseg.segmentation.options import Options
from wmhseg.segmentation.pipeline import Segmenter
from wmhseg.weights import store
from wmhseg.weights.store import Model

LEAST_DSC = 0.85
"""Between masks of a scan and of the scan with some of the noise around the head cut off."""

_VOLUME = 1e-5  # relative: headers hold sizes in float32


@dataclass(frozen=True)
class Outcome:
    """What came of a chain.

    Attributes:
        chain: The changes in words.
        exact: Whether the mask has to be equal to the bit.
        different: Voxels in which it is not.
        ml: Volume of these.
        dsc: Agreement of the two masks.
        fault: What is wrong, "" if nothing is.
    """

    chain: str
    exact: bool
    different: int = 0
    ml: float = 0.0
    dsc: float = 1.0
    fault: str = ""


class Trial:
    """A pair, its mask, and a place to try changes in."""

    def __init__(self, case: Path, folder: Path, segmenter: Segmenter) -> None:
        self._folder, self._segmenter = folder, segmenter
        paths = [case / "pre" / f"{name}.nii.gz" for name in ("FLAIR", "T1")]
        flair, t1 = (scans.original(path, path.name.split(".")[0]) for path in paths)
        self.pair = flair, t1
        self._shape = flair.values.shape
        result = segmenter.segment(*paths)
        self.volume_ml = result.report.lesions.volume_ml
        self._mask = result.mask.transpose(2, 1, 0)

    @property
    def voxels(self) -> int:
        """Of the mask."""
        return int(self._mask.sum())

    def attempt(self, chain: list[changes.Link], rng: random.Random) -> Outcome:
        """Takes the pair through a chain, segments it and compares."""
        exact = all(changes.CHANGES[name].exact for name, _ in chain)
        outcome = Outcome(changes.told(chain), exact)
        flair, t1 = changes.apply(rng, self.pair, chain)
        paths = []
        for name, scan in (("flair", flair), ("t1", t1)):
            paths.append(self._folder / name / scan.how.name)
            paths[-1].parent.mkdir(exist_ok=True)
            paths[-1].write_bytes(scans.content(scan))
        mask = self._folder / "mask.nii.gz"
        try:
            result = self._segmenter.segment(*paths)
            result.save(mask)
        except WmhsegError as error:
            return replace(outcome, fault=f"refused: {error}")
        found, given = scans.fields(mask), scans.fields(paths[0])
        for path in paths:
            path.unlink()
        back, outside = self._back(flair, found)
        different = int((back != self._mask).sum())
        total = int(back.sum()) + self.voxels
        dsc = 2 * int((back & self._mask).sum()) / total if total else 1.0
        voxel_ml = self.volume_ml / max(1, self.voxels)
        said_ml = result.report.lesions.volume_ml
        faults = [
            f"{name} is not FLAIR's"
            for name in scans.PLACING
            if found[name].tobytes() != given[name].tobytes()
        ]
        if outside:
            faults.append(f"{outside} voxels of padding are WMH")
        if abs(said_ml - int(back.sum()) * voxel_ml) > _VOLUME * said_ml:
            faults.append(f"the report says {said_ml:.6f} ml")
        if different and (exact or dsc < LEAST_DSC):
            faults.append(f"the mask differs (Dice coefficient {dsc:.4f})")
        return replace(
            outcome, different=different, ml=different * voxel_ml, dsc=dsc, fault="; ".join(faults)
        )

    def _back(self, flair: Stored, found: dict[str, Array]) -> tuple[Array, int]:
        """The mask on the original's voxels, and how many of its voxels lie outside them."""
        number = (flair.in_las() if flair.how.forms == "none" else flair).number
        assert tuple(found["dim"][1:4]) == number.shape
        marked = number[found["body"].reshape(number.shape, order="F") == 1]
        back = np.zeros(self._shape, np.uint8)
        back.reshape(-1)[marked[marked >= 0]] = 1
        return back, int((marked < 0).sum())


def segmenter_of(model: Model) -> tuple[Segmenter, CachingEngine]:
    """A segmenter whose engine remembers."""
    engine = CachingEngine(start_engine("auto", "cpu", None, "f32"))
    return Segmenter(model, Options(device="cpu"), engine), engine


def run(trial: Trial, count: int, seed: int, *, air: bool = False) -> list[Outcome]:
    """Tries so many chains, or cuttings of air, and tells of those that are wrong."""
    outcomes = []
    for number in range(count):
        rng = random.Random(f"{seed} {number}")
        chain = [(changes.AIR, (0, 1))] if air else changes.draw(rng)
        outcomes.append(trial.attempt(chain, rng))
        last = outcomes[-1]
        if last.fault:
            print(f"chain {number}: {last.chain}: {last.fault}", flush=True)
        elif last.different:
            print(f"chain {number}: {last.chain}: {last.different} voxels", flush=True)
        if len(outcomes) % 25 == 0:
            print(f"{len(outcomes)} tried", flush=True)
    return outcomes


def summary(outcomes: list[Outcome], trial: Trial) -> str:
    """The figures."""
    lines = [f"chains        {len(outcomes)}, on a mask of {trial.voxels} voxels, "
             f"{trial.volume_ml:.3f} ml"]  # fmt: skip
    for exact, what in ((True, "as they were"), (False, "air cut off")):
        some = [one for one in outcomes if one.exact == exact]
        worst = max(some, key=lambda one: one.different, default=Outcome("", exact))
        same = sum(one.different == 0 and not one.fault for one in some)
        lines.append(
            f"{what:<14}{len(some)}, identical {same}, largest difference {worst.different} "
            f"voxels, {worst.ml:.4f} ml, least Dice coefficient "
            f"{min((one.dsc for one in some), default=1.0):.4f}"
        )
    counts = Counter(part.split(" of ")[0] for one in outcomes for part in one.chain.split(", "))
    lines.append("changes       " + ", ".join(f"{k} {n}" for k, n in sorted(counts.items())))
    lines.append(f"wrong         {sum(bool(one.fault) for one in outcomes)}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.semantic_fuzz", description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--case", type=Path, metavar="DIR")
    parser.add_argument("--chains", type=int, default=250, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--air", action="store_true", help="cut off air with noise in it, only")
    chosen = parser.parse_args(argv)
    segmenter, engine = segmenter_of(store.find(store.DEFAULT_MODEL))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wmhseg-semantic-") as name:
        case = chosen.case or demo.write_case(Path(name))
        trial = Trial(case, Path(name), segmenter)
        outcomes = run(trial, chosen.chains, chosen.seed, air=chosen.air)
    print(summary(outcomes, trial))
    print(f"slices computed {engine.computed}, {time.monotonic() - began:.0f} s")
    return 1 if any(one.fault for one in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
