"""Whole-head label maps, prepared once to be drawn from many times.

Arrays are (slice, row, column) at 1 mm in LPS order.

Source of the label maps: B. Billot et al., SynthSeg, Medical Image Analysis 86 (2023) 102789.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg import geometry, images
from wmhseg.errors import InputError, MissingFileError

Mask = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

# Tissue classes of this module <- label numbers of the maps (FreeSurfer, head tissues 5xx).
TISSUES: dict[str, tuple[int, ...]] = {
    "background": (0,),
    "white_matter": (2, 41, 85),
    "cortex": (3, 42),
    "thalamus": (10, 49),
    "striatum": (11, 50, 12, 51, 26, 58),
    "pallidum": (13, 52),
    "limbic": (17, 53, 18, 54),
    "ventral_dc": (28, 60),
    "brainstem": (16,),
    "cerebellar_white_matter": (7, 46),
    "cerebellar_cortex": (8, 47),
    "ventricle": (4, 43, 5, 44, 14, 72),
    "fourth_ventricle": (15,),
    "csf": (24,),
    "choroid_plexus": (136, 137, 163, 164),
    "vessel": (30, 62),
    "wmh": (25, 57),
    "scalp_fat": (511,),
    "soft_tissue": (507,),
    "bone": (515,),
    "marrow": (516,),
    "dura_sinus": (514,),
    "head_502": (502,),
    "head_506": (506,),
    "head_508": (508,),
    "head_509": (509,),
    "head_512": (512,),
    "head_530": (530,),
}
INDEX = {name: number for number, name in enumerate(TISSUES)}
N_BRAIN = INDEX["scalp_fat"]
_LATERAL = (4, 43, 5, 44, 136, 137, 163, 164)


@dataclass(frozen=True)
class Head:
    """One person's anatomy, ready to be sampled; all arrays (slice, row, column) at 1 mm.

    Attributes:
        tissue: Tissue class, see TISSUES.
        ventricle_mm: Distance to the lateral ventricles, in quarters of a millimetre.
        depth_mm: Depth inside white matter, in quarters of a millimetre.
        pial_mm: Distance to the outer CSF, in quarters of a millimetre.
        centre: Centre of the brain in voxels.
        extent: First and last slice that holds a good part of the brain.
    """

    tissue: Bytes
    ventricle_mm: Bytes
    depth_mm: Bytes
    pial_mm: Bytes
    centre: tuple[float, float, float]
    extent: tuple[int, int]


def load_head(labels: npt.NDArray[np.integer]) -> Head:
    """Prepares a whole-head label map.

    Args:
        labels: (slice, row, column), 1 mm, LPS, label numbers as in TISSUES.

    Returns:
        The head. Label numbers that TISSUES does not know become soft tissue.

    Raises:
        InputError: If it holds hardly any brain.
    """
    table = np.full(int(labels.max()) + 1, INDEX["soft_tissue"], np.uint8)
    for name, numbers in TISSUES.items():
        for number in numbers:
            if number < table.size:
                table[number] = INDEX[name]
    tissue = table[labels]

    def quarters(mask: Mask) -> Bytes:
        distance = ndimage.distance_transform_edt(mask)
        rounded: Bytes = np.minimum(np.round(distance * 4), 255).astype(np.uint8)
        return rounded

    white = (tissue == INDEX["white_matter"]) | (tissue == INDEX["wmh"])
    brain = (tissue > 0) & (tissue < N_BRAIN) & (tissue != INDEX["csf"])
    rows = np.flatnonzero(brain.sum((1, 2)) > 1500)
    if rows.size < 2:
        raise InputError(
            "A whole-head label map at 1 mm, numbered as in TISSUES, was expected",
            received=f"{rows.size} slices with more than 15 cm2 of brain",
        )
    middle = ndimage.center_of_mass(brain[rows[0] : rows[-1]])
    return Head(
        tissue=tissue,
        ventricle_mm=quarters(~np.isin(labels, _LATERAL)),
        depth_mm=quarters(white),
        pial_mm=quarters(tissue != INDEX["csf"]),
        centre=(float(rows[0] + middle[0]), float(middle[1]), float(middle[2])),
        extent=(int(rows[0]), int(rows[-1])),
    )


def load_heads(folder: Path) -> list[Head]:
    """Loads every label map (``*.nii.gz``, 1 mm) of a folder, in the order of their names.

    Raises:
        MissingFileError: If the folder holds none.
        InputError: If one cannot be read.
    """
    paths = sorted(folder.glob("*.nii.gz"))
    if not paths:
        raise MissingFileError(
            "A folder of whole-head label maps (*.nii.gz) was expected", received=folder
        )
    heads = []
    for path in paths:
        stored, grid = images.read_labels(path)
        way = geometry.conform(grid, (16, 16), "LPS")
        heads.append(load_head(way.orient(stored).astype(np.int32)))
    return heads
