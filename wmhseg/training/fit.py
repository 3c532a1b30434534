"""The training of one network: its first weights, the loop, checkpoints and log.

The steps, not the clock, decide when it ends. Between two steps it can be stopped and resumed;
on one machine with one number of threads the weights are then the same, bit for bit.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from wmhseg.engines import runtime as machines
from wmhseg.engines.runtime import Runtime
from wmhseg.errors import TrainingFailedError
from wmhseg.io import files
from wmhseg.networks import catalogue, location, variables
from wmhseg.networks.graph import Graph
from wmhseg.networks.signature import SCAN
from wmhseg.records import MismatchError
from wmhseg.training import (
    checkpoint,
    first_weights,
    growth,
    keras_setup,
    model_folder,
    plan_checks,
)
from wmhseg.training.batches.stream import BatchSource, produced
from wmhseg.training.checkpoint import RunState
from wmhseg.training.growth import Start
from wmhseg.training.journal import Journal
from wmhseg.training.plan import Plan, Run
from wmhseg.training.stopping import BestEpoch

COLUMNS = ("step", "epoch", "slices", "seconds", "loss", "rate")
VALIDATION_COLUMNS = ("role", "step", "case", "dsc", "f1")
# Added to a run's seed at a restart. Runs of one plan have seeds near each other, so a small
# number could make a restart repeat the start of another run.
_NEXT_ATTEMPT = 100_003


@dataclass(frozen=True)
class Running:
    """How a training is run; nothing here changes the weights by more than rounding.

    Attributes:
        device: "auto" takes a GPU when there is one.
        threads: Processor threads, None for all that may be used.
        producers: Processes that draw batches, None for a number that suits the machine.
        checkpoint_every: Steps between two checkpoints.
        log_every: Steps between two lines of the log.
        look_every: Steps between two looks at the validation cases; there is one at the end.
    """

    device: machines.Device = "auto"
    threads: int | None = None
    producers: int | None = None
    checkpoint_every: int = 250
    log_every: int = 50
    look_every: int = 1000


class Looks(Protocol):
    """Cases that are looked at while a network is trained."""

    def scores(
        self, run: Run, tensors: variables.Tensors, step: int
    ) -> list[tuple[str, float, float]]:
        """Name, DSC and lesion F1 of each case, with these weights after so many steps."""


@dataclass(frozen=True)
class TrainingJob:
    """One run, ready to start.

    Attributes:
        plan: What it belongs to.
        run: What to do.
        steps: Number of batches in all.
        per_epoch: Batches in a pass through the data; None where there is no such thing.
        source: Makes the source of batches of a seed.
        start: What to start from, None for random weights.
        field: Rows and columns of the batches.
        folder: Where checkpoint, log and weights go.
        area: From the model to the area under its ROC curve on validation voxels, where the plan
            has ``stopping``; None: nobody looks.
    """

    plan: Plan
    run: Run
    steps: int
    per_epoch: int | None
    source: Callable[[tuple[int, ...]], BatchSource]
    start: Start | None
    field: tuple[int, int]
    folder: Path
    area: Callable[[Any], float] | None = None

    def file(self, ending: str) -> Path:
        """Path of one of the run's files."""
        return self.folder / f"{self.run.name}{ending}"


def has_dropped(run: Run, steps: int, step: int) -> bool:
    """Whether a step, from 0, is one after the drop of the rate."""
    return run.drop_at is not None and step >= round(run.drop_at * steps)


def learning_rate(run: Run, steps: int, step: int) -> float:
    """Linear warm-up, then half a cosine from ``rate`` to ``final_rate``, or a drop to it.

    Args:
        run: The rates.
        steps: Number of steps in all.
        step: Number of the step, from 0.
    """
    warm = min(1.0, (step + 1) / max(1, run.warmup))
    if run.drop_at is not None:
        return warm * (run.final_rate if has_dropped(run, steps, step) else run.rate)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
    return warm * (run.final_rate + (run.rate - run.final_rate) * cosine)


def fit(
    job: TrainingJob,
    machine: Runtime,
    running: Running,
    *,
    validation: Looks | None = None,
    say: Callable[[str], None] = print,
) -> variables.Tensors:
    """Trains one network, from its checkpoint if there is one.

    Args:
        job: What to do.
        machine: What to compute on, see ``wmhseg.engines.backends.start_keras``.
        running: How to do it.
        validation: Cases to score the weights on now and then, None for none.
        say: Receives one line now and then.

    Returns:
        The weights; averaged if the plan says so.

    Raises:
        TrainingFailedError: If the loss is not finite, or stays at its worst in every attempt.
        ResumeError: If the checkpoint is of another run.
        KeyboardInterrupt, SystemExit: If it was told to stop; a checkpoint has been written.
    """
    files.check_writable(job.folder)
    path = job.file("-checkpoint.safetensors")
    state = checkpoint.peek(path)
    if state.step:
        say(f"{job.run.name}: going on after step {state.step} of {job.steps}")
    fitting = job.plan.fitting
    with keras_setup.parallel(machine, job.run.batch, say):
        while True:
            model = _build(job, machine, state.attempt, say)
            if state.step:
                state = checkpoint.restore(path, model)
            loop = _Loop(job, model, state, running, validation, say)
            if loop.run_to_end(running.producers or machines.helpers(machine)):
                break
            state = _next_attempt(job, state, say)
            path.unlink(missing_ok=True)
        # Of the best epoch, if one was chosen: the loop has put them in.
        with keras_setup.averaged(model, fitting):
            return variables.collect(model)


