"""What the scores of a study mean together: groups, means with intervals, JSON and Markdown."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from wmhseg.datasets.folders import natural
from wmhseg.io import files
from wmhseg.scoring import statistics
from wmhseg.scoring.metrics import BlandAltman, bland_altman
from wmhseg.scoring.statistics import Bootstrap, Summary
from wmhseg.scoring.table import COUNTS, VALUES, Score
from wmhseg.version import __version__

Role = Literal["validation", "test", "demo"]
ROLES: Mapping[Role, str] = {
    "validation": "Validation data: they may have been used to choose something. These are not "
    "test figures.",
    "test": "Test data: not used to train or to choose anything that is scored here.",
    "demo": "Demonstration on synthetic data: it shows that everything runs, not how good it is.",
}
"""What a study's data were used for, and what its tables say about it."""

LABELS: Mapping[str, str] = {
    "dsc": "DSC",
    "h95_mm": "H95 (mm)",
    "avd_percent": "AVD (%)",
    "recall": "Lesion recall",
    "f1": "Lesion F1",
    "precision": "Lesion precision",
    "panoptic_quality": "Panoptic quality",
    "assd_mm": "Surface distance (mm)",
    "reference_ml": "Volume, reference (ml)",
    "result_ml": "Volume, result (ml)",
    "volume_bias_ml": "Volume bias (ml)",
    "small_recall": "Recall, < 10 voxels",
    "medium_recall": "Recall, 10-20 voxels",
    "large_recall": "Recall, > 20 voxels",
}
"""How a metric is called in tables and plots."""

CHALLENGE: tuple[str, ...] = ("dsc", "h95_mm", "avd_percent", "recall", "f1")
SIZE_CLASSES: Mapping[str, str] = {"small": "< 10", "medium": "10-20", "large": "> 20"}
"""Size classes of lesions, and their limits in voxels."""


@dataclass(frozen=True)
class Study:
    """Scores of one method on one set of cases.

    Attributes:
        title: What was scored.
        role: What the data were used for.
        scores: One for each case, those that could not be scored too.
        remarks: Sentences to print with the figures.
    """

    title: str
    role: Role
    scores: tuple[Score, ...]
    remarks: tuple[str, ...] = ()

    @property
    def heading(self) -> str:
        """Title with the role of the data, which no table is without."""
        return f"{self.title}: {self.role} data" if self.role != "demo" else f"{self.title}: demo"

    @property
    def scored(self) -> tuple[Score, ...]:
        """The scores that have values."""
        return tuple(score for score in self.scores if score.scored)


@dataclass(frozen=True)
class SizeClass:
    """Recall of lesions of one size over all cases together.

    Attributes:
        name: A key of ``SIZE_CLASSES``.
        lesions: Their number.
        recall: Detected / all, NaN if there are none.
    """

    name: str
    lesions: int
    recall: float


@dataclass(frozen=True)
class Overview:
    """Everything that is told about a study besides its table of scores.

    Attributes:
        study: The study.
        groups: Kind ("all", "site", "scanner") -> name -> metric -> figures.
        volumes: Agreement of the volumes, None with fewer than two cases.
        sizes: Recall by size of lesion.
    """

    study: Study
    groups: Mapping[str, Mapping[str, Mapping[str, Summary]]]
    volumes: BlandAltman | None
    sizes: tuple[SizeClass, ...] = field(default=())


def challenge_summary(scores: Iterable[Score]) -> dict[str, Summary]:
    """Summarise the five challenge metrics over all scored cases.

    Args:
        scores: All scores.

    Returns:
        Figures of each metric.
    """
    return _summaries(list(scores), CHALLENGE, None)


