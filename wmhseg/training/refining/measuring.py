"""Measures on patients left out what refining a model does to it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wmhseg.engines.interface import Engine
from wmhseg.engines.runtime import Runtime
from wmhseg.io import files
from wmhseg.scoring.rules import Rules
from wmhseg.training import checkpoint, fit
from wmhseg.training.batches.mixed_data import MixedData
from wmhseg.training.batches.own_scans import OwnScan
from wmhseg.training.fit import Running, TrainingJob
from wmhseg.training.growth import Start
from wmhseg.training.plan import Plan, Refinement, Run
from wmhseg.training.refining import adapting, rules
from wmhseg.training.refining.left_out import LeftOut, Place
from wmhseg.training.refining.rules import Choice, Kept, Score
from wmhseg.weights import store
from wmhseg.weights.store import Model

Say = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """One scan that was left out.

    Attributes:
        case: Its name.
        patient: Whose it is.
        group: Number of the group that it was left out with, from 1.
        before: The model as it is, with its rules.
        rules_alone: The same weights, with rules chosen on the other patients.
        after: Refined on other patients, steps and rules chosen on others too.
        choice: Those steps and rules.
    """

    case: str
    patient: str
    group: int
    before: Score
    rules_alone: Score
    after: Score
    choice: Choice


@dataclass(frozen=True)
class Measured:
    """What was found on patients left out.

    Attributes:
        rows: One a scan.
        choice: Steps and rules that suit all of them.
        groups: The patients of each group.
        runs: Names of the runs that were made of each group.
        seconds: That it took.
    """

    rows: tuple[Row, ...]
    choice: Choice
    groups: tuple[tuple[str, ...], ...]
    runs: tuple[tuple[str, ...], ...]
    seconds: float


@dataclass(frozen=True)
class Group:
    """What is left out at once.

    Attributes:
        number: From 1.
        scans: Labelled scans of its patients.
        runs: What is trained on the others.
        folder: Where it is kept.
    """

    number: int
    scans: tuple[OwnScan, ...]
    runs: tuple[Run, ...]
    folder: Path

    @property
    def places(self) -> list[Place]:
        """Where is written what was made of each scan."""
        return [Place(self.folder, number) for number in range(len(self.scans))]


def _refinement(plan: Plan) -> Refinement:
    assert plan.refinement is not None
    return plan.refinement


def groups_of(data: MixedData, folder: Path) -> list[Group]:
    """The groups; the same members are refined without each, those that the result will have."""
    plan, made = data.plan, []
    parts = adapting.groups(data.own.labelled, _refinement(plan).folds)
    for number, patients in enumerate(parts, 1):
        scans = tuple(scan for scan in data.own.labelled if scan.patient in set(patients))
        made.append(Group(number, scans, adapting.refined(plan), folder / f"{number}"))
    return made


def looks(run: Run, how: Refinement) -> list[int]:
    """The steps after which what is left out is segmented."""
    assert run.steps is not None
    return [run.steps * (place + 1) // how.looks for place in range(how.looks)]


@dataclass(frozen=True)
class Measuring:
    """What measures: a model, its plan and data, and what to compute with.

    Attributes:
        model: As it is.
        data: All scans, and the plan.
        folder: Where what is found is kept, so that it goes on.
        machine: What networks are trained on.
        engine: What segments.
        running: How to train.
    """

    model: Model
    data: MixedData
    folder: Path
    machine: Runtime
    engine: Engine
    running: Running

    @property
    def plan(self) -> Plan:
        """The plan of the refinement."""
        return self.data.plan

    def measure(self, say: Say) -> Measured:
        """Leaves out one group after the other; what was done before is not done again.

        Args:
            say: Receives one line now and then.

        Raises:
            TrainingFailedError: If a run fails.
            ModelError: If weights are missing or damaged.
        """
        groups = groups_of(self.data, self.folder)
        for group in groups:
            self._without(group, len(groups), say)
        return self._found(groups)

    def _left(self, group: Group) -> LeftOut:
        staying = self.model.preset.members[len(group.runs) :]
        return LeftOut(group.scans, self.plan, self.engine, group.folder, len(staying))

    def _without(self, group: Group, count: int, say: Say) -> None:
        done = group.folder / "done.json"
        if done.exists():
            return
        started = time.monotonic()
        names = ", ".join(dict.fromkeys(scan.patient for scan in group.scans))
        say(f"left out {group.number}/{count}: {names}")
        files.check_writable(group.folder)
        left = self._left(group)
        before = left.before(self.model)
        for run in group.runs:
            self._train(run, group, left, say)
        content = {
            "before": [_numbers(score) for score in before],
            "seconds": round(time.monotonic() - started, 1),
        }
        files.write_text(done, json.dumps(content, indent=1) + "\n")

    def _train(self, run: Run, group: Group, left: LeftOut, say: Say) -> None:
        """Refines one member on everybody else."""
        every = looks(run, _refinement(self.plan))
        data = MixedData(
            self.data.own.without([scan.patient for scan in group.scans]),
            self.data.synthetic,
            self.plan,
        )
        number = self.plan.runs.index(run)
        start = Start(
            f"{self.model.preset.name}, member {number + 1}",
            store.load(self.model, self.model.preset.members[number]),
            self.model.preset.inputs,
        )
        assert run.steps is not None
        job = TrainingJob(
            plan=self.plan,
            run=run,
            steps=run.steps,
            per_epoch=None,
            source=lambda seed: data.source(run, seed),
            start=start,
            field=data.field(run),
            folder=group.folder,
        )
        path = job.file("-checkpoint.safetensors")
        passed = [step for step in every if step <= checkpoint.peek(path).step]
        if not left.looked(run.name, passed):  # it was stopped in the middle of a look
            path.unlink(missing_ok=True)
        fit.fit(job, self.machine, _looking(self.running, every[0]), validation=left, say=say)
        path.unlink(missing_ok=True)

    def _found(self, groups: Sequence[Group]) -> Measured:
        """Chooses steps and rules, for each group by the others, and for all by all."""
        how, post = _refinement(self.plan), self.plan.postprocessing
        tried = rules.tried(how, post)
        steps = looks(self.plan.runs[0], how)
        by_scan: dict[str, _Tried] = {}
        lefts = [self._left(group) for group in groups]
        for group, left in zip(groups, lefts, strict=True):
            names = [run.name for run in group.runs]
            for number, (scan, place) in enumerate(zip(group.scans, group.places, strict=True)):
                labels, voxel_ml = left.truth(number)
                by_scan[scan.name] = _Tried(
                    rules.scores(labels, Kept.read(place.as_it_was), tried, voxel_ml),
                    [
                        rules.scores(labels, left.kept(number, names, step), tried, voxel_ml)
                        for step in steps
                    ],
                )
        refined = _table(groups, {name: one.after for name, one in by_scan.items()})
        as_it_was = _table(groups, {name: [one.before] for name, one in by_scan.items()})
        rows: list[Row] = []
        seconds = 0.0
        for group, left in zip(groups, lefts, strict=True):
            own = {scan.patient for scan in group.scans}
            others = [patient for patient in refined if patient not in own]
            look, number = rules.best(refined, others, how.rules_gain)
            _, alone = rules.best(as_it_was, others, how.rules_gain)
            choice = Choice(steps[look], tried[number])
            done = json.loads((group.folder / "done.json").read_text("utf-8"))
            seconds += float(done["seconds"])
            rows += _rows(group, left, choice, tried[alone], done["before"])
        look, number = rules.best(refined, list(refined), how.rules_gain)
        return Measured(
            tuple(rows),
            Choice(steps[look], tried[number]),
            tuple(tuple(dict.fromkeys(s.patient for s in group.scans)) for group in groups),
            tuple(tuple(run.name for run in group.runs) for group in groups),
            seconds,
        )


def _rows(
    group: Group,
    left: LeftOut,
    choice: Choice,
    alone: Rules,
    before: Sequence[dict[str, float | None]],
) -> list[Row]:
    """The scans of a group, with what was chosen on the other patients."""
    runs = [run.name for run in group.runs]
    return [
        Row(
            scan.name,
            scan.patient,
            group.number,
            _score(before[number]),
            left.by_rules_alone(number, alone),
            left.refined(number, runs, choice),
            choice,
        )
        for number, scan in enumerate(group.scans)
    ]


def _numbers(score: Score) -> dict[str, float | None]:
    """The figures of a score, NaN as null: strict JSON has no NaN."""
    return {name: None if math.isnan(n) else n for name, n in asdict(score).items()}


def _score(values: dict[str, float | None]) -> Score:
    return Score(**{name: math.nan if n is None else n for name, n in values.items()})


@dataclass(frozen=True)
class _Tried:
    """Scores of a scan by all rules: of the model as it was, and of each look."""

    before: list[Score]
    after: list[list[Score]]


def _table(groups: Sequence[Group], scores: Mapping[str, list[list[Score]]]) -> rules.Table:
    """What rules are chosen by: a patient's visits count as one."""
    visits: dict[str, list[list[list[Score]]]] = {}
    for group in groups:
        for scan in group.scans:
            visits.setdefault(scan.patient, []).append(scores[scan.name])
    return {patient: _mean(own) for patient, own in visits.items()}


def _mean(visits: list[list[list[Score]]]) -> list[list[float]]:
    return [
        [sum(score.mean for score in same) / len(same) for same in zip(*by_rules, strict=True)]
        for by_rules in zip(*visits, strict=True)
    ]


def _looking(running: Running, every: int) -> Running:
    values: dict[str, Any] = {**vars(running), "look_every": every, "checkpoint_every": every}
    return Running(**values)
