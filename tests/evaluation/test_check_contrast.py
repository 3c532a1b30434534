"""What check says of synthetic scans."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation import check_contrast


def test_counts_and_table(
    labels_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "pairs.csv"
    words = ["--labels", str(labels_folder), "--pairs", "2", "--output", str(table)]
    assert check_contrast.main(words) == 0
    assert "pair in order: stopped" in capsys.readouterr().out
    assert len(table.read_text().splitlines()) == 3
    assert check_contrast.main(["--labels", str(tmp_path / "none")]) == 80
