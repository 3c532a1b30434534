"""The files about a study."""

from __future__ import annotations

import json
from pathlib import Path

from scored_cases import four_cases

from wmhseg.datasets.cases import Problem, ProblemKind
from wmhseg.scoring import markdown, summary, summary_files
from wmhseg.scoring.summary import Study
from wmhseg.scoring.table import Score


def test_a_study_as_json() -> None:
    content = json.loads(summary_files.to_json(summary.overview(four_cases())))
    assert (content["role"], content["cases"], content["scored"]) == ("validation", 4, 3)
    assert content["groups"]["site"]["B"]["dsc"]["sd"] is None  # one case has no spread
    (small, *_) = content["recall_by_lesion_size_of_groups"]["site"]["B"]
    assert small == {"name": "small", "lesions": 4, "recall": 0.5}
    assert (
        content["recall_by_lesion_size"]
        == (content["recall_by_lesion_size_of_groups"]["all"]["all"])
    )
    assert content["problems"] == [
        {"case": "4", "problem": "missing result", "detail": "nowhere | at all"}
    ]


def test_nothing_scored_is_still_a_summary() -> None:
    study = Study("mine", "demo", (Score("4", problem=Problem(ProblemKind.NO_RESULT, "")),))
    content = json.loads(summary_files.to_json(summary.overview(study)))
    assert content["bland_altman"] is None


def test_text_figures_and_plots_lie_in_one_folder(tmp_path: Path) -> None:
    overview = summary.overview(four_cases())
    summary_files.write(overview, tmp_path, {"volumes.png": b"a plot"})
    assert {path.name for path in tmp_path.iterdir()} == {
        *("summary.json", "summary.md", "volumes.png"),
    }
    assert (tmp_path / "volumes.png").read_bytes() == b"a plot"
    text = (tmp_path / "summary.md").read_text("utf-8")
    assert text == markdown.to_markdown(overview, ["volumes.png"])
    assert (tmp_path / "summary.json").read_text("utf-8") == summary_files.to_json(overview)
