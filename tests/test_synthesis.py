"""Synthetic scans: what is drawn, where, and that a seed says all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from conftest import ellipsoid
from hypothesis import given, settings
from hypothesis import strategies as st

from wmhseg.errors import InputError, MissingFileError
from wmhseg.training import anatomy as anatomies
from wmhseg.training import appearance, hyperintensities, noise, synthesis
from wmhseg.training.heads import INDEX, TISSUES, Head
from wmhseg.training.recipe import Recipe

SEEDS = range(12)
RECIPE = Recipe(field=(64, 60), slices=6, without_lesions=0, skull_stripped=0, without_t1=0)


@pytest.fixture(scope="module")
def head(label_map: np.ndarray) -> Head:
    return synthesis.load_head(label_map)


def scan(head: Head, seed: int, recipe: Recipe = RECIPE) -> synthesis.SyntheticScan:
    return synthesis.make_scan(np.random.default_rng(seed), [head], recipe)


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
    first = int(np.flatnonzero(line == 4)[0])
    for steps in range(1, 5):  # along a row out of the ventricle
        assert head.ventricle_mm[z, y, first - steps] == 4 * steps
    assert (head.ventricle_mm[label_map == 4] == 0).all()
    inner, outer = np.flatnonzero(line == 2)[[-1, 0]]
    assert head.depth_mm[z, y, outer] == 4  # 1 mm from the next grey voxel
    assert (head.depth_mm[label_map != 2] == 0).all()
    assert (head.pial_mm[label_map == 24] == 0).all()
    assert head.pial_mm[z, y, inner] > 0
    assert head.ventricle_mm[0, 0, 0] <= 255


def test_centre_and_extent(head: Head, label_map: np.ndarray) -> None:
    # Symmetric but for the last slice, which the extent leaves out.
    np.testing.assert_allclose(head.centre, (np.array(label_map.shape) - 1) / 2, atol=0.6)
    area = np.isin(label_map, (2, 3, 4)).sum((1, 2))
    first, last = head.extent
    assert area[first] > 1500 >= area[first - 1]
    assert area[last] > 1500 >= area[last + 1]


def test_unknown_labels_are_soft_tissue(label_map: np.ndarray) -> None:
    odd = np.where(label_map == 515, 599, label_map)
    assert (synthesis.load_head(odd).tissue[odd == 599] == INDEX["soft_tissue"]).all()


@pytest.mark.parametrize("labels", [np.zeros((4, 50, 50), int), np.full((4, 50, 50), 507)])
def test_no_brain(labels: np.ndarray) -> None:
    with pytest.raises(InputError, match="Received: 0 slices"):
        synthesis.load_head(labels)


def test_load_heads_turns_maps_to_lps(tmp_path: Path, label_map: np.ndarray, head: Head) -> None:
    labels = label_map.copy()
    labels[:, :, :38][labels[:, :, :38] == 2] = 10  # a thalamus on one side, to tell left
    straight = SimpleITK.GetImageFromArray(labels.astype(np.int16))
    for number, code in enumerate(("LPS", "RIA")):
        turned = SimpleITK.DICOMOrient(straight, code)
        SimpleITK.WriteImage(turned, str(tmp_path / f"{number}.nii.gz"))
    one, other = synthesis.load_heads(tmp_path)
    np.testing.assert_array_equal(one.tissue, other.tissue)
    np.testing.assert_array_equal(one.tissue, synthesis.load_head(labels).tissue)
    assert one.centre == other.centre


def test_load_heads_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=tmp_path.name):
        synthesis.load_heads(tmp_path)


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
        drawn = synthesis.draw_scan(np.random.default_rng(seed), [head], RECIPE)
        stripped = synthesis.draw_scan(
            np.random.default_rng(seed), [head], replace(RECIPE, skull_stripped=1)
        )
        assert (drawn.flair > 0).mean() > 0.99  # Rician noise is nowhere 0
        share = (stripped.flair > 0).mean()
        assert 0.2 < share < 0.9
        np.testing.assert_array_equal(stripped.flair[:, :3, :3], 0)


def parts(head: Head, seed: int) -> tuple[np.random.Generator, anatomies.Anatomy, np.ndarray]:
    """One scan up to where lesions are."""
    rng = np.random.default_rng(seed)
    anatomy = anatomies.sample(rng, head, RECIPE, 3.0, 3)
    return rng, anatomy, hyperintensities.grow(rng, anatomy, RECIPE)


def test_lesions_grow_only_where_the_anatomy_allows(head: Head) -> None:
    allowed = [
        INDEX[name]
        for name in (
            "white_matter", "wmh", "cortex", "thalamus", "striatum", "brainstem",
            "cerebellar_white_matter",
        )
    ]  # fmt: skip
    inside = total = 0
    for seed in SEEDS:
        _, anatomy, lesions = parts(head, seed)
        assert np.isin(anatomy.tissue[lesions], allowed).all()
        inside += int((anatomy.tissue[lesions] == INDEX["white_matter"]).sum())
        total += int(lesions.sum())
    assert total > 1000
    assert inside > 0.9 * total  # cortex is rare


def test_lesions_are_brighter_than_white_matter(head: Head) -> None:
    """In FLAIR, before slices are averaged and noise is added; nothing else is changed."""
    for seed in SEEDS:
        _, anatomy, lesions = parts(head, seed)
        assert lesions.any()
        painted = []
        for where in (lesions, np.zeros_like(lesions)):
            # Noise is drawn as well, so both paintings need the same state.
            anatomy.noise.rng = rng = np.random.default_rng(seed)
            contrast = appearance.draw_contrast(rng)
            painted.append(appearance.paint(rng, anatomy, where, contrast))
        (flair, t1), (plain_flair, plain_t1) = painted
        assert (flair[lesions] >= 1.0799 * plain_flair[lesions]).all()
        assert flair[lesions].min() >= 1
        assert np.median(flair[lesions]) > 1.2
        np.testing.assert_array_equal(flair[~lesions], plain_flair[~lesions])
        np.testing.assert_array_equal(t1[~lesions], plain_t1[~lesions])
        # In T1 they are iso- to hypointense.
        assert np.median(t1[lesions]) < 1.1


def test_bright_lesions_survive_acquisition(head: Head) -> None:
    """What a network is to find: marked voxels are brighter than the rest of the brain."""
    brighter = 0
    for seed in SEEDS:
        made = scan(head, seed)
        flair = made.inputs[..., 0]
        if made.target.sum() > 10:
            brighter += flair[made.target].mean() > flair[~made.target & (flair > -1)].mean()
    assert brighter >= 8


def test_contrast_is_plausible() -> None:
    for seed in range(50):
        contrast = appearance.draw_contrast(np.random.default_rng(seed))
        grey, white, fluid = (INDEX[n] for n in ("cortex", "white_matter", "ventricle"))
        assert contrast.flair[white] == contrast.t1[white] == 1
        assert 1 <= contrast.flair[grey] <= 1.42
        assert 0.52 <= contrast.t1[grey] <= 1
        assert contrast.flair[fluid] < 0.5
        assert contrast.t1[fluid] <= 0.5
        assert contrast.lesion_flair >= max(1.22, 1.04 * float(contrast.flair[grey]) - 1e-6)
        assert 0.5 <= contrast.lesion_t1 <= 1.02
        assert contrast.flair[0] == contrast.t1[0] == 0


@pytest.mark.parametrize("thickness_mm", [1.0, 6.0])
def test_slices_are_spread_over_the_brain(head: Head, thickness_mm: float) -> None:
    recipe = replace(RECIPE, thickness_mm=(thickness_mm,))
    made = synthesis.draw_scan(np.random.default_rng(0), [head], recipe)
    assert made.flair.shape == (6, 64, 60)
    rng = np.random.default_rng(0)
    anatomy = anatomies.sample(rng, head, recipe, thickness_mm, 3)
    centres = anatomy.axes_mm[0].reshape(6, 3).mean(1)
    gaps = np.diff(centres)
    np.testing.assert_allclose(gaps, gaps[0], rtol=1e-4)
    steps = [gaps[0], *(axis[1] - axis[0] for axis in anatomy.axes_mm[1:])]
    np.testing.assert_allclose(made.spacing_mm, steps, rtol=1e-4)
    # Sub-slices divide the thickness evenly.
    np.testing.assert_allclose(np.diff(anatomy.axes_mm[0][:3]), thickness_mm / 3, rtol=1e-4)
    extent = head.extent[1] - head.extent[0]
    assert 0.87 * extent / 6 <= gaps[0] <= 1.13 * extent / 6


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
        assert field.std() == pytest.approx(1, abs=1e-4)
    assert np.abs(np.diff(slow, axis=1)).max() < 0.5 < np.abs(np.diff(fast, axis=1)).max()


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_rotations_turn_and_nothing_else(seed: int) -> None:
    matrix = noise.rotation(np.random.default_rng(seed), 90)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-5)
    assert np.linalg.det(matrix) == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(noise.rotation(np.random.default_rng(seed), 0), np.eye(3))


def test_ellipsoids_stay_inside() -> None:
    axes = tuple(np.arange(n, dtype=np.float32) for n in (30, 40, 40))
    allowed = ellipsoid((30, 40, 40), (10, 15, 15))
    out = np.zeros(allowed.shape, bool)
    hyperintensities.paint_ellipsoids(np.random.default_rng(0), out, allowed, axes, np.full(5, 4.0))
    assert out.any()
    assert not (out & ~allowed).any()
    # 5 balls of radius 4, each axis stretched by at most 1.55, the surface wavy by a quarter.
    assert out.sum() < 5 * 4 / 3 * np.pi * 4**3 * 1.55**3 * 1.25**1.5
    before = out.copy()
    none = np.zeros_like(allowed)
    hyperintensities.paint_ellipsoids(np.random.default_rng(0), out, none, axes, np.full(5, 4.0))
    hyperintensities.paint_ellipsoids(np.random.default_rng(0), out, allowed, axes, np.zeros(0))
    np.testing.assert_array_equal(out, before)


@pytest.mark.parametrize("factor", [0.001, 0.25, 1000])
def test_normalised_scans_do_not_depend_on_the_scale(head: Head, factor: float) -> None:
    image = synthesis.draw_scan(np.random.default_rng(0), [head], RECIPE).flair
    one = synthesis.normalise(np.random.default_rng(5), image)
    other = synthesis.normalise(np.random.default_rng(5), image * np.float32(factor))
    np.testing.assert_allclose(other, one, atol=1e-3)
    jittered = synthesis.normalise(np.random.default_rng(6), image)
    assert not np.array_equal(one, jittered)
