"""The training of one network: the loop, its checkpoints and what it tells.

The steps, not the clock, decide when it ends. Between two steps it can be stopped and resumed;
on one machine with one number of threads the weights are then the same, bit for bit.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wmhseg.engines import runtime as machines
from wmhseg.engines.runtime import Runtime
from wmhseg.errors import TrainingFailedError, WeightsError
from wmhseg.io import files
from wmhseg.networks import catalogue, variables
from wmhseg.training import checkpoint, growth, model_folder
from wmhseg.training.checkpoint import Progress
from wmhseg.training.journal import Journal
from wmhseg.training.plan import Fitting, Plan, Run
from wmhseg.training.stream import Source, produced

if TYPE_CHECKING:
    from wmhseg.training.validation import Look

COLUMNS = ("step", "epoch", "slices", "seconds", "loss", "rate")
LOOK_COLUMNS = ("role", "step", "case", "dsc", "f1")
# Added to a run's seed at a restart: runs of one plan have seeds near each other.
_NEXT_ATTEMPT = 100_003


@dataclass(frozen=True)
class Running:
    """How a training is run; nothing here changes what comes out.

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


@dataclass(frozen=True)
class Task:
    """One run, ready to start.

    Attributes:
        plan: What it belongs to.
        run: What to do.
        steps: Number of batches in all.
        per_epoch: Batches in a pass through the data; None where there is no such thing.
        source: Makes the source of batches of a seed.
        start: Name and weights to start from, None for random ones.
        folder: Where checkpoint, log and weights go.
    """

    plan: Plan
    run: Run
    steps: int
    per_epoch: int | None
    source: Callable[[tuple[int, ...]], Source]
    start: tuple[str, variables.Tensors] | None
    folder: Path

    def file(self, ending: str) -> Path:
        """Path of one of the run's files."""
        return self.folder / f"{self.run.name}{ending}"


def learning_rate(run: Run, steps: int, step: int) -> float:
    """Linear warm-up, then half a cosine from ``rate`` to ``final_rate``.

    Args:
        run: The rates.
        steps: Number of steps in all.
        step: Number of the step, from 0.
    """
    warm = min(1.0, (step + 1) / max(1, run.warmup))
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
    return warm * (run.final_rate + (run.rate - run.final_rate) * cosine)


def fit(
    task: Task,
    machine: Runtime,
    running: Running,
    *,
    look: Look | None = None,
    say: Callable[[str], None] = print,
) -> variables.Tensors:
    """Trains one network, from its checkpoint if there is one.

    Args:
        task: What to do.
        machine: What to compute on, see ``wmhseg.engines.backends.start_keras``.
        running: How to do it.
        look: Scores weights on validation cases.
        say: Receives one line now and then.

    Returns:
        The weights; averaged if the plan says so.

    Raises:
        TrainingFailedError: If the loss is not finite, or stays at its worst in every attempt.
        ResumeError: If the checkpoint is of another run.
        KeyboardInterrupt, SystemExit: If it was told to stop; a checkpoint has been written.
    """
    files.check_writable(task.folder)
    path = task.file("-checkpoint.safetensors")
    progress = checkpoint.peek(path)
    if progress.step:
        say(f"{task.run.name}: going on after step {progress.step} of {task.steps}")
    fitting = task.plan.fitting
    policy = "mixed_bfloat16" if fitting.precision == "bfloat16" else "float32"
    with _parallel(machine, task.run.batch, say), _policy(policy):
        while True:
            model = _build(task, machine, progress.attempt, say)
            if progress.step:
                progress = checkpoint.restore(path, model)
            loop = _Loop(task, model, progress, running, look, say)
            if loop.run_to_end(running.producers or machines.helpers(machine)):
                break
            progress = _next_attempt(task, progress, say)
            path.unlink(missing_ok=True)
        with _averaged(model, fitting):
            return variables.collect(model)


def _next_attempt(task: Task, progress: Progress, say: Callable[[str], None]) -> Progress:
    restart = task.plan.fitting.restart
    assert restart is not None
    if progress.attempt + 1 >= restart.attempts:
        raise TrainingFailedError(
            f"{task.run.name}: a loss below {restart.loss} after the first epoch was expected",
            received=f"more in {restart.attempts} attempts",
            advice="Look at the data, or choose a smaller rate.",
        )
    say(f"{task.run.name}: the loss stays near its worst value: starting again")
    return Progress(attempt=progress.attempt + 1, seconds=progress.seconds)


