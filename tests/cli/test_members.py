"""What each network says, from the command that segments to the one that measures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from conftest import Phantom, write_scan

from wmhseg import errors
from wmhseg.cli.main import main


def test_maps_of_networks_lead_to_their_disagreement(
    phantom: Phantom, use_anatomy: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_scan(tmp_path / "F.nii.gz", phantom.flair, phantom.spacing_mm)
    write_scan(tmp_path / "T1.nii.gz", phantom.t1, phantom.spacing_mm)
    run = ["segment", "--model", "bright", "--flair", "F.nii.gz", "--t1", "T1.nii.gz",
           "--on-unsuitable", "warn", "--output", "wmh.nii.gz", "--quiet"]  # fmt: skip
    assert (
        main([*run, "--probability", "p.nii.gz", "--members", "m.nii.gz", "--report", "r.html"])
        == 0
    )
    maps = [
        sitk.GetArrayFromImage(sitk.ReadImage(f"{name}.nii.gz")) for name in ("m_0", "m_1", "p")
    ]
    np.testing.assert_allclose((maps[0] + maps[1]) / 2, maps[2], atol=1e-6)
    assert (maps[0] != maps[1]).any()
    told = json.loads(Path("wmh.json").read_text("utf-8"))
    assert told["files"]["member_0"] == "m_0.nii.gz"
    assert told["files"]["member_1"] == "m_1.nii.gz"
    page = Path("r.html").read_text("utf-8")
    assert "Range of networks" in page
    assert "no maps of members were given" not in page

    words = ["measure", "--flair", "F.nii.gz", "--mask", "wmh.nii.gz", "--output", "measures"]
    assert main([*words, "--members", "m_0.nii.gz", "m_1.nii.gz", "--quiet"]) == 0
    unsure = json.loads(Path("measures/measures.json").read_text("utf-8"))["uncertainty"]
    marked = sorted(float((one > told["threshold"]).sum()) for one in maps[:2])
    voxel_ml = np.prod(phantom.spacing_mm) / 1000
    assert unsure["members"]["volume_ml"] == pytest.approx([n * voxel_ml for n in marked], abs=1e-4)

    # The next run does not write them: none of the earlier one stays.
    assert main(run) == 0
    assert not list(tmp_path.glob("m_*.nii.gz"))


def test_maps_of_networks_that_cannot_be_written(
    use_models: Path, tmp_path: Path, phantom: Phantom, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Neither under a name of another kind nor in place of a scan."""
    monkeypatch.chdir(tmp_path)
    scan = write_scan(tmp_path / "m_0.nii.gz", phantom.flair, phantom.spacing_mm)
    before = scan.read_bytes()
    run = ["segment", "--model", "bright-flair", "--flair", "m_0.nii.gz", "--output", "w.nii.gz"]
    for name in ("m.txt", "m.nii.gz"):
        assert main([*run, "--members", name]) == errors.UsageError.exit_code
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert scan.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["m_0.nii.gz"]
