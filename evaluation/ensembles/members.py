"""What single networks say of cases, computed once and kept, and the means of some of them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

import wmhseg
from evaluation.rules import maps
from wmhseg import errors
from wmhseg.datasets.cases import Case
from wmhseg.geometry import Grid
from wmhseg.io import files
from wmhseg.io.stamps import Stamp, fingerprint
from wmhseg.preparation.labelled import read_labelled
from wmhseg.training.refining.rules import LEAST_OF_A_PART, Kept
from wmhseg.weights import preset, store
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
    made = []
    for member in model.preset.members:
        own = preset.with_changes(model.preset, name=Path(member.file).stem, members=(member,))
        made.append(Alone(own.name, Model(model.folder, own)))
    return made


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


def boxed(probability: Float, labels: npt.NDArray[np.uint8], least: float) -> tuple[slice, ...]:
    """The smallest box that holds what is probable and what is marked; a voxel if nothing is."""
    held = (probability > least) | (labels > 0)
    spans = []
    for axis in range(3):
        there = np.flatnonzero(held.any(tuple({0, 1, 2} - {axis})))
        spans.append(slice(int(there[0]), int(there[-1]) + 1) if there.size else slice(0, 1))
    return tuple(spans)
