"""Where in the brain lesions lie: near the ventricles, deep, at the cortex, and elsewhere.

A lesion that lies for more than half in the cerebellum and brainstem is infratentorial, one for
more than half in deep grey matter is deep grey. The rest, in the white matter of the hemispheres,
is parted by three published rules:

* "continuity": a lesion that touches a lateral ventricle is periventricular, the whole of it.
* "10mm": what lies within 10 mm of a lateral ventricle is periventricular, voxel by voxel. A
  lesion is counted where most of it lies.
* "2mm": a lesion that comes to within 2 mm of a lateral ventricle is periventricular, the whole.

What is not periventricular is juxtacortical if its lesion touches the cortex and no lateral
ventricle, and deep otherwise. The publications of these rules call both deep.

Touching is sharing a face, an edge or a corner, or overlapping. Distances are those between the
centres of voxels: to the next voxel of a 1 mm scan it is 1 mm. Arrays are (slice, row, column).

References:
    K. W. Kim et al., Biol Psychiatry 64 (2008) 273-280 (continuity).
    C. DeCarli et al., Stroke 36 (2005) 50-55; L. Griffanti et al., NeuroImage 170 (2018) 174-181
    (10 mm, by voxels).
    SHiVAi, github.com/pboutinaud/SHiVAi, shivautils/postprocessing/wmh.py (2 mm, by lesions).
    M. Filippi et al., Brain 142 (2019) 1858-1875 (juxtacortical: touching the cortex).
    J. M. Wardlaw et al., Lancet Neurol 12 (2013) 822-838; M. Duering et al., Lancet Neurol 22
    (2023) 602-618 (STRIVE: deep grey matter and brainstem apart).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from wmhseg.geometry import Triple
from wmhseg.measures import anatomy as classes
from wmhseg.measures.anatomy import Anatomy
from wmhseg.measures.marks import Doubles, Integers, Lesions, Mask, bounding_box
from wmhseg.weights.structures import LATERAL, STRUCTURES

RULES = ("continuity", "10mm", "2mm")
PLACES = ("periventricular", "deep", "juxtacortical", "infratentorial", "deep_grey")

NEAR_MM = 10.0
SHIVAI_MM = 2.0
_PERIVENTRICULAR, _DEEP, _JUXTACORTICAL, _INFRATENTORIAL, _DEEP_GREY = range(len(PLACES))


@dataclass(frozen=True)
class Amount:
    """How much lies in a place.

    Attributes:
        vox: Number of voxels.
        lesions: Number of lesions.
    """

    vox: int
    lesions: int


@dataclass(frozen=True, eq=False)
class Placed:
    """Where the lesions of a scan lie.

    Attributes:
        lesions: The lesions.
        labels: (n,) the anatomical class of each of their voxels.
        distance_mm: (n,) distance of each to the nearest voxel of a lateral ventricle.
        at_ventricle: (lesion,) whether it touches a lateral ventricle.
        at_cortex: (lesion,) whether it touches the cortex.
    """

    lesions: Lesions
    labels: Integers
    distance_mm: Doubles
    at_ventricle: Mask
    at_cortex: Mask

    @cached_property
    def votes_vox(self) -> Integers:
        """(lesion, class) how many of its voxels lie in each anatomical class."""
        pairs = self.lesions.of * len(STRUCTURES) + self.labels
        counts = np.bincount(pairs, minlength=self.lesions.count * len(STRUCTURES))
        return counts.reshape(self.lesions.count, len(STRUCTURES))

    def _mostly(self, *names: str) -> Mask:
        """(lesion,) whether more than half of it lies in some classes."""
        votes = self.votes_vox[:, classes.chosen(names)].sum(1)
        mostly: Mask = 2 * votes > self.lesions.sizes_vox
        return mostly

    @cached_property
    def brainstem(self) -> Mask:
        """(lesion,) whether it is infratentorial, and more of it in the brainstem."""
        stem, cerebellum = (
            self.votes_vox[:, STRUCTURES.index(name)] for name in ("brainstem", "cerebellum")
        )
        in_stem: Mask = self._mostly("brainstem", "cerebellum") & (stem > cerebellum)
        return in_stem

    @cached_property
    def deep_grey(self) -> Mask:
        """(lesion,) whether it lies in deep grey matter."""
        return self._mostly("deep-grey")

    @cached_property
    def nearest_mm(self) -> Doubles:
        """(lesion,) its distance to the nearest lateral ventricle."""
        return self.lesions.lowest(self.distance_mm)

    def _of_voxels(self, rule: str) -> Integers:
        """(n,) place of each voxel, in ``PLACES``."""
        near = {
            "continuity": self.at_ventricle[self.lesions.of],
            "10mm": self.distance_mm <= NEAR_MM,
            "2mm": (self.nearest_mm <= SHIVAI_MM)[self.lesions.of],
        }[rule]
        apart = np.full(self.lesions.count, -1)
        apart[self._mostly("cerebellum", "brainstem")] = _INFRATENTORIAL
        apart[self.deep_grey] = _DEEP_GREY
        outer = self.at_cortex & ~self.at_ventricle
        white = np.where(outer, _JUXTACORTICAL, _DEEP)[self.lesions.of]
        white = np.where(near, _PERIVENTRICULAR, white)
        whole = apart[self.lesions.of]
        return np.where(whole >= 0, whole, white).astype(np.int64)

    def places(self, rule: str) -> list[str]:
        """Where each lesion is counted by a rule, out of ``PLACES``."""
        pairs = self.lesions.of * len(PLACES) + self._of_voxels(rule)
        votes = np.bincount(pairs, minlength=self.lesions.count * len(PLACES))
        most = votes.reshape(-1, len(PLACES)).argmax(1)
        return [PLACES[place] for place in most.tolist()]

    def amounts(self, rule: str) -> dict[str, Amount]:
        """How much lies in each place by a rule; together it is all there is."""
        voxels = np.bincount(self._of_voxels(rule), minlength=len(PLACES)).tolist()
        counted = self.places(rule)
        return {
            place: Amount(vox, counted.count(place))
            for place, vox in zip(PLACES, voxels, strict=True)
        }

    def strive(self) -> Amount:
        """What STRIVE counts as WMH: all but lesions of deep grey matter and the brainstem."""
        kept = ~(self.deep_grey | self.brainstem)
        return Amount(int(self.lesions.sizes_vox[kept].sum()), int(kept.sum()))

    def thickness_mm(self) -> float:
        """How far periventricular lesions (continuity) reach from the ventricle; 0 for none."""
        reached = self.distance_mm[self._of_voxels("continuity") == _PERIVENTRICULAR]
        return float(reached.max(initial=0.0))


def place(lesions: Lesions, anatomy: Anatomy, spacing_mm: Triple) -> Placed | None:
    """Finds where lesions lie.

    Args:
        lesions: Of a mask.
        anatomy: Of the same voxels.
        spacing_mm: Distance between slices, rows and columns.

    Returns:
        The places; None if the anatomy holds no lateral ventricle.
    """
    ventricle = anatomy.where(LATERAL)
    if not ventricle.any():
        return None
    return Placed(
        lesions,
        lesions.at(anatomy.labels).astype(np.int64),
        _distances_mm(lesions, ventricle, spacing_mm),
        lesions.number(_touching(lesions, anatomy, LATERAL)) > 0,
        lesions.number(_touching(lesions, anatomy, ("cortex",))) > 0,
    )


def _touching(lesions: Lesions, anatomy: Anatomy, names: tuple[str, ...]) -> Mask:
    """(n,) whether some classes hold a voxel or one of its 26 neighbours."""
    wanted = classes.chosen(names)
    found = np.zeros(len(lesions.voxels), bool)
    last = np.array(lesions.shape) - 1
    for step in np.ndindex(3, 3, 3):
        # Beyond the end of the array stands a neighbour that is looked at anyway.
        there = np.clip(lesions.voxels + np.array(step) - 1, 0, last)
        found |= wanted[anatomy.labels[tuple(there.T)]]
    return found


def _distances_mm(lesions: Lesions, target: Mask, spacing_mm: Triple) -> Doubles:
    """(n,) distance of each voxel to the nearest of a mask, between their centres."""
    box = bounding_box(target)
    inner = np.pad(target[box], 1)
    for axis in range(3):
        inner = inner & np.roll(inner, 1, axis) & np.roll(inner, -1, axis)
    surface = np.argwhere(target[box] & ~inner[1:-1, 1:-1, 1:-1])
    surface += np.array([part.start for part in box])
    tree = cKDTree(surface * np.array(spacing_mm))
    apart, _ = tree.query(lesions.voxels * np.array(spacing_mm))
    within: npt.NDArray[np.bool_] = lesions.at(target)
    distances: Doubles = np.where(within, 0.0, apart)
    return distances


def as_ml(amounts: Mapping[str, Amount], voxel_ml: float) -> dict[str, dict[str, float]]:
    """Amounts as plain values.

    Args:
        amounts: Place -> how much.
        voxel_ml: Volume of a voxel in millilitres.
    """
    return {
        name: {"volume_ml": round(one.vox * voxel_ml, 4), "lesion_count": one.lesions}
        for name, one in amounts.items()
    }
