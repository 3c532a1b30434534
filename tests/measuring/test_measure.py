"""From a scene to measures: what stands in JSON and tables, and what does not change them."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product
from typing import Any

import box_brain
import numpy as np
import pytest
from box_brain import BOXES
from hypothesis import given
from hypothesis import strategies as st
from nifti_files import failing

from wmhseg.errors import RegistrationError, UsageError
from wmhseg.geometry import Grid, Turn, turn_to
from wmhseg.io.images import Scan
from wmhseg.measures import head_size
from wmhseg.measures.anatomy import Anatomy
from wmhseg.measuring import content, measure
from wmhseg.measuring.scene import Atlas, Scene, Wanted

SPACING = (3.0, 1.0, 0.5)
OF_A_HEAD = (3.0, 4.0, 4.0)  # with which the boxes have the 1423 ml of an adult
ORDERS = list(product(permutations(range(3)), product((False, True), repeat=3)))


def measured(scene: Scene, **more: Any) -> measure.Measures:
    """Measures a scene whose place in the average brain is known, so that nobody looks for it."""
    brain = box_brain.in_brain(turn_to(scene.flair.grid, "LPS").target)
    return measure.measure(scene, brain=more.pop("brain", brain), **more)


def found(scene: Scene) -> dict[str, Any]:
    return content.to_dict(measured(scene))


def test_the_whole_is_what_was_put_there() -> None:
    told = found(box_brain.scene(box_brain.mask()))
    assert told["total"] == {"volume_ml": 0.095, "lesion_count": 7, "largest_lesion_ml": 0.048}
    assert told["places"]["continuity"] == {
        "periventricular": {"volume_ml": 0.048, "lesion_count": 1},
        "deep": {"volume_ml": 0.028, "lesion_count": 2},
        "juxtacortical": {"volume_ml": 0.008, "lesion_count": 1},
        "infratentorial": {"volume_ml": 0.007, "lesion_count": 2},
        "deep_grey": {"volume_ml": 0.004, "lesion_count": 1},
    }
    assert told["places"]["10mm"]["periventricular"] == {"volume_ml": 0.06, "lesion_count": 2}
    assert told["strive"] == {
        "wmh": {"volume_ml": 0.087, "lesion_count": 5},
        "with_deep_grey_and_brainstem": {"volume_ml": 0.095, "lesion_count": 7},
    }
    assert told["by_anatomy_ml"]["white-matter"] == 0.084
    assert sum(told["by_anatomy_ml"].values()) == pytest.approx(0.095)


def test_shares_of_the_head() -> None:
    labels = box_brain.anatomy()
    skull = int((labels >= 2).sum())
    told = found(box_brain.scene(box_brain.mask(), box_brain.grid(SPACING)))["head"]
    assert told["tiv_ml"] == pytest.approx(skull * 1.5 / 1000, abs=1e-4)
    assert told["ventricles_ml"] == pytest.approx(6 * 10 * 7 * 1.5 / 1000, abs=1e-4)
    assert told["left_lateral_ventricle_ml"] == pytest.approx(0.27)
    assert told["right_lateral_ventricle_ml"] == pytest.approx(0.36)
    assert told["wmh_percent_of_tiv"] == pytest.approx(100 * 95 / skull, abs=1e-4)
    white = int((labels == box_brain.N["white-matter"]).sum())
    assert told["wmh_percent_of_white_matter"] == pytest.approx(100 * 95 / white, abs=1e-4)


def test_the_fazekas_estimates_are_of_the_boxes() -> None:
    told = found(box_brain.scene(box_brain.mask()))["fazekas_estimate"]
    # Columns 24 to 29 reach 6 mm from the ventricle; the widest deep box is 4 x 4 mm.
    widest = (4**2 + 3**2) ** 0.5
    assert told["by_size"] == {
        "rule": "CREDOS, Noh 2014",
        "periventricular": 2,
        "deep": 1,
        "periventricular_thickness_mm": 6.0,
        "deep_diameter_mm": round(widest, 2),
    }
    assert told["by_volume"]["grade"] == 0
    assert told["by_volume_ranges"]["grades"] == []


def test_the_table_of_lesions() -> None:
    mask = box_brain.mask("at the ventricle", "4 mm away")
    probability = np.where(mask, np.float32(0.75), np.float32(0.25))
    probability[9, 17, 27] = 0.95
    one = np.where(mask, np.float32(0.6), 0)
    other = one.copy()
    other[BOXES["4 mm away"]] = 0
    scene = box_brain.scene(
        mask, box_brain.grid(SPACING), probability=probability, members={"a": one, "b": other}
    )
    rows = content.lesion_rows(measured(scene))
    assert rows[1] == {
        "lesion": 2,
        "volume_ml": 0.018,  # 12 voxels of 1.5 mm3
        "voxels": 12,
        # Slices 9 and 10, rows 17 to 19, columns 27 and 28.
        "x_mm": 20 - 27.5 * 0.5,
        "y_mm": 15 - 18,
        "z_mm": 5 + 9.5 * 3,
        # From the scan's first voxel, 10 mm up, 20 back, 30 to the left.
        "mni_x_mm": -(30 + 27.5 * 0.5),
        "mni_y_mm": -(20 + 18),
        "mni_z_mm": 10 + 9.5 * 3,
        "diameter_mm": round((3**2 + 0.5**2) ** 0.5, 2),
        "place_continuity": "deep",
        "place_10mm": "periventricular",
        "place_2mm": "periventricular",
        "touches_cortex": False,
        "distance_to_ventricle_mm": 2.0,
        "mean_probability": round((11 * 0.75 + 0.95) / 12, 4),
        "peak_probability": 0.95,
        "agreement_of_members": 0.5,
        "structural_disagreement": 0.5,
    }
    assert [row["place_continuity"] for row in rows] == ["periventricular", "deep"]
    assert tuple(rows[0]) == content.LESION_COLUMNS
    lines = content.to_tsv(rows).splitlines()
    assert lines[0].split("\t") == list(content.LESION_COLUMNS)
    assert lines[2].split("\t")[:2] == ["2", "0.018"]
    assert "\tfalse\t" in lines[2]


def test_ranges_over_thresholds_and_members() -> None:
    mask = box_brain.mask("far away")
    probability = np.zeros(mask.shape, np.float32)
    probability[BOXES["far away"]] = 0.5  # 16 voxels
    probability[BOXES["brainstem"]] = 0.21  # 4
    probability[BOXES["cerebellum"]] = 0.9  # 3
    members = {"low": probability, "high": np.minimum(probability * 2, 1)}
    scene = box_brain.scene(mask, probability=probability, members=members, threshold=0.4)
    told = found(scene)["uncertainty"]
    assert told["thresholds"] == {
        "from": 0.2,
        "to": 0.6,
        "volume_ml": [0.003, 0.023],
        "lesion_count": [1, 3],
    }
    assert told["threshold"] == 0.4
    assert told["members"]["each"] == {
        "low": {"volume_ml": 0.019, "lesion_count": 2},
        "high": {"volume_ml": 0.023, "lesion_count": 3},
    }
    assert told["members"]["volume_ml"] == [0.019, 0.023]
    assert told["members"]["mean_structural_disagreement"] == 0
    row = content.scan_row(measured(scene))
    assert (row["thresholds_lowest_ml"], row["thresholds_highest_count"]) == (0.003, 3)
    assert (row["members_lowest_count"], row["members_highest_ml"]) == (2, 0.023)


def test_one_network_has_no_other_to_disagree_with() -> None:
    one = {"a": np.ones(box_brain.SHAPE, np.float32)}
    found = measured(box_brain.scene(box_brain.mask(), members=one))
    told = content.to_dict(found)
    assert told["uncertainty"]["members"] is None
    assert measure.ONE_MEMBER in told["left_out"]
    assert measure.NO_MEMBERS not in told["left_out"]
    assert {row["agreement_of_members"] for row in told["lesions"]} == {None}
    assert content.scan_row(found)["members_lowest_ml"] is None


def test_ranges_say_that_they_are_of_what_the_rules_have_not_seen() -> None:
    ones = np.ones(box_brain.SHAPE, np.float32)
    scene = box_brain.scene(box_brain.mask(), probability=ones, members={"a": ones, "b": ones})
    lines = [line for line in content.to_lines(measured(scene)) if line.startswith("uncertainty")]
    assert [line.split()[1] for line in lines] == ["thresholds", "members:"]
    assert all(line.endswith("lesions (before rules on lesions)") for line in lines)


def test_what_is_excluded_does_not_count() -> None:
    mask = box_brain.mask("at the ventricle", "far away", "brainstem")
    excluded = np.zeros(mask.shape, bool)
    excluded[:, 30:, :] = True  # all of the one far away
    excluded[9:11, 12:14, 24:30] = True  # half of the one at the ventricle
    probability = mask.astype(np.float32) * np.float32(0.9)
    scene = box_brain.scene(mask, excluded=excluded, probability=probability)
    told = found(scene)
    assert told["total"]["volume_ml"] == 0.024 + 0.004
    assert told["excluded"] == {
        "volume_ml": 20 * 10 * 40 / 1000 + 0.024,
        "marked_ml": 0.016 + 0.024,
        "lesions_removed": 1,
        "lesions_cut": 1,
    }
    assert told["uncertainty"]["thresholds"]["volume_ml"] == [0.028, 0.028]
    assert found(box_brain.scene(mask))["excluded"] is None


def test_regions_of_an_atlas_elsewhere() -> None:
    """The same regions on FLAIR's voxels, turned, and in MNI space with voxels of 2 mm."""
    mask, where = box_brain.mask(), box_brain.grid()
    volume = np.zeros(mask.shape, np.int32)
    volume[:, :, :20], volume[:, :, 20:38] = 4, 9
    names = {4: "right", 9: "left"}
    turn = Turn(where, (2, 0, 1), (True, False, True))
    coarse = Grid((15, 24, 27), (2.0, 2.0, 2.0), (26.0, 16.0, 6.0))
    # MNI places of the coarse atlas: columns at 26, 28, … mm to the left; the scan's begin at 30.
    in_mni = np.where(np.arange(27) * 2 + 26 < 30 + 19.5, 4, 9)
    in_mni = np.where(np.arange(27) * 2 + 26 > 30 + 38.5, 0, in_mni)
    at_mni = np.broadcast_to(in_mni.astype(np.int32), coarse.shape)
    told = []
    for atlas in (
        Atlas(volume, where, names, "flair", "a"),
        Atlas(turn.forward(volume), turn.target, names, "flair", "b"),
        Atlas(at_mni, coarse, names, "mni", "c"),
    ):
        told.append(found(box_brain.scene(mask, atlas=atlas))["regions"])
    assert told[0] == told[1]
    for outside, right, left in told:
        assert (right["name"], right["wmh_ml"], right["lesion_count"]) == ("right", 0.019, 4)
        assert (left["name"], left["wmh_ml"], left["lesion_count"]) == ("left", 0.076, 3)
        assert (outside["name"], outside["wmh_ml"], outside["region_ml"]) == ("outside", 0, None)
    assert told[0][1]["region_ml"] == 20 * 40 * 20 / 1000
    assert told[0][1]["wmh_percent"] == pytest.approx(100 * 19 / 16000, abs=1e-4)


