"""Which branches of the readers inputs reach: in one process, so for a few thousand only."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

from .targets import Files, Target, target
from .work import attempt

_Functions = dict[str, Any]


def show(only: Sequence[str], seed: int, inputs: int) -> int:
    """Prints the share of branches that the corpus, and then inputs, reach, and those they do not.

    Counted are the branches of all functions of a reader's modules that are entered at all: others,
    such as those that write, are no part of it.

    Args:
        only: Names of targets.
        seed: Of the inputs.
        inputs: How many of each target.
    """
    for name in only:
        aim = target(name)
        made = (aim.made(seed, number) for number in range(inputs))
        alone, together = _measured(aim, aim.corpus), _measured(aim, chain(aim.corpus, made))
        for module, functions in together.items():
            entered = [one for one, told in functions.items() if told["executed_lines"]]
            before, after = (
                sum(found[module][one]["summary"]["covered_branches"] for one in entered)
                for found in (alone, together)
            )
            number = sum(functions[one]["summary"]["num_branches"] for one in entered)
            print(f"{name:8} {module:30} {number:3} branches, reached by the corpus {before:3}, "
                  f"by {inputs} inputs as well {after:3}", flush=True)  # fmt: skip
            for one in entered:
                for line, to in functions[one]["missing_branches"]:
                    print(f"{'':9}not reached: {one}, line {line} to {to}")
    return 0


def _measured(aim: Target, given: Iterable[Files]) -> dict[str, _Functions]:
    """What runs of each module's functions when inputs are read."""
    import coverage

    places = {str(import_module(name).__file__): name for name in aim.modules}
    measured = coverage.Coverage(branch=True, include=list(places), data_file=None)
    with tempfile.TemporaryDirectory(prefix="wmhseg-fuzz-") as folder:
        place = Path(folder) / "input"
        place.mkdir()
        measured.start()
        for one in given:
            attempt(aim, place, one)
        measured.stop()
        measured.json_report(outfile=f"{folder}/told.json")
        files = json.loads(Path(folder, "told.json").read_text())["files"]
    found = {places[str(Path(path).resolve())]: told["functions"] for path, told in files.items()}
    return {
        module: {name: one for name, one in functions.items() if name}
        for module, functions in found.items()
    }
