"""Real scans as training data: what is read, what is skipped, and what an epoch holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Phantom, write_case, write_scan

from wmhseg.datasets import cases
from wmhseg.errors import InputError, LabelsError, NoCasesError
from wmhseg.training.batches import real_data, split
from wmhseg.training.batches.labelled_input import read_case
from wmhseg.training.batches.real_data import ScanData, ScanSource
from wmhseg.training.plan import Augmentation, Run
from wmhseg.training.recipes import PLANS

PLAN = replace(
    PLANS["published"],
    preprocessing=replace(PLANS["published"].preprocessing, field=(64, 64)),
)


@pytest.fixture(scope="module")
def challenge(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three good cases and six that are broken, each in its way."""
    data = tmp_path_factory.mktemp("data")
    write_case(data / "training" / "Utrecht" / "0", phantom)
    write_case(data / "training" / "Singapore" / "50", phantom, label_2=True)
    write_case(data / "training" / "Amsterdam" / "GE3T" / "100", phantom)
    site = data / "training" / "Utrecht"
    (write_case(site / "2", phantom) / "pre" / "T1.nii.gz").unlink()
    (write_case(site / "4", phantom) / "wmh.nii.gz").unlink()
    damaged = write_case(site / "6", phantom) / "pre" / "FLAIR.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:-2000])
    mask = phantom.lesions.astype(np.uint8)
    write_scan(write_case(site / "8", phantom) / "wmh.nii.gz", mask[1:], phantom.spacing_mm)
    write_scan(write_case(site / "11", phantom) / "wmh.nii.gz", 255 * mask, phantom.spacing_mm)
    t1 = write_case(site / "17", phantom) / "pre" / "T1.nii.gz"
    write_scan(t1, phantom.t1, (3.0, 1.0, 1.0))
    return data


def test_broken_subjects_are_skipped_by_name(challenge: Path, tmp_path: Path) -> None:
    found = split.with_patients(cases.find_cases(challenge))
    told: list[tuple[int, int]] = []
    prepared = real_data.prepare(found, PLAN, tmp_path / "p", lambda *done: told.append(done))
    assert prepared.slices == {"0": 20, "50": 20, "100": 20}
    expected = {
        "2": "T1",
        "4": "no wmh.nii.gz",
        "6": "FLAIR",
        "8": "one grid",
        "11": "Received: [255]",
        "17": "one voxel grid",
    }
    assert prepared.skipped.keys() == expected.keys()
    for name, part in expected.items():
        assert part in prepared.skipped[name], name
    assert told[-1] == (9, 9)


def test_nothing_usable(phantom: Phantom, tmp_path: Path) -> None:
    (write_case(tmp_path / "data" / "x", phantom) / "pre" / "T1.nii.gz").unlink()
    found = split.with_patients(cases.find_cases(tmp_path / "data"))
    with pytest.raises(NoCasesError, match="x: "):
        real_data.prepare(found, PLAN, tmp_path / "p")
    # For FLAIR alone it is a good case.
    alone = replace(PLAN, channels=1)
    assert real_data.prepare(found, alone, tmp_path / "p").slices == {"x": 20}


def test_a_case_as_the_network_takes_it(challenge: Path, phantom: Phantom) -> None:
    case = next(c for c in cases.find_cases(challenge) if c.name == "50")
    made = read_case(case, PLAN)
    inputs, target = made.stack, made.target
    assert inputs.shape == (20, 64, 64, 2)
    assert target.shape == (20, 64, 64)
    # 60 x 72 becomes 64 x 64: two rows more at either side, four columns fewer. Label 2 is 0.
    expected = np.zeros((20, 64, 64), np.uint8)
    expected[:, 2:62] = phantom.lesions[:, :, 4:68]
    np.testing.assert_array_equal(target, expected)
    flair = inputs[..., 0]
    assert flair[target == 1].min() > flair[target == 0].max()
    with pytest.raises(InputError):
        read_case(replace(case, t1=None), PLAN)
    empty = read_case(replace(case, t1=None), replace(PLAN, without_t1="zero"))
    assert not empty.stack[..., 1].any()


def test_wrong_labels_have_an_error_of_their_own(phantom: Phantom, tmp_path: Path) -> None:
    folder = write_case(tmp_path / "x", phantom)
    write_scan(folder / "wmh.nii.gz", phantom.lesions.astype(np.uint8) * 3, phantom.spacing_mm)
    (case,) = cases.find_cases(tmp_path)
    with pytest.raises(LabelsError, match=r"Received: \[3\]"):
        read_case(case, PLAN)


