"""What recipes add for realism: off they change nothing, on they do what they are named for."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from wmhseg.synthesis import acquisition, anatomy, linear, measured, recipe, regions
from wmhseg.synthesis.acquisition import Grain, Optics
from wmhseg.synthesis.arrays import on_torch
from wmhseg.synthesis.brightness import DEEP, WHITE, draw_contrast
from wmhseg.synthesis.heads import INDEX, Head, load_head
from wmhseg.synthesis.noise import Noise
from wmhseg.synthesis.recipe import REALISTIC, Recipe
from wmhseg.synthesis.regions import Details, Places
from wmhseg.synthesis.scan import draw_scan

ADDED = (
    "paired_noise", "soft", "young", "calm", "sheet", "plexus", "sulci", "places", "shading",
    "levels",
)  # fmt: skip
OF_PLACES = (
    "soft",
    "young",
    "sheet",
    "plexus",
)  # they change what lies where, and so what is marked
SMALL = Recipe(field=(64, 60), slices=4, without_lesions=0, skull_stripped=0, atrophy=0)


@pytest.fixture(scope="module")
def head(label_map: np.ndarray) -> Head:
    """Two lateral ventricles that touch in the middle, as in label maps of real heads; a sulcus."""
    labels = label_map.copy()
    labels[:, 18:22][labels[:, 18:22] == 3] = 24
    middle = labels.shape[2] // 2
    labels[:, :, middle:][labels[:, :, middle:] == 4] = 43
    return load_head(labels)


@pytest.mark.parametrize("name", ADDED)
def test_each_is_off_and_takes_nothing_from_the_rest(head: Head, name: str) -> None:
    assert getattr(Recipe(), name) == 0
    assert 0 < getattr(REALISTIC, name) < 1  # what is not known stays open
    changed = 0
    for seed in range(4):
        plain, other = np.random.default_rng(seed), np.random.default_rng(seed)
        before = draw_scan(plain, [head], SMALL)
        after = draw_scan(other, [head], replace(SMALL, **{name: 1}))
        assert plain.random() == other.random()
        assert plain.spawn(1)[0].random() == other.spawn(1)[0].random()
        np.testing.assert_array_equal(before.axes_mm[0], after.axes_mm[0])
        if name not in OF_PLACES:
            np.testing.assert_array_equal(before.target, after.target)
        changed += not np.array_equal(before.flair, after.flair)
    # The ventricles and sulci of this small head are few.
    assert changed >= {"plexus": 0, "young": 1}.get(name, 2)


def test_the_named_recipe_differs_in_what_was_added_alone() -> None:
    assert recipe.NAMED["realistic"] is REALISTIC
    differing = {f.name for f in fields(Recipe) if getattr(REALISTIC, f.name) != f.default}
    assert differing == set(ADDED)
    assert all(f.metadata.get("added") for f in fields(Recipe) if f.name in ADDED)


def test_all_is_drawn_on_torch_as_well(head: Head) -> None:
    pytest.importorskip("torch")
    everything = replace(SMALL, noise=(0.0, 0.0), **dict.fromkeys(ADDED, 1.0))
    quiet = replace(everything, paired_noise=0.0)
    here = draw_scan(np.random.default_rng(2), [head], quiet)
    arrays = on_torch("cpu")
    there = draw_scan(np.random.default_rng(2), [head], quiet, arrays)
    np.testing.assert_allclose(arrays.get(there.flair), here.flair, atol=2e-3)
    np.testing.assert_allclose(arrays.get(there.t1), here.t1, atol=2e-3)
    draw_scan(np.random.default_rng(2), [head], everything, arrays)


# Noise ------------------------------------------------------------------------------------------


def test_t1_has_less_noise_than_flair_in_most_scans() -> None:
    drawn = [acquisition.draw_grains(np.random.default_rng(n), REALISTIC) for n in range(400)]
    pairs = [pair for pair in drawn if pair]
    assert len(pairs) / 400 == pytest.approx(REALISTIC.paired_noise, abs=0.08)
    ratios = np.array([t1.sigma / flair.sigma for flair, t1 in pairs])
    assert np.median(ratios) == pytest.approx(np.exp(-1.1), rel=0.15)
    assert (ratios < 1).mean() > 0.8
    sigmas = np.log([[grain.sigma for grain in pair] for pair in pairs])
    assert np.corrcoef(sigmas.T)[0, 1] > 0.4
    assert acquisition.draw_grains(np.random.default_rng(0), Recipe()) == ()


@pytest.mark.parametrize("blur", [(0.0, 0.0), (0.0, 0.6), (0.6, 0.0)])
def test_a_grain_says_how_strong_noise_is_in_the_finished_scan(blur: tuple[float, float]) -> None:
    side = 80
    same = np.eye(side, dtype=np.float32)
    optics = acquisition.finished(Optics((same, same), (same, same)), Grain(0.04, 0.0, blur))
    even = np.ones((6, side, side), np.float32)
    axes = tuple(np.arange(n, dtype=np.float32) for n in even.shape)
    calm = Recipe(bias=0, uneven_noise=0)

    def formed(grain: Grain) -> np.ndarray:
        rng = np.random.default_rng(0)
        noise = Noise(np.random.default_rng(1), axes)
        return acquisition.image_formation(rng, even, noise, optics, calm, grain)

    flat = formed(Grain(0.04, 0.0, blur))[:, 5:-5, 5:-5]
    assert flat.std() == pytest.approx(0.04, rel=0.08)
    uneven = formed(Grain(0.04, 1.5, blur))
    middle, edge = uneven[:, 35:45, 35:45].std(), uneven[:, 5:15, 5:15].std()
    assert 1.7 < middle / edge < 3.0
    about = flat - flat.mean()
    rows = (about[:, 1:] * about[:, :-1]).mean() / flat.var()
    columns = (about[..., 1:] * about[..., :-1]).mean() / flat.var()
    assert (rows > 0.3) == (blur[0] > 0)
    assert (columns > 0.3) == (blur[1] > 0)
    sharp = acquisition.finished(optics, Grain(0.04, 0.0, (0.0, 0.0), 0.8))
    np.testing.assert_array_equal(sharp.to_scan[0], optics.to_scan[0])
    assert sharp.to_scan[1].diagonal().min() > optics.to_scan[1].diagonal().max()


# Brightness -------------------------------------------------------------------------------------


def test_levels_go_together_as_they_were_measured() -> None:
    everywhere = Recipe(levels=1.0)
    logs = []
    for seed in range(500):
        rng = np.random.default_rng(seed)
        made = measured.applied(rng, draw_contrast(rng, everywhere), everywhere)
        names = ("cortex", "brainstem", "ventricle")
        logs.append([float(np.log(c.mean[INDEX[n]])) for c in (made.flair, made.t1) for n in names])
        for channel in (made.flair, made.t1):
            assert channel.fluid == pytest.approx(channel.mean[INDEX["ventricle"]])
            assert channel.mean[INDEX["white_matter"]] == 1
    found, which = np.array(logs), [0, 2, 4, 5, 7, 9]
    spread = np.sqrt(np.diag(measured.COVARIANCE))[which]
    for place, (number, width) in enumerate(zip(which, spread, strict=True)):
        if number not in (4, 9):  # fluid is cut off at either side
            assert found[:, place].mean() == pytest.approx(measured.MEAN[number], abs=0.3 * width)
            assert found[:, place].std() == pytest.approx(1.3 * width, rel=0.15)
    wanted = measured.COVARIANCE[0, 5] / np.sqrt(
        measured.COVARIANCE[0, 0] * measured.COVARIANCE[5, 5]
    )
    assert np.corrcoef(found[:, 0], found[:, 3])[0, 1] == pytest.approx(wanted, abs=0.15)


def test_the_measured_covariance_is_one() -> None:
    np.testing.assert_array_equal(measured.COVARIANCE, measured.COVARIANCE.T)
    assert np.linalg.eigvalsh(measured.COVARIANCE).min() > 0
    assert measured.MEAN.shape == (2 * len(measured.LEVELS),)


def test_calm_tissue_is_less_mottled_and_the_cortex_as_before() -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        before = draw_contrast(rng, Recipe())
        after = measured.applied(rng, before, Recipe(calm=1.0))
        for old, new in ((before.flair, after.flair), (before.t1, after.t1)):
            inner = [INDEX[name] for name in (*WHITE, *DEEP)]
            assert (new.mottled[inner] <= 0.5 * old.mottled[inner]).all()
            assert (new.slow[inner] <= 0.5 * old.slow[inner]).all()
            assert new.mottled[INDEX["cortex"]] == old.mottled[INDEX["cortex"]]
            np.testing.assert_array_equal(new.mean, old.mean)


# Details ----------------------------------------------------------------------------------------


def places(**changed: np.ndarray) -> Places:
    shape = (3, 40, 40)
    columns = np.broadcast_to(np.arange(40, dtype=np.float32), shape)
    white, grey = (columns < 20).astype(np.float32), (columns >= 20).astype(np.float32)
    axes = tuple(np.arange(n, dtype=np.float32) for n in shape)
    given = {
        "white": white, "deep": white, "grey": grey, "depth_mm": 20 - columns,
        "pial_mm": columns - 20,
    }  # fmt: skip
    return Places(**(given | changed), axes_mm=axes)


def test_the_cortex_is_brighter_in_the_depth_of_sulci_only() -> None:
    drawn = Details((0.2, -0.05), None, None, (0.0, 0.0), ())
    flair, t1 = regions.change(drawn, places())
    assert (flair[:, :, :21] == 0).all()
    np.testing.assert_allclose(flair[:, :, 30:], 0.2, rtol=1e-5)
    np.testing.assert_allclose(t1[:, :, 30:], -0.05, rtol=1e-5)
    assert (np.diff(flair[0, 0, 20:]) >= 0).all()


def test_white_matter_changes_slowly_and_no_other_tissue() -> None:
    drawn = Details((0.0, 0.0), None, None, (0.05, -0.1), ((0.04, 80.0, 1.0),) * 3)
    flair, t1 = regions.change(drawn, places())
    assert (flair[:, :, 20:] == 0).all()
    assert (t1[:, :, 20:] == 0).all()
    assert np.abs(np.diff(flair[:, :, :20], axis=1)).max() < 0.01
    # Just below the cortex T1 is darker, deep inside it is not.
    alone = Details((0.0, 0.0), None, None, (0.05, -0.1), ((0.0, 80.0, 1.0),) * 3)
    _, below = regions.change(alone, places())
    assert below[0, 0, 19] == pytest.approx(-0.1 * np.exp(-1 / 7), rel=1e-4)
    assert abs(below[0, 0, 0]) < 0.01


def test_places_are_bright_in_flair_in_their_own_tissue() -> None:
    drawn = regions.draw_details(np.random.default_rng(3), Recipe(places=1.0))
    assert drawn is not None
    assert drawn.inner is not None
    z, y, x = (np.arange(-50, 50, 2, dtype=np.float32) for _ in range(3))
    ones = np.ones((50, 50, 50), np.float32)
    everywhere = Places(ones, ones, 0 * ones, ones, ones, (z, y, x))
    flair, t1 = regions.change(drawn, everywhere)
    limb = flair[27, 28, [14, 35]]  # up 4, back 6, 21 to either side
    assert flair.max() > 0.05
    assert (limb > 0).all()
    np.testing.assert_allclose(t1, -0.3 * flair, rtol=1e-4, atol=1e-6)
    assert regions.draw_details(np.random.default_rng(3), Recipe()) is None


# Anatomy ----------------------------------------------------------------------------------------

STILL = Recipe(
    field=(70, 70), slices=30, tilt_deg=0, zoom=(1, 1), warp_mm=0, off_centre_mm=0, neck_mm=0,
    vertex_mm=0, cut_short=0, wide_ventricles=0, wide_third=0, atrophy=0, cortex=0,
    pixel_mm=(1, 1),
)  # fmt: skip


def sampled(head: Head, seed: int, **changed: float) -> anatomy.Sampled:
    return anatomy.sample(np.random.default_rng(seed), head, replace(STILL, **changed), 1.0, 2)


def test_a_septum_stands_between_ventricles_of_any_width(head: Head) -> None:
    before, after = sampled(head, 1), sampled(head, 1, sheet=1)
    assert not before.septum.any()
    assert after.septum.any()
    held = np.argwhere(after.septum)
    assert np.ptp(after.axes_mm[2][held[:, 2]]) <= 3  # thin, from side to side
    assert np.ptp(held[:, 1]) > 8  # and long
    assert (before.tissue[after.septum] == INDEX["ventricle"]).all()
    assert (after.tissue[after.septum] == INDEX["white_matter"]).all()
    np.testing.assert_array_equal(before.tissue[~after.septum], after.tissue[~after.septum])


def test_plexus_grows_in_ventricles_and_leaves_room(head: Head) -> None:
    grown = 0
    for seed in range(12):
        before, after = sampled(head, seed), sampled(head, seed, plexus=1)
        plexus = after.tissue == INDEX["choroid_plexus"]
        grown += plexus.any()
        assert (before.tissue[plexus] == INDEX["ventricle"]).all()
        np.testing.assert_array_equal(before.tissue[~plexus], after.tissue[~plexus])
        assert plexus.sum() < 0.8 * (before.tissue == INDEX["ventricle"]).sum()
    assert grown >= 1  # the ventricles of this small head hardly reach where it grows


def test_the_cortex_of_the_young_fills_what_is_narrow(head: Head) -> None:
    before, after = sampled(head, 2), sampled(head, 2, young=1)
    filled = before.tissue != after.tissue
    assert filled.any()
    assert (before.tissue[filled] == INDEX["csf"]).all()
    assert (after.tissue[filled] == INDEX["cortex"]).all()
    # Not where the sulci of this scan were widened.
    old, same = sampled(head, 2, atrophy=1), sampled(head, 2, atrophy=1, young=1)
    np.testing.assert_array_equal(old.tissue, same.tissue)


def test_planes_of_a_slice_lie_between_each_others_pixels(head: Head) -> None:
    offsets = anatomy.plane_offsets(np.random.default_rng(0), 1.0, 3, 5, np.array([1.0, 0.5]))
    assert offsets is not None
    assert offsets.shape == (15, 2)
    np.testing.assert_allclose(offsets.reshape(5, 3, 2).mean(1), 0, atol=1e-6)
    assert np.abs(offsets[:, 0]).max() <= 0.35 + 1e-6
    assert np.abs(offsets[:, 1]).max() <= 0.175 + 1e-6
    assert anatomy.plane_offsets(np.random.default_rng(0), 0.0, 3, 5, np.ones(2)) is None

    def mixed(drawn: anatomy.Sampled) -> float:
        """Share of the voxels of a slice whose planes show different tissues."""
        planes = drawn.tissue.reshape(-1, 2, *drawn.tissue.shape[1:])
        return float((planes[:, 0] != planes[:, 1]).mean())

    before = [mixed(sampled(head, seed)) for seed in range(4)]
    after = [mixed(sampled(head, seed, soft=1)) for seed in range(4)]
    assert np.mean(after) > 1.2 * np.mean(before)


def test_blur_does_not_move_a_picture() -> None:
    rows = linear.gaussian(40, 0.6)
    np.testing.assert_allclose(rows.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(rows, rows[::-1, ::-1], atol=1e-6)
