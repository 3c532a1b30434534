"""A study as Markdown."""

from __future__ import annotations

from scored_cases import four_cases

from wmhseg.datasets.cases import Problem, ProblemKind
from wmhseg.scoring import markdown, summary
from wmhseg.scoring.summary import Study
from wmhseg.scoring.table import Score


def test_a_study_as_markdown() -> None:
    text = markdown.to_markdown(summary.overview(four_cases()), ["volumes.png"])
    assert text.startswith("# mine: validation data\n")
    assert "not test figures" in text
    assert "3 of 4 cases scored" in text
    assert "Means are over the scored cases only." in text
    assert "| H95 (mm) | 2 | 1 | 1.850 |" in text
    assert "| 4 | missing result | nowhere \\| at all |" in text
    assert "![volumes](volumes.png)" in text
    assert "26-connected" in text
    assert "| < 10 | 6 | 0.667 |" in text
    rows = [line for line in text.splitlines() if line.startswith("| B | 0.900 (1)")]
    assert len(rows) == 2  # by site and by scanner
    assert all(row.endswith("| 0.500 (4) | 1.000 (1) | 1.000 (1) |") for row in rows)


def test_nothing_scored_is_still_a_summary() -> None:
    study = Study("mine", "demo", (Score("4", problem=Problem(ProblemKind.NO_RESULT, "")),))
    text = markdown.to_markdown(summary.overview(study))
    assert text.startswith("# mine: demo\n")
    assert "0 of 1 cases scored" in text
