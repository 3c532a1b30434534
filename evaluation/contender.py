"""What takes part in an evaluation: anything that segments, such as an installed model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import wmhseg
from wmhseg import errors
from wmhseg.datasets.cases import Case
from wmhseg.datasets.results import OTHERS
from wmhseg.weights import preset
from wmhseg.weights.store import Model

PROBABILITY = "probability.nii.gz"


@dataclass(frozen=True)
class Contender:
    """Something that segments.

    Attributes:
        name: Name of its folder and in tables.
        about: What it is and what it was trained on.
        identity: Changes whenever its masks could change.
        segment: Segments a case and writes the mask to a path.
        only: Names of the cases that it can be asked for; None: all.
    """

    name: str
    about: str
    identity: str
    segment: Callable[[Case, Path], None]
    only: frozenset[str] | None = None

    def takes(self, case: Case) -> bool:
        """Whether it can be asked for a case."""
        return self.only is None or case.name in self.only


def network(
    model: Model,
    options: wmhseg.Options,
    *,
    flair_only: bool = False,
    probability: bool = False,
) -> Contender:
    """Makes a contender of an installed model.

    Args:
        model: The model.
        options: How to run it; the same as in ``wmhseg segment``.
        flair_only: Withhold T1 from a model that works without it.
        probability: Write the probability map beside the mask.
    """
    chosen = model.preset
    # Threads and batch size change no mask.
    how = asdict(replace(options, threads=None, batch=None))

    def run(case: Case, target: Path) -> None:
        if case.flair is None:
            raise errors.MissingFileError(
                "A FLAIR scan was expected", received=case.scan_problem or "none"
            )
        t1 = case.t1 if chosen.takes_t1 and not flair_only else None
        map_path = target.with_name(PROBABILITY) if probability else None
        others = {
            label: target.with_name(f"result_{label}.nii.gz")
            for label in chosen.marked
            if label in OTHERS
        }
        wmhseg.segment(case.flair, t1, model=model, options=options).save(
            target, probability=map_path, others=others
        )

    return Contender(
        name=chosen.name + (".flair-only" if flair_only else ""),
        about=("without T1; " if flair_only else "")
        + f"{len(chosen.members)} member(s); trained on: {chosen.training_data}",
        identity=f"{wmhseg.__version__} {how} {preset.to_json(chosen)}" + " map" * probability,
        segment=run,
    )


def member_models(model: Model) -> list[Model]:
    """Each member of an ensemble as a model of its own."""
    if len(model.preset.members) == 1:
        return []
    return [
        Model(
            model.folder,
            preset.with_changes(
                model.preset, name=f"{model.preset.name}.member{place}", members=(member,)
            ),
        )
        for place, member in enumerate(model.preset.members, 1)
    ]
