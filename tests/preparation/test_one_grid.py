"""The steps on raw scans: taken, left out, told."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from conftest import Phantom, make_preset
from lopsided_head import pair

import wmhseg
from wmhseg import errors
from wmhseg.channels import network_input
from wmhseg.cli import main
from wmhseg.geometry import Grid
from wmhseg.io import images
from wmhseg.io.images import Scan
from wmhseg.preparation import one_grid, registration
from wmhseg.preparation.steps import SWITCHES, Steps
from wmhseg.segmentation import ensemble
from wmhseg.segmentation.options import Options
from wmhseg.weights.processing import Preprocessing

OFF = Steps(pixel_size="off", bias_correction="off", registration="off")
LPS = make_preset(preprocessing=Preprocessing(field=(64, 64), orientation="LPS"))


def nifti(path: Path, scan: Scan) -> Path:
    sitk.WriteImage(images.to_image(scan.array, scan.grid), str(path))
    return path


def shifted(scan: Scan, by_mm: float) -> Scan:
    x, y, z = scan.grid.origin_mm
    grid = Grid(scan.grid.shape, scan.grid.spacing_mm, (x + by_mm, y, z), scan.grid.direction)
    return Scan(scan.array, grid, scan.name)


def test_a_prepared_pair_is_left_alone(phantom: Phantom) -> None:
    flair, t1 = (
        images.scan_from_array(a, phantom.spacing_mm, name=n)
        for a, n in ((phantom.flair, "FLAIR"), (phantom.t1, "T1"))
    )
    for steps in (Steps(), OFF):
        aligned = one_grid.align(flair, t1, LPS, steps)
        np.testing.assert_array_equal(aligned.flair.array, phantom.flair)
        assert aligned.t1 is not None
        np.testing.assert_array_equal(aligned.t1.array, phantom.t1)
        assert aligned.flair.grid == flair.grid
        assert aligned.warnings == ()
        steps_taken = aligned.steps.to_dict()
        assert [name for name, taken in steps_taken.items() if taken["applied"]] == []


@pytest.mark.parametrize("off_mm", [0.0, 0.06])
@pytest.mark.parametrize("code", ["LPS", "RAS", "AIR", "PSL"])
def test_storage_and_rounding_do_not_make_a_prepared_pair_raw(
    phantom: Phantom, code: str, off_mm: float
) -> None:
    flair, t1 = (
        images.scan_from_array(a, phantom.spacing_mm, name=n)
        for a, n in ((phantom.flair, "FLAIR"), (phantom.t1, "T1"))
    )
    assert min(phantom.spacing_mm) >= 0.9
    image = sitk.DICOMOrient(images.to_image(t1.array, shifted(t1, off_mm).grid), code)
    aligned = one_grid.align(flair, images.scan_from_image(image, name="T1"), LPS, Steps())
    assert not any(taken["applied"] for taken in aligned.steps.to_dict().values())
    assert aligned.t1 is not None
    assert aligned.t1.grid == aligned.flair.grid
    np.testing.assert_array_equal(aligned.t1.array, phantom.t1)


def test_every_order_of_axes_gives_the_same_numbers() -> None:
    """48 ways to store one pair, one input of the networks."""
    flair, t1 = pair()
    straight = [images.to_image(s.array, s.grid) for s in (flair, t1)]
    first = one_grid.align(flair, t1, LPS, Steps())
    wanted = network_input.prepare(first.flair, first.t1, LPS).stacks["scan"]
    tried = 0
    for axes in itertools.permutations("RAI"):
        for signs in itertools.product((False, True), repeat=3):
            opposite = dict(zip("RAI", "LPS", strict=True))
            code = "".join(opposite[a] if s else a for a, s in zip(axes, signs, strict=True))
            turned = [
                images.scan_from_image(sitk.DICOMOrient(i, code), name=n)
                for i, n in zip(straight, ("FLAIR", "T1"), strict=True)
            ]
            aligned = one_grid.align(turned[0], turned[1], LPS, Steps())
            stack = network_input.prepare(aligned.flair, aligned.t1, aligned.preset).stacks["scan"]
            np.testing.assert_array_equal(stack, wanted, err_msg=code)
            back = aligned.turn.restore(aligned.turn.forward(turned[0].array))
            np.testing.assert_array_equal(back, turned[0].array, err_msg=code)
            tried += 1
    assert tried == 48


def test_t1_on_another_grid_is_registered_and_bias_corrected() -> None:
    flair, t1 = pair()
    aligned = one_grid.align(flair, shifted(t1, 7.0), LPS, Steps())
    found = aligned.steps.registration.to_dict()
    assert found["applied"]
    assert found["succeeded"]
    assert found["shift_mm"] == pytest.approx([7, 0, 0], abs=0.7)
    assert found["head_covered_by_t1"] > 0.9
    corrected = aligned.steps.bias_correction
    assert corrected.applied
    assert set(corrected.to_dict()) >= {"FLAIR", "T1", "seconds", "why"}
    assert aligned.t1 is not None
    assert aligned.t1.grid == aligned.flair.grid
    # In place: the registered T1 is the T1 that was never moved (pixels are 3 mm, made 1 mm).
    truth = registration.resample(t1, aligned.flair.grid).array
    inside = truth > 100
    assert np.corrcoef(aligned.t1.array[inside], truth[inside])[0, 1] > 0.9


def test_switches() -> None:
    flair, t1 = pair()
    other = shifted(t1, 3.0)
    off = one_grid.align(flair, t1, LPS, Steps(pixel_size="off", bias_correction="off"))
    np.testing.assert_array_equal(off.flair.array, flair.array)
    believed = one_grid.align(
        flair, other, LPS, Steps(registration="header", bias_correction="off", pixel_size="off")
    )
    assert not believed.steps.registration.applied
    assert believed.t1 is not None
    np.testing.assert_allclose(believed.t1.array[..., 1:], t1.array[..., :-1], atol=1e-2)
    with pytest.raises(errors.GridMismatchError, match=r"3\.00 mm"):
        one_grid.align(flair, other, LPS, Steps(registration="off"))
    on = one_grid.align(flair, t1, LPS, Steps(bias_correction="on", pixel_size="off"))
    assert on.steps.bias_correction.applied
    assert not np.array_equal(on.flair.array, flair.array)
    stored = one_grid.align(flair, t1, LPS, Steps(reorient="off"))
    assert stored.preset.preprocessing.orientation == "stored"


def test_pixels_out_of_range_are_brought_to_1_mm() -> None:
    flair, t1 = pair()
    aligned = one_grid.align(flair, t1, LPS, Steps())
    assert aligned.flair.grid.spacing_mm == (4.0, 1.0, 1.0)
    assert aligned.steps.pixel_size.applied
    assert aligned.steps.pixel_size.to_dict()["from_mm"] == [4.0, 3.0, 3.0]
    assert aligned.way.restore(aligned.flair.array).shape == flair.array.shape


def test_pixels_grow_until_the_brain_fits() -> None:
    """80 rows of 0.9 mm hold 72 mm."""
    array = np.zeros((20, 100, 90), np.float32)
    flair = Scan(array, Grid(array.shape, (3.0, 0.9, 0.9)), "FLAIR")
    method = Preprocessing(field=(80, 80), orientation="LPS", centre="head")
    preset = make_preset(preprocessing=method)
    fits = one_grid.align(flair, None, preset, Steps(), one_grid.Known((72.0, 60.0)))
    assert not fits.steps.pixel_size.applied
    cut = one_grid.align(flair, None, preset, Steps(), one_grid.Known((73.0, 60.0)))
    assert cut.flair.grid.spacing_mm == (3.0, 1.0, 1.0)
    assert "73 x 60 mm" in cut.steps.pixel_size.why
    assert cut.way.restore(cut.flair.array).shape == array.shape
    off = one_grid.align(flair, None, preset, Steps(pixel_size="off"), one_grid.Known((73.0, 60.0)))
    assert not off.steps.pixel_size.applied
    asked = one_grid.align(flair, None, preset, Steps(pixel_size=1.5), one_grid.Known((72.0, 60.0)))
    assert asked.flair.grid.spacing_mm == (3.0, 1.5, 1.5)
    assert any("Pixels of 1.50 x 1.50 mm are unusual" in w for w in asked.warnings)


@pytest.mark.parametrize("value", [0.2, 3.1, float("nan"), -1.0])
def test_pixels_of_no_scan_are_refused(value: float) -> None:
    with pytest.raises(errors.UsageError, match=r"a number from 0\.3 to 3"):
        Steps(pixel_size=value)


def test_a_mismatch_is_an_error_or_flair_alone() -> None:
    flair, _ = pair(0)
    other = shifted(pair(1)[1], 2.0)
    with pytest.raises(errors.RegistrationError, match=r"edges.*flair-only") as caught:
        one_grid.align(flair, other, LPS, Steps(bias_correction="off"))
    assert caught.value.exit_code == 91
    alone = one_grid.align(
        flair, other, LPS, Steps(bias_correction="off", on_registration_failure="flair-only")
    )
    assert alone.t1 is None
    assert alone.t1_place is None
    (line,) = (line for line in alone.warnings if "T1" in line)
    assert "NOT USED" in line
    assert alone.steps.registration.to_dict()["fallback"] == "flair-only"


def test_wrapped_numbers_are_repaired_before_they_are_interpolated() -> None:
    flair, t1 = pair()
    big = np.rint(t1.array * 75)  # up to about 54000
    big[3, 30, 30] = 64000
    wrapped = np.where(big > 32767, big - 65536, big).astype(np.float32)
    wrapped[3, 30, 31] = 32000
    stored = Scan(wrapped, t1.grid, "T1")
    aligned = one_grid.align(flair, stored, LPS, Steps())
    assert any("stored as signed" in line for line in aligned.warnings)
    assert aligned.t1 is not None
    assert aligned.t1.array.min() > -400
    untouched = one_grid.align(flair, stored, LPS, OFF)
    assert untouched.t1 is not None
    np.testing.assert_array_equal(untouched.t1.array, wrapped)


def test_oblique_and_sagittal_slices_are_warned_of() -> None:
    flair, _ = pair()
    turn = sitk.Euler3DTransform((0, 0, 0), np.radians(40), 0, 0)
    oblique = Scan(flair.array, Grid(flair.grid.shape, (4.0, 1.0, 1.0), (0, 0, 0),
                                     tuple(turn.GetMatrix())), "FLAIR")  # fmt: skip
    told = one_grid.align(oblique, None, LPS, Steps()).warnings
    assert any("40 degrees" in line for line in told)
    sagittal = sitk.DICOMOrient(images.to_image(flair.array, flair.grid), "PSR")
    sagittal.SetSpacing((1.0, 1.0, 5.0))
    told = one_grid.align(
        images.scan_from_image(sagittal, name="FLAIR"), None, LPS, Steps()
    ).warnings
    assert any("not acquired in axial slices" in line for line in told)


@pytest.mark.parametrize("name", list(SWITCHES))
def test_unknown_settings_are_refused(name: str) -> None:
    with pytest.raises(errors.UsageError, match=name):
        Steps(**{name: "sometimes"})


def test_defaults_are_the_first_of_each_switch() -> None:
    assert {name: allowed[0] for name, allowed in SWITCHES.items()} == vars(Steps())


def test_from_files_to_masks_on_both_grids(
    use_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flair, t1 = pair()
    flair.array[12:15, 30:36, 26:32] = 2500
    files = nifti(tmp_path / "f.nii.gz", flair), nifti(tmp_path / "t.nii.gz", shifted(t1, 6.0))
    out = tmp_path / "o.nii.gz"
    words = ["segment", "--model", "bright", "--flair", str(files[0]), "--t1", str(files[1])]
    words += ["--on-unsuitable", "warn"]  # its folds are no brain's
    # 3 mm pixels in a field of 64 x 64: not brought to 1 mm, where the head would not fit.
    words += ["--output", str(out), "--pixel-size", "off", "--mask-on-t1", str(tmp_path / "m.nii")]
    assert main.main(words) == 0
    mask = sitk.ReadImage(str(out))
    assert mask.GetSize() == (60, 64, 28)
    assert mask.GetOrigin() == pytest.approx(flair.grid.origin_mm)
    found = sitk.GetArrayFromImage(mask)
    assert found[12:15, 30:36, 26:32].mean() == 1
    there = sitk.ReadImage(str(tmp_path / "m.nii"))
    assert there.GetOrigin()[0] == pytest.approx(flair.grid.origin_mm[0] + 6)
    # The same voxels: T1 was only called 6 mm further to the left.
    both = (sitk.GetArrayFromImage(there) & found).sum()
    assert both > 0.9 * found.sum()
    told = json.loads((tmp_path / "o.json").read_text())["steps"]
    assert list(told) == ["reorient", "bias_correction", "registration", "pixel_size"]
    assert told["registration"]["succeeded"] is True
    assert told["pixel_size"]["why"] == "switched off"
    printed = capsys.readouterr()
    assert "registered   T1 by" in printed.out
    assert main.main([*words, "--registration", "off"]) == 85
    alone = [*words[:-2], "--registration", "sometimes"]
    assert main.main(alone) == 2


def test_a_peak_is_that_of_the_network_s_pixels(phantom: Phantom, use_models: Path) -> None:
    """A cross of sure pixels of 1 mm: interpolated to pixels of 0.5 mm, none is left as sure."""
    fine = np.where(phantom.lesions, np.float32(300), phantom.flair).repeat(2, 1).repeat(2, 2)
    fine[10, 60:62, 70:72] = 900
    scan = {"spacing_mm": (3, 0.5, 0.5), "model": "bright-flair"}

    def found(peak: float) -> wmhseg.Segmentation:
        return wmhseg.segment(fine, **scan, options=Options(threshold=0.5, lesion_peak=peak))

    free = found(0)
    # A quarter of the way to the next row and column, towards the empty corner of the cross.
    assert free.probability.max() == pytest.approx(1 - 0.25**2, abs=0.001)
    np.testing.assert_array_equal(found(0.98).mask, free.mask)
    np.testing.assert_array_equal(found(0.98).probability, free.probability)
    assert free.mask.any()


def test_a_lesion_that_nowhere_peaks_goes(
    phantom: Phantom, use_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(stacks: dict[str, np.ndarray], *_: object, **__: object) -> np.ndarray:
        probability = np.zeros((*stacks["scan"].shape[:3], 1), np.float32)
        probability[8, 28:36, 28:36] = 0.9
        return probability

    monkeypatch.setattr(ensemble, "mean_probability", said)
    kept, gone = (
        wmhseg.segment(
            phantom.flair,
            spacing_mm=phantom.spacing_mm,
            model="bright-flair",
            options=Options(threshold=0.5, lesion_peak=peak),
        )
        for peak in (0.85, 0.95)
    )
    assert kept.mask.sum() == 64
    assert gone.mask.sum() == 0
    # The map tells what the networks said, whatever the mask leaves out.
    np.testing.assert_array_equal(gone.probability, kept.probability)
    assert gone.probability.max() == np.float32(0.9)


def test_the_mask_comes_back_on_fine_pixels(phantom: Phantom, use_models: Path) -> None:
    """Pixels of 0.5 mm: each of the phantom's pixels four times."""
    fine = phantom.flair.repeat(2, 1).repeat(2, 2)[:, 6:-6, 6:-6]
    lesions = phantom.lesions.repeat(2, 1).repeat(2, 2)[:, 6:-6, 6:-6]
    lesions[:2] = lesions[-2:] = False
    result = wmhseg.segment(fine, spacing_mm=(3, 0.5, 0.45), model="bright")
    assert result.mask.shape == fine.shape
    assert result.report.to_dict()["steps"]["pixel_size"]["applied"]
    both = (result.mask & lesions).sum()
    assert 2 * both / (result.mask.sum() + lesions.sum()) > 0.85
    with pytest.raises(errors.UsageError, match="T1"):
        result.mask_on_t1()
