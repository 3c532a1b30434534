"""Plans in and out: strict JSON, single values changed, and what types alone do not say."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

from wmhseg import records
from wmhseg.errors import PlanError, UsageError
from wmhseg.records import MismatchError, require
from wmhseg.training.plan import FORMAT, Fitting, Plan, Run
from wmhseg.weights import preset as presets

# A checkpoint counts steps in float32, which holds whole numbers up to 16 million.
MAX_STEPS = 10_000_000


def validate(plan: Plan) -> None:
    """Checks what types alone do not say.

    Raises:
        PlanError: If a value is out of range or two contradict each other.
    """
    try:
        _check_head(plan)
        presets.check_method(plan.preprocessing, plan.postprocessing)
        _check_data(plan)
        _check_fitting(plan.fitting)
        names: list[str] = []
        for number, run in enumerate(plan.runs):
            _check_run(run, f"runs[{number}]", plan)
            require(run.name not in names, f"runs[{number}].name", "a new name", run.name)
            names.append(run.name)
    except MismatchError as found:
        raise _failed(found) from None


def _failed(found: MismatchError) -> PlanError:
    return PlanError(
        f"plan: {found.expected}",
        received=found.received,
        advice='"wmhseg train --print-plan" shows a complete plan.',
    )


def _check_head(plan: Plan) -> None:
    require(plan.format == FORMAT, "format", f"{FORMAT}", plan.format)
    valid = re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", plan.name)
    require(bool(valid), "name", "a name of small letters, digits, '.', '_' and '-'", plan.name)
    for name in ("description", "licence", "training_data", "reference"):
        text = getattr(plan, name)
        require(text.isprintable(), name, "one line of printable text", text)
    require(plan.channels in (1, 2), "channels", "1 or 2", plan.channels)
    members = sum(run.member for run in plan.runs)
    most = presets.MAX_MEMBERS
    require(1 <= members <= most, "runs", f"1 to {most} runs with member true", members)


def _check_data(plan: Plan) -> None:
    varied, drawn = plan.augmentation, plan.synthesis
    require(
        (varied is None) != (drawn is None),
        "augmentation and synthesis",
        "one of the two, and null in the other",
        "both" if varied else "none",
    )
    if varied is not None:
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
        require(1 <= drawn.slices <= 1000, "synthesis.slices", "1 to 1000", drawn.slices)
        same = drawn.recipe.field == plan.preprocessing.field
        require(same, "synthesis.recipe.field", "the field of preprocessing", drawn.recipe.field)


def _check_fitting(fitting: Fitting) -> None:
    decay = fitting.weight_decay
    require(0 <= decay < 1, "fitting.weight_decay", "0 to below 1", decay)
    require(decay == 0 or fitting.optimizer == "adamw", "fitting.weight_decay", "0 (adam)", decay)
    clip, average, restart = fitting.clip_norm, fitting.average, fitting.restart
    require(clip is None or clip > 0, "fitting.clip_norm", "more than 0", clip)
    require(average is None or 0 < average < 1, "fitting.average", "between 0 and 1", average)
    if restart is not None:
        require(restart.loss > 0, "fitting.restart.loss", "more than 0", restart.loss)
        where = "fitting.restart.attempts"
        require(1 <= restart.attempts <= 100, where, "1 to 100", restart.attempts)


def _check_run(run: Run, where: str, plan: Plan) -> None:
    valid = re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", run.name)
    require(bool(valid), f"{where}.name", "small letters, digits, '-' and '_'", run.name)
    one = (run.steps is None) != (run.epochs is None)
    require(one, where, "either steps or epochs", [run.steps, run.epochs])
    steps, epochs = run.steps, run.epochs
    require(steps is None or 1 <= steps <= MAX_STEPS, f"{where}.steps", "1 to 10 million", steps)
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
    smallest = min(plan.preprocessing.field)
    require(
        run.crop is None or 16 <= run.crop <= smallest,
        f"{where}.crop",
        f"16 to {smallest}",
        run.crop,
    )
    require(0 < run.rate <= 10, f"{where}.rate", "above 0", run.rate)
    falling = 0 <= run.final_rate <= run.rate
    require(falling, f"{where}.final_rate", "0 to rate", run.final_rate)
    require(0 <= run.warmup <= MAX_STEPS, f"{where}.warmup", "0 or more steps", run.warmup)
    require(0 <= run.seed < 2**31, f"{where}.seed", "0 to 2147483647", run.seed)


def from_json(text: str) -> Plan:
    """Reads a plan.

    Raises:
        PlanError: If the text is not JSON of exactly this form.
    """
    try:
        value = records.loads(text)
    except ValueError as error:
        raise PlanError("plan: JSON was expected", received=str(error)) from None
    return _from_value(value)


def _from_value(value: Any) -> Plan:
    try:
        plan = records.parse(Plan, value)
    except MismatchError as found:
        raise _failed(found) from None
    validate(plan)
    return plan


def to_json(plan: Plan) -> str:
    """Writes a plan as JSON that ``from_json`` reads back to an equal record."""
    return records.dumps(plan)


def with_settings(plan: Plan, settings: list[str]) -> Plan:
    """Changes single values.

    Args:
        plan: Where to start from.
        settings: Texts such as "fitting.average=0.999", "runs.0.steps=100" or "runs.*.batch=4".
            What stands after "=" is JSON, or else taken as text.

    Raises:
        UsageError: If a text is not of this form, or names nothing in the plan.
        PlanError: If the changed plan is not valid.
    """
    value = json.loads(json.dumps(asdict(plan)))
    for text in settings:
        path, equals, content = text.partition("=")
        if not equals:
            raise UsageError("--set KEY=VALUE was expected", received=text)
        try:
            new = json.loads(content)
        except ValueError:
            new = content
        _set(value, path.split("."), new, text)
    return _from_value(value)


def _set(value: Any, keys: list[str], new: Any, text: str) -> None:
    """Puts a value at a path; "*" stands for every item of a list."""
    key, *rest = keys
    if isinstance(value, list):
        numbers = range(len(value)) if key == "*" else [int(key)] if key.isdecimal() else []
        places: list[Any] = [number for number in numbers if number < len(value)]
    else:
        # A new key is left to the strict reading: options of a network are free, others are not.
        known = isinstance(value, dict) and (key in value or not rest)
        places = [key] if known else []
    if not places:
        raise UsageError("--set with the path of a value in the plan was expected", received=text)
    for place in places:
        if rest:
            _set(value[place], rest, new, text)
        else:
            value[place] = new
