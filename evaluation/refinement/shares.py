"""How much a refined network should count beside the members that stay.

    python -m evaluation.refinement.shares --data CASES --refined OUTPUT

``OUTPUT`` is that of ``wmhseg train --preset refine``, whose maps of patients left out are kept
until the model is written (with ``--set refinement.gain=0.9`` it never is). For each look and each
share of the refined network, from none to all, the mean of both is cut by the model's own rules.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wmhseg.datasets.cases import Case, find_cases
from wmhseg.errors import MissingFileError, WmhsegError
from wmhseg.preparation.labelled import read_labelled
from wmhseg.scoring.rules import Rules
from wmhseg.training import plan_files
from wmhseg.training.refining import rules
from wmhseg.training.refining.left_out import Place
from wmhseg.training.refining.measuring import looks
from wmhseg.training.refining.rules import Kept, Score

SHARES = (0.0, 1 / 3, 1 / 2, 2 / 3, 1.0)


def mixed(place: Place, run: str, step: int, share: float) -> Kept:
    """What a refined network says after some steps, by a share, and the members that stay."""
    refined, staying = (
        Kept.read(path).probability for path in (place.look(run, step), place.staying)
    )
    return Kept.of(np.asarray(share * refined + (1 - share) * staying, np.float32))


def scores(case: Case, place: Place, run: str, steps: Sequence[int], by: Rules) -> list[Score]:
    """A case by each step and each of ``SHARES``, shares running faster."""
    held = read_labelled(case, with_t1=False)
    labels, voxel_ml = held.labels.astype(np.uint8), held.flair.grid.voxel_ml
    made = (mixed(place, run, step, share) for step in steps for share in SHARES)
    return [rules.scored(labels, rules.cut(one, by, voxel_ml), voxel_ml) for one in made]


def places(output: Path) -> dict[str, Place]:
    """Case -> where its maps are.

    Raises:
        MissingFileError: If nothing was measured there, or the maps have gone.
    """
    try:
        rows = json.loads((output / "refinement.json").read_text("utf-8"))["rows"]
    except OSError:
        raise MissingFileError(
            "A folder with refinement.json was expected", received=output
        ) from None
    made: dict[str, Place] = {}
    for row in rows:
        folder = output / "left-out" / str(row["group"])
        number = sum(place.folder == folder for place in made.values())
        made[row["case"]] = Place(folder, number)
    gone = [name for name, place in made.items() if not place.staying.is_file()]
    if gone:
        raise MissingFileError(
            "Maps of patients left out were expected", received=f"none of {', '.join(gone)}"
        )
    return made


def table(by_case: dict[str, list[Score]], steps: Sequence[int]) -> str:
    """Means over cases, a row a step and share."""
    lines = ["| steps | share of the refined network | mean DSC | mean lesion F1 |"]
    lines += ["|--:|--:|--:|--:|"]
    rows = [(step, share) for step in steps for share in SHARES]
    for number, (step, share) in enumerate(rows):
        own = [one[number] for one in by_case.values()]
        dsc = np.mean([score.dsc for score in own if not math.isnan(score.dsc)])
        f1 = np.mean([score.f1 for score in own])
        lines.append(f"| {step} | {share:.2f} | {dsc:.3f} | {f1:.3f} |")
    return "\n".join(lines)


def measure(data: Path, output: Path) -> str:
    """Reads everything and tells it."""
    found = places(output)
    plan = plan_files.from_json((output / "left-out" / "plan.json").read_text("utf-8"))
    assert plan.refinement is not None
    run = plan.runs[0]
    steps = looks(run, plan.refinement)
    cases = [case for case in find_cases(data) if case.name in found]
    by = Rules.of(plan.postprocessing)
    return table({c.name: scores(c, found[c.name], run.name, steps, by) for c in cases}, steps)


def main(words: Sequence[str]) -> int:
    """Prints the table; returns the exit code."""
    parser = argparse.ArgumentParser("python -m evaluation.refinement.shares", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="cases with masks")
    parser.add_argument("--refined", type=Path, required=True, help="what refine has written")
    given = parser.parse_args(words)
    try:
        print(measure(given.data, given.refined))
    except WmhsegError as error:
        print(f"wmhseg: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
