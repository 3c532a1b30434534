"""The figures of a study as Markdown."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from wmhseg.datasets.results import OTHERS
from wmhseg.scoring.statistics import Summary
from wmhseg.scoring.summary import CHALLENGE, LABELS, ROLES, SIZE_CLASSES, Overview, Study


def to_markdown(overview: Overview, pictures: Sequence[str] = ()) -> str:
    """A study as Markdown.

    Args:
        overview: Its figures.
        pictures: File names of plots that lie beside the text.

    Returns:
        The text.
    """
    study = overview.study
    lines = [f"# {study.heading}", "", ROLES[study.role], *study.remarks, ""]
    lines += [f"{len(study.scored)} of {len(study.scores)} cases scored.", ""]
    if len(study.scored) < len(study.scores):
        lines[-1:] = ["Means are over the scored cases only.", ""]
    ran = [s for s in study.scored if s.official is not None]
    if ran:
        lines += [f"The organisers' script gives the same numbers on all {len(ran)} cases.", ""]
    everything = overview.groups["all"]["all"]
    lines += _main_table(everything)
    for kind in ("site", "scanner"):
        if kind in overview.groups:
            lines += [f"## By {kind}", "", "Mean (n cases with a value).", ""]
            lines += group_table(kind.capitalize(), overview.groups[kind])
    lines += _volume_lines(overview) + _size_lines(overview)
    for label, metrics in overview.others.items():
        cases = sum(label in score.others for score in study.scored)
        lines += [f"## {label.capitalize()}", ""]
        lines += [f"Label {OTHERS[label]} of the reference, in the {cases} cases that have it.", ""]
        lines += _main_table(metrics)
    lines += _trouble_lines(study)
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


def _volume_lines(overview: Overview) -> list[str]:
    volumes = overview.volumes
    if volumes is None:
        return []
    return [
        "## Volume",
        "",
        f"Result minus reference (Bland-Altman, n = {volumes.n}): bias {number(volumes.bias_ml)} "
        f"ml, limits of agreement {number(volumes.lower_ml)} to {number(volumes.upper_ml)} ml.",
        "",
    ]


def _size_lines(overview: Overview) -> list[str]:
    rows = [
        [SIZE_CLASSES[size.name], str(size.lesions), number(size.recall)] for size in overview.sizes
    ]
    lines = ["## Recall by lesion size", "", "Over the lesions of all cases together.", ""]
    return lines + table(["Voxels", "lesions", "recall"], rows) if overview.study.scored else []


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
