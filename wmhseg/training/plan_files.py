"""Plans in and out: read from strict JSON, written to it, and changed value by value."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from wmhseg import records
from wmhseg.errors import PlanError, UsageError
from wmhseg.records import MismatchError
from wmhseg.training.plan import Plan, plan_error, validate


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
            new = records.loads(content)
        except ValueError:
            new = content
        _set(value, path.split("."), new, text)
    return _from_value(value)


def _set(value: Any, keys: list[str], new: Any, text: str) -> None:
    """Puts a value at a path; "*" stands for every item of a list."""
    key, *rest = keys
    if isinstance(value, list):
        places: list[Any] = [n for n in range(len(value)) if key in ("*", str(n))]
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
