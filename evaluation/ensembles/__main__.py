"""Scores ensembles of any networks on cases of several sources, each network computed once.

    python -m evaluation.ensembles --data CASES --models mixed-synthetic --tuned tuned=DIR
        --ensemble unet-sharp+tuned --ensemble unet-sharp+unet-thick+tuned --output OUT

Networks are the members of the models, by the names of their files, and tuned ones
(``python -m evaluation.ensembles.tune``): a case is shown to the one that has not seen its source.
That the members of the models have not seen the cases, whoever names them has to know.
What a network says of a case is kept in OUT; with ``--kept-maps`` the maps of tuned networks that
are not there any more are taken, and nobody checks that they are of these scans.
Printed for each ensemble: figures by the first model's own rules (``--reader``: those of another of
its readers; ``--threshold`` and ``--lesion-peak``: any), and by rules that the other sources chose.
``--masks`` writes the masks by its own rules, for ``wmhseg evaluate``. A source is what stands
before the hyphen of a case's name. Figures are those of validation data where any of the cases had
a part in anything. The expected calibration error is over voxels above 0.01
(``evaluation.calibration``).
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from evaluation.calibration import tally
from evaluation.ensembles import members
from evaluation.ensembles.members import Alone, Truth
from evaluation.ensembles.tune import NAME
from evaluation.rules import choosing
from evaluation.rules.choosing import Judged
from wmhseg.datasets.cases import Case, find_cases
from wmhseg.errors import MissingFileError, UsageError, WmhsegError
from wmhseg.io import files, images
from wmhseg.io.progress import Bar
from wmhseg.scoring import rules
from wmhseg.scoring.metrics import SIZE_LIMITS_VOX
from wmhseg.scoring.rules import Rules
from wmhseg.training.refining import rules as refining_rules
from wmhseg.training.refining.rules import Kept
from wmhseg.weights import preset, store
from wmhseg.weights.processing import ReaderName

SEPARATOR = "+"
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
PEAKS = (0.0, 0.9, 0.95, 0.98)
_SMALL = next(iter(SIZE_LIMITS_VOX))


@dataclass(frozen=True)
class Asked:
    """What is to be scored.

    Attributes:
        cases: With FLAIR, T1 and references.
        networks: Name -> a member of a model.
        tuned: Name -> folder of what ``tune`` made.
        ensembles: Names of the members of each.
        output: Folder.
        own: Rules that figures are by.
        flair_only: Withhold T1.
        low: Cases of a low load, whose mean is told apart.
        masks: Whether masks are written, to masks/ENSEMBLE/CASE/result.nii.gz in the folder, or
            to masks-flair-only.
        kept_maps: Whether maps of tuned networks are taken that are not there any more.
    """

    cases: tuple[Case, ...]
    networks: Mapping[str, Alone]
    tuned: Mapping[str, Path]
    ensembles: tuple[tuple[str, ...], ...]
    output: Path
    own: Rules
    flair_only: bool
    low: tuple[str, ...]
    masks: bool
    kept_maps: bool

    @property
    def rules(self) -> list[Rules]:
        """The own rules, then all that other sources may choose."""
        tried = [Rules(t, 0.0, p) for t in THRESHOLDS for p in PEAKS if not p or p > t]
        return [self.own, *(rule for rule in tried if rule != self.own)]

    @property
    def names(self) -> list[str]:
        """All networks of the ensembles."""
        return list(dict.fromkeys(name for one in self.ensembles for name in one))


def said(asked: Asked, name: str, case: Case) -> Kept:
    """What a network says of a case.

    Raises:
        MissingFileError: If the tuned network that has not seen the case is not there.
    """
    folder = asked.output / "maps"
    if name in asked.networks:
        return members.kept(asked.networks[name], case, folder, flair_only=asked.flair_only)
    fold = asked.tuned[name] / choosing.source_of(case.name) / NAME
    if not (fold / "preset.json").exists():
        path = members.path_of(name, case, folder, flair_only=asked.flair_only)
        if asked.kept_maps and path.exists():
            return Kept.read(path)
        raise MissingFileError(
            f"The network {name} that has not seen {choosing.source_of(case.name)} was expected",
            received=f"no {fold}",
            advice="--kept-maps takes what it has said, if OUT holds that.",
        )
    (network,) = members.of_model(str(fold))
    alone = Alone(name, network.model)
    return members.kept(alone, case, folder, flair_only=asked.flair_only)


@dataclass(frozen=True)
class Scored:
    """What an ensemble does.

    Attributes:
        scans: Scored by all rules.
        errors: Expected calibration error of each scan, over voxels above ``tally.LEAST``.
    """

    scans: list[Judged]
    errors: list[float]


def judged(asked: Asked) -> dict[tuple[str, ...], Scored]:
    """Ensemble -> what it does to each case."""
    made = {one: Scored([], []) for one in asked.ensembles}
    with Bar("scoring", "cases") as show:
        for done, case in enumerate(asked.cases, 1):
            truth = members.truth(case)
            maps = {name: said(asked, name, case) for name in asked.names}
            for ensemble, scored in made.items():
                mean = members.mean([maps[name] for name in ensemble])
                if asked.masks:
                    place = asked.output / ("masks-flair-only" if asked.flair_only else "masks")
                    place = place / SEPARATOR.join(ensemble) / case.name
                    _write(mean, asked.own, truth, place)
                box = refining_rules.box(mean > tally.LEAST, truth.labels > 0)
                scores = rules.found(mean[box], truth.labels[box], asked.rules, truth.grid.voxel_ml)
                source, patient = choosing.source_of(case.name), choosing.patient_of(case.name)
                scored.scans.append(Judged(case.name, source, patient, scores))
                counted = truth.labels[box] != 2  # label 2 counts for nothing
                labels = truth.labels[box][counted]
                known = tally.of(mean[box][counted], labels == 1).above(tally.LEAST)
                scored.errors.append(tally.calibration_error(known) if known.count else math.nan)
            show(done, len(asked.cases))
    return made


def _write(mean: members.Float, own: Rules, truth: Truth, folder: Path) -> None:
    """Writes the mask that the own rules make of a map."""
    files.check_writable(folder)
    mask = refining_rules.cut(Kept.of(mean), own, truth.grid.voxel_ml)
    images.write_mask(folder / "result.nii.gz", mask, truth.grid)


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """The mean and the standard deviation of those that are defined."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return math.nan, math.nan
    return float(np.mean(known)), float(np.std(known, ddof=1)) if len(known) > 1 else math.nan


