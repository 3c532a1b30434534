"""The loop: it learns, it resumes exactly, and it stops when it should."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from both_engines import in_keras
from conftest import ROOT

from wmhseg.engines import backends
from wmhseg.engines.runtime import Runtime
from wmhseg.errors import ResumeError, TrainingFailedError, WeightsError
from wmhseg.networks import variables
from wmhseg.networks.catalogue import NETWORKS
from wmhseg.networks.graph import Dropout, Graph, Layer
from wmhseg.networks.signature import Signature
from wmhseg.training import checkpoint, fit, keras_setup
from wmhseg.training.batches.counted import counted
from wmhseg.training.batches.stream import TrainingBatch
from wmhseg.training.fit import Running, TrainingJob
from wmhseg.training.growth import Start
from wmhseg.training.plan import LESION_LOSSES, Fitting, Loss, Plan, Restart, Run, Stopping
from wmhseg.training.recipes import PLANS
from wmhseg.weights import tensor_files

FIELD = (24, 20)
RUN = Run("0", "tiny", steps=6, batch=2, crop=16, rate=0.05, final_rate=0.0, warmup=2)
PLAN = replace(
    PLANS["synthetic"],
    preprocessing=replace(PLANS["synthetic"].preprocessing, field=FIELD),
    fitting=replace(PLANS["synthetic"].fitting, precision="float32"),
    runs=(RUN,),
)
QUICK = Running(device="cpu", threads=1, producers=1, checkpoint_every=2, log_every=3)


@dataclass(frozen=True)
class Bright:
    """Batch b of a seed: noise; where FLAIR is above 1 is lesion. ``bad`` holds NaN."""

    seed: tuple[int, ...]
    batch: int
    side: int = 16
    bad: int = -1
    per_block: int = 2

    def open(self) -> Callable[[int], Iterator[TrainingBatch]]:
        def draw(block: int) -> Iterator[TrainingBatch]:
            for number in range(block * self.per_block, (block + 1) * self.per_block):
                rng = np.random.default_rng([*self.seed, number])
                inputs = rng.normal(size=(self.batch, self.side, self.side, 2)).astype(np.float32)
                targets = (inputs[..., :1] > 1).astype(np.float32)
                if number == self.bad:
                    inputs[0, 0, 0, 0] = np.nan
                yield inputs, targets

        return draw


def task(folder: Path, plan: Plan = PLAN, **changes: Any) -> TrainingJob:
    run = plan.runs[0]
    values: dict[str, Any] = {
        "plan": plan,
        "run": run,
        "steps": run.steps,
        "per_epoch": None,
        "source": lambda seed: Bright(seed, run.batch),
        "start": None,
        "field": (run.crop, run.crop),
        "folder": folder,
    }
    return TrainingJob(**(values | changes))


def go(
    job: TrainingJob, running: Running = QUICK, say: Callable[[str], None] = str
) -> variables.Tensors:
    return fit.fit(job, backends.start_keras("cpu", 1), running, say=say)


def assert_equal(a: variables.Tensors, b: variables.Tensors) -> None:
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as handle:
        return list(csv.DictReader(handle))


# Rate ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0, 0.1),  # the first of 10 steps of warm-up
        (4, 0.5 * (0.2 + 0.8 * 0.5 * (1 + 0.9921147013144779))),  # cos(pi * 4 / 100)
        (50, 0.2 + 0.8 * 0.5),
        (75, 0.2 + 0.8 * 0.5 * (1 - 0.5**0.5)),  # cos(3 / 4 pi)
        (100, 0.2),
        (200, 0.2),
    ],
)
def test_learning_rate_by_hand(step: int, expected: float) -> None:
    run = replace(RUN, warmup=10, rate=1.0, final_rate=0.2)
    assert fit.learning_rate(run, 100, step) == pytest.approx(expected)


def test_a_constant_rate_without_warmup() -> None:
    run = replace(RUN, warmup=0, rate=0.5, final_rate=0.5)
    assert [fit.learning_rate(run, 10, step) for step in (0, 5, 9)] == [0.5] * 3


# Learning -----------------------------------------------------------------------------------------


def test_it_learns_that_bright_is_lesion(tmp_path: Path, tiny_network: Callable[..., Any]) -> None:
    import keras

    policy = keras.config.dtype_policy()
    lines: list[str] = []
    run = replace(RUN, steps=60, rate=0.3)
    made = go(
        task(tmp_path, replace(PLAN, runs=(run,))), replace(QUICK, log_every=30), lines.append
    )
    kernel = made["output/kernel"][0, 0, :, 0]
    assert kernel[0] > 1
    assert abs(kernel[1]) < 0.5 * kernel[0]
    assert keras.config.dtype_policy() == policy

    found = rows(tmp_path / "0.csv")
    assert [row["step"] for row in found] == ["30", "60"]
    assert [row["slices"] for row in found] == ["60", "120"]
    assert [row["epoch"] for row in found] == ["", ""]
    assert float(found[1]["loss"]) < float(found[0]["loss"])
    assert float(found[1]["rate"]) < float(found[0]["rate"])
    assert [line.split("  ")[0] for line in lines] == ["0: step 30/60", "0: step 60/60"]


def test_the_logged_loss_is_the_mean_since_the_last_row(
    tmp_path: Path, tiny_network: Callable[..., Any]
) -> None:
    go(task(tmp_path))
    losses = checkpoint.peek(tmp_path / "0-checkpoint.safetensors").losses
    assert len(losses) == 6
    found = [float(row["loss"]) for row in rows(tmp_path / "0.csv")]
    assert found == pytest.approx([np.mean(losses[:3]), np.mean(losses[3:])], abs=1e-4)


def test_first_weights(tmp_path: Path, tiny_network: Callable[..., Any]) -> None:
    """Without a step: near probability 0 if the plan says that lesions are rare."""
    rare = go(task(tmp_path / "a", steps=0))
    plain = replace(PLAN, fitting=replace(PLAN.fitting, rare_start=False))
    even = go(task(tmp_path / "b", plain, steps=0))
    assert rare["output/bias"] == -4
    assert even["output/bias"] == 0
    np.testing.assert_allclose(rare["output/kernel"], 0.1 * even["output/kernel"], rtol=1e-6)
    other = replace(plain, runs=(replace(RUN, seed=1),))
    assert (
        go(task(tmp_path / "c", other, steps=0))["output/kernel"] != even["output/kernel"]
    ).all()


def test_mixed_precision_keeps_single_weights(
    tmp_path: Path, tiny_network: Callable[..., Any]
) -> None:
    plan = replace(PLAN, fitting=replace(PLAN.fitting, precision="bfloat16"))
    kernel = go(task(tmp_path, plan))["output/kernel"]
    # Not rounded to the 8 bits of bfloat16, whose lower 16 bits are 0.
    assert (kernel.view(np.uint32) & 0xFFFF).any()


@pytest.mark.parametrize(
    ("wanted", "able", "types"),
    [
        ("float32", True, "float32"),
        ("auto", True, "bfloat16"),
        ("auto", False, "float32"),
        ("bfloat16", True, "bfloat16"),
        ("bfloat16", False, "bfloat16"),
    ],
)
def test_what_a_network_is_computed_in(
    wanted: Any, able: bool, types: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As asked for; where bfloat16 has no instructions it is very slow, and a line says so."""
    monkeypatch.setattr(backends, "has_bfloat16", lambda _: able)
    lines: list[str] = []
    fitting = replace(PLAN.fitting, precision=wanted)
    assert keras_setup.types_of(fitting, Runtime("tensorflow", "cpu", 1), lines.append) == types
    assert [("precision=auto" in line) for line in lines] == [True] * (wanted == types and not able)


