"""Published masks of other tools: read as they are, scored on their own cases only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import Phantom, write_case, write_scan

from evaluation import run
from evaluation.baselines import peers
from wmhseg import errors
from wmhseg.io import images


def test_each_tool_is_scored_on_its_own_cases(phantom: Phantom, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_case(tmp_path / "data" / name, phantom)
    mask = phantom.lesions.astype(np.uint8)
    shifted = np.roll(mask, 1, 2)
    write_scan(tmp_path / "peers" / "a" / "wmh_one.nii.gz", mask, phantom.spacing_mm)
    write_scan(tmp_path / "peers" / "b" / "wmh_one.nii.gz", mask, phantom.spacing_mm)
    write_scan(tmp_path / "peers" / "b" / "wmh_other.nii.gz", shifted, phantom.spacing_mm)
    found = peers.peers(tmp_path / "peers")
    assert [(one.name, one.only) for one in found] == [
        ("one", frozenset({"a", "b"})),
        ("other", frozenset({"b"})),
    ]
    output = tmp_path / "out"
    arguments = ["--data", str(tmp_path / "data"), "--output", str(output), "--no-plots"]
    assert run.main([*arguments, "--quiet"], found) == 0
    rows = (output / "one" / "metrics.csv").read_text().splitlines()
    assert len(rows) == 1 + 2
    copied, _ = images.read_labels(output / "other" / "b" / "result.nii.gz")
    np.testing.assert_array_equal(copied, shifted)
    table = (output / "table.csv").read_text()
    rows = [line for line in table.splitlines() if ",all,all,dsc," in line]
    assert [row.split(",")[1:8] for row in rows] == [
        ["one", "all", "all", "dsc", "2", "0", "1.0"],
        ["other", "all", "all", "dsc", "1", "0", "0.8"],
    ]


def test_a_folder_without_masks(tmp_path: Path) -> None:
    with pytest.raises(errors.MissingFileError, match="wmh_<tool>"):
        peers.peers(tmp_path)


def test_no_case_of_theirs(phantom: Phantom, tmp_path: Path) -> None:
    write_case(tmp_path / "data" / "a", phantom)
    mask = phantom.lesions.astype(np.uint8)
    write_scan(tmp_path / "peers" / "b" / "wmh_one.nii.gz", mask, phantom.spacing_mm)
    found = peers.peers(tmp_path / "peers")
    arguments = ["--data", str(tmp_path / "data"), "--output", str(tmp_path / "out"), "--quiet"]
    assert run.main(arguments, found) == errors.NoCasesError.exit_code