def overview(study: Study, bootstrap: Bootstrap | None = None) -> Overview:
    """Summarise a study: all cases, each site, each scanner.

    Args:
        study: The study.
        bootstrap: How the intervals are drawn.

    Returns:
        All figures.
    """
    scored = study.scored
    names = [name for name in VALUES if name not in COUNTS]
    groups: dict[str, dict[str, dict[str, Summary]]] = {
        "all": {"all": _summaries(scored, names, bootstrap)}
    }
    for kind, members in (("site", _by(scored, "site")), ("scanner", _by(scored, "place"))):
        if any(members):  # a group without a name means that nothing is known
            groups[kind] = {
                name or "unknown": _summaries(group, names, bootstrap)
                for name, group in members.items()
            }
    if groups.get("site", {}).keys() == groups.get("scanner", {}).keys():
        groups.pop("scanner", None)
    volumes = [
        (s.values["reference_ml"], s.values["result_ml"])
        for s in scored
        if {"reference_ml", "result_ml"} <= s.values.keys()
    ]
    agreement = bland_altman(*zip(*volumes, strict=True)) if len(volumes) > 1 else None
    return Overview(study, groups, agreement, size_classes(scored))


def size_classes(scores: Sequence[Score]) -> tuple[SizeClass, ...]:
    """Recall by size of lesion, over the lesions of all cases together.

    Args:
        scores: Scored cases.

    Returns:
        One record for each of ``SIZE_CLASSES``.
    """
    found = []
    for name in SIZE_CLASSES:
        cases = [
            (s.values[f"{name}_recall"], int(s.values[f"{name}_lesions"]))
            for s in scores
            if {f"{name}_recall", f"{name}_lesions"} <= s.values.keys()
        ]
        lesions = sum(count for _, count in cases)
        detected = sum(recall * count for recall, count in cases if count)
        found.append(SizeClass(name, lesions, detected / lesions if lesions else math.nan))
    return tuple(found)


def by_place(scores: Sequence[Score]) -> dict[str, list[Score]]:
    """Scored cases by site and scanner; the name is "" where nothing is known.

    Args:
        scores: All scores.

    Returns:
        Name -> scores, in natural order of the names.
    """
    return _by([score for score in scores if score.scored], "place")


def _by(scores: Sequence[Score], key: str) -> dict[str, list[Score]]:
    groups: dict[str, list[Score]] = {}
    for score in sorted(scores, key=lambda s: natural(getattr(s, key))):
        groups.setdefault(getattr(score, key), []).append(score)
    return groups


def _summaries(
    scores: Sequence[Score], names: Sequence[str], bootstrap: Bootstrap | None
) -> dict[str, Summary]:
    return {
        name: statistics.summarise(
            [s.values.get(name, math.nan) for s in scores if s.scored], bootstrap
        )
        for name in names
    }


# Out ----------------------------------------------------------------------------------------------


def write(found: Overview, folder: Path, pictures: Mapping[str, bytes]) -> None:
    """Write summary.json, summary.md and the plots.

    Args:
        found: The overview.
        folder: Where to.
        pictures: File name -> PNG.

    Raises:
        OutputError: It cannot be written.
    """
    for name, content in pictures.items():
        files.write_bytes(folder / name, content)
    files.write_text(folder / "summary.json", to_json(found))
    files.write_text(folder / "summary.md", to_markdown(found, list(pictures)))


def to_json(found: Overview) -> str:
    """The overview as JSON; NaN becomes null.

    Args:
        found: The overview.

    Returns:
        The text.
    """
    study = found.study
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
            for kind, members in found.groups.items()
        },
        "bland_altman": asdict(found.volumes) if found.volumes else None,
        "recall_by_lesion_size": [asdict(size) for size in found.sizes],
        "versions": {"wmhseg": __version__},
    }
    return json_text(content)


