"""Patches of synthetic scans: what a block holds, and scans that are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wmhseg.errors import RegistrationError
from wmhseg.synthesis import heads, scan
from wmhseg.synthesis.scan import Drawing
from wmhseg.training import model_folder
from wmhseg.training.batches import drawn
from wmhseg.training.batches.drawn import Shown
from wmhseg.training.batches.synthetic_patches import SyntheticPatches
from wmhseg.training.plan import Sampling, Synthesis
from wmhseg.training.recipes import PLANS

SHAPE = (3, 24, 28)
STROKES, WMH = (slice(0, 1), slice(4, 8), slice(4, 8)), (slice(1, 2), slice(4, 8), slice(4, 8))


def drawing(number: int, lesions: bool) -> Drawing:
    """Every voxel tells its scan (times 10,000) and its flat place."""
    flair = 10_000 * number + np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    target, stroke = (np.zeros(SHAPE, bool) for _ in range(2))
    target[WMH], stroke[STROKES] = lesions, lesions
    nothing = np.zeros(SHAPE, bool)
    return Drawing(flair, -flair, target, nothing, (1.0, 1.0, 1.0), stroke)


@pytest.fixture
def numbered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Scans 1, 2, 3 …; every third has no lesion, and the placement of every fifth fails."""
    made: list[int] = []

    def draw_scan(rng: Any, anatomies: Sequence[Any], recipe: Any) -> Drawing:
        made.append(len(made) + 1)
        return drawing(made[-1], lesions=made[-1] % 3 != 0)

    def as_shown(rng: Any, one: Drawing, recipe: Any, shown: Any) -> Shown:
        if made[-1] % 5 == 0:
            raise RegistrationError("A head was expected", received="none")
        brain = np.zeros(SHAPE, bool)
        brain[:, 2:22, 2:26] = True
        stacks = {"scan": np.stack([one.flair, one.t1], -1)}
        if shown.takes_location:
            stacks["location"] = np.repeat(one.flair[..., None], 8, -1)
        return Shown(stacks, brain)

    monkeypatch.setattr(scan, "draw_scan", draw_scan)
    monkeypatch.setattr(drawn, "as_shown", as_shown)
    monkeypatch.setattr(heads, "load_heads", lambda folder: [])
    return made


def source(sampling: Sampling, name: str) -> SyntheticPatches:
    shown = model_folder.preset_of(PLANS[name], ())
    return SyntheticPatches(Path(), Synthesis(scans=6, slices=20), sampling, 8, shown, (0, 0))


def test_a_block_of_patches(numbered: list[int]) -> None:
    sampling = Sampling("patches", 16, wmh=0.5, stroke=0.5, elsewhere=0.2)
    blocks = source(sampling, "synthetic-uresnet")
    assert blocks.per_block == 15
    batches = list(blocks.open()(0))
    assert numbered == [1, 2, 3, 4, 5, 6, 7]  # 5 is left out
    inputs, targets = (np.concatenate([batch[n] for batch in batches]) for n in (0, 1))
    assert inputs.shape == (120, 16, 16, 2)
    middle = inputs[:, 8, 8, 0].astype(int)
    assert set((middle // 10_000).tolist()) == {1, 2, 3, 4, 6, 7}
    told = targets[:, 8, 8, 0].astype(int)
    places = np.unravel_index(middle % 10_000, SHAPE)
    expected = np.zeros(SHAPE, int)
    expected[WMH], expected[STROKES] = 1, 2
    lesions = middle // 10_000 % 3 != 0
    np.testing.assert_array_equal(told, np.where(lesions, expected[places], 0))
    # A fifth of 20 has no lesion in 4 of the scans, and all of 20 in scans 3 and 6.
    assert (told == 0).sum() == 4 * 4 + 2 * 20
    assert 20 < (told == 2).sum() < 44  # half of 64
    for row, column in zip(places[1].tolist(), places[2].tolist(), strict=True):
        assert 2 <= row < 22
        assert 2 <= column < 26
    # Mixed: no batch is of one scan.
    assert all(len({*(x[:, 8, 8, 0] // 10_000).tolist()}) > 1 for x, _ in batches)


def test_voxels_with_their_place(numbered: list[int]) -> None:
    sampling = Sampling("voxels", 16, wmh=1.0, stroke=0.0, elsewhere=0.5)
    inputs, targets = next(source(sampling, "synthetic-location").open()(0))
    assert isinstance(inputs, dict)
    middle = inputs["scan"][:, 8, 8, 0]
    np.testing.assert_array_equal(inputs["location"][:, 0, 0, 7], middle)
    assert targets.shape == (8, 1, 1, 1)
    # Stroke is background to a network of WMH alone.
    wmh = middle.astype(int) % 10_000 // (24 * 28) == 1
    assert (targets[:, 0, 0, 0] <= wmh).all()


def test_windows_with_the_places_of_all_their_voxels(numbered: list[int]) -> None:
    sampling = Sampling("patches", 16, wmh=1.0, stroke=0.0, elsewhere=0.5)
    inputs, targets = next(source(sampling, "synthetic-location").open()(0))
    assert isinstance(inputs, dict)
    np.testing.assert_array_equal(inputs["location"][..., 7], inputs["scan"][..., 0])
    assert targets.shape == (8, 16, 16, 1)
    slices = inputs["scan"][..., 0].astype(int) % 10_000 // (24 * 28)
    assert (targets[..., 0] <= (slices == 1)).all()
    assert targets.any()


def test_a_placement_that_never_succeeds_is_told(
    numbered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Shown:
        raise RegistrationError("A head was expected", received="none")

    monkeypatch.setattr(drawn, "as_shown", fails)
    sampling = replace(Sampling("voxels", 16), elsewhere=0.5)
    with pytest.raises(RegistrationError):
        next(source(sampling, "synthetic-location").open()(0))
    assert len(numbered) == 20