def test_presets_compute_in_what_the_machine_has() -> None:
    """In bfloat16 a processor without it takes at least five times as long as in float32."""
    assert {plan.fitting.precision for plan in PLANS.values()} == {"auto", "float32"}


def test_without_bfloat16_a_network_is_built_in_float32(
    tmp_path: Path, tiny_network: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from wmhseg.networks import keras_model

    built: list[str] = []

    real = keras_model.to_keras

    def to_keras(described: Any, *, types: Any) -> Any:
        built.append(types)
        return real(described, types=types)

    monkeypatch.setattr(keras_model, "to_keras", to_keras)
    for number, able in enumerate((True, False)):
        monkeypatch.setattr(backends, "has_bfloat16", lambda _, able=able: able)
        plan = replace(PLAN, fitting=replace(PLAN.fitting, precision="auto"))
        go(task(tmp_path / str(number), plan, steps=1))
    assert built == ["bfloat16", "float32"]


# Starting from other weights ----------------------------------------------------------------------


def test_matching_layers_are_taken(tmp_path: Path, tiny_network: Callable[..., Any]) -> None:
    """The wider network shares only the last bias with the plain one, which is no start."""
    lines: list[str] = []
    plain = go(task(tmp_path / "a"))
    start = Start("a.safetensors", plain)
    assert_equal(go(task(tmp_path / "b", steps=0, start=start), say=lines.append), plain)
    assert "from a.safetensors, 2 of 2 arrays taken" in lines[0]
    wide = replace(PLAN, runs=(replace(RUN, options={"wide": True}),))
    with pytest.raises(WeightsError, match="at least one kernel"):
        go(task(tmp_path / "c", wide, steps=0, start=start))
    with pytest.raises(WeightsError, match="at least one kernel"):
        go(task(tmp_path / "d", start=Start("other", {"x/kernel": np.zeros(3, np.float32)})))


# Resuming -----------------------------------------------------------------------------------------


def stopping(number: int) -> Callable[[str], None]:
    """A listener that has the process sent a signal when it hears of step 3."""

    def say(line: str) -> None:
        if "step 3/" in line:
            os.kill(os.getpid(), number)

    return say


@pytest.mark.parametrize("average", [None, 0.7])
@pytest.mark.parametrize(
    ("number", "end"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)]
)
def test_stopped_and_resumed_is_straight_through(
    tmp_path: Path,
    tiny_network: Callable[..., Any],
    number: int,
    end: type[BaseException],
    average: float | None,
) -> None:
    plan = replace(PLAN, fitting=replace(PLAN.fitting, average=average))
    straight = go(task(tmp_path / "straight", plan))
    before = signal.getsignal(number)
    with pytest.raises(end) as stopped:
        go(task(tmp_path / "cut", plan), replace(QUICK, checkpoint_every=100), stopping(number))
    if number == signal.SIGTERM:
        assert stopped.value.code == 143
    assert signal.getsignal(number) == before
    path = tmp_path / "cut" / "0-checkpoint.safetensors"
    assert checkpoint.peek(path).step == 3
    lines: list[str] = []
    resumed = go(task(tmp_path / "cut", plan), say=lines.append)
    assert lines[0] == "0: going on after step 3 of 6"
    assert_equal(resumed, straight)
    other = checkpoint.peek(tmp_path / "straight" / "0-checkpoint.safetensors")
    assert checkpoint.peek(path).losses == other.losses
    columns = ("step", "slices", "loss", "rate")
    both = [rows(tmp_path / name / "0.csv") for name in ("straight", "cut")]
    assert [[r[c] for c in columns] for r in both[0]] == [[r[c] for c in columns] for r in both[1]]


