"""The files about a study: summary.json, summary.md and the plots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wmhseg import records
from wmhseg.io import files
from wmhseg.scoring.markdown import to_markdown
from wmhseg.scoring.summary import ROLES, Overview, Sizes
from wmhseg.version import __version__


def write(overview: Overview, folder: Path, pictures: Mapping[str, bytes]) -> None:
    """Write summary.json, summary.md and the plots.

    Args:
        overview: Its figures.
        folder: Where to.
        pictures: File name -> PNG.

    Raises:
        OutputError: It cannot be written.
    """
    for name, content in pictures.items():
        files.write_bytes(folder / name, content)
    files.write_text(folder / "summary.json", to_json(overview))
    files.write_text(folder / "summary.md", to_markdown(overview, list(pictures)))


def to_json(overview: Overview) -> str:
    """A study as JSON; NaN becomes null.

    Args:
        overview: Its figures.

    Returns:
        The text.
    """
    study = overview.study
    problems = [
        {"case": s.case, "problem": s.problem.kind, "detail": s.problem.detail}
        for s in study.scores
        if s.problem is not None
    ]
    ran = [s for s in study.scored if s.official is not None]
    content = {
        "format": 1,
        "title": study.title,
        "role": study.role,
        "role_means": ROLES[study.role],
        "remarks": list(study.remarks),
        "cases": len(study.scores),
        "scored": len(study.scored),
        "problems": problems,
        "notes": [{"case": s.case, "notes": list(s.notes)} for s in study.scores if s.notes],
        "official_script": {"cases_compared": len(ran), "differences": 0} if ran else None,
        "groups": {
            kind: {
                name: {metric: asdict(summary) for metric, summary in metrics.items()}
                for name, metrics in members.items()
            }
            for kind, members in overview.groups.items()
        },
        "bland_altman": asdict(overview.volumes) if overview.volumes else None,
        "recall_by_lesion_size": _sizes(overview.sizes),
        "recall_by_lesion_size_of_groups": {
            kind: {name: _sizes(sizes) for name, sizes in members.items()}
            for kind, members in overview.group_sizes.items()
        },
        "recall_by_lesion_size_of_others": {
            label: _sizes(sizes) for label, sizes in overview.other_sizes.items()
        },
        "others": {
            label: {metric: asdict(summary) for metric, summary in metrics.items()}
            for label, metrics in overview.others.items()
        },
        "versions": {"wmhseg": __version__},
    }
    return records.json_text(content)


def _sizes(sizes: Sizes) -> list[dict[str, Any]]:
    return [asdict(size) for size in sizes]
