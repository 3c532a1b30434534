"""Plans in and out: read from strict JSON, written to it, and changed value by value."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from wmhseg import records
from wmhseg.errors import PlanError, UsageError
from wmhseg.records import MismatchError
from wmhseg.training.plan import Plan
from wmhseg.training.plan_checks import plan_error, validate


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
    except MismatchError as mismatch:
        raise plan_error(mismatch) from None
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
            What stands after "=" is JSON, or else taken as text. Steps of a run take the place of
            its epochs, and epochs that of steps; listed inputs that of channels, and the reverse.
            The recipe of a run that has none starts as the plan's, as it then is.

    Raises:
        UsageError: If a text is not of this form, or names nothing in the plan.
        PlanError: If the changed plan is not valid.
    """
    value = json.loads(json.dumps(asdict(plan)))
    # A run has either: who sets one need not know which of them the plan has. Both are an error.
    named = {text.partition("=")[0].rpartition(".")[2] for text in settings}
    other = {} if {"steps", "epochs"} <= named else {"steps": "epochs", "epochs": "steps"}
    for text in settings:
        path, equals, content = text.partition("=")
        if not equals:
            raise UsageError("--set KEY=VALUE was expected", received=text)
        try:
            new = records.loads(content)
        except ValueError:
            new = content
        keys = path.split(".")
        if len(keys) > 3 and keys[2] == "recipe":
            _own_recipes(value, keys[1])
        _set(value, keys, new, text)
        if len(keys) == 3 and keys[2] in other and new is not None:
            _set(value, [*keys[:2], other[keys[2]]], None, text)
        if keys == ["inputs"] and new:
            value["channels"] = value["without_t1"] = None
        elif keys == ["channels"] and new is not None:
            value |= {"inputs": [], "without_t1": value["without_t1"] or "error"}
    return _from_value(value)


def _own_recipes(value: dict[str, Any], number: str) -> None:
    """Gives runs that have no recipe of their own the plan's, so that a part of it can be set."""
    if not isinstance(value["synthesis"], dict) or not isinstance(value["runs"], list):
        return
    for place, run in enumerate(value["runs"]):
        if number in ("*", str(place)) and isinstance(run, dict) and run.get("recipe", 0) is None:
            run["recipe"] = json.loads(json.dumps(value["synthesis"].get("recipe")))


def _set(value: Any, keys: list[str], new: Any, text: str, above: str = "") -> None:
    """Puts a value at a path; "*" stands for every item of a list."""
    key, *rest = keys
    if isinstance(value, list):
        places: list[Any] = [n for n in range(len(value)) if key in ("*", str(n))]
        there = [*map(str, range(len(value))), "*"]
    else:
        there = sorted(value) if isinstance(value, dict) else []
        # Options of a network are free: whether it takes them is found out later.
        free = isinstance(value, dict) and not rest and above.endswith("options")
        places = [key] if key in there or free else []
    if not places:
        raise UsageError(
            "--set with a setting of the plan was expected",
            received=text,
            advice=f"{f'In {above}' if above else 'At the top'} there are: {', '.join(there)}"
            if there
            else f"{above} is a single value",
        )
    for place in places:
        if rest:
            _set(value[place], rest, new, text, f"{above}.{place}" if above else str(place))
        else:
            value[place] = new
