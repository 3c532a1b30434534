"""The structure of every voxel of a drawn scan: which, on which side; the scan stays the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wmhseg.synthesis import anatomy
from wmhseg.synthesis.heads import INDEX, LEFT, RIGHT, TISSUES, Head, load_head
from wmhseg.synthesis.recipe import REALISTIC, Recipe
from wmhseg.synthesis.scan import Drawing, draw_scan
from wmhseg.synthesis.truth import anatomical
from wmhseg.weights.structures import LATERAL, NUMBER, STRUCTURES

SHAPE = (46, 84, 76)
# FreeSurfer's number -> what is expected of it.
EXPECTED = {
    0: "background", 507: "head", 515: "head", 24: "outer-csf", 3: "cortex", 2: "white-matter",
    25: "white-matter", 4: "left-lateral-ventricle", 136: "left-lateral-ventricle",
    43: "right-lateral-ventricle", 137: "right-lateral-ventricle", 14: "other-ventricles",
    15: "other-ventricles", 10: "deep-grey", 54: "deep-grey", 8: "cerebellum", 46: "cerebellum",
    16: "brainstem",
}  # fmt: skip
PLAIN = Recipe(
    field=(84, 76), slices=6, thickness_mm=(1.0,), wide_ventricles=0, wide_third=0, atrophy=0,
    cortex=0, skull_stripped=0, empty_ends=0, narrow=0, cut_short=0,
)  # fmt: skip


def ball(centre: tuple[int, int, int], radius: float) -> np.ndarray:
    offsets = np.indices(SHAPE) - np.array(centre).reshape(-1, 1, 1, 1)
    return (offsets**2).sum(0) <= radius**2


@pytest.fixture(scope="module")
def labels(label_map: np.ndarray) -> np.ndarray:
    """A head with one of each; the patient's left is at high columns."""
    made = np.where(label_map == 4, 2, label_map)
    middle = SHAPE[2] // 2
    for number, column in ((4, middle + 7), (43, middle - 7)):
        made[ball((26, 40, column), 4)] = number
        made[ball((26, 42, column), 1.5)] = {4: 136, 43: 137}[number]
    for number, centre, radius in (
        (14, (22, 42, middle), 2), (10, (21, 44, middle + 8), 3), (54, (18, 40, middle - 14), 2),
        (25, (30, 30, middle + 9), 2), (16, (14, 45, middle), 4), (15, (14, 51, middle), 2),
        (8, (14, 58, middle + 6), 4), (46, (14, 58, middle - 6), 3),
    ):  # fmt: skip
        made[ball(centre, radius)] = number
    assert set(np.unique(made)) == set(EXPECTED)
    return made


@pytest.fixture(scope="module")
def head(labels: np.ndarray) -> Head:
    return load_head(labels)


def drawn(head: Head, seed: int, recipe: Recipe) -> Drawing:
    return draw_scan(np.random.default_rng(seed), [head], recipe, structures=True)


def test_every_tissue_is_of_a_structure() -> None:
    of = {name: STRUCTURES[int(anatomical._TABLE[INDEX[name]])] for name in TISSUES}
    assert [name for name, structure in of.items() if structure == "background"] == ["background"]
    assert {of[name] for name in TISSUES if name.startswith(("head_", "bone"))} == {"head"}
    assert set(of.values()) | set(LATERAL) == set(STRUCTURES)