def seed_of(run: Run, attempt: int) -> int:
    """Seed of the first weights."""
    return (run.seed + attempt * _NEXT_ATTEMPT) % 2**31


def _build(task: Task, machine: Runtime, attempt: int, say: Callable[[str], None]) -> Any:
    """Builds and compiles the network as it is before the first step."""
    import keras

    from wmhseg.networks.keras_model import to_keras
    from wmhseg.training import losses

    run, fitting = task.run, task.plan.fitting
    keras.utils.set_random_seed(seed_of(run, attempt))
    signature = model_folder.preset_of(task.plan, ()).signature
    if run.crop is not None:
        signature = replace(signature, field=(run.crop, run.crop))
    model = to_keras(catalogue.describe(run.network, signature, run.options))
    if task.start is not None:
        name, tensors = task.start
        say(f"{run.name}: from {name}, {take_start(model, tensors, name=name)}")
    elif fitting.rare_start:
        # Lesions are rare: start near probability 0, where the Dice loss is steepest.
        kernel, bias = model.get_layer("output").get_weights()
        model.get_layer("output").set_weights([kernel * 0.1, bias - 4])
    loss = {
        "dice": losses.dice_loss,
        "dice-and-cross-entropy": losses.dice_and_cross_entropy,
    }[fitting.loss]
    # XLA on a CPU is slower than TensorFlow's own kernels; JAX knows nothing else.
    plain = machine.backend == "tensorflow" and machine.device == "cpu"
    model.compile(_optimizer(run, fitting), loss=loss, jit_compile=False if plain else "auto")
    model.optimizer.build(model.trainable_variables)
    return model


def _optimizer(run: Run, fitting: Fitting) -> Any:
    import keras

    shared: dict[str, Any] = {"global_clipnorm": fitting.clip_norm}
    if fitting.average is not None:
        shared |= {"use_ema": True, "ema_momentum": fitting.average}
    if fitting.optimizer == "adamw":
        return keras.optimizers.AdamW(run.rate, weight_decay=fitting.weight_decay, **shared)
    return keras.optimizers.Adam(run.rate, **shared)


def take_start(model: Any, tensors: variables.Tensors, *, name: str) -> str:
    """Starts a network from the weights of a related one; see ``wmhseg.training.growth``.

    Args:
        model: A Keras model of this package.
        tensors: Weights of the same or of a related network.
        name: What to call them in messages.

    Returns:
        A sentence that says what was taken.

    Raises:
        WeightsError: If there is nothing to take.
    """
    made, told = growth.grow(variables.collect(model), tensors)
    if not told:
        raise WeightsError(
            "Weights that share at least one kernel with the network were expected", received=name
        )
    variables.assign(model, made, name=name)
    return told


