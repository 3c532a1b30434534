"""The whole state of a run in one file, so that a resumed run goes on exactly.

It holds the weights, all variables of the optimizer (its moments and averages), the loss of every
step, the time spent and the number of restarts. It is one safetensors file: complete or not there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

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
    return state


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