# Batches ------------------------------------------------------------------------------------------


def numbered(folder: Path, count: int, first: int, side: int = 18) -> Path:
    """A prepared case whose slices hold their number; those of odd number are all lesion."""
    folder.mkdir()
    numbers = np.arange(first, first + count)
    inputs = np.ones((count, side, side, 2), np.float32) * numbers[:, None, None, None]
    np.save(folder / "inputs-scan.npy", inputs)
    mask = np.ones((count, side, side), np.uint8) * (numbers % 2)[:, None, None]
    np.save(folder / "mask.npy", mask.astype(np.uint8))
    return folder


@pytest.fixture
def source(tmp_path: Path) -> ScanSource:
    folders = (numbered(tmp_path / "a", 3, 0), numbered(tmp_path / "b", 4, 3))
    copies = Augmentation(copies=4)
    return ScanSource(
        folders,
        (3, 4),
        copies,
        batch=4,
        crop=None,
        inputs=PLAN.network_inputs,
        field=(18, 18),
        seed=(1, 0),
    )


def epoch(source: ScanSource, number: int) -> list[tuple[float, float]]:
    """Number and target of every slice that an epoch shows, in its order."""
    draw = source.open()
    first = number * source.per_epoch
    batches = [next(draw(first + place)) for place in range(source.per_epoch)]
    return [
        (float(image[9, 9, 0]), float(mask[9, 9, 0]))
        for inputs, targets in batches
        for image, mask in zip(inputs, targets, strict=True)
    ]


def test_an_epoch_shows_every_slice_as_often_as_there_are_copies(source: ScanSource) -> None:
    assert source.per_epoch == 7  # 28 slices
    one, two = epoch(source, 0), epoch(source, 1)
    for shown in (one, two):
        assert Counter(number for number, _ in shown) == {n: 4 for n in range(7)}
        assert all(target == number % 2 for number, target in shown)
    assert one != two
    assert one == epoch(source, 0)
    assert one != epoch(replace(source, seed=(1, 1)), 0)


def test_what_does_not_fill_a_batch_is_left_for_later(source: ScanSource) -> None:
    wide = replace(source, batch=5)
    assert wide.per_epoch == 5
    assert len(epoch(wide, 0)) == 25
    # A batch larger than everything there is goes through it again.
    all_ = replace(source, batch=30)
    assert all_.per_epoch == 1
    assert sorted(Counter(number for number, _ in epoch(all_, 0)).values()) == [4] * 5 + [5] * 2


def test_the_first_copy_is_the_slice_itself(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(1, 18, 18, 2)).astype(np.float32)
    (tmp_path / "a").mkdir()
    np.save(tmp_path / "a" / "inputs-scan.npy", image)
    np.save(tmp_path / "a" / "mask.npy", (image[..., 0] > 1).astype(np.uint8))
    how = {"inputs": PLAN.network_inputs, "field": (18, 18), "seed": (0, 0)}
    source = ScanSource((tmp_path / "a",), (1,), Augmentation(copies=6), 6, None, **how)
    inputs, targets = next(source.open()(0))
    same = [bool((shown == image[0]).all()) for shown in inputs]
    assert sum(same) == 1
    np.testing.assert_array_equal(targets[same.index(True)][..., 0], image[0, ..., 0] > 1)
    # The others differ from each other too, and in another epoch.
    assert len({shown.tobytes() for shown in inputs}) == 6
    later, _ = next(source.open()(1))
    assert len({shown.tobytes() for shown in [*inputs, *later]}) == 11


def test_crops(source: ScanSource) -> None:
    inputs, targets = next(replace(source, crop=16).open()(0))
    assert inputs.shape == (4, 16, 16, 2)
    assert targets.shape == (4, 16, 16, 1)
    assert inputs.dtype == targets.dtype == np.float32


