"""What scanners and brain extraction do, with numbers derived by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wmhseg.synthesis import acquisition, linear, noise
from wmhseg.synthesis.anatomy import Anatomy
from wmhseg.synthesis.arrays import Array, Arrays, on_torch
from wmhseg.synthesis.heads import INDEX
from wmhseg.synthesis.recipe import Recipe

CLEAN = Recipe(
    skull_stripped=0, coarse=0, ringing=0, sharpened=0, ghosts=0, bias=0, uneven_noise=0,
    noise=(0, 0), tone_curve=0, saturated=0, quantised=0, misregistered=0, empty_ends=0, narrow=0,
    badly_stripped=0,
)  # fmt: skip
FAULTS = (
    "coarse", "ringing", "sharpened", "ghosts", "bias", "tone_curve", "saturated", "quantised",
    "misregistered", "empty_ends", "narrow", "skull_stripped",
)  # fmt: skip
SLICES, PARTS, FIELD = 5, 2, (60, 64)


def disc(arrays: Arrays | None = None) -> Anatomy:
    """A brain of radius 20 in CSF to 23, bone to 25 and fat to 27, in a field of 60 x 64 mm."""
    arrays = arrays or Arrays()
    axes = (
        np.arange(SLICES * PARTS, dtype=np.float32) * 2,
        np.arange(FIELD[0], dtype=np.float32) - FIELD[0] / 2,
        np.arange(FIELD[1], dtype=np.float32) - FIELD[1] / 2,
    )
    far = np.hypot(axes[1][:, None], axes[2][None, :])
    tissue = np.zeros(FIELD, np.uint8)
    for radius, name in ((27, "scalp_fat"), (25, "bone"), (23, "csf"), (20, "white_matter")):
        tissue[far < radius] = INDEX[name]
    stack = np.broadcast_to(tissue, (SLICES * PARTS, *FIELD)).copy()
    still = np.zeros(stack.shape, np.float32)
    draw = noise.Noise(np.random.default_rng(1), axes)
    return Anatomy(arrays.put(stack), arrays.put(still), arrays.put(still), draw, axes)


def ideal(arrays: Arrays | None = None) -> Array:
    table = np.zeros(256, np.float32)
    table[[INDEX[n] for n in ("white_matter", "csf", "scalp_fat")]] = 1, 0.2, 1.8
    return (arrays or Arrays()).put(table[disc().tissue])


def acquired(seed: int, recipe: Recipe) -> acquisition.Acquired:
    rng = np.random.default_rng(seed)
    return acquisition.acquire(rng, (ideal(), ideal()), disc(), PARTS, recipe)


def test_a_clean_acquisition_keeps_what_is_even() -> None:
    for seed in range(5):
        made = acquired(seed, CLEAN)
        np.testing.assert_array_equal(made.seen, 1)
        for image in made.images:
            assert image.shape == (SLICES, *FIELD)
            assert image.dtype == np.float32
            np.testing.assert_allclose(image[:, 26:34, 28:36], 1, atol=0.02)
            np.testing.assert_allclose(image[:, :2, :2], 0, atol=0.02)


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_can_be_switched_off(name: str) -> None:
    """Switched on it changes scans; what is drawn besides stays as it was."""
    changed, before = 0, []
    for seed in range(6):
        clean, faulty = acquired(seed, CLEAN), acquired(seed, replace(CLEAN, **{name: 1}))
        index = 1 if name == "misregistered" else 0
        changed += np.abs(clean.images[index] - faulty.images[index]).max() > 1e-3
        before.append(np.abs(clean.images[0] - faulty.images[0]).max())
    assert changed >= (1 if name == "saturated" else 4)  # fat of 1.8 is mostly below the limit
    if name == "misregistered":
        assert max(before) == 0  # FLAIR is where it was


def test_noise_can_be_switched_off_and_on() -> None:
    noisy = acquired(0, replace(CLEAN, noise=(0.05, 0.05))).images[0]
    even = noisy[:, 22:38, 24:40]
    # Said of the scan, after interpolation or sharpening.
    assert 0.035 < even.std() < 0.065


def test_noise_is_rician() -> None:
    """In air its mean is sigma sqrt(pi / 2), its mean square 2 sigma^2; a bright signal keeps its.

    Channels of one slice are independent.
    """
    sigma = np.full((100, 100), 0.05, np.float32)
    air = np.zeros((20, 100, 100), np.float32)
    found = acquisition.rician(np.random.default_rng(0), air, sigma)
    assert found.mean() == pytest.approx(0.05 * np.sqrt(np.pi / 2), rel=0.01)
    assert (found**2).mean() == pytest.approx(2 * 0.05**2, rel=0.02)
    bright = acquisition.rician(np.random.default_rng(0), air + 1, sigma)
    assert bright.mean() == pytest.approx(np.sqrt(1 + 0.05**2), abs=1e-3)
    assert bright.std() == pytest.approx(0.05, rel=0.02)


def test_average_weighs_the_parts() -> None:
    points = np.zeros((4, 2, 2), np.float32)
    points[0], points[1], points[3] = 1, 3, 8
    found = acquisition.average(points, 2, np.float32([0.25, 0.75]))
    np.testing.assert_allclose(found[:, 0, 0], [2.5, 6])


def test_maps_act_on_rows_and_columns() -> None:
    image = np.random.default_rng(0).random((3, 8, 10)).astype(np.float32)
    down, right = np.roll(np.eye(8, dtype=np.float32), 1, 0), np.eye(10, dtype=np.float32)
    found = acquisition.apply((down, np.roll(right, 2, 0)), image)
    np.testing.assert_array_equal(found, np.roll(image, (1, 2), (1, 2)))


def test_optics_keep_constants_and_ghosts_lie_along_one_axis() -> None:
    rng = np.random.default_rng(0)
    flat = np.ones((1, *FIELD), np.float32)
    for _ in range(20):
        optics = acquisition.draw_optics(rng, FIELD, Recipe(), (0.4, -0.7))
        found = acquisition.apply(optics.to_scan, acquisition.apply(optics.to_scanner, flat))
        np.testing.assert_allclose(found, 1, atol=1e-3)
    plain, ghosted = (
        acquisition.draw_optics(np.random.default_rng(3), FIELD, recipe, (0, 0))
        for recipe in (CLEAN, replace(CLEAN, ghosts=1))
    )
    same = [np.array_equal(a, b) for a, b in zip(plain.to_scanner, ghosted.to_scanner, strict=True)]
    assert sorted(same) == [False, True]


def test_brain_extraction_good_and_bad() -> None:
    far = np.hypot(*np.meshgrid(*disc().axes_mm[1:], indexing="ij"))
    ragged = 0
    for seed in range(10):
        for share in (0, 1):
            rng = np.random.default_rng(seed)
            recipe = replace(CLEAN, badly_stripped=share)
            smooth = noise.Noise(rng, (disc().axes_mm[0][::2], *disc().axes_mm[1:]))
            keep = acquisition.brain_extraction(rng, disc(), PARTS, smooth, recipe)
            assert set(np.unique(keep)) <= {0, 1}
            assert keep[:, far < 10].all()
            if share == 0:
                assert keep[:, far < 18].all()
                assert not keep[:, far > 26].any()
            else:
                ragged += (keep[:, far < 19] == 0).any() or keep[:, far > 26].any()
    assert ragged >= 4


def test_nothing_is_seen_beyond_the_window() -> None:
    for seed in range(8):
        made = acquired(seed, replace(CLEAN, empty_ends=1, narrow=1, noise=(0.05, 0.05)))
        for image in made.images:
            assert (image[np.asarray(made.seen) == 0] == 0).all()
            assert (image[np.asarray(made.seen) == 1] > 0).mean() > 0.98


@pytest.mark.parametrize("seed", range(3))
def test_numpy_and_torch_agree(seed: int) -> None:
    pytest.importorskip("torch")
    recipe = replace(Recipe(), noise=(0, 0), quantised=0)
    axes = (disc().axes_mm[0][::2], *disc().axes_mm[1:])
    images = []
    for arrays in (Arrays(), on_torch("cpu")):
        rng = np.random.default_rng(seed)
        optics = acquisition.draw_optics(rng, FIELD, recipe, (0.3, 0.2))
        slabs = acquisition.average(ideal(arrays), PARTS, linear.slice_profile(PARTS, 0.5))
        draw = noise.Noise(np.random.default_rng(2), axes)
        formed = acquisition.image_formation(
            rng, slabs, lambda mm, a=arrays, d=draw: a.put(d(mm)), optics, recipe
        )
        images.append(arrays.get(acquisition.storage(rng, formed, recipe)))
    assert images[0].dtype == images[1].dtype == np.float32
    np.testing.assert_allclose(images[0], images[1], atol=1e-4)
