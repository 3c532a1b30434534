"""The main job on the case that the project provides, with the default model."""

from __future__ import annotations

import json
from pathlib import Path

import SimpleITK as sitk

from wmhseg.cli.main import main
from wmhseg.reporting.sheet import OUTLINE
from wmhseg.scoring import metrics


def test_demo_finds_the_lesions_it_drew(tmp_path: Path) -> None:
    assert main(["demo", "--output", str(tmp_path), "--quiet"]) == 0
    names = sorted(p.name for p in (tmp_path / "output").iterdir())
    assert names == ["overlay.png", "result.json", "result.nii.gz"]
    reference, result = (
        sitk.ReadImage(str(tmp_path / name))
        for name in ("input/wmh.nii.gz", "output/result.nii.gz")
    )
    found = metrics.evaluate(
        sitk.GetArrayFromImage(reference), sitk.GetArrayFromImage(result), (3.0, 1.0, 1.0)
    )
    # The synthetic case resembles what the model was trained on: this is no measure of accuracy.
    # Its reference holds less of the lesions' borders than that training marks.
    assert found.dsc > 0.8
    told = json.loads((tmp_path / "output" / "result.json").read_text())
    assert told["warnings"] == []
    assert told["volume_ml"] == round(found.result_ml, 4)
    picture = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "output" / "overlay.png")))
    assert (picture == OUTLINE).all(-1).sum() > 300
