"""The notebook of the docs, cell by cell, as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

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
    names = sorted(path.name for path in (tmp_path / "wmhseg-demo").iterdir())
    assert {"wmh.nii.gz", "wmh.json", "wmh.png"} <= set(names)
    assert str(names) in done.stdout
