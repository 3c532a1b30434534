"""The pipeline as a whole, with networks whose output is known ("bright is WMH")."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import heads
import numpy as np
import pytest
import SimpleITK as sitk
from conftest import Phantom

import wmhseg
from wmhseg import errors
from wmhseg.channels import network_input
from wmhseg.engines.start import start_engine
from wmhseg.io import images
from wmhseg.preparation.steps import Steps
from wmhseg.segmentation import loading
from wmhseg.weights import store

OFF = Steps(pixel_size="off", bias_correction="off", registration="off")


@pytest.fixture
def expected(phantom: Phantom) -> np.ndarray:
    """The phantom's lesions but for the end slices: floor(10 % of 20) = 2 at either end."""
    mask = phantom.lesions.copy()
    mask[:2] = mask[-2:] = False
    return mask


@pytest.fixture(autouse=True)
def _models(use_models: Path, no_doubts: None) -> None:
    pass


def image(array: np.ndarray, spacing_mm: tuple[float, float, float]) -> sitk.Image:
    made = sitk.GetImageFromArray(array)
    made.SetSpacing(spacing_mm[::-1])
    return made


def test_array_image_and_path_give_the_known_mask(
    phantom: Phantom, expected: np.ndarray, tmp_path: Path
) -> None:
    flair, t1 = (image(a, phantom.spacing_mm) for a in (phantom.flair, phantom.t1))
    sitk.WriteImage(flair, str(tmp_path / "f.nii.gz"))
    sitk.WriteImage(t1, str(tmp_path / "t.nii.gz"))
    results = [
        wmhseg.segment(phantom.flair, phantom.t1, spacing_mm=phantom.spacing_mm, model="bright"),
        wmhseg.segment(flair, t1, model="bright"),
        wmhseg.segment(tmp_path / "f.nii.gz", str(tmp_path / "t.nii.gz"), model="bright"),
    ]
    for result in results:
        assert result.mask.dtype == np.uint8
        np.testing.assert_array_equal(result.mask, expected)
        # 48 + 6 voxels of 3 x 1 x 0.9 mm
        assert result.report.lesions.volume_ml == pytest.approx(54 * 2.7 / 1000)
        assert result.report.lesions.count == 2
        assert result.report.lesions.largest_ml == pytest.approx(48 * 2.7 / 1000)
        assert result.report.warnings == ()
        assert result.report.slices_computed == 16


def test_probability_is_the_mean_of_the_members(phantom: Phantom) -> None:
    result = wmhseg.segment(
        phantom.flair, phantom.t1, spacing_mm=phantom.spacing_mm, model="bright"
    )
    # The z-score of a lesion, by hand: the mask is FLAIR >= 70, which is the head's box.
    head = phantom.flair[:, 10:50, 12:62]
    z = (900 - head.mean(dtype=np.float64)) / head.std(dtype=np.float64)
    mean = np.mean([1 / (1 + np.exp(-20 * (z - cut))) for cut in (2.0, 3.0)])
    assert result.probability[8, 21, 21] == pytest.approx(mean, abs=1e-5)
    assert result.probability[0].max() == 0  # not computed
    assert result.probability[5, 0, 0] == pytest.approx(0, abs=1e-6)


def test_restored_in_every_orientation(phantom: Phantom, expected: np.ndarray) -> None:
    """The same head, stored in another axis order, gives the same voxels in that order."""
    straight = image(phantom.flair, phantom.spacing_mm)
    lesions = image(expected.astype(np.uint8), phantom.spacing_mm)
    for code in ("LPS", "RAS", "PIR", "ASL", "SRA"):
        turned = sitk.DICOMOrient(straight, code)
        result = wmhseg.segment(turned, model="bright")
        np.testing.assert_array_equal(
            result.mask, sitk.GetArrayFromImage(sitk.DICOMOrient(lesions, code)), err_msg=code
        )
        assert result.to_image().GetDirection() == pytest.approx(turned.GetDirection())
        assert result.to_image().GetOrigin() == pytest.approx(turned.GetOrigin())
        assert result.to_image().GetSpacing() == pytest.approx(turned.GetSpacing())


