"""How much lies in each region of an atlas.

Arrays are (slice, row, column).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wmhseg.errors import LabelsError
from wmhseg.measures.marks import Lesions

OUTSIDE = "outside"
_MOST_NAMED = 10


@dataclass(frozen=True)
class Region:
    """A region, and what lies in it.

    Attributes:
        index: Its label; 0 is outside of all regions.
        name: Its name.
        vox: Voxels of the region in the scan; 0 for what is outside of all.
        marked_vox: Marked voxels in it.
        lesions: Lesions that have more voxels in it than in any other.
    """

    index: int
    name: str
    vox: int
    marked_vox: int
    lesions: int


def check_labels(volume: npt.NDArray[np.int32], names: Mapping[int, str], table: str) -> None:
    """Checks that every label of an atlas has a name.

    Args:
        volume: The atlas, whole numbers.
        names: Label -> name.
        table: File of the names, for the message.

    Raises:
        LabelsError: If one has none.
    """
    held = np.unique(volume)
    missing = [label for label in held.tolist() if label != 0 and label not in names]
    if missing:
        shown = ", ".join(map(str, missing[:_MOST_NAMED])) + ", …" * (len(missing) > _MOST_NAMED)
        raise LabelsError(
            f"A row for every label of the atlas was expected in {table}",
            received=f"none for {len(missing)} of {len(held)} labels: {shown}",
            advice="Add them, or name the table that belongs to this atlas.",
        )


def regions(
    lesions: Lesions, atlas: npt.NDArray[np.int32], names: Mapping[int, str]
) -> list[Region]:
    """Counts what lies in each region, and first, as label 0, outside of all.

    Args:
        lesions: Of a mask.
        atlas: Label of each voxel of the scan; 0 is none.
        names: Label -> name, at least of all labels there are.

    Returns:
        A region for each name, in the order of the labels: volumes and counts add up to all.
    """
    order = np.array(sorted({0, *names}), np.int64)
    place = np.searchsorted(order, lesions.at(atlas).astype(np.int64))
    marked = np.bincount(place, minlength=len(order))
    pairs, shared = np.unique(lesions.of * len(order) + place, return_counts=True)
    lesion, region = np.divmod(pairs, len(order))
    # Last comes, for each lesion, the region with most of its voxels; of equals the first label.
    last = np.lexsort((-region, shared, lesion))
    of_lesion = np.zeros(lesions.count, np.int64)
    of_lesion[lesion[last]] = region[last]
    counted = np.bincount(of_lesion, minlength=len(order))
    labels, sizes = np.unique(atlas, return_counts=True)
    size_of = dict(zip(labels.tolist(), sizes.tolist(), strict=True))
    return [
        Region(
            label,
            names[label] if label else OUTSIDE,
            size_of.get(label, 0) if label else 0,
            int(marked[n]),
            int(counted[n]),
        )
        for n, label in enumerate(order.tolist())
    ]
