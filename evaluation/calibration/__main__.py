"""Whether probabilities are what they say, on synthetic scans and, apart, on real ones.

    python -m evaluation.calibration --heads HEADS --data DIR --output DIR
        [--model NAME] [--last 4] [--scans 24] [--slices 24]

Synthetic scans are drawn (seed 141421) by the training's own generator from the last heads of the
folder, which a training should leave out. Counted are all voxels that the networks compute of up to
24 slices of each scan, evenly spread, in the head and around it; and apart those with a probability
above 0.01, as nearly all others are background. Printed are the log-loss and the expected
calibration error (ECE, 15 bins of equal width) as the mean and the standard deviation over scans,
without and with the one temperature that has the least log-loss on the synthetic scans, and how the
bins of all scans together come out. Nothing is fitted on real scans. OUTPUT gets calibration.csv, a
row for each scan, calibration.png and the counts: an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import csv
import io
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import wmhseg
from evaluation.calibration import diagram, scans, tally
from evaluation.calibration.tally import LEAST, Tally
from wmhseg import errors
from wmhseg.datasets import cases
from wmhseg.io import files
from wmhseg.io.progress import Bar
from wmhseg.weights import store

SYNTHETIC, REAL = "synthetic", "real"
Sets = Mapping[str, Mapping[str, Tally]]
"""Kind of scans -> name of a scan -> its voxels."""

WHERE = {"all": 0.0, f"above {LEAST:g}": LEAST}
"""Which voxels are counted -> those of a higher probability."""


def figures(scan: Tally, temperature: float) -> dict[str, float]:
    """The figures of a scan: name -> value."""
    found = {}
    for where, least in WHERE.items():
        chosen = scan.above(least)
        if chosen.count:
            found[f"log-loss, {where}"] = tally.log_loss(chosen, temperature)
            found[f"ECE, {where}"] = tally.calibration_error(chosen, temperature)
    return found


def table(sets: Sets, temperatures: Sequence[float]) -> str:
    """One row a scan and temperature, CSV."""
    names = [f"{figure}, {where}" for where in WHERE for figure in ("log-loss", "ECE")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["kind", "scan", "temperature", *names])
    for kind, found in sets.items():
        for name, scan in found.items():
            for temperature in temperatures:
                values = figures(scan, temperature)
                cells = [f"{values[n]:.6f}" if n in values else "" for n in names]
                writer.writerow([kind, name, f"{temperature:.4f}", *cells])
    return text.getvalue()


def lines(sets: Sets, temperatures: Sequence[float]) -> list[str]:
    """Tables for a page of documentation."""
    names = [f"{figure}, {where}" for where in WHERE for figure in ("log-loss", "ECE")]
    rows = [f"| scans | temperature | {' | '.join(names)} |", "|---|---|" + "---|" * len(names)]
    for kind, found in sets.items():
        for temperature in temperatures:
            every = [figures(scan, temperature) for scan in found.values()]
            cells = [_spread([one[name] for one in every if name in one]) for name in names]
            rows.append(f"| {kind}, n = {len(found)} | {temperature:.2f} | {' | '.join(cells)} |")
    rows += ["", "Share that the reference marks, of all scans together:", ""]
    rows += ["| said | " + " | ".join(f"{kind}, T = {t:.2f}" for kind in sets for t in temperatures)
             + " |", "|---|" + "---|" * (len(sets) * len(temperatures))]  # fmt: skip
    columns = [
        {int(one.said * tally.BINS): one for one in tally.reliability(whole, temperature)}
        for whole in (tally.together(list(found.values())) for found in sets.values())
        for temperature in temperatures
    ]
    for number in range(tally.BINS):
        cells = [f"{c[number].true:.3f}" if number in c else "" for c in columns]
        low, high = number / tally.BINS, (number + 1) / tally.BINS
        rows.append(f"| {low:.2f} to {high:.2f} | {' | '.join(cells)} |")
    return rows


def _spread(values: Sequence[float]) -> str:
    sd = statistics.stdev(values) if len(values) > 1 else float("nan")
    return f"{statistics.mean(values):.4f} ({sd:.4f})" if values else "none"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.calibration",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--heads", type=Path, help="prepared heads or label maps")
    parser.add_argument("--data", type=Path, help="cases with references")
    parser.add_argument("--model", default=store.DEFAULT_MODEL, metavar="NAME|PATH")
    parser.add_argument("--last", type=int, default=4, help="so many heads of the folder")
    parser.add_argument("--scans", type=int, default=24, help="synthetic scans")
    parser.add_argument("--slices", type=int, default=24, help="of a scan, at most")
    parser.add_argument("--output", type=Path, required=True, help="folder for table and counts")
    return parser


def _sets(given: argparse.Namespace, work: scans.Work) -> dict[str, dict[str, Tally]]:
    sets: dict[str, dict[str, Tally]] = {}
    if given.heads is not None:
        people, found = scans.last_people(given.heads, given.last), {}
        with Bar("synthetic", "scans") as show:
            for number in range(max(1, given.scans)):
                found[str(number)] = scans.of_number(work, people, number)
                show(number + 1, given.scans)
        sets[SYNTHETIC] = found
    if given.data is not None:
        every = [one for one in cases.find_cases(given.data) if one.reference and not one.problem]
        with Bar("real", "scans") as show:
            real = {}
            for done, case in enumerate(every, 1):
                real[case.name] = scans.of_case(work, case)
                show(done, len(every))
        sets[REAL] = real
    return {kind: found for kind, found in sets.items() if found}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    given = _parser().parse_args(argv)
    try:
        if given.heads is None and given.data is None:
            raise errors.UsageError("--heads or --data was expected", received="neither")
        files.check_writable(given.output)
        segmenter = wmhseg.Segmenter(given.model)
        sets = _sets(given, scans.Work(segmenter, given.output / "counts", max(1, given.slices)))
        if not sets:
            raise errors.NoCasesError("At least one case was expected", received="none")
        temperatures = [1.0]
        if SYNTHETIC in sets:
            temperatures.append(tally.fit(list(sets[SYNTHETIC].values())))
        files.write_text(given.output / "calibration.csv", table(sets, temperatures))
        drawn = {kind: tally.together(list(found.values())) for kind, found in sets.items()}
        files.write_bytes(given.output / "calibration.png", diagram.draw(drawn, temperatures))
    except errors.WmhsegError as error:
        print(f"wmhseg: error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{segmenter.model.preset.name}\n")
    print("\n".join(lines(sets, temperatures)))
    return errors.EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
