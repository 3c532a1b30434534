"""Estimates of Fazekas grades at the limits of their rules."""

from __future__ import annotations

import pytest

from wmhseg.measures import fazekas


@pytest.mark.parametrize(
    ("thickness_mm", "diameter_mm", "grades"),
    [
        (0, 0, (0, 0)),
        (0.5, 0.5, (1, 1)),
        (4.99, 9.99, (1, 1)),
        (5, 10, (2, 2)),
        (9.99, 24.99, (2, 2)),
        (10, 25, (3, 3)),
        (0, 40, (0, 3)),
    ],
)
def test_grades_by_size(thickness_mm: float, diameter_mm: float, grades: tuple[int, int]) -> None:
    found = fazekas.estimate(thickness_mm, diameter_mm)
    assert (found.periventricular, found.deep) == grades


@pytest.mark.parametrize(
    ("volume_ml", "grade", "seen"),
    [
        (0, 0, []),
        (3.39, 0, [1]),
        (3.4, 1, [1]),
        (7, 1, [1, 2]),
        (9.6, 2, [2]),
        (15, 2, [2, 3]),
        (17.1, 3, [2, 3]),
        (100, 3, []),
    ],
)
def test_grades_by_volume(volume_ml: float, grade: int, seen: list[int]) -> None:
    assert fazekas.by_volume(volume_ml) == grade
    assert fazekas.of_volume(volume_ml) == seen
