"""Frozen records <-> strict JSON: what a preset and a training plan are written as.

Strict: an unknown or a missing key, a wrong type or a key that stands twice is a mismatch. Only a
field made by ``added`` may be missing, as older files do not have it.
"""

from __future__ import annotations

import functools
import json
import math
import reprlib
import types
import typing
from collections.abc import Callable
from dataclasses import asdict, field, fields, is_dataclass
from typing import Any, Literal, TypeVar

T = TypeVar("T")

# A file may come from anywhere: messages show long or deeply nested values in part.
_short = reprlib.Repr()
_short.maxlevel, _short.maxlist, _short.maxstring, _short.maxother = 2, 12, 80, 80


class MismatchError(Exception):
    """A value is not what its place in a record asks for.

    Attributes:
        expected: What was expected, and where.
        received: The value, in part if it is long.
    """

    def __init__(self, where: str, expected: str, received: object) -> None:
        """Put the two sentences together."""
        self.expected = f"{expected} was expected at {where}"
        self.received = _short.repr(received)
        super().__init__(f"{self.expected}: {self.received}")


ADDED = {"added": True}
"""Metadata of a field that came after the first files were written."""


def added(default: float | str | tuple[()] | None) -> Any:
    """A field of a dataclass that came after the first files were written, and what they meant."""
    return field(default=default, metadata=ADDED)


def require(condition: bool, where: str, expected: str, received: object) -> None:
    """Raises MismatchError unless the condition holds."""
    if not condition:
        raise MismatchError(where, expected, received)


def loads(text: str) -> Any:
    """Reads JSON whose objects name every key once.

    Raises:
        ValueError: If it is no such JSON.
    """
    try:
        return json.loads(text, object_pairs_hook=_no_duplicates)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def dumps(record: Any) -> str:
    """Writes a record as JSON that ``loads`` and ``parse`` read back."""
    return json.dumps(asdict(record), indent=2, ensure_ascii=False) + "\n"


def json_text(content: Any) -> str:
    """Plain values as JSON text. JSON has no NaN and no infinity: they become null."""
    return json.dumps(_finite(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def parse(kind: type[T], value: Any) -> T:
    """Turns what ``loads`` returned into a record.

    Args:
        kind: A dataclass of numbers, texts, tuples, choices, objects and other such dataclasses.
        value: JSON value.

    Raises:
        MismatchError: If the value is not exactly of this form.
    """
    result: T = _parse_record(kind, value, "the top level")
    return result


def _parse(kind: Any, value: Any, where: str) -> Any:
    """Turns a JSON value into the annotated type, or raises MismatchError."""
    if is_dataclass(kind):
        return _parse_record(typing.cast(type, kind), value, where)
    origin = typing.get_origin(kind)
    if origin is None:
        return _parse_plain(kind, value, where)
    return _COMPOUND[origin](typing.get_args(kind), value, where)


def _parse_plain(kind: Any, value: Any, where: str) -> Any:
    if kind is float and type(value) is int:
        # A whole number beyond the range of float is as little a number as 1e999.
        value = float(value) if abs(value) < 1e300 else math.inf
    # Strict: true is not 1. Python reads NaN, Infinity and 1e999 as numbers; none of them is one.
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise MismatchError(where, _type_name(kind), value)
    return value


def _parse_choice(arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    if not isinstance(value, str) or value not in arguments:
        raise MismatchError(where, "one of " + ", ".join(map(repr, arguments)), value)
    return value


def _parse_object(arguments: tuple[Any, ...], value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MismatchError(where, "an object", value)
    return {k: _parse(arguments[1], v, f"{where}.{k[:80]}") for k, v in value.items()}


def _parse_tuple(arguments: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise MismatchError(where, "a list", value)
    if arguments[-1] is Ellipsis:
        arguments = (arguments[0],) * len(value)
    if len(arguments) != len(value):
        raise MismatchError(where, f"a list of {len(arguments)}", value)
    pairs = zip(arguments, value, strict=True)
    return tuple(_parse(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(pairs))


def _parse_union(arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    records = [option for option in arguments if is_dataclass(option)]
    if value is not None and records:  # a record or null: say what is wrong inside
        return _parse(records[0], value, where)
    for option in arguments:
        try:
            return _parse(option, value, where)
        except MismatchError:
            continue
    raise MismatchError(where, " or ".join(_type_name(option) for option in arguments), value)


_COMPOUND: dict[Any, Callable[[tuple[Any, ...], Any, str], Any]] = {
    Literal: _parse_choice,
    dict: _parse_object,
    tuple: _parse_tuple,
    types.UnionType: _parse_union,
    typing.Union: _parse_union,  # what "Literal[...] | None" is
}


def _type_name(kind: Any) -> str:
    if kind is type(None):
        return "null"
    if is_dataclass(kind):
        return "an object"
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    return names.get(kind, "a list" if typing.get_origin(kind) is tuple else str(kind))


def _parse_record(kind: type[T], value: Any, where: str) -> T:
    if not isinstance(value, dict):
        raise MismatchError(where, "an object", value)
    hints = _hints(typing.cast(Any, kind))
    known = fields(typing.cast(Any, kind))
    names = {f.name for f in known}
    needed = {f.name for f in known if not f.metadata.get("added")}
    unknown, missing = sorted(set(value) - names), sorted(needed - set(value))
    if unknown:
        raise MismatchError(where, "no key besides " + ", ".join(sorted(names)), unknown)
    if missing:
        raise MismatchError(where, "the key(s) " + ", ".join(missing), sorted(value))
    present = names & set(value)
    return kind(**{name: _parse(hints[name], value[name], f"{where}.{name}") for name in present})


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    """Types of a record's fields: the same for all of many thousand records."""
    return typing.get_type_hints(kind)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return result