def test_targets_tell_lesions_apart_where_the_loss_counts_them(
    source: ScanSource, challenge: Path, tmp_path: Path
) -> None:
    """A slice of odd number is one lesion, larger than the crop of it."""
    plain, counting = (replace(source, crop=16, by_lesion=by) for by in (False, True))
    sizes: list[float] = []
    for (images, masks), (same, targets) in zip(
        (next(plain.open()(n)) for n in range(3)),
        (next(counting.open()(n)) for n in range(3)),
        strict=True,
    ):
        np.testing.assert_array_equal(images, same)
        assert targets.shape == (4, 16, 16, 3)
        np.testing.assert_array_equal(targets[..., :1], masks)
        inside = targets[masks[..., 0] > 0]
        assert (inside[:, 1] == 1).all()
        assert (inside[:, 2] >= 16 * 16 - 30).all()  # of the varied slice, not of the crop
        sizes += inside[:, 2].tolist()
    assert max(sizes) > 16 * 16
    found = split.with_patients(cases.find_cases(challenge))
    prepared = real_data.prepare(found, PLAN, tmp_path / "prepared")
    usable = [one for one in found if one.case.name in prepared.folders]
    parted = split.split(usable, "none", 1)
    data = ScanData(parted, prepared, Augmentation(), loss="blob")
    for loss, by_lesion in ((None, True), ("dice", False), ("lesion-weighted", True)):
        made = data.source(Run("0", epochs=1, loss=loss), (0, 0))
        assert isinstance(made, ScanSource)
        assert made.by_lesion is by_lesion


def test_what_a_card_says(challenge: Path, tmp_path: Path) -> None:
    found = split.with_patients(cases.find_cases(challenge))
    prepared = real_data.prepare(found, PLAN, tmp_path / "p")
    usable = [s for s in found if s.case.name in prepared.folders]
    parted = split.split(usable, "cross-scanner", 1)
    data = ScanData(parted, prepared, Augmentation())
    text = "\n".join(data.describe())
    assert "2 scans of 2 patients, 40 slices, each seen 10 times an epoch" in text
    assert "Singapore (1)" in text
    assert "Utrecht (1)" in text
    assert "1 scans kept aside" in text
    assert "6 broken subjects were skipped" in text
    run = Run("0", epochs=1, batch=30)
    assert data.per_epoch(run) == 400 // 30
    assert data.source(run, (0, 0)).folders == tuple(
        prepared.folders[s.case.name] for s in parted.train
    )
    names = data.identity()
    assert len(names) == 6  # three files of two cases
    assert {name.split("/")[0] for name in names} == {"0", "50"}


def test_cases_off_the_scale_are_kept_and_named(phantom: Phantom, tmp_path: Path) -> None:
    """A model of a published method will see such scans as they are, too."""
    bright = replace(phantom, flair=phantom.flair * 40)
    write_case(tmp_path / "a", phantom)
    write_case(tmp_path / "b", bright)
    found = split.with_patients(cases.find_cases(tmp_path))
    published = real_data.prepare(found, PLANS["published"], tmp_path / "p")
    assert published.off_scale == ("b",)
    asked = replace(PLANS["published"], intensity_scale="adapt")
    assert real_data.prepare(found, asked, tmp_path / "p").off_scale == ()


# Sizes and labels ---------------------------------------------------------------------------------


def test_smaller_slices_are_continued_by_their_border() -> None:
    image = np.arange(12, dtype=np.float32).reshape(3, 4, 1)
    mask = np.ones((3, 4), np.uint8)
    wide, told = real_data.continued(image, mask, (6, 4))
    np.testing.assert_array_equal(wide[..., 0], image[[0, 0, 1, 2, 2, 2], :, 0])
    np.testing.assert_array_equal(told.any(1), [False, True, True, True, False, False])
    same, kept = real_data.continued(image, mask, (3, 4))
    assert same is image
    assert kept is mask


def test_strokes_are_read_on_pixels_of_the_method(phantom: Phantom, tmp_path: Path) -> None:
    """On 1 mm; what is WMH and what stroke holds as much of the head as before."""
    write_case(tmp_path / "x", phantom, label_2=True)
    (case,) = cases.find_cases(tmp_path)
    made = read_case(case, PLANS["published-uresnet"])
    assert made.inputs.way.target.spacing_mm[1:] == (1.0, 1.0)
    assert all(side % 8 == 0 for side in made.stack.shape[1:3])
    assert made.target.shape == made.stack.shape[:3] == made.region.shape
    grid = made.inputs.way.target
    for label in (1, 2):
        before = int((made.labels == label).sum()) * made.inputs.way.source.voxel_ml
        here = int((made.target == label).sum()) * grid.voxel_ml
        assert here == pytest.approx(before, rel=0.35)
        assert here > 0
