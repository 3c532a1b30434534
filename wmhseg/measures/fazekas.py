"""Estimates of Fazekas grades: by a published rule of sizes, and by published volumes.

Fazekas grades are given by people who look at a scan. What stands here is computed from a mask and
is called an estimate everywhere.

The rule is that of CREDOS, whose modified Fazekas scale has numbers where the original has words.
Periventricular: caps and bands that reach less than 5 mm from the ventricle are grade 1, less than
10 mm grade 2, further grade 3. Deep: a largest diameter of less than 10 mm is grade 1, less than
25 mm grade 2, more grade 3. Nothing marked is grade 0. Periventricular is what touches a lateral
ventricle.

References:
    F. Fazekas et al., AJR 149 (1987) 351-356 (the scale).
    Y. Noh et al., J Stroke Cerebrovasc Dis 23 (2014) 636-642 (CREDOS).
    Z. Rieu et al., J Integr Neurosci 22 (2023) 57 (grades computed from diameters of
    periventricular and deep WMH of a mask, compared with three readers).
    L. Joo et al., PLoS ONE 17 (2022) e0274562 (volume: 3.4, 9.6 and 17.1 ml).
    Stroke 51, suppl. 1 (2020) TP208 (ranges of volume of each grade, 198 patients).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

RULE = "CREDOS, Noh 2014"
THICKNESS_MM = (5.0, 10.0)
DIAMETER_MM = (10.0, 25.0)
VOLUME_RULE = "Joo 2022"
VOLUME_ML = (3.4, 9.6, 17.1)
"""Normal, mild, moderate and severe: grades 0 to 3 of the whole, by volume."""

RANGES_RULE = "Stroke 2020;51:TP208"
RANGES_ML = {1: (0.1, 8.3), 2: (6.0, 17.7), 3: (14.2, 77.2)}
"""Volumes that were seen in patients of each grade."""


@dataclass(frozen=True)
class Estimate:
    """Grades that a rule of sizes gives.

    Attributes:
        periventricular: 0 to 3.
        deep: 0 to 3.
        thickness_mm: How far periventricular lesions reach from the ventricle.
        diameter_mm: Largest diameter of a deep lesion.
    """

    periventricular: int
    deep: int
    thickness_mm: float
    diameter_mm: float


def estimate(thickness_mm: float, diameter_mm: float) -> Estimate:
    """Estimates the two grades.

    Args:
        thickness_mm: How far periventricular lesions reach from the ventricle; 0 for none.
        diameter_mm: Largest diameter, in a slice, of a deep lesion; 0 for none.
    """
    return Estimate(
        _grade(thickness_mm, THICKNESS_MM), _grade(diameter_mm, DIAMETER_MM),
        thickness_mm, diameter_mm,
    )  # fmt: skip


def _grade(size_mm: float, limits_mm: Sequence[float]) -> int:
    return 1 + bisect_right(limits_mm, size_mm) if size_mm > 0 else 0


def by_volume(volume_ml: float) -> int:
    """The grade of the whole, 0 to 3, that the volume alone suggests."""
    return bisect_right(VOLUME_ML, volume_ml)


def of_volume(volume_ml: float) -> list[int]:
    """The grades of which patients with such a volume were seen: several, one or none."""
    return [grade for grade, (low, high) in RANGES_ML.items() if low <= volume_ml <= high]
