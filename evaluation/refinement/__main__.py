"""Adapts a model to the scans of one source, and measures what that does to the other sources.

    python -m evaluation.refinement --data CASES --source tabriz --labels HEADS --output DIR

The source is measured by ``wmhseg train --preset refine`` itself, on patients left out. Every case
of ``CASES`` that is not of the source is segmented by the model as it was and by the refined one,
which saw none of them. All of it goes on where it was stopped. ``DIR/others.md`` and
``DIR/SOURCE/refinement.md`` are the results; everything after ``--`` goes to ``wmhseg train``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

import wmhseg
from wmhseg.cli.main import main as command_line
from wmhseg.datasets import cases
from wmhseg.datasets.cases import Case
from wmhseg.errors import NotBetterError
from wmhseg.io import files
from wmhseg.preparation import labelled
from wmhseg.training.refining import rules
from wmhseg.training.refining.rules import Score


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Reads the command line; what stands after ``--`` is for ``wmhseg train``."""
    parser = argparse.ArgumentParser("python -m evaluation.refinement", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="cases with masks")
    parser.add_argument("--source", required=True, help="cases whose names begin so are refined on")
    parser.add_argument("--labels", type=Path, required=True, help="heads for synthetic scans")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--model", default="unet-synthetic")
    parser.add_argument("--patients", type=Path, help="table with the columns case and patient")
    parser.add_argument("more", nargs="*", help="more for wmhseg train")
    return parser.parse_args(words)


def copied(found: Sequence[Case], source: str, folder: Path) -> None:
    """Copies the files of the cases of a source, as (case, pre) folders."""
    for case in found:
        if not case.name.startswith(source) or (folder / case.name).exists():
            continue
        place = folder / f".{case.name}"
        files.check_writable(place / "pre")
        for path, name in (
            (case.flair, "pre/FLAIR"),
            (case.t1, "pre/T1"),
            (case.reference, "wmh"),
        ):
            if path is not None:
                ending = ".nii.gz" if path.name.endswith(".gz") else ".nii"
                shutil.copyfile(path, place / (name + ending))
        place.rename(folder / case.name)


def score(case: Case, segmenter: wmhseg.Segmenter) -> Score:
    """Segments a case and scores the mask."""
    held = labelled.read_labelled(case, with_t1=False)
    assert case.flair is not None
    found = segmenter.segment(case.flair, case.t1)
    return rules.scored(held.labels, found.mask, found.grid.voxel_ml)


def measured(
    found: Sequence[Case], models: dict[str, str], folder: Path
) -> dict[str, dict[str, Score]]:
    """Model -> case -> score; each is kept in a file of its own, so that it is not done again."""
    made: dict[str, dict[str, Score]] = {}
    for label, model in models.items():
        segmenter = wmhseg.Segmenter(model, wmhseg.Options(device="cpu"))
        for case in found:
            path = folder / label / f"{case.name}.json"
            if not path.exists():
                files.check_writable(path.parent)
                files.write_text(path, json.dumps(asdict(score(case, segmenter))) + "\n")
            values = json.loads(path.read_text("utf-8"))
            made.setdefault(label, {})[case.name] = Score(**values)
    return made


def table(scores: dict[str, dict[str, Score]]) -> str:
    """DSC, lesion F1 and volume of each case before and after, and means of each source."""
    before, after = scores["before"], scores["refined"]
    lines = [
        "| case | reference ml | ml before | ml refined | DSC before | DSC refined | F1 before "
        "| F1 refined |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in before:
        one, two = before[name], after[name]
        lines.append(
            f"| {name} | {one.reference_ml:.1f} | {one.result_ml:.1f} | {two.result_ml:.1f} "
            f"| {one.dsc:.3f} | {two.dsc:.3f} | {one.f1:.3f} | {two.f1:.3f} |"
        )
    for source in dict.fromkeys(name.partition("-")[0] for name in before):
        names = [name for name in before if name.partition("-")[0] == source]
        means = [
            float(np.mean([getattr(scores[label][name], figure) for name in names]))
            for figure in ("dsc", "f1")
            for label in ("before", "refined")
        ]
        cells = " | ".join(f"{mean:.3f}" for mean in means)
        lines.append(f"| **mean of {source}**, n = {len(names)} | | | | {cells} |")
    return "\n".join(lines)


def main(words: Sequence[str]) -> int:
    """Refines, then measures elsewhere."""
    asked = parse(words)
    found = cases.find_cases(asked.data)
    own, out = asked.output / "data", asked.output / asked.source
    copied(found, asked.source, own)
    started = time.monotonic()
    command = [
        *("train", "--preset", "refine", "--model", asked.model, "--data", own),
        *("--labels", asked.labels, "--output", out, "--name", f"refined-{asked.source}"),
        *(["--patients", asked.patients] if asked.patients else []),
        *("--keep-anyway", *asked.more),
    ]
    code = command_line(list(map(str, command)))
    if code not in (0, NotBetterError.exit_code):
        return code
    print(f"{time.monotonic() - started:.0f} s in wmhseg train, this time")
    others = [case for case in found if not case.name.startswith(asked.source)]
    models = {"before": asked.model, "refined": str(out / f"refined-{asked.source}")}
    if not (Path(models["refined"]) / "preset.json").exists():
        return code
    text = table(measured(others, models, asked.output / "others"))
    files.write_text(
        asked.output / "others.md",
        f"# {asked.model} refined on {asked.source}, on other sources (validation)\n\n{text}\n",
    )
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