def test_sides_of_a_head(head: Head, labels: np.ndarray) -> None:
    side = head.map("side")
    assert head.knows_sides
    assert (side[np.isin(labels, (4, 136))] == LEFT).all()
    assert (side[np.isin(labels, (43, 137))] == RIGHT).all()
    brain = np.isin(labels, (2, 3))
    assert (side[brain] > 0).all()
    columns = np.broadcast_to(np.arange(SHAPE[2]), SHAPE)
    assert (side[brain & (columns > SHAPE[2] // 2)] == LEFT).all()
    assert (side[brain & (columns < SHAPE[2] // 2)] == RIGHT).all()


def test_a_mirrored_head_exchanges_sides(head: Head, labels: np.ndarray) -> None:
    mirrored = load_head(np.ascontiguousarray(labels[:, :, ::-1]))
    np.testing.assert_array_equal(mirrored.map("side"), head.map("side")[:, :, ::-1])


def test_points_are_what_the_labels_say(head: Head, labels: np.ndarray) -> None:
    """In both halves of all poses: those that exchange left and right, and the others."""
    table = np.zeros(labels.max() + 1, np.uint8)
    for number, name in EXPECTED.items():
        table[number] = NUMBER[name]
    seen = set()
    for seed in range(5):
        sampled = anatomy.sample(np.random.default_rng(seed), head, PLAIN, 1.0, 2)
        expected = table[labels.ravel()[sampled.place]]
        if sampled.mirrored:
            left, right = (NUMBER[name] for name in LATERAL)
            swapped = np.arange(len(STRUCTURES))
            swapped[[left, right]] = right, left
            expected = swapped[expected]
        np.testing.assert_array_equal(anatomical.at_points(sampled), expected)
        seen.add(sampled.mirrored)
    assert seen == {True, False}


@pytest.mark.parametrize("wide", [0.0, 1.0])
def test_left_is_at_high_columns(head: Head, wide: float) -> None:
    """Of a scan, whichever way its head was turned, also where ventricles grew into tissue."""
    recipe = replace(
        PLAIN, slices=24, tilt_deg=0.0, thickness_mm=(3.0,), gap=(0.0, 0.0), wide_ventricles=wide,
        wide_ventricles_mm=(2.0, 3.0),
    )  # fmt: skip
    sizes = []
    for seed in range(4):
        structures = drawn(head, seed, recipe).structures
        left, right = (np.argwhere(structures == NUMBER[name])[:, 2] for name in LATERAL)
        assert left.min() > right.max()
        sizes += [left.size, right.size]
    assert min(sizes) > (90 if wide else 20)


def test_widened_ventricles_leave_the_third_alone(head: Head, labels: np.ndarray) -> None:
    recipe = replace(PLAIN, wide_ventricles=1.0, wide_ventricles_mm=(5.0, 6.0))
    grown = 0
    for seed in range(4):
        sampled = anatomy.sample(np.random.default_rng(seed), head, recipe, 1.0, 2)
        number, was = anatomical.at_points(sampled), labels.ravel()[sampled.place]
        assert (number[np.isin(was, (14, 15))] == NUMBER["other-ventricles"]).all()
        lateral = np.isin(number, [NUMBER[name] for name in LATERAL])
        assert lateral[np.isin(was, (4, 43))].all()
        grown += int((lateral & (was == 2)).sum())
        assert not (sampled.septum & lateral).any()
    assert grown > 200


@given(
    hnp.arrays(np.uint8, (6, 2, 3), elements=st.integers(0, len(STRUCTURES) - 1)),
    hnp.arrays(np.float32, (2, 2, 3), elements=st.sampled_from([0.0, 1.0])),
)
def test_most_planes_of_three(points: np.ndarray, seen: np.ndarray) -> None:
    made = anatomical.of_slices(points, 3, seen)
    split = points.reshape(2, 3, 2, 3)
    for place in np.ndindex(made.shape):
        three = split[place[0], :, place[1], place[2]]
        counts = np.bincount(three)
        expected = counts.argmax() if counts.max() > 1 else three[1]
        assert made[place] == (expected if seen[place] else 0)


def test_the_first_of_two_planes() -> None:
    points = np.array([[[1, 2]], [[1, 7]], [[9, 4]], [[0, 4]]], np.uint8)
    seen = np.ones((2, 1, 2), np.float32)
    np.testing.assert_array_equal(
        anatomical.of_slices(points, 2, seen), np.array([[[1, 2]], [[9, 4]]])
    )


@pytest.mark.parametrize("recipe", [Recipe(stroke=1.0), REALISTIC])
def test_the_scan_is_the_same(head: Head, recipe: Recipe) -> None:
    recipe = replace(recipe, field=(40, 44), slices=4)
    made: list[dict[str, Any]] = []
    after = []
    for told in (False, True):
        rng = np.random.default_rng(5)
        made.append(dict(vars(draw_scan(rng, [head], recipe, structures=told))))
        after.append(rng.bit_generator.state)
    without, with_them = made
    assert without.pop("structures") is None
    structures = with_them.pop("structures")
    assert structures.dtype == np.uint8
    assert structures.shape == with_them["flair"].shape
    assert without.keys() == with_them.keys()
    for one, other in zip(without.pop("axes_mm"), with_them.pop("axes_mm"), strict=True):
        np.testing.assert_array_equal(one, other)
    for name in without:
        np.testing.assert_array_equal(without[name], with_them[name], err_msg=name)
    assert after[0] == after[1]


def test_what_was_not_kept_is_background(head: Head) -> None:
    recipe = replace(PLAIN, skull_stripped=1.0, badly_stripped=0.0)
    for seed in range(3):
        made = drawn(head, seed, recipe)
        outside = made.flair == 0
        assert (made.structures[outside] == 0).mean() > 0.99  # noise may be 0 inside, too
        assert not (made.structures == NUMBER["head"]).sum() > 0.02 * outside.sum()
        assert (made.structures == NUMBER["white-matter"]).sum() > 100
