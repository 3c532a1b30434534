"""The table of networks: name in a preset -> the function that describes the network."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

from wmhseg.errors import PresetError
from wmhseg.networks.graph import Graph
from wmhseg.networks.location import location
from wmhseg.networks.signature import Signature
from wmhseg.networks.stacknet import stacknet
from wmhseg.networks.unet import unet
from wmhseg.networks.uresnet import uresnet
from wmhseg.networks.vgg import vgg

NETWORKS: dict[str, Callable[..., Graph]] = {
    "unet": unet,
    "stacknet": stacknet,
    "vgg": vgg,
    "uresnet": uresnet,
    "location": location,
}


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
        _check_types(NETWORKS[name], options)
        described = NETWORKS[name](signature, **options)
        signature.check(described)
    except (TypeError, ValueError) as error:
        raise PresetError(
            f"Inputs, labels and options that the network {name} takes were expected",
            received=f"{dict(options)} ({error})",
        ) from None
    return described


def _check_types(network: Callable[..., Graph], options: Mapping[str, object]) -> None:
    """Raises TypeError for an option of another type than its default: no kernel is 1.5 wide."""
    for name, parameter in inspect.signature(network).parameters.items():
        default, given = parameter.default, options.get(name)
        if name in options and default is not parameter.empty and type(given) is not type(default):
            raise TypeError(f"{name} should be of the type {type(default).__name__}")
