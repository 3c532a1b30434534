"""Lists what is promised to stay: names of Python, options, exit codes, forms of files.

    python -m docs.site.promised [--write]

Read from the code. ``docs/promised.json`` is the list that docs show and that a test compares with
the code, so that nothing goes, and nothing is added, unnoticed; ``--write`` renews it. From version
1.0 on, what stands there may go in a new major version only (docs/stability.md).
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import wmhseg
from wmhseg.cli import main as cli
from wmhseg.io import files

LIST = Path(__file__).resolve().parents[1] / "promised.json"
# Not promised yet; docs/stability.md says why.
EXPERIMENTAL_NAMES = ("Anatomist", "Anatomy", "anatomy")
EXPERIMENTAL_OPTIONS = ("--stroke",)


def _members(value: type) -> Iterator[str]:
    """Public attributes, properties and methods of a class, those of parents of ours included."""
    if dataclasses.is_dataclass(value):
        yield from (one.name for one in dataclasses.fields(value) if not one.name.startswith("_"))
    for owner in value.__mro__:
        if owner.__module__.startswith("wmhseg"):
            for name, member in vars(owner).items():
                if not name.startswith("_") and (
                    inspect.isfunction(member)
                    or isinstance(member, (property, classmethod, staticmethod))
                ):
                    yield name


def python_names() -> dict[str, list[str]]:
    """Public name -> arguments of a function, members of a class."""
    found = {}
    for name in wmhseg.__all__:
        value = getattr(wmhseg, name)
        error = isinstance(value, type) and issubclass(value, (Exception, Warning))
        if error or name in EXPERIMENTAL_NAMES or name == "__version__":
            continue
        listed = _members(value) if isinstance(value, type) else inspect.signature(value).parameters
        found[name] = sorted(set(listed)) if isinstance(value, type) else list(listed)
    return found


def exit_codes() -> dict[str, int]:
    """Error -> exit code, of those that are raised."""
    found = {}
    for name in wmhseg.__all__:
        value = getattr(wmhseg, name)
        if isinstance(value, type) and "exit_code" in vars(value):
            found[name] = value.exit_code
    return dict(sorted(found.items(), key=lambda one: one[1]))


def names_of(parser: argparse.ArgumentParser) -> list[str]:
    """The options that a parser's help shows and, in capitals, what it takes without one."""
    listed = set()
    for action in parser._actions:
        if action.help != argparse.SUPPRESS and not isinstance(action, argparse._SubParsersAction):
            long = {name for name in action.option_strings if name.startswith("--")}
            listed |= (
                long if action.option_strings else {str(action.metavar or action.dest).upper()}
            )
    return sorted(listed - set(EXPERIMENTAL_OPTIONS))


def options() -> dict[str, list[str]]:
    """Command -> its options and arguments."""
    return {parser.prog: names_of(parser) for parser in cli.parsers()}


def forms() -> dict[str, Any]:
    """The version of each form that is written, and the columns of the table."""
    module = importlib.import_module
    return {
        "report": module("wmhseg.reporting.report").SCHEMA,
        "measures.json": module("wmhseg.measuring.saving").SCHEMA,
        "preset.json": module("wmhseg.weights.preset").FORMAT,
        "summary.tsv": list(module("wmhseg.batch.summary").COLUMNS),
    }


def promised() -> dict[str, Any]:
    """All of it, as it stands in the code now."""
    return {
        "python": python_names(),
        "commands": options(),
        "exit_codes": exit_codes(),
        "forms": forms(),
    }


def text(content: dict[str, Any]) -> str:
    """The list as it is stored: a line a name, so that changes can be read."""
    parts = []
    for title, part in content.items():
        lines = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in part.items())
        parts.append(f" {json.dumps(title)}: {{\n{lines}\n }}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> int:
    """Prints the list, or writes it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="into docs/promised.json")
    now = text(promised())
    if parser.parse_args().write:
        files.write_text(LIST, now)
    else:
        print(now, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
