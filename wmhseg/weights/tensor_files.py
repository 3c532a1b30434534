"""Weights as files: safetensors of finite floating-point arrays, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.errors import WeightsError
from wmhseg.io import files
from wmhseg.networks.variables import Tensors

# A weight file of a 2D network holds a few dozen MB.
_MAX_WEIGHT_BYTES = 1_000_000_000
GET_AGAIN = "Get the model folder again."
"""What to do about a model folder that is damaged."""


def read_tensors(path: Path) -> Tensors:
    """Reads a safetensors file as float32 arrays.

    Raises:
        InputError: If the file is missing or cannot be read.
        WeightsError: If it is not safetensors of finite floating-point arrays.
    """
    return parse_tensors(read_content(path), path.name)


def read_content(path: Path) -> bytes:
    """Reads a weight file once, so that what is checked is what is used.

    Raises:
        InputError: If the file is missing or cannot be read.
        WeightsError: If it is far too large, or stands for weights that are elsewhere.
    """
    with files.reading(path, f'weight file "{path}"', advice=GET_AGAIN) as handle:
        content = handle.read(_MAX_WEIGHT_BYTES + 1)
    if len(content) > _MAX_WEIGHT_BYTES:
        raise WeightsError(f"At most 1 GB of weights was expected in {path}", received="more")
    what, advice = files.pointer(content)
    if what:
        raise WeightsError(f"Weights were expected in {path}", received=what, advice=advice)
    return content


def parse_tensors(content: bytes, file: str) -> Tensors:
    """Reads the content of a safetensors file as float32 arrays.

    Args:
        content: The whole file.
        file: What to call it in messages.

    Raises:
        WeightsError: If it is not safetensors of finite floating-point arrays.
    """
    import safetensors
    from safetensors.numpy import load as parse

    try:
        stored = parse(content)
    # The last two are types of number that NumPy does not have, such as bfloat16.
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError("A safetensors file was expected", received=f"{file}: {error}") from None
    tensors = {}
    for name, array in stored.items():
        if array.dtype.kind != "f":
            raise WeightsError(
                f"Floating-point numbers were expected in {file} at {name}",
                received=array.dtype,
            )
        with np.errstate(over="ignore"):
            tensors[name] = array.astype(np.float32)
        if not np.isfinite(tensors[name]).all():
            raise WeightsError(
                f"Finite numbers were expected in {file} at {name}",
                received="NaN, infinity or values beyond float32",
            )
    return tensors


def write_tensors(
    path: Path, tensors: Mapping[str, npt.NDArray[Any]], dtype: str = "float32"
) -> None:
    """Writes arrays as safetensors: a complete file or none.

    Args:
        path: File to write.
        tensors: Variable path -> array.
        dtype: Type on disk, "float32" or "float16".

    Raises:
        WeightsError: If a value is outside the type's range.
        OutputNotWritableError: If the place cannot be written to.
        DiskFullError: If the disk has no room.
    """
    from safetensors.numpy import save

    stored = {}
    for name, array in sorted(tensors.items()):
        with np.errstate(over="ignore"):
            converted = np.asarray(array, dtype=dtype, order="C")
        if not np.isfinite(converted).all():
            raise WeightsError(f"Values within the range of {dtype} were expected at {name}")
        stored[name] = converted
    # Not safetensors' own save_file, whose files only their owner may read.
    files.write_bytes(path, save(stored))
