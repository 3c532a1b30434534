"""Where the voxels of a synthetic scan live: NumPy arrays, or torch tensors on an accelerator.

All that touches every voxel is written with the functions that both share (the Python array API
standard), so the same code draws scans on either. Choices are drawn on the host by NumPy's
generator: the same seed makes the same choices everywhere; only the numbers of white noise differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import array_api_compat
import array_api_compat.numpy
import numpy as np
import numpy.typing as npt

# A NumPy array or a torch tensor.
Array = Any


@dataclass(frozen=True)
class Arrays:
    """A namespace of array functions and the device they compute on.

    Attributes:
        xp: Functions of the array API standard.
        device: Device name for torch; None with NumPy.
    """

    xp: Any = array_api_compat.numpy
    device: str | None = None

    def put(self, values: npt.ArrayLike) -> Array:
        """Brings host values here; float64 becomes float32."""
        host = np.asarray(values)
        if host.dtype == np.float64:
            host = host.astype(np.float32)
        if self.device is None:
            return host
        return self.xp.asarray(np.ascontiguousarray(host), device=self.device)

    def get(self, values: Array) -> npt.NDArray[Any]:
        """Brings values to the host."""
        return np.asarray(values if self.device is None else values.cpu())

    def standard_normal(self, rng: np.random.Generator, shape: Sequence[int]) -> Array:
        """Draws float32 white noise here; takes one number from ``rng`` whatever the shape."""
        seed = int(rng.integers(2**63))
        if self.device is None:
            return np.random.default_rng(seed).standard_normal(tuple(shape), np.float32)
        import torch

        generator = torch.Generator(self.device).manual_seed(seed)
        return torch.randn(*shape, generator=generator, device=self.device)


NUMPY = Arrays()


def on_torch(device: str = "cuda") -> Arrays:
    """Arrays as torch tensors.

    Args:
        device: A torch device, such as "cuda" or "cpu".
    """
    import array_api_compat.torch

    return Arrays(array_api_compat.torch, device)


def home(values: Array) -> Arrays:
    """Where an array lives, so that others can be brought beside it."""
    if isinstance(values, np.ndarray):
        return NUMPY
    return Arrays(namespace(values), str(array_api_compat.device(values)))


def namespace(values: Array) -> Any:
    """The functions for an array at hand."""
    return array_api_compat.array_namespace(values)


def look_up(table: npt.ArrayLike, index: Array) -> Array:
    """Values of a host table at every point of an array of indices, of any shape."""
    here = home(index)
    flat = here.xp.astype(here.xp.reshape(index, (-1,)), here.xp.int64)
    return here.xp.reshape(here.xp.take(here.put(table), flat, axis=0), index.shape)