def _next_attempt(job: TrainingJob, state: RunState, say: Callable[[str], None]) -> RunState:
    restart = job.plan.fitting.restart
    assert restart is not None
    if state.attempt + 1 >= restart.attempts:
        raise TrainingFailedError(
            f"{job.run.name}: a loss below {restart.loss} after the first epoch was expected",
            received=f"more in {restart.attempts} attempts",
            advice="Look at the data, or choose a smaller rate.",
        )
    say(f"{job.run.name}: the loss stays near its worst value: starting again")
    return RunState(attempt=state.attempt + 1, seconds=state.seconds)


def seed_of(run: Run, attempt: int) -> int:
    """Seed of the first weights; ``attempt`` counts the restarts."""
    return (run.seed + attempt * _NEXT_ATTEMPT) % 2**31


def describe(plan: Plan, run: Run, field: tuple[int, int]) -> Graph:
    """The network that a run trains; of a location-sensitive one, a form for training.

    Args:
        plan: What the run belongs to.
        run: Names the network.
        field: Rows and columns of the batches.

    Raises:
        PresetError: If there is no such network, or it does not take these options or inputs.
        PlanError: If the patches are not of the size that it takes.
    """
    signature = replace(model_folder.preset_of(plan, ()).signature, field=field)
    if plan.sampling is not None and run.network == location.LOCATION:
        catalogue.describe(run.network, signature, run.options)  # says what is wrong with them
        if plan.sampling.kind == "patches":
            return location.window_graph(signature, run.options)
    if plan.sampling is None or plan.sampling.kind == "patches":
        return catalogue.describe(run.network, signature, run.options)
    described = location.patch_graph(signature, run.options)
    side = next(layer.size[0] for layer in described.inputs if layer.name == SCAN)
    if side != plan.sampling.side:
        raise plan_checks.plan_error(
            MismatchError("sampling.side", f"{side} (runs.{run.name})", plan.sampling.side)
        )
    return described


def _build(job: TrainingJob, machine: Runtime, attempt: int, say: Callable[[str], None]) -> Any:
    """Builds and compiles the network as it is before the first step."""
    import keras

    from wmhseg.networks.keras_model import to_keras

    run, fitting = job.run, job.plan.fitting
    keras.utils.set_random_seed(seed_of(run, attempt))
    described = describe(job.plan, run, job.field)
    model = to_keras(described, types=keras_setup.types_of(fitting, machine, say))
    slow = first_weights.wide_kernels(described, job.plan.network_inputs)
    if job.start is not None:
        taken = growth.take_start(model, described, job.plan.network_inputs, job.start)
        say(f"{run.name}: from {job.start.name}, {taken}")
    else:
        inputs, labels = job.plan.network_inputs, job.plan.network_labels
        first_weights.begin(model, described, inputs, labels, rare=fitting.rare_start)
    keras_setup.compile_model(model, job.plan, run, machine, slow)
    return model