def json_text(content: Any) -> str:
    """Plain values as JSON; NaN becomes null."""
    return json.dumps(_without_nan(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def to_markdown(found: Overview, pictures: Sequence[str] = ()) -> str:
    """The overview as Markdown.

    Args:
        found: The overview.
        pictures: File names of plots that lie beside the text.

    Returns:
        The text.
    """
    study = found.study
    lines = [f"# {study.heading}", "", ROLES[study.role], *study.remarks, ""]
    lines += [f"{len(study.scored)} of {len(study.scores)} cases scored.", ""]
    if len(study.scored) < len(study.scores):
        lines[-1:] = ["Means are over the scored cases only.", ""]
    ran = [s for s in study.scored if s.official is not None]
    if ran:
        lines += [f"The organisers' script gives the same numbers on all {len(ran)} cases.", ""]
    everything = found.groups["all"]["all"]
    lines += _main_table(everything)
    for kind in ("site", "scanner"):
        if kind in found.groups:
            lines += [f"## By {kind}", "", "Mean (n cases with a value).", ""]
            lines += group_table(kind.capitalize(), found.groups[kind])
    lines += _volume_lines(found) + _size_lines(found) + _trouble_lines(study)
    lines += [f"![{Path(name).stem.replace('_', ' ')}]({name})\n" for name in pictures]
    return "\n".join(lines).rstrip() + "\n"


def number(value: float) -> str:
    """A number as tables show it."""
    if math.isnan(value):
        return "–"  # noqa: RUF001 - a dash for "no value"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table.

    Args:
        head: Names of the columns.
        rows: Texts, as many in each row.

    Returns:
        Lines, the last one empty.
    """
    rows = list(rows)
    # Columns of numbers to the right, all others to the left.
    first = rows[0] if rows else head
    rule = ["--:" if re.match(r"[-–(\d]", text) else "---" for text in first]  # noqa: RUF001
    rule[0] = "---"
    lines = [head, rule, *rows]
    escaped = (" | ".join(text.replace("|", "\\|") for text in line) for line in lines)
    return [*(f"| {line} |" for line in escaped), ""]


def group_table(title: str, groups: Mapping[str, Mapping[str, Summary]]) -> list[str]:
    """A Markdown table of the challenge's metrics, one row a group.

    Args:
        title: Name of the first column.
        groups: Name -> metric -> figures.

    Returns:
        Lines, the last one empty.
    """
    rows = [
        [name, *(f"{number(metrics[m].mean)} ({metrics[m].n})" for m in CHALLENGE)]
        for name, metrics in groups.items()
    ]
    return table([title, *(LABELS[m] for m in CHALLENGE)], rows)


def _main_table(metrics: Mapping[str, Summary]) -> list[str]:
    rows = [
        [
            LABELS[name],
            str(s.n),
            str(s.n_nan),
            number(s.mean),
            f"{number(s.mean_low)} to {number(s.mean_high)}",
            number(s.median),
            number(s.sd),
        ]
        for name, s in metrics.items()
    ]
    return [
        *table(["", "n", "NaN", "mean", "95 % interval", "median", "SD"], rows),
        "n: cases with a value; NaN: cases where the metric is undefined, left out of the rest.",
        "Interval: of the mean, by bootstrap over cases.",
        "",
    ]


def _volume_lines(found: Overview) -> list[str]:
    volumes = found.volumes
    if volumes is None:
        return []
    return [
        "## Volume",
        "",
        f"Result minus reference (Bland-Altman, n = {volumes.n}): bias {number(volumes.bias_ml)} "
        f"ml, limits of agreement {number(volumes.lower_ml)} to {number(volumes.upper_ml)} ml.",
        "",
    ]


def _size_lines(found: Overview) -> list[str]:
    rows = [
        [SIZE_CLASSES[size.name], str(size.lesions), number(size.recall)] for size in found.sizes
    ]
    lines = ["## Recall by lesion size", "", "Over the lesions of all cases together.", ""]
    return lines + table(["Voxels", "lesions", "recall"], rows) if found.study.scored else []


def _trouble_lines(study: Study) -> list[str]:
    problems = [(s.case, s.problem) for s in study.scores if s.problem is not None]
    lines = []
    if problems:
        counts = Counter(problem.kind for _, problem in problems)
        total = ", ".join(f"{count} x {kind}" for kind, count in counts.items())
        lines += ["## Problems", "", f"{total}.", ""]
        lines += table(["Case", "problem", "detail"], [(c, p.kind, p.detail) for c, p in problems])
    notes = [(s.case, note) for s in study.scores for note in s.notes]
    if notes:
        lines += ["## Notes on values", "", *(f"- {case}: {note}" for case, note in notes), ""]
    return lines
