"""Plans are checked here for what the types of their records alone do not say."""

from __future__ import annotations

import re

from wmhseg.errors import PlanError
from wmhseg.networks.location import LOCATION, SIDES
from wmhseg.records import MismatchError, require
from wmhseg.synthesis.recipe import Recipe
from wmhseg.training import classes
from wmhseg.training.plan import (
    FORMAT,
    LEAST_TRIED,
    LESION_LOSSES,
    Fitting,
    Loss,
    Plan,
    Refinement,
    Run,
    Sampling,
)
from wmhseg.weights import inputs as ends
from wmhseg.weights import preset as presets
from wmhseg.weights import processing

# A checkpoint counts steps in float32, which holds whole numbers up to 16 million.
MAX_STEPS = 10_000_000

# Rules that a refinement tries, and what all of their numbers are below.
_TRIED = {
    "thresholds": 1.0,
    "min_lesions_mm3": processing.MAX_MIN_LESION_MM3,
    "lesion_peaks": 1.0,
}


def validate(plan: Plan) -> None:
    """Checks what types alone do not say.

    Raises:
        PlanError: If a value is out of range or two contradict each other.
    """
    try:
        _check_head(plan)
        processing.check_method(plan.preprocessing, plan.postprocessing)
        processing.check_readers(plan.readers, plan.postprocessing)
        _check_data(plan)
        _check_refinement(plan)
        _check_fitting(plan.fitting)
        _check_loss(plan)
        _check_sampling(plan)
        _check_stopping(plan)
        names: list[str] = []
        for number, run in enumerate(plan.runs):
            _check_run(run, f"runs[{number}]", plan)
            require(run.name not in names, f"runs[{number}].name", "a new name", run.name)
            _check_as_it_is(run, f"runs[{number}]", plan.runs[:number])
            names.append(run.name)
    except MismatchError as mismatch:
        raise plan_error(mismatch) from None


def plan_error(mismatch: MismatchError) -> PlanError:
    """The error to raise for a value that a plan may not hold."""
    return PlanError(
        f"plan: {mismatch.expected}",
        received=mismatch.received,
        advice='"wmhseg train --print-plan" shows a complete plan.',
    )


def _check_head(plan: Plan) -> None:
    require(plan.format == FORMAT, "format", f"{FORMAT}", plan.format)
    presets.check_texts(plan)
    _check_ends(plan)
    members = sum(run.member for run in plan.runs)
    most = presets.MAX_MEMBERS
    require(1 <= members <= most, "runs", f"1 to {most} runs with member true", members)


def _check_ends(plan: Plan) -> None:
    """What goes into the networks and what comes out."""
    told = plan.channels is not None, plan.without_t1 is not None
    if plan.inputs:
        require(not any(told), "channels and without_t1", "null, as inputs are listed,", told)
        ends.check_inputs(plan.inputs)
    else:
        require(all(told), "channels and without_t1", "both, or inputs in their place,", told)
    ends.inputs_of_channels(plan.channels if plan.channels is not None else 1, "error")
    axes = plan.preprocessing.orientation
    in_mni = any(one.scan == "MNI" for one in plan.inputs)
    require(not in_mni or axes == "LPS", "preprocessing.orientation", '"LPS" (MNI)', axes)
    labels = plan.network_labels
    ends.check_labels(labels)
    if labels.anatomical:
        _check_anatomical(plan)
    elif labels.activation == "softmax":
        known = classes.BACKGROUND in labels.names and set(labels.names) <= set(classes.NAMES)
        most = ", ".join(classes.NAMES)
        require(known, "labels.names", f"names out of {most}, with the first,", labels.names)
    else:
        require(labels == ends.WMH_ALONE, "labels", "WMH alone, or softmax,", labels.names)
    processing.check_others(plan.others, labels)


def _check_anatomical(plan: Plan) -> None:
    """Structures are known of synthetic scans alone, and of whole slices."""
    processing.check_anatomical(plan)
    for name in ("augmentation", "refinement", "sampling"):
        value = getattr(plan, name)
        require(value is None, name, "null (structures)", "a record")


