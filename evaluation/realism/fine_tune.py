"""What networks gain by the realistic recipe: short trainings that differ in nothing else.

    python -m evaluation.realism.fine_tune --labels HEADS --data CASES --output DIR \\
        --start models/unet-synthetic/0.safetensors [--each] [--seeds 3] [--healthy DIR]

Two trainings of the same weights, steps and seed, one by the default recipe and one by
``REALISTIC`` (``--each``: and one after each of the rounds between, which add to each other), are
scored on validation cases as in ``evaluation.study``; of healthy people's scans
(FLAIR.nii.gz and T1.nii.gz, or those in ``pre``) the volume that each marks is measured.
``--seeds N`` does so N times, in DIR/seed-401 and so on. rounds.md is a table of the means over
seeds. Trainings and masks of cases that are there already are not made again; ``--table`` makes the
table of what is there, and nothing else.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import wmhseg
from evaluation.contender import network
from evaluation.segment_and_score import Evaluation, evaluate
from evaluation.study import train
from evaluation.variants import StudySetup, Variant
from wmhseg.cli.console import Console
from wmhseg.datasets import tables
from wmhseg.datasets.cases import find_cases
from wmhseg.errors import MissingFileError, TableError, WmhsegError
from wmhseg.io import files
from wmhseg.scoring import markdown, table
from wmhseg.scoring.score import Scoring
from wmhseg.synthesis.recipe import REALISTIC
from wmhseg.weights.store import Model

DEFAULT, ALL = "default-recipe", "realistic"
ROUNDS: Mapping[str, tuple[str, ...]] = {
    "noise": ("paired_noise",),
    "borders": ("soft", "young"),
    "calm": ("calm", "shading"),
    "look-alikes": ("sheet", "plexus", "sulci", "places"),
    ALL: ("levels",),
}
"""Name of a round -> what it added to those before it, as in ingredients.md."""

HEALTHY = "healthy.csv"
FIRST_SEED = 401
SHOWN = ("dsc", "f1", "recall", "precision", "h95_mm", "avd_percent")


def variants(*, each: bool = False) -> list[Variant]:
    """The recipe as it is, and with all that was added for realism.

    Args:
        each: Also what each round but the last one made of it.
    """
    made = [Variant("realism", DEFAULT, "the recipe as it is")]
    added: dict[str, object] = {}
    for name, new in ROUNDS.items():
        added |= {field: getattr(REALISTIC, field) for field in new}
        about = "the realistic recipe" if name == ALL else f"the recipe after the round {name}"
        made.append(Variant("realism", name, about, dict(added)))
    return made if each else [made[0], made[-1]]


def healthy_pair(folder: Path) -> tuple[Path, Path]:
    """FLAIR and T1 of a healthy person.

    Raises:
        MissingFileError: If there are none.
    """
    inner = folder / "pre" if (folder / "pre").is_dir() else folder
    pair = inner / "FLAIR.nii.gz", inner / "T1.nii.gz"
    for path in pair:
        if not path.exists():
            raise MissingFileError("A healthy person's scan was expected", received=f"no {path}")
    return pair


def healthy_ml(model: Model, folder: Path) -> float:
    """Volume that a model marks in a healthy person's scan."""
    flair, t1 = healthy_pair(folder)
    return wmhseg.segment(flair, t1, model=model.folder).report.lesions.volume_ml


def figures_of(folder: Path) -> dict[str, float]:
    """Means over the scans that one training was scored on.

    Args:
        folder: With metrics.csv.

    Raises:
        TableError: If the table cannot be read.
    """
    scores = table.read_table(folder / "metrics.csv")
    means = {name: statistics.fmean(table.finite(scores, name) or [math.nan]) for name in SHOWN}
    small = [score for score in scores if score.values.get("small_lesions")]
    there = sum(score.values["small_lesions"] for score in small)
    found = sum(score.values["small_lesions"] * score.values["small_recall"] for score in small)
    return means | {"recall, small": found / there if there else math.nan}