@pytest.mark.parametrize("factor", [0.001, 0.25, 40.0])
def test_other_intensity_scales_are_adapted(
    phantom: Phantom, expected: np.ndarray, factor: float
) -> None:
    flair, t1 = phantom.flair * np.float32(factor), phantom.t1 * np.float32(factor)
    result = wmhseg.segment(flair, t1, spacing_mm=phantom.spacing_mm, model="bright")
    np.testing.assert_array_equal(result.mask, expected)
    report = result.report.to_dict()["intensity_scale"]
    # A factor of 40 lifts the air (2) over both thresholds (70, 30), 0.001 puts the head (300 and
    # 200) below them; a quarter of it is still above.
    for name in ("FLAIR", "T1"):
        assert report[name]["on_scale"] == (factor == 0.25)


def test_kept_scale_is_reported_when_it_matters(phantom: Phantom) -> None:
    keep = wmhseg.Options(intensity_scale="keep")
    plain = wmhseg.segment(
        phantom.flair, phantom.t1, spacing_mm=phantom.spacing_mm, model="bright", options=keep
    )
    assert plain.report.warnings == ()
    bright = wmhseg.segment(
        40 * phantom.flair, phantom.t1, spacing_mm=phantom.spacing_mm, model="bright", options=keep
    )
    assert len(bright.report.warnings) == 1
    assert "FLAIR" in bright.report.warnings[0]
    assert "scale" in bright.report.warnings[0]


def test_without_t1(phantom: Phantom, expected: np.ndarray) -> None:
    flair = image(phantom.flair, phantom.spacing_mm)
    empty = wmhseg.segment(flair, model="bright")
    np.testing.assert_array_equal(empty.mask, expected)
    assert any("No T1" in line for line in empty.report.warnings)
    assert empty.report.to_dict()["t1_used"] is False
    alone = wmhseg.segment(flair, model="bright-flair")
    np.testing.assert_array_equal(alone.mask, expected)
    assert alone.report.warnings == ()
    with pytest.raises(errors.MissingT1Error, match=r"--model bright ") as caught:
        wmhseg.segment(flair, model="bright-needs-t1")
    assert "bright-flair" in str(caught.value)
    assert "--model bright-needs-t1" not in str(caught.value)


def test_grids_must_agree_without_registration(phantom: Phantom) -> None:
    prepared = wmhseg.Options(steps=OFF)
    flair = image(phantom.flair, phantom.spacing_mm)
    for other in (
        image(phantom.t1[:, :-1], phantom.spacing_mm),
        image(phantom.t1, (3.0, 1.0, 0.6)),
    ):
        with pytest.raises(errors.GridMismatchError, match="Received"):
            wmhseg.segment(flair, other, model="bright", options=prepared)
    moved = image(phantom.t1, phantom.spacing_mm)
    moved.SetOrigin((0, 0, 1.0))
    with pytest.raises(errors.GridMismatchError, match=r"1\.00 mm"):
        wmhseg.segment(flair, moved, model="bright", options=prepared)
    moved.SetOrigin((0, 0, 0.001))  # rounding in headers is no mismatch
    wmhseg.segment(flair, moved, model="bright", options=prepared)


def test_array_needs_spacing(phantom: Phantom) -> None:
    with pytest.raises(errors.UsageError, match="spacing_mm"):
        wmhseg.segment(phantom.flair, model="bright")


def test_threshold_never_adds_voxels(phantom: Phantom) -> None:
    soft = phantom.flair.copy()
    rng = np.random.default_rng(0)
    soft[:, 10:50, 12:62] += rng.normal(0, 120, (20, 40, 50)).astype(np.float32)
    masks = [
        wmhseg.segment(
            soft,
            spacing_mm=phantom.spacing_mm,
            model="bright",
            options=wmhseg.Options(threshold=threshold),
        ).mask
        for threshold in (0.2, 0.5, 0.8)
    ]
    assert masks[0].sum() > masks[1].sum() > masks[2].sum() > 0
    assert not (masks[1] & ~masks[0] & 1).any()
    assert not (masks[2] & ~masks[1] & 1).any()


def test_save_writes_mask_report_and_probability(phantom: Phantom, tmp_path: Path) -> None:
    result = wmhseg.segment(
        phantom.flair, phantom.t1, spacing_mm=phantom.spacing_mm, model="bright"
    )
    result.save(tmp_path / "out" / "result.nii.gz", tmp_path / "out" / "p.nii.gz")
    stored = sitk.ReadImage(str(tmp_path / "out" / "result.nii.gz"))
    assert stored.GetPixelID() == sitk.sitkUInt8
    assert stored.GetSpacing() == pytest.approx((0.9, 1.0, 3.0))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(stored), result.mask)
    probability = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / "p.nii.gz")))
    np.testing.assert_array_equal(probability, result.probability)
    told = json.loads((tmp_path / "out" / "result.json").read_text())
    assert told["volume_ml"] == pytest.approx(0.1458)
    assert told["lesion_count"] == 2
    assert told["model"] == "bright"
    assert [len(m["sha256"]) for m in told["members"]] == [64, 64]
    assert set(told["seconds"]) >= {"read", "prepare", "predict", "restore"}
    assert told["versions"]["wmhseg"] == wmhseg.__version__
    engine = told["engine"]
    assert (engine["name"], engine["device"], engine["precision"]) == ("openvino", "cpu", "float32")
    assert engine["version"] == told["versions"]["openvino"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "p.nii.gz",
        "result.json",
        "result.nii.gz",
    ]


