"""The reference engine: Keras, on any of its backends, on CPU or GPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from wmhseg import networks, weights
from wmhseg.engines import interface
from wmhseg.engines.interface import Float
from wmhseg.preset import Member
from wmhseg.runtime import Runtime
from wmhseg.weights import Model

_POLICIES = {"f32": "float32", "bf16": "mixed_bfloat16"}


class KerasEngine:
    """Computes with Keras.

    Networks of one kind are built once and given one member's weights after the other.
    """

    # More gains nothing on a CPU (a slice fills it) and costs about 0.1 GB each.
    batch = 4

    def __init__(self, runtime: Runtime) -> None:
        """Takes the backend, the device and the precision to compute with."""
        self.runtime = runtime
        self._built: dict[tuple[Any, ...], Any] = {}
        self._network: Any = None

    def load(self, model: Model, member: Member) -> None:
        """See Engine."""
        tensors = weights.load(model, member)
        interface.describe(model, member)
        with self.runtime.scope():
            self._network = self._build(model, member)
            weights.assign(self._network, tensors, name=member.file)

    def _build(self, model: Model, member: Member) -> Any:
        preset = model.preset
        field = preset.preprocessing.field
        key = (member.network, field, preset.channels, tuple(sorted(member.options.items())))
        if key not in self._built:
            self._built[key] = networks.build(
                member.network,
                field,
                preset.channels,
                member.options,
                policy=_POLICIES[self.runtime.precision],
            )
        return self._built[key]

    def predict(self, batch: Float) -> Float:
        """See Engine."""
        with self.runtime.scope():
            out = self._network.predict_on_batch(batch)
        return np.asarray(out, np.float32)[..., 0]