def rounds_table(output: Path) -> str:
    """A row for each recipe: means over its seeds, and the standard deviation between seeds.

    Args:
        output: What this command wrote.

    Raises:
        MissingFileError: If nothing was scored.
        TableError: If a table cannot be read.
    """
    found: dict[str, list[dict[str, float]]] = {}
    for seed in sorted(output.glob("seed-*")):
        marked = read_healthy(seed / HEALTHY)
        for one in variants(each=True):
            if (seed / one.name / "metrics.csv").exists():
                healthy = {f"{s}, ml": ml for (name, s), ml in marked.items() if name == one.name}
                found.setdefault(one.name, []).append(figures_of(seed / one.name) | healthy)
    if not found:
        raise MissingFileError("Scored trainings were expected", received=f"none in {output}")
    columns = list(dict.fromkeys(name for many in found.values() for f in many for name in f))
    rows = [
        [name, str(len(many)), *(_mean([f.get(c, math.nan) for f in many]) for c in columns)]
        for name, many in found.items()
    ]
    return "\n".join(markdown.table(["recipe", "seeds", *columns], rows))


def _mean(values: Sequence[float]) -> str:
    """The mean and the standard deviation between the seeds that have a value."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return "-"
    spread = f" ({statistics.stdev(known):.3f})" if len(known) > 1 else ""
    return f"{statistics.fmean(known):.3f}{spread}"


def read_healthy(path: Path) -> dict[tuple[str, str], float]:
    """Reads what networks mark in healthy people: (recipe, scan) -> ml; nothing if there is none.

    Raises:
        TableError: If the table is none of this command's.
    """
    if not path.exists():
        return {}
    try:
        rows = tables.read_table(path).rows
        return {(row["recipe"], row["scan"]): float(row["ml"]) for row in rows}
    except (KeyError, ValueError) as error:
        raise TableError(
            f"Columns recipe, scan and ml, of numbers, were expected in {path}", received=error
        ) from error


def train_and_score(setup: StudySetup, chosen: Sequence[Variant], healthy: Sequence[Path]) -> int:
    """Trains the variants with one seed, and scores them; returns the exit code."""
    console = Console()
    models = [train(setup, variant, console.say) for variant in chosen]
    cases = tuple(find_cases(setup.data))
    judged = Evaluation(
        cases, "validation", "realism", setup.output, Scoring(None, False, None), plots=False
    )
    code = evaluate(judged, [network(one, wmhseg.Options()) for one in models], console)
    marked = read_healthy(setup.output / HEALTHY)  # of other recipes and scans
    for folder in healthy:
        for one in models:
            marked[one.preset.name, folder.name] = healthy_ml(one, folder)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("recipe", "scan", "ml"))
    writer.writerows((*which, f"{ml:.3f}") for which, ml in marked.items())
    if marked:
        files.write_text(setup.output / HEALTHY, text.getvalue())
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.realism.fine_tune",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    needed = "--table" not in (sys.argv[1:] if argv is None else argv)
    parser.add_argument("--labels", type=Path, required=needed, help="heads or label maps")
    parser.add_argument("--data", type=Path, required=needed, help="validation cases")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--start", type=Path, required=needed, help="weights that all start from")
    parser.add_argument("--each", action="store_true", help="also the rounds between")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--crop", type=int, default=144)
    parser.add_argument("--rate", type=float, default=2e-4, help="learning rate")
    parser.add_argument("--healthy", type=Path, nargs="*", default=[], help="folders of scans")
    parser.add_argument("--table", action="store_true", help="only the table of what is there")
    given = parser.parse_args(argv)
    code = 0
    try:
        for folder in given.healthy:  # found now, and not after hours
            healthy_pair(folder)
        for number in range(FIRST_SEED, FIRST_SEED + (0 if given.table else given.seeds)):
            setup = StudySetup(
                given.labels, given.data, given.output / f"seed-{number}", given.steps,
                given.crop, given.start, 1, given.rate, seed=number,
            )  # fmt: skip
            code = train_and_score(setup, variants(each=given.each), given.healthy) or code
        text = rounds_table(given.output)
        files.write_text(given.output / "rounds.md", text)
        print(text, end="")
    except WmhsegError as error:
        print(f"wmhseg: error: {error}", file=sys.stderr)
        return error.exit_code
    return code


if __name__ == "__main__":
    sys.exit(main())