def table(asked: Asked, made: Mapping[tuple[str, ...], Scored]) -> str:
    """Figures of every ensemble, in Markdown."""
    sources = list(dict.fromkeys(choosing.source_of(case.name) for case in asked.cases))
    low = f"DSC of {len(asked.low)} of low load | " if asked.low else ""
    head = (
        f"| members | DSC (SD) | lesion F1 (SD) | {low}recall of {_SMALL} lesions | "
        + " | ".join(f"DSC {source}" for source in sources)
        + " | DSC, rules of other sources | F1, rules of other sources"
        + f" | ECE above {tally.LEAST:g} (SD) |"
    )
    lines = [head, "|---" * (head.count("|") - 1) + "|"]
    for ensemble, scored in made.items():
        scans = scored.scans
        own = [one.scores[asked.own] for one in scans]
        figures = ([one.dsc for one in own], [one.f1 for one in own])
        cells = ["{:.3f} ({:.3f})".format(*_mean(values)) for values in figures]
        if asked.low:
            some = [one.scores[asked.own].dsc for one in scans if one.name in asked.low]
            cells.append(f"{_mean(some)[0]:.3f}")
        hit, there = (sum(one.sizes[_SMALL][place] for one in own) for place in (0, 1))
        cells.append(f"{hit / there if there else math.nan:.2f} ({hit} of {there})")
        for source in sources:
            some = [one.scores[asked.own].dsc for one in scans if one.source == source]
            cells.append(f"{_mean(some)[0]:.3f}")
        others = choosing.left_out(scans, asked.rules)
        cells += [f"{others.plain_mean(figure):.3f}" for figure in ("dsc", "f1")]
        cells.append("{:.4f} ({:.4f})".format(*_mean(scored.errors)))
        lines.append(f"| {SEPARATOR.join(ensemble)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.ensembles",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="cases of two sources or more")
    parser.add_argument(
        "--models",
        nargs="+",
        required=True,
        help="whose members may take part, if they have not seen the cases; the first one's rules "
        "count",
    )
    parser.add_argument(
        "--tuned", nargs="*", default=[], metavar="NAME=DIR", help="what tune has made"
    )
    parser.add_argument(
        "--ensemble", action="append", help=f"names joined by {SEPARATOR}; default: all models"
    )
    parser.add_argument("--low", nargs="*", default=[], help="cases whose mean is told apart")
    parser.add_argument("--flair-only", action="store_true", help="withhold T1")
    parser.add_argument(
        "--reader", choices=get_args(ReaderName), default="balanced", help="whose rules count"
    )
    parser.add_argument("--threshold", type=float, help="another one")
    parser.add_argument("--lesion-peak", type=float, help="another one")
    parser.add_argument("--masks", action="store_true", help="write the masks as well")
    parser.add_argument(
        "--kept-maps", action="store_true", help="take kept maps of tuned networks that are gone"
    )
    parser.add_argument("--output", type=Path, required=True)
    return parser.parse_args(words)


