"""Batches of a user's scans and of synthetic ones: what is in them, and that they come again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Phantom, write_case, write_scan

from wmhseg.datasets import cases
from wmhseg.errors import NoCasesError, UsageError
from wmhseg.synthesis.recipe import Recipe
from wmhseg.training.batches import implanting, mixed_data, own_scans, split
from wmhseg.training.batches.implanting import Brightness
from wmhseg.training.batches.mixed_data import MixedData, MixedSource, RealSource
from wmhseg.training.batches.own_scans import OwnScan, OwnScans
from wmhseg.training.batches.synthetic_data import SyntheticData
from wmhseg.training.plan import Augmentation, Implanting, Refinement, Run, Synthesis
from wmhseg.training.recipes import PLANS

FIELD = (64, 56)
STILL = Augmentation(copies=1, rotation_deg=0, shear_deg=0, zoom=(1, 1), flip=0)
PLAN = replace(
    PLANS["refine"],
    preprocessing=replace(PLANS["refine"].preprocessing, field=FIELD),
    augmentation=STILL,
    synthesis=Synthesis(Recipe(field=FIELD, slices=4), scans=2, slices=6),
)
RUN = Run("0", "tiny", steps=4, batch=4, crop=32)


@pytest.mark.parametrize(
    ("share", "batch", "count"),
    [(0.5, 8, 4), (0.3, 8, 2), (0.01, 8, 1), (0.99, 8, 7), (1.0, 8, 8), (0.5, 1, 1), (1.0, 1, 1)],
)
def test_some_slices_are_real_and_all_only_if_all_are(share: float, batch: int, count: int) -> None:
    assert mixed_data.real_slices(share, batch) == count


def marked(folder: Path, name: str, value: float, *, free: bool = False) -> OwnScan:
    """A prepared scan of one value, with a lesion in its second slice but for a lesion-free one.

    Lesions may be put into the upper half of its slices.
    """
    place = folder / name
    place.mkdir()
    stack = np.full((3, *FIELD, 2), value, np.float32)
    stack[:, -1, -1] = value - 2
    mask = np.zeros((3, *FIELD), np.uint8)
    mask[1, 40:44, 30:34] = not free
    likely = np.zeros((3, *FIELD), np.float16)
    likely[:, 5:30, 5:50] = 1
    np.save(place / "stack.npy", stack)
    np.save(place / "mask.npy", mask)
    np.save(place / "likely.npy", likely)
    own = [0.5, -0.1] if not free else [np.nan, np.nan]
    np.save(place / "site.npy", [3.0, 1.0, 1.0, 2.0, 2.0, 0, 0, 50, 50, *own])
    case = cases.Case(name)
    return OwnScan(name, name, case, place, 3, lesion_free=free, has_site=True)


@pytest.fixture
def own(tmp_path: Path) -> OwnScans:
    scans = (
        marked(tmp_path, "a", 1),
        marked(tmp_path, "b", 4),
        marked(tmp_path, "c", 7, free=True),
    )
    return OwnScans(scans, FIELD, {}, {})


def source(own: OwnScans, put: Implanting | None, batch: int = 6) -> RealSource:
    how = STILL, Refinement(implanting=put)
    inputs = PLAN.network_inputs
    return RealSource(own.scans, how, batch, 40, None, inputs, FIELD, (3, 0))


def slices(source: RealSource) -> list[tuple[np.ndarray, np.ndarray]]:
    """Every slice of the first block, and its target."""
    return [pair for batch in source.open()(0) for pair in zip(*batch, strict=True)]


def test_scans_come_as_often_and_slices_with_lesions_twice_as_often(own: OwnScans) -> None:
    shown = slices(source(own, None))
    values = np.array([image[20, 20, 0] for image, _ in shown])
    lesion = np.array([bool(target.any()) for _, target in shown])
    assert len(shown) == 240
    for value in (1, 4, 7):
        assert 50 < (values == value).sum() < 110
    # One of three slices, twice as likely: a half; none in the lesion-free scan.
    assert 0.35 < lesion[values < 7].mean() < 0.65
    assert not lesion[values == 7].any()
    for _, target in shown:
        assert target.sum() in (0, 16)


def test_implanted_slices_have_their_share_and_are_marked_where_they_are_raised(
    own: OwnScans,
) -> None:
    put = Implanting(share=0.5, load_ml=(2, 2), brightness=(1, 1))
    shown = slices(source(own, put))
    raised = [(image, target) for image, target in shown if image[..., 0].max() not in (1, 4, 7)]
    assert 90 <= len(raised) <= 120  # a half, but for slices in which no lesion fell
    for image, target in raised:
        level = image[20, -3, 0]
        up = (image[..., 0] - level)[:30]
        # The scan's own lesions are 0.5 x 2 brighter; the lesion-free one takes that of the others.
        assert up.max() <= 1 + 1e-5
        np.testing.assert_array_equal(target[:30, :, 0] > 0, up >= 0.45 - 1e-6)
        assert target[40:44, 30:34].all() or not target[30:].any()
    assert {float(np.round(image[20, -3, 0])) for image, _ in raised} == {1, 4, 7}


def test_batches_come_again_and_blocks_differ(own: OwnScans, labels_folder: Path) -> None:
    data = MixedData(own, SyntheticData(labels_folder, PLAN), PLAN)
    mixed = data.source(RUN, (RUN.seed, 0))
    assert isinstance(mixed, MixedSource)
    first, again = (list(mixed.open()(0)) for _ in range(2))
    assert len(first) == mixed.per_block == 2 * 6 // 2
    for (image, target), (same, as_well) in zip(first, again, strict=True):
        np.testing.assert_array_equal(image, same)
        np.testing.assert_array_equal(target, as_well)
        assert image.shape == (4, 32, 32, 2)
        assert target.shape == (4, 32, 32, 1)
    other = next(mixed.open()(1))
    assert not np.array_equal(first[0][0], other[0])
    assert not np.array_equal(first[0][0], next(data.source(RUN, (9, 0)).open()(0))[0])
    # The first two of each batch are real: but for lesions, one value and air.
    for image, _ in first:
        levels = [np.median(one[..., 0]) for one in image[:2]]
        assert set(levels) <= {1.0, 4.0, 7.0}
    # And the others are what the synthetic source draws for as many.
    drawn = SyntheticData(labels_folder, PLAN).source(replace(RUN, batch=2), (RUN.seed, 0))
    for (image, target), (made, mask) in zip(first, drawn.open()(0), strict=True):
        np.testing.assert_array_equal(image[2:], made)
        np.testing.assert_array_equal(target[2:], mask)


def test_without_label_maps_all_slices_are_real(own: OwnScans) -> None:
    alone = replace(PLAN, refinement=Refinement(real=1.0))
    data = MixedData(own, None, alone)
    made = data.source(RUN, (0, 0))
    assert isinstance(made, RealSource)
    assert made.batch == 4
    assert data.field(RUN) == (32, 32)
    assert data.field(replace(RUN, crop=None)) == FIELD
    assert any("100%" in line for line in data.describe())


def test_who_is_left_out_is_in_no_batch(own: OwnScans) -> None:
    left = own.without(["b"])
    assert [scan.name for scan in left.scans] == ["a", "c"]
    for batch, _ in source(left, Implanting()).open()(0):
        assert 4.0 not in np.median(batch[..., 0], (1, 2))


def test_own_scans_are_prepared_and_lesion_free_ones_need_no_mask(
    phantom: Phantom, tmp_path: Path
) -> None:
    data, free = tmp_path / "data", tmp_path / "free"
    write_case(data / "x", phantom)
    (write_case(data / "y", phantom) / "wmh.nii.gz").unlink()
    (write_case(free / "z", phantom) / "wmh.nii.gz").unlink()
    write_scan(free / "w" / "FLAIR.nii.gz", phantom.flair, phantom.spacing_mm)
    told: list[str] = []
    found = split.with_patients(cases.find_cases(data, told.append))
    others = split.lesion_free(str(free), None, told.append)
    made = own_scans.prepare(found, others, PLAN, tmp_path / "p")
    assert [(scan.name, scan.lesion_free) for scan in made.scans] == [
        ("x", False),
        ("w", True),
        ("z", True),
    ]
    assert "wmh" in made.skipped["y"]
    by_name = {scan.name: scan.open() for scan in made.scans}
    assert by_name["x"].lesions.any()
    assert not by_name["z"].lesions.any()
    np.testing.assert_array_equal(by_name["x"].stack, by_name["z"].stack)
    assert not by_name["w"].stack[..., 1].any()
    # Boxes are no brain: nothing is put into them, which is told.
    assert set(made.unplaced) == {"x", "w", "z"}
    assert not any(scan.has_site for scan in made.scans)
    identity = MixedData(made, None, PLAN).identity()
    assert set(identity) == {"x/FLAIR", "x/T1", "x/wmh", "z/FLAIR", "z/T1", "w/FLAIR"}
    with pytest.raises(NoCasesError):
        own_scans.prepare(found[1:], others, PLAN, tmp_path / "p")


def test_a_site_is_read_as_it_was_written(phantom: Phantom, tmp_path: Path) -> None:
    scan = marked(tmp_path, "a", 1)
    one = scan.open().site
    assert one is not None
    assert one.spacing_mm == (3.0, 1.0, 1.0)
    assert (one.white, one.noise, one.ceiling) == ((2, 2), (0, 0), (50, 50))
    assert one.own == Brightness(0.5, -0.1)
    free = marked(tmp_path, "b", 1, free=True).open().site
    assert free is not None
    assert free.own is None
    assert implanting.usual([one, free]) == one.own


@pytest.mark.parametrize(
    ("names", "looks"),
    [
        (["m-14a", "m-14b", "m-39"], True),
        (["p1_v1", "p1_v2"], True),
        (["p1_ses-1", "p1_ses-2"], True),
        (["tabriz-1", "tabriz-2", "tabriz-3"], False),
        (["14a", "15b"], False),
        (["anna", "bert"], False),
    ],
)
def test_names_that_look_like_visits_need_a_table(names: list[str], looks: bool) -> None:
    found = split.with_patients([cases.Case(name) for name in names])
    if looks:
        with pytest.raises(UsageError, match="--patients"):
            split.check_visits(found)
    else:
        split.check_visits(found)
    # BIDS names say whose they are.
    split.check_visits(split.with_patients([cases.Case(f"sub-01_ses-{n}") for n in "12"]))


def test_one_scan_under_the_names_of_two_patients_is_told(tmp_path: Path) -> None:
    contents = {"anna": b"one", "anna_2": b"one", "bert": b"two", "cara": b"one", "dirk": b"three"}
    found = []
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        patient = name.split("_")[0]
        found.append(split.PatientCase(cases.Case(name, flair=tmp_path / name), patient))
    assert split.copies(found) == [("anna", "anna_2", "cara")]
    assert split.copies([one for one in found if one.case.name != "cara"]) == []  # visits
    told = split.told_copies(("anna", "cara"))
    assert told.startswith("anna, cara have the same FLAIR scan")
    assert "--patients" in told
