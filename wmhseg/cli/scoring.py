"""The commands that judge results: evaluate, rank, compare."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wmhseg import errors
from wmhseg.cli.console import Console, console_of, print_json, print_json_text
from wmhseg.cli.found import ABOUT, Row, print_found
from wmhseg.cli.parser import examples, whole

if TYPE_CHECKING:
    from wmhseg.datasets.results import Pair
    from wmhseg.scoring.summary import Overview
    from wmhseg.scoring.table import Score

_MOST_NOTES = 10  # on a screen; the summary has them all


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_evaluate)
    examples(
        parser,
        "evaluate --reference wmh.nii.gz --result result.nii.gz",
        "evaluate --data cases --results results --output scores",
        "evaluate --data cases --results results --only site=Utrecht",
    )
    one = parser.add_argument_group("one result")
    one.add_argument(
        "--reference", metavar="NIFTI", help="mask made by a person: 1 is WMH, 2 is left out"
    )
    one.add_argument("--result", metavar="NIFTI", help="mask to score")
    one.add_argument(
        "--stroke",
        metavar="NIFTI",
        help="mask of stroke to score, label 2 of the reference (default: result_stroke.nii.gz "
        "beside a result.nii.gz)",
    )
    many = parser.add_argument_group("a folder of results")
    many.add_argument("--data", metavar="DIR", help="cases with reference masks, wmh.nii.gz")
    many.add_argument("--results", metavar="DIR", help="masks to score")
    many.add_argument("--output", metavar="DIR", help="default: RESULTS/evaluation")
    many.add_argument("--format", choices=["csv", "tsv"], default="csv", help="default: csv")
    many.add_argument("--jobs", type=whole, metavar="N", help="processes; default: all processors")
    many.add_argument("--force", action="store_true", help="score again what is in the table")
    many.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="KEY=PATTERN",
        help="case, split, site or scanner, such as site=Utrecht; may be given again",
    )
    many.add_argument("--dry-run", action="store_true", help=ABOUT)
    many.add_argument("--title", help="of the summary; default: name of the folder")
    many.add_argument(
        "--role",
        choices=["unstated", "validation", "test", "demo"],
        default="unstated",
        help="what the data were used for, to print above the figures; data are test data only if "
        "nothing was trained on them or chosen by them",
    )
    many.add_argument("--no-plots", action="store_true", help="draw no plots")
    parser.add_argument(
        "--official",
        metavar="EVALUATION.PY",
        help="run the organisers' script as well and stop if it finds other numbers",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def _add_rank(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_rank)
    examples(parser, "rank scores/metrics.csv --name mine")
    parser.add_argument("table", metavar="METRICS.CSV", help="as evaluate writes it")
    parser.add_argument("--name", default="this result", help="what to call it")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_compare)
    examples(parser, "compare mine/metrics.csv theirs/metrics.csv")
    parser.add_argument("first", metavar="A.CSV", help="as evaluate writes it")
    parser.add_argument("second", metavar="B.CSV", help="the same cases, another method")
    parser.add_argument("--metrics", metavar="M,M,…", help="default: the challenge's five")
    parser.add_argument(
        "--resamples", type=whole, default=9999, help="number of samples of the bootstrap"
    )
    parser.add_argument("--seed", type=whole, default=0, help="random seed of the bootstrap")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _evaluate(arguments: argparse.Namespace) -> int:
    one = [arguments.reference, arguments.result]
    many = [arguments.data, arguments.results]
    if all(one) and not any([*many, arguments.output, arguments.dry_run]):
        return _evaluate_one(Path(one[0]), Path(one[1]), arguments)
    if all(many) and not any([*one, arguments.stroke]):
        return _evaluate_folder(Path(many[0]), Path(many[1]), arguments)
    raise errors.UsageError(
        "Either --reference and --result, or --data and --results (with --output, --dry-run), were "
        "expected",
        advice='See "wmhseg evaluate --help".',
    )


def _evaluate_one(reference: Path, result: Path, arguments: argparse.Namespace) -> int:
    from wmhseg.datasets.results import others_beside
    from wmhseg.scoring import official
    from wmhseg.scoring.score import Scoring, score_masks, score_others

    console = console_of(arguments)
    scoring = Scoring(script=Path(arguments.official) if arguments.official else None)
    as_arrays = scoring.script is not None
    values, notes = score_masks(reference, result, as_arrays=as_arrays)
    given = {"stroke": Path(arguments.stroke)} if arguments.stroke else others_beside(result)
    others, more = score_others(reference, given, as_arrays=as_arrays)
    for note in notes + more:
        console.warn(note)
    theirs = None
    if scoring.script is not None:
        theirs = official.run(scoring.script, reference, result)
        official.check(result.name, values, theirs, " ".join(notes))
    if arguments.json:
        own = {"metrics": values, "notes": list(notes + more)} | (
            {"others": others} if given else {}
        )
        print_json(own | ({"official": dict(theirs.values)} if theirs else {}))
    else:
        _print_values(values)
        for label, figures in others.items():
            print(label)
            _print_values(figures)
        if theirs is not None:
            verdict = "stopped: " + theirs.stopped if theirs.stopped else "same five numbers"
            print(f"{'official script':<24}{verdict}")
    if values["reference_lesions"] == 0:
        raise errors.CasesFailedError(
            "A reference with at least one voxel of label 1 was expected",
            received=f"an empty one: {reference}",
            advice="Metrics that are undefined without one are nan.",
        )
    return errors.EXIT_OK


def _print_values(values: Mapping[str, float]) -> None:
    """A line for each metric of a mask."""
    from wmhseg.scoring import markdown, summary
    from wmhseg.scoring.table import COUNTS

    for name, value in values.items():
        shown = f"{value:.0f}" if name in COUNTS else markdown.number(value)
        print(f"{summary.LABELS.get(name, name.replace('_', ' ')):<24}{shown}")


def _evaluate_folder(data: Path, results: Path, arguments: argparse.Namespace) -> int:
    from wmhseg.datasets.cases import find_cases, select
    from wmhseg.datasets.results import pair_results
    from wmhseg.io import files
    from wmhseg.scoring import figures, summary, summary_files
    from wmhseg.scoring.score import Scoring, check_all_scored, score_pairs

    console = console_of(arguments)
    scoring = Scoring(
        jobs=arguments.jobs,
        force=arguments.force,
        script=Path(arguments.official) if arguments.official else None,
    )
    plotting = not arguments.no_plots and figures.available()
    if not (plotting or arguments.no_plots or arguments.dry_run):
        console.say(figures.NO_PLOTS)
    cases = select(find_cases(data, console.warn), arguments.only)
    matched, unmatched = pair_results(cases, results, console.warn)
    _tell_unmatched(console, unmatched)
    if arguments.dry_run:
        labels = list(dict.fromkeys(label for pair in matched for label in pair.others))
        print_found([_found(pair, labels) for pair in matched], as_json=arguments.json)
        return errors.EXIT_OK
    output = Path(arguments.output) if arguments.output else results / "evaluation"
    files.check_writable(output)
    title = arguments.title or results.resolve().name
    table = output / f"metrics.{arguments.format}"
    with console.progress("scoring", "cases") as show:
        scores = score_pairs(matched, table, scoring, show)
    overview = summary.overview(summary.Study(title, arguments.role, tuple(scores)))
    plots = figures.draw_all({title: scores}, overview.study.heading) if plotting else {}
    summary_files.write(overview, output, plots)
    _tell_notes(console, scores)
    if arguments.json:
        print_json_text(summary_files.to_json(overview))
    else:
        _print_overview(overview, output)
    check_all_scored(scores, str(output / "summary.md"))
    return errors.EXIT_OK


def _found(pair: Pair, labels: Sequence[str]) -> Row:
    """What would be scored against what, with a column for each other label that is there."""
    from wmhseg.datasets.results import why_not

    case = pair.case
    return {
        "subject": case.name,
        "flair": case.flair,
        "t1": case.t1,
        "mask": case.reference,
        "result": pair.result,
        **{label: pair.others.get(label) for label in labels},
        "why_not": why_not(pair),
    }


def _tell_unmatched(console: Console, unmatched: Sequence[Path]) -> None:
    if unmatched:
        names = ", ".join(str(path) for path in unmatched[:_MOST_NOTES])
        more = ", …" if len(unmatched) > _MOST_NOTES else ""
        console.warn(
            f"{len(unmatched)} results belong to no case that was asked for: {names}{more}"
        )


def _tell_notes(console: Console, scores: Sequence[Score]) -> None:
    notes = [f"case {score.case}: {note}" for score in scores for note in score.notes]
    notes += [f"case {s.case}: {s.problem}" for s in scores if s.problem]
    for note in notes[:_MOST_NOTES]:
        console.warn(note)
    if len(notes) > _MOST_NOTES:
        console.warn(f"{len(notes) - _MOST_NOTES} more notes are in the summary.")


def _print_overview(overview: Overview, output: Path) -> None:
    from wmhseg.scoring.markdown import number
    from wmhseg.scoring.summary import CHALLENGE, LABELS, ROLES, SIZE_CLASSES

    study = overview.study
    print(study.heading)
    print(ROLES[study.role])
    print(f"{len(study.scored)} of {len(study.scores)} cases scored")
    for label, figures in {"": overview.groups["all"]["all"], **overview.others}.items():
        if label:
            print(label)
        for metric in CHALLENGE:
            s = figures[metric]
            print(
                f"{LABELS[metric]:<16}{number(s.mean):>8}  (95 % {number(s.mean_low)} to "
                f"{number(s.mean_high)}; median {number(s.median)}, SD {number(s.sd)}, "
                f"n = {s.n}, NaN {s.n_nan})"
            )
        for size in overview.other_sizes[label] if label else overview.sizes:
            print(
                f"Recall {number(size.recall):>17}  ({SIZE_CLASSES[size.name]} voxels, "
                f"n = {size.lesions} lesions)"
            )
    print(f"written         {output}")


def _rank(arguments: argparse.Namespace) -> int:
    from wmhseg.scoring import comparison, table

    placed = comparison.place(table.read_table(Path(arguments.table)), arguments.name)
    if arguments.json:
        print_json(placed.to_dict())
    else:
        print("\n".join(placed.to_markdown()).rstrip())
    return errors.EXIT_OK


def _compare(arguments: argparse.Namespace) -> int:
    from wmhseg.scoring import comparison, table
    from wmhseg.scoring.statistics import Bootstrap
    from wmhseg.scoring.summary import CHALLENGE

    paths = Path(arguments.first), Path(arguments.second)
    compared = comparison.compare(
        table.read_table(paths[0]),
        table.read_table(paths[1]),
        _different_names(*paths),
        arguments.metrics.split(",") if arguments.metrics else CHALLENGE,
        Bootstrap(resamples=arguments.resamples, seed=arguments.seed),
    )
    console = console_of(arguments)
    for case in compared.other_references:
        console.warn(f"case {case}: the reference volumes differ: not the same reference")
    if arguments.json:
        print_json(compared.to_dict())
    else:
        print("\n".join(compared.to_markdown()).rstrip())
    if any(compared.only):
        parts = [
            f"{len(cases)} only in {name} ({', '.join(cases)})"
            for name, cases in zip(compared.names, compared.only, strict=True)
            if cases
        ]
        raise errors.CasesFailedError(
            "The same scored cases in both tables were expected",
            received=", ".join(parts),
            advice=f"Compared on the {len(compared.cases)} common ones.",
        )
    return errors.EXIT_OK


def _different_names(first: Path, second: Path) -> tuple[str, str]:
    """The shortest ends of two paths that differ."""
    ends = [path.resolve().with_suffix("").parts[::-1] for path in (first, second)]
    for depth in range(1, min(map(len, ends)) + 1):
        names = ["/".join(end[:depth][::-1]) for end in ends]
        if names[0] != names[1]:
            return names[0], names[1]
    return str(first), str(second)


COMMANDS = {"evaluate": _add_evaluate, "rank": _add_rank, "compare": _add_compare}
