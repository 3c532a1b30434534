"""What single networks say of cases, computed once and kept, and the means of some of them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

import wmhseg
from evaluation import contender
from evaluation.rules import maps
from wmhseg import errors
from wmhseg.datasets.cases import Case
from wmhseg.geometry import Grid
from wmhseg.io import files
from wmhseg.io.stamps import Stamp, fingerprint
from wmhseg.preparation.labelled import read_labelled
from wmhseg.training.refining.rules import LEAST_OF_A_PART, Kept
from wmhseg.weights import store
from wmhseg.weights.store import Model

Float = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Alone:
    """A network on its own.

    Attributes:
        name: What it is called.
        model: A model of this member.
    """

    name: str
    model: Model

    @property
    def segmenter(self) -> wmhseg.Segmenter:
        """What computes it."""
        return wmhseg.Segmenter(self.model, wmhseg.Options(device="cpu"))

    @property
    def identity(self) -> str:
        """Changes whenever its maps could change."""
        return maps.identity(self.segmenter)


def of_model(name: str) -> list[Alone]:
    """Each member of a model as a network on its own, called as its file."""
    model = store.find(name)
    files_of = [member.file for member in model.preset.members]
    alone = contender.member_models(model) or [model]
    return [Alone(Path(file).stem, one) for file, one in zip(files_of, alone, strict=True)]


def path_of(name: str, case: Case, folder: Path, *, flair_only: bool) -> Path:
    """Where is kept what a network says of a case."""
    return folder / ("flair" if flair_only else "both") / name / f"{case.name}.npz"


def kept(alone: Alone, case: Case, folder: Path, *, flair_only: bool) -> Kept:
    """What a network says of a case.

    Args:
        alone: The network.
        case: With FLAIR and T1.
        folder: Where maps are kept.
        flair_only: Withhold T1.

    Raises:
        WmhsegError: If the case cannot be segmented.
    """
    if case.flair is None:
        raise errors.MissingFileError("A FLAIR scan was expected", received=case.name)
    t1 = None if flair_only else case.t1
    path = path_of(alone.name, case, folder, flair_only=flair_only)
    stamp = Stamp(path.with_suffix(".json"), (path,))
    given = [one for one in (case.flair, t1) if one is not None]
    today = fingerprint(alone.identity, *given)
    if stamp.read(today) is None:
        stamp.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", errors.WmhsegWarning)
            found = alone.segmenter.segment(case.flair, t1).probability
        files.check_writable(path.parent)
        Kept.of(found, LEAST_OF_A_PART).write(path)
        stamp.write(today)
    return Kept.read(path)


def mean(parts: Sequence[Kept]) -> Float:
    """The mean of some maps of one case, (slice, row, column)."""
    total = np.zeros(parts[0].shape, np.float32)
    flat = total.reshape(-1)
    for part in parts:
        flat[part.places] += part.values
    return total / np.float32(len(parts))


@dataclass(frozen=True)
class Truth:
    """The reference of a case.

    Attributes:
        labels: (slice, row, column) of 0, 1 and 2, in the order of the FLAIR scan.
        grid: Where its voxels lie.
    """

    labels: npt.NDArray[np.uint8]
    grid: Grid


def truth(case: Case) -> Truth:
    """Reads the reference of a case."""
    held = read_labelled(case, with_t1=False)
    return Truth(held.labels.astype(np.uint8), held.flair.grid)
