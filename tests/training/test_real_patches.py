"""Patches of real scans: what an epoch shows, and what a training needs of its masks."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wmhseg.training.batches.real_patches import POOLS, RealPatches, opened
from wmhseg.training.plan import Augmentation, Sampling
from wmhseg.training.recipes import PLANS

STILL = Augmentation(1, rotation_deg=0.0, shear_deg=0.0, zoom=(1.0, 1.0), flip=0.0)
SAMPLING = Sampling("patches", 16, wmh=0.2, stroke=0.8)
INPUTS = PLANS["published-uresnet"].network_inputs
SHAPE = (2, 20, 24)


def kept(folder: Path, first: int, wmh: int, stroke: int) -> Path:
    """A prepared case whose voxels tell their number; rows of WMH, of stroke and of others."""
    folder.mkdir()
    numbers = first + np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    np.save(folder / "inputs-scan.npy", numbers[..., None])
    mask = np.zeros(numbers.size, np.uint8)
    mask[:wmh], mask[wmh : wmh + stroke] = 1, 2
    np.save(folder / "mask.npy", mask.reshape(SHAPE))
    rest = np.arange(wmh + stroke, numbers.size)
    parts = (np.arange(wmh), np.arange(wmh, wmh + stroke), rest, rest[-10:])
    for kind, voxels in zip(POOLS, parts, strict=True):
        np.save(folder / f"pool-{kind}.npy", voxels)
    return folder


@pytest.fixture
def source(tmp_path: Path) -> RealPatches:
    folders = kept(tmp_path / "a", 0, 50, 20), kept(tmp_path / "b", 10_000, 10, 0)
    voxels = tuple((50 - 40 * n, 20 - 20 * n, 960 - 70 + 60 * n) for n in (0, 1))
    return RealPatches(folders, voxels, (SAMPLING, STILL), 4, INPUTS, (1, 0))


def centres(source: RealPatches, epoch: int = 0) -> list[tuple[int, int]]:
    """Number and label of the voxel at the middle of each patch of an epoch."""
    draw = source.open()
    first = epoch * source.per_epoch
    found = []
    for place in range(source.per_epoch):
        inputs, targets = next(draw(first + place))
        assert not isinstance(inputs, dict)
        found += list(
            zip(inputs[:, 8, 8, 0].astype(int).tolist(), targets[:, 8, 8, 0], strict=True)
        )
    return found


def test_an_epoch_shows_a_fifth_of_wmh_and_four_fifths_of_stroke(source: RealPatches) -> None:
    """10 of 50 and 2 of 10 voxels of WMH, 16 of 20 of stroke: 28 patches, 7 batches."""
    assert source.per_epoch == 7
    shown = centres(source)
    of_case_a = [number for number, _ in shown if number < 10_000]
    assert sum(number < 50 for number in of_case_a) == 10
    assert sum(50 <= number < 70 for number in of_case_a) == 16
    assert sum(10_000 <= number < 10_010 for number, _ in shown) == 2
    assert len(set(shown)) == 28
    for number, label in shown:
        assert label == (1 if number % 10_000 < (50 if number < 10_000 else 10) else 2)
    # The same voxels in every epoch, in another order; of another run others.
    later = centres(source, 1)
    assert Counter(later) == Counter(shown)
    assert later != shown
    assert centres(source) == shown
    assert Counter(centres(replace(source, seed=(2, 0)))) != Counter(shown)


def test_as_many_others_drawn_anew(source: RealPatches) -> None:
    even = replace(source, how=(replace(SAMPLING, elsewhere=0.5), STILL))
    assert even.per_epoch == 14
    one, two = (
        {number for number, label in centres(even, epoch) if label == 0} for epoch in (0, 1)
    )
    for shown in (one, two):
        assert 25 <= len(shown) <= 28  # one may come twice
        assert any(number >= 10_000 for number in shown)
        assert any(number < 10_000 for number in shown)
    assert one != two
    bright = replace(source, how=(replace(SAMPLING, elsewhere=0.5, bright=1.0), STILL))
    last = {n for n, label in centres(bright) if label == 0}
    assert last <= {*range(950, 960), *range(10_950, 10_960)}


def test_a_shift_moves_image_and_mask_alike_and_a_flip_turns_both(source: RealPatches) -> None:
    moved = replace(source, how=(replace(SAMPLING, shift=0.5), replace(STILL, flip=1.0)))
    seen = set()
    case = opened(source.folders[0], INPUTS)
    for batch in range(moved.per_epoch):
        inputs, targets = next(moved.open()(batch))
        assert not isinstance(inputs, dict)
        for image, target in zip(inputs[..., 0], targets[..., 0], strict=True):
            if image.max() < 10_000:
                inner = target > 0
                numbers = image.astype(int)[inner]
                np.testing.assert_array_equal(case.target.ravel()[numbers], target[inner])
                assert inner.any()
                seen.add(int(image[8, 8]))
            # Numbers fall from left to right where the patch lies within the slice.
            assert (np.diff(image, axis=1) <= 0).all()
    assert len(seen) > 10


def placed(source: RealPatches, sampling: Sampling) -> RealPatches:
    """The same cases with the places of their voxels, which say their numbers too."""
    for folder in source.folders:
        scan = np.load(folder / "inputs-scan.npy")
        np.save(folder / "inputs-scan.npy", np.repeat(scan, 2, -1))
        np.save(folder / "inputs-location.npy", np.repeat(scan, 8, -1))
    inputs = PLANS["published-location"].network_inputs
    return replace(source, how=(sampling, STILL), inputs=inputs)


def test_windows_and_the_places_of_their_voxels(source: RealPatches) -> None:
    windows = placed(source, Sampling("patches", 16, wmh=1.0, stroke=0.0, elsewhere=0.5))
    case = opened(source.folders[0], windows.inputs)
    for batch in range(windows.per_epoch):
        inputs, targets = next(windows.open()(batch))
        assert isinstance(inputs, dict)
        assert inputs["location"].shape == (4, 16, 16, 8)
        np.testing.assert_array_equal(inputs["location"][..., 3], inputs["scan"][..., 0])
        numbers = inputs["scan"][..., 0].astype(int)
        of_first = (numbers > 0) & (numbers < 10_000)  # 0 is beyond the borders, or a voxel
        told = targets[..., 0][of_first]
        np.testing.assert_array_equal(told, case.target.ravel()[numbers[of_first]])


def test_voxels_and_their_place(source: RealPatches) -> None:
    voxels = placed(source, Sampling("voxels", 16, wmh=1.0, stroke=0.0, elsewhere=0.5))
    assert voxels.per_epoch == 30  # 60 voxels of WMH and as many others
    labels = []
    for batch in range(voxels.per_epoch):
        inputs, targets = next(voxels.open()(batch))
        assert isinstance(inputs, dict)
        assert inputs["scan"].shape == (4, 16, 16, 2)
        assert inputs["location"].shape == (4, 1, 1, 8)
        assert targets.shape == (4, 1, 1, 1)
        middle = inputs["scan"][:, 8, 8, 0]
        np.testing.assert_array_equal(inputs["location"][:, 0, 0, 3], middle)
        first = np.where(middle < 10_000, 50, 10_010)
        np.testing.assert_array_equal(targets[:, 0, 0, 0] == 1, middle < first)
        labels += targets.ravel().tolist()
    assert Counter(labels)[1] == 60
