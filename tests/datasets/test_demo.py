"""The command that tries everything, on the case that the project provides, with a small model.

With the default model it is run by ``tests/first_hour.sh``, and its case by
``tests/test_notebook.py``.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import SimpleITK as sitk

from wmhseg.cli.main import main
from wmhseg.reporting.sheet import OUTLINE
from wmhseg.weights import preset, store


@pytest.fixture
def small_default(models_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts a model that takes the bright for WMH in the place of the default one."""
    folder = shutil.copytree(
        models_folder / "bright-needs-t1", tmp_path / "models" / store.DEFAULT_MODEL
    )
    made = replace(store.find(folder).preset, name=store.DEFAULT_MODEL)
    (folder / "preset.json").write_text(preset.to_json(made), encoding="utf-8")
    monkeypatch.setenv("WMHSEG_MODELS", str(tmp_path / "models"))


def test_demo_segments_the_case_that_it_writes(tmp_path: Path, small_default: None) -> None:
    assert main(["demo", "--output", str(tmp_path), "--quiet"]) == 0
    names = sorted(p.name for p in (tmp_path / "output").iterdir())
    assert names == ["overlay.png", "result.json", "result.nii.gz"]
    flair, result = (
        sitk.ReadImage(str(tmp_path / name))
        for name in ("input/pre/FLAIR.nii.gz", "output/result.nii.gz")
    )
    assert result.GetSize() == flair.GetSize()
    told = json.loads((tmp_path / "output" / "result.json").read_text())
    assert told["model"] == store.DEFAULT_MODEL
    (warning,) = told["warnings"]  # of the small model, and none of the case
    assert "outside the 64 x 64 pixels" in warning
    marked = int(sitk.GetArrayFromImage(result).sum())
    assert told["volume_ml"] == round(marked * 3 / 1000, 4) > 1
    picture = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "output" / "overlay.png")))
    assert (picture == OUTLINE).all(-1).sum() > 300
