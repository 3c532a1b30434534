"""What check says of synthetic scans, and how rates are made of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluation import check_contrast, synthetic_pairs
from wmhseg.synthesis.heads import load_heads


def test_table_rates_and_going_on(
    labels_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, drawn = tmp_path / "pairs.csv", tmp_path / "drawn"
    words = ["--labels", str(labels_folder), "--table", str(table), "--drawn", str(drawn)]
    assert check_contrast.main([*words, "--pairs", "2"]) == 0
    assert "1 odd pairs that were in view" in capsys.readouterr().out
    first = table.read_text()
    assert len(first.splitlines()) == 5
    assert len(list(drawn.iterdir())) == 2
    # What is there is neither drawn nor measured again, nor are labels needed.
    nowhere = ["--labels", str(tmp_path / "none"), *words[2:], "--pairs", "2"]
    assert check_contrast.main([*nowhere, "--resume"]) == 0
    table.unlink()
    assert check_contrast.main(nowhere) == 0
    assert table.read_text() == first
    assert check_contrast.main([*nowhere[:-1], "3"]) == 80


def test_pairs_come_from_their_number(labels_folder: Path, tmp_path: Path) -> None:
    heads = load_heads(labels_folder)
    one, again = (synthetic_pairs.draw(3, heads) for _ in range(2))
    np.testing.assert_array_equal(one.flair.array, again.flair.array)
    assert one.stripped == again.stripped
    assert (synthetic_pairs.draw(4, heads).flair.array.shape != one.flair.array.shape) or (
        synthetic_pairs.draw(4, heads).flair.array != one.flair.array
    ).any()
    thin = synthetic_pairs.thinned(one)
    synthetic_pairs.write(tmp_path / "3.npz", thin)
    kept = synthetic_pairs.read(tmp_path / "3.npz")
    assert kept.t1.grid == thin.t1.grid
    assert (kept.stripped, kept.badly, kept.grey) == (one.stripped, one.badly, one.grey)
    assert np.corrcoef(kept.t1.array.ravel(), thin.t1.array.ravel())[0, 1] > 0.999999


def row(pair: int, scan: str, **values: str) -> dict[str, str]:
    plain = dict.fromkeys(check_contrast.FIELDS, "")
    plain |= {"stripped": "neither", "lost_below": "0", "lost_above": "0", "grey": "0.7",
              "share_frequent": "0.05", "share_even": "0.05"}  # fmt: skip
    return plain | {"pair": str(pair), "scan": scan, "kind": scan} | values


def test_rates_by_hand() -> None:
    table = [
        row(1, "FLAIR", share_frequent="0.6", share_even="0.7"),
        row(1, "T1"),
        row(3, "FLAIR", kind="T1", stripped="both, one mask", one_stripped="True"),
        row(3, "T1", stripped="both, one mask", lost_below="0.2", cut_told="coverage"),
        row(4, "FLAIR", kind="T1"),
        row(4, "T1"),
    ]
    found = {name: (count, of) for name, count, of in check_contrast.rates(table)}
    assert found["wrongly stopped: FLAIR alone"] == (2, 3)
    assert found["rightly stopped: pair exchanged"] == (3, 3)
    assert found["stripped both, one mask: called one of two"] == (1, 1)
    assert found["T1 without a tenth of the brain: told"] == (1, 1)
    lines = list(check_contrast.summary(table))
    assert lines[0].startswith("2 odd pairs")  # the even one chose the limits
    assert any("FLAIR alone" in line and "1 of 2" in line for line in lines)


def test_interval_by_hand() -> None:
    """Wilson (1927): none of 10 is up to 28 %, half of 10 is 24 to 76 %."""
    assert check_contrast.interval(0, 10) == pytest.approx((0, 0.278), abs=1e-3)
    assert check_contrast.interval(5, 10) == pytest.approx((0.237, 0.763), abs=1e-3)
    assert check_contrast.interval(0, 0) == (0, 1)
