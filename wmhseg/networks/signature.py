"""What goes into a network and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wmhseg.networks.graph import Convolution, Graph, InputLayer, Inside, Layer, Patchwise

Activation = Literal["sigmoid", "softmax"]

SCAN = "scan"
"""Name of the input layer of a network that has only one."""


@dataclass(frozen=True)
class Signature:
    """Both ends of a network.

    Attributes:
        field: Rows and columns of all inputs and of the output, in pixels.
        inputs: Name and number of channels of each input layer (port), in order.
        labels: Number of maps that come out.
        activation: "sigmoid" for labels that do not depend on each other, "softmax" for labels of
            which each pixel has exactly one.
    """

    field: tuple[int, int]
    inputs: tuple[tuple[str, int], ...]
    labels: int = 1
    activation: Activation = "sigmoid"

    def input_layer(self, port: str) -> Layer:
        """The input layer of a port, (row, column, channel).

        Raises:
            KeyError: If there is no such port.
        """
        return Layer(InputLayer((*self.field, dict(self.inputs)[port])), (), port)

    def only_input(self) -> Layer:
        """The input layer of a network that is made for one port.

        Raises:
            ValueError: If there are several ports.
        """
        if len(self.inputs) != 1:
            names = ", ".join(port for port, _ in self.inputs)
            raise ValueError(f"One input layer was expected. Received: {names or 'none'}.")
        return self.input_layer(self.inputs[0][0])

    def output_layer(self, maps: Layer) -> Layer:
        """The layer "output": from the last maps, (row, column, map), to a probability a label."""
        return Layer(Convolution(self.labels, 1, self.activation), (maps,), "output")

    def check(self, described: Graph) -> None:
        """Checks that a network has these ends.

        Raises:
            ValueError: If it takes other inputs, or gives other probabilities, or if a layer bears
            the name of a port.
        """
        names = [layer.name for layer in described.layers]
        if len(set(names)) < len(names):
            raise ValueError(f"Layers of different names were expected. Received: {sorted(names)}.")
        taken = {layer.name: layer.size for layer in described.inputs}
        expected = {port: (*self.field, channels) for port, channels in self.inputs}
        if taken != expected:
            raise ValueError(f"The inputs {expected} were expected. Received: {taken}.")
        size, end = (*self.field, self.labels), described.output
        if isinstance(end.operation, Inside):
            end = end.inputs[0]
        last = end.operation
        if isinstance(last, Patchwise):
            last = last.described.output.operation
        activation = last.activation if isinstance(last, Convolution) else None
        if (end.size, activation) != (size, self.activation):
            raise ValueError(
                f"An output of {size} with {self.activation} was expected. "
                f"Received: {end.size} with {activation}."
            )
