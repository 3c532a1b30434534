"""Tables that can be taken back to a step."""

from __future__ import annotations

from pathlib import Path

import pytest

from wmhseg.errors import ResumeError
from wmhseg.training.journal import Journal, read


def test_rows_after_the_step_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    first = Journal(path, ("step", "loss"), 0)
    for step in (10, 20, 30):
        first.add(step, step / 100)
    assert path.read_text() == "step,loss\n10,0.1\n20,0.2\n30,0.3\n"
    again = Journal(path, ("step", "loss"), 20)
    assert path.read_text() == "step,loss\n10,0.1\n20,0.2\n"
    again.add(30, "a, b")
    assert read(path)[-1] == {"step": "30", "loss": "a, b"}
    assert [row["step"] for row in again.rows] == ["10", "20", "30"]


def test_half_a_row_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    assert read(path) == []
    path.write_text("step,loss\n10,0.1\n20,0.")
    assert read(path) == [{"step": "10", "loss": "0.1"}]
    path.write_text("step,loss\n10,0.1\n20\n")
    assert [row["step"] for row in read(path)] == ["10"]
    Journal(path, ("step", "loss"), 5)
    assert path.read_text() == "step,loss\n"


@pytest.mark.parametrize(
    "content",
    [b"step,loss\n\xff\xfe,1\n", b"step,loss\n" + b"1" * 200_000 + b",2\n", b"loss\n1\n",
     b"step,loss\nten,1\n"],
)  # fmt: skip
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    """Found by the fuzzer: each ended as an internal error when a training was resumed."""
    (tmp_path / "log.csv").write_bytes(content)
    with pytest.raises(ResumeError, match=r"in .*log\.csv"):
        Journal(tmp_path / "log.csv", ("step", "loss"), 5)
