"""Segments and scores cases with any number of contenders, and writes every table.

Masks go to OUTPUT/<contender>/<case>/result.nii.gz. What has not changed is not computed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from evaluation import tables
from evaluation.contender import Contender
from wmhseg import errors
from wmhseg.cli.console import Console
from wmhseg.datasets.cases import Case, Problem, ProblemKind
from wmhseg.datasets.results import Pair, pair_results
from wmhseg.io import files
from wmhseg.io.progress import Progress
from wmhseg.io.stamps import Stamp, fingerprint
from wmhseg.scoring import figures, score, summary, summary_files
from wmhseg.scoring.score import Scoring
from wmhseg.scoring.summary import Overview, Role, Study

# Site and scanner (a pattern: the public archive writes "Philips_VU .PETMR_01.") -> test scans.
TEST_SET: Mapping[tuple[str, str], int] = {
    ("Utrecht", ""): 30,
    ("Singapore", ""): 30,
    ("Amsterdam", "GE3T"): 30,
    ("Amsterdam", "GE1T5"): 10,
    ("Amsterdam", "Philips*"): 10,
}

_STAMP = "made_from.json"


@dataclass(frozen=True)
class Evaluation:
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


def evaluate(evaluation: Evaluation, contenders: Sequence[Contender], console: Console) -> int:
    """Segments and scores all cases with all contenders, and writes every table.

    Args:
        evaluation: What is evaluated.
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
    plotting = evaluation.plots and figures.available()
    if evaluation.plots and not plotting:
        console.say(figures.NO_PLOTS)
    files.check_writable(evaluation.output)
    remarks = _test_set_remarks(evaluation)
    for remark in remarks:
        console.warn(remark)
    overviews = [_evaluate_one(evaluation, contender, remarks, console) for contender in contenders]
    scored = {one.study.title: one.study.scores for one in overviews}
    heading = summary.heading(evaluation.title, evaluation.role)
    drawn = figures.draw_all(scored, heading) if plotting else {}
    for name, content in drawn.items():
        files.write_bytes(evaluation.output / name, content)
    files.write_text(evaluation.output / "table.csv", tables.to_csv(overviews))
    text = tables.to_markdown(heading, contenders, overviews, challenge=evaluation.challenge)
    text += "".join(f"\n![{Path(name).stem.replace('_', ' ')}]({name})\n" for name in drawn)
    files.write_text(evaluation.output / "summary.md", text)
    print("\n".join(tables.side_by_side(overviews)).rstrip())
    print(f"written      {evaluation.output / 'summary.md'}")
    code = errors.CasesFailedError.exit_code if remarks else errors.EXIT_OK
    for one in overviews:
        try:
            score.check_all_scored(one.study.scores, str(evaluation.output / one.study.title))
        except errors.CasesFailedError as error:
            console.warn(f"{one.study.title}: {error}")
            code = error.exit_code
    return code


def _evaluate_one(
    evaluation: Evaluation, contender: Contender, remarks: Sequence[str], console: Console
) -> Overview:
    folder = evaluation.output / contender.name
    files.check_writable(folder)
    cases = tuple(case for case in evaluation.cases if contender.takes(case))
    if not cases:
        raise errors.NoCasesError(
            f"At least one case was expected that there is a mask of {contender.name} for",
            received=", ".join(case.name for case in evaluation.cases) or "no case",
        )
    evaluation = replace(evaluation, cases=cases)
    with console.progress(f"{contender.name}: segmenting", "cases") as show:
        failures = _segment_all(evaluation, contender, folder, show)
    paired, _ = pair_results(evaluation.cases, folder)
    pairs = [
        Pair(pair.case, None, failures[pair.case.name])
        if pair.case.problem is None and pair.case.name in failures
        else pair
        for pair in paired
    ]
    with console.progress(f"{contender.name}: scoring", "cases") as show:
        scores = score.score_pairs(pairs, folder / "metrics.csv", evaluation.scoring, show)
    study = Study(contender.name, evaluation.role, tuple(scores), (contender.about, *remarks))
    overview = summary.overview(study)
    summary_files.write(overview, folder, {})
    return overview


def _segment_all(
    evaluation: Evaluation, contender: Contender, folder: Path, progress: Progress
) -> dict[str, Problem]:
    """Segments what is not there yet; returns why a case could not be."""
    failures = {}
    cases = [case for case in evaluation.cases if case.problem is None]
    for done, case in enumerate(cases, 1):
        target = folder / case.name / "result.nii.gz"
        stamp = Stamp(target.with_name(_STAMP), (target,))
        given = [path for path in (case.flair, case.t1) if path is not None]
        today = fingerprint(contender.identity, *given) if case.flair else ""
        if evaluation.scoring.force or stamp.read(today) is None:
            try:
                with files.without_empty_folders(target.parent):
                    files.check_writable(target.parent)
                    # A mask from before must not be scored as if it were of today's inputs.
                    stamp.clear()
                    target.unlink(missing_ok=True)
                    contender.segment(case, target)
                    stamp.write(today)
            except errors.InputError as error:
                failures[case.name] = Problem(ProblemKind.NOT_SEGMENTED, str(error))
        progress(done, len(cases))
    return failures


def _test_set_remarks(evaluation: Evaluation) -> tuple[str, ...]:
    """What is missing of the challenge's test scans, or too many."""
    if not evaluation.challenge:
        return ()
    remarks = []
    for (site, scanner), expected in TEST_SET.items():
        count = sum(
            case.site == site and fnmatchcase(case.scanner, scanner) for case in evaluation.cases
        )
        if count != expected:
            remarks.append(
                f"Not the challenge's test set: {count} scans of {site} {scanner}".rstrip(" *")
                + f", {expected} expected."
            )
    if len(evaluation.cases) != sum(TEST_SET.values()) and not remarks:
        remarks.append(
            f"Not the challenge's test set: {len(evaluation.cases)} scans, "
            f"{sum(TEST_SET.values())} expected."
        )
    return tuple(remarks)
