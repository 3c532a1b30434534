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


_MOST_STREAMS = 4
_SLICES_A_STREAM = 4


class OpenVinoEngine:
    """Computes with OpenVINO on the CPU.

    Members stay compiled, for the next scan. There is no cache on disk: reading, checking,
    rewriting and compiling a U-Net takes 0.2 to 0.3 s, and reading it back would take part of that.
    """

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

    @property
    def batch(self) -> int:
        """See Engine; for the member that is current."""
        return self._current.batch if isinstance(self._current, _Whole) else 1

    def compiled(self, described: graph.Graph, tensors: variables.Tensors) -> Compiled:
        """The fastest way for a network."""
        patches = patchwise.layers_of(described)
        if patches is not None:
            return patchwise.CompiledPatchwise(patches, tensors, self._request)
        parts = by_pixels.cut(described)
        if parts is None:
            merged = rewriting.merge_doublings(described, tensors)
            return _Whole(*merged, self._compile, streams(self.runtime.threads))
        exact = replace(self.runtime, precision="f32")
        return by_pixels.CompiledByPixels(
            parts, tensors, self._request, lambda model: self._request(model, exact)
        )

    def _request(self, model: Any, machine: Runtime | None = None) -> Any:
        """Compiles an OpenVINO model, for one call at a time on all threads."""
        return self._compile(model, settings(machine or self.runtime)).create_infer_request()

    def _compile(self, model: Any, how: dict[str, Any] | None = None) -> Any:
        """Compiles an OpenVINO model; without settings for several calls side by side."""
        if self._change is not None:
            model = self._change(model)
        return self._core.compile_model(model, "CPU", how or side_by_side(self.runtime))

    def predict(self, batch: Batch) -> Float:
        """See Engine."""
        assert self._current is not None, "load comes first"
        return self._current(batch)


class _Whole:
    """A member's network, compiled for one slice; as many are computed at once as streams."""

    def __init__(
        self,
        described: graph.Graph,
        tensors: variables.Tensors,
        compiled: Callable[[Any], Any],
        streams: int,
    ) -> None:
        from wmhseg.engines.openvino_graph import to_openvino

        self._ports = [layer.name for layer in described.inputs]
        self._size = described.output.size
        self._queue = openvino_core.queue(compiled(to_openvino(described, tensors, 1)), streams)
        # At the end of a call streams wait for the last: with a few slices each it is seldom.
        self.batch = _SLICES_A_STREAM * streams

    def __call__(self, batch: Batch) -> Float:
        """Computes port -> (slice, row, column, channel) to (slice, row, column, label)."""
        # They have to live until the last is computed.
        arrays = [
            np.ascontiguousarray(np.moveaxis(batch[port], 3, 1), np.float32) for port in self._ports
        ]
        slices = len(arrays[0])
        found = np.empty((slices, *self._size), np.float32)

        def keep(request: Any, place: int) -> None:
            found[place] = np.moveaxis(request.get_output_tensor().data[0], 0, 2)

        self._queue.set_callback(keep)
        for place in range(slices):
            one = [array[place : place + 1] for array in arrays]
            self._queue.start_async(one, place, share_inputs=True)
        self._queue.wait_all()
        return found


def streams(threads: int) -> int:
    """Slices that are computed side by side, each on its share of the threads.

    A slice on one thread waits for nobody, where all threads on one slice wait for each other
    after every layer; but each slice has maps of its own in memory, about 0.1 GB of a U-Net.
    """
    return min(threads, _MOST_STREAMS)


def side_by_side(machine: Runtime) -> dict[str, Any]:
    """How OpenVINO is to compile a network for several slices at once."""
    count = streams(machine.threads)
    return settings(machine) | {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": count}


def settings(machine: Runtime) -> dict[str, Any]:
    """How OpenVINO is to compile a network for one slice at a time on all threads."""
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