def test_dropout_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dropping(signature: Signature) -> Graph:
        kept = Layer(Dropout(0.5), (signature.only_input(),), "dropped")
        return Graph("dropping", signature.output_layer(kept))

    monkeypatch.setitem(NETWORKS, "dropping", dropping)
    plan = replace(PLAN, runs=(replace(RUN, network="dropping"),))
    straight = go(task(tmp_path / "straight", plan))
    with pytest.raises(SystemExit):
        go(task(tmp_path / "cut", plan), QUICK, stopping(signal.SIGTERM))
    assert_equal(go(task(tmp_path / "cut", plan)), straight)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{root!r}, *{tests!r}]
import keras
import test_fit
from wmhseg.networks.catalogue import NETWORKS
from wmhseg.networks.graph import Graph
def tiny(signature):
    return Graph("tiny", signature.output_layer(signature.only_input()))
NETWORKS["tiny"] = tiny
if __name__ == "__main__":
    test_fit.go(test_fit.task(Path({folder!r})), say=test_fit.stopping(signal.SIGKILL))
"""


def test_killed_and_resumed_is_straight_through(
    tmp_path: Path, tiny_network: Callable[..., Any]
) -> None:
    """Killed after step 3, the checkpoint is that of step 2."""
    folder = tmp_path / "cut"
    script = tmp_path / "killed.py"
    tests = [str(ROOT / "tests"), str(ROOT / "tests" / "training")]
    text = KILLED.format(root=str(ROOT), tests=tests, folder=str(folder))
    script.write_text(text)
    done = subprocess.run([sys.executable, script], capture_output=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert checkpoint.peek(folder / "0-checkpoint.safetensors").step == 2
    assert [row["step"] for row in rows(folder / "0.csv")] == ["3"]
    resumed = go(task(folder))
    assert_equal(resumed, go(task(tmp_path / "straight")))
    assert [row["step"] for row in rows(folder / "0.csv")] == ["3", "6"]


def test_a_checkpoint_of_something_else(tmp_path: Path, tiny_network: Callable[..., Any]) -> None:
    path = tmp_path / "0-checkpoint.safetensors"
    tensor_files.write_tensors(path, {"output/bias": np.zeros(1, np.float32)})
    with pytest.raises(ResumeError, match="checkpoint of this run"):
        go(task(tmp_path))
    path.unlink()
    go(task(tmp_path))
    averaging = replace(PLAN, fitting=replace(PLAN.fitting, average=0.9))
    with pytest.raises(ResumeError, match="optimizer variable"):
        go(task(tmp_path, averaging))


# Averaging ----------------------------------------------------------------------------------------


def test_average_by_hand(tmp_path: Path, tiny_network: Callable[..., Any]) -> None:
    """The average starts as the weights after step 1; each later step adds a share of 0.25."""
    last = [
        go(
            task(
                tmp_path / f"{n}",
                replace(PLAN, runs=(replace(RUN, steps=6),)),
                steps=n,
                run=replace(RUN, rate=0.05, final_rate=0.05),
            )
        )
        for n in (1, 2, 3)
    ]
    plan = replace(PLAN, fitting=replace(PLAN.fitting, average=0.75))
    found = go(task(tmp_path / "average", plan, steps=3, run=replace(RUN, final_rate=0.05)))
    expected = last[0]["output/kernel"]
    for later in last[1:]:
        expected = 0.75 * expected + 0.25 * later["output/kernel"]
    np.testing.assert_allclose(found["output/kernel"], expected, rtol=1e-5)


@dataclass(frozen=True)
class CountedBright(Bright):
    """``Bright`` with targets that tell lesions apart."""

    def open(self) -> Callable[[int], Iterator[TrainingBatch]]:
        draw = super().open()

        def tell(block: int) -> Iterator[TrainingBatch]:
            for inputs, targets in draw(block):
                yield inputs, counted(targets[..., 0])

        return tell


@pytest.mark.parametrize("loss", LESION_LOSSES)
def test_losses_that_count_lesions_learn_average_and_resume(
    tmp_path: Path, tiny_network: Callable[..., Any], loss: Loss
) -> None:
    """In bfloat16, with a moving average, by the loss of the run in place of the plan's."""
    fitting = replace(PLAN.fitting, average=0.7, precision="bfloat16")
    run = replace(RUN, loss=loss, rate=0.3)
    plan = replace(PLAN, fitting=fitting, runs=(run,))

    def job(folder: str, **changes: Any) -> TrainingJob:
        source = {"source": lambda seed: CountedBright(seed, run.batch)}
        return task(tmp_path / folder, plan, **(source | changes))

    straight = go(job("straight"))
    with pytest.raises(SystemExit):
        go(job("cut"), replace(QUICK, checkpoint_every=100), stopping(signal.SIGTERM))
    assert_equal(go(job("cut")), straight)
    # Another loss than that of pixels, to which the same batches without lesions would lead.
    other = replace(plan, runs=(replace(run, loss=None),))
    assert not np.array_equal(
        go(task(tmp_path / "other", other))["output/kernel"], straight["output/kernel"]
    )
    long = go(job("long", steps=40))
    kernel = long["output/kernel"][0, 0, :, 0]
    assert kernel[0] > 1
    assert abs(kernel[1]) < 0.5 * kernel[0]
    # The average is what is kept, not the last weights; single precision, not rounded.
    last = tensor_files.read_tensors(tmp_path / "long" / "0-checkpoint.safetensors")
    assert not np.array_equal(last["model/output/kernel"], long["output/kernel"])
    assert (long["output/kernel"].view(np.uint32) & 0xFFFF).any()


