"""The table of published networks: name in a preset -> the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wmhseg.errors import PresetError
from wmhseg.networks.graph import Graph
from wmhseg.networks.network import Network
from wmhseg.networks.stacknet import stacknet
from wmhseg.networks.unet import unet

if TYPE_CHECKING:
    import keras


NETWORKS: dict[str, Network] = {"unet": unet, "stacknet": stacknet}


def describe(
    name: str,
    field: tuple[int, int],
    channels: int,
    options: Mapping[str, int | float | bool | str],
) -> Graph:
    """Describes a network for any engine; Keras is not needed.

    Args:
        name: Name in ``NETWORKS``.
        field: Rows and columns of the input in pixels.
        channels: 2 for FLAIR and T1, 1 for FLAIR alone.
        options: Further arguments of the network.

    Raises:
        PresetError: If there is no such network, or it does not take these options.
    """
    with _options_checked(name, options):
        return NETWORKS[name].describe(field, channels, **options)


def build(
    name: str,
    field: tuple[int, int],
    channels: int,
    options: Mapping[str, int | float | bool | str],
    *,
    policy: str = "float32",
) -> keras.Model:
    """Builds a Keras network for inference, in float32 whatever the host program has set.

    Args:
        name: Name in ``NETWORKS``.
        field: Rows and columns of the input in pixels.
        channels: 2 for FLAIR and T1, 1 for FLAIR alone.
        options: Further arguments of the network.
        policy: Keras' name of the types to compute in; variables are float32.

    Returns:
        The network with random weights.

    Raises:
        PresetError: If there is no such network, or it does not take these options.
    """
    with computing_in(policy), _options_checked(name, options):
        return NETWORKS[name](field, channels, **options)


@contextmanager
def computing_in(policy: str) -> Iterator[None]:
    """Lets Keras build layers of a policy with float32 variables, whatever the host has set."""
    import keras

    types = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_floatx(types[0])
        keras.config.set_dtype_policy(types[1])


@contextmanager
def _options_checked(name: str, options: Mapping[str, int | float | bool | str]) -> Iterator[None]:
    """Raises PresetError unless there is such a network and it takes these options."""
    if name not in NETWORKS:
        raise PresetError(
            "A network out of " + ", ".join(NETWORKS) + " was expected", received=f'"{name}"'
        )
    try:
        yield
    except (TypeError, ValueError) as error:
        raise PresetError(
            f"Options that the network {name} takes were expected",
            received=f"{dict(options)} ({error})",
        ) from None