@dataclass
class _Loop:
    """The steps of one attempt."""

    task: Task
    model: Any
    progress: Progress
    running: Running
    look: Look | None
    say: Callable[[str], None]
    _timed: float = 0.0
    _told: tuple[int, float] = (0, 0.0)

    def run_to_end(self, producers: int) -> bool:
        """Takes all steps that are missing; False if the run has to start again."""
        task, progress = self.task, self.progress
        log = Journal(task.file(".csv"), COLUMNS, progress.step)
        self._told = progress.step, progress.seconds
        source = task.source((task.run.seed, progress.attempt))
        with _deferred_signals() as stop, closing(produced(source, progress.step, producers)) as s:
            self._timed = time.perf_counter()
            while progress.step < task.steps:
                self._step(next(s))
                if progress.step % self.running.log_every == 0 or progress.step == task.steps:
                    self._log(log)
                if self._is_stuck():
                    return False
                self._pause(stop)
                self._timed = time.perf_counter()
        if self.look is not None:
            self._look(self.look)
        return True

    def _step(self, batch: tuple[Any, Any]) -> None:
        task, progress = self.task, self.progress
        rate = learning_rate(task.run, task.steps, progress.step)
        self.model.optimizer.learning_rate = rate
        loss = float(self.model.train_on_batch(*batch))
        if not math.isfinite(loss):
            raise TrainingFailedError(
                f"{task.run.name}: a finite loss was expected at step {progress.step + 1}",
                received=loss,
                advice="Choose a smaller rate, fitting.clip_norm or precision float32.",
            )
        progress.losses.append(loss)
        # Waiting for batches is counted; checkpoints and looks are not.
        progress.seconds += time.perf_counter() - self._timed

    def _log(self, log: Journal) -> None:
        task, progress = self.task, self.progress
        since = int(log.rows[-1]["step"]) if log.rows else 0
        loss = float(np.mean(progress.losses[since:]))
        epoch = "" if task.per_epoch is None else f"{progress.step / task.per_epoch:.2f}"
        seen = progress.step * task.run.batch
        rate = learning_rate(task.run, task.steps, progress.step - 1)
        log.add(progress.step, epoch, seen, f"{progress.seconds:.0f}", f"{loss:.4f}", f"{rate:.3g}")
        told_step, told_seconds = self._told
        speed = (progress.step - told_step) / max(progress.seconds - told_seconds, 1e-9)
        self._told = progress.step, progress.seconds
        self.say(
            f"{task.run.name}: step {progress.step}/{task.steps}"
            + (f"  epoch {epoch}" if epoch else "")
            + f"  loss {loss:.3f}  {speed * task.run.batch:.1f} slices/s"
        )

    def _is_stuck(self) -> bool:
        restart, first = self.task.plan.fitting.restart, self.task.per_epoch
        if restart is None or first is None or self.task.start or self.progress.step != first:
            return False
        last = self.progress.losses[-max(1, first // 10) :]
        return float(np.mean(last)) > restart.loss

    def _pause(self, stop: _Signals) -> None:
        """What may be due between two steps: a checkpoint, a look, the end."""
        step, done = self.progress.step, self.progress.step == self.task.steps
        if done or stop.number or step % self.running.checkpoint_every == 0:
            path = self.task.file("-checkpoint.safetensors")
            checkpoint.save(path, self.model, self.progress)
        if stop.number:
            self.say(f"{self.task.run.name}: stopped after step {step}; run it again to go on")
            if stop.number == signal.SIGINT:
                raise KeyboardInterrupt
            raise SystemExit(128 + stop.number)
        if self.look is not None and not done and step % self.running.look_every == 0:
            self._look(self.look)

    def _look(self, look: Look) -> None:
        """Scores the weights as they would be used now."""
        step = self.progress.step
        journal = Journal(self.task.file("-validation.csv"), LOOK_COLUMNS, step - 1)
        with _averaged(self.model, self.task.plan.fitting), _undistributed():
            found = look.scores(self.task.run, variables.collect(self.model))
        for case, dsc, f1 in found:
            journal.add("validation", step, case, f"{dsc:.4f}", f"{f1:.4f}")
        dsc, f1 = (float(np.nanmean([row[i] for row in found])) for i in (1, 2))
        self.say(
            f"{self.task.run.name}: step {step}: validation, {len(found)} cases: "
            f"mean DSC {dsc:.3f}, lesion F1 {f1:.3f}"
        )


# What is set for a while ------------------------------------------------------------------------


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


@contextmanager
def _policy(name: str) -> Iterator[None]:
    """Sets Keras' types of number for a while."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _parallel(
    machine: Runtime, batch: int, say: Callable[[str], None]
) -> AbstractContextManager[Any]:
    """Spreads batches over all devices where Keras can (JAX), else computes on one."""
    import keras

    if machine.backend != "jax":
        return machine.scope()
    devices = keras.distribution.list_devices(machine.device)
    used = max(n for n in range(1, len(devices) + 1) if batch % n == 0)
    if used == 1:
        return machine.scope()
    say(f"computing on {used} of {len(devices)} devices")
    spread = keras.distribution.DataParallel(devices=devices[:used], auto_shard_dataset=False)
    scope: AbstractContextManager[Any] = spread.scope()
    return scope


def _undistributed() -> AbstractContextManager[Any]:
    """Computes on one device for a while: few slices do not divide into equal parts."""
    import keras

    @contextmanager
    def alone() -> Iterator[None]:
        before = keras.distribution.distribution()
        keras.distribution.set_distribution(None)
        try:
            yield
        finally:
            keras.distribution.set_distribution(before)

    return nullcontext() if keras.distribution.distribution() is None else alone()


@contextmanager
def _averaged(model: Any, fitting: Fitting) -> Iterator[None]:
    """Puts the moving average of the weights into the model for a while, if there is one."""
    if fitting.average is None:
        yield
        return
    kept = variables.collect(model)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    try:
        yield
    finally:
        variables.assign(model, kept, name="the last weights")
