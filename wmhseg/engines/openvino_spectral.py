"""The multiplications of ``spectral``, in OpenVINO: its threads, and its speed with matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from openvino import Model, opset13

from wmhseg.engines.interface import Float
from wmhseg.engines.spectral import (
    HALF,
    TILE,
    TILES,
    from_columns,
    from_rows,
    to_columns,
    to_rows,
)


class Multiplications:
    """The matrices of all tiles of one size of kernel, compiled; see ``spectral.Multiply``."""

    def __init__(
        self, kernel: int, received: int, made: int, compiled: Callable[[Any], Any]
    ) -> None:
        """Compiles.

        Args:
            kernel: Rows and columns of the kernel.
            received: Maps that go in.
            made: Maps that come out.
            compiled: What compiles an OpenVINO model, in float32.
        """
        self.right = TILE - kernel + 1
        self._made = made
        blocks = _parameter(TILE, TILE * TILES * received)
        self._rows = compiled(_model(_product(_constant(from_rows(TILE)), blocks), blocks))
        lines = _parameter(2 * TILE, TILES * received)
        weights = [_parameter(TILE, received, made) for _ in range(2)]
        found = _product(_constant(from_columns(TILE)), lines)
        found = _reshaped(found, TILE, 2 * TILES, received)
        sums = [
            _product(_constant(matrix), _reshaped(_product(found, one), 2 * TILE, TILES * made))
            for matrix, one in zip(to_columns(self.right), weights, strict=True)
        ]
        self._columns = compiled(_model(opset13.add(*sums), lines, *weights))
        back = _parameter(2 * HALF, self.right * TILES * made)
        self._back = compiled(_model(_product(_constant(to_rows(self.right)), back), back))

    def __call__(self, blocks: Float, weights: Float) -> Float:
        """See ``spectral.Multiply``."""
        lines = _infer(self._rows, blocks.reshape(TILE, -1)).reshape(HALF, 2 * TILE, -1)
        made = np.empty((HALF, 2 * self.right, TILES * self._made), np.float32)
        for number, line in enumerate(lines):
            made[number] = _infer(self._columns, line, weights[0, number], weights[1, number])
        found = _infer(self._back, made.reshape(2 * HALF, -1))
        return found.reshape(self.right, self.right, TILES, self._made)


def _infer(request: Any, *arrays: Float) -> Float:
    found: Float = request.infer(list(arrays), share_inputs=True, share_outputs=True)[0]
    return found


def _model(output: Any, *inputs: Any) -> Model:
    return Model([opset13.result(output)], list(inputs), "spectral")


def _parameter(*size: int) -> Any:
    return opset13.parameter(list(size), np.float32)


def _constant(array: npt.NDArray[Any]) -> Any:
    return opset13.constant(np.ascontiguousarray(array))


def _reshaped(node: Any, *size: int) -> Any:
    return opset13.reshape(node, _constant(np.array(size, np.int64)), False)


def _product(a: Any, b: Any) -> Any:
    return opset13.matmul(a, b, False, False)
