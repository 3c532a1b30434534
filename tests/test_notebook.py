"""The notebook of the docs, cell by cell, as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import SimpleITK as sitk
from conftest import ROOT

from wmhseg.reporting.sheet import OUTLINE
from wmhseg.scoring import metrics

NOTEBOOK = ROOT / "docs" / "first-steps.ipynb"


def cells() -> list[str]:
    """The code of a notebook, one text a cell."""
    content = json.loads(NOTEBOOK.read_text("utf-8"))
    return ["".join(c["source"]) for c in content["cells"] if c["cell_type"] == "code"]


def test_every_cell_runs_and_tells_the_truth(tmp_path: Path) -> None:
    # What a cell asserts here is what its text promises.
    promised = "\n".join(
        [
            *cells(),
            "assert 10 < lesions.volume_ml < 20, lesions",
            "assert lesions.count > 20",
            "assert result.report.t1_used",
            "assert not result.report.warnings",
            "assert mask[index].any()",
            "assert volumes == sorted(volumes, reverse=True)",
            "assert abs(np.interp(used, thresholds, volumes) - lesions.volume_ml) < 2",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-c", promised],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert "ml in" in done.stdout
    folder = tmp_path / "wmhseg-demo"
    names = sorted(path.name for path in folder.iterdir())
    assert {"wmh.nii.gz", "wmh.json", "wmh.png"} <= set(names)
    assert str(names) in done.stdout
    check_the_lesions_it_drew(folder)


def check_the_lesions_it_drew(folder: Path) -> None:
    """The main job on the case that the project provides, with the default model."""
    reference, result = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(folder / name)))
        for name in ("input/wmh.nii.gz", "wmh.nii.gz")
    )
    found = metrics.evaluate(reference, result, (3.0, 1.0, 1.0))
    # The synthetic case resembles what the model was trained on: this is no measure of accuracy.
    # Its reference holds less of the lesions' borders than that training marks.
    assert found.dsc > 0.8
    told = json.loads((folder / "wmh.json").read_text("utf-8"))
    assert told["warnings"] == []
    assert told["volume_ml"] == round(found.result_ml, 4)
    picture = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "wmh.png")))
    assert (picture == OUTLINE).all(-1).sum() > 300
