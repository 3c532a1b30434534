"""Which branches of the readers inputs reach: in one process, so for a few thousand only."""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .targets import target
from .work import attempt


def show(only: Sequence[str], seed: int, inputs: int) -> int:
    """Prints how many lines and branches of each module the corpus, and inputs, reach.

    Args:
        only: Names of targets.
        seed: Of the inputs.
        inputs: How many of each target.
    """
    import coverage

    for name in only:
        modules = target(name).modules
        files = [str(sys.modules[importlib.import_module(m).__name__].__file__) for m in modules]
        shares = []
        for count in (0, inputs):
            measured = coverage.Coverage(branch=True, include=files, data_file=None)
            with tempfile.TemporaryDirectory(prefix="wmhseg-fuzz-") as folder:
                measured.start()
                for given in target(name).corpus:
                    attempt(target(name), Path(folder), given)
                for number in range(count):
                    attempt(target(name), Path(folder), target(name).made(seed, number))
                measured.stop()
            with tempfile.NamedTemporaryFile("r", suffix=".json") as told:
                measured.json_report(outfile=told.name, ignore_errors=True)
                shares.append(json.load(told)["files"])
        for path in shares[0]:
            for what, found in zip(("corpus", f"+ {inputs} inputs"), shares, strict=True):
                s = found[path]["summary"]
                print(f"{name:9s} {path:40s} {what:15s} lines {s['covered_lines']}/"
                      f"{s['num_statements']} branches {s['covered_branches']}/"
                      f"{s['num_branches']}")  # fmt: skip
            functions = found[path]["functions"]
            missed = [
                f"{function}: {one['missing_lines']} {one['missing_branches']}"
                for function, one in functions.items()
                if function and one["executed_lines"] and one["missing_branches"]
            ]
            print("          " + "\n          ".join(missed))
    return 0
