"""Readers as a model: thresholds, outlines, small lesions and thin bands, on masks by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wmhseg.synthesis import heads
from wmhseg.synthesis.heads import Head
from wmhseg.synthesis.lesions import readers
from wmhseg.synthesis.lesions.readers import GENEROSITY, Reader
from wmhseg.synthesis.recipe import Recipe
from wmhseg.synthesis.scan import draw_scan

# Marks from one half on, and does nothing else.
PLAIN = Reader(0.5, 0.0, 0.0, 0.0, 0.0)
SHAPE = (3, 30, 30)
FAR = np.full(SHAPE, 20.0, np.float32)
EVERYWHERE = np.ones(SHAPE, bool)


def marked(strength: np.ndarray, reader: Reader, ventricle: np.ndarray = FAR) -> np.ndarray:
    return readers.mark(strength.astype(np.float32), ventricle, EVERYWHERE, reader, 1.0)


def disc(radius: float, row: int = 15, column: int = 15) -> np.ndarray:
    y, x = np.mgrid[:30, :30]
    made = np.zeros(SHAPE, np.float32)
    made[1] = (y - row) ** 2 + (x - column) ** 2 <= radius**2
    return made


def test_the_level_says_how_much_of_a_halo_is_marked() -> None:
    strength = disc(8) * 0.25 + disc(4) * 0.75
    for level, expected in ((0.2, disc(8)), (0.5, disc(4)), (0.3, disc(4))):
        found = marked(strength, replace(PLAIN, level=level))
        np.testing.assert_array_equal(found, expected > 0)
    tissue = EVERYWHERE.copy()
    tissue[:, :15] = False
    found = readers.mark(disc(4), FAR, tissue, PLAIN, 1.0)
    np.testing.assert_array_equal(found, (disc(4) > 0) & tissue)


def test_smallest_is_a_diameter_in_the_plane() -> None:
    """pi / 4 * 3^2 = 7.07 pixels: 5 pixels are left out, 9 are marked; in any slice."""
    small, large = np.zeros(SHAPE), np.zeros(SHAPE)
    small[:, 5, 5:10] = 1  # 5 pixels in each of three slices
    large[1, 20:23, 20:23] = 1
    large[0, 21, 21] = 1  # the tip of it, in the next slice
    reader = replace(PLAIN, smallest_mm=3.0)
    np.testing.assert_array_equal(marked(small + large, reader), large > 0)
    # Half the pixel, four times the area in pixels.
    half = readers.mark(large.astype(np.float32), FAR, EVERYWHERE, reader, 0.5)
    assert not half.any()


def test_outlines_are_smoothed_in_the_plane_and_dots_stay() -> None:
    strength = np.zeros(SHAPE)
    strength[1, 8:20, 8:20] = 1
    strength[1, 13, 20:24] = 1  # a spike
    strength[1, 13, 12] = 0  # a hole
    strength[0, 25, 25] = 1  # a dot in another slice
    found = marked(strength, replace(PLAIN, smooth_mm=1.0))
    assert not found[1, 13, 21:24].any()
    assert found[1, 13, 12]
    assert not found[1, 8, 8]  # the corner
    assert found[1, 9:19, 9:19].all()
    assert found[0, 25, 25]
    assert found[0].sum() == 1
    assert not found[2].any()


def beside_ventricle() -> tuple[np.ndarray, np.ndarray]:
    """Columns are 1 mm apart; the ventricle ends at column 4."""
    distance = np.clip(np.arange(30) - 4.0, 0, None)
    return np.zeros(SHAPE), np.broadcast_to(distance, SHAPE).astype(np.float32)


def test_generous_readers_fill_the_strip_to_the_ventricle() -> None:
    strength, ventricle = beside_ventricle()
    strength[1, 10:20, 7:12] = 1  # 2 mm of white matter lie between, columns 5 and 6
    found = marked(strength, replace(PLAIN, fills_mm=2.0), ventricle)
    assert found[1, 11:19, 5:12].all()
    assert not found[1, :, :5].any()  # not the ventricle
    assert not found[1, :7].any()  # nor the strip where no lesion is
    assert not found[1, 23:].any()
    assert not found[[0, 2]].any()
    # A lesion far away stays as it is.
    far = np.zeros(SHAPE)
    far[1, 10:20, 17:22] = 1
    np.testing.assert_array_equal(marked(far, replace(PLAIN, fills_mm=2.0), ventricle), far > 0)


def test_sparing_readers_leave_thin_bands_out() -> None:
    strength, ventricle = beside_ventricle()
    strength[1, 2:28, 5] = 1  # a band of 1 mm along the ventricle
    strength[1, 10:20, 5:14] = 1  # and a lesion on it
    found = marked(strength, replace(PLAIN, leaves_mm=2.0), ventricle)
    assert not found[1, 2:8].any()
    assert not found[1, 22:28].any()
    assert found[1, 11:19, 5:14].all()
    # The same band away from ventricles is a lesion.
    np.testing.assert_array_equal(marked(strength, replace(PLAIN, leaves_mm=2.0)), strength > 0)


def test_the_three_readers() -> None:
    sparing, balanced, generous = (readers.of_generosity(g) for g in GENEROSITY.values())
    assert (sparing.level, balanced.level, generous.level) == pytest.approx((0.6, 0.4, 0.2))
    assert (sparing.smallest_mm, generous.smallest_mm) == (3.0, 0.0)
    assert 0 < balanced.smallest_mm < 1
    assert (sparing.leaves_mm, balanced.leaves_mm, generous.leaves_mm) == (2.0, 0.0, 0.0)
    assert (sparing.fills_mm, balanced.fills_mm, generous.fills_mm) == (0.0, 0.0, 2.0)


@given(st.integers(0, 2**32 - 1))
def test_drawn_readers_lie_between_the_ends(seed: int) -> None:
    drawn = readers.draw(np.random.default_rng(seed), Recipe(reader="drawn"))
    sparing, generous = (readers.of_generosity(g) for g in (0.0, 1.0))
    assert generous.level <= drawn.level <= sparing.level
    assert generous.smallest_mm <= drawn.smallest_mm <= sparing.smallest_mm
    assert generous.leaves_mm <= drawn.leaves_mm <= sparing.leaves_mm
    assert sparing.fills_mm <= drawn.fills_mm <= generous.fills_mm
    assert not (drawn.leaves_mm and drawn.fills_mm)
    named = readers.draw(np.random.default_rng(seed), Recipe(reader="sparing"))
    assert named == sparing


@given(st.floats(0, 1), st.floats(0, 1))
def test_generosity_orders_readers(one: float, other: float) -> None:
    a, b = (readers.of_generosity(g) for g in sorted((one, other)))
    assert a.level >= b.level
    assert a.smallest_mm >= b.smallest_mm
    assert a.leaves_mm >= b.leaves_mm
    assert a.fills_mm <= b.fills_mm


# In scans -----------------------------------------------------------------------------------------

SMALL = Recipe(field=(72, 68), slices=8, without_lesions=0, off_centre_mm=2, load_ml=(0.5, 6.0),
               load_shares=(1.0,), small_lesions=1.0, halo=1.0)  # fmt: skip


@pytest.fixture(scope="module")
def head(label_map: np.ndarray) -> Head:
    return heads.load_head(label_map)


def test_readers_mark_the_same_scan_more_or_less(head: Head) -> None:
    volumes = []
    for seed in range(8):
        scans = [
            draw_scan(np.random.default_rng(seed), [head], replace(SMALL, reader=name))
            for name in ("range", "drawn", *GENEROSITY)
        ]
        for one in scans[1:]:
            np.testing.assert_array_equal(one.flair, scans[0].flair)
            np.testing.assert_array_equal(one.t1, scans[0].t1)
            np.testing.assert_array_equal(one.other, scans[0].other)
            assert one.target.dtype == bool
            assert not (one.target & one.other).any()
        volumes.append([int(one.target.sum()) for one in scans])
    _, drawn, sparing, balanced, generous = np.array(volumes).T
    assert (sparing <= balanced).all()
    assert (balanced <= generous).all()
    assert (sparing < generous).all()
    assert len(set((drawn / generous).round(3).tolist())) >= 6  # a reader for each scan


def test_torch_marks_the_same(head: Head) -> None:
    pytest.importorskip("torch")
    from wmhseg.synthesis.arrays import on_torch

    there = on_torch("cpu")
    recipe = replace(SMALL, reader="drawn")
    ours = draw_scan(np.random.default_rng(5), [head], recipe)
    theirs = draw_scan(np.random.default_rng(5), heads.move([head], there), recipe, there)
    assert (ours.target != there.get(theirs.target)).mean() < 1e-3
