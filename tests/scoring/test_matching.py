"""Lesions of two masks: pairs by hand. More is tested through ``metrics``."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wmhseg.scoring.matching import match


def row(*columns: int) -> np.ndarray:
    mask = np.zeros((2, 3, 20), bool)
    mask[0, 1, list(columns)] = True
    return mask


def test_pairs_by_hand() -> None:
    """Lesions of 4, 2 and 1 voxels; found are 3 of the first, none of the second, one elsewhere."""
    found = match(row(1, 2, 3, 4, 7, 8, 11), row(2, 3, 4, 11, 15))
    assert found.reference_vox.tolist() == [4, 2, 1]
    assert found.result_vox.tolist() == [3, 1, 1]
    assert found.pairs.tolist() == [[0, 0], [2, 1]]
    assert found.shared_vox.tolist() == [3, 1]
    assert found.detected.tolist() == [True, False, True]
    assert found.confirmed.tolist() == [True, True, False]
    assert found.recall == found.precision == found.f1 == pytest.approx(2 / 3)
    # Intersections over unions of 3/4 and 1; half of all six lesions.
    assert found.panoptic_quality == pytest.approx((3 / 4 + 1) / 3)
    assert found.recall_between(1, 2) == (0.5, 2)
    assert math.isnan(found.recall_between(5, 9)[0])


def test_corners_connect() -> None:
    mask = np.zeros((3, 3, 3), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    assert match(mask, mask & False).reference_vox.tolist() == [2]
