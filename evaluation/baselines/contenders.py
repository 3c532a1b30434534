"""Both baselines as contenders; they learn once for each output folder."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from evaluation.baselines import features, forest, learning, placed_scan, threshold
from evaluation.baselines.learning import Learned, LearningSettings
from evaluation.contender import Contender
from evaluation.package_data.brain_maps import OUTPUT as STORED_MAPS
from wmhseg import errors
from wmhseg.channels import brain_maps
from wmhseg.channels.brain_maps import BrainMaps
from wmhseg.cli.console import Console
from wmhseg.datasets.cases import Case
from wmhseg.io import files, stamps
from wmhseg.synthesis import heads
from wmhseg.version import __version__

BASELINES = ("threshold", "forest")


@dataclass(frozen=True)
class Sources:
    """What the baselines are made from.

    Attributes:
        labels: Folder of whole-head label maps.
        kept: File that keeps what was learnt.
        settings: How to learn.
    """

    labels: Path
    kept: Path
    settings: LearningSettings = field(default_factory=LearningSettings)

    def fingerprint(self) -> str:
        """Checksum of everything that decides what is learnt, the program included."""
        from sklearn import __version__ as sklearn_version

        here = [
            Path(module.__file__)
            for module in (features, forest, learning, placed_scan, threshold)
            if module.__file__
        ]
        for package in (heads, brain_maps):
            here += sorted(Path(package.__file__).parent.glob("*.py"))
        labels = sorted(self.labels.glob("*.nii.gz"))
        salt = f"{__version__} {sklearn_version} {self.settings}"
        checksum = stamps.fingerprint(salt, *here, STORED_MAPS, *labels)
        if not checksum:
            raise errors.UnreadableFileError(
                f"Readable label maps were expected in {self.labels}", received="not all are"
            )
        return checksum


class _Baselines:
    """Both baselines, made when the first mask is asked for."""

    def __init__(self, sources: Sources, console: Console) -> None:
        self.sources = sources
        self.console = console

    @cached_property
    def maps(self) -> BrainMaps:
        return brain_maps.load()

    @cached_property
    def learned(self) -> Learned:
        kept = self.sources.kept
        learned = learning.from_file(kept)
        if learned is None:
            people = heads.load_heads(self.sources.labels)
            if len(people) <= self.sources.settings.held_out_maps:
                raise errors.MissingFileError(
                    f"More than {self.sources.settings.held_out_maps} label maps were expected",
                    received=f"{len(people)} in {self.sources.labels}",
                )
            with self.console.progress("baselines: learning", "scans") as show:
                learned = learning.learn(people, self.maps, self.sources.settings, show)
            files.check_writable(kept.parent)
            files.write_bytes(kept, learning.to_bytes(learned))
        return learned

    @cached_property
    def trees(self) -> Any:
        return forest.grow(self.learned.voxels, self.learned.wmh, self.sources.settings.seed)

    def segment(self, name: str, case: Case, target: Path) -> None:
        placed, turn = placed_scan.read(case, self.maps)
        if name == "forest":
            probability = forest.scores(self.trees, placed, self.maps)
            placed_scan.write(target, probability, self.learned.probability, turn)
        else:
            placed_scan.write(target, threshold.scores(placed), self.learned.deviations, turn)

    def about(self, name: str) -> str:
        learned = self.learned
        chosen = (
            f"chosen on {learned.held_out} synthetic scans of other label maps "
            f"(DSC of their voxels together {{:.2f}}), never on real ones"
        )
        if name == "forest":
            return (
                f"random forest, {forest.TREES} trees, {len(features.NAMES)} hand-made features; "
                f"trained on: {len(learned.wmh)} voxels ({int(learned.wmh.sum())} of WMH) of "
                f"{learned.scans} synthetic scans; probability above {learned.probability:g}, "
                + chosen.format(learned.dsc[0])
            )
        return (
            f"FLAIR above the brain's median by {learned.deviations:g} robust standard deviations, "
            + chosen.format(learned.dsc[1])
        )


def make_baselines(names: Sequence[str], sources: Sources, console: Console) -> list[Contender]:
    """Makes the baselines; learns first if nothing is kept.

    Args:
        names: Of BASELINES.
        sources: What they are made from; ``kept`` is a folder's file for these sources only.
        console: Where progress goes.

    Raises:
        UsageError: If scikit-learn is not installed.
        InputError: If a label map is missing or unreadable.
    """
    if importlib.util.find_spec("sklearn") is None:
        raise errors.UsageError(
            "scikit-learn was expected, for --baselines",
            received="no such package",
            advice="Install it: pip install scikit-learn (make setup does).",
        )
    mark = sources.fingerprint()
    kept = sources.kept.with_name(f"{sources.kept.stem}-{mark}.npz")
    made = _Baselines(replace(sources, kept=kept), console)
    return [
        Contender(name, made.about(name), mark, _bound(made, name)) for name in dict.fromkeys(names)
    ]


def _bound(made: _Baselines, name: str) -> Callable[[Case, Path], None]:
    return lambda case, target: made.segment(name, case, target)
