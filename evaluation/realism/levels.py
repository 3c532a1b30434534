"""How bright tissues of real scans are together: what ``wmhseg.synthesis.measured`` draws from.

    python -m evaluation.realism.levels --data DIR --output DIR

Prints the levels of every scan, and the mean and covariance of their logarithms, each source
counting alike. The scans are validation data: these numbers have seen them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evaluation.realism.__main__ import seen
from evaluation.realism.sources import SOURCES
from evaluation.realism.views import REGIONS, View
from wmhseg.errors import WmhsegError
from wmhseg.synthesis.measured import LEVELS

_SHRINK = 0.4  # of the covariance: few scans say little about ten numbers together
_DARKEST_PERCENT = 6
_REGION_OF = {"deep": "deep grey", "brainstem": "brainstem", "cerebellum": "cerebellum"}

Doubles = npt.NDArray[np.float64]


def levels(view: View) -> Doubles:
    """Ten levels of a scan relative to deep white matter, as in ``LEVELS``: FLAIR, then T1."""
    usable = (view.region > 0) & (view.flair > 0)

    def of(*names: str) -> npt.NDArray[np.bool_]:
        return np.isin(view.region, [1 + REGIONS.index(name) for name in names]) & usable

    found = {}
    cortex = of("cortex")
    middle = _middle_of_three(view.t1[cortex])
    found["cortex"] = [float(np.median(v[cortex][middle])) for v in (view.flair, view.t1)]
    for level, region in _REGION_OF.items():
        found[level] = [float(np.median(v[of(region)])) for v in (view.flair, view.t1)]
    inner = of("ventricle border", "septum", "plexus")
    dark = view.t1[inner] <= np.percentile(view.t1[inner], _DARKEST_PERCENT)
    found["fluid"] = [float(np.median(v[inner][dark])) for v in (view.flair, view.t1)]
    return np.array([found[level][m] for m in (0, 1) for level in LEVELS])


def _middle_of_three(values: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Of fluid, grey and white matter the grey, by three means of T1."""
    means = np.percentile(values, (10, 50, 90))
    some = values[:: max(1, values.size // 20_000)]
    for _ in range(30):
        nearest = np.abs(some[:, None] - means).argmin(1)
        means = np.array(
            [some[nearest == i].mean() if (nearest == i).any() else means[i] for i in range(3)]
        )
    middle: npt.NDArray[np.bool_] = np.abs(values[:, None] - np.sort(means)).argmin(1) == 1
    return middle


def together(table: Sequence[Doubles], source: Sequence[str]) -> tuple[Doubles, Doubles]:
    """Mean and shrunk covariance of the logarithms; each source counts alike.

    Args:
        table: Levels of each scan.
        source: Where each is from.
    """
    logs = np.log(np.clip(np.array(table), 0.02, None))
    counts = {name: source.count(name) for name in source}
    weights = np.array([1 / counts[name] for name in source])
    mean = np.average(logs, axis=0, weights=weights)
    covariance = np.cov(logs.T, aweights=weights, ddof=0)
    shrunk = (1 - _SHRINK) * covariance + _SHRINK * np.diag(np.diag(covariance))
    return mean, shrunk


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.realism.levels",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="that of evaluation.realism")
    given = parser.parse_args(argv)
    names = [f"{modality} {level}" for modality in ("FLAIR", "T1") for level in LEVELS]
    print("scan", *names, sep=", ")
    table, source = [], []
    try:
        for one in SOURCES:
            for folder in one.scans(given.data):
                table.append(levels(seen(folder, one, given.output / "kept")))
                source.append(one.name)
                print(folder.name, *(f"{level:.2f}" for level in table[-1]), sep=", ", flush=True)
    except WmhsegError as error:
        print(f"wmhseg: error: {error}", file=sys.stderr)
        return error.exit_code
    with np.printoptions(precision=4, suppress=True, linewidth=100, floatmode="fixed"):
        for title, values in zip(("MEAN", "COVARIANCE"), together(table, source), strict=True):
            print(f"{title} = {np.array2string(values, separator=', ')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
