"""T1 filled: lesions look like the white matter around them, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from nifti_files import failing

from wmhseg.errors import EmptyMaskError
from wmhseg.measures import filling

SPACING = (1.0, 1.0, 1.0)


def brain() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """T1 with white matter of 100, fluid and two lesions; where these are, and white matter."""
    t1 = np.full((9, 20, 40), 100, np.float32)
    t1[:, :3] = 20  # fluid
    lesions = np.zeros(t1.shape, bool)
    lesions[2:7, 3:8, 5:10] = lesions[2:7, 10:15, 30:35] = True
    white = (t1 == 100) & ~lesions
    t1[lesions] = 60
    return t1, lesions, white


def test_white_matter_of_one_value_fills_with_that_value() -> None:
    t1, lesions, white = brain()
    filled = filling.fill(t1, lesions, white, SPACING)
    # Next to fluid as well: fluid is no white matter.
    np.testing.assert_allclose(filled[lesions], 100, rtol=1e-5)
    np.testing.assert_array_equal(filled[~lesions], t1[~lesions])


def test_lesions_are_filled_like_their_own_surroundings() -> None:
    """White matter rises by 1 a column, with noise of 4: lesions get the rise and half of that."""
    t1, lesions, white = brain()
    ramp = np.broadcast_to(np.arange(40, dtype=np.float32), t1.shape)
    noise = np.random.default_rng(1).normal(0, 4, t1.shape).astype(np.float32)
    t1[white] += (ramp + noise)[white]
    filled = filling.fill(t1, lesions, white, SPACING)
    for side in (np.s_[:, :, :20], np.s_[:, :, 20:]):
        rest = (filled - 100 - ramp)[side][lesions[side]]
        assert abs(float(rest.mean())) < 1
        assert float(rest.std()) == pytest.approx(2, rel=0.3)
    np.testing.assert_array_equal(filled, filling.fill(t1, lesions, white, SPACING))
    np.testing.assert_array_equal(filled[~lesions], t1[~lesions])


def test_without_lesions_nothing_changes() -> None:
    t1, lesions, white = brain()
    filled = filling.fill(t1, np.zeros_like(lesions), white, SPACING)
    np.testing.assert_array_equal(filled, t1)
    assert filled is not t1


def test_far_from_white_matter_its_mean_is_taken() -> None:
    t1 = np.full((5, 5, 60), 20, np.float32)
    t1[:, :, :4] = 80
    lesions = np.zeros(t1.shape, bool)
    lesions[2, 2, 50] = True
    filled = filling.fill(t1, lesions, t1 == 80, SPACING)
    assert filled[2, 2, 50] == 80


def test_white_matter_is_where_it_is_likely_and_looks_so() -> None:
    t1, lesions, white = brain()
    rng = np.random.default_rng(0)
    t1 += rng.normal(0, 2, t1.shape).astype(np.float32)
    likely = np.ones(t1.shape, bool)
    kept = filling.white_matter(t1, likely, lesions)
    assert not kept[lesions].any()
    assert not kept[:, :3].any()  # fluid does not look so
    assert kept[white].mean() > 0.95
    failing(EmptyMaskError, filling.white_matter, t1, lesions, lesions)
