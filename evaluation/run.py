"""Segments and scores every case of a data set with any number of models, side by side.

    python -m evaluation.run                          the project's own synthetic case
    python -m evaluation.run --data DIR --models A B  every case below DIR
    python -m evaluation.run --data DIR --challenge   the challenge's 110 test scans

Masks go to OUTPUT/<model>/<case>/result.nii.gz. What has not changed is not computed again.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from evaluation import baselines
from evaluation.contender import Contender
from wmhseg import errors
from wmhseg.cli.console import Console
from wmhseg.datasets import demo
from wmhseg.datasets.cases import Case, Kind, Problem, find_cases, select
from wmhseg.datasets.results import Pair, pair_results
from wmhseg.io import checksums, files
from wmhseg.preparation.steps import PREPARED
from wmhseg.scoring import comparison, figures, markdown, ranking, score, summary
from wmhseg.scoring.markdown import number, table
from wmhseg.scoring.score import Scoring
from wmhseg.scoring.summary import CHALLENGE, LABELS, ROLES, Overview, Role, Study
from wmhseg.segmentation.options import Options
from wmhseg.segmentation.pipeline import segment
from wmhseg.version import __version__
from wmhseg.weights import preset, store
from wmhseg.weights.store import Model

DEFAULT_OUTPUT = Path("build") / "evaluation"

# Site and scanner (a pattern: the public archive writes "Philips_VU .PETMR_01.") -> test scans.
TEST_SET: Mapping[tuple[str, str], int] = {
    ("Utrecht", ""): 30,
    ("Singapore", ""): 30,
    ("Amsterdam", "GE3T"): 30,
    ("Amsterdam", "GE1T5"): 10,
    ("Amsterdam", "Philips*"): 10,
}

PROBABILITY = "probability.nii.gz"
_STAMP = "made_from.json"

Scale = Literal["auto", "adapt", "keep"]


@dataclass(frozen=True)
class Plan:
    """What is evaluated, and how.

    Attributes:
        cases: The cases.
        role: What they were used for.
        title: Name of the data set.
        output: Folder for masks and tables.
        scoring: How to score.
        challenge: Whether these are the challenge's test scans.
        plots: Whether to draw plots.
    """

    cases: tuple[Case, ...]
    role: Role
    title: str
    output: Path
    scoring: Scoring
    challenge: bool = False
    plots: bool = True


def network(
    model: Model,
    options: Options,
    scale: Scale,
    *,
    flair_only: bool = False,
    probability: bool = False,
) -> Contender:
    """Makes a contender of an installed model.

    Args:
        model: The model.
        options: How to run it.
        scale: "auto" keeps the intensities of cases in the challenge's layout, as the challenge
            ran it, and adapts those of others.
        flair_only: Withhold T1 from a model that works without it.
        probability: Write the probability map beside the mask.
    """
    chosen = model.preset

    def run(case: Case, target: Path) -> None:
        mode = scale
        if mode == "auto":
            mode = "keep" if case.in_challenge_layout else "adapt"
        if case.flair is None:
            raise errors.MissingFileError("A FLAIR scan was expected", received="none")
        t1 = case.t1 if chosen.takes_t1 and not flair_only else None
        # What stands in a folder "pre" has been prepared; it is measured as it is.
        steps = PREPARED if case.flair.parent.name == "pre" else options.steps
        run_with = replace(options, intensity_scale=mode, steps=steps)
        map_path = target.with_name(PROBABILITY) if probability else None
        segment(case.flair, t1, model=model, options=run_with).save(target, probability=map_path)

    return Contender(
        name=chosen.name + (".flair-only" if flair_only else ""),
        about=("without T1; " if flair_only else "")
        + f"{len(chosen.members)} member(s); trained on: {chosen.training_data}",
        identity=f"{__version__} {scale} {preset.to_json(chosen)}" + " map" * probability,
        segment=run,
    )


def member_models(model: Model) -> list[Model]:
    """Each member of an ensemble as a model of its own."""
    if len(model.preset.members) == 1:
        return []
    return [
        Model(
            model.folder,
            preset.with_changes(
                model.preset, name=f"{model.preset.name}.member{place}", members=(member,)
            ),
        )
        for place, member in enumerate(model.preset.members, 1)
    ]


def evaluate(plan: Plan, contenders: Sequence[Contender], console: Console) -> int:
    """Segments and scores all cases with all contenders, and writes every table.

    Args:
        plan: What is evaluated.
        contenders: What segments.
        console: Where to print.

    Returns:
        The exit code: 0, or that of CasesFailedError after everything else has been done.
    """
    names = [contender.name for contender in contenders]
    if len(set(names)) < len(names) or not names:
        raise errors.UsageError(
            "Models of different names were expected", received=", ".join(names)
        )
    if plan.plots:
        figures.check_available()
    files.check_writable(plan.output)
    remarks = _test_set_remarks(plan)
    for remark in remarks:
        console.warn(remark)
    found = [_evaluate_one(plan, contender, remarks, console) for contender in contenders]
    scored = {o.study.title: o.study.scores for o in found}
    heading = f"{plan.title}: {plan.role} data" if plan.role != "demo" else f"{plan.title}: demo"
    drawn = figures.draw_all(scored, heading) if plan.plots else {}
    for name, content in drawn.items():
        files.write_bytes(plan.output / name, content)
    files.write_text(plan.output / "table.csv", _csv_table(found))
    text = _markdown(plan, contenders, found, heading)
    text += "".join(f"\n![{Path(name).stem.replace('_', ' ')}]({name})\n" for name in drawn)
    files.write_text(plan.output / "summary.md", text)
    print("\n".join(_side_by_side(found)).rstrip())
    print(f"written      {plan.output / 'summary.md'}")
    code = errors.CasesFailedError.exit_code if remarks else errors.EXIT_OK
    for one in found:
        try:
            score.check_all_scored(one.study.scores, str(plan.output / one.study.title))
        except errors.CasesFailedError as error:
            console.warn(f"{one.study.title}: {error}")
            code = error.exit_code
    return code


def _evaluate_one(
    plan: Plan, contender: Contender, remarks: Sequence[str], console: Console
) -> Overview:
    folder = plan.output / contender.name
    files.check_writable(folder)
    failures = _segment_all(plan, contender, folder, console)
    paired, _ = pair_results(plan.cases, folder)
    told = [
        Pair(pair.case, None, failures[pair.case.name])
        if pair.case.problem is None and pair.case.name in failures
        else pair
        for pair in paired
    ]
    progress = console.progress(f"{contender.name}: scoring", "cases")
    scores = score.score_pairs(told, folder / "metrics.csv", plan.scoring, progress)
    study = Study(contender.name, plan.role, tuple(scores), (contender.about, *remarks))
    found = summary.overview(study)
    markdown.write(found, folder, {})
    return found


def _segment_all(
    plan: Plan, contender: Contender, folder: Path, console: Console
) -> dict[str, Problem]:
    """Segments what is not there yet; returns why a case could not be."""
    failures = {}
    cases = [case for case in plan.cases if case.problem is None]
    progress = console.progress(f"{contender.name}: segmenting", "cases")
    for done, case in enumerate(cases, 1):
        target = folder / case.name / "result.nii.gz"
        stamp = target.with_name(_STAMP)
        given = [path for path in (case.flair, case.t1) if path is not None]
        fingerprint = checksums.fingerprint(contender.identity, *given) if case.flair else ""
        if plan.scoring.force or not fingerprint or _stamped(target, stamp) != fingerprint:
            try:
                files.check_writable(target.parent)
                # A mask from before must not be scored as if it were of today's inputs.
                stamp.unlink(missing_ok=True)
                target.unlink(missing_ok=True)
                contender.segment(case, target)
                files.write_text(stamp, json.dumps({"fingerprint": fingerprint}) + "\n")
            except errors.InputError as error:
                failures[case.name] = Problem(Kind.NOT_SEGMENTED, str(error))
        progress(done, len(cases))
    return failures


def _stamped(target: Path, stamp: Path) -> str:
    """The fingerprint that a mask was made from, "" if there is none."""
    try:
        return str(json.loads(stamp.read_text("utf-8"))["fingerprint"]) if target.is_file() else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _test_set_remarks(plan: Plan) -> tuple[str, ...]:
    """What is missing of the challenge's test scans, or too many."""
    if not plan.challenge:
        return ()
    remarks = []
    for (site, scanner), expected in TEST_SET.items():
        count = sum(case.site == site and fnmatchcase(case.scanner, scanner) for case in plan.cases)
        if count != expected:
            remarks.append(
                f"Not the challenge's test set: {count} scans of {site} {scanner}".rstrip(" *")
                + f", {expected} expected."
            )
    if len(plan.cases) != sum(TEST_SET.values()) and not remarks:
        remarks.append(
            f"Not the challenge's test set: {len(plan.cases)} scans, "
            f"{sum(TEST_SET.values())} expected."
        )
    return tuple(remarks)


