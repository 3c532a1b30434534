"""Setting Keras up for a training: devices, loss, optimizer, averaged weights.

Keras is imported inside the functions: the backend has to be chosen before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from wmhseg.engines import backends
from wmhseg.engines.runtime import Runtime
from wmhseg.networks import variables
from wmhseg.training.first_weights import WIDTH
from wmhseg.training.plan import Fitting, Plan, Run, fitting_of

if TYPE_CHECKING:
    from wmhseg.networks.keras_model import Types


def types_of(fitting: Fitting, machine: Runtime, say: Callable[[str], None]) -> Types:
    """What a network is computed in where it is trained.

    Args:
        fitting: What is wanted.
        machine: What it will be trained on.
        say: Receives a line if bfloat16 is wanted of what has no instructions for it, and emulates
            it at a fifth of the speed of float32 or less.
    """
    if fitting.precision == "float32":
        return "float32"
    able = backends.has_bfloat16(machine)
    if fitting.precision == "auto":
        return "bfloat16" if able else "float32"
    if not able:
        say(
            f"bfloat16 is asked for, and {backends.hardware(machine)} have no instructions for it: "
            "this is many times slower than float32. --set fitting.precision=auto takes what suits."
        )
    return "bfloat16"


def compile_model(
    model: Any, plan: Plan, run: Run, machine: Runtime, slow: Collection[str] = ()
) -> None:
    """Gives a network its loss and its optimizer, all of whose variables exist afterwards.

    Args:
        model: A Keras model as it is before the first step.
        plan: Its labels; loss, optimizer and averaging.
        run: Its rates, and its loss if it names one.
        machine: What it will be trained on.
        slow: Paths of kernels that see wide channels, see ``first_weights``: the steps of Adam are
            as many times smaller for them, which is as if the channels had been divided. (Not with
            the torch backend, which moves all variables in one call.)
    """
    from wmhseg.training import losses

    fitting = fitting_of(plan, run)
    loss = losses.where_told(losses.loss_of(fitting, plan.network_labels))
    # XLA on a CPU is slower than TensorFlow's own kernels; JAX knows nothing else.
    plain = machine.backend == "tensorflow" and machine.device == "cpu"
    model.compile(_optimizer(run, fitting, slow), loss=loss, jit_compile=False if plain else "auto")
    model.optimizer.build(model.trainable_variables)


def _optimizer(run: Run, fitting: Fitting, slow: Collection[str]) -> Any:
    import keras

    shared: dict[str, Any] = {"global_clipnorm": fitting.clip_norm}
    if fitting.average is not None:
        shared |= {"use_ema": True, "ema_momentum": fitting.average}
    if fitting.optimizer == "sgd":
        if fitting.weight_decay:
            shared |= {"weight_decay": fitting.weight_decay}
        return keras.optimizers.SGD(run.rate, momentum=fitting.momentum, **shared)
    if fitting.optimizer == "rmsprop":
        return keras.optimizers.RMSprop(run.rate, **shared)
    if fitting.optimizer == "adamw":
        kind = _slowed(keras.optimizers.AdamW, slow)
        return kind(run.rate, weight_decay=fitting.weight_decay, **shared)
    return _slowed(keras.optimizers.Adam, slow)(run.rate, **shared)


def _slowed(kind: Any, slow: Collection[str]) -> Any:
    """A kind of optimizer that takes smaller steps for some variables."""
    if not slow:
        return kind

    class Slowed(kind):  # type: ignore[misc]
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            # Not variable.path: TensorFlow hands its own kind of variable.
            path = self._trainable_variables[self._get_variable_index(variable)].path
            share = 1 / WIDTH if path in slow else 1.0
            super().update_step(gradient, variable, learning_rate * share)

    return Slowed


def set_momentum(model: Any, momentum: float) -> None:
    """Gives the optimizer "sgd" another momentum; what it has gathered stays."""
    if model.optimizer.momentum != momentum:
        model.optimizer.momentum = momentum
        # It is a constant of the function that was compiled for a step.
        model.make_train_function(force=True)


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
