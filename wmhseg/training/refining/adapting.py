"""The plan that adapts one model, and which models and scans can be adapted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

from wmhseg import records
from wmhseg.errors import LabelsError, NoCasesError, UsageError
from wmhseg.records import MismatchError, require
from wmhseg.training import plan_checks
from wmhseg.training.batches import split
from wmhseg.training.batches.own_scans import OwnScan, OwnScans
from wmhseg.training.batches.split import PatientCase
from wmhseg.training.plan import Plan, Run
from wmhseg.weights import store
from wmhseg.weights.inputs import WMH_ALONE
from wmhseg.weights.preset import Preset
from wmhseg.weights.store import Model

_SIDES = 16  # networks halve their input four times


def check_model(preset: Preset) -> None:
    """Makes sure that a model can be adapted.

    Raises:
        UsageError: If it takes other things than z-scores, or says more than WMH.
    """
    ways = sorted({one.how for one in preset.inputs})
    ports = {one.port for one in preset.inputs}
    plain = ways == ["z-score"] and len(ports) == 1 and not any(i.slice for i in preset.inputs)
    scans = [one.scan for one in preset.inputs]
    if plain and len(set(scans)) == len(scans) and preset.labels == WMH_ALONE:
        return
    received = f"{preset.name}, which takes {' and '.join(ways)} of {', '.join(scans)}"
    if preset.labels != WMH_ALONE:
        received += f" and says {', '.join(preset.labels.names)} ({preset.labels.activation})"
    raise UsageError(
        "A model of z-scores of FLAIR, or of FLAIR and T1, that says WMH alone was expected with "
        "--preset refine",
        received=received,
        advice=f"Adapt --model {store.DEFAULT_MODEL}, or train that network anew (docs/training.md)"
        ".",
    )


def plan_of(template: Plan, model: Model) -> Plan:
    """The plan that adapts a model: a run for each of its members, from its weights.

    Args:
        template: What all such plans share; its first run tells how members are trained.
        model: Inputs, method, networks and weights.

    Raises:
        UsageError: If the model cannot be adapted.
        PlanError: If the plan would not be valid.
    """
    preset = model.preset
    check_model(preset)
    first, synthesis, varied = template.runs[0], template.synthesis, template.augmentation
    assert synthesis is not None
    assert varied is not None
    without = preset.takes_t1 and preset.works_without_t1
    recipe = replace(synthesis.recipe, without_t1=synthesis.recipe.without_t1 * without)
    field = preset.preprocessing.field
    crop = first.crop
    if field is not None:
        recipe = replace(recipe, field=field)
        crop = None if crop is None else min(crop, min(field) // _SIDES * _SIDES)
    # What a model and a plan both have is the model's; readers are those of its own rules.
    shared = {one.name for one in fields(Plan)} - {"format", "readers"}
    same = {one.name: getattr(preset, one.name) for one in fields(Preset)}
    plan = replace(
        template,
        **{name: value for name, value in same.items() if name in shared},
    )
    plan = replace(
        plan,
        name=f"{preset.name[:55]}-refined",
        description=f"{preset.name}, adapted by wmhseg to the scans of a user.",
        licence=f"{preset.licence}, and as the training data allow",
        training_data=f"as {preset.name}; then scans of the user, listed in split.json",
        channels=None,
        without_t1=None,
        augmentation=replace(varied, without_t1=varied.without_t1 * without),
        synthesis=replace(synthesis, recipe=recipe),
        runs=tuple(
            replace(
                first,
                name=str(number),
                network=member.network,
                options=dict(member.options),
                start_from=str(model.folder / member.file),
                seed=first.seed + number,
                crop=crop,
            )
            for number, member in enumerate(preset.members)
        ),
    )
    plan_checks.validate(plan)
    return plan


def check_plan(plan: Plan, model: Model) -> None:
    """Makes sure that a plan adapts this model: what is measured has to be what is made.

    Args:
        plan: From a preset or a file, with the user's settings.
        model: That is to be adapted.

    Raises:
        PlanError: If members, inputs or preparation are those of another model.
    """
    try:
        _check_same(plan, model)
    except MismatchError as error:
        raise plan_checks.plan_error(error) from None


def _check_same(plan: Plan, model: Model) -> None:
    preset, of = model.preset, f"of {model.preset.name}, as --print-plan --model shows it"
    members = [
        (str(model.folder / one.file), one.network, dict(one.options)) for one in preset.members
    ]
    runs = [(run.start_from, run.network, dict(run.options)) for run in plan.runs]
    require(len(runs) == len(members), "runs", f"{len(members)} ({of})", len(runs))
    for number, (run, member) in enumerate(zip(runs, members, strict=True)):
        require(run == member, f"runs[{number}]", f"a member {of}", run)
    for name in ("preprocessing", "flips", "others"):
        wanted, got = getattr(preset, name), getattr(plan, name)
        require(wanted == got, name, f"that {of}", got)
    require(plan.network_inputs == preset.inputs, "inputs", f"those {of}", plan.inputs)
    for name in ("end_slices", "end_slices_of"):
        wanted, got = (getattr(one.postprocessing, name) for one in (preset, plan))
        require(wanted == got, f"postprocessing.{name}", f"that {of}", got)


def refined(plan: Plan) -> tuple[Run, ...]:
    """The runs of the members that are refined; the model's other members stay as they are."""
    assert plan.refinement is not None
    return plan.runs[: plan.refinement.refined]


