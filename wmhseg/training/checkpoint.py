"""The whole state of a run in one file, so that a resumed run goes on exactly.

It holds the weights, all variables of the optimizer (its moments and averages), where the random
numbers of dropout are, the loss of every step, the time spent and the number of restarts. It is one
safetensors file: complete or not there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.errors import ResumeError
from wmhseg.networks import variables
from wmhseg.weights import tensor_files


@dataclass
class RunState:
    """How far a run is.

    Attributes:
        attempt: Restarts so far.
        seconds: Time spent in its steps and waiting for batches, over all times it was resumed.
        losses: Loss of every step of this attempt.
    """

    attempt: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)

    @property
    def step(self) -> int:
        """Number of steps that have been taken."""
        return len(self.losses)


def save(path: Path, model: Any, state: RunState) -> None:
    """Writes a checkpoint.

    Args:
        path: File to write or replace.
        model: A compiled Keras model whose optimizer has been built.
        state: How far the run is.
    """
    from keras import ops

    stored = {f"model/{name}": array for name, array in variables.collect(model).items()}
    for number, variable in enumerate(model.optimizer.variables):
        # By number: Keras counts up the names of the optimizers of one process.
        stored[f"optimizer/{number}"] = np.array(ops.convert_to_numpy(variable.value), np.float32)
    for number, state_of in enumerate(_dropout_states(model)):
        stored[f"dropout/{number}"] = _halves(np.array(ops.convert_to_numpy(state_of.value)))
    stored["losses"] = np.array(state.losses, np.float32)
    stored["attempt"] = np.array([state.attempt], np.float32)
    stored["seconds"] = np.array([state.seconds], np.float32)
    tensor_files.write_tensors(path, stored)


def peek(path: Path) -> RunState:
    """Reads how far a run is, without its weights; a new run if there is no file."""
    return _state(path, tensor_files.read_tensors(path)) if path.exists() else RunState()


def restore(path: Path, model: Any) -> RunState:
    """Puts a checkpoint into a model and its optimizer.

    Raises:
        ResumeError: If the checkpoint is not of this network and optimizer.
        InputError: If it cannot be read.
        WeightsError: If it is no checkpoint.
    """
    stored = tensor_files.read_tensors(path)
    state = _state(path, stored)
    own = {k.removeprefix("model/"): v for k, v in stored.items() if k.startswith("model/")}
    variables.assign(model, own, name=path.name)
    for number, variable in enumerate(model.optimizer.variables):
        array = stored.get(f"optimizer/{number}")
        if array is None or array.shape != tuple(variable.shape):
            raise _other_run(path, f"no such optimizer variable {number}")
        variable.assign(array.astype(str(variable.dtype)))
    for number, state_of in enumerate(_dropout_states(model)):
        halves = stored.get(f"dropout/{number}")
        if halves is not None:  # checkpoints of version 0.1 have none
            state_of.assign(_whole(halves, path).reshape(state_of.shape))
    return state


def _dropout_states(model: Any) -> list[Any]:
    """The variables that say where each dropout layer's random numbers are."""
    return [one.seed_generator.state for one in model.layers if hasattr(one, "seed_generator")]


def _halves(state: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """32-bit numbers as pairs of 16-bit ones, which float32 holds exactly."""
    return state.astype(np.uint32).reshape(-1).view(np.uint16).astype(np.float32)


def _whole(halves: npt.NDArray[np.float32], path: Path) -> npt.NDArray[np.uint32]:
    """The 32-bit numbers of ``_halves``."""
    if halves.size % 2 or (halves < 0).any() or (halves > 2**16 - 1).any():
        raise _other_run(path, "no such state of random numbers")
    return halves.astype(np.uint16).view(np.uint32)


def _state(path: Path, stored: variables.Tensors) -> RunState:
    try:
        losses = [float(loss) for loss in stored["losses"]]
        return RunState(int(stored["attempt"][0]), float(stored["seconds"][0]), losses)
    except (KeyError, IndexError, TypeError):
        raise _other_run(path, "something else") from None


def _other_run(path: Path, received: str) -> ResumeError:
    return ResumeError(
        f"A checkpoint of this run was expected in {path}",
        received=received,
        advice="Train into a new folder.",
    )
