"""The figures of a study as Markdown."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from wmhseg.datasets.results import OTHERS
from wmhseg.scoring.statistics import Summary
from wmhseg.scoring.summary import (
    CHALLENGE,
    LABELS,
    ROLES,
    SIZE_CLASSES,
    Overview,
    Sizes,
    Study,
)

SIZE_HEADS = tuple(LABELS[f"{name}_recall"] for name in SIZE_CLASSES)
"""Columns of recall by size of lesion."""

IN_BRACKETS = (
    "Mean (n cases with a value); recall by size of lesion: of all lesions together (n lesions)."
)
"""What the numbers of ``group_table`` are."""

HOW_COUNTED = (
    "Over the lesions of all cases together. A lesion is a 26-connected part of the reference, as "
    "the challenge counts them; its size is in voxels of the reference's grid, and one marked "
    "voxel detects it."
)


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
    everything, sizes = overview.groups["all"]["all"], overview.group_sizes
    lines += _main_table(everything)
    for kind in ("site", "scanner"):
        if kind in overview.groups:
            lines += [f"## By {kind}", "", IN_BRACKETS, ""]
            lines += group_table(kind.capitalize(), overview.groups[kind], sizes[kind])
    lines += _volume_lines(overview)
    if study.scored:
        lines += ["## Recall by lesion size", "", HOW_COUNTED, "", *_size_table(overview.sizes)]
    for label, metrics in overview.others.items():
        cases = sum(label in score.others for score in study.scored)
        lines += [f"## {label.capitalize()}", ""]
        lines += [f"Label {OTHERS[label]} of the reference, in the {cases} cases that have it.", ""]
        lines += _main_table(metrics) + _size_table(overview.other_sizes[label])
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


def group_table(
    title: str, groups: Mapping[str, Mapping[str, Summary]], sizes: Mapping[str, Sizes]
) -> list[str]:
    """A Markdown table of the challenge's metrics and of recall by size, one row a group.

    Args:
        title: Name of the first column.
        groups: Name -> metric -> figures.
        sizes: Name -> recall by size of lesion.

    Returns:
        Lines, the last one empty.
    """
    rows = [
        [
            name,
            *(f"{number(metrics[m].mean)} ({metrics[m].n})" for m in CHALLENGE),
            *size_cells(sizes[name]),
        ]
        for name, metrics in groups.items()
    ]
    return table([title, *(LABELS[m] for m in CHALLENGE), *SIZE_HEADS], rows)


def size_cells(sizes: Sizes) -> list[str]:
    """Recall of each size class with its number of lesions, as cells below ``SIZE_HEADS``."""
    return [f"{number(size.recall)} ({size.lesions})" for size in sizes]


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


def _size_table(sizes: Sizes) -> list[str]:
    rows = [[SIZE_CLASSES[size.name], str(size.lesions), number(size.recall)] for size in sizes]
    return table(["Voxels", "lesions", "recall"], rows)


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
