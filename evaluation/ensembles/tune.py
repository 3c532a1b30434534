"""Tunes a network on real scans: once without each source of them, and once on all.

    python -m evaluation.ensembles.tune --data CASES --labels HEADS --start WEIGHTS --output DIR

Of every batch a share (--real) is cut from real scans, of which a share (--implanted) with lesions
put into them; the rest is synthetic. A source is what stands before the hyphen of a case's name.
``DIR/SOURCE/tuned`` is a model that has not seen that source, and is there to be measured on it
(``python -m evaluation.ensembles``); ``DIR/all/tuned`` has seen everything and can be measured on
none of these scans. What is there already is not made again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evaluation.rules.choosing import TWO_SOURCES, patient_of, source_of
from wmhseg.cli.console import Console
from wmhseg.datasets.cases import Case, find_cases
from wmhseg.errors import UsageError, WmhsegError
from wmhseg.training import plan_checks, recipes, session
from wmhseg.training.batches import own_scans
from wmhseg.training.batches.mixed_data import MixedData
from wmhseg.training.batches.own_scans import OwnScans
from wmhseg.training.batches.split import PatientCase
from wmhseg.training.batches.synthetic_data import SyntheticData
from wmhseg.training.fit import Running
from wmhseg.training.plan import Augmentation, Implanting, Plan, Refinement, Run, Synthesis
from wmhseg.weights.preset import NetworkOption
from wmhseg.weights.store import Model

ALL = "all"
STACK_DEPTH = 5  # of every Stack-Net that comes with the project
NAME = "tuned"
SCANS = "prepared"


@dataclass(frozen=True)
class Tuning:
    """How a network is tuned.

    Attributes:
        start: Weights to start from.
        stack: Rows and columns of the kernels of the Stack-Net that these are of; None: a U-Net.
        real: Share of the slices of a batch that are real.
        implanted: Share of these that come from scans with implanted lesions.
        without_t1: Share of the slices, real and synthetic, that are shown without T1.
        steps: Batches.
        batch: Slices a batch.
        crop: Side of the crops in pixels.
        rate: Learning rate, which falls to 0.
        seed: Of everything that is drawn.
    """

    start: Path
    stack: int | None = None
    real: float = 0.5
    implanted: float = 0.0
    without_t1: float = 0.3
    steps: int = 400
    batch: int = 16
    crop: int = 160
    rate: float = 3e-4
    seed: int = 601


def plan_of(how: Tuning) -> Plan:
    """The plan of one training.

    Raises:
        PlanError: If a number is out of range.
    """
    plan = recipes.PLANS["synthetic-mixed"]
    options: dict[str, NetworkOption] = {}
    if how.stack is not None:
        options = {"kernel": how.stack, "depth": STACK_DEPTH}
    run = Run(
        "0",
        "stacknet" if options else "unet",
        options,
        start_from=str(how.start),
        seed=how.seed,
        steps=how.steps,
        batch=how.batch,
        crop=how.crop,
        rate=how.rate,
        final_rate=0.0,
        warmup=min(20, how.steps // 2),
    )
    put = Implanting(share=how.implanted) if how.implanted else None
    recipe = replace(recipes.MIXED, without_t1=how.without_t1)
    made = replace(
        plan,
        name=NAME,
        description=f"{'Stack-Net' if options else 'U-Net'}, trained by wmhseg on synthetic scans "
        "and tuned on real ones.",
        licence="as the training data allow",
        training_data="synthetic scans drawn from SynthSeg label maps, and real scans",
        augmentation=Augmentation(
            copies=1,
            rotation_deg=8.0,
            shear_deg=4.0,
            zoom=(0.93, 1.07),
            without_t1=how.without_t1,
        ),
        synthesis=Synthesis(recipe, scans=8, slices=48),
        refinement=Refinement(real=how.real, implanting=put, looks=1),
        fitting=replace(plan.fitting, loss="dice-and-cross-entropy", average=0.99),
        runs=(run,),
    )
    plan_checks.validate(made)
    return made


def sources_of(cases: Sequence[Case]) -> list[str]:
    """The sources of cases, in order.

    Raises:
        UsageError: If all are of one source, or one has the name of a folder made here.
    """
    sources = list(dict.fromkeys(source_of(case.name) for case in cases))
    if len(sources) < 2:
        raise UsageError(TWO_SOURCES, received=", ".join(sources) or "none")
    taken = sorted({ALL, SCANS} & {*sources})
    if taken:
        raise UsageError(f"Sources not called {ALL} or {SCANS} were expected", received=taken[0])
    return sources


def without(own: OwnScans, source: str) -> OwnScans:
    """The scans of all other sources."""
    return replace(own, scans=tuple(s for s in own.scans if source_of(s.name) != source))


def tune(
    data: MixedData, output: Path, left_out: str, running: Running, say: Callable[[str], None]
) -> Model:
    """Tunes the network on everything but one source, or what was begun of that.

    Args:
        data: All scans, and the plan.
        output: Folder of all trainings.
        left_out: A source, or ``ALL``: none.
        running: How to run it.
        say: Receives one line now and then.

    Raises:
        WmhsegError: If the training fails, or the folder holds another one.
    """
    own = data.own if left_out == ALL else without(data.own, left_out)
    seen = ", ".join(scan.name for scan in own.scans)
    say(f"{'all sources' if left_out == ALL else f'without {left_out}'}: {seen}")
    chosen = session.Session(
        data.plan,
        replace(data, own=own),
        output / left_out,
        "python -m evaluation.ensembles.tune",
        {"scans.txt": seen.replace(", ", "\n") + "\n"},
    )
    return session.train(chosen, running, say)


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.ensembles.tune",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    usual = Tuning(Path())
    parser.add_argument("--data", type=Path, required=True, help="cases with masks")
    parser.add_argument("--labels", type=Path, required=True, help="prepared heads or label maps")
    parser.add_argument("--start", type=Path, required=True, help="weights to start from")
    parser.add_argument(
        "--stack", type=int, choices=(3, 5), help="they are of a Stack-Net with such kernels"
    )
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--left-out", nargs="*", help=f"sources, or {ALL}; default: every one")
    for name in ("real", "implanted", "without_t1", "rate"):
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=float, default=getattr(usual, name))
    for name in ("steps", "batch", "crop", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(usual, name))
    parser.add_argument("--producers", type=int, help="processes that draw")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    given = parse(words)
    names = (
        "start",
        "stack",
        "real",
        "implanted",
        "without_t1",
        "steps",
        "batch",
        "crop",
        "rate",
        "seed",
    )
    console = Console()
    try:
        plan = plan_of(Tuning(**{name: getattr(given, name) for name in names}))
        found = find_cases(given.data)
        known = [*sources_of(found), ALL]
        wrong = sorted(set(given.left_out or ()) - set(known))
        if wrong:
            expected = f"Some of {', '.join(known)} were expected"
            raise UsageError(expected, received=", ".join(wrong))
        patients = [PatientCase(case, patient_of(case.name)) for case in found]
        own = own_scans.prepare(patients, [], plan, given.output / SCANS)
        data = MixedData(own, SyntheticData(given.labels, plan), plan)
        for left_out in given.left_out or known:
            tune(data, given.output, left_out, Running(producers=given.producers), console.say)
    except WmhsegError as error:
        print(f"wmhseg: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