def _check_data(plan: Plan) -> None:
    varied, drawn = plan.augmentation, plan.synthesis
    require(
        plan.refinement is not None or (varied is None) != (drawn is None),
        "augmentation and synthesis",
        "one of the two, and null in the other",
        "both" if varied else "none",
    )
    if varied is not None:
        ports = sorted({one.port for one in plan.network_inputs})
        single = len(ports) == 1 or plan.sampling is not None
        require(single, "inputs", "one port for whole slices of real scans", ports)
        require(1 <= varied.copies <= 1000, "augmentation.copies", "1 to 1000", varied.copies)
        for name, most in (("rotation_deg", 180.0), ("shear_deg", 60.0)):
            value = getattr(varied, name)
            require(0 <= value <= most, f"augmentation.{name}", f"0 to {most:g}", value)
        low, high = varied.zoom
        require(0.1 <= low <= high <= 10, "augmentation.zoom", "0.1 to 10, rising", varied.zoom)
        for name in ("flip", "without_t1"):
            value = getattr(varied, name)
            require(0 <= value <= 1, f"augmentation.{name}", "a probability", value)
    if drawn is not None:
        require(1 <= drawn.scans <= 1000, "synthesis.scans", "1 to 1000", drawn.scans)
        most = 1000 if plan.sampling is None else 100_000
        require(1 <= drawn.slices <= most, "synthesis.slices", f"1 to {most}", drawn.slices)
        _check_recipe(drawn.recipe, "synthesis.recipe", plan)


def _check_recipe(recipe: Recipe, where: str, plan: Plan) -> None:
    same = plan.preprocessing.field in (None, recipe.field)
    require(same, f"{where}.field", "the field of preprocessing", recipe.field)
    share = recipe.small_lesions
    require(0 <= share <= 1, f"{where}.small_lesions", "a share, 0 to 1", share)


def _check_refinement(plan: Plan) -> None:
    how = plan.refinement
    if how is None:
        return
    where = "refinement"
    both = plan.augmentation is not None and plan.synthesis is not None
    require(both, "augmentation and synthesis", "both (refinement)", "less")
    require(plan.sampling is None, "sampling", "null (refinement)", plan.sampling)
    scores = all((one.how, one.slice) == ("z-score", 0) for one in plan.network_inputs)
    require(scores, "inputs", "z-scores (refinement)", [one.how for one in plan.network_inputs])
    require(plan.network_labels == ends.WMH_ALONE, "labels", "WMH alone (refinement)", "others")
    losses, loss = ("dice", "dice-and-cross-entropy"), plan.fitting.loss
    require(loss in losses, "fitting.loss", f"{' or '.join(losses)} (refinement)", loss)
    require(0 < how.real <= 1, f"{where}.real", "above 0, to 1", how.real)
    require(2 <= how.folds <= 100, f"{where}.folds", "2 to 100", how.folds)
    few = how.refined is None or 1 <= how.refined <= len(plan.runs)
    require(few, f"{where}.refined", f"1 to {len(plan.runs)}, or null", how.refined)
    require(1 <= how.looks <= 20, f"{where}.looks", "1 to 20", how.looks)
    for name in ("gain", "rules_gain"):
        least = getattr(how, name)
        require(0 <= least < 1, f"{where}.{name}", "0 to below 1", least)
    for name, most_of in _TRIED.items():
        values = getattr(how, name)
        least = LEAST_TRIED if name == "thresholds" else 0.0
        fits = all(least <= value < most_of for value in values)
        require(fits, f"{where}.{name}", f"{least:g} to below {most_of:g}", values)
    for number, run in enumerate(plan.runs):
        at = f"runs[{number}]"
        require(run.member, f"{at}.member", "true (refinement)", run.member)
        even = run.steps is not None and run.steps > 0 and run.steps % how.looks == 0
        stays = run.steps == 0 and how.refined is not None and number >= how.refined
        expected = f"a multiple of refinement.looks, {how.looks},"
        require(even or stays, f"{at}.steps", expected, run.steps)
        cut = run.crop is not None or plan.preprocessing.field is not None
        require(cut, f"{at}.crop", "a number (refinement of whole slices)", run.crop)
        # A look at fewer steps is what a shorter run would end with, if the rate stays the same.
        same = run.rate == run.final_rate and run.drop_at is None
        expected = "the rate (refinement with more than one look)"
        require(same or how.looks == 1, f"{at}.final_rate", expected, run.final_rate)
    steps = [run.steps for run in plan.runs[: how.refined]]
    require(len({*steps}) == 1, "runs.*.steps", "the same number for all (refinement)", steps)
    _check_implanting(how)


