"""How a model's threshold, least peak and smallest lesion score on cases with references.

    python -m evaluation.rules.thresholds --data DIR --models NAME ... --maps DIR

The short look: means over all cases, whatever their source. ``python -m evaluation.rules`` chooses
by leave-one-source-out. Probability maps are computed once and kept in --maps. What is chosen by
such a table is chosen on these cases: they are validation cases from then on, never test cases.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import wmhseg
from evaluation.rules import candidates, maps
from wmhseg.datasets.cases import find_cases
from wmhseg.scoring.rules import Found, Rules

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99)
SMALLEST_MM3 = (0.0, 10.0)
BEST = 3
"""Thresholds that lesion rules are tried with."""

Row = tuple[Rules, float, float]


def rows(rules: Sequence[Rules], scored: Sequence[Mapping[Rules, Found]]) -> list[Row]:
    """Mean DSC and lesion F1 of each rule.

    Args:
        rules: What to tell of.
        scored: The figures of each case.
    """
    return [
        (
            rule,
            float(np.nanmean([one[rule].dsc for one in scored])),
            float(np.mean([one[rule].f1 for one in scored])),
        )
        for rule in rules
    ]


def _worth(row: Row) -> float:
    """What rows are sorted by: the best first."""
    return -(row[1] + row[2])


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the best rules of each model by the mean of DSC and F1, and the plain thresholds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", nargs="+", required=True)
    parser.add_argument("--maps", type=Path, required=True)
    parser.add_argument("--lines", type=int, default=12, help="best rules that are shown")
    given = parser.parse_args(argv)
    cases = [case for case in find_cases(given.data) if case.reference is not None]
    every = candidates.every(THRESHOLDS, SMALLEST_MM3)
    for name in given.models:
        segmenter = wmhseg.Segmenter(name)
        kept = [maps.of_case(segmenter, case, given.maps) for case in cases]
        scored = [candidates.found(k, k.references[maps.REFERENCE], every) for k in kept]
        plain = rows([rule for rule in every if rule.plain], scored)
        _show(f"{name}, n = {len(cases)}, thresholds alone", plain)
        tried = {rule.threshold for rule, *_ in sorted(plain, key=_worth)[:BEST]}
        refined = rows([r for r in every if not r.plain and r.threshold in tried], scored)
        best = sorted(refined, key=_worth)[: given.lines]
        _show(f"{name}, n = {len(cases)}, best rules", best)


def _show(title: str, told: Sequence[Row]) -> None:
    print(f"\n{title}:\n\n| threshold | peak | mm3 | mean DSC | mean lesion F1 |")
    print("|---|---|---|---|---|")
    for rule, dsc, f1 in told:
        numbers = f"{rule.threshold:g} | {rule.lesion_peak:g} | {rule.min_lesion_mm3:g}"
        print(f"| {numbers} | {dsc:.3f} | {f1:.3f} |", flush=True)


if __name__ == "__main__":
    main()
