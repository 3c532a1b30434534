"""Where lesions lie: box lesions at known distances from box ventricles."""

from __future__ import annotations

import box_brain
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nifti_files import failing
from scipy import ndimage

from wmhseg.errors import LabelsError
from wmhseg.measures import anatomy, marks, places
from wmhseg.measures.anatomy import Anatomy
from wmhseg.measures.places import PLACES, RULES, Amount, Placed
from wmhseg.weights.structures import STRUCTURES


def placed(mask: np.ndarray, spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Placed:
    found = places.place(marks.find(mask), Anatomy(box_brain.anatomy(), "boxes"), spacing_mm)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "distance_mm", "by_rule"),
    [
        ("at the ventricle", 1, ("periventricular", "periventricular", "periventricular")),
        # Column 27 is 4 columns from column 23, in the same rows and slices.
        ("4 mm away", 4, ("deep", "periventricular", "deep")),
        # 11 columns from column 23, 11 rows from row 19: root of 242.
        ("far away", 242**0.5, ("deep", "deep", "deep")),
        # 12 columns, 11 rows, 2 slices from the right ventricle: root of 269.
        ("at the cortex", 269**0.5, ("juxtacortical", "juxtacortical", "juxtacortical")),
        ("brainstem", None, ("infratentorial",) * 3),
        ("cerebellum", None, ("infratentorial",) * 3),
        ("deep grey", None, ("deep_grey",) * 3),
    ],
)
def test_a_box_lies_where_it_was_put(
    name: str, distance_mm: float | None, by_rule: tuple[str, ...]
) -> None:
    found = placed(box_brain.mask(name))
    assert tuple(found.places(rule)[0] for rule in RULES) == by_rule
    if distance_mm is not None:
        np.testing.assert_allclose(found.nearest_mm, [distance_mm])


def test_distances_are_in_millimetres() -> None:
    """4 columns of 0.5 mm are 2 mm, which is near enough for SHiVAi's rule."""
    found = placed(box_brain.mask("4 mm away"), (3.0, 1.0, 0.5))
    np.testing.assert_allclose(found.nearest_mm, [2.0])
    assert [found.places(rule) for rule in RULES] == [["deep"], *[["periventricular"]] * 2]
    further = placed(box_brain.mask("4 mm away"), (3.0, 1.0, 0.51))
    assert further.places("2mm") == ["deep"]


def test_ten_millimetres_are_counted_by_voxels() -> None:
    """Columns 24 to 43 - 4 of a bar at the ventricle: 1 to 10 mm away are near, the rest is not."""
    mask = np.zeros(box_brain.SHAPE, np.uint8)
    mask[10, 12, 24:38] = 1
    found = placed(mask)
    amounts = found.amounts("10mm")
    assert amounts["periventricular"] == Amount(10, 1)
    assert amounts["deep"] == Amount(4, 0)
    assert found.amounts("continuity")["periventricular"] == Amount(14, 1)
    assert found.thickness_mm() == 14


def test_a_corner_is_enough_to_touch() -> None:
    mask = np.zeros(box_brain.SHAPE, np.uint8)
    mask[14, 20, 24] = 1  # one slice, row and column beyond the ventricle's corner
    assert placed(mask).places("continuity") == ["periventricular"]
    mask[14, 20, 24], mask[14, 20, 25] = 0, 1
    assert placed(mask).places("continuity") == ["deep"]


def test_the_ventricle_comes_before_the_cortex() -> None:
    """A bar from the cortex to the right ventricle; but for its touch it would be juxtacortical."""
    mask = np.zeros(box_brain.SHAPE, np.uint8)
    mask[10, 12, 3:16] = 1
    found = placed(mask)
    assert (found.at_cortex.tolist(), found.at_ventricle.tolist()) == ([True], [True])
    assert found.places("continuity") == ["periventricular"]
    assert found.amounts("10mm") == {
        **dict.fromkeys(PLACES, Amount(0, 0)),
        "periventricular": Amount(10, 1),  # columns 6 to 15
        "deep": Amount(3, 0),
    }
    mask[10, 12, 15] = 0
    assert placed(mask).places("continuity") == ["juxtacortical"]


def test_strive_counts_deep_grey_and_brainstem_apart() -> None:
    found = placed(box_brain.mask())
    everything = Amount(48 + 12 + 16 + 8 + 4 + 3 + 4, 7)
    assert Amount(len(found.lesions.voxels), found.lesions.count) == everything
    assert found.strive() == Amount(48 + 12 + 16 + 8 + 3, 5)  # with the cerebellum
    assert found.brainstem.sum() == found.deep_grey.sum() == 1


