"""The reference engine: Keras, on any of its backends, on CPU or GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from wmhseg.engines import backends, interface, sharing
from wmhseg.engines.interface import Batch, Float
from wmhseg.engines.runtime import Runtime
from wmhseg.networks import variables
from wmhseg.networks.graph import Graph
from wmhseg.networks.signature import Signature
from wmhseg.weights import store
from wmhseg.weights.preset import Member
from wmhseg.weights.store import Model


class KerasEngine:
    """Computes with Keras.

    Networks of one kind are built once and given one member's weights after the other.
    """

    # More gains nothing on a CPU (a slice fills it) and costs about 0.1 GB each.
    batch = 4

    def __init__(self, machine: Runtime) -> None:
        """Takes the backend, the device and the precision to compute with."""
        sharing.note_started()
        self.runtime = machine
        self._built: dict[tuple[Any, ...], tuple[Signature, Any]] = {}
        self._network: Any = None
        self._slices = 0

    def load(self, model: Model, member: Member) -> None:
        """See Engine."""
        sharing.check_not_forked()
        self._slices = 0
        tensors = store.load(model, member)
        described = interface.describe(model, member)
        with self.scope():
            self._network = self._built_of(described, model, member)
            variables.assign(self._network, tensors, name=member.file)

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Device and precision of what is computed inside."""
        precise = self.runtime.precision == "f32"
        with (
            self.runtime.scope(),
            backends.tensor_float_32(self.runtime.backend, not precise)
            if self.runtime.device == "gpu"
            else nullcontext(),
        ):
            yield

    def _built_of(self, described: Graph, model: Model, member: Member) -> Any:
        from wmhseg.networks import keras_model

        signature = model.preset.signature
        key = (member.network, tuple(sorted(member.options.items())))
        built = self._built.get(key)
        if built is None or built[0] != signature:
            # tf32 rounds inside a multiplication: its numbers are float32.
            types: keras_model.Types = "bfloat16" if self.runtime.precision == "bf16" else "float32"
            # In place of the one for another field: scans of a batch may all be of other sizes.
            self._built[key] = built = (signature, keras_model.to_keras(described, types=types))
        return built[1]

    def predict(self, batch: Batch) -> Float:
        """See Engine."""
        arrays = [batch[taken.name] for taken in self._network.inputs]
        slices = len(arrays[0])
        # The last batch of a scan is filled up, so that one compiled graph serves all.
        self._slices = max(self._slices, slices)
        arrays = [_filled(one, self._slices) for one in arrays]
        with self.scope():
            out = self._network.predict_on_batch(arrays if len(arrays) > 1 else arrays[0])
        return np.asarray(out, np.float32)[:slices]


def _filled(part: Float, size: int) -> Float:
    """Adds empty slices up to a number."""
    if len(part) == size:
        return part
    return np.concatenate([part, np.zeros((size - len(part), *part.shape[1:]), part.dtype)])