def _check_implanting(how: Refinement) -> None:
    put = how.implanting
    if put is None:
        return
    where = "refinement.implanting"
    require(0 <= put.share <= 1, f"{where}.share", "0 to 1", put.share)
    require(0 < put.marked < 1, f"{where}.marked", "between 0 and 1", put.marked)
    for name, most in (("load_ml", 200.0), ("brightness", 10.0), ("softness_mm", 20.0)):
        low, high = getattr(put, name)
        require(0 < low <= high <= most, f"{where}.{name}", f"above 0 to {most:g}", (low, high))


def _check_fitting(fitting: Fitting) -> None:
    decay = fitting.weight_decay
    require(0 <= decay < 1, "fitting.weight_decay", "0 to below 1", decay)
    kind = fitting.optimizer
    decays = kind in ("adamw", "sgd")
    require(decay == 0 or decays, "fitting.weight_decay", f"0 ({kind})", decay)
    for name in ("momentum", "late_momentum"):
        value = getattr(fitting, name) or 0.0
        require(0 <= value < 1, f"fitting.{name}", "0 to below 1", value)
        require(value == 0 or kind == "sgd", f"fitting.{name}", f"0 ({kind})", value)
    clip, average, restart = fitting.clip_norm, fitting.average, fitting.restart
    require(clip is None or clip > 0, "fitting.clip_norm", "more than 0", clip)
    require(average is None or 0 < average < 1, "fitting.average", "between 0 and 1", average)
    if restart is not None:
        require(restart.loss > 0, "fitting.restart.loss", "more than 0", restart.loss)
        where = "fitting.restart.attempts"
        require(1 <= restart.attempts <= 100, where, "1 to 100", restart.attempts)


def _check_stopping(plan: Plan) -> None:
    stopping = plan.fitting.stopping
    if stopping is None:
        return
    require(1 <= stopping.patience <= 1000, "fitting.stopping.patience", "1 to 1000", stopping)
    require(2 <= stopping.voxels <= 10**6, "fitting.stopping.voxels", "2 to a million", stopping)
    voxels = plan.sampling is not None and plan.sampling.kind == "voxels"
    real = voxels and plan.augmentation is not None and plan.fitting.average is None
    wanted = "null, without real scans, sampling of voxels and an average of null,"
    require(real, "fitting.stopping", wanted, stopping)


def _check_sampling(plan: Plan) -> None:
    sampling = plan.sampling
    if sampling is None:
        return
    side = sampling.side
    require(16 <= side <= 512 and side % 8 == 0, "sampling.side", "16 to 512, by eights", side)
    for name, most in (("wmh", 1.0), ("stroke", 1.0), ("shift", 0.5), ("bright", 1.0)):
        value = getattr(sampling, name)
        require(0 <= value <= most, f"sampling.{name}", f"0 to {most:g}", value)
    rest = sampling.elsewhere
    require(0 <= rest < 1, "sampling.elsewhere", "0 to below 1", rest)
    require(sampling.wmh > 0 or sampling.stroke > 0, "sampling.wmh", "more than 0", sampling.wmh)
    softmax = plan.network_labels.activation == "softmax"
    require(softmax, "labels.activation", '"softmax" (sampling)', plan.network_labels.activation)
    alone = sampling.kind == "voxels"
    require(not alone or sampling.shift == 0, "sampling.shift", "0 (voxels)", sampling.shift)
    for number, run in enumerate(plan.runs):
        require(run.crop is None, f"runs[{number}].crop", "null (sampling)", run.crop)
        # It alone has a form for patches of which one voxel is told.
        fits = run.network == LOCATION or not alone
        require(fits, f"runs[{number}].network", '"location" (voxels)', run.network)
        _check_window(run, f"runs[{number}].options.architecture", sampling)
    varied = plan.augmentation
    placed = any(one.port == LOCATION for one in plan.network_inputs)
    if (alone or placed) and varied is not None:
        moved = (varied.rotation_deg, varied.shear_deg, *varied.zoom, varied.flip)
        still = moved == (0, 0, 1, 1, 0)
        require(still, "augmentation", "rotation_deg, shear_deg and flip 0, zoom 1", moved)


def _check_window(run: Run, where: str, sampling: Sampling) -> None:
    """Of the location-sensitive networks, that of one scale alone tells many voxels at once."""
    if run.network == LOCATION and sampling.kind == "patches":
        one, side, around = run.options.get("architecture"), sampling.side, SIDES[0] // 2
        require(one == "SS", where, '"SS" (patches)', one)
        require(side >= SIDES[0], "sampling.side", f"{SIDES[0]} at least (location)", side)
        most = side // 2 - around  # else the voxel would not be among those that are told
        fits = round(sampling.shift * side) <= most
        require(fits, "sampling.shift", f"0 to {most / side:g} (location)", sampling.shift)


