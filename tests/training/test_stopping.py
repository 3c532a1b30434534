"""The epoch whose weights are taken: the area under the ROC curve, and who has the largest."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wmhseg.training.batches.patches import PatchCase, Pool
from wmhseg.training.plan import Sampling
from wmhseg.training.stopping import BestEpoch, ValidationVoxels, area_under_curve


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_the_area_counts_pairs(said: list[tuple[int, bool]]) -> None:
    """How often a positive scores higher than a negative; equal ones are half a time."""
    scores, positive = np.array([s for s, _ in said], float), np.array([p for _, p in said])
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[positive] for b in scores[~positive]]
    found = area_under_curve(scores, positive)
    assert math.isnan(found) if not pairs else found == pytest.approx(np.mean(pairs))


def weights(number: float) -> dict[str, np.ndarray]:
    return {"x": np.array([number], np.float32)}


def test_the_best_epoch_is_kept_and_found_again(tmp_path: Path) -> None:
    table, file = tmp_path / "roc.csv", tmp_path / "best.safetensors"
    best = BestEpoch(table, file, 0, patience=2)
    assert not best.is_found
    told = []
    for step, area in ((10, 0.6), (20, 0.8), (30, 0.7)):
        told.append(best.add(step, area, weights(step)))
        assert not best.is_found
    assert told == [True, True, False]
    # Resumed before the last epoch: it comes again, and ends the run with another.
    best = BestEpoch(table, file, 20, patience=2)
    assert not best.add(30, 0.79, weights(30))
    assert not best.is_found
    assert not best.add(40, 0.8, weights(40))  # as large is not larger
    assert best.is_found
    assert best.weights()["x"] == 20
    assert BestEpoch(table, file, 40, patience=2).is_found
    assert table.read_text().splitlines() == [
        "step,area", "10,0.600000", "20,0.800000", "30,0.790000", "40,0.800000"
    ]  # fmt: skip


class Centre:
    """Says the middle of the first channel, for label 1."""

    def predict_on_batch(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        said = inputs["scan"][:, 8, 8, 0]
        return np.stack([1 - said, said], -1)[:, None, None]


def test_voxels_are_half_wmh_of_each_case() -> None:
    """Where WMH is as bright as they are, the area is that of their brightness."""
    cases = []
    rng = np.random.default_rng(0)
    for _ in range(2):
        target = np.zeros((2, 20, 20), np.uint8)
        target[:, 4:8, 4:8] = 1
        scan = (rng.random((2, 20, 20, 1)) + target[..., None] * 0.5).astype(np.float32)
        lesion, rest = np.flatnonzero(target), np.flatnonzero(target == 0)
        nothing = lesion[:0]
        pool = Pool(lesion, nothing, rest, rest)
        stacks = {"scan": scan, "location": np.zeros((2, 20, 20, 8), np.float32)}
        cases.append(PatchCase(stacks, target, pool))
    voxels = ValidationVoxels(iter(cases), Sampling("voxels", 16, elsewhere=0.1), 2000, wmh=1)
    # P(u + 0.5 > v) of two numbers that are even from 0 to 1.
    assert voxels.area(Centre()) == pytest.approx(1 - 0.5**2 / 2, abs=0.04)