# Tables -------------------------------------------------------------------------------------------


def _side_by_side(found: Sequence[Overview]) -> list[str]:
    rows = []
    for one in found:
        metrics = one.groups["all"]["all"]
        cells = [
            f"{number(s.mean)} ({number(s.mean_low)} to {number(s.mean_high)}; n = {s.n})"
            for s in (metrics[name] for name in CHALLENGE)
        ]
        rows.append([one.study.title, f"{len(one.study.scored)}/{len(one.study.scores)}", *cells])
    return table(["Model", "scored", *(LABELS[name] for name in CHALLENGE)], rows)


def _csv_table(found: Sequence[Overview]) -> str:
    """One row for each model, group and metric."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head: list[str] = []
    for one in found:
        for kind, groups in one.groups.items():
            for group, metrics in groups.items():
                for name, figures_of in metrics.items():
                    values: dict[str, Any] = asdict(figures_of)
                    if not head:
                        head = ["role", "model", "by", "group", "metric", *values]
                        writer.writerow(head)
                    writer.writerow(
                        [one.study.role, one.study.title, kind, group, name, *values.values()]
                    )
    return text.getvalue()


def _markdown(
    plan: Plan, contenders: Sequence[Contender], found: Sequence[Overview], heading: str
) -> str:
    lines = [f"# {heading}", "", ROLES[plan.role], ""]
    if plan.challenge:
        lines += [ranking.CAVEAT, ""]
    lines += [f"- {c.name}: {c.about}" for c in contenders]
    lines += ["", "Mean (95 % bootstrap interval; n cases with a value).", ""]
    lines += _side_by_side(found)
    for kind in ("site", "scanner"):
        for one in found:
            if kind in one.groups:
                lines += [f"## {one.study.title} by {kind}", "", "Mean (n cases with a value).", ""]
                lines += markdown.group_table(kind.capitalize(), one.groups[kind])
    lines += _comparisons(found) + (_places(found) if plan.challenge else [])
    lines += [
        f"Cases with problems, and everything else about a model: {o.study.title}/summary.md"
        for o in found
    ]
    return "\n\n".join(("\n".join(lines).rstrip(), f"wmhseg {__version__}")) + "\n"


def _comparisons(found: Sequence[Overview]) -> list[str]:
    """Each other model against the first, where enough cases are common."""
    lines = []
    first, *others = (one.study for one in found)
    for other in others:
        common = {s.case for s in first.scored} & {s.case for s in other.scored}
        if len(common) > 1:
            names = (first.title, other.title)
            compared = comparison.compare(first.scored, other.scored, names)
            lines += [f"## {other.title} against {first.title}", "", *compared.to_markdown()]
    return lines


def _places(found: Sequence[Overview]) -> list[str]:
    lines = []
    for one in found:
        if one.study.scored:
            title = one.study.title
            lines += [f"## {title} among the teams published in 2017", ""]
            lines += comparison.place(one.study.scores, title).to_markdown()
    return lines


# The command --------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, help="cases; default: the project's synthetic case")
    parser.add_argument("--models", nargs="+", default=[store.DEFAULT_MODEL], metavar="NAME|PATH")
    parser.add_argument("--members", action="store_true", help="also each member alone")
    parser.add_argument(
        "--flair-only", action="store_true", help="also each model without T1, where it can do so"
    )
    parser.add_argument(
        "--baselines",
        nargs="+",
        choices=baselines.NAMES,
        default=[],
        help="also methods without deep learning; they need --labels and --priors",
    )
    parser.add_argument("--labels", type=Path, help="whole-head label maps, for synthetic scans")
    parser.add_argument("--priors", type=Path, help="probability maps on the MNI grid")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help="default: %(default)s")
    parser.add_argument(
        "--challenge",
        action="store_true",
        help="the challenge's 110 test scans (doi:10.34894/AECRSD), ranked among the teams of 2017",
    )
    parser.add_argument("--only", action="append", default=[], metavar="KEY=PATTERN")
    parser.add_argument(
        "--role", choices=list(ROLES), help="default: validation; test with --challenge"
    )
    parser.add_argument(
        "--intensity-scale",
        choices=["auto", "adapt", "keep"],
        default="auto",
        help="auto keeps intensities in the challenge's layout and adapts others",
    )
    parser.add_argument("--device", choices=["auto", "cpu", "gpu"], default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--jobs", type=int, help="processes that score; default: all processors")
    parser.add_argument("--official", type=Path, help="the organisers' evaluation.py")
    parser.add_argument("--force", action="store_true", help="compute everything again")
    parser.add_argument("--no-plots", action="store_true")
    parser.add_argument("-q", "--quiet", action="store_true")
    return parser


def _plan(arguments: argparse.Namespace) -> Plan:
    data = arguments.data or _demo_data(arguments.output)
    only = [*arguments.only, *(["split=test"] if arguments.challenge else [])]
    role: Role = arguments.role or "validation"
    if arguments.role is None and arguments.data is None:
        role = "demo"
    if arguments.role is None and arguments.challenge:
        role = "test"
    cases = select(find_cases(data), only)
    challenge_title = f"WMH challenge, {len(cases)} scans"
    return Plan(
        cases=tuple(cases),
        role=role,
        title=challenge_title if arguments.challenge else data.resolve().name,
        output=arguments.output,
        scoring=Scoring(arguments.jobs, arguments.force, arguments.official),
        challenge=arguments.challenge,
        plots=not arguments.no_plots,
    )


def _demo_data(output: Path) -> Path:
    """Writes the synthetic case, as case "synthetic"."""
    data = output / "synthetic-data"
    case = data / "synthetic"
    if not (case / "wmh.nii.gz").is_file():
        data.mkdir(parents=True, exist_ok=True)
        demo.write_case(data).rename(case)
    return data


def _baselines(arguments: argparse.Namespace, console: Console) -> list[Contender]:
    if not arguments.baselines:
        return []
    if arguments.labels is None or arguments.priors is None:
        raise errors.UsageError(
            "--labels DIR and --priors DIR were expected with --baselines",
            received="none" if arguments.labels is arguments.priors else "one of them",
            advice="Label maps are for synthetic scans to learn from, priors for places.",
        )
    kept = arguments.output / "baselines" / "learned.npz"
    sources = baselines.Sources(arguments.labels, arguments.priors, kept)
    return baselines.contenders(arguments.baselines, sources, console)


def _contenders(arguments: argparse.Namespace, console: Console) -> list[Contender]:
    options = Options(device=arguments.device, threads=arguments.threads)
    models = []
    for name in arguments.models:
        model = store.find(name)
        models += [model, *(member_models(model) if arguments.members else [])]
    scale = arguments.intensity_scale
    found = [network(model, options, scale) for model in models]
    if arguments.flair_only:
        able = [model for model in models if model.preset.works_without_t1]
        found += [network(m, options, scale, flair_only=True) for m in able]
    return found + _baselines(arguments, console)


def main(argv: Sequence[str] | None = None, contenders: Sequence[Contender] | None = None) -> int:
    """Runs the command.

    Args:
        argv: Arguments; None for those of the process.
        contenders: What to evaluate instead of installed models.

    Returns:
        The exit code, as of ``wmhseg``.
    """
    arguments = _parser().parse_args(argv)
    try:
        plan = _plan(arguments)
        console = Console(quiet=arguments.quiet)
        chosen = _contenders(arguments, console) if contenders is None else contenders
        return evaluate(plan, chosen, console)
    except errors.WmhsegError as error:
        print(f"wmhseg: error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
