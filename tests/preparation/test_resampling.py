"""Resampling along the axes: laws, and numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wmhseg import errors, geometry
from wmhseg.geometry import Grid
from wmhseg.io import images
from wmhseg.preparation import resampling

SHAPES = st.tuples(*[st.integers(2, 12)] * 3)
SIZES = st.tuples(*[st.floats(0.3, 4.0)] * 3)


@settings(max_examples=60)
@given(SHAPES, SIZES)
def test_a_constant_stays_constant_there_and_back(
    shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> None:
    way = resampling.plan(Grid(shape, spacing))
    there = way.forward(np.full(shape, 7, np.float32))
    assert there.shape == way.target.shape
    np.testing.assert_allclose(there, 7, rtol=1e-6)
    back = way.restore(there)
    assert back.shape == shape
    np.testing.assert_allclose(back, 7, rtol=1e-6)


@settings(max_examples=60)
@given(SHAPES, SIZES)
def test_probabilities_stay_probabilities(
    shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> None:
    way = resampling.plan(Grid(shape, spacing))
    values = np.random.default_rng(0).random(way.target.shape).astype(np.float32)
    back = way.restore(values)
    assert back.min() >= values.min() - 1e-6
    assert back.max() <= values.max() + 1e-6


@pytest.mark.parametrize("spacing", [(3.0, 1.0, 1.0), (0.9, 0.85, 1.2), (6.5, 0.9, 0.9)])
def test_nothing_happens_in_range(spacing: tuple[float, float, float]) -> None:
    grid = Grid((4, 5, 6), spacing)
    way = resampling.plan(grid)
    assert not way.changes
    values = np.arange(120, dtype=np.float32).reshape(4, 5, 6)
    np.testing.assert_array_equal(way.restore(way.forward(values)), values)


def test_grids_worked_out_by_hand() -> None:
    # 320 pixels of 0.72 mm are 230.4 mm: 231 of 1 mm. The first pixel's centre moves from
    # -115 + 0.36 to -115.5 + 0.5 about the common centre, that is 319 * 0.72 / 2 - 115 inwards.
    way = resampling.plan(Grid((46, 320, 320), (3.0, 0.72, 0.72)))
    assert way.target.shape == (46, 231, 231)
    assert way.target.spacing_mm == (3.0, 1.0, 1.0)
    assert way.target.origin_mm == pytest.approx((114.84 - 115, 114.84 - 115, 0))
    # Slices of 0.5 mm are averaged, one pixel side out of range takes the other with it.
    assert resampling.plan(Grid((300, 200, 200), (0.5, 1.0, 1.0))).target.shape == (150, 200, 200)
    assert resampling.plan(Grid((9, 100, 100), (5, 1.0, 2.0))).target.shape == (9, 100, 200)


def test_the_centre_stays_on_turned_axes() -> None:
    turned = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    way = resampling.plan(Grid((4, 40, 30), (3.0, 0.5, 0.5), (10, 20, 30), turned))
    centres = []
    for grid in (way.source, way.target):
        image = images.to_image(np.zeros(grid.shape, np.float32), grid)
        middle = [(n - 1) / 2 for n in grid.shape[::-1]]
        centres.append(image.TransformContinuousIndexToPhysicalPoint(middle))
    assert centres[0] == pytest.approx(centres[1])


def test_a_ramp_keeps_its_slope_and_fine_stripes_become_grey() -> None:
    way = resampling.plan(Grid((2, 4, 40), (3.0, 1.0, 0.5)))
    ramp = np.broadcast_to(np.arange(40, dtype=np.float32), (2, 4, 40)).copy()
    middle = way.forward(ramp)[0, 2, 5:-5]
    np.testing.assert_allclose(np.diff(middle), 2, atol=1e-5)  # 0.5 mm to 1 mm
    stripes = np.broadcast_to(np.arange(40, dtype=np.float32) % 2, (2, 4, 40)).copy()
    np.testing.assert_allclose(way.forward(stripes)[0, 2, 3:-3], 0.5, atol=1e-5)


def test_mirrored_scans_are_resampled_alike() -> None:
    way = resampling.plan(Grid((5, 21, 33), (3.0, 0.6, 0.7)))
    values = np.random.default_rng(1).random((5, 21, 33)).astype(np.float32)
    mirrored = way.forward(np.ascontiguousarray(values[:, ::-1, ::-1]))
    np.testing.assert_allclose(mirrored[:, ::-1, ::-1], way.forward(values), atol=1e-5)


def test_another_shape_is_refused() -> None:
    way = resampling.plan(Grid((4, 40, 30), (3.0, 0.5, 0.5)))
    with pytest.raises(errors.DimensionError):
        way.restore(np.zeros((4, 40, 30), np.float32))


@pytest.mark.parametrize("spacing", [(3.0, 1.0, 1.0), (3.0, 0.5, 0.6), (0.5, 2.0, 2.0)])
def test_a_part_of_a_way(spacing: tuple[float, float, float]) -> None:
    """Turned, resampled and fitted: one way there and back, and a stop between."""
    stored = Grid((9, 8, 7), spacing[::-1], direction=(0, 0, 1, 0, 1, 0, 1, 0, 0))
    turn = geometry.turn_to(stored, "LPS")
    assert turn.target.spacing_mm == spacing
    step = resampling.plan(turn.target)
    fit = geometry.Fit(step.target, (30, 30))
    way = geometry.Way((turn, step, fit))
    volume = np.random.default_rng(0).random(stored.shape, np.float32)
    stack = way.forward(volume)
    assert stack.shape == (step.target.shape[0], 30, 30)
    own = way.restore(stack, to=turn.target)
    np.testing.assert_array_equal(own, step.restore(fit.restore(stack)))
    np.testing.assert_array_equal(way.restore(stack), turn.restore(own))
    if not step.changes:
        np.testing.assert_array_equal(way.restore(stack), volume)


# Of 260 x 256 pixels; the network sees 200 x 200 of them.
@pytest.mark.parametrize(
    ("pixel_mm", "brain_mm", "wanted"),
    [
        (0.9, (180.0, 140.0), None),  # 200 x 0.9 = 180 mm: it fits
        (0.9, (181.0, 140.0), 1.0),
        (0.9, (140.0, 181.0), 1.0),
        (0.9, (201.0, 150.0), 1.1),
        (1.0, (200.0, 150.0), None),
        (1.0, (221.0, 150.0), 1.2),
        (1.0, (300.0, 150.0), 1.2),  # the largest of the training, and a warning elsewhere
        (0.5, (190.0, 140.0), None),  # it comes to 1 mm anyway, 130 mm wide
        (0.85, (230.0, 100.0), 1.2),  # no longer than the scan, 221 mm
    ],
)
def test_pixels_at_which_the_brain_fits(
    pixel_mm: float, brain_mm: tuple[float, float], wanted: float | None
) -> None:
    grid = Grid((40, 260, 256), (3.0, pixel_mm, pixel_mm))
    assert resampling.fitting_pixel(grid, (200, 200), brain_mm) == wanted


def test_pixels_that_are_asked_for() -> None:
    grid = Grid((40, 260, 256), (3.0, 1.0, 1.0))
    assert resampling.plan(grid, 1.5).target.spacing_mm == (3.0, 1.5, 1.5)
    assert resampling.plan(grid, 1.5).target.shape == (40, 174, 171)
    assert not resampling.plan(grid, 1.0).changes
