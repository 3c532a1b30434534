"""Images of nibabel: the same scan as of their file, whether or not nibabel is installed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from conftest import Phantom

import wmhseg
from wmhseg import errors
from wmhseg.io import images, sources

# Column, row, slice to RAS: oblique, stored from right to left, 0.9 x 1.1 x 3 mm.
TURN = sitk.Euler3DTransform((0, 0, 0), 0.2, -0.1, 0.3).GetMatrix()
AFFINE = np.eye(4)
AFFINE[:3, :3] = np.reshape(TURN, (3, 3)) * [-0.9, 1.1, 3.0]
AFFINE[:3, 3] = 12.5, -40.0, 7.0


def like_nibabel(array: np.ndarray, affine: Any, header: Any = None) -> SimpleNamespace:
    """What is used of an image of nibabel, and no more."""
    return SimpleNamespace(affine=affine, dataobj=array, header=header)


def values() -> np.ndarray:
    return np.random.default_rng(0).random((5, 6, 7)).astype(np.float32)


def test_the_affine_places_the_voxels() -> None:
    scan = sources.read(like_nibabel(values(), AFFINE), None, name="FLAIR")
    np.testing.assert_array_equal(scan.array, values().T)
    assert scan.grid.shape == (7, 6, 5)
    assert scan.grid.spacing_mm == pytest.approx((3.0, 1.1, 0.9))
    image = images.to_image(scan.array, scan.grid)
    for index in ((0, 0, 0), (4, 0, 0), (1, 5, 6)):
        ras = AFFINE @ [*index, 1]
        lps = image.TransformIndexToPhysicalPoint(index)
        assert lps == pytest.approx(ras[:3] * [-1, -1, 1])
    assert scan.header is None


def test_one_volume_of_a_series_of_one() -> None:
    scan = sources.read(like_nibabel(values()[..., None], AFFINE), None, name="FLAIR")
    np.testing.assert_array_equal(scan.array, values().T)
    with pytest.raises(errors.DimensionError):
        sources.read(like_nibabel(np.stack([values()] * 2, -1), AFFINE), None, name="FLAIR")


@pytest.mark.parametrize(
    ("affine", "kind"),
    [
        (None, errors.UsageError),
        (np.eye(3), errors.NotNiftiError),
        (np.diag([1.0, np.nan, 1, 1]), errors.NotNiftiError),
        (np.diag([1.0, 0, 1, 1]), errors.NotNiftiError),
        (np.eye(4) + 0.2 * np.eye(4, k=1), errors.NotNiftiError),
    ],
)
def test_affines_that_place_nothing(affine: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        sources.read(like_nibabel(values(), affine), None, name="FLAIR")


def test_spacing_is_for_arrays() -> None:
    with pytest.raises(errors.UsageError, match="arrays only"):
        sources.read(like_nibabel(values(), AFFINE), (3, 1, 1), name="FLAIR")


@pytest.mark.parametrize("kind", ["Nifti1Image", "Nifti2Image"])
@pytest.mark.parametrize("unit", ["mm", "micron", "unknown"])
def test_the_same_as_from_the_file(tmp_path: Path, kind: str, unit: str) -> None:
    nibabel = pytest.importorskip("nibabel")
    affine = AFFINE.copy()
    if unit == "micron":
        affine[:3] *= 1000
    image = getattr(nibabel, kind)(values(), affine)
    image.header.set_xyzt_units(unit)
    image.set_qform(affine, 1)
    image.set_sform(affine, 3)
    nibabel.save(image, tmp_path / "f.nii.gz")
    told = images.read_scan(tmp_path / "f.nii.gz", name="FLAIR")
    for given in (image, nibabel.load(tmp_path / "f.nii.gz")):
        scan = sources.read(given, None, name="FLAIR")
        assert scan.grid == told.grid
        np.testing.assert_array_equal(scan.array, told.array)
        # The result carries the same forms.
        assert scan.header is not None
        images.write_mask(tmp_path / "a.nii", scan.array > 0.5, scan.grid, scan.header)
        images.write_mask(tmp_path / "b.nii", told.array > 0.5, told.grid, told.header)
        assert (tmp_path / "a.nii").read_bytes() == (tmp_path / "b.nii").read_bytes()


def test_headers_that_contradict_the_affine_are_not_kept() -> None:
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.Nifti1Image(values(), AFFINE)
    image.header.set_sform(np.diag([2.0, 2, 2, 1]), 1)
    scan = sources.read(image, None, name="FLAIR")
    assert scan.header is None
    assert scan.grid.spacing_mm == pytest.approx((3.0, 1.1, 0.9))
    other = nibabel.MGHImage(values(), AFFINE)
    assert sources.read(other, None, name="FLAIR").header is None


def test_a_mask_in_the_images_own_order(
    phantom: Phantom, use_models: Path, no_doubts: None
) -> None:
    affine = np.diag([-0.9, -1.0, 3.0, 1.0])  # LPS, as arrays are taken to be
    flair = like_nibabel(phantom.flair.T, affine)
    t1 = like_nibabel(phantom.t1.T, affine)
    result = wmhseg.segment(flair, t1, model="bright-needs-t1")
    assert result.mask.T.shape == flair.dataobj.shape
    assert result.mask.T[20, 20, 8] == 1
    assert phantom.flair.T[20, 20, 8] == 900
    assert wmhseg.check(flair) == wmhseg.check(phantom.flair, spacing_mm=phantom.spacing_mm)