def test_half_is_not_more_than_half() -> None:
    mask = np.zeros(box_brain.SHAPE, np.uint8)
    mask[2:6, 24, 30] = 1  # two slices of deep grey, two of white matter
    assert placed(mask).places("continuity") == ["deep"]
    mask[1, 24, 30] = 1
    assert placed(mask).places("continuity") == ["deep_grey"]


def test_without_a_ventricle_nothing_is_said() -> None:
    labels = np.full(box_brain.SHAPE, box_brain.N["white-matter"], np.uint8)
    assert places.place(marks.find(box_brain.mask()), Anatomy(labels, ""), (1, 1, 1)) is None


def test_nothing_marked_is_nothing_anywhere() -> None:
    found = placed(np.zeros(box_brain.SHAPE, np.uint8))
    for rule in RULES:
        assert found.places(rule) == []
        assert found.amounts(rule) == dict.fromkeys(PLACES, Amount(0, 0))
    assert found.strive() == Amount(0, 0)
    assert found.thickness_mm() == 0


@given(st.integers(0, 2**32 - 1), st.sampled_from([(1.0, 1.0, 1.0), (3.0, 1.0, 0.5)]))
def test_volumes_and_counts_add_up(seed: int, spacing_mm: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((5, 7, 6)) < rng.uniform(0, 0.4)
    labels = rng.integers(0, len(STRUCTURES), mask.shape).astype(np.uint8)
    labels[2, 3, 3] = 3
    found = places.place(marks.find(mask), Anatomy(labels, ""), spacing_mm)
    assert found is not None
    for rule in RULES:
        amounts = found.amounts(rule).values()
        assert sum(one.vox for one in amounts) == mask.sum()
        assert sum(one.lesions for one in amounts) == found.lesions.count
    assert found.votes_vox.sum() == mask.sum()
    # Nearer means periventricular: each of these rules holds what the stricter one holds.
    near = [found.amounts(rule)["periventricular"].vox for rule in ("2mm", "10mm")]
    touching = found.amounts("continuity")["periventricular"].vox
    if spacing_mm == (1.0, 1.0, 1.0):
        assert near[0] >= touching
    edt = ndimage.distance_transform_edt(~np.isin(labels, (3, 4)), spacing_mm)
    np.testing.assert_allclose(found.distance_mm, edt[mask])


def test_an_anatomy_of_other_numbers_is_refused() -> None:
    labels = box_brain.anatomy()
    assert anatomy.of_labels(labels.astype(np.float64), "x").labels.dtype == np.uint8
    for bad in (labels + 1, labels - 0.5, labels.astype(np.int16) - 3):
        assert "brainstem" in failing(LabelsError, anatomy.of_labels, bad, "x.nii")


def test_numbers_of_freesurfer_are_understood() -> None:
    labels = np.array([[[0, 4, 5, 43, 44, 14, 15], [3, 2030, 1007, 41, 77, 10, 53]]], np.float32)
    found = anatomy.of_labels(labels, "x", "freesurfer").labels
    names = [STRUCTURES[number] for number in found.ravel().tolist()]
    assert names[:7] == [
        "background", *["left-lateral-ventricle"] * 2, *["right-lateral-ventricle"] * 2,
        *["other-ventricles"] * 2,
    ]  # fmt: skip
    assert names[7:] == [*["cortex"] * 2, "cortex", *["white-matter"] * 2, *["deep-grey"] * 2]
    assert found.shape == labels.shape
    rest = anatomy.of_labels(np.array([[[8, 47, 16, 24, 507]]]), "x", "freesurfer").labels
    assert [STRUCTURES[number] for number in rest.ravel().tolist()] == [
        "cerebellum", "cerebellum", "brainstem", "outer-csf", "head",
    ]  # fmt: skip
    line = failing(LabelsError, anatomy.of_labels, labels + 80, "x.nii", "freesurfer")
    assert "x.nii: 80, 83" in line


def test_each_class_is_counted() -> None:
    counts = Anatomy(box_brain.anatomy(), "").counts_vox()
    assert counts["left-lateral-ventricle"] == 6 * 10 * 3
    assert counts["right-lateral-ventricle"] == 6 * 10 * 4
    assert counts["background"] == 40 * 40
    assert sum(counts.values()) == np.prod(box_brain.SHAPE)
