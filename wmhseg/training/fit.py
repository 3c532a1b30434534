"""Training of one member of an ensemble on synthetic scans.

A producer process draws scans; this process fits the network. The steps, not the clock, decide
when training ends, so the same plan means the same amount of training on any machine.
"""

from __future__ import annotations

import csv
import math
import multiprocessing
import os
import queue
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.training import synthesis
from wmhseg.training.heads import Mask
from wmhseg.training.noise import Float
from wmhseg.training.recipe import Recipe

Batch = tuple[Float, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Plan:
    """How one member is trained.

    Attributes:
        network: Name in ``wmhseg.networks.NETWORKS``.
        options: Arguments of the network besides its field.
        steps: Number of batches.
        batch: Slices a batch.
        crop: Side in pixels of the random square taken from each slice.
        rate: Learning rate after the warm-up.
        final_rate: Learning rate that the half cosine ends at.
        warmup: Steps over which the rate rises from 0.
        seed: Seeds the network's initial weights and the order and content of the data.
        bfloat16: Compute in mixed bfloat16; weights stay float32.
        recipe: Ranges of the synthesiser.
    """

    network: str = "unet"
    options: dict[str, Any] = field(default_factory=dict)
    steps: int = 3000
    batch: int = 8
    crop: int = 144
    rate: float = 6e-4
    final_rate: float = 0.0
    warmup: int = 60
    seed: int = 0
    bfloat16: bool = True
    recipe: Recipe = field(default_factory=Recipe)


def slices_of_interest(rng: np.random.Generator, target: Mask) -> npt.NDArray[np.intp]:
    """Picks all slices with a lesion and half of those without, as indices."""
    busy = target.any((1, 2))
    return np.flatnonzero(busy | (rng.random(len(target)) < 0.5))


def batches(plan: Plan, heads: list[synthesis.Head], seed: int) -> Iterator[Batch]:
    """Yields batches for ever: slices of many scans mixed, each randomly cropped.

    Args:
        plan: Crop, batch size and recipe are used.
        heads: Anatomies.
        seed: Seeds content and order.

    Yields:
        Inputs (slice, row, column, channel) and targets (slice, row, column, 1), float32.
    """
    rng = np.random.default_rng(seed)
    pool: list[tuple[Float, Mask]] = []
    while True:
        while len(pool) < 12 * plan.batch:
            scan = synthesis.make_scan(rng, heads, plan.recipe)
            chosen = slices_of_interest(rng, scan.target)
            pool.extend((scan.inputs[index], scan.target[index]) for index in chosen)
        inputs, targets = [], []
        for _ in range(plan.batch):
            image, target = pool.pop(int(rng.integers(len(pool))))
            row, column = (int(rng.integers(0, size - plan.crop + 1)) for size in plan.recipe.field)
            part = np.s_[row : row + plan.crop, column : column + plan.crop]
            inputs.append(image[part])
            targets.append(target[part])
        yield np.stack(inputs), np.stack(targets)[..., None].astype(np.float32)


def _produce(out: Any, plan: Plan, labels: Path, seed: int) -> None:
    heads = synthesis.load_heads(labels)
    for batch in batches(plan, heads, seed):
        out.put(batch)


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Sets environment variables for a while: a spawned process inherits them."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def produced(plan: Plan, labels: Path) -> Generator[Batch, None, None]:
    """Yields batches from a process of its own, so that drawing and fitting overlap."""
    context = multiprocessing.get_context("spawn")
    waiting: Any = context.Queue(16)
    producer = context.Process(
        target=_produce, args=(waiting, plan, labels, plan.seed + 1), daemon=True
    )
    # One thread for its small matrices: waiting BLAS threads would take the time of the fit.
    with _environment(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1"):
        producer.start()
    try:
        while True:
            try:
                yield waiting.get(timeout=5)
            except queue.Empty:
                if not producer.is_alive():
                    raise RuntimeError("The process that draws the scans has died.") from None
    finally:
        producer.terminate()
        producer.join()


def learning_rate(plan: Plan, step: int) -> float:
    """Linear warm-up, then half a cosine from ``rate`` to ``final_rate``."""
    warm = min(1.0, (step + 1) / max(1, plan.warmup))
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / plan.steps)))
    return warm * (plan.final_rate + (plan.rate - plan.final_rate) * cosine)


def fit(
    plan: Plan,
    labels: Path,
    output: Path,
    *,
    start_from: Path | None = None,
    report: Callable[[str], None] = print,
) -> None:
    """Trains one member and writes its weights.

    Args:
        plan: What to do.
        labels: Folder of whole-head label maps.
        output: Weight file to write (``.safetensors``); a CSV log is written beside it.
        start_from: Weight file to start from instead of random weights.
        report: Receives one line now and then.
    """
    from wmhseg import runtime, weights

    runtime.start()  # chooses the backend before Keras is imported
    import keras

    from wmhseg.networks import NETWORKS
    from wmhseg.training.losses import dice_and_cross_entropy

    keras.utils.set_random_seed(plan.seed)
    with _policy("mixed_bfloat16" if plan.bfloat16 else "float32"):
        model = NETWORKS[plan.network]((plan.crop, plan.crop), **plan.options)
        if start_from is not None:
            weights.assign(model, weights.read_tensors(start_from), name=start_from.name)
        else:
            # WMH are rare: start near probability 0, where the Dice loss is steepest.
            kernel, bias = model.get_layer("output").get_weights()
            model.get_layer("output").set_weights([kernel * 0.1, bias - 4])
        optimizer = keras.optimizers.AdamW(plan.rate, weight_decay=1e-5, global_clipnorm=1.0)
        model.compile(optimizer, loss=dice_and_cross_entropy, jit_compile=False)
        output.parent.mkdir(parents=True, exist_ok=True)
        with closing(produced(plan, labels)) as stream:
            _run(plan, model, stream, output, report)
    weights.write_tensors(output, weights.collect(model))


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


def _run(
    plan: Plan, model: Any, stream: Iterator[Batch], output: Path, report: Callable[[str], None]
) -> None:
    """Takes all steps; logs every 50 and saves every 250 of them."""
    from wmhseg import weights

    started, running = time.monotonic(), float("nan")
    with output.with_suffix(".csv").open("w", newline="", encoding="utf-8") as handle:
        log = csv.writer(handle)
        log.writerow(["step", "slices", "seconds", "loss"])
        for step in range(plan.steps):
            model.optimizer.learning_rate = learning_rate(plan, step)
            loss = float(model.train_on_batch(*next(stream)))
            running = loss if math.isnan(running) else 0.98 * running + 0.02 * loss
            if (step + 1) % 50 == 0 or step + 1 == plan.steps:
                seconds = time.monotonic() - started
                log.writerow(
                    [step + 1, (step + 1) * plan.batch, f"{seconds:.0f}", f"{running:.4f}"]
                )
                handle.flush()
                report(
                    f"step {step + 1}/{plan.steps}  loss {running:.3f}  "
                    f"{(step + 1) * plan.batch / seconds:.1f} slices/s"
                )
            if (step + 1) % 250 == 0:
                weights.write_tensors(output, weights.collect(model))