def _check_loss(plan: Plan) -> None:
    fitting, labels = plan.fitting, plan.network_labels
    _check_named_loss(fitting.loss, "fitting.loss", plan)
    power = fitting.lesion_power
    require(0 <= power <= 1, "fitting.lesion_power", "0 to 1", power)
    weights, count = fitting.class_weights, len(labels.names)
    needed = count if fitting.loss == "weighted-cross-entropy" else 0
    require(len(weights) == needed, "fitting.class_weights", f"{needed} weights", weights)
    fits = all(weight >= 0 for weight in weights) and (not weights or sum(weights) > 0)
    require(fits, "fitting.class_weights", "weights of 0 or more", weights)
    require(0 < fitting.certain <= 1, "fitting.certain", "above 0, to 1", fitting.certain)


def _check_named_loss(loss: Loss, where: str, plan: Plan) -> None:
    """Whether the networks say what a loss looks at."""
    sigmoid = ("dice", "dice-and-cross-entropy", *LESION_LOSSES)
    if plan.network_labels.activation == "softmax":
        wanted = f"another than {' and '.join(LESION_LOSSES)} (softmax)"
        require(loss not in LESION_LOSSES, where, wanted, loss)
    else:
        require(loss in sigmoid, where, " or ".join(sigmoid) + " (sigmoid)", loss)


def _check_own(run: Run, where: str, plan: Plan) -> None:
    """What a run has in place of the plan's."""
    if run.recipe is not None:
        drawn = plan.synthesis is not None
        require(drawn, f"{where}.recipe", "null, without synthetic scans,", "a recipe")
        _check_recipe(run.recipe, f"{where}.recipe", plan)
    if run.loss is not None:
        _check_named_loss(run.loss, f"{where}.loss", plan)
        # Its weights belong to the plan's loss.
        fits = run.loss != "weighted-cross-entropy" or bool(plan.fitting.class_weights)
        require(fits, f"{where}.loss", "another, or fitting.class_weights,", run.loss)


def _check_as_it_is(run: Run, where: str, earlier: tuple[Run, ...]) -> None:
    """Weights of an earlier run that are taken as they are have to be of the same network."""
    for other in earlier:
        if run.steps == 0 and run.start_from == other.name:
            same = (run.network, run.options) == (other.network, other.options)
            wanted = f"network and options of {other.name} (steps 0)"
            require(same, where, wanted, [run.network, run.options])


def _check_run(run: Run, where: str, plan: Plan) -> None:
    valid = re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", run.name)
    require(bool(valid), f"{where}.name", "small letters, digits, '-' and '_'", run.name)
    one = (run.steps is None) != (run.epochs is None)
    require(one, where, "either steps or epochs", [run.steps, run.epochs])
    steps, epochs = run.steps, run.epochs
    least = 0 if run.member and run.start_from is not None else 1
    wanted = "1 to 10 million, or 0 for a member with start_from,"
    require(steps is None or least <= steps <= MAX_STEPS, f"{where}.steps", wanted, steps)
    require(
        epochs is None or (1 <= epochs <= 100_000 and plan.synthesis is None),
        f"{where}.epochs",
        "at least 1 with real scans, null with synthetic ones",
        epochs,
    )
    require(1 <= run.batch <= 10_000, f"{where}.batch", "1 to 10,000", run.batch)
    if plan.synthesis is not None:
        most = plan.synthesis.scans * plan.synthesis.slices
        require(run.batch <= most, f"{where}.batch", f"at most scans x slices = {most}", run.batch)
    field = plan.preprocessing.field or (plan.synthesis and plan.synthesis.recipe.field)
    smallest = min(field or (1024,))
    require(
        run.crop is None or 16 <= run.crop <= smallest,
        f"{where}.crop",
        f"16 to {smallest}",
        run.crop,
    )
    require(0 < run.rate <= 10, f"{where}.rate", "above 0", run.rate)
    falling = 0 <= run.final_rate <= run.rate
    require(falling, f"{where}.final_rate", "0 to rate", run.final_rate)
    drop = run.drop_at
    require(drop is None or 0 < drop < 1, f"{where}.drop_at", "between 0 and 1", drop)
    require(0 <= run.warmup <= MAX_STEPS, f"{where}.warmup", "0 or more steps", run.warmup)
    require(0 <= run.seed < 2**31, f"{where}.seed", "0 to 2147483647", run.seed)
    _check_own(run, where, plan)