def test_what_is_not_known_is_left_out_and_said() -> None:
    scene = box_brain.scene(box_brain.mask(), anatomy=None)
    found = measured(scene)
    told = content.to_dict(found)
    for name in ("places", "strive", "by_anatomy_ml", "head", "excluded", "regions"):
        assert told[name] is None
    assert told["fazekas_estimate"]["by_size"] is None
    assert told["uncertainty"] == {
        "threshold": 0.5, "thresholds": None, "members": None, "curve": None,
    }  # fmt: skip
    assert told["left_out"] == [measure.NO_PROBABILITY, measure.NO_ANATOMY, measure.NO_MEMBERS]
    assert {row["place_2mm"] for row in told["lesions"]} == {None}
    lines = "\n".join(content.to_lines(found))
    assert all(f"left out     {sentence}" in lines for sentence in told["left_out"])
    whole = measured(
        box_brain.scene(
            box_brain.mask(),
            probability=np.ones(box_brain.SHAPE, np.float32),
            members={name: np.ones(box_brain.SHAPE, np.float32) for name in "ab"},
        )
    )
    assert content.to_dict(whole)["left_out"] == []
    assert "left out" not in "\n".join(content.to_lines(whole))
    # Tables of many scans go one below the other.
    assert list(content.scan_row(whole)) == list(content.scan_row(found))
    assert [row.keys() for row in (content.lesion_rows(whole)[0], told["lesions"][0])] == [
        dict.fromkeys(content.LESION_COLUMNS).keys()
    ] * 2
    assert content.to_tsv([content.scan_row(found)]).count("n/a") > 20


