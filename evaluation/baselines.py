"""Contenders without deep learning, to measure networks against: ``--baselines``.

They learn from synthetic scans once an output folder; see ``forest`` and ``threshold``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from evaluation import atlas, features, forest, subjects, threshold
from evaluation.atlas import Atlas, Float
from evaluation.contender import Contender
from evaluation.forest import Learned, Settings
from wmhseg import errors
from wmhseg.cli.console import Console
from wmhseg.datasets.cases import Case
from wmhseg.io import checksums, files
from wmhseg.synthesis import scan
from wmhseg.version import __version__

NAMES = ("threshold", "forest")


@dataclass(frozen=True)
class Sources:
    """What the baselines are made from.

    Attributes:
        labels: Folder of whole-head label maps.
        priors: Folder of the atlas' maps.
        kept: File that keeps what was learnt.
        settings: How to learn.
    """

    labels: Path
    priors: Path
    kept: Path
    settings: Settings = field(default_factory=Settings)

    def fingerprint(self) -> str:
        """Checksum of everything that decides what is learnt, the program included."""
        from sklearn import __version__ as sklearn_version

        here = [
            Path(module.__file__)
            for module in (atlas, features, forest, subjects, threshold)
            if module.__file__
        ]
        drawing = sorted(Path(scan.__file__).parent.glob("*.py"))
        maps = sorted(self.labels.glob("*.nii.gz"))
        salt = f"{__version__} {sklearn_version} {self.settings}"
        found = checksums.fingerprint(salt, *here, *drawing, *maps, *atlas.paths(self.priors))
        if not found:
            raise errors.MissingFileError(
                "Maps "
                + ", ".join(path.name for path in atlas.paths(self.priors))
                + f" were expected in {self.priors}",
                received="not all of them",
            )
        return found


class _Baselines:
    """Both baselines, made when the first mask is asked for."""

    def __init__(self, sources: Sources, console: Console) -> None:
        self.sources = sources
        self.console = console

    @cached_property
    def known(self) -> Atlas:
        return atlas.load(self.sources.priors)

    @cached_property
    def learned(self) -> Learned:
        kept = self.sources.kept
        found = forest.from_file(kept)
        if found is None:
            heads = scan.load_heads(self.sources.labels)
            if len(heads) <= self.sources.settings.held_out_maps:
                raise errors.InputError(
                    f"More than {self.sources.settings.held_out_maps} label maps were expected",
                    received=f"{len(heads)} in {self.sources.labels}",
                )
            progress = self.console.progress("baselines: learning", "scans")
            found = forest.learn(heads, self.known, self.sources.settings, progress)
            files.check_writable(kept.parent)
            files.write_bytes(kept, forest.to_bytes(found))
        return found

    @cached_property
    def trees(self) -> Any:
        return forest.grow(self.learned.voxels, self.learned.wmh, self.sources.settings.seed)

    def segment(self, name: str, case: Case, target: Path) -> None:
        subject, turn = subjects.read(case, self.known)
        found: Float
        if name == "forest":
            found = forest.scores(self.trees, subject, self.known)
            subjects.write(target, found, self.learned.probability, turn)
        else:
            subjects.write(target, threshold.scores(subject), self.learned.deviations, turn)

    def about(self, name: str) -> str:
        found = self.learned
        chosen = (
            f"chosen on {found.held_out} synthetic scans of other label maps "
            f"(mean DSC there {{:.2f}}), never on real ones"
        )
        if name == "forest":
            return (
                f"random forest, {forest.TREES} trees, {len(features.NAMES)} hand-made features; "
                f"trained on: {len(found.wmh)} voxels ({int(found.wmh.sum())} of WMH) of "
                f"{found.scans} synthetic scans; probability above {found.probability:g}, "
                + chosen.format(found.dsc[0])
            )
        return (
            f"FLAIR above the brain's median by {found.deviations:g} robust standard deviations, "
            + chosen.format(found.dsc[1])
        )


def contenders(names: Sequence[str], sources: Sources, console: Console) -> list[Contender]:
    """Makes the baselines; learns first if nothing is kept.

    Args:
        names: Of NAMES.
        sources: What they are made from; ``kept`` is a folder's file for these sources only.
        console: Where progress goes.

    Raises:
        UsageError: If scikit-learn is not installed.
        InputError: If a label map or map of the atlas is missing or unreadable.
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
