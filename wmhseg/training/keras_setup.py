"""Setting Keras up for a training: devices, loss, optimizer, averaged weights.

Keras is imported inside the functions: the backend has to be chosen before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from wmhseg.engines.runtime import Runtime
from wmhseg.networks import variables
from wmhseg.training.plan import Fitting, Run


def compile_model(model: Any, run: Run, fitting: Fitting, machine: Runtime) -> None:
    """Gives a network its loss and its optimizer, all of whose variables exist afterwards.

    Args:
        model: A Keras model as it is before the first step.
        run: Its rates.
        fitting: Loss, optimizer and averaging.
        machine: What it will be trained on.
    """
    from wmhseg.training import losses

    loss = {
        "dice": losses.dice_loss,
        "dice-and-cross-entropy": losses.dice_and_cross_entropy,
    }[fitting.loss]
    # XLA on a CPU is slower than TensorFlow's own kernels; JAX knows nothing else.
    plain = machine.backend == "tensorflow" and machine.device == "cpu"
    model.compile(_optimizer(run, fitting), loss=loss, jit_compile=False if plain else "auto")
    model.optimizer.build(model.trainable_variables)


def _optimizer(run: Run, fitting: Fitting) -> Any:
    import keras

    shared: dict[str, Any] = {"global_clipnorm": fitting.clip_norm}
    if fitting.average is not None:
        shared |= {"use_ema": True, "ema_momentum": fitting.average}
    if fitting.optimizer == "adamw":
        return keras.optimizers.AdamW(run.rate, weight_decay=fitting.weight_decay, **shared)
    return keras.optimizers.Adam(run.rate, **shared)


def parallel(
    machine: Runtime, batch: int, say: Callable[[str], None]
) -> AbstractContextManager[Any]:
    """Spreads batches over devices where Keras can (JAX), else computes on one.

    Args:
        machine: What to compute on.
        batch: Slices a batch; as many devices take part as divide it into equal parts.
        say: Receives a line if there is more than one device to use.
    """
    import keras

    if machine.backend != "jax":
        return machine.scope()
    devices = keras.distribution.list_devices(machine.device)
    count = max(n for n in range(1, len(devices) + 1) if batch % n == 0)
    if count == 1:
        return machine.scope()
    say(f"computing on {count} of {len(devices)} devices")
    spread = keras.distribution.DataParallel(devices=devices[:count], auto_shard_dataset=False)
    scope: AbstractContextManager[Any] = spread.scope()
    return scope


def on_one_device() -> AbstractContextManager[Any]:
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
def averaged(model: Any, fitting: Fitting) -> Iterator[None]:
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
