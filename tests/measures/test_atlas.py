"""Regions of an atlas: what lies in them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nifti_files import failing

from wmhseg.errors import LabelsError
from wmhseg.measures import atlas, marks
from wmhseg.measures.atlas import OUTSIDE, Region

NAMES = {1: "left", 2: "right", 7: "not in this scan"}


def test_volumes_and_counts_of_regions() -> None:
    there = np.zeros((3, 4, 10), np.int32)
    there[:, :, :4], there[:, :, 6:] = 2, 1
    mask = np.zeros(there.shape, bool)
    mask[1, 0, 2:7] = True  # two voxels right, two outside, one left: the first label of equals
    mask[1, 2:4, 7:9] = True  # all left
    assert atlas.regions(marks.find(mask), there, NAMES) == [
        Region(0, OUTSIDE, 0, 2, 1),
        Region(1, "left", 48, 5, 1),
        Region(2, "right", 48, 2, 0),
        Region(7, "not in this scan", 0, 0, 0),
    ]


@given(st.integers(0, 2**32 - 1))
def test_regions_add_up(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((4, 6, 5)) < rng.uniform(0, 0.5)
    there = rng.choice([0, 1, 2, 7], mask.shape).astype(np.int32)
    found = marks.find(mask)
    regions = atlas.regions(found, there, NAMES)
    assert sum(one.marked_vox for one in regions) == mask.sum()
    assert sum(one.lesions for one in regions) == found.count
    assert {one.index: one.vox for one in regions if one.index} == {
        label: int((there == label).sum()) for label in NAMES
    }


@pytest.mark.parametrize(("held", "missing"), [([0, 1, 3], "3"), ([4, 3, 1], "3, 4")])
def test_a_label_without_a_name_is_refused(held: list[int], missing: str) -> None:
    volume = np.array(held, np.int32)
    line = failing(LabelsError, atlas.check_labels, volume, NAMES, "names.tsv")
    assert f"labels: {missing}." in line
    assert "names.tsv" in line
    atlas.check_labels(np.array([0, 7], np.int32), NAMES, "names.tsv")
