"""Patients that are left out: what a model makes of their scans, before and while it is refined.

What networks say of a scan is written down, so that steps and rules can be chosen afterwards, and
a run that was stopped goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wmhseg.engines.interface import Engine
from wmhseg.networks import variables
from wmhseg.preparation.labelled import read_labelled
from wmhseg.scoring.rules import Rules
from wmhseg.segmentation import prediction
from wmhseg.training.batches.labelled_input import LabelledInput, read_case
from wmhseg.training.batches.own_scans import OwnScan
from wmhseg.training.plan import Plan, Run
from wmhseg.training.refining import rules
from wmhseg.training.refining.rules import LEAST_OF_A_PART, Choice, Kept, Score
from wmhseg.training.validation import Scores, unfinished
from wmhseg.weights.store import Model


@dataclass(frozen=True)
class Place:
    """Where is written what was made of one left-out scan.

    Attributes:
        folder: Of its group.
        number: Of the scan in the group.
    """

    folder: Path
    number: int

    @property
    def as_it_was(self) -> Path:
        """Of the whole model before it was refined."""
        return self.folder / f"scan{self.number}-before.npz"

    @property
    def staying(self) -> Path:
        """Of the members alone that stay as they are."""
        return self.folder / f"scan{self.number}-staying.npz"

    def look(self, run: str, step: int) -> Path:
        """Of a run after some steps; step 0 is its start."""
        return self.folder / f"scan{self.number}-{run}-{step}.npz"


class LeftOut:
    """Scans of a group of patients, segmented while a network is trained on the others."""

    def __init__(
        self, scans: Sequence[OwnScan], plan: Plan, engine: Engine, folder: Path, staying: int = 0
    ) -> None:
        """Notes what to look at; scans are read when they are needed.

        Args:
            scans: The scans left out.
            plan: Their preparation and post-processing.
            engine: What computes.
            folder: Where what networks say is written.
            staying: Members of the model, the last ones, that stay as they are.
        """
        self.scans, self.staying = tuple(scans), staying
        self.places = [Place(folder, number) for number in range(len(self.scans))]
        self._plan, self._engine = plan, engine
        self._read: dict[int, LabelledInput] = {}
        self._truth: dict[int, tuple[npt.NDArray[np.uint8], float]] = {}

    def __len__(self) -> int:
        """Number of scans."""
        return len(self.scans)

    def case(self, number: int) -> LabelledInput:
        """A scan as the networks take it, and its labels."""
        if number not in self._read:
            self._read[number] = read_case(self.scans[number].case, self._plan)
        return self._read[number]

    def truth(self, number: int) -> tuple[npt.NDArray[np.uint8], float]:
        """(slice, row, column) of the mask on the scan's own voxels, and the volume of a voxel."""
        if number not in self._truth:
            held = read_labelled(self.scans[number].case, with_t1=False)
            self._truth[number] = held.labels.astype(np.uint8), held.flair.grid.voxel_ml
        return self._truth[number]

    def looked(self, run: str, steps: Sequence[int]) -> bool:
        """Whether all scans were segmented by a run after each of some steps."""
        return all(place.look(run, step).exists() for place in self.places for step in steps)

    def before(self, model: Model) -> list[Score]:
        """What a model makes of the scans as it is, with its own rules.

        That is written down, and what the members say that stay.
        """
        made = []
        for number, place in enumerate(self.places):
            inputs = self.case(number).inputs
            found = prediction.predict(inputs, model, self._engine, members=self.staying > 0)
            Kept.of(found.probability).write(place.as_it_was)
            if self.staying:
                last = list(found.members.values())[-self.staying :]
                mean = np.asarray(np.mean(last, axis=0, dtype=np.float32), np.float32)
                Kept.of(mean, LEAST_OF_A_PART).write(place.staying)
            labels, voxel_ml = self.truth(number)
            made.append(rules.scored(labels, found.mask, voxel_ml))
        return made

    def by_rules_alone(self, number: int, by: Rules) -> Score:
        """A scan by the model as it was, with other rules."""
        return self._cut(number, Kept.read(self.places[number].as_it_was), by)

    def refined(self, number: int, runs: Sequence[str], choice: Choice) -> Score:
        """A scan by some runs after some steps, with the rules chosen."""
        return self._cut(number, self.kept(number, runs, choice.step), choice.rules)

    def kept(self, number: int, runs: Sequence[str], step: int) -> Kept:
        """A scan by the whole model: some runs after some steps, and the members that stay."""
        place = self.places[number]
        maps = [Kept.read(place.look(run, step)).probability for run in runs]
        if self.staying:
            maps.append(np.float32(self.staying) * Kept.read(place.staying).probability)
        total = np.sum(maps, axis=0, dtype=np.float32)
        return Kept.of(np.asarray(total / np.float32(len(runs) + self.staying), np.float32))

    def _cut(self, number: int, kept: Kept, by: Rules) -> Score:
        labels, voxel_ml = self.truth(number)
        return rules.scored(labels, rules.cut(kept, by, voxel_ml), voxel_ml)

    def scores(self, run: Run, tensors: variables.Tensors, step: int) -> Scores:
        """Segments all scans with one network; scores its mean with the members that stay.

        The rules are the plan's. Where more than one is refined, that is not yet the whole model.

        Args:
            run: The run that the network is trained in.
            tensors: Its weights.
            step: After so many steps.
        """
        with unfinished(self._plan, run, tensors) as model:
            told = []
            for number, place in enumerate(self.places):
                found = prediction.predict(self.case(number).inputs, model, self._engine)
                Kept.of(found.probability, LEAST_OF_A_PART).write(place.look(run.name, step))
                kept = self.kept(number, [run.name], step)
                one = self._cut(number, kept, Rules.of(self._plan.postprocessing))
                told.append((self.scans[number].name, one.dsc, one.f1))
        return told