@dataclass
class _Loop:
    """The steps of one attempt."""

    job: TrainingJob
    model: Any
    state: RunState
    running: Running
    validation: Looks | None
    say: Callable[[str], None]
    _timed: float = 0.0  # when the step now in progress began
    _reported: tuple[int, float] = (0, 0.0)  # step and seconds of the last line of the log

    def run_to_end(self, producers: int) -> bool:
        """Takes all steps that are missing; False if the run has to start again."""
        job, state = self.job, self.state
        log = Journal(job.file(".csv"), COLUMNS, state.step)
        self._reported = state.step, state.seconds
        best = self._best_epoch()
        source = job.source((job.run.seed, state.attempt))
        with _deferred_signals() as stop, closing(produced(source, state.step, producers)) as s:
            self._timed = time.perf_counter()
            while state.step < job.steps and not (best and best.is_found):
                self._step(next(s))
                if state.step % self.running.log_every == 0 or state.step == job.steps:
                    self._log(log)
                if self._is_stuck():
                    return False
                if best is not None:
                    self._compare(best)
                self._pause(stop)
                self._timed = time.perf_counter()
        if best is not None:
            variables.assign(self.model, best.weights(), name="the best epoch")
        if self.validation is not None:
            self._look(self.validation)
        return True

    def _best_epoch(self) -> BestEpoch | None:
        job, stopping = self.job, self.job.plan.fitting.stopping
        if stopping is None or job.area is None:
            return None
        files_of = job.file("-roc.csv"), job.file("-best.safetensors")
        return BestEpoch(*files_of, self.state.step, stopping.patience)

    def _compare(self, best: BestEpoch) -> None:
        """At the end of an epoch: notes how well the weights tell voxels apart."""
        job, step = self.job, self.state.step
        assert job.area is not None
        if step % (job.per_epoch or job.steps) and step != job.steps:
            return
        with keras_setup.on_one_device():
            area = job.area(self.model)
        better = best.add(step, area, variables.collect(self.model))
        self.say(
            f"{job.run.name}: step {step}: area under the ROC curve {area:.4f}"
            + (", the best so far" if better else "")
        )

    def _step(self, batch: tuple[Any, Any]) -> None:
        job, state = self.job, self.state
        rate = learning_rate(job.run, job.steps, state.step)
        self.model.optimizer.learning_rate = rate
        late = job.plan.fitting.late_momentum
        if late is not None and has_dropped(job.run, job.steps, state.step):
            keras_setup.set_momentum(self.model, late)
        loss = float(self.model.train_on_batch(*batch))
        if not math.isfinite(loss):
            raise TrainingFailedError(
                f"{job.run.name}: a finite loss was expected at step {state.step + 1}",
                received=loss,
                advice="Choose a smaller rate, fitting.clip_norm or precision=float32.",
            )
        state.losses.append(loss)
        # Waiting for batches is counted; checkpoints and validation are not.
        state.seconds += time.perf_counter() - self._timed

    def _log(self, log: Journal) -> None:
        job, state = self.job, self.state
        since = int(log.rows[-1]["step"]) if log.rows else 0
        loss = float(np.mean(state.losses[since:]))
        epoch = "" if job.per_epoch is None else f"{state.step / job.per_epoch:.2f}"
        seen = state.step * job.run.batch
        rate = learning_rate(job.run, job.steps, state.step - 1)
        log.add(state.step, epoch, seen, f"{state.seconds:.0f}", f"{loss:.4f}", f"{rate:.3g}")
        last_step, last_seconds = self._reported
        speed = (state.step - last_step) / max(state.seconds - last_seconds, 1e-9)
        self._reported = state.step, state.seconds
        self.say(
            f"{job.run.name}: step {state.step}/{job.steps}"
            + (f"  epoch {epoch}" if epoch else "")
            + f"  loss {loss:.3f}  {speed * job.run.batch:.1f} slices/s"
        )

    def _is_stuck(self) -> bool:
        """Whether a run from random weights has not learnt; asked when its first epoch is over."""
        restart, first = self.job.plan.fitting.restart, self.job.per_epoch
        if restart is None or first is None or self.job.start or self.state.step != first:
            return False
        last = self.state.losses[-max(1, first // 10) :]
        return float(np.mean(last)) > restart.loss

    def _pause(self, stop: _Signals) -> None:
        """What may be due between two steps: a checkpoint, the end, a look at validation cases."""
        step, done = self.state.step, self.state.step == self.job.steps
        if done or stop.number or step % self.running.checkpoint_every == 0:
            path = self.job.file("-checkpoint.safetensors")
            checkpoint.save(path, self.model, self.state)
        if stop.number:
            self.say(f"{self.job.run.name}: stopped after step {step}; run it again to go on")
            if stop.number == signal.SIGINT:
                raise KeyboardInterrupt
            raise SystemExit(128 + stop.number)
        due = not done and step % self.running.look_every == 0
        if self.validation is not None and due:
            self._look(self.validation)

    def _look(self, validation: Looks) -> None:
        """Scores the weights as they would be if the training ended now."""
        step = self.state.step
        journal = Journal(self.job.file("-validation.csv"), VALIDATION_COLUMNS, step - 1)
        with keras_setup.averaged(self.model, self.job.plan.fitting), keras_setup.on_one_device():
            scores = validation.scores(self.job.run, variables.collect(self.model), step)
        for case, dsc, f1 in scores:
            journal.add("validation", step, case, f"{dsc:.4f}", f"{f1:.4f}")
        dsc, f1 = (float(np.nanmean([row[i] for row in scores])) for i in (1, 2))
        self.say(
            f"{self.job.run.name}: step {step}: validation, {len(scores)} cases: "
            f"mean DSC {dsc:.3f}, lesion F1 {f1:.3f}"
        )


# Signals ------------------------------------------------------------------------------------------


@dataclass
class _Signals:
    """The signal that came, 0 if none."""

    number: int = 0


@contextmanager
def _deferred_signals() -> Iterator[_Signals]:
    """Notes SIGINT and SIGTERM instead of ending at once; a second one ends at once.

    Outside the main thread, where a host program handles signals, nothing is changed.
    """
    stop = _Signals()

    def note(number: int, _frame: object) -> None:
        if stop.number:
            raise KeyboardInterrupt
        stop.number = number

    before: dict[signal.Signals, Any] = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, note)
    except ValueError:
        pass
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
