"""What is seen in heads whose tissues are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from heads import SHAPE, SPACING_MM, head

from wmhseg import geometry
from wmhseg.checking import voxels
from wmhseg.geometry import Grid
from wmhseg.io import images


@pytest.mark.parametrize("skull", [True, False])
@pytest.mark.parametrize(("made", "seen"), [("FLAIR", "FLAIR"), ("T1", "T1"), ("T2", "T2 or PD")])
def test_contrast_and_skull(made: str, seen: str, skull: bool) -> None:
    look = voxels.look(head(made, skull=skull))
    assert (look.kind, look.skull) == (seen, skull)


def test_air_that_was_left_as_it_is_means_a_skull_or_nothing() -> None:
    """A stripped head in noise: no brain extraction leaves that."""
    scan = head("FLAIR", skull=False)
    noise = np.random.default_rng(1).rayleigh(8, scan.array.shape).astype(np.float32)
    look = voxels.look(replace(scan, array=np.where(scan.array > 0, scan.array, noise)))
    assert (look.skull, look.filled) == (None, False)
    assert voxels.look(scan).filled
    assert not voxels.look(head("FLAIR")).filled


def test_white_matter_need_not_be_most_frequent() -> None:
    """In a T1 with more grey than white matter the most even tissue is still white matter."""
    scan = head("T1")
    look = voxels.look(scan)
    assert max(look.brighter) < 0.32
    # Two thirds of what is white become grey, in patches and less even than what is left.
    rng = np.random.default_rng(2)
    patches = rng.random((42, 29, 24)).repeat(2, 0).repeat(4, 1).repeat(4, 2) < 0.67
    grey = (scan.array > 420) & patches
    changed = np.where(grey, rng.normal(360, 15, scan.array.shape), scan.array)
    seen = voxels.look(replace(scan, array=changed.astype(np.float32)))
    assert seen.brighter[0] > 0.42
    assert seen.brighter[1] < 0.32
    assert seen.kind == "unknown"


@pytest.mark.parametrize("factor", [1e-4, 1e5])
def test_the_scale_does_not_matter(factor: float) -> None:
    assert voxels.look(head("T1", factor=factor)).kind == "T1"


@pytest.mark.parametrize("code", ["RAS", "PIR", "ASL"])
def test_the_orientation_does_not_matter(code: str) -> None:
    """Stored with other axes, the head is seen from above all the same."""
    scan = head("FLAIR")
    way = geometry.turn_to(scan.grid, code)
    straight = voxels.look(scan)
    image = images.to_image(scan.array, scan.grid)
    turned = voxels.look(images.scan_from_image(sitk.DICOMOrient(image, code), name="FLAIR"))
    assert turned.kind == straight.kind
    assert turned.extent_mm == pytest.approx(straight.extent_mm, abs=2)
    assert turned.snr == pytest.approx(straight.snr, rel=0.05)
    assert way.target.shape != SHAPE or code == "RAS"


def test_extent_noise_and_cuts_by_hand() -> None:
    look = voxels.look(head("FLAIR", noise=10))
    # The outermost ellipsoid is 152 x 200 x 160 mm; 99 % of its voxels span a little less.
    for seen, whole in zip(look.extent_mm, (152, 200, 160), strict=True):
        assert 0.85 * whole < seen <= whole
    assert look.snr == pytest.approx(330 / 10, rel=0.1)  # white matter over sigma
    assert look.ghost == pytest.approx(0, abs=0.002)
    assert look.top_share == look.bottom_share == look.side_share == 0
    scan = head("FLAIR")
    half = scan.array[: SHAPE[0] // 2]  # ends in the largest slice
    cut = voxels.look(replace(scan, array=half, grid=Grid(half.shape, SPACING_MM)))
    assert cut.top_share > 0.95
    assert cut.extent_mm[0] < 80


@pytest.mark.parametrize("skull", [True, False])
def test_the_brain_by_hand(skull: bool) -> None:
    """176 x 136 mm; of a head of 200 x 160 mm with 10 mm of skin and bone taken to be around it."""
    rows, columns = voxels.look(head("FLAIR", skull=skull)).brain_mm
    expected = (180, 140) if skull else (176, 136)
    assert (rows, columns) == pytest.approx(expected, abs=6)


def test_ghosts_along_one_axis() -> None:
    scan = head("FLAIR", noise=5)
    ghost = 0.1 * np.roll(scan.array, SHAPE[1] // 2, axis=1)
    look = voxels.look(replace(scan, array=scan.array + ghost))
    assert look.ghost is not None
    assert look.ghost > 0.025


def test_air_set_to_zero_tells_nothing() -> None:
    look = voxels.look(head("FLAIR", skull=False))
    assert look.snr is None
    assert look.ghost is None


def test_a_contrast_agent_is_noticed() -> None:
    scan = head("T1")
    assert not voxels.look(scan).enhanced
    bright = scan.array.copy()
    bright[20:70:6, 30:90:6, 20:80] = 1200  # vessels
    assert voxels.look(replace(scan, array=bright)).enhanced


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("shape", [(2, 2, 2), (2, 300, 3), (40, 2, 40)])
@pytest.mark.parametrize("value", [-5.0, 0.0, 1e-40, 1e38])
def test_whatever_is_no_head_is_unknown(shape: tuple[int, int, int], value: float) -> None:
    array = np.full(shape, value, np.float32)
    array[0, 0, 0] = 1
    for spacing_mm in ((1e-6, 1.0, 1e6), (1.0, 1.0, 1.0)):
        look = voxels.look(images.Scan(array, Grid(shape, spacing_mm), "FLAIR"))
        assert look.kind == "unknown"


def pairs(shared: Path) -> list[Path]:
    data = shared / "data"
    return sorted([*data.glob("cases/*/pre"), *data.glob("raw/*")])


def test_real_scans_are_recognised(shared: Path) -> None:
    """Nine prepared pairs (six of them without skull) and five raw ones."""
    folders = pairs(shared)
    assert len(folders) >= 14
    for folder in folders:
        for name in ("FLAIR", "T1"):
            look = voxels.look(images.read_scan(folder / f"{name}.nii.gz", name=name))
            stripped = folder.parent.name.startswith(("mslesseg", "openms"))
            assert (look.kind, look.skull) == (name, not stripped), (folder, look)
            assert not look.enhanced
