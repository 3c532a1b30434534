"""A published network: described for any engine, built for Keras."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from wmhseg.networks.graph import Graph

if TYPE_CHECKING:
    import keras


class Network:
    """What ``@network`` makes of the function that describes a network.

    Attributes:
        describe: The function: field, channels and options -> Graph. Keras is not needed.
    """

    def __init__(self, describe: Callable[..., Graph]) -> None:
        """Takes the describing function."""
        self.describe = describe
        update_wrapper(self, describe)

    def __call__(self, *arguments: Any, **options: Any) -> keras.Model:
        """Builds a Keras model of random weights; arguments as those of ``describe``.

        It goes from (slice, row, column, channel) to (slice, row, column, 1).
        """
        described = self.describe(*arguments, **options)
        from wmhseg.networks.keras_model import to_keras

        return to_keras(described)


def network(describe: Callable[..., Graph]) -> Network:
    """Makes a Network of the function that describes it."""
    return Network(describe)
