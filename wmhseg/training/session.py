"""A whole training: every run of a plan, resumed where it stopped, to a model folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from wmhseg import records
from wmhseg.datasets import cases
from wmhseg.engines import backends
from wmhseg.engines import runtime as machines
from wmhseg.engines.runtime import Runtime
from wmhseg.errors import PlanError, PlotsUnavailableError, ResumeError, UsageError
from wmhseg.io import checksums, files, stamps
from wmhseg.networks import variables
from wmhseg.records import MismatchError
from wmhseg.training import curves, growth, keras_setup, model_folder, plan_checks, plan_files
from wmhseg.training.batches import real_data
from wmhseg.training.batches.patches import PatchCase
from wmhseg.training.batches.stream import BatchSource
from wmhseg.training.fit import Running, TrainingJob, describe, fit
from wmhseg.training.growth import Start
from wmhseg.training.journal import read
from wmhseg.training.model_folder import Facts
from wmhseg.training.plan import Plan, Run
from wmhseg.training.stopping import ValidationVoxels
from wmhseg.training.validation import ValidationCases
from wmhseg.version import __version__
from wmhseg.weights import store, tensor_files, vgg16
from wmhseg.weights.inputs import Input, Labels
from wmhseg.weights.preset import Member
from wmhseg.weights.processing import Preprocessing
from wmhseg.weights.store import Model


class Data(Protocol):
    """What is trained on."""

    def identity(self, *, held_out: bool = False) -> dict[str, str]:
        """Checksums: training goes on only with the same data, or also the same kept aside."""

    def held_out(self) -> Iterator[PatchCase]:
        """Prepared cases that are kept aside."""

    def per_epoch(self, run: Run) -> int | None:
        """Batches in a pass through the data; None where there is no such thing."""

    def field(self, run: Run) -> tuple[int, int]:
        """Rows and columns of what a run is shown."""

    def source(self, run: Run, seed: tuple[int, ...]) -> BatchSource:
        """Batches for a run."""

    def describe(self) -> list[str]:
        """What a model card says about the data, with counts."""


@dataclass(frozen=True)
class Session:
    """A training and where it goes.

    Attributes:
        plan: What to do.
        data: What to train on.
        output: Folder for checkpoints, logs and the model folder.
        command: The command, for the model card.
        extras: Name -> text of files to put into the model folder, such as the split.
        validation: Folder of cases to score while it trains, or None.
        measured: What the model card says was measured, in Markdown; "" leaves it to the looks.
    """

    plan: Plan
    data: Data
    output: Path
    command: str
    extras: Mapping[str, str]
    validation: Path | None = None
    measured: str = ""


def train(session: Session, running: Running, say: Callable[[str], None] = print) -> Model:
    """Trains what is missing and writes the model folder.

    Args:
        session: What to do, and where.
        running: How to run it.
        say: Receives one line now and then.

    Returns:
        The model, also if it was complete before.

    Raises:
        ResumeError: If the folder holds another training.
        TrainingFailedError: If a run fails.
        WmhsegError: If data, start weights or the folder cannot be used.
    """
    plan, output = session.plan, session.output
    folder = output / plan.name
    identity = _identity(session)
    names = {run.name for run in plan.runs}
    for run in plan.runs:
        if run.steps == 0 and run.start_from not in names:
            _as_it_is(session, run)  # weights that do not fit are found before hours of training
    if _begin(session, identity, say) and (folder / "preset.json").exists():
        say(f"{folder} is complete already")
        return store.read_model(folder)
    if running.device != "cpu":
        backends.choose_gpu_backend()
    machine = backends.start_keras(running.device, running.threads)
    say(f"computing with {machine.backend} on {backends.hardware(machine)}")
    model_folder.preset_of(plan, plan.runs)  # options that a network does not take are found now
    for run in plan.runs:
        describe(plan, run, session.data.field(run))
    looked_at = None
    if session.validation is not None:
        looked_at = ValidationCases(plan, session.validation, machine)
    scored = _Scored(looked_at, _voxels(session))
    for run in plan.runs:
        _finish(session, run, machine, running, scored, say)
    members = [run for run in plan.runs if run.member]
    made = store.save_model(
        folder,
        model_folder.preset_of(plan, members),
        [tensor_files.read_tensors(_weights_of(output, run)) for run in members],
        model_folder.card(plan, _facts(session, machine)),
        dtype=plan.weights,
    )
    model_folder.write_extras(folder, plan, session.extras)
    return made


@dataclass(frozen=True)
class _Scored:
    """What weights are scored on: cases looked at, and voxels that decide."""

    cases: ValidationCases | None
    voxels: ValidationVoxels | None


NO_VALIDATION = (
    "--validation DIR, or a --split that keeps cases aside, was expected, as this plan takes the "
    "epoch that suits them best"
)
VALIDATE = "To take the last weights: --set fitting.stopping=null."


def _identity(session: Session) -> dict[str, str]:
    """Checksums of all files that the result depends on."""
    earlier = {run.name for run in session.plan.runs}
    starts = {run.start_from for run in session.plan.runs if run.start_from} - earlier
    return {
        **session.data.identity(held_out=_chooses_by_held_out(session)),
        **_validation_identity(session),
        **{name: checksums.sha256_of(Path(name)) for name in sorted(starts)},
    }


def _chooses_by_held_out(session: Session) -> bool:
    """Whether cases kept aside decide which epoch is taken."""
    return session.plan.fitting.stopping is not None and session.validation is None


def _validation_identity(session: Session) -> dict[str, str]:
    """Checksums of validation cases, where they decide which epoch is taken."""
    if session.plan.fitting.stopping is None or session.validation is None:
        return {}
    return {
        f"validation/{one.name}/{path.name}": checksums.sha256_of(path)
        for one in cases.find_cases(session.validation)
        for path in (one.flair, one.t1, one.reference)
        if path is not None
    }


def _voxels(session: Session) -> ValidationVoxels | None:
    """What decides which epoch is taken, where the plan wants that."""
    plan = session.plan
    stopping, sampling = plan.fitting.stopping, plan.sampling
    if stopping is None or sampling is None:
        return None
    if session.validation is not None:
        found = real_data.patch_cases(cases.find_cases(session.validation), plan)
    else:
        found = session.data.held_out()
    first = next(found, None)
    if first is None:
        raise UsageError(NO_VALIDATION, received="neither", advice=VALIDATE)
    chosen = chain([first], found)
    return ValidationVoxels(chosen, sampling, stopping.voxels, plan.network_labels.wmh)


def _begin(session: Session, identity: Mapping[str, str], say: Callable[[str], None]) -> bool:
    """Writes down what is trained, or compares it with what is there; whether it was there."""
    output = session.output
    files.check_writable(output)
    texts = {
        "plan.json": plan_files.to_json(session.plan),
        "data.json": records.json_text(identity),
    } | dict(session.extras)
    version = output / "version.txt"
    if not (output / "plan.json").exists():
        if (output / session.plan.name).exists():
            raise ResumeError(
                "A folder without this model was expected for a new training",
                received=output / session.plan.name,
                advice="Choose another --output or --set name=….",
            )
        stamps.write_sources(output, {version.name: __version__ + "\n", **texts})
        return False
    if _holds(output / "plan.json", session.plan):
        del texts["plan.json"]  # perhaps in other words: as an earlier version wrote it
    changed = stamps.changed_source(output, texts)
    if changed:
        raise ResumeError(
            f"The {changed} of the training in {output} was expected, to go on with it",
            received="another plan, other data or another split",
            advice="Choose another --output for a new training.",
        )
    if version.exists() and version.read_text("utf-8").strip() != __version__:
        say(f"begun with wmhseg {version.read_text('utf-8').strip()}, going on with {__version__}")
    return True


def _holds(path: Path, plan: Plan) -> bool:
    """Whether a file holds this plan, keys that came later left out or not."""
    try:
        return plan_files.from_json(path.read_text("utf-8")) == plan
    except (OSError, ValueError, PlanError):
        return False


def _weights_of(output: Path, run: Run) -> Path:
    return output / f"{run.name}.safetensors"


def _finish(
    session: Session,
    run: Run,
    machine: Runtime,
    running: Running,
    scored: _Scored,
    say: Callable[[str], None],
) -> None:
    """Trains one run unless its weights are there."""
    path = _weights_of(session.output, run)
    if path.exists():
        return
    if run.steps == 0:
        tensor_files.write_tensors(path, _as_it_is(session, run))
        say(f"{run.name}: taken as it is from {run.start_from}")
        return
    per_epoch = session.data.per_epoch(run)
    job = TrainingJob(
        plan=session.plan,
        run=run,
        steps=run.steps or (run.epochs or 0) * (per_epoch or 0),
        per_epoch=per_epoch,
        source=lambda seed: session.data.source(run, seed),
        start=_start(session, run),
        field=session.data.field(run),
        folder=session.output,
        area=None if scored.voxels is None else scored.voxels.area,
    )
    say(f"{run.name}: {job.steps} steps of {run.batch} slices")
    tensor_files.write_tensors(path, fit(job, machine, running, validation=scored.cases, say=say))
    for ending in ("-checkpoint.safetensors", "-best.safetensors"):
        job.file(ending).unlink(missing_ok=True)
    _draw(session, say)


def _start(session: Session, run: Run) -> Start | None:
    if run.start_from is None:
        return None
    earlier = [other for other in session.plan.runs if other.name == run.start_from]
    path = _weights_of(session.output, earlier[0]) if earlier else Path(run.start_from)
    if path.suffix.lower() in vgg16.ENDINGS:
        return Start(path.name, vgg16.read(path), None)
    inputs = session.plan.network_inputs if earlier else inputs_beside(path)
    return Start(path.name, tensor_files.read_tensors(path), inputs)


@dataclass(frozen=True)
class _Beside:
    """What a model or a plan beside a weight file says of it."""

    inputs: tuple[Input, ...]
    labels: Labels
    preprocessing: Preprocessing
    of: Member | Run


def _beside(path: Path) -> _Beside | None:
    if (path.parent / "preset.json").is_file():
        model = store.read_model(path.parent).preset
        for member in model.members:
            if member.file == path.name:
                return _Beside(model.inputs, model.labels, model.preprocessing, member)
    plan = path.parent / "plan.json"
    if plan.is_file():
        made = plan_files.from_json(plan.read_text("utf-8", "replace"))
        for run in made.runs:
            if run.name == path.stem:
                return _Beside(made.network_inputs, made.network_labels, made.preprocessing, run)
    return None


def inputs_beside(path: Path) -> tuple[Input, ...] | None:
    """What the network of a weight file takes; None unless a preset or a plan beside it says so.

    Raises:
        PresetError, PlanError: If what lies beside it is not valid.
    """
    found = _beside(path)
    return None if found is None else found.inputs


def _as_it_is(session: Session, run: Run) -> variables.Tensors:
    """The weights of a run without a step.

    Raises:
        WeightsError: If they are not of its network.
        PlanError: If what lies beside them says that they are for other scans, labels or networks.
    """
    plan, start = session.plan, _start(session, run)
    assert start is not None
    earlier = run.start_from in {one.name for one in plan.runs}
    made = None if earlier else _beside(Path(str(run.start_from)))
    if made is not None:
        own = {"network": run.network, "options": run.options} | _kind(plan)
        theirs = {"network": made.of.network, "options": made.of.options} | _kind(made)
        for what, value in theirs.items():
            if own[what] != value:
                where = f"runs.{run.name}.start_from"
                wanted = f"weights made with the plan's {what}, {own[what]} (steps 0),"
                raise plan_checks.plan_error(MismatchError(where, wanted, value))
    described = describe(plan, run, session.data.field(run))
    return growth.as_it_is(described, plan.network_inputs, start)


def _kind(made: Plan | _Beside) -> dict[str, object]:
    """How scans are prepared, and what is said of them, value by value."""
    labels = made.network_labels if isinstance(made, Plan) else made.labels
    prepared = asdict(made.preprocessing).items()
    return {"labels": labels.names, **{f"preprocessing.{name}": value for name, value in prepared}}


def _logs(session: Session, ending: str) -> dict[str, list[dict[str, str]]]:
    """Rows of each run's table, those without one left out."""
    logs = {run.name: read(session.output / f"{run.name}{ending}") for run in session.plan.runs}
    return {name: rows for name, rows in logs.items() if rows}


