"""Judgements as tables in Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluation.realism.detector import Judgement
from evaluation.realism.features import GROUPS
from evaluation.realism.views import REGIONS
from wmhseg.scoring.markdown import table


def read(folder: Path) -> dict[str, Judgement]:
    """Reads the judgements of all rounds, in the order of their names."""
    return {
        path.stem: Judgement(**_numbers(json.loads(path.read_text(encoding="utf-8"))))
        for path in sorted(folder.glob("*.json"))
    }


def _numbers(value: Any) -> Any:
    """What was written, with null as the "no number" that it stands for."""
    if isinstance(value, dict):
        return {name: _numbers(item) for name, item in value.items()}
    return float("nan") if value is None else value


def one(judgement: Judgement) -> str:
    """What a detector can tell: by source, by region, by group, and by both."""
    lines = [f"mean AUC of sources left out: {judgement.mean:.3f}", ""]
    lines += _line("source", judgement.by_source)
    lines += _line("region", judgement.by_region)
    lines += table(
        ["group", "alone", "lost without", *REGIONS],
        [
            [group, f"{judgement.alone[group]:.3f}", f"{judgement.lost[group]:.3f}"]
            + [f"{judgement.lost_in[region][group]:.3f}" for region in REGIONS]
            for group in GROUPS
        ],
    )
    return "\n".join(lines)


def rounds(judgements: Mapping[str, Judgement]) -> str:
    """A row a round: AUC by source, by region, and by group alone."""
    if not judgements:
        return ""
    names = list(next(iter(judgements.values())).by_source)
    lines = _rows("AUC on a source left out", [*names, "mean"], {
        name: [*(j.by_source[n] for n in names), j.mean] for name, j in judgements.items()
    })  # fmt: skip
    lines += _rows("AUC by region, mean of sources", REGIONS, {
        name: [j.by_region[r] for r in REGIONS] for name, j in judgements.items()
    })  # fmt: skip
    lines += _rows("AUC of a detector with one group of features alone", GROUPS, {
        name: [j.alone[g] for g in GROUPS] for name, j in judgements.items()
    })  # fmt: skip
    lines += _rows("AUC lost when a group is shuffled", GROUPS, {
        name: [j.lost[g] for g in GROUPS] for name, j in judgements.items()
    })  # fmt: skip
    return "\n".join(lines)


def _line(title: str, values: Mapping[str, float]) -> list[str]:
    return table([title, *values], [["AUC", *(f"{v:.3f}" for v in values.values())]])


def _rows(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[float]]) -> list[str]:
    shown = [[name, *(f"{value:.3f}" for value in values)] for name, values in rows.items()]
    return [f"{title}:", "", *table(["round", *columns], shown)]