# Guards -------------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_ends_it(tmp_path: Path, tiny_network: Callable[..., Any]) -> None:
    job = task(tmp_path, source=lambda seed: Bright(seed, RUN.batch, bad=4))
    with pytest.raises(TrainingFailedError, match="finite loss was expected at step 5"):
        go(job)
    # What was good before is still there.
    assert checkpoint.peek(tmp_path / "0-checkpoint.safetensors").step == 4


@pytest.mark.parametrize(("limit", "attempts", "starts"), [(10.0, 3, 1), (0.001, 3, 3)])
def test_restart_when_the_loss_stays_high(
    tmp_path: Path, tiny_network: Callable[..., Any], limit: float, attempts: int, starts: int
) -> None:
    plan = replace(PLAN, fitting=Fitting(restart=Restart(limit, attempts)))
    seeds: list[tuple[int, ...]] = []

    def source(seed: tuple[int, ...]) -> Bright:
        seeds.append(seed)
        return Bright(seed, RUN.batch)

    job = task(tmp_path, plan, per_epoch=2, source=source)
    if starts == attempts:
        with pytest.raises(TrainingFailedError, match="in 3 attempts"):
            go(job)
    else:
        go(job)
        assert rows(tmp_path / "0.csv")[0]["epoch"] == "1.50"
    assert seeds == [(0, attempt) for attempt in range(starts)]
    assert len({fit.seed_of(RUN, attempt) for attempt in range(starts)}) == starts