def understood(given: argparse.Namespace) -> Asked:
    """What a command line asks for.

    Raises:
        UsageError: If something is named that is not there.
        WmhsegError: If a model or the cases cannot be read.
    """
    networks: dict[str, Alone] = {}
    ensembles: list[tuple[str, ...]] = []
    for model in given.models:
        own = members.of_model(model)
        ensembles.append(tuple(one.name for one in own))
        for one in own:
            known = networks.get(one.name)
            if known is not None and known.identity != one.identity:
                raise UsageError(
                    "Members with names of their own were expected",
                    received=f"another {one.name} in {model}",
                )
            networks[one.name] = one
    tuned: dict[str, Path] = {}
    for pair in given.tuned:
        name, equals, folder = pair.partition("=")
        if not (name and equals and folder) or name in networks:
            raise UsageError("--tuned NAME=DIR, with a new name, was expected", received=pair)
        tuned[name] = Path(folder)
    if given.ensemble:
        ensembles = [tuple(one.split(SEPARATOR)) for one in given.ensemble]
    unknown = sorted({name for one in ensembles for name in one} - {*networks, *tuned})
    if unknown:
        known_names = ", ".join([*networks, *tuned])
        raise UsageError(f"Some of {known_names} were expected", received=", ".join(unknown))
    cases = tuple(find_cases(given.data))
    sources = sorted({choosing.source_of(case.name) for case in cases})
    if len(sources) < 2:
        raise UsageError(choosing.TWO_SOURCES, received=", ".join(sources) or "none")
    missing = sorted({*given.low} - {case.name for case in cases})
    if missing:
        raise UsageError("--low was expected to name cases", received=", ".join(missing))
    first = preset.with_postprocessing(
        store.find(given.models[0]).preset,
        reader=given.reader,
        threshold=given.threshold,
        lesion_peak=given.lesion_peak,
    )
    return Asked(
        cases,
        networks,
        tuned,
        tuple(dict.fromkeys(ensembles)),
        given.output,
        Rules.of(first.postprocessing),
        given.flair_only,
        tuple(given.low),
        given.masks,
        given.kept_maps,
    )


def main(words: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    given = parse(words)
    try:
        asked = understood(given)
        files.check_writable(asked.output)
        text = table(asked, judged(asked))
        usual = Rules.of(store.find(given.models[0]).preset.postprocessing)
        name = "ensembles" + "-flair-only" * asked.flair_only
        if asked.own != usual:
            name += f"-{asked.own}".replace(", ", "-").replace(" ", "-")
        told = f"n = {len(asked.cases)} scans; own rules: {asked.own}"
        files.write_text(asked.output / f"{name}.md", f"{told}\n\n{text}\n")
    except WmhsegError as error:
        print(f"wmhseg: error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{told}\n\n{text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