def test_all_files_or_none(
    phantom: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mask is written last: when that fails, nothing of the rest is left."""
    result = wmhseg.segment(phantom.flair, spacing_mm=phantom.spacing_mm, model="bright")
    (tmp_path / "r.json").write_text("before")

    def full(*_: object) -> None:
        raise errors.DiskFullError("Room was expected")

    monkeypatch.setattr(images, "write_mask", full)
    with pytest.raises(errors.DiskFullError):
        result.save(tmp_path / "r.nii.gz", tmp_path / "p.nii.gz", tmp_path / "o.png")
    assert [p.name for p in tmp_path.iterdir()] == ["r.json"]
    assert (tmp_path / "r.json").read_text() == "before"


def test_what_the_field_cuts_off_is_told(phantom: Phantom) -> None:
    """A head of 100 x 100 pixels in a field of 64 x 64."""
    wide = np.full((20, 120, 120), 2, np.float32)
    wide[:, 10:110, 10:110] = 300 + 10 * (np.indices((20, 100, 100)).sum(0) % 2)
    result = wmhseg.segment(wide, spacing_mm=(3, 1, 1), model="bright")
    lost = 1 - 64 * 64 / (100 * 100)
    assert any(f"{lost:.0%} of the head" in line for line in result.report.warnings)
    fine = wmhseg.segment(
        phantom.flair,
        spacing_mm=(3, 0.45, 0.45),
        model="bright",
        options=wmhseg.Options(steps=OFF),
    )
    assert any("0.45 x 0.45 mm" in line for line in fine.report.warnings)


def test_wrapped_numbers_are_repaired(phantom: Phantom) -> None:
    """T1 values 0 to 65535 that were stored as signed 16-bit numbers."""
    t1 = np.round(phantom.t1 * 160)  # head 32000 and 33600
    t1[3, 12:16, 14:18] = 62000
    stored = np.where(t1 > 32767, t1 - 65536, t1).astype(np.float32)
    assert stored.min() < -30000
    results = [
        wmhseg.segment(phantom.flair, array, spacing_mm=phantom.spacing_mm, model="bright")
        for array in (t1.astype(np.float32), stored)
    ]
    assert not any("stored as signed" in line for line in results[0].report.warnings)
    assert any("stored as signed" in line for line in results[1].report.warnings)
    model = store.find("bright").preset
    flair = images.scan_from_array(phantom.flair, phantom.spacing_mm, name="FLAIR")
    stacks = [
        network_input.prepare(
            flair, images.scan_from_array(array, phantom.spacing_mm, name="T1"), model
        ).stacks["scan"]
        for array in (t1.astype(np.float32), stored)
    ]
    np.testing.assert_array_equal(stacks[0], stacks[1])


@pytest.mark.parametrize("bad", [[[1, 2], [3, 4]], 7, {"a": 1}])
def test_what_is_no_scan_is_refused(bad: object) -> None:
    with pytest.raises(
        errors.UsageError, match="path, a SimpleITK or nibabel image or a NumPy array"
    ):
        wmhseg.segment(bad, model="bright")


@pytest.mark.parametrize(
    "bad",
    [
        *({"batch": 0}, {"intensity_scale": "Adapt"}, {"engine": "onnx"}, {"precision": "int8"}),
        *({"threads": 0}, {"device": "tpu"}),
    ],
)
def test_options_are_checked(bad: dict[str, object]) -> None:
    with pytest.raises(errors.UsageError):
        wmhseg.Options(**bad)


def test_a_started_engine_is_used(
    phantom: Phantom, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = start_engine("openvino", "cpu", 1)

    def never(*_: Any) -> Any:
        raise AssertionError("started another one")

    monkeypatch.setattr(loading, "start_engine", never)
    segmenter = wmhseg.Segmenter("bright", engine=started)
    result = segmenter.segment(phantom.flair, phantom.t1, spacing_mm=phantom.spacing_mm)
    np.testing.assert_array_equal(result.mask, expected)
    assert result.report.runtime is started.runtime


def test_a_segmenter_serves_one_scan_after_another(
    phantom: Phantom, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    real = store.load
    monkeypatch.setattr(store, "load", lambda *a: read.append(1) or real(*a))
    segmenter = wmhseg.Segmenter("bright", wmhseg.Options(engine="openvino"))
    loaded = [
        segmenter.load(flair, t1, spacing_mm=phantom.spacing_mm)
        for flair, t1 in ((phantom.flair, phantom.t1), (phantom.flair[:, ::-1], None))
    ]
    first, second = (segmenter.compute(one) for one in loaded)
    np.testing.assert_array_equal(first.mask, expected)
    np.testing.assert_array_equal(second.mask, expected[:, ::-1])
    assert not first.report.warnings
    assert any("No T1" in line for line in second.report.warnings)
    assert len(read) == 2  # two members, read once
    assert first.report.seconds.keys() == second.report.seconds.keys()


def test_t1_is_not_kept_while_the_networks_compute(phantom: Phantom) -> None:
    """The largest scans fit into the memory limit of the image only without it."""
    segmenter = wmhseg.Segmenter("bright")
    for t1 in (phantom.t1, None):
        loaded = segmenter.load(phantom.flair, t1, spacing_mm=phantom.spacing_mm)
        assert loaded.aligned.t1 is None
        assert loaded.has_t1 == (t1 is not None)
        told = segmenter.compute(loaded).report.to_dict()
        assert told["t1_used"] == (t1 is not None)


def test_unknown_model_lists_the_installed(phantom: Phantom) -> None:
    with pytest.raises(errors.UnknownModelError, match="bright-flair"):
        wmhseg.segment(phantom.flair, spacing_mm=phantom.spacing_mm, model="no-such-model")


def test_default_model_is_installed() -> None:
    found = store.find(store.DEFAULT_MODEL)
    assert len(found.preset.members) == 4
    for member in found.preset.members:
        store.load(found, member)


def test_empty_planes_around_a_pair_change_nothing(
    phantom: Phantom, expected: np.ndarray, tmp_path: Path
) -> None:
    """End slices count without them; masks and map are of the size of the files."""
    widths = ((13, 2), (7, 40), (0, 9))
    flair, t1 = (
        image(np.pad(array, widths), phantom.spacing_mm) for array in (phantom.flair, phantom.t1)
    )
    sitk.WriteImage(flair, str(tmp_path / "f.nii.gz"))
    sitk.WriteImage(sitk.PermuteAxes(t1, [1, 2, 0]), str(tmp_path / "t.nii.gz"))
    spacing_mm = phantom.spacing_mm
    plain = wmhseg.segment(phantom.flair, phantom.t1, spacing_mm=spacing_mm, model="bright")
    result = wmhseg.segment(tmp_path / "f.nii.gz", tmp_path / "t.nii.gz", model="bright")
    np.testing.assert_array_equal(result.mask, np.pad(expected, widths))
    np.testing.assert_array_equal(result.probability, np.pad(plain.probability, widths))
    assert result.report.lesions.volume_ml == pytest.approx(plain.report.lesions.volume_ml)
    assert result.report.lesions.count == plain.report.lesions.count
    assert result.report.slices_computed == plain.report.slices_computed
    result.save(tmp_path / "m.nii.gz", t1_mask=tmp_path / "m1.nii.gz")
    on_t1, grid = images.read_labels(tmp_path / "m1.nii.gz")
    assert grid == images.read_grid(tmp_path / "t.nii.gz")
    assert on_t1.sum() == expected.sum()


@pytest.mark.parametrize("lift", [0, 25, 400])
@pytest.mark.parametrize("value", [0, 25, 3000])
def test_empty_planes_are_no_part_of_where_intensities_begin(value: int, lift: int) -> None:
    """A scan full of noise, lifted or not, and planes of any value around it."""
    flair = heads.head("FLAIR", noise=5)
    array = flair.array + np.float32(lift)
    widths = ((2, 3), (40, 30), (25, 0))
    padded = np.pad(array, widths, constant_values=value)
    segmenter = wmhseg.Segmenter("bright-flair")
    plain, found = (
        segmenter.load(image(scan, flair.grid.spacing_mm)).inputs for scan in (array, padded)
    )
    np.testing.assert_array_equal(found.stacks["scan"], plain.stacks["scan"])
    assert found.warnings == plain.warnings
