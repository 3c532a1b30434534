"""Segments and scores every case of a data set with any number of models, side by side.

    python -m evaluation.run                          the project's own synthetic case
    python -m evaluation.run --data DIR --models A B  every case below DIR
    python -m evaluation.run --data DIR --challenge   the challenge's 110 test scans

Masks go to OUTPUT/<model>/<case>/result.nii.gz. What has not changed is not computed again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from evaluation.baselines import peers
from evaluation.baselines.contenders import BASELINES, Sources, make_baselines
from evaluation.contender import Contender, member_models, network
from evaluation.segment_and_score import Evaluation, evaluate
from wmhseg import errors
from wmhseg.cli.console import Console
from wmhseg.cli.options import add_options, options_of
from wmhseg.datasets import demo
from wmhseg.datasets.cases import find_cases, select
from wmhseg.scoring.score import Scoring
from wmhseg.scoring.summary import ROLES, Role
from wmhseg.weights import store

DEFAULT_OUTPUT = Path("build") / "evaluation"


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
        choices=BASELINES,
        default=[],
        help="also methods without deep learning; they need --labels",
    )
    parser.add_argument(
        "--peers", type=Path, help="also published masks of other tools: <case>/wmh_<tool>.nii.gz"
    )
    parser.add_argument("--labels", type=Path, help="whole-head label maps, for synthetic scans")
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
    parser.add_argument("--jobs", type=int, help="processes that score; default: all processors")
    parser.add_argument("--official", type=Path, help="the organisers' evaluation.py")
    parser.add_argument("--force", action="store_true", help="compute everything again")
    parser.add_argument("--no-plots", action="store_true")
    parser.add_argument("-q", "--quiet", action="store_true")
    add_options(parser)
    return parser


def _evaluation(arguments: argparse.Namespace) -> Evaluation:
    data = arguments.data or _demo_data(arguments.output)
    only = [*arguments.only, *(["split=test"] if arguments.challenge else [])]
    role: Role = arguments.role or "validation"
    if arguments.role is None and arguments.data is None:
        role = "demo"
    if arguments.role is None and arguments.challenge:
        role = "test"
    cases = select(find_cases(data), only)
    challenge_title = f"WMH challenge, {len(cases)} scans"
    return Evaluation(
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
    if arguments.labels is None:
        raise errors.UsageError(
            "--labels DIR was expected with --baselines",
            received="none",
            advice="Label maps are for synthetic scans to learn from.",
        )
    kept = arguments.output / "baselines" / "learned.npz"
    sources = Sources(arguments.labels, kept)
    return make_baselines(arguments.baselines, sources, console)


def _contenders(arguments: argparse.Namespace, console: Console) -> list[Contender]:
    options = options_of(arguments)
    models = []
    for name in arguments.models:
        model = store.find(name)
        models += [model, *(member_models(model) if arguments.members else [])]
    contenders = [network(model, options) for model in models]
    if arguments.flair_only:
        able = [model for model in models if model.preset.works_without_t1]
        contenders += [network(m, options, flair_only=True) for m in able]
    contenders += _baselines(arguments, console)
    return contenders + (peers.peers(arguments.peers) if arguments.peers else [])


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
        asked = _evaluation(arguments)
        console = Console(quiet=arguments.quiet)
        chosen = _contenders(arguments, console) if contenders is None else contenders
        return evaluate(asked, chosen, console)
    except errors.WmhsegError as error:
        print(f"wmhseg: error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