def test_a_warm_start_is_not_restarted(tmp_path: Path, tiny_network: Callable[..., Any]) -> None:
    plan = replace(PLAN, fitting=Fitting(restart=Restart(0.001, 2)))
    start = Start("w", go(task(tmp_path / "w", steps=0)))
    go(task(tmp_path / "a", plan, per_epoch=2, start=start))
    assert checkpoint.peek(tmp_path / "a" / "0-checkpoint.safetensors").attempt == 0


# Drops and epochs that are chosen -----------------------------------------------------------------


def test_a_rate_that_drops() -> None:
    """Published for uResNet: a tenth after 25 of 30 epochs."""
    run = replace(RUN, warmup=0, rate=1.0, final_rate=0.1, drop_at=25 / 30)
    found = [fit.learning_rate(run, 60, step) for step in (0, 49, 50, 59)]
    assert found == [1.0, 1.0, 0.1, 0.1]


def test_momentum_changes_with_the_rate(tmp_path: Path, tiny_network: Callable[..., Any]) -> None:
    """By hand: v = m v - rate g. After the drop the old speed is kept at another momentum."""
    from keras import ops

    from wmhseg.training import losses

    fitting = Fitting(loss="dice", optimizer="sgd", momentum=0.5, late_momentum=0.9)
    run = replace(RUN, steps=4, rate=0.5, final_rate=0.25, warmup=0, drop_at=0.5, crop=16)
    plan = replace(PLAN, fitting=fitting, runs=(run,))
    tensors = go(task(tmp_path / "a", plan))

    first = go(task(tmp_path / "b", plan, steps=0))
    weights = {k: v.astype(np.float64) for k, v in first.items()}
    speed = {k: np.zeros_like(v) for k, v in weights.items()}
    draw = Bright((run.seed, 0), run.batch).open()
    batches = [*draw(0), *draw(1)]

    def loss_at(at: dict[str, Any], batch: Any) -> float:
        logits = batch[0] @ at["output/kernel"][0, 0] + at["output/bias"]
        said = ops.convert_to_tensor(1 / (1 + np.exp(-logits)), "float32")
        return float(losses.dice_loss(batch[1], said))

    for step, batch in enumerate(batches):
        momentum, rate = (0.5, 0.5) if step < 2 else (0.9, 0.25)
        for name, array in weights.items():
            slope = np.zeros_like(array)
            for place in np.ndindex(array.shape):
                sides = []
                for by in (0.01, -0.01):
                    moved = {k: v.copy() for k, v in weights.items()}
                    moved[name][place] += by
                    sides.append(loss_at(moved, batch))
                slope[place] = (sides[0] - sides[1]) / 0.02
            speed[name] = momentum * speed[name] - rate * slope
        weights = {k: v + speed[k] for k, v in weights.items()}
    for name, array in weights.items():
        np.testing.assert_allclose(tensors[name], array, atol=2e-3, err_msg=name)


