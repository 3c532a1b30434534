"""Real scans by source, and the recipe that draws synthetic ones of the same geometry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from evaluation.realism import views
from evaluation.realism.views import Atlas, View
from wmhseg.channels.brain_maps import Float, Mask
from wmhseg.errors import MissingFileError
from wmhseg.io import images
from wmhseg.preparation import one_grid
from wmhseg.preparation.steps import Steps
from wmhseg.synthesis.recipe import Recipe
from wmhseg.weights import store

LESION_ROOM_VOX = 1
# Where nobody has drawn the lesions: white matter brighter than this, in robust standard
# deviations, and not a single voxel.
_BRIGHT = 3.0
_SLICES = 45  # of real scans so many are looked at, or all of fewer than twice as many


@dataclass(frozen=True)
class Source:
    """Scans of one origin, which are left out together.

    Attributes:
        name: What tables call it.
        folders: Patterns below the folder of data, each a folder of a scan.
        thickness_mm: Of the slices that synthetic scans of this geometry have,
        gap: between them, relative to it, and
        pixel_mm: their pixels, as the networks see them.
        skull_stripped: Whether the brain alone is there.
        healthy: Whether there are no lesions; else, where nobody has drawn them, what looks like
            one is left out.
    """

    name: str
    folders: tuple[str, ...]
    thickness_mm: float
    gap: float
    pixel_mm: float
    skull_stripped: bool
    healthy: bool = False

    def scans(self, data: Path) -> list[Path]:
        """Folders of the scans that are there, in the order of their names."""
        found = [folder for pattern in self.folders for folder in sorted(data.glob(pattern))]
        return [folder for folder in found if _flair(folder).is_file()]

    def recipe(self, recipe: Recipe) -> Recipe:
        """Other scans by the same recipe: of this geometry and age, without lesions, upright.

        All sources are of people of working age, most with multiple sclerosis: their ventricles
        and sulci are not those of old people, and wide ones would be told from them easily.
        """
        return replace(
            recipe,
            thickness_mm=(self.thickness_mm,),
            gap=(self.gap, self.gap),
            pixel_mm=(self.pixel_mm, self.pixel_mm),
            skull_stripped=float(self.skull_stripped),
            without_lesions=1.0,
            cavities=0.0,
            stroke=0.0,
            wide_ventricles=0.4,
            wide_ventricles_mm=(0.5, 4.0),
            wide_third=0.2,
            atrophy=0.25,
            # Upright and of their own size, heads are placed once for all scans of them.
            tilt_deg=0.0,
            zoom=(1.0, 1.0),
            off_centre_mm=0.0,
            cut_short=0.0,
            empty_ends=0.0,
            narrow=0.0,
        )


SOURCES = (
    Source("openms, MNI", ("cases/openms-*",), 1.0, 0.0, 1.0, True),
    Source("mslesseg", ("cases/mslesseg-*",), 1.0, 0.0, 1.0, True),
    Source("tabriz", ("cases/tabriz-*",), 5.5, 0.25, 0.9, False),
    Source("openms, raw", ("raw/openms-0*", "raw/openms-12_1"), 3.0, 0.0, 1.0, False),
    Source("luuu", ("healthy/luuu-*",), 1.0, 0.0, 0.95, True, healthy=True),
)


def _flair(folder: Path) -> Path:
    inner = folder / "pre" / "FLAIR.nii.gz"
    return inner if inner.is_file() else folder / "FLAIR.nii.gz"


def read(folder: Path, source: Source) -> View:
    """Reads a real scan of a source as inference would, and leaves its lesions out.

    Raises:
        MissingFileError: If FLAIR or T1 is missing.
        InputError: If one cannot be read, or T1 does not match FLAIR.
    """
    path = _flair(folder)
    t1_path = path.with_name("T1.nii.gz")
    if not t1_path.is_file():
        raise MissingFileError("T1 was expected beside FLAIR", received=folder)
    flair = images.read_scan(path, name="FLAIR")
    t1 = images.read_scan(t1_path, name="T1")
    preset = store.find(store.DEFAULT_MODEL).preset
    aligned = one_grid.align(flair, t1, preset, Steps())
    assert aligned.t1 is not None
    grid = aligned.flair.grid
    some = slice(0, None, max(1, grid.shape[0] // _SLICES))
    atlas = views.atlas_of_scan(aligned.t1.array, grid.spacing_mm, some)
    seen = aligned.flair.array[some], aligned.t1.array[some]
    reference = folder / "wmh.nii.gz"
    if reference.is_file():
        labels, _ = images.read_labels(reference)
        lesions = aligned.way.forward((labels > 0).astype(np.float32))[some] > 0.1
    elif source.healthy:
        lesions = np.zeros(seen[0].shape, bool)
    else:
        lesions = bright(seen[0], atlas)
    lesions = ndimage.binary_dilation(lesions, np.ones((1, 3, 3), bool), LESION_ROOM_VOX)
    return views.view(*seen, lesions, atlas)


def bright(flair: Float, atlas: Atlas) -> Mask:
    """What may be lesions where nobody has drawn them."""
    values = flair[atlas.white]
    middle = np.median(values)
    spread = 1.4826 * np.median(np.abs(values - middle))
    may = [1 + views.REGIONS.index(name) for name in ("ventricle border", "white matter")]
    over = np.isin(atlas.region, may) & (flair > middle + _BRIGHT * spread)
    labels, _ = ndimage.label(over)
    counts = np.bincount(labels.ravel())
    kept: Mask = over & (counts[labels] >= 5)
    return kept
