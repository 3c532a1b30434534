"""Chooses rules by leave-one-source-out, and says what they cost.

    python -m evaluation.rules --data DIR --models NAME ... --output DIR
    python -m evaluation.rules --data DIR --labels HEADS --healthy DIR --output DIR

Prints, and writes to OUTPUT/<model>.md: rules of the preset, rules chosen on the other sources and
none, on real cases; which threshold suits which synthetic reader; whether a smallest lesion and a
peak help; and what each rule marks in synthetic scans without lesions and in healthy people.
Probability maps are kept in OUTPUT/maps: an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import wmhseg
from evaluation.rules import candidates, choosing, maps, synthetic, tables
from evaluation.rules.choosing import Judged
from evaluation.rules.synthetic import Source
from wmhseg import errors
from wmhseg.cli.console import Console
from wmhseg.datasets.cases import Case, find_cases
from wmhseg.datasets.subjects import find_subjects
from wmhseg.engines.runtime import PRECISIONS
from wmhseg.io import files
from wmhseg.scoring.rules import Found, Rules
from wmhseg.synthesis.heads import load_heads
from wmhseg.weights import store

QUARTERS = 4
"""Synthetic scans are judged by rules that were chosen on the other quarters."""


@dataclass(frozen=True)
class Asked:
    """What rules are tried on.

    Attributes:
        cases: Real scans with references.
        healthy: Real scans in which nothing should be marked.
        with_lesions: Synthetic scans, and how many; None: none.
        without: The same without lesions.
        maps: Folder of kept maps.
        small: Names of the cases with small loads.
    """

    cases: tuple[Case, ...]
    healthy: tuple[Case, ...]
    with_lesions: tuple[Source, int] | None
    without: tuple[Source, int] | None
    maps: Path
    small: tuple[str, ...] = choosing.LOW_LOAD


def report(asked: Asked, segmenter: wmhseg.Segmenter, console: Console) -> list[str]:
    """All tables of a model, as lines of Markdown."""
    preset = segmenter.model.preset
    own = Rules.of(preset.postprocessing)
    rules = sorted({*candidates.every(), own, Rules(own.threshold)}, key=_simple_first)
    real, readers, free, healthy = _judged(asked, segmenter, rules, console)
    lines = [f"# Rules for {preset.name}", ""]
    if segmenter.options.precision != "f32":
        lines += [f"Probabilities in {PRECISIONS[segmenter.options.precision]}.", ""]
    listed = {"the preset's": own}
    if real:
        lines += ["## Chosen on the other sources", ""]
        lines += tables.of_sources(real, rules, own, asked.small)
        for name, some in tables.kinds(rules).items():
            listed[f"best of all real scans, {name}"] = choosing.best(real, some)
    if readers:
        lines += ["## Readers of known generosity", "", *tables.of_readers(readers, rules, own)]
        for reader, scans in readers.items():
            listed[f"best for the {reader} synthetic reader"] = choosing.best(scans, rules)
    small = [one for one in readers.get("balanced", []) if _has_small(one, own)]
    places = {"real scans": real, "synthetic scans with small lesions": small}
    places = {name: scans for name, scans in places.items() if _sources(scans) > 1}
    if places:
        lines += ["## Smallest lesion and peak", "", *tables.of_lesion_rules(places, rules)]
    if free or healthy:
        listed |= {f"threshold {t:g}": Rules(t) for t in candidates.THRESHOLDS if 0.3 <= t < 0.98}
        lines += ["## Marked where nothing is", "", *tables.of_price(listed, free, healthy)]
    return lines


def _simple_first(rule: Rules) -> tuple[int, Rules]:
    """Of rules of equal worth the simplest one is chosen."""
    return bool(rule.min_lesion_mm3) + bool(rule.lesion_peak), rule


def _has_small(scan: Judged, rule: Rules) -> bool:
    return scan.scores[rule].sizes["small"][1] > 0


def _sources(scans: Sequence[Judged]) -> int:
    return len({one.source for one in scans})


def _judged(
    asked: Asked, segmenter: wmhseg.Segmenter, rules: Sequence[Rules], console: Console
) -> tuple[list[Judged], dict[str, list[Judged]], list[dict[Rules, Found]], dict[str, Judged]]:
    """Real scans, reader -> synthetic ones, the figures of lesion-free ones, healthy people."""
    real, readers, free, healthy = [], dict[str, list[Judged]](), [], {}
    with console.progress("scans with references", "scans") as show:
        for done, case in enumerate(asked.cases, 1):
            kept = maps.of_case(segmenter, case, asked.maps)
            scores = candidates.found(kept, kept.references[maps.REFERENCE], rules)
            source, patient = choosing.source_of(case.name), choosing.patient_of(case.name)
            real.append(Judged(case.name, source, patient, scores))
            show(done, len(asked.cases))
    for case in asked.healthy:
        kept = maps.of_case(segmenter, case, asked.maps)
        scores = candidates.found(kept, None, rules)
        healthy[case.name] = Judged(case.name, "healthy", case.name, scores)
    if asked.without is not None:
        source, count = asked.without
        with console.progress("synthetic scans without lesions", "scans") as show:
            for number in range(count):
                kept = synthetic.of_number(segmenter, source, number, asked.maps)
                free.append(candidates.found(kept, None, rules))
                show(number + 1, count)
    if asked.with_lesions is not None:
        source, count = asked.with_lesions
        readers = {reader: [] for reader in source.readers}
        with console.progress("synthetic scans", "scans") as show:
            for number in range(count):
                kept = synthetic.of_number(segmenter, source, number, asked.maps)
                quarter = f"quarter {number % QUARTERS + 1}"
                for reader, judged in readers.items():
                    scores = candidates.found(kept, kept.references[reader], rules)
                    judged.append(Judged(kept.name, quarter, kept.name, scores))
                show(number + 1, count)
    return real, readers, free, healthy


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.rules",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, help="cases with references, of two sources or more")
    parser.add_argument("--models", nargs="+", default=[store.DEFAULT_MODEL], metavar="NAME|PATH")
    parser.add_argument("--labels", type=Path, help="label maps or prepared heads, to draw from")
    parser.add_argument("--scans", type=int, default=40, help="synthetic scans with lesions")
    parser.add_argument("--lesion-free", type=int, default=20, help="synthetic scans without any")
    parser.add_argument("--healthy", type=Path, help="scans of people without lesions")
    parser.add_argument(
        "--small",
        nargs="+",
        default=choosing.LOW_LOAD,
        metavar="CASE",
        help="cases with small loads",
    )
    parser.add_argument(
        "--precision", choices=list(PRECISIONS), default="f32", help="f32 is exact; bf16 is faster"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for tables and maps")
    parser.add_argument("-q", "--quiet", action="store_true")
    return parser


def _asked(given: argparse.Namespace) -> Asked:
    if not (given.data or given.labels or given.healthy):
        raise errors.UsageError("--data, --labels or --healthy was expected", received="none")
    cases = find_cases(given.data) if given.data else []
    healthy = find_subjects(given.healthy) if given.healthy else []
    heads = load_heads(given.labels) if given.labels else []
    drawn = {
        name: (make(given.labels, heads), count)
        for name, make, count in (
            ("with_lesions", synthetic.with_lesions, given.scans),
            ("without", synthetic.without_lesions, given.lesion_free),
        )
        if heads and count > 0
    }
    return Asked(
        tuple(case for case in cases if case.reference is not None and case.problem is None),
        tuple(Case(name=one.name, flair=one.flair, t1=one.t1) for one in healthy),
        drawn.get("with_lesions"),
        drawn.get("without"),
        given.output / "maps",
        tuple(given.small),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    given = _parser().parse_args(argv)
    console = Console(quiet=given.quiet)
    try:
        files.check_writable(given.output)
        asked = _asked(given)
        for name in given.models:
            segmenter = wmhseg.Segmenter(name, wmhseg.Options(precision=given.precision))
            text = "\n".join(report(asked, segmenter, console)).rstrip() + "\n"
            path = given.output / f"{segmenter.model.preset.name}.md"
            files.write_text(path, text)
            print(text)
            console.say(f"written      {path}")
    except errors.WmhsegError as error:
        print(f"wmhseg: error: {error}", file=sys.stderr)
        return error.exit_code
    return errors.EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