def test_an_anatomy_without_ventricles_says_so() -> None:
    labels = np.full(box_brain.SHAPE, box_brain.N["white-matter"], np.uint8)
    told = found(box_brain.scene(box_brain.mask(), anatomy=Anatomy(labels, "x")))
    assert measure.NO_VENTRICLES in told["left_out"]
    assert told["places"] is None
    assert told["head"]["wmh_percent_of_white_matter"] == pytest.approx(100 * 95 / 32000, abs=1e-4)


def test_what_does_not_belong_to_the_mask_is_doubted() -> None:
    mask, where = box_brain.mask(), box_brain.grid(OF_A_HEAD)
    right = np.where(mask, np.float32(0.8), np.float32(0))
    fine = measured(box_brain.scene(mask, where, probability=right))
    assert fine.warnings == ()
    flipped = Anatomy(np.ascontiguousarray(box_brain.anatomy()[::-1]), "x")
    shifted = np.roll(mask, 2, 1)
    wrong = measured(box_brain.scene(shifted, where, probability=right, anatomy=flipped))
    (doubt,) = wrong.warnings
    share = (right[shifted > 0] <= 0.3).mean()
    assert doubt.startswith(f"{share:.0%} of the marked voxels have a probability of at most 0.3")
    outside = np.zeros_like(mask)
    outside[10, 36:, 30] = 1  # two voxels of white matter, one of fluid, one of the head
    (doubt,) = measured(box_brain.scene(outside, where)).warnings
    assert doubt.startswith("25% of the marked voxels lie outside of the skull")
    assert content.to_dict(wrong)["warnings"] == list(wrong.warnings)


