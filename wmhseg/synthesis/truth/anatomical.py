"""The structure that every voxel of a drawn scan is of: no random number is used for it."""

from __future__ import annotations

import numpy as np

from wmhseg.synthesis.anatomy import Sampled, is_any
from wmhseg.synthesis.arrays import Array, look_up, namespace
from wmhseg.synthesis.heads import INDEX, LEFT, MAPS, N_BRAIN, TISSUES
from wmhseg.weights.structures import BACKGROUND, LATERAL, NUMBER

# Structure <- tissue classes. Lateral ventricles are told from the third by where they are.
_OF_TISSUES = {
    "outer-csf": ("csf",),
    "other-ventricles": ("ventricle", "choroid_plexus", "fourth_ventricle"),
    "cortex": ("cortex",),
    "white-matter": ("white_matter", "wmh"),
    # The maps' vessels are those that perforate the basal ganglia.
    "deep-grey": ("thalamus", "striatum", "pallidum", "limbic", "ventral_dc", "vessel"),
    "cerebellum": ("cerebellar_white_matter", "cerebellar_cortex"),
    "brainstem": ("brainstem",),
}


def _table() -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Tissue class -> structure."""
    table = np.zeros(len(TISSUES), np.uint8)
    table[N_BRAIN:] = NUMBER["head"]
    for structure, names in _OF_TISSUES.items():
        table[[INDEX[name] for name in names]] = NUMBER[structure]
    return table


_TABLE = _table()


def at_points(anatomy: Sampled) -> Array:
    """The structure at every point of a scan, before slices are averaged.

    Args:
        anatomy: What lies there; its head knows sides, see ``Head.knows_sides``.

    Returns:
        (slice x part, row, column) uint8, numbers of ``wmhseg.weights.structures``.
    """
    xp = namespace(anatomy.tissue)
    within = is_any(anatomy.tissue, ("ventricle", "choroid_plexus"))
    # A voxel of the third ventricle stays one where lateral ones were widened up to it.
    lateral = within & (anatomy.ventricle_mm <= 0) & (_map(anatomy, "third") > 0)
    left = (_map(anatomy, "side") == LEFT) ^ anatomy.mirrored
    one, other = (NUMBER[name] for name in LATERAL)
    number = xp.where(lateral, xp.where(left, one, other), look_up(_TABLE, anatomy.tissue))
    return xp.astype(number, xp.uint8)


def _map(anatomy: Sampled, name: str) -> Array:
    """One map of the head at every point, as its bytes."""
    arrays, maps = anatomy.noise.arrays, anatomy.head.maps
    stored, xp = arrays.put(maps) if isinstance(maps, np.ndarray) else maps, arrays.xp
    flat = xp.reshape(stored, (-1, len(MAPS)))[:, MAPS.index(name)]
    rows = xp.take(flat, xp.reshape(anatomy.place, (-1,)), axis=0)
    return xp.reshape(rows, anatomy.place.shape)


def of_slices(points: Array, parts: int, seen: Array) -> Array:
    """The structure that most planes of a slice show; where all differ, that of the middle.

    Args:
        points: (slice x part, row, column), see ``at_points``.
        parts: Planes a slice, 2 or 3. Of two that differ the first counts: to prefer a structure
            would make it larger than it is.
        seen: 1 where something was acquired and kept; elsewhere is background.

    Returns:
        (slice, row, column) uint8.
    """
    xp = namespace(points)
    split = xp.reshape(points, (-1, parts, *points.shape[1:]))
    first, last = split[:, 0], split[:, -1]
    most = first if parts == 2 else xp.where(first == last, first, split[:, 1])
    return xp.astype(xp.where(seen > 0, most, NUMBER[BACKGROUND]), xp.uint8)
