"""What each part of the training brings, measured on validation scans.

    python -m evaluation.study --labels DIR --data DIR --output DIR
    python -m evaluation.study ... --only ingredients --steps 600

Every variant is one short training that differs from the reference in one thing; all start from the
same weights, or all from random ones, and take the same number of steps. From trained weights
(--start) the study shows what a network loses that goes on without an ingredient. With --every N
thin slices are thinned out to one in N. Trainings and masks that are there already are not made
again. OUTPUT gets study.csv, study.md and study.png.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import wmhseg
from evaluation import study_tables
from evaluation.contender import PROBABILITY, Contender, network
from evaluation.segment_and_score import Evaluation, evaluate
from evaluation.variants import (
    DEPTHS,
    GROUPS,
    MEMBERS,
    REFERENCE,
    StudySetup,
    Variant,
    plan_of,
    variants,
)
from wmhseg import errors
from wmhseg.cli.console import Console
from wmhseg.datasets.cases import Case, find_cases
from wmhseg.geometry import Fit, Way
from wmhseg.io import files, images
from wmhseg.scoring.score import Scoring
from wmhseg.segmentation.prediction import from_probability
from wmhseg.training import plan_checks, session
from wmhseg.training.batches.synthetic_data import SyntheticData
from wmhseg.training.fit import Running
from wmhseg.weights import preset
from wmhseg.weights.store import Model

THIN_MM = 2.0


def train(setup: StudySetup, variant: Variant, say: Any, members: int = 1) -> Model:
    """Trains a variant, or takes it as it is if it was trained before."""
    plan = plan_of(setup, variant, members)
    plan_checks.validate(plan)
    assert plan.synthesis is not None
    data = SyntheticData(setup.labels, plan)
    output = setup.output / "training" / variant.name
    command = "python -m evaluation.study"
    return session.train(session.Session(plan, data, output, command, {}), Running(), say)


def ensembles(model: Model) -> list[Model]:
    """The first member, the first two, and so on up to all."""
    models = []
    for count in range(1, len(model.preset.members) + 1):
        members = model.preset.members[:count]
        name = REFERENCE if count == 1 else f"ensemble-of-{count}"
        changed = preset.with_changes(model.preset, name=name, members=members)
        models.append(Model(model.folder, changed))
    return models


def other_seeds(model: Model) -> list[Model]:
    """Each member but the first alone: what chance does."""
    return [
        Model(
            model.folder,
            preset.with_changes(model.preset, name=f"seed-{number}", members=(member,)),
        )
        for number, member in enumerate(model.preset.members[1:], 2)
    ]


def mean(model: Model, alone: Sequence[Model], output: Path) -> Contender:
    """An ensemble, from the probabilities of its members."""
    names = [one.preset.name for one in alone[: len(model.preset.members)]]
    # The end slices are 0 in the maps, wherever they lie in the file's order.
    post = replace(model.preset.postprocessing, end_slices=0.0)

    def run(case: Case, target: Path) -> None:
        scans = [images.read_labels(output / name / case.name / PROBABILITY) for name in names]
        probability = np.mean([array for array, _ in scans], axis=0, dtype=np.float32)
        grid = scans[0][1]
        # The maps are on the scan's own voxels already: a way that changes nothing.
        stay = Way((Fit(grid, grid.shape[1:]),))
        images.write_mask(target, from_probability(probability, stay, post)[0], grid)

    return replace(network(model, wmhseg.Options()), segment=run)


def thinned(cases: Sequence[Case], folder: Path, every: int) -> tuple[Case, ...]:
    """Leaves out slices of scans with thin ones, which hold little that their neighbours do not.

    Raises:
        UsageError: If a case is not in the challenge's layout; it would be prepared otherwise.

    Args:
        cases: Prepared cases with axial slices.
        folder: Where the thinned ones go, in the challenge's layout; not one of another ``every``.
        every: Every N-th slice is kept where they are thinner than 2 mm.
    """
    if every == 1:
        return tuple(cases)
    import SimpleITK as sitk

    for case in cases:
        if case.flair is None or case.flair.parent.name != "pre":
            raise errors.UsageError(
                "Prepared cases, <id>/pre/FLAIR.nii.gz, were expected", received=case.name
            )
        given = {"pre/FLAIR": case.flair, "pre/T1": case.t1, "wmh": case.reference}
        for name, path in given.items():
            target = folder / case.name / f"{name}.nii.gz"
            if path is None or target.exists():
                continue
            files.check_writable(target.parent)
            image = sitk.ReadImage(str(path))
            thin = image.GetSpacing()[2] < THIN_MM
            sitk.WriteImage(image[:, :, ::every] if thin else image, str(target))
    return tuple(find_cases(folder))


def contenders(setup: StudySetup, groups: Sequence[str], say: Any) -> list[tuple[str, Contender]]:
    """Trains what is asked for; returns group and contender, the reference first."""
    options = wmhseg.Options()
    count = setup.members if "ensemble" in groups else 1
    reference = Variant("", REFERENCE, "everything, one U-Net")
    whole = train(setup, reference, say, count)
    sizes = ensembles(whole)
    alone = [sizes[0], *other_seeds(whole)]
    made = [("", network(alone[0], options, probability=True))]
    made += [("seeds", network(model, options, probability=True)) for model in alone[1:]]
    made += [("ensemble", mean(model, alone, setup.output)) for model in sizes[1:]]
    if "modalities" in groups:
        without = network(sizes[0], options, flair_only=True)
        made.append(("modalities", without))
    for variant in variants(setup.depths):
        if variant.group in groups:
            model = train(setup, variant, say)
            made.append((variant.group, network(model, options)))
    return made


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--labels", type=Path, required=True, help="label maps or prepared heads")
    parser.add_argument("--data", type=Path, required=True, help="validation cases")
    parser.add_argument("--output", type=Path, default=Path("build") / "study")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rate", type=float, default=4e-4, help="learning rate")
    parser.add_argument("--depths", type=int, nargs="+", default=DEPTHS, help="of Stack-Nets")
    parser.add_argument("--crop", type=int, default=96)
    parser.add_argument("--start", type=Path, help="weights that every training starts from")
    parser.add_argument("--members", type=int, default=MEMBERS, choices=range(1, MEMBERS + 1))
    parser.add_argument("--every", type=int, default=1, help="use every N-th thin slice")
    parser.add_argument("--only", action="append", choices=GROUPS, help="may be given again")
    parser.add_argument("--jobs", type=int, help="processes that score")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code, as of ``wmhseg``."""
    given = _parser().parse_args(argv)
    setup = StudySetup(
        given.labels, given.data, given.output, given.steps, given.crop, given.start,
        given.members, given.rate, tuple(given.depths),
        max(1, given.every),
    )  # fmt: skip
    console = Console()
    try:
        if importlib.util.find_spec("matplotlib") is None:  # for the figure, hours later
            raise errors.missing_package("matplotlib")
        chosen = contenders(setup, given.only or GROUPS, console.say)
        cases = thinned(find_cases(setup.data), setup.output / f"one-in-{setup.every}", setup.every)
        evaluation = Evaluation(
            cases, "validation", "study", setup.output, Scoring(given.jobs, False, None),
            plots=False,
        )  # fmt: skip
        code = evaluate(evaluation, [one for _, one in chosen], console)
        study_tables.write(
            setup, study_tables.rows(setup.output, [(group, one.name) for group, one in chosen])
        )
        print(f"written      {setup.output / 'study.md'}")
        return code
    except errors.WmhsegError as error:
        print(f"wmhseg: error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
