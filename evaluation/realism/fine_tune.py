"""What networks gain by the realistic recipe: short trainings that differ in nothing else.

    python -m evaluation.realism.fine_tune --labels HEADS --data CASES --output DIR \
        --start models/unet-synthetic/0.safetensors [--steps 300] [--healthy DIR]

Two trainings of the same weights, steps and seed, one by the default recipe and one by
``REALISTIC``, are scored on validation cases as in ``evaluation.study``; of healthy people's scans
(FLAIR.nii.gz and T1.nii.gz, or those in ``pre``) the volume that each marks is printed. Trainings
and masks that are there already are not made again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import wmhseg
from evaluation.contender import network
from evaluation.segment_and_score import Evaluation, evaluate
from evaluation.study import train
from evaluation.variants import StudySetup, Variant
from wmhseg.cli.console import Console
from wmhseg.datasets.cases import find_cases
from wmhseg.errors import WmhsegError
from wmhseg.scoring.score import Scoring
from wmhseg.synthesis.recipe import REALISTIC, Recipe
from wmhseg.weights.store import Model


def variants() -> list[Variant]:
    """The recipe as it is, and with all that was added for realism."""
    added = {
        field.name: getattr(REALISTIC, field.name)
        for field in fields(Recipe)
        if getattr(REALISTIC, field.name) != getattr(Recipe(), field.name)
    }
    return [
        Variant("realism", "default-recipe", "the recipe as it is"),
        Variant("realism", "realistic", "the realistic recipe", added),
    ]


def healthy_ml(model: Model, folder: Path) -> float:
    """Volume that a model marks in a healthy person's scan."""
    inner = folder / "pre" if (folder / "pre").is_dir() else folder
    flair, t1 = inner / "FLAIR.nii.gz", inner / "T1.nii.gz"
    return wmhseg.segment(flair, t1, model=model.folder).report.lesions.volume_ml


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.realism.fine_tune",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--labels", type=Path, required=True, help="prepared heads or label maps")
    parser.add_argument("--data", type=Path, required=True, help="validation cases")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--start", type=Path, required=True, help="weights that both start from")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--crop", type=int, default=144)
    parser.add_argument("--rate", type=float, default=2e-4, help="learning rate")
    parser.add_argument("--healthy", type=Path, nargs="*", default=[], help="folders of scans")
    given = parser.parse_args(argv)
    setup = StudySetup(
        given.labels, given.data, given.output, given.steps, given.crop, given.start, 1, given.rate
    )
    console = Console()
    try:
        models = [train(setup, variant, console.say) for variant in variants()]
        cases = tuple(find_cases(given.data))
        scoring = Scoring(None, False, None)
        judged = Evaluation(cases, "validation", "realism", given.output, scoring, plots=False)
        code = evaluate(judged, [network(one, wmhseg.Options()) for one in models], console)
        for folder in given.healthy:
            for one in models:
                print(f"{folder.name}, {one.preset.name}: {healthy_ml(one, folder):.2f} ml")
    except WmhsegError as error:
        print(f"wmhseg: error: {error}", file=sys.stderr)
        return error.exit_code
    return code


if __name__ == "__main__":
    sys.exit(main())