@pytest.mark.parametrize("times", [0.75, 1.0, 1.25])
def test_a_head_that_is_too_large_or_too_small_is_doubted(times: float) -> None:
    """Whatever is excluded: it is the head's size, and not that of what counts."""
    mask = box_brain.mask()
    where = box_brain.grid((OF_A_HEAD[0], OF_A_HEAD[1] * times, OF_A_HEAD[2] * times))
    scene = box_brain.scene(mask, where, excluded=np.ones_like(mask))
    found = measured(scene)
    tiv_ml = content.to_dict(found)["head"]["tiv_ml"]
    told = [] if times == 1 else [head_size.doubt(tiv_ml)]
    assert list(found.warnings) == told
    assert measured(replace(scene, anatomy=None)).warnings == ()


def test_an_empty_mask_is_measured() -> None:
    none = np.zeros(box_brain.SHAPE, np.uint8)
    scene = box_brain.scene(
        none, probability=np.zeros(none.shape, np.float32),
        members={name: np.zeros(none.shape, np.float32) for name in "ab"},
    )  # fmt: skip
    found = measured(scene)
    told = content.to_dict(found)
    assert told["total"] == {"volume_ml": 0, "lesion_count": 0, "largest_lesion_ml": 0}
    assert told["lesions"] == []
    assert told["fazekas_estimate"]["by_size"]["deep"] == 0
    assert told["uncertainty"]["members"]["mean_structural_disagreement"] is None
    assert content.to_tsv([], content.LESION_COLUMNS).count("\n") == 1
    lines = content.to_lines(found)
    assert lines[1].startswith("lesions      0")
    (grades,) = (line for line in lines if line.startswith("Fazekas"))
    assert "; no graded patient had such a volume (" in grades


