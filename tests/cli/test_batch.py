"""The command batch: what it is given."""

from __future__ import annotations

from pathlib import Path

from wmhseg import errors
from wmhseg.cli.main import main


def test_batch_needs_subjects(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    assert main(["batch", str(tmp_path), "--output", out]) == errors.NoCasesError.exit_code
    assert main(["batch", str(tmp_path / "none.tsv"), "--output", out]) == 80
    assert not (tmp_path / "out").exists()
