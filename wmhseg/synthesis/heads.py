"""Whole-head label maps, prepared once to be drawn from many times.

Arrays are (slice, row, column) at 1 mm in LPS order.

Source of the label maps: B. Billot et al., SynthSeg, Medical Image Analysis 86 (2023) 102789.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg import geometry
from wmhseg.errors import LabelsError, MissingFileError, UnreadableFileError
from wmhseg.io import files, images
from wmhseg.io.progress import Progress
from wmhseg.synthesis.arrays import Array, Arrays

Float = npt.NDArray[np.float32]
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
# Classes below this, but for the background, are the brain's.
N_BRAIN = INDEX["scalp_fat"]
_LEFT, _RIGHT = (4, 5, 136, 163), (43, 44, 137, 164)
_THIRD = (14,)
# What lies outside the white matter: the brain's surface, and not what borders the ventricles.
_SURFACE = ("background", "cortex", "csf", "cerebellar_cortex", "fourth_ventricle", "vessel")
# Maps of a head, one byte a voxel each; together, so that one look-up fetches all of them.
MAPS = ("tissue", "ventricle", "depth", "pial", "between", "third", "prior", "side")
_CHANNEL = {name: number for number, name in enumerate(MAPS)}
# In the map "side"; 0 far from the brain, and everywhere in heads made before it was there.
LEFT, RIGHT = 1, 2
# Depth is signed: bytes below this lie outside the white matter.
DEPTH_ZERO = 128
# Distances in maps and those to lesions are stored in these units.
QUARTER_MM, EIGHTH_MM = 0.25, 0.125
# Distances to lesions are kept up to here: farther away all is the same.
FAR_MM = 3.0
# Infarcts are large: distances to their borders are kept at every second voxel of each axis.
COARSE = 2
_STROKES = "strokes_"


@dataclass(frozen=True)
class Shapes:
    """Lesion masks of real people, brought to one head; only the voxels around them are kept.

    Attributes:
        voxels: Places in the flat head.
        inside: Signed distance to the lesion's border in eighths of a millimetre, positive inside.
        starts: Where each lesion begins in the two above, and their length.
        person: Number of the person each lesion is of.
        lesion_ml: Volume of each lesion.
    """

    voxels: npt.NDArray[np.int32]
    inside: npt.NDArray[np.int8]
    starts: npt.NDArray[np.int64]
    person: npt.NDArray[np.int32]
    lesion_ml: Float


@dataclass(frozen=True)
class Head:
    """One person's anatomy, ready to be sampled; arrays (slice, row, column) at 1 mm.

    Attributes:
        maps: Bytes, (slice, row, column, map), maps as in MAPS: tissue class (see TISSUES);
            distance to the lateral ventricles; depth below the surface of the brain, less
            DEPTH_ZERO (outside of it: minus the distance to white matter); distance to the outer
            CSF; difference of the distances to the two lateral ventricles (0 midway between
            them); distance to the third ventricle; probability of hyperintensities in old people
            (255: 1); the side, LEFT or RIGHT, of the nearer lateral ventricle. Distances in
            quarters of a millimetre.
        centre: Centre of the brain in voxels.
        extent: First and last slice that holds a good part of the brain.
        shapes: Lesions of real people.
        strokes: Infarcts of real people, one a person; their places are those of ``coarse_shape``.
    """

    maps: Array
    centre: tuple[float, float, float]
    extent: tuple[int, int]
    shapes: Shapes | None = None
    strokes: Shapes | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        slices, rows, columns = self.maps.shape[:3]
        return int(slices), int(rows), int(columns)

    @property
    def coarse_shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns of the grid that infarcts are kept on: 0, 2, 4 ... of each."""
        slices, rows, columns = (-(-size // COARSE) for size in self.shape)
        return slices, rows, columns

    def map(self, name: str) -> Array:
        """One of the maps, (slice, row, column) bytes."""
        return self.maps[..., _CHANNEL[name]]

    @property
    def knows_sides(self) -> bool:
        """Whether left and right are known: not in heads made by wmhseg 0.1."""
        return bool((self.map("side") > 0).any())

    @property
    def tissue(self) -> Array:
        """Tissue class, see TISSUES."""
        return self.map("tissue")


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
    brain = (tissue > 0) & (tissue < N_BRAIN) & (tissue != INDEX["csf"])
    rows = np.flatnonzero(brain.sum((1, 2)) > 1500)
    if rows.size < 2:
        raise LabelsError(
            "A whole-head label map at 1 mm, numbered as in TISSUES, was expected",
            received=f"{rows.size} slices with more than 15 cm2 of brain",
        )
    middle = ndimage.center_of_mass(brain[rows[0] : rows[-1]])
    maps = np.zeros((*tissue.shape, len(MAPS)), np.uint8)
    maps[..., 0] = tissue
    # Distances matter near the brain only; elsewhere they are as far as a byte goes.
    box = tuple(
        slice(max(0, int(line[0]) - 8), int(line[-1]) + 9)
        for line in (np.flatnonzero(brain.any(axes)) for axes in ((1, 2), (0, 2), (0, 1)))
    )
    maps[..., 1:6] = 255
    maps[..., _CHANNEL["depth"]] = 0
    maps[box][..., 1:6], maps[box][..., _CHANNEL["side"]] = _distances(labels[box], tissue[box])
    return Head(
        maps=maps,
        centre=(float(rows[0] + middle[0]), float(middle[1]), float(middle[2])),
        extent=(int(rows[0]), int(rows[-1])),
    )


def _distances(labels: npt.NDArray[np.integer], tissue: Bytes) -> tuple[Bytes, Bytes]:
    """The maps of distances of one head, in the order of MAPS, and that of sides."""

    def distance(mask: Mask) -> Float:
        if not mask.any():
            return np.full(mask.shape, 1000, np.float32)
        far: Float = ndimage.distance_transform_edt(~mask).astype(np.float32)
        return far

    def quarters(values: Float) -> Bytes:
        rounded: Bytes = np.clip(np.round(values / QUARTER_MM), 0, 255).astype(np.uint8)
        return rounded

    left, right = distance(np.isin(labels, _LEFT)), distance(np.isin(labels, _RIGHT))
    surface = np.isin(tissue, [INDEX[name] for name in _SURFACE]) | (tissue >= N_BRAIN)
    white = (tissue == INDEX["white_matter"]) | (tissue == INDEX["wmh"])
    depth: Float = np.where(surface, -distance(white), distance(surface)).astype(np.float32)
    side: Bytes = np.where(left <= right, LEFT, RIGHT).astype(np.uint8)
    distances = np.stack(
        [
            quarters(np.minimum(left, right)),
            quarters(depth + np.float32(DEPTH_ZERO * QUARTER_MM)),
            quarters(distance(tissue == INDEX["csf"])),
            quarters(np.abs(left - right)),
            quarters(distance(np.isin(labels, _THIRD))),
        ],
        -1,
    )
    return distances, side


def load_heads(folder: Path, progress: Progress | None = None) -> list[Head]:
    """Loads every head of a folder, in the order of their names.

    Args:
        folder: Prepared heads (``*.npz``, made by ``python -m wmhseg.synthesis.make_heads``), or
            label maps at 1 mm (``*.nii.gz``), which have no shapes of real lesions.
        progress: Called with (done, total).

    Raises:
        MissingFileError: If the folder holds none.
        InputError: If one cannot be read.
    """
    loaded, paths = [], head_files(folder)
    for path in paths:
        loaded.append(load_file(path))
        if progress is not None:
            progress(len(loaded), len(paths))
    return loaded


def load_file(path: Path) -> Head:
    """Loads one of the files that ``head_files`` names.

    Raises:
        InputError: If it cannot be read.
    """
    return read_head(path) if path.suffix == ".npz" else load_head(read_labels(path))


def head_files(folder: Path) -> list[Path]:
    """The files that ``load_heads`` reads, in the order of their names.

    Raises:
        MissingFileError: If the folder holds none.
    """
    paths = sorted(folder.glob("*.npz")) or sorted(folder.glob("*.nii.gz"))
    if not paths:
        raise MissingFileError(
            "A folder of whole-head label maps (*.nii.gz) was expected", received=folder
        )
    return paths


def read_labels(path: Path) -> npt.NDArray[np.int32]:
    """Reads a label map, (slice, row, column) in LPS order.

    Raises:
        InputError: If it cannot be read.
    """
    stored, grid = images.read_labels(path)
    return geometry.turn_to(grid, "LPS").forward(stored).astype(np.int32)


def write_head(path: Path, head: Head) -> None:
    """Writes a prepared head (``.npz``), complete or not at all."""
    arrays: dict[str, Any] = {
        "maps": head.maps, "centre": np.array(head.centre), "extent": np.array(head.extent),
    }  # fmt: skip
    if head.shapes is not None:
        arrays |= vars(head.shapes)
    if head.strokes is not None:
        arrays |= {_STROKES + name: value for name, value in vars(head.strokes).items()}
    files.write_atomically(path, lambda file: np.savez_compressed(file, **arrays))


def read_head(path: Path) -> Head:
    """Reads what ``write_head`` wrote.

    Raises:
        InputError: If the file is not a prepared head.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            maps, centre, extent = stored["maps"], stored["centre"], stored["extent"]
            shapes, strokes = _read_shapes(stored, ""), _read_shapes(stored, _STROKES)
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise UnreadableFileError(
            f"A prepared head was expected in {path.name}",
            received=str(error) or type(error).__name__,
            advice="Make it again with python -m wmhseg.synthesis.make_heads.",
        ) from error
    if maps.ndim != 4 or maps.shape[3] != len(MAPS) or maps.dtype != np.uint8:
        raise UnreadableFileError(
            f"A prepared head of {len(MAPS)} maps was expected in {path.name}",
            received=f"shape {maps.shape}, {maps.dtype}",
            advice="Make it again with python -m wmhseg.synthesis.make_heads.",
        )
    z, y, x = (float(value) for value in centre)
    return Head(maps, (z, y, x), (int(extent[0]), int(extent[1])), shapes, strokes)


def _read_shapes(stored: Any, prefix: str) -> Shapes | None:
    names = [field.name for field in fields(Shapes)]
    given = {name: stored[prefix + name] for name in names if prefix + name in stored}
    return Shapes(**given) if given else None


def move(heads: Sequence[Head], arrays: Arrays) -> list[Head]:
    """Brings the maps to where scans will be drawn; lesion shapes stay on the host."""
    return [replace(head, maps=arrays.put(head.maps)) for head in heads]
