"""OpenVINO: the fastest way on a CPU, without Keras and TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from wmhseg.engines import by_pixels, interface, openvino_core, patchwise, sharing
from wmhseg.engines.interface import Batch, Float
from wmhseg.engines.runtime import Runtime
from wmhseg.networks import graph, rewriting, variables
from wmhseg.networks.signature import Signature
from wmhseg.weights import store
from wmhseg.weights.preset import Member
from wmhseg.weights.store import Model

# OpenVINO model -> OpenVINO model.
Change = Callable[[Any], Any]

Compiled = Callable[[Batch], Float]
"""A member's network, ready: what ``predict`` does."""


class OpenVinoEngine:
    """Computes with OpenVINO on the CPU.

    Members stay compiled, for the next scan. There is no cache on disk: reading, checking,
    rewriting and compiling a U-Net takes 0.2 to 0.3 s, and reading it back would take part of that.
    """

    # One slice fills a CPU; more costs memory and gains nothing.
    batch = 1

    def __init__(self, machine: Runtime, change: Change | None = None) -> None:
        """Starts with no member.

        Args:
            machine: The number of threads and the precision.
            change: Applied to each member's OpenVINO model before it is compiled, to try
                something out. Reports do not tell of it.
        """
        sharing.note_started()
        self.runtime = machine
        self._change = change
        self._core = openvino_core.openvino_core()
        self._members: dict[tuple[Any, ...], tuple[Signature, Compiled]] = {}
        self._current: Compiled | None = None

    def load(self, model: Model, member: Member) -> None:
        """See Engine."""
        sharing.check_not_forked()
        key = (member.sha256, member.network, tuple(sorted(member.options.items())))
        signature = model.preset.signature
        kept = self._members.get(key)
        if kept is None or kept[0] != signature:
            described = interface.describe(model, member)
            tensors = store.load(model, member)
            variables.check(described.variables(), tensors, name=member.file)
            # In place of the one for another field: scans of a batch may all be of other sizes.
            self._members[key] = kept = (signature, self.compiled(described, tensors))
        self._current = kept[1]

    def compiled(self, described: graph.Graph, tensors: variables.Tensors) -> Compiled:
        """The fastest way for a network."""
        patches = patchwise.layer_of(described)
        if patches is not None:
            return patchwise.CompiledPatchwise(patches, tensors, self._request)
        parts = by_pixels.cut(described)
        if parts is None:
            return _Whole(*rewriting.merge_doublings(described, tensors), self._request)
        exact = replace(self.runtime, precision="f32")
        return by_pixels.CompiledByPixels(
            parts, tensors, self._request, lambda model: self._request(model, exact)
        )

    def _request(self, model: Any, machine: Runtime | None = None) -> Any:
        """Compiles an OpenVINO model, for one call at a time."""
        if self._change is not None:
            model = self._change(model)
        how = settings(machine or self.runtime)
        return self._core.compile_model(model, "CPU", how).create_infer_request()

    def predict(self, batch: Batch) -> Float:
        """See Engine."""
        assert self._current is not None, "load comes first"
        return self._current(batch)


class _Whole:
    """A member's network, compiled for one size of batch at a time."""

    def __init__(
        self,
        described: graph.Graph,
        tensors: variables.Tensors,
        compiled: Callable[[Any], Any],
    ) -> None:
        self._described, self._tensors, self._compiled = described, tensors, compiled
        self._size = 0
        self._request: Any = None

    def __call__(self, batch: Batch) -> Float:
        """Computes port -> (slice, row, column, channel) to (slice, row, column, label)."""
        taken = [batch[layer.name] for layer in self._described.inputs]
        if len(taken[0]) != self._size:
            self._size = len(taken[0])
            self._request = self._compile(self._size)
        arrays = [np.ascontiguousarray(np.moveaxis(one, 3, 1), np.float32) for one in taken]
        maps = self._request.infer(arrays, share_inputs=True, share_outputs=True)[0]
        # A copy, in the order in which it lies: the next call writes to the same memory.
        return np.array(np.moveaxis(maps, 1, 3), np.float32)

    def _compile(self, batch: int) -> Any:
        from wmhseg.engines.openvino_graph import to_openvino

        return self._compiled(to_openvino(self._described, self._tensors, batch))


def settings(machine: Runtime) -> dict[str, Any]:
    """How OpenVINO is to compile a network."""
    return {
        # Said outright: left alone, OpenVINO computes in bfloat16 wherever it can.
        "INFERENCE_PRECISION_HINT": machine.precision,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": machine.threads,
        # Left alone, OpenVINO ties its threads to the first cores: processes side by side then
        # share those, at half the speed, and one alone is no faster (benchmarks/pinning.py, on two
        # cores).
        "ENABLE_CPU_PINNING": False,
    }
