"""The table of published networks: name in a preset -> function that builds it."""

from __future__ import annotations

from collections.abc import Callable

import keras

from wmhseg.networks.stacknet import stacknet
from wmhseg.networks.unet import unet

NETWORKS: dict[str, Callable[..., keras.Model]] = {"unet": unet, "stacknet": stacknet}

__all__ = ["NETWORKS", "stacknet", "unet"]
