"""What measures have to know of a brain: a label for each voxel.

Whoever makes it, a network or another program, says so in ``source``. Arrays are (slice, row,
column), on the voxels of the FLAIR scan.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.errors import LabelsError

CLASSES = (
    "background",
    "other_head",
    "csf_outside",
    "left_lateral_ventricle",
    "right_lateral_ventricle",
    "other_ventricles",
    "cortex",
    "white_matter",
    "deep_grey",
    "cerebellum",
    "brainstem",
)
"""Name of each label, from 0. Left and right are the patient's; white matter holds its lesions."""

LATERAL_VENTRICLES = ("left_lateral_ventricle", "right_lateral_ventricle")
VENTRICLES = (*LATERAL_VENTRICLES, "other_ventricles")
INTRACRANIAL = CLASSES[2:]
"""All that the skull holds: what the total intracranial volume (TIV) is made of."""


@dataclass(frozen=True, eq=False)
class Anatomy:
    """The anatomy of a scan.

    Attributes:
        labels: (slice, row, column) uint8, places in ``CLASSES``.
        source: Where it comes from: a file, or a model.
    """

    labels: npt.NDArray[np.uint8]
    source: str

    def where(self, names: Iterable[str]) -> npt.NDArray[np.bool_]:
        """The voxels of some classes, (slice, row, column)."""
        return chosen(names)[self.labels]

    def counts_vox(self) -> dict[str, int]:
        """Class -> its number of voxels."""
        counts = np.bincount(self.labels.ravel(), minlength=len(CLASSES))
        return dict(zip(CLASSES, counts.tolist(), strict=True))


def chosen(names: Iterable[str]) -> npt.NDArray[np.bool_]:
    """Whether each class is among some, (class,): a table to look labels up in.

    Args:
        names: Out of ``CLASSES``.
    """
    wanted = set(names)
    return np.array([name in wanted for name in CLASSES])


def of_labels(labels: npt.NDArray[Any], source: str) -> Anatomy:
    """Makes an anatomy of a label volume.

    Args:
        labels: (slice, row, column), whole numbers from 0 to 10 of any type.
        source: Where they come from.

    Raises:
        LabelsError: If it holds other numbers.
    """
    low, high = labels.min(), labels.max()
    whole = labels.dtype.kind in "iub" or bool(np.all(labels == np.rint(labels)))
    if not whole or low < 0 or high >= len(CLASSES):
        raise LabelsError(
            f"An anatomy with the labels 0 to {len(CLASSES) - 1} was expected: "
            + ", ".join(f"{number} {name}" for number, name in enumerate(CLASSES)),
            received=f"{'numbers' if whole else 'fractions'} from {low:g} to {high:g} in {source}",
            advice="docs/measures.md tells how to make one of the labels of another program.",
        )
    return Anatomy(labels.astype(np.uint8), source)
