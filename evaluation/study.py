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
import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.run import PROBABILITY, Contender, Plan, evaluate, network
from wmhseg import errors
from wmhseg.cli.console import Console
from wmhseg.datasets.cases import Case, find_cases
from wmhseg.io import files, images
from wmhseg.scoring import statistics
from wmhseg.scoring.markdown import table
from wmhseg.scoring.score import Scoring
from wmhseg.scoring.table import Score, read_table
from wmhseg.segmentation import postprocessing
from wmhseg.segmentation.options import Options
from wmhseg.training import plan as plans
from wmhseg.training import plan_checks, recipes, session
from wmhseg.training.fit import Running
from wmhseg.training.plan import Run
from wmhseg.training.synthetic_data import SyntheticData
from wmhseg.weights import preset
from wmhseg.weights.store import Model

REFERENCE = "reference"
GROUPS = ("ingredients", "ensemble", "stack", "modalities")
# The reference with other seeds comes with the ensemble.
HEADINGS = ("reference", "seeds", *GROUPS)
MEMBERS = 5
THIN_MM = 2.0
DEPTHS = (1, 2, 3, 4, 5, 6)
LOW_LOAD_ML = 15.0

_OFF: dict[str, tuple[str, tuple[str, ...]]] = {
    "no-look-alikes": (
        "no bright cortex, rims, tracts, flow, vessels or dirty white matter",
        ("mottled", "regions", "rim", "dirty", "flow", "vessels", "perivascular", "gadolinium"),
    ),
    "no-real-shapes": ("grown lesions only", ("real_shapes",)),
    "no-population": ("no prior of where old people have lesions", ("population",)),
    "no-ageing": (
        "ventricles, sulci and cortex as in the maps",
        ("wide_ventricles", "wide_third", "atrophy", "cortex"),
    ),
    "no-halos": ("lesions of one scan alike, with sharp borders", ("halo", "uneven_gain")),
    "no-faults": (
        "no coarse pixels, ringing, sharpening, ghosts, bias field, tone curve or saturation",
        (
            "coarse", "ringing", "sharpened", "ghosts", "bias", "uneven_noise", "tone_curve",
            "saturated", "quantised", "misregistered", "narrow",
        ),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """One training that differs from the reference in one thing.

    Attributes:
        group: One of GROUPS.
        name: Names its folder.
        about: What differs.
        recipe: Values of the synthesiser's recipe that differ.
        network: Network and its options.
        channels: 2 for FLAIR and T1, 1 for FLAIR alone.
    """

    group: str
    name: str
    about: str
    recipe: dict[str, Any] = field(default_factory=dict)
    network: tuple[str, dict[str, preset.NetworkOption]] = ("unet", {})
    channels: int = 2


def variants(depths: Sequence[int] = DEPTHS) -> list[Variant]:
    """Every variant but the reference.

    Args:
        depths: Convolutions a stack of the Stack-Nets.
    """
    found = [
        Variant("ingredients", name, about, dict.fromkeys(keys, 0.0))
        for name, (about, keys) in _OFF.items()
    ]
    thin = {"thickness_mm": (1.0,), "gap": (0.0, 0.0)}
    found.append(Variant("ingredients", "no-thick-slices", "slices of 1 mm only", thin))
    found += [
        Variant(
            "stack",
            f"stack-{kernel}x{kernel}-depth-{depth}",
            f"Stack-Net, kernel {kernel}, {depth} convolutions a stack",
            network=("stacknet", {"kernel": kernel, "depth": depth}),
        )
        for kernel in (3, 5)
        for depth in depths
    ]
    found.append(Variant("modalities", "flair-network", "a network of FLAIR alone", channels=1))
    return found


@dataclass(frozen=True)
class Study:
    """What all variants share.

    Attributes:
        labels: Label maps or prepared heads.
        data: Validation cases.
        output: Folder for everything.
        steps: Steps of 8 slices for every training.
        crop: Side of the squares that networks see, in pixels.
        start: Weights that every training starts from where layers match, or None.
        members: Networks of the reference ensemble; at most MEMBERS.
        rate: Learning rate after the warm-up.
        depths: Convolutions a stack of the Stack-Nets.
        every: Of scans with slices thinner than 2 mm, one slice in so many is used.
    """

    labels: Path
    data: Path
    output: Path
    steps: int
    crop: int
    start: Path | None
    members: int = MEMBERS
    rate: float = 4e-4
    depths: tuple[int, ...] = DEPTHS
    every: int = 1


def plan_of(study: Study, variant: Variant, members: int = 1) -> plans.Plan:
    """The training of a variant."""
    base = recipes.PLANS["synthetic"]
    assert base.synthesis is not None
    name, options = variant.network
    runs = tuple(
        Run(
            str(number),
            name,
            options,
            start_from=str(study.start) if study.start else None,
            seed=401 + number,
            steps=study.steps,
            crop=study.crop,
            rate=study.rate,
            final_rate=0.0,
            warmup=min(30, study.steps // 5),
        )
        for number in range(members)
    )
    return replace(
        base,
        # Every lesion counts: networks after a short training are sure of few.
        postprocessing=replace(base.postprocessing, threshold=0.5, lesion_peak=0.0),
        # Few processors have bfloat16, and all figures should be of one precision.
        fitting=replace(base.fitting, precision="float32"),
        name=variant.name,
        description=f"Study: {variant.about}.",
        channels=variant.channels,
        without_t1="zero" if variant.channels == 2 else "error",
        synthesis=replace(base.synthesis, recipe=replace(base.synthesis.recipe, **variant.recipe)),
        runs=runs,
    )


def train(study: Study, variant: Variant, say: Any, members: int = 1) -> Model:
    """Trains a variant, or takes it as it is if it was trained before."""
    plan = plan_of(study, variant, members)
    plan_checks.validate(plan)
    assert plan.synthesis is not None
    data = SyntheticData(study.labels, plan.synthesis, plan.inputs)
    output = study.output / "training" / variant.name
    command = "python -m evaluation.study"
    return session.train(session.Session(plan, data, output, command, {}), Running(), say)


def ensembles(model: Model) -> list[Model]:
    """The first member, the first two, and so on up to all."""
    found = []
    for count in range(1, len(model.preset.members) + 1):
        members = model.preset.members[:count]
        name = REFERENCE if count == 1 else f"ensemble-of-{count}"
        changed = preset.with_changes(model.preset, name=name, members=members)
        found.append(Model(model.folder, changed))
    return found


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
        images.write_mask(target, postprocessing.find(probability, grid.voxel_ml, post), grid)

    return replace(network(model, Options(), "adapt"), segment=run)


def thinned(cases: Sequence[Case], folder: Path, every: int) -> tuple[Case, ...]:
    """Leaves out slices of scans with thin ones, which hold little that their neighbours do not.

    Raises:
        UsageError: If a case is not in the challenge's layout; it would be prepared otherwise.

    Args:
        cases: Prepared cases with axial slices.
        folder: Where the thinned ones go, in the challenge's layout; not one of another ``every``.
        every: One slice in so many is kept where they are thinner than 2 mm.
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


def contenders(study: Study, groups: Sequence[str], say: Any) -> list[tuple[str, Contender]]:
    """Trains what is asked for; returns group and contender, the reference first."""
    options = Options()
    count = study.members if "ensemble" in groups else 1
    reference = Variant("", REFERENCE, "everything, one U-Net")
    whole = train(study, reference, say, count)
    sizes = ensembles(whole)
    alone = [sizes[0], *other_seeds(whole)]
    found = [("", network(alone[0], options, "adapt", probability=True))]
    found += [("seeds", network(model, options, "adapt", probability=True)) for model in alone[1:]]
    found += [("ensemble", mean(model, alone, study.output)) for model in sizes[1:]]
    if "modalities" in groups:
        without = network(sizes[0], options, "adapt", flair_only=True)
        found.append(("modalities", without))
    for variant in variants(study.depths):
        if variant.group in groups:
            model = train(study, variant, say)
            found.append((variant.group, network(model, options, "adapt")))
    return found


# What comes out -----------------------------------------------------------------------------------

FIGURES = ("dsc", "f1", "recall", "avd_percent", "h95_mm")


def _values(found: Sequence[Score], key: str) -> np.ndarray:
    return np.array([score.values[key] for score in found], float)


def rows(output: Path, named: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """One row for each variant: means, and the paired difference of DSC to the reference.

    Args:
        output: Folder that holds ``<variant>/metrics.csv``.
        named: Group and name, the reference first.
    """
    tables = {name: read_table(output / name / "metrics.csv") for _, name in named}
    first = {s.case: s.values["dsc"] for s in tables[named[0][1]] if s.scored}
    made = []
    for group, name in named:
        found = [score for score in tables[name] if score.scored]
        dsc = _values(found, "dsc")
        row: dict[str, Any] = {"group": group or "reference", "variant": name, "n": len(found)}
        for key in FIGURES:
            row[key] = float(np.nanmean(_values(found, key)))
        low = [s.values["dsc"] for s in found if s.values["reference_ml"] < LOW_LOAD_ML]
        row["dsc_low_load"] = float(np.mean(low)) if low else float("nan")
        row["dsc_sd"] = float(np.std(dsc, ddof=1)) if len(dsc) > 1 else float("nan")
        change = [s.values["dsc"] - first[s.case] for s in found if s.case in first]
        row["difference"] = float(np.mean(change))
        row["difference_low"], row["difference_high"] = statistics.bootstrap_interval(change)
        made.append(row | {f"dsc {s.case}": s.values["dsc"] for s in found})
    return made


def write(study: Study, made: Sequence[dict[str, Any]]) -> None:
    """Writes the table as CSV and Markdown, and the figure."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(made[0]), lineterminator="\n")
    writer.writeheader()
    for row in made:
        writer.writerow({k: f"{v:.4f}" if isinstance(v, float) else v for k, v in row.items()})
    files.write_text(study.output / "study.csv", text.getvalue())
    files.write_text(study.output / "study.md", _markdown(study, made))
    files.write_bytes(study.output / "study.png", _figure(made))


def _markdown(study: Study, made: Sequence[dict[str, Any]]) -> str:
    start = (
        "the same earlier weights (grown where sizes differ)" if study.start else "random weights"
    )
    lines = [
        "# What each part of the training brings",
        "",
        f"Validation, not test: {made[0]['n']} scans. Each variant: {study.steps} steps of 8 "
        f"squares of {study.crop} pixels from {start}, one U-Net unless said otherwise. "
        + (f"Of thin slices, one in {study.every}. " if study.every > 1 else "")
        + "Figures are not those of the full training: only "
        "differences mean something, and only those larger than what another seed alone changes "
        f"(group seeds). Low load: a reference under {LOW_LOAD_ML:g} ml. Difference: mean paired "
        "difference of DSC to the reference with its 95 % bootstrap interval over scans, which "
        "knows nothing of seeds.",
        "",
    ]
    for group in HEADINGS:
        chosen = [row for row in made if row["group"] == group]
        if not chosen:
            continue
        body = [
            [
                row["variant"],
                f"{row['dsc']:.3f} ({row['dsc_sd']:.3f})",
                f"{row['difference']:+.3f} ({row['difference_low']:+.3f} to "
                f"{row['difference_high']:+.3f})"
                if group != "reference"
                else "",
                f"{row['dsc_low_load']:.3f}",
                f"{row['f1']:.3f}",
                f"{row['recall']:.3f}",
                f"{row['avd_percent']:.1f}",
                f"{row['h95_mm']:.1f}",
            ]
            for row in chosen
        ]
        head = [
            "Variant",
            "DSC (sd)",
            "difference",
            "DSC, low load",
            "F1",
            "recall",
            "AVD %",
            "H95",
        ]
        lines += [f"## {group.capitalize()}", "", *table(head, body), ""]
    return "\n".join(lines)


def _figure(made: Sequence[dict[str, Any]]) -> bytes:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 1.2 + 0.28 * len(made)), layout="constrained")
    for place, row in enumerate(made):
        dots = [value for key, value in row.items() if key.startswith("dsc ")]
        axes.plot(dots, [place] * len(dots), "o", color="0.65", markersize=3)
        axes.plot(row["dsc"], place, "D", color="C0" if place else "C3", markersize=6)
    axes.axvline(made[0]["dsc"], color="C3", linewidth=0.8)
    axes.set_yticks(range(len(made)), [row["variant"] for row in made])
    axes.invert_yaxis()
    axes.set_xlabel(f"DSC on {made[0]['n']} validation scans (dots) and their mean (diamonds)")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120, metadata={"Software": None})
    pyplot.close(figure)
    return content.getvalue()


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
    parser.add_argument("--every", type=int, default=1, help="use one thin slice in so many")
    parser.add_argument("--only", action="append", choices=GROUPS, help="may be given again")
    parser.add_argument("--jobs", type=int, help="processes that score")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code, as of ``wmhseg``."""
    given = _parser().parse_args(argv)
    study = Study(
        given.labels, given.data, given.output, given.steps, given.crop, given.start,
        given.members, given.rate, tuple(given.depths),
        max(1, given.every),
    )  # fmt: skip
    console = Console()
    try:
        chosen = contenders(study, given.only or GROUPS, console.say)
        cases = thinned(find_cases(study.data), study.output / f"one-in-{study.every}", study.every)
        what = Plan(
            cases, "validation", "study", study.output, Scoring(given.jobs, False, None),
            plots=False,
        )  # fmt: skip
        code = evaluate(what, [one for _, one in chosen], console)
        write(study, rows(study.output, [(group, one.name) for group, one in chosen]))
        print(f"written      {study.output / 'study.md'}")
        return code
    except errors.WmhsegError as error:
        print(f"wmhseg: error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
