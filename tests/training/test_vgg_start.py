"""A training that starts from Keras' public VGG16."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from wmhseg.training import session
from wmhseg.training.plan import Run
from wmhseg.weights import vgg16


@pytest.mark.parametrize("ending", [".h5", ".HDF5"])
def test_an_hdf5_file_is_read_as_vgg16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """Not as a weight file of ours, and without looking for what lies beside it."""
    path = tmp_path / f"notop{ending}"
    tensors = {"block1_conv1/kernel": np.ones((3, 3, 3, 64), np.float32)}
    asked: list[Path] = []

    def read(given: Path) -> dict[str, np.ndarray]:
        asked.append(given)
        return tensors

    monkeypatch.setattr(vgg16, "read", read)
    run = Run("only", "vgg", start_from=str(path), steps=1)
    plan: Any = SimpleNamespace(plan=SimpleNamespace(runs=(run,)), output=tmp_path)
    start = session._start(plan, run)
    assert start is not None
    assert (start.name, start.tensors, start.inputs) == (path.name, tensors, None)
    assert asked == [path]
