"""What measures have to know of a brain: a label for each voxel.

Whoever makes it, a network or another program, says so in ``source``. Arrays are (slice, row,
column), on the voxels of the FLAIR scan. Labels are places in ``STRUCTURES``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wmhseg.errors import LabelsError
from wmhseg.weights.preset import Preset
from wmhseg.weights.structures import LATERAL, STRUCTURES

VENTRICLES = (*LATERAL, "other-ventricles")
INTRACRANIAL = STRUCTURES[2:]
"""All that the skull holds: what the total intracranial volume (TIV) is made of."""

Numbers = Literal["own", "freesurfer"]
"""What the numbers of a label map mean: places in ``STRUCTURES``, or FreeSurfer's labels."""

# Class <- FreeSurfer's numbers (FreeSurferColorLUT.txt), as aseg, aparc+aseg and SynthSeg write
# them; 5xx are head tissues of SynthSeg's label maps.
_OF_FREESURFER: dict[str, tuple[int, ...]] = {
    "background": (0,),
    "head": tuple(range(500, 600)),
    "outer-csf": (24,),
    "left-lateral-ventricle": (4, 5, 31),
    "right-lateral-ventricle": (43, 44, 63),
    "other-ventricles": (14, 15, 72),
    "cortex": (3, 42, *range(1000, 1036), *range(2000, 2036)),
    "white-matter": (2, 41, 77, 78, 79, 85, *range(251, 256)),
    "deep-grey": (10, 11, 12, 13, 17, 18, 26, 28, 30, 49, 50, 51, 52, 53, 54, 58, 60, 62),
    "cerebellum": (7, 8, 46, 47),
    "brainstem": (16,),
}


@dataclass(frozen=True)
class AnatomyModel:
    """The model that named an anatomy.

    Attributes:
        name: Its name.
        sha256: Of the file of its weights; of several networks all, parted by commas.
    """

    name: str
    sha256: str


@dataclass(frozen=True, eq=False)
class Anatomy:
    """The anatomy of a scan.

    Attributes:
        labels: (slice, row, column) uint8, places in ``STRUCTURES``.
        source: Where it comes from: a file, or a model.
        model: The model; None if it comes from a file.
    """

    labels: npt.NDArray[np.uint8]
    source: str
    model: AnatomyModel | None = None

    def where(self, names: Iterable[str]) -> npt.NDArray[np.bool_]:
        """The voxels of some classes, (slice, row, column)."""
        return chosen(names)[self.labels]

    def counts_vox(self) -> dict[str, int]:
        """Class -> its number of voxels."""
        counts = np.bincount(self.labels.ravel(), minlength=len(STRUCTURES))
        return dict(zip(STRUCTURES, counts.tolist(), strict=True))


def chosen(names: Iterable[str]) -> npt.NDArray[np.bool_]:
    """Whether each class is among some, (class,): a table to look labels up in.

    Args:
        names: Out of ``STRUCTURES``.
    """
    wanted = set(names)
    return np.array([name in wanted for name in STRUCTURES])


def intracranial_vox(counts_vox: Mapping[str, int]) -> int:
    """Voxels of all that the skull holds.

    Args:
        counts_vox: Class -> its number of voxels.
    """
    return sum(counts_vox[name] for name in INTRACRANIAL)


def of_model(labels: npt.NDArray[np.uint8], preset: Preset) -> Anatomy:
    """Makes an anatomy of what a model has named.

    Args:
        labels: (slice, row, column), places in ``STRUCTURES``.
        preset: The model's.
    """
    checksums = ", ".join(member.sha256 for member in preset.members)
    return Anatomy(labels, f"model {preset.name}", AnatomyModel(preset.name, checksums))


def of_labels(labels: npt.NDArray[Any], source: str, numbers: Numbers = "own") -> Anatomy:
    """Makes an anatomy of a label volume.

    Args:
        labels: (slice, row, column), whole numbers of any type.
        source: Where they come from.
        numbers: What they mean.

    Raises:
        LabelsError: If it holds other numbers.
    """
    return _of_own(labels, source) if numbers == "own" else _of_freesurfer(labels, source)


def _of_freesurfer(labels: npt.NDArray[Any], source: str) -> Anatomy:
    held, place = np.unique(labels, return_inverse=True)
    class_of = {
        number: STRUCTURES.index(name) for name, them in _OF_FREESURFER.items() for number in them
    }
    unknown = [number for number in held.tolist() if number not in class_of]
    if unknown:
        raise LabelsError(
            "An anatomy with FreeSurfer's numbers was expected",
            received=f"{len(unknown)} others in {source}: "
            + ", ".join(f"{number:g}" for number in unknown[:10]),
            advice="Name a label map as aseg, aparc+aseg or SynthSeg write it.",
        )
    table = np.array([class_of[number] for number in held.tolist()], np.uint8)
    return Anatomy(table[place.reshape(labels.shape)], source)


def _of_own(labels: npt.NDArray[Any], source: str) -> Anatomy:
    low, high = labels.min(), labels.max()
    whole = labels.dtype.kind in "iub" or bool(np.all(labels == np.rint(labels)))
    if not whole or low < 0 or high >= len(STRUCTURES):
        raise LabelsError(
            f"An anatomy with the labels 0 to {len(STRUCTURES) - 1} was expected: "
            + ", ".join(f"{number} {name}" for number, name in enumerate(STRUCTURES)),
            received=f"{'numbers' if whole else 'fractions'} from {low:g} to {high:g} in {source}",
            advice="FreeSurfer's numbers, which SynthSeg writes as well, are read with "
            "--anatomy-numbers freesurfer.",
        )
    return Anatomy(labels.astype(np.uint8), source)