@pytest.mark.parametrize("order", ORDERS[1::9], ids=str)
def test_the_order_of_axes_changes_nothing(order: tuple[Any, Any]) -> None:
    rng = np.random.default_rng(5)
    probability = rng.random(box_brain.SHAPE).astype(np.float32)
    where = box_brain.grid(SPACING)
    atlas = Atlas((probability > 0.5).astype(np.int32), where, {1: "one"}, "flair", "a")
    scene = box_brain.scene(
        box_brain.mask(), where, probability=probability,
        members={"a": probability[::-1], "b": probability}, excluded=probability > 0.95,
        atlas=atlas,
    )  # fmt: skip
    assert found(turned(scene, *order)) == found(scene)


def turned(scene: Scene, axes: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> Scene:
    """The same scene, stored in another order of axes."""
    turn = Turn(scene.flair.grid, axes, flips)

    def there(volume: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(turn.forward(volume))

    assert scene.anatomy is not None
    return replace(
        scene,
        flair=Scan(there(scene.flair.array), turn.target, "FLAIR"),
        mask=there(scene.mask),
        probability=None if scene.probability is None else there(scene.probability),
        members={name: there(one) for name, one in scene.members.items()},
        anatomy=Anatomy(there(scene.anatomy.labels), scene.anatomy.source),
        excluded=None if scene.excluded is None else there(scene.excluded),
    )


@given(st.integers(0, 2**32 - 1), st.sampled_from(ORDERS))
def test_random_scenes_do_not_mind_their_order(seed: int, order: tuple[Any, Any]) -> None:
    rng = np.random.default_rng(seed)
    where = Grid((5, 6, 7), (2.0, 1.0, 0.75), (1.0, 2.0, 3.0))
    labels = rng.integers(0, 11, where.shape).astype(np.uint8)
    labels[2, 3, 3] = 4
    mask = (rng.random(where.shape) < 0.3).astype(np.uint8)
    scene = box_brain.scene(mask, where, anatomy=Anatomy(labels, "x"))
    brain = box_brain.in_brain(where)
    one, other = (
        content.to_dict(measure.measure(each, brain=brain))
        for each in (scene, turned(scene, *order))
    )
    assert one == other
    parts = sum(row["volume_ml"] for row in one["lesions"])
    assert parts == pytest.approx(one["total"]["volume_ml"], abs=1e-3)
    for rule in one["places"].values():
        assert sum(p["lesion_count"] for p in rule.values()) == one["total"]["lesion_count"]


def test_a_scan_that_cannot_be_placed_has_no_centres_in_mni() -> None:
    scene = box_brain.scene(box_brain.mask("far away"))
    told = content.to_dict(measure.measure(scene))
    assert told["lesions"][0]["mni_x_mm"] is None
    assert told["mni"] is None
    assert told["left_out"][0].startswith(measure.NO_PLACE)
    line = failing(RegistrationError, measure.measure, scene, Wanted(mni=True))
    assert "the measures do not" in line


def test_filling_needs_a_t1_whose_place_is_known() -> None:
    scene = box_brain.scene(box_brain.mask())
    line = failing(UsageError, measured, scene, wanted=Wanted(filled_t1=True))
    assert "filling it" in line