def check_scans(own: OwnScans) -> None:
    """Makes sure that somebody can be left out, and that there is something to learn.

    Raises:
        NoCasesError: If all labelled scans are of one patient.
        LabelsError: If no mask holds a lesion.
    """
    labelled = own.labelled
    patients = {scan.patient for scan in labelled}
    if len(patients) < 2:
        raise NoCasesError(
            "Labelled scans of at least two patients were expected, as a model is adapted to some "
            "and measured on the others",
            received=f"{len(labelled)} of {len(patients)}",
            advice="Visits count as one patient; --patients TABLE says whose each scan is.",
        )
    if not any(scan.open().lesions.any() for scan in labelled):
        raise LabelsError(
            "Voxels of WMH (label 1) in at least one mask were expected",
            received=f"none in {len(labelled)} masks",
        )


def groups(scans: Sequence[OwnScan], most: int) -> list[tuple[str, ...]]:
    """Parts the patients into groups, each of which is left out once.

    Args:
        scans: Labelled scans.
        most: Groups at most; with fewer patients each is a group.

    Returns:
        The patients of each group; visits are never parted.
    """
    known = [PatientCase(scan.case, scan.patient) for scan in scans]
    count = min(most, len({one.patient for one in known}))
    parts = [split.split(known, f"k-fold:{count}", fold + 1).test for fold in range(count)]
    return [tuple(dict.fromkeys(one.patient for one in part)) for part in parts]


def described(own: OwnScans, plan: Plan) -> list[str]:
    """Which patients are left out together."""
    assert plan.refinement is not None
    parts = groups(own.labelled, plan.refinement.folds)
    return [f"Left out {n}: {', '.join(patients)}." for n, patients in enumerate(parts, 1)]


def split_json(own: OwnScans, plan: Plan) -> str:
    """Which scans were used, and which patients were left out together while it was measured."""
    assert plan.refinement is not None
    labelled, free = (
        [
            {"case": scan.name, "patient": scan.patient}
            for scan in own.scans
            if scan.lesion_free == kind
        ]
        for kind in (False, True)
    )
    content = {
        "split": "leave-patients-out",
        "groups": [list(group) for group in groups(own.labelled, plan.refinement.folds)],
        "train": labelled,
        "lesion_free": free,
        "skipped": dict(own.skipped),
    }
    return records.json_text(content)