def test_the_epoch_with_the_largest_area_is_taken(
    tmp_path: Path, tiny_network: Callable[..., Any]
) -> None:
    """Areas as given: the second epoch is the best, and two without a better one end it."""
    areas, seen = iter([0.5, 0.9, 0.7, 0.8, 1.0]), []

    def area(model: Any) -> float:
        seen.append(variables.collect(model))
        return next(areas)

    plan = replace(PLAN, fitting=replace(PLAN.fitting, stopping=Stopping(patience=2)))
    lines: list[str] = []
    job = task(tmp_path, plan, steps=10, per_epoch=2, area=area)
    made = go(job, say=lines.append)
    assert len(seen) == 4
    assert_equal(made, seen[1])
    assert not np.array_equal(seen[1]["output/kernel"], seen[3]["output/kernel"])
    assert [row["step"] for row in rows(tmp_path / "0-roc.csv")] == ["2", "4", "6", "8"]
    assert sum("the best so far" in line for line in lines) == 2
    # Gone on with, it is over already.
    assert_equal(go(job), seen[1])
    assert len(seen) == 4


# Windows ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Placed:
    """Batches of two ports; of 40 x 40 pixels 9 x 9 are told, and of a bright band these alone."""

    seed: tuple[int, ...]
    per_block: int = 2

    def open(self) -> Callable[[int], Iterator[TrainingBatch]]:
        def draw(block: int) -> Iterator[TrainingBatch]:
            rng = np.random.default_rng([*self.seed, block])
            for _ in range(self.per_block):
                scan = rng.normal(size=(2, 40, 40, 2)).astype(np.float32)
                where = rng.uniform(0.1, 1, (2, 40, 40, 8)).astype(np.float32)
                told = np.zeros((2, 40, 40, 1), np.float32)
                first = int(rng.integers(16, 22))
                scan[:, :, first : first + 4, 0] += 6
                told[:, 16:25, first : min(first + 4, 25)] = 1
                yield {"scan": scan, "location": where}, told

        return draw


def test_windows_of_a_location_sensitive_network_learn(tmp_path: Path) -> None:
    """What is learnt are the weights of the form that segments; the frame is not looked at."""
    plan = PLANS["synthetic-location"]
    run = replace(plan.runs[0], steps=40, batch=2, warmup=1)
    fitting = replace(plan.fitting, precision="float32", average=None)
    plan = replace(plan, fitting=fitting, runs=(run,))
    job = task(tmp_path, plan, run=run, source=Placed, field=(40, 40))
    learnt = go(job)
    dense = fit.describe(replace(plan, sampling=None), run, (40, 40))
    assert {path: array.shape for path, array in learnt.items()} == dense.variables()
    losses = [float(row["loss"]) for row in rows(tmp_path / f"{run.name}.csv")]
    assert losses[-1] < 0.8 * losses[0]
    batch, told = next(Placed((1, 0)).open()(0))
    assert isinstance(batch, dict)
    said = in_keras(dense, learnt, batch["scan"], batch["location"])[:, 16:25, 16:25, 1]
    lesion = told[:, 16:25, 16:25, 0] > 0
    assert said[lesion].mean() > said[~lesion].mean() + 0.5
