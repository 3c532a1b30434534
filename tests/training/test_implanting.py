"""Lesions put into real scans: how bright, how much of a voxel, where, and that noise stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import placed_brain
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wmhseg.channels import brain_maps, placement
from wmhseg.errors import RegistrationError
from wmhseg.training.batches import implanting
from wmhseg.training.batches.implanting import Brightness, Site
from wmhseg.training.plan import Implanting
from wmhseg.weights.inputs import inputs_of_channels

INPUTS = inputs_of_channels(2, "zero")
SHAPE = (10, 40, 40)
ALL = Implanting(load_ml=(3.0, 3.0), brightness=(1.0, 1.0), softness_mm=(1.0, 1.0))


def plain_site(spacing_mm: tuple[float, float, float] = (5.0, 1.0, 1.0)) -> Site:
    """White matter at 2 above air, in the middle of every slice; no noise, nothing is cut."""
    likely = np.zeros(SHAPE, np.float32)
    likely[:, 10:30, 10:30] = 1
    return Site(likely, spacing_mm, (2.0, 4.0), (0.0, 0.0), (50.0, 50.0), Brightness(0.5, -0.25))


def plain_stack(rng: np.random.Generator) -> np.ndarray:
    stack = rng.normal(0, 0.1, (*SHAPE, 2)).astype(np.float32)
    stack[:, 0, 0] = -3  # air: the lowest score
    return stack


def test_noise_is_found_and_planes_are_none() -> None:
    rng = np.random.default_rng(0)
    everywhere = np.ones((6, 80, 80), bool)
    noise = rng.normal(5, 0.3, everywhere.shape).astype(np.float32)
    assert implanting.noise_of(noise, everywhere) == pytest.approx(0.3, rel=0.05)
    inner = np.zeros(everywhere.shape, bool)
    inner[:, 2:-2, 2:-2] = True
    slope = np.broadcast_to(np.arange(80, dtype=np.float32)[:, None] * 3, everywhere.shape)
    assert implanting.noise_of(slope, inner) == 0
    assert implanting.noise_of(noise, ~everywhere) == 0


def test_a_lesion_stands_out_as_the_users_own_do_and_above_the_noise() -> None:
    one = plain_site()
    # 1.2 x 0.5 x 2 in FLAIR, 1.2 x -0.25 x 4 in T1.
    assert implanting.raise_by(Brightness(0.5, -0.25), 1.2, one) == pytest.approx((1.2, -1.2))
    noisy = replace(one, noise=(0.9, 0.9))
    assert implanting.raise_by(Brightness(0.5, -0.25), 1.2, noisy) == pytest.approx((1.8, -1.2))


def test_what_is_put_in_is_added_in_white_matter_alone_and_noise_stays() -> None:
    stack, one = plain_stack(np.random.default_rng(1)), plain_site()
    made = implanting.implant(np.random.default_rng(2), stack, one, (ALL, implanting.USUAL), INPUTS)
    added = made.stack - stack
    assert made.lesions.any()
    assert not added[one.likely == 0].any()
    flair, t1 = added[..., 0], added[..., 1]
    assert flair.max() == pytest.approx(1.0, abs=1e-5)  # 0.5 x 2, in a voxel that is full
    assert t1.min() == pytest.approx(-1.0, abs=1e-5)  # -0.25 x 4
    np.testing.assert_allclose(t1, -flair, atol=1e-5)
    np.testing.assert_array_equal(made.lesions, flair > ALL.marked - 1e-6)
    # 3 ml of voxels of 5 mm3 are 600; drawing them is not exact.
    assert 100 < made.lesions.sum() < 1800
    # Borders and the faces of slices are partly lesion.
    assert ((flair > 0.05) & (flair < 0.95)).sum() > 50


def test_nothing_is_brighter_than_the_ceiling() -> None:
    stack = plain_stack(np.random.default_rng(1))
    low = replace(plain_site(), ceiling=(3.4, 50.0))
    made = implanting.implant(np.random.default_rng(2), stack, low, (ALL, implanting.USUAL), INPUTS)
    assert made.stack[..., 0].max() <= -3 + 3.4 + 1e-6
    assert made.lesions.any()


def test_without_own_lesions_those_of_others_tell_and_without_t1_it_stays_empty() -> None:
    stack = plain_stack(np.random.default_rng(1))
    stack[..., 1] = 0
    one = replace(plain_site(), own=None, white=(2.0, 0.0))
    others = Brightness(0.8, -0.5)
    made = implanting.implant(np.random.default_rng(2), stack, one, (ALL, others), INPUTS)
    assert (made.stack - stack)[..., 0].max() == pytest.approx(1.6, abs=1e-5)
    assert not made.stack[..., 1].any()
    sites = [plain_site(), replace(plain_site(), own=Brightness(0.7, -0.15)), one]
    assert implanting.usual(sites) == Brightness(pytest.approx(0.6), pytest.approx(-0.2))
    assert implanting.usual([one]) == implanting.USUAL


@given(st.integers(0, 2**32), st.sampled_from([1.0, 3.0, 6.0]))
def test_the_same_seed_gives_the_same_scan_and_the_scan_stays(seed: int, thickness: float) -> None:
    stack, one = plain_stack(np.random.default_rng(0)), plain_site((thickness, 1.0, 1.0))
    before = stack.copy()
    first, second = (
        implanting.implant(
            np.random.default_rng(seed), stack, one, (Implanting(), implanting.USUAL), INPUTS
        )
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.stack, second.stack)
    np.testing.assert_array_equal(first.lesions, second.lesions)
    np.testing.assert_array_equal(stack, before)
    assert not first.lesions[one.likely == 0].any()


def test_of_many_slices_some_are_drawn_in_order() -> None:
    stack = np.zeros((100, 8, 8, 2), np.float32)
    one = replace(plain_site(), likely=np.ones((100, 8, 8), np.float32))
    made = implanting.implant(
        np.random.default_rng(0), stack, one, (Implanting(), implanting.USUAL), INPUTS
    )
    assert len(made.slices) == implanting.MOST_SLICES == len(made.stack)
    steps = np.diff(made.slices)
    assert set(steps.tolist()) <= {4, 5}
    assert 0 <= made.slices[0] < 5
    assert made.slices[-1] < 100


@pytest.fixture(scope="module")
def placed() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of a brain whose place is known, its lesions, and the map of white matter on it."""
    where = placed_brain.known(0.0, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    t1, flair = placed_brain.scan_of(where, "T1"), placed_brain.scan_of(where, "FLAIR")
    maps = brain_maps.load()
    white = placement.mapped(maps.white_matter, maps, where, t1.shape, placed_brain.SPACING)
    lesions = np.zeros(t1.shape, bool)
    centre = np.argwhere(white > 0.9)[len(np.argwhere(white > 0.9)) // 2]
    z, y, x = centre
    lesions[z, y - 2 : y + 3, x - 2 : x + 3] = True
    flair[lesions] = 150
    # Scores: intensities by 20, less 3.
    return np.stack([flair, t1], -1) / 20 - 3, lesions, white


def test_a_site_is_white_matter_away_from_lesions(
    placed: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    stack, lesions, white = placed
    one = implanting.site(stack.astype(np.float32), lesions, INPUTS, placed_brain.SPACING)
    held = one.likely > 0
    assert held.any()
    assert white[held].min() > 0.2
    near = np.argwhere(lesions)
    gaps = (np.argwhere(held)[:, None] - near[None]) * np.array(placed_brain.SPACING)
    assert np.sqrt((gaps**2).sum(-1)).min() > 3
    # White matter is 90 in FLAIR and 100 in T1, and the lesion 150 in FLAIR: by 20 these are 4.5, 5
    # and 7.5. Noise is 2.
    assert one.white == pytest.approx((4.5, 5.0), rel=0.05)
    assert one.noise == pytest.approx((0.1, 0.1), rel=0.3)
    assert one.own is not None
    assert one.own.flair == pytest.approx(150 / 90 - 1, rel=0.1)
    assert one.own.t1 == pytest.approx(0, abs=0.06)
    # Where old people have lesions, more are put.
    maps = brain_maps.load()
    where = placed_brain.known(0.0, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    prior = placement.mapped(maps.wmh, maps, where, held.shape, placed_brain.SPACING)
    assert np.corrcoef(one.likely[held], np.sqrt(prior[held]))[0, 1] > 0.8


def test_flair_alone_will_do_and_no_brain_is_refused(
    placed: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    stack, lesions, _ = placed
    alone = stack.astype(np.float32).copy()
    alone[..., 1] = 0
    one = implanting.site(alone, ~np.ones_like(lesions), INPUTS, placed_brain.SPACING)
    assert one.white[1] == 0
    assert one.own is None
    rng = np.random.default_rng(0)
    box = rng.random((*lesions.shape, 2)).astype(np.float32)
    with pytest.raises(RegistrationError, match="average brain"):
        implanting.site(box, lesions, INPUTS, placed_brain.SPACING)