def _validation(session: Session) -> dict[str, dict[int, tuple[int, float, float]]]:
    """Run -> step -> number of cases, mean DSC, mean lesion F1."""
    means: dict[str, dict[int, tuple[int, float, float]]] = {}
    for name, rows in _logs(session, "-validation.csv").items():
        steps = sorted({int(row["step"]) for row in rows})
        means[name] = {step: _mean([r for r in rows if int(r["step"]) == step]) for step in steps}
    return means


def _mean(rows: list[dict[str, str]]) -> tuple[int, float, float]:
    dsc, f1 = (sum(float(row[key]) for row in rows) / len(rows) for key in ("dsc", "f1"))
    return len(rows), dsc, f1


def _draw(session: Session, say: Callable[[str], None]) -> None:
    """Draws the curves so far; a training does not fail for want of a plot."""
    losses = {
        name: [(int(row["step"]), float(row["loss"])) for row in rows]
        for name, rows in _logs(session, ".csv").items()
    }
    scores = {
        name: [(step, dsc, f1) for step, (_, dsc, f1) in by_step.items()]
        for name, by_step in _validation(session).items()
    }
    try:
        picture = curves.training_curves(losses, scores, session.plan.name)
    except PlotsUnavailableError as error:
        say(f"no plot: {error}")
        return
    files.write_bytes(session.output / "training.png", picture)


def _types(session: Session, machine: Runtime) -> str:
    return keras_setup.types_of(session.plan.fitting, machine, lambda _: None)


def _facts(session: Session, machine: Runtime) -> Facts:
    runs = session.plan.runs
    members = {run.name: run.name for run in runs if run.member}
    for run in runs:
        if run.steps == 0:  # what it says was measured while the run that it takes learnt
            members.setdefault(str(run.start_from), run.name)
    logs: dict[str, dict[str, Any]] = {
        name: rows[-1] for name, rows in _logs(session, ".csv").items()
    }
    return Facts(
        command=session.command,
        data=session.data.describe(),
        hours={name: float(row["seconds"]) / 3600 for name, row in logs.items()},
        losses={name: str(row["loss"]) for name, row in logs.items()},
        hardware=f"{backends.hardware(machine)}, in {_types(session, machine)}",
        versions=machines.versions(machine.backend),
        validation={
            members[name]: by_step[max(by_step)]
            for name, by_step in _validation(session).items()
            if name in members
        },
        measured=session.measured,
    )
