"""The table of published networks: name in a preset -> function that builds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras

from wmhseg.errors import PresetError
from wmhseg.networks.stacknet import stacknet
from wmhseg.networks.unet import unet

NETWORKS: dict[str, Callable[..., keras.Model]] = {"unet": unet, "stacknet": stacknet}

__all__ = ["NETWORKS", "build", "stacknet", "unet"]


def build(
    name: str,
    field: tuple[int, int],
    channels: int,
    options: Mapping[str, int | float | bool | str],
) -> keras.Model:
    """Builds a network for inference, in float32 whatever the host program has set.

    Args:
        name: Name in ``NETWORKS``.
        field: Rows and columns of the input in pixels.
        channels: 2 for FLAIR and T1, 1 for FLAIR alone.
        options: Further arguments of the network.

    Returns:
        The network with random weights.

    Raises:
        PresetError: If there is no such network, or it does not take these options.
    """
    if name not in NETWORKS:
        raise PresetError(
            "A network out of " + ", ".join(NETWORKS) + " was expected", received=f'"{name}"'
        )
    types = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    try:
        return NETWORKS[name](field, channels, **options)
    except (TypeError, ValueError) as error:
        raise PresetError(
            f"Options that the network {name} takes were expected",
            received=f"{dict(options)} ({error})",
        ) from None
    finally:
        keras.config.set_floatx(types[0])
        keras.config.set_dtype_policy(types[1])
