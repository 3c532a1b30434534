"""Adapts a model to a user's scans: measures on patients left out, then trains on all.

What is trained is made of the same slices in both cases: the rate does not depend on the number of
steps, so the final runs are as long as the choice says, and end where a run of a group was looked
at. Nothing is written under the model's name if it is not better, unless that is asked for.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from wmhseg import records
from wmhseg.engines import backends
from wmhseg.engines.start import start_engine
from wmhseg.errors import NotBetterError, ResumeError
from wmhseg.io import files, stamps
from wmhseg.training import plan_files
from wmhseg.training.batches.mixed_data import MixedData
from wmhseg.training.fit import Running
from wmhseg.training.plan import Plan
from wmhseg.training.refining import adapting, verdict
from wmhseg.training.refining.measuring import Measured, Measuring
from wmhseg.training.refining.rules import Choice
from wmhseg.training.session import Session, train
from wmhseg.weights import store
from wmhseg.weights.store import Model

REPORT = "refinement.md"
FIGURES = "refinement.json"
FOLDER = "left-out"


@dataclass(frozen=True)
class Refining:
    """A refinement and where it goes.

    Attributes:
        model: As it is.
        data: All scans, and the plan.
        output: Folder for what is measured, checkpoints and the model folder.
        command: The command, for the model card.
        extras: Name -> text of files to put into the model folder, such as the split.
        keep_anyway: Whether a model that is not better is written all the same.
    """

    model: Model
    data: MixedData
    output: Path
    command: str
    extras: Mapping[str, str]
    keep_anyway: bool = False


def refine(what: Refining, running: Running, say: Callable[[str], None] = print) -> Model:
    """Measures on patients left out, trains on all, and writes the model folder.

    Args:
        what: What to do, and where.
        running: How to run it.
        say: Receives one line now and then.

    Returns:
        The model.

    Raises:
        NotBetterError: If it is not better; the report is written.
        ResumeError: If the folder holds another training.
        TrainingFailedError: If a run fails.
        PlanError: If the plan is of another model.
        WmhsegError: If data, weights or the folder cannot be used.
    """
    plan, data = what.data.plan, what.data
    adapting.check_plan(plan, what.model)
    adapting.check_scans(data.own)
    _begin(what)
    complete = what.output / plan.name
    if (complete / "preset.json").exists():
        say(f"{complete} is complete already")
        return store.read_model(complete)
    if running.device != "cpu":
        backends.choose_gpu_backend()
    machine = backends.start_keras(running.device, running.threads)
    engine = start_engine("auto", running.device, running.threads)
    folder = what.output / FOLDER
    measured = Measuring(what.model, data, folder, machine, engine, running).measure(say)
    assert plan.refinement is not None
    better = verdict.is_better(measured.rows, plan.refinement.gain)
    told = verdict.table(measured, what.model.preset.name, plan, better=better)
    figures = verdict.to_json(measured, plan, better=better)
    files.write_text(what.output / REPORT, f"# {plan.name}, on patients left out\n\n{told}\n")
    files.write_text(what.output / FIGURES, figures)
    say(_line(measured))
    if not better and not what.keep_anyway:
        raise NotBetterError(
            f"A model better than {what.model.preset.name} on patients left out was expected",
            received=_line(measured),
            advice=f"{what.output / REPORT} has all figures. To have it all the same: "
            "--keep-anyway, in the same folder.",
        )
    final = final_plan(plan, measured.choice, what.model)
    session = Session(
        plan=final,
        data=replace(data, plan=final),
        output=what.output,
        command=what.command,
        extras={**what.extras, FIGURES: figures},
        measured=told,
    )
    made = train(session, running, say)
    for path in folder.iterdir():  # what it was made from stays, as it says that all is done
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
    return made


def final_plan(plan: Plan, choice: Choice, model: Model) -> Plan:
    """The plan of the final runs: as many steps as chosen, none of what stays; the rules chosen.

    There are no looks any more, and what stays is stored with all its digits.
    """
    assert plan.refinement is not None
    trained = adapting.refined(plan)
    return replace(
        plan,
        postprocessing=choice.rules.put_into(plan.postprocessing),
        weights=plan.weights if _fit_half(model, len(trained)) else "float32",
        refinement=replace(plan.refinement, looks=1),
        runs=tuple(replace(run, steps=choice.step if run in trained else 0) for run in plan.runs),
    )


def _fit_half(model: Model, first: int) -> bool:
    """Whether the weights of all members from one on are the same as float16."""
    with np.errstate(over="ignore"):
        return all(
            np.array_equal(array, array.astype(np.float16).astype(np.float32))
            for member in model.preset.members[first:]
            for array in store.load(model, member).values()
        )


def _line(measured: Measured) -> str:
    parts = []
    for figure, name in (("dsc", "DSC"), ("f1", "lesion F1")):
        one = verdict.paired(measured.rows, figure)
        parts.append(f"{name} {one.before:.3f} to {one.after:.3f}")
    patients = len({row.patient for row in measured.rows})
    return f"{patients} patients left out: mean " + ", ".join(parts)


def _begin(what: Refining) -> None:
    """Writes down what is refined, or compares it with what is there."""
    folder = what.output / FOLDER
    files.check_writable(folder)
    texts = {
        "plan.json": plan_files.to_json(what.data.plan),
        "data.json": records.json_text(what.data.identity()),
        "model.json": records.json_text(
            {member.file: member.sha256 for member in what.model.preset.members}
        ),
    }
    if not (folder / "plan.json").exists():
        if (what.output / what.data.plan.name).exists():
            raise ResumeError(
                "A folder without this model was expected for a new training",
                received=what.output / what.data.plan.name,
                advice="Choose another --output or --name.",
            )
        stamps.write_sources(folder, texts)
        return
    changed = stamps.changed_source(folder, texts)
    if changed:
        raise ResumeError(
            f"The {changed} of the refinement in {what.output} was expected, to go on with it",
            received="another plan, other data or another model",
            advice="Choose another --output for a new one.",
        )
