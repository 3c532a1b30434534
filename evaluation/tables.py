"""Tables of an evaluation: contenders side by side, as text, CSV and Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import wmhseg
from evaluation.contender import Contender
from wmhseg.scoring import comparison, markdown, ranking
from wmhseg.scoring.markdown import number, table
from wmhseg.scoring.summary import CHALLENGE, LABELS, ROLES, Overview

_OF_LESIONS = ("lesions", "recall_of_lesions")


def side_by_side(overviews: Sequence[Overview]) -> list[str]:
    """The challenge's metrics and recall by size, one row a contender, as lines of Markdown."""
    rows = []
    for one in overviews:
        metrics = one.groups["all"]["all"]
        cells = [
            f"{number(s.mean)} ({number(s.mean_low)} to {number(s.mean_high)}; n = {s.n})"
            for s in (metrics[name] for name in CHALLENGE)
        ]
        scored = f"{len(one.study.scored)}/{len(one.study.scores)}"
        rows.append([one.study.title, scored, *cells, *markdown.size_cells(one.sizes)])
    names = [LABELS[name] for name in CHALLENGE]
    return table(["Model", "scored", *names, *markdown.SIZE_HEADS], rows)


def to_csv(overviews: Sequence[Overview]) -> str:
    """One row for each model, group and metric.

    Of recall by size ``lesions`` and ``recall_of_lesions`` are over all lesions of the group
    together; the other columns are over its cases.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head: list[str] = []
    for one in overviews:
        for kind, groups in one.groups.items():
            for group, metrics in groups.items():
                sizes = {f"{s.name}_recall": s for s in one.group_sizes[kind][group]}
                for name, figures in metrics.items():
                    values: dict[str, Any] = asdict(figures)
                    if not head:
                        head = ["role", "model", "by", "group", "metric", *values, *_OF_LESIONS]
                        writer.writerow(head)
                    size = sizes.get(name)
                    writer.writerow(
                        [
                            *(one.study.role, one.study.title, kind, group, name),
                            *values.values(),
                            *(("", "") if size is None else (size.lesions, size.recall)),
                        ]
                    )
    return text.getvalue()


def to_markdown(
    heading: str,
    contenders: Sequence[Contender],
    overviews: Sequence[Overview],
    *,
    challenge: bool,
) -> str:
    """All figures as Markdown.

    Args:
        heading: The first line, with the role of the data.
        contenders: What was evaluated.
        overviews: The figures of each, in the same order.
        challenge: Whether to place each among the teams of 2017.
    """
    lines = [f"# {heading}", "", ROLES[overviews[0].study.role], ""]
    if challenge:
        lines += [ranking.CAVEAT, ""]
    lines += [f"- {c.name}: {c.about}" for c in contenders]
    lines += ["", "Mean (95 % bootstrap interval; n cases with a value); recall by size of lesion"]
    lines += ["of all lesions together (n lesions).", "", markdown.HOW_COUNTED, ""]
    lines += side_by_side(overviews)
    for kind in ("site", "scanner"):
        for one in overviews:
            if kind in one.groups:
                lines += [f"## {one.study.title} by {kind}", "", markdown.IN_BRACKETS, ""]
                lines += markdown.group_table(
                    kind.capitalize(), one.groups[kind], one.group_sizes[kind]
                )
    lines += _comparisons(overviews) + (_places(overviews) if challenge else [])
    lines += [
        f"Cases with problems, and everything else about a model: {o.study.title}/summary.md"
        for o in overviews
    ]
    return "\n\n".join(("\n".join(lines).rstrip(), f"wmhseg {wmhseg.__version__}")) + "\n"


def _comparisons(overviews: Sequence[Overview]) -> list[str]:
    """Each other model against the first, where enough cases are common."""
    lines = []
    first, *others = (one.study for one in overviews)
    for other in others:
        common = {s.case for s in first.scored} & {s.case for s in other.scored}
        if len(common) > 1:
            names = (first.title, other.title)
            compared = comparison.compare(first.scored, other.scored, names)
            lines += [f"## {other.title} against {first.title}", "", *compared.to_markdown()]
    return lines


def _places(overviews: Sequence[Overview]) -> list[str]:
    lines = []
    for one in overviews:
        if one.study.scored:
            title = one.study.title
            lines += [f"## {title} among the teams published in 2017", ""]
            lines += comparison.place(one.study.scores, title).to_markdown()
    return lines
