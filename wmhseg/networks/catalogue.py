"""The table of networks: name in a preset -> the function that describes the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wmhseg.errors import PresetError
from wmhseg.networks.graph import Graph
from wmhseg.networks.signature import Signature
from wmhseg.networks.stacknet import stacknet
from wmhseg.networks.unet import unet

if TYPE_CHECKING:
    import keras


NETWORKS: dict[str, Callable[..., Graph]] = {"unet": unet, "stacknet": stacknet}


def describe(
    name: str, signature: Signature, options: Mapping[str, int | float | bool | str]
) -> Graph:
    """Describes a network for any engine; Keras is not needed.

    Args:
        name: Name in ``NETWORKS``.
        signature: What goes in and what comes out.
        options: Further arguments of the network.

    Raises:
        PresetError: If there is no such network, or it does not take these options or has other
            inputs or outputs.
    """
    if name not in NETWORKS:
        raise PresetError(
            "A network out of " + ", ".join(NETWORKS) + " was expected", received=f'"{name}"'
        )
    try:
        described = NETWORKS[name](signature, **options)
        signature.check(described)
    except (TypeError, ValueError) as error:
        raise PresetError(
            f"Inputs, labels and options that the network {name} takes were expected",
            received=f"{dict(options)} ({error})",
        ) from None
    return described


def build(
    name: str,
    signature: Signature,
    options: Mapping[str, int | float | bool | str],
    *,
    policy: str = "float32",
) -> keras.Model:
    """Builds a Keras network for inference, in float32 whatever the host program has set.

    Args:
        name: Name in ``NETWORKS``.
        signature: What goes in and what comes out.
        options: Further arguments of the network.
        policy: Keras' name of the types to compute in; variables are float32.

    Returns:
        The network with random weights; see ``keras_model.to_keras``.

    Raises:
        PresetError: As ``describe`` does.
    """
    described = describe(name, signature, options)
    from wmhseg.networks.keras_model import to_keras

    with computing_in(policy):
        return to_keras(described)


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
