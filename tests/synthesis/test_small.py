"""Small lesions: how many, how large, where; and that nothing else of a scan changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from wmhseg.synthesis import anatomy as anatomies
from wmhseg.synthesis import heads
from wmhseg.synthesis.acquisition import average
from wmhseg.synthesis.heads import INDEX, MAPS, Head
from wmhseg.synthesis.hyperintensities import HOLDING, Hyperintensities, grow
from wmhseg.synthesis.lesions import small
from wmhseg.synthesis.linear import slice_profile
from wmhseg.synthesis.recipe import Recipe
from wmhseg.synthesis.scan import draw_scan

RECIPE = Recipe(field=(72, 68), slices=8, without_lesions=0, off_centre_mm=2, load_ml=(0.2, 0.5),
                load_shares=(1.0,), small_lesions=1.0, halo=0.0)  # fmt: skip
SEEDS = range(8)


@pytest.fixture(scope="module")
def head(label_map: np.ndarray) -> Head:
    return heads.load_head(label_map)


Drawn = tuple[anatomies.Sampled, Hyperintensities, Hyperintensities]


@pytest.fixture(scope="module")
def drawn(head: Head) -> Callable[..., Drawn]:
    """Anatomy, its lesions, and the same with small ones."""

    def draw(seed: int, thickness: float = 3.0, of: Head = head) -> Drawn:
        rng = np.random.default_rng(seed)
        anatomy = anatomies.sample(rng, of, RECIPE, thickness, 3)
        before = grow(rng, anatomy, RECIPE)
        return anatomy, before, small.add(np.random.default_rng(seed), anatomy, before, RECIPE)

    return draw


def sizes(anatomy: anatomies.Sampled, change: np.ndarray) -> np.ndarray:
    """Voxels of the scan that each lesion has in the slice where it is largest."""
    inside = average(change, anatomy.parts, slice_profile(anatomy.parts, 0)) >= 0.4
    number, count = ndimage.label(inside, np.ones((3, 3, 3)))
    found = [max(int((plane == n).sum()) for plane in number) for n in range(1, count + 1)]
    return np.array(found, int)


@pytest.mark.parametrize("thickness", [1.0, 5.0])
def test_many_are_small_and_none_is_large(drawn: Callable[..., Drawn], thickness: float) -> None:
    found = []
    for seed in SEEDS:
        anatomy, before, after = drawn(seed, thickness)
        assert (after.strength >= before.strength).all()
        found.append(sizes(anatomy, after.strength - before.strength))
    together = np.concatenate(found)
    assert len(together) >= 3 * len(found)
    # A section of 6 x 1.35 mm across, pixels of 0.8 mm: under 80 pixels. Spots: 20 and less.
    assert together.max() < 100
    assert (together < 10).mean() > 0.3
    assert ((together >= 10) & (together <= 40)).mean() > 0.1


def test_they_lie_in_white_matter_apart_from_other_lesions(drawn: Callable[..., Drawn]) -> None:
    holding = [INDEX[name] for name in HOLDING]
    deep = total = 0
    for seed in SEEDS:
        anatomy, before, after = drawn(seed)
        change = after.strength - before.strength > 0.3
        assert change.any()
        assert np.isin(anatomy.tissue[change], holding).all()
        assert not change[anatomy.septum].any()
        deep += int((anatomy.depth_mm[change] >= 1).sum())
        total += int(change.sum())
        touched = ndimage.binary_dilation(before.strength > 0.3, np.ones((1, 3, 3)))
        assert (change & touched).sum() < 0.1 * change.sum()
        np.testing.assert_array_equal(after.gain, before.gain)
    assert deep > 0.7 * total


def test_they_are_where_old_people_have_lesions(drawn: Callable[..., Drawn], head: Head) -> None:
    """With the population's map on one side only, nearly all are on that side."""
    maps = head.maps.copy()
    maps[:, :, : head.shape[2] // 2, MAPS.index("prior")] = 200
    one_sided = replace(head, maps=maps)
    there = total = 0
    for seed in SEEDS:
        anatomy, before, after = drawn(seed, 3.0, one_sided)
        change = after.strength - before.strength > 0.3
        there += int((anatomy.prior[change] > 0).sum())
        total += int(change.sum())
    assert there > 0.8 * total > 0


def test_scans_without_lesions_stay_without(head: Head) -> None:
    recipe = replace(RECIPE, without_lesions=1.0)
    for seed in SEEDS:
        assert not draw_scan(np.random.default_rng(seed), [head], recipe).target.any()


def test_nothing_else_changes_and_the_share_is_kept(head: Head) -> None:
    """Off and on, the images differ where small lesions are; with 0.5 in half of the scans."""
    changed = []
    for seed in range(20):
        scans = [
            draw_scan(np.random.default_rng(seed), [head], replace(RECIPE, small_lesions=share))
            for share in (0.0, 0.5, 1.0)
        ]
        never, half, always = scans
        changed.append(not np.array_equal(half.flair, never.flair))
        other = always if changed[-1] else never
        np.testing.assert_array_equal(half.flair, other.flair)
        np.testing.assert_array_equal(half.target, other.target)
        same = np.abs(always.t1 - never.t1) < 1e-4
        assert same.mean() > 0.5  # most of the scan: the same noise, the same faults
        assert not (never.target & ~always.target).any()
        assert always.target.sum() > never.target.sum()
    assert 4 <= sum(changed) <= 16
