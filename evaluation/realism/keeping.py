"""Arrays that are computed once and kept in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.io import files

Named = Mapping[str, npt.NDArray[Any]]


def kept(file: Path, make: Callable[[], Named]) -> Named:
    """Reads arrays by their names, or makes and writes them, complete or not at all."""
    if not file.is_file():
        made = make()
        file.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(file, lambda handle: np.savez_compressed(handle, **made))
        return made
    with np.load(file, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
