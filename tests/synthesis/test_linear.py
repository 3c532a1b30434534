"""Linear maps along an axis, with numbers derived by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from wmhseg.synthesis import linear

POINTS = st.integers(8, 60)


@given(POINTS, POINTS, st.floats(0, 3), st.floats(0, 1), st.floats(-2, 2))
def test_a_constant_stays_constant(
    after: int, before: int, sigma: float, share: float, offset: float
) -> None:
    maps = [
        linear.gaussian(before, sigma),
        linear.unsharp(before, sigma, share),
        linear.ghosts(before, share, 0.1),
        linear.band(after, before, share, offset),
    ]
    kinds: tuple[linear.Interpolation, ...] = ("nearest", "linear", "cubic", "sinc")
    maps += [linear.interpolation(after, before, kind, offset) for kind in kinds]
    for matrix in maps:
        assert matrix.dtype == np.float32
        np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-4)


def test_gaussian_by_hand() -> None:
    """Weights exp(-1/8) and exp(-1/2) at 1 and 2 points for a sigma of 2; its own width back."""
    row = linear.gaussian(41, 2)[20]
    assert row[21] / row[20] == pytest.approx(np.exp(-1 / 8), rel=1e-5)
    assert row[22] / row[20] == pytest.approx(np.exp(-1 / 2), rel=1e-5)
    place = np.arange(41) - 20
    assert (row * place**2).sum() == pytest.approx(4, rel=1e-3)
    np.testing.assert_array_equal(linear.gaussian(5, 0), np.eye(5))


def test_a_cut_off_band_rings_as_gibbs_says() -> None:
    """First overshoot at a step: Si(pi)/pi - 1/2 = 8.95 % of its height; hardly any if tapered."""
    step = np.zeros(2000, np.float32)
    step[500:1500] = 1
    ringing = linear.band(100, 2000, 0.0)
    fine = linear.interpolation(2000, 100, "sinc") @ ringing @ step
    expected = special.sici(np.pi)[0] / np.pi - 0.5
    assert fine.max() - 1 == pytest.approx(expected, abs=0.003)
    assert -fine.min() == pytest.approx(expected, abs=0.003)
    soft = linear.interpolation(2000, 100, "sinc") @ linear.band(100, 2000, 1.0) @ step
    assert soft.max() < 1.01


def test_band_keeps_what_it_can_hold_and_loses_the_rest() -> None:
    place = (np.arange(64) + 0.5) / 64
    low, high = np.cos(2 * np.pi * 5 * place), np.cos(2 * np.pi * 20 * place)
    fewer = (np.arange(32) + 0.5) / 32
    matrix = linear.band(32, 64, 0.0)
    np.testing.assert_allclose(matrix @ low, np.cos(2 * np.pi * 5 * fewer), atol=1e-5)
    np.testing.assert_allclose(matrix @ high, 0, atol=1e-5)


@pytest.mark.parametrize("kind", ["linear", "cubic"])
def test_interpolation_keeps_lines(kind: linear.Interpolation) -> None:
    """On half as many points the places are those between two: 0.5, 2.5, ...; moved by 0.25."""
    line = np.arange(40, dtype=np.float32)
    found = linear.interpolation(20, 40, kind, 0.25) @ line
    np.testing.assert_allclose(found[1:-1], np.arange(20)[1:-1] * 2 + 0.75, atol=1e-4)


def test_interpolation_by_hand() -> None:
    """Between two points: halves; Catmull-Rom -1/16, 9/16, 9/16, -1/16."""
    np.testing.assert_allclose(linear.interpolation(8, 8, "linear", 0.5)[3, 3:5], 0.5)
    cubic = linear.interpolation(8, 8, "cubic", 0.5)[3, 2:6]
    np.testing.assert_allclose(cubic, np.array([-1, 9, 9, -1]) / 16, atol=1e-6)
    np.testing.assert_array_equal(linear.interpolation(8, 8, "nearest", 0.2), np.eye(8))


def test_ghosts_lie_where_they_are_asked_for() -> None:
    point = np.zeros(40, np.float32)
    point[10] = 1
    found = linear.ghosts(40, 0.25, 0.04) @ point
    assert found[10] == pytest.approx(0.92)
    assert found[20] == pytest.approx(0.04)
    assert found[0] == pytest.approx(0.04)
    assert np.count_nonzero(found) == 3


def test_unsharp_overshoots_and_keeps_the_mean() -> None:
    step = (np.arange(60) >= 30).astype(np.float32)
    found = linear.unsharp(60, 1.5, 1.0) @ step
    assert found[30] > 1.2
    assert found[29] == pytest.approx(1 - found[30], abs=1e-5)
    assert found.mean() == pytest.approx(step.mean(), abs=1e-5)


@given(st.integers(1, 9), st.floats(0, 1))
def test_slice_profile(parts: int, softness: float) -> None:
    profile = linear.slice_profile(parts, softness)
    assert profile.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(profile, profile[::-1], atol=1e-5)


def test_slice_profile_by_hand() -> None:
    """Three parts of a full cosine bell: 1 - 1/2, 1 + 1, 1 - 1/2 of 3."""
    np.testing.assert_allclose(linear.slice_profile(3, 0), 1 / 3, rtol=1e-6)
    np.testing.assert_allclose(linear.slice_profile(3, 1), [1 / 6, 2 / 3, 1 / 6], rtol=1e-6)
