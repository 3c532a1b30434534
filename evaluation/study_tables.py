"""What comes out of the study: a table with paired differences, and a figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.variants import GROUPS, StudySetup
from wmhseg.io import files
from wmhseg.scoring import statistics
from wmhseg.scoring.markdown import table
from wmhseg.scoring.table import Score, read_table

# The reference with other seeds comes with the ensemble.
HEADINGS = ("reference", "seeds", *GROUPS)
LOW_LOAD_ML = 15.0
FIGURES = ("dsc", "f1", "recall", "avd_percent", "h95_mm")


def _values(scores: Sequence[Score], key: str) -> np.ndarray:
    return np.array([score.values[key] for score in scores], float)


def rows(output: Path, named: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """One row for each variant: means, and the paired difference of DSC to the reference.

    Args:
        output: Folder that holds ``<variant>/metrics.csv``.
        named: Group and name, the reference first.
    """
    tables = {name: read_table(output / name / "metrics.csv") for _, name in named}
    first = {s.case: s.values["dsc"] for s in tables[named[0][1]] if s.scored}
    made = []
    for group, name in named:
        scored = [score for score in tables[name] if score.scored]
        dsc = _values(scored, "dsc")
        row: dict[str, Any] = {"group": group or "reference", "variant": name, "n": len(scored)}
        for key in FIGURES:
            row[key] = float(np.nanmean(_values(scored, key)))
        low = [s.values["dsc"] for s in scored if s.values["reference_ml"] < LOW_LOAD_ML]
        row["dsc_low_load"] = float(np.mean(low)) if low else float("nan")
        row["dsc_sd"] = float(np.std(dsc, ddof=1)) if len(dsc) > 1 else float("nan")
        change = [s.values["dsc"] - first[s.case] for s in scored if s.case in first]
        row["difference"] = float(np.mean(change))
        row["difference_low"], row["difference_high"] = statistics.bootstrap_interval(change)
        made.append(row | {f"dsc {s.case}": s.values["dsc"] for s in scored})
    return made


def write(setup: StudySetup, made: Sequence[dict[str, Any]]) -> None:
    """Writes the table as CSV and Markdown, and the figure."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(made[0]), lineterminator="\n")
    writer.writeheader()
    for row in made:
        writer.writerow({k: f"{v:.4f}" if isinstance(v, float) else v for k, v in row.items()})
    files.write_text(setup.output / "study.csv", text.getvalue())
    files.write_text(setup.output / "study.md", _markdown(setup, made))
    files.write_bytes(setup.output / "study.png", _figure(made))


def _markdown(setup: StudySetup, made: Sequence[dict[str, Any]]) -> str:
    start = (
        "the same earlier weights (grown where sizes differ)" if setup.start else "random weights"
    )
    lines = [
        "# What each part of the training brings",
        "",
        f"Validation, not test: {made[0]['n']} scans. Each variant: {setup.steps} steps of 8 "
        f"squares of {setup.crop} pixels from {start}, one U-Net unless said otherwise. "
        + (f"Of thin slices, one in {setup.every}. " if setup.every > 1 else "")
        + "Figures are not those of the full training: only "
        "differences mean something, and only those larger than what another seed alone changes "
        f"(group seeds). Low load: a reference under {LOW_LOAD_ML:g} ml. Difference: mean paired "
        "difference of DSC to the reference with its 95 % bootstrap interval over scans, which "
        "knows nothing of seeds.",
        "",
    ]
    for group in HEADINGS:
        chosen = [row for row in made if row["group"] == group]
        if not chosen:
            continue
        body = [
            [
                row["variant"],
                f"{row['dsc']:.3f} ({row['dsc_sd']:.3f})",
                f"{row['difference']:+.3f} ({row['difference_low']:+.3f} to "
                f"{row['difference_high']:+.3f})"
                if group != "reference"
                else "",
                f"{row['dsc_low_load']:.3f}",
                f"{row['f1']:.3f}",
                f"{row['recall']:.3f}",
                f"{row['avd_percent']:.1f}",
                f"{row['h95_mm']:.1f}",
            ]
            for row in chosen
        ]
        head = [
            "Variant",
            "DSC (sd)",
            "difference",
            "DSC, low load",
            "F1",
            "recall",
            "AVD %",
            "H95",
        ]
        lines += [f"## {group.capitalize()}", "", *table(head, body), ""]
    return "\n".join(lines)


def _figure(made: Sequence[dict[str, Any]]) -> bytes:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 1.2 + 0.28 * len(made)), layout="constrained")
    for place, row in enumerate(made):
        dots = [value for key, value in row.items() if key.startswith("dsc ")]
        axes.plot(dots, [place] * len(dots), "o", color="0.65", markersize=3)
        axes.plot(row["dsc"], place, "D", color="C0" if place else "C3", markersize=6)
    axes.axvline(made[0]["dsc"], color="C3", linewidth=0.8)
    axes.set_yticks(range(len(made)), [row["variant"] for row in made])
    axes.invert_yaxis()
    axes.set_xlabel(f"DSC on {made[0]['n']} validation scans (dots) and their mean (diamonds)")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120, metadata={"Software": None})
    pyplot.close(figure)
    return content.getvalue()
