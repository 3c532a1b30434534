"""Synthetic scans: what is drawn, where, and that a seed says all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from wmhseg.errors import InputError, MissingFileError
from wmhseg.synthesis import anatomy as anatomies
from wmhseg.synthesis import noise
from wmhseg.synthesis.heads import DEPTH_ZERO, INDEX, TISSUES, Head, load_head, load_heads
from wmhseg.synthesis.recipe import Recipe
from wmhseg.synthesis.scan import SyntheticScan, draw_scan, make_scan, normalise

SEEDS = range(12)
RECIPE = Recipe(
    field=(64, 60), slices=6, without_lesions=0, skull_stripped=0, without_t1=0, narrow=0
)


@pytest.fixture(scope="module")
def head(label_map: np.ndarray) -> Head:
    return load_head(label_map)


def scan(head: Head, seed: int, recipe: Recipe = RECIPE) -> SyntheticScan:
    return make_scan(np.random.default_rng(seed), [head], recipe)


# Heads ------------------------------------------------------------------------------------------


def test_tissues_are_told_apart() -> None:
    numbers = [n for group in TISSUES.values() for n in group]
    assert len(set(numbers)) == len(numbers)
    assert list(INDEX.values()) == list(range(len(TISSUES)))
    assert INDEX["background"] == 0


def test_load_head(head: Head, label_map: np.ndarray) -> None:
    middle = tuple(n // 2 for n in label_map.shape)
    assert head.tissue[middle] == INDEX["ventricle"]
    assert head.tissue[0, 0, 0] == 0
    for number, name in (
        (2, "white_matter"),
        (3, "cortex"),
        (24, "csf"),
        (515, "bone"),
        (507, "soft_tissue"),
    ):
        assert (head.tissue[label_map == number] == INDEX[name]).all()
    assert head.tissue.dtype == np.uint8


def test_distances_are_quarters_of_a_millimetre(head: Head, label_map: np.ndarray) -> None:
    z, y = (n // 2 for n in label_map.shape[:2])
    line = label_map[z, y]
    ventricle, pial = head.map("ventricle"), head.map("pial")
    depth = head.map("depth").astype(int) - DEPTH_ZERO
    first = int(np.flatnonzero(line == 4)[0])
    for steps in range(1, 5):  # along a row out of the ventricle
        assert ventricle[z, y, first - steps] == 4 * steps
    assert (ventricle[label_map == 4] == 0).all()
    inner, outer = np.flatnonzero(line == 2)[[-1, 0]]
    assert depth[z, y, outer] == 4  # 1 mm from the next grey voxel
    assert depth[z, y, outer - 1] == -4  # and the grey voxel from it
    assert (depth[np.isin(label_map, (2, 4))] > 0).all()  # ventricles are no surface
    assert (depth[~np.isin(label_map, (2, 4))] < 0).all()
    assert (pial[label_map == 24] == 0).all()
    assert pial[z, y, inner] > 0


def test_centre_and_extent(head: Head, label_map: np.ndarray) -> None:
    # Symmetric but for the last slice, which the extent leaves out.
    np.testing.assert_allclose(head.centre, (np.array(label_map.shape) - 1) / 2, atol=0.6)
    area = np.isin(label_map, (2, 3, 4)).sum((1, 2))
    first, last = head.extent
    assert area[first] > 1500 >= area[first - 1]
    assert area[last] > 1500 >= area[last + 1]


def test_unknown_labels_are_soft_tissue(label_map: np.ndarray) -> None:
    odd = np.where(label_map == 515, 599, label_map)
    assert (load_head(odd).tissue[odd == 599] == INDEX["soft_tissue"]).all()


@pytest.mark.parametrize("labels", [np.zeros((4, 50, 50), int), np.full((4, 50, 50), 507)])
def test_no_brain(labels: np.ndarray) -> None:
    with pytest.raises(InputError, match="Received: 0 slices"):
        load_head(labels)


def test_load_heads_turns_maps_to_lps(tmp_path: Path, label_map: np.ndarray, head: Head) -> None:
    labels = label_map.copy()
    labels[:, :, :38][labels[:, :, :38] == 2] = 10  # a thalamus on one side, to tell left
    straight = SimpleITK.GetImageFromArray(labels.astype(np.int16))
    for number, code in enumerate(("LPS", "RIA")):
        turned = SimpleITK.DICOMOrient(straight, code)
        SimpleITK.WriteImage(turned, str(tmp_path / f"{number}.nii.gz"))
    one, other = load_heads(tmp_path)
    np.testing.assert_array_equal(one.tissue, other.tissue)
    np.testing.assert_array_equal(one.tissue, load_head(labels).tissue)
    assert one.centre == other.centre


def test_load_heads_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=tmp_path.name):
        load_heads(tmp_path)


# Scans ------------------------------------------------------------------------------------------


def test_form(head: Head) -> None:
    made = scan(head, 0)
    assert made.inputs.shape == (6, 64, 60, 2)
    assert made.inputs.dtype == np.float32
    assert made.target.shape == (6, 64, 60)
    assert made.target.dtype == np.bool_
    for seed in SEEDS:
        inputs = scan(head, seed).inputs
        assert np.isfinite(inputs).all()
        assert inputs.min() >= -6
        assert inputs.max() <= 12


def test_a_seed_says_all(head: Head) -> None:
    one, same, other = scan(head, 3), scan(head, 3), scan(head, 4)
    np.testing.assert_array_equal(one.inputs, same.inputs)
    np.testing.assert_array_equal(one.target, same.target)
    assert not np.array_equal(one.inputs, other.inputs)


def test_nothing_drawn_nothing_marked(head: Head) -> None:
    recipe = replace(RECIPE, without_lesions=1)
    assert not any(scan(head, seed, recipe).target.any() for seed in SEEDS)
    assert sum(scan(head, seed).target.any() for seed in SEEDS) >= len(SEEDS) - 2


def test_t1_is_dropped_whole(head: Head) -> None:
    for seed in SEEDS:
        with_t1 = scan(head, seed).inputs
        without = scan(head, seed, replace(RECIPE, without_t1=1)).inputs
        assert (without[..., 1] == 0).all()
        assert with_t1[..., 1].std() > 0.1
        np.testing.assert_array_equal(without[..., 0], with_t1[..., 0])


def test_brain_extraction_removes_the_head(head: Head) -> None:
    for seed in SEEDS:
        stripped = draw_scan(
            np.random.default_rng(seed),
            [head],
            replace(
                RECIPE,
                skull_stripped=1,
                badly_stripped=0,
                pixel_mm=(1.3, 1.3),
                neck_mm=0,
                vertex_mm=0,
                cut_short=0,
                off_centre_mm=0,
            ),
        )
        share = (stripped.flair > 0).mean()
        assert 0.15 < share < 0.9
        np.testing.assert_array_equal(stripped.flair[:, :3, :3], 0)


def test_bright_lesions_survive_acquisition(head: Head) -> None:
    """What a network is to find: marked voxels are brighter than the rest of the brain."""
    brighter = 0
    for seed in SEEDS:
        made = scan(head, seed)
        flair = made.inputs[..., 0]
        if made.target.sum() > 10:
            brighter += flair[made.target].mean() > flair[~made.target & (flair > -1)].mean()
    assert brighter >= 8


@pytest.mark.parametrize(("thickness_mm", "most"), [(1.0, 6), (3.0, 40)])
def test_slices_are_spread_over_the_head(head: Head, thickness_mm: float, most: int) -> None:
    recipe = replace(RECIPE, slices=most, gap=(0.1, 0.1), cut_short=0)
    counts = []
    for seed in SEEDS:
        anatomy = anatomies.sample(np.random.default_rng(seed), head, recipe, thickness_mm, 3)
        planes = anatomy.axes_mm[0].reshape(-1, 3)
        counts.append(len(planes))
        gaps = np.diff(planes.mean(1))
        pitch = anatomy.spacing_mm[0]
        np.testing.assert_allclose(gaps, pitch, rtol=1e-4)
        np.testing.assert_allclose(np.diff(planes[0]), thickness_mm / 3, rtol=1e-4)
        # The brain is covered, a pitch at the ends left to chance, the zoom at most 1.13.
        extent = 0.87 * (head.extent[1] - head.extent[0])
        assert extent <= len(planes) * pitch + 1e-3
        assert len(planes) * pitch <= extent / 0.87 * 1.13 + 25 + 12 + pitch
        if most == 40:  # all slices of the scan, with its own gap
            assert pitch == pytest.approx(3.3)
    assert max(counts) <= most
    assert most == 40 or set(counts) == {6}


def test_the_scan_says_how_large_its_voxels_are(head: Head) -> None:
    drawn = draw_scan(np.random.default_rng(0), [head], RECIPE)
    assert drawn.spacing_mm[0] > 3
    assert all(0.75 < size < 1.32 for size in drawn.spacing_mm[1:])


# Pieces -----------------------------------------------------------------------------------------


@given(st.floats(1, 50), st.integers(2, 40), st.floats(0.3, 3))
@settings(max_examples=50)
def test_spline_weights_add_up_to_one(wavelength: float, points: int, step: float) -> None:
    """Cubic B-splines are a partition of unity: equal knots give a constant field."""
    axis = (np.arange(points) * step - 7).astype(np.float32)
    weights = noise.spline_map(axis, wavelength)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-4)


def test_spline_by_hand() -> None:
    """At a knot 1/6, 2/3, 1/6; between two knots 1/48, 23/48, 23/48, 1/48."""
    weights = noise.spline_map(np.float32([0, 5, 10]), 10)
    np.testing.assert_allclose(weights[0], [1 / 6, 2 / 3, 1 / 6, 0], atol=1e-6)
    np.testing.assert_allclose(weights[1], np.array([1, 23, 23, 1]) / 48, atol=1e-6)
    np.testing.assert_allclose(weights[2], [0, 1 / 6, 2 / 3, 1 / 6], atol=1e-6)


def test_noise_is_smooth_and_of_unit_variance() -> None:
    axes = tuple(np.arange(n, dtype=np.float32) for n in (20, 40, 50))
    smooth = noise.Noise(np.random.default_rng(0), axes)
    slow, fast = smooth(20), smooth(4)
    for field in (slow, fast):
        assert field.shape == (20, 40, 50)
        assert field.dtype == np.float32
        assert field.std() == pytest.approx(1, abs=0.05)
    assert np.abs(np.diff(slow, axis=1)).max() < 0.5 < np.abs(np.diff(fast, axis=1)).max()


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_rotations_turn_and_nothing_else(seed: int) -> None:
    matrix = noise.rotation(np.random.default_rng(seed), 90)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-5)
    assert np.linalg.det(matrix) == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(noise.rotation(np.random.default_rng(seed), 0), np.eye(3))


@pytest.mark.parametrize("factor", [0.001, 0.25, 1000])
def test_normalised_scans_do_not_depend_on_the_scale(head: Head, factor: float) -> None:
    image = draw_scan(np.random.default_rng(0), [head], RECIPE).flair
    one = normalise(np.random.default_rng(5), image)
    other = normalise(np.random.default_rng(5), image * np.float32(factor))
    np.testing.assert_allclose(other, one, atol=1e-3)
    jittered = normalise(np.random.default_rng(6), image)
    assert not np.array_equal(one, jittered)
