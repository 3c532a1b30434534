"""Findings about scans whose state is known, in words and levels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from heads import SHAPE, SPACING_MM, head
from nifti_files import failing, nifti1, saved

import wmhseg
from wmhseg import errors
from wmhseg.checking import examine, judgement
from wmhseg.checking import voxels as checking_voxels
from wmhseg.checking.findings import Finding, Level, check_suitable, to_dict, warnings
from wmhseg.geometry import Grid
from wmhseg.io import images
from wmhseg.io.images import Scan
from wmhseg.weights import store
from wmhseg.weights.methods import METHODS
from wmhseg.weights.preset import with_changes
from wmhseg.weights.store import Model


def only(findings: list[Finding], topic: str, scan: str = "FLAIR") -> Finding:
    (found,) = [f for f in findings if (f.topic, f.scan) == (topic, scan)]
    return found


def worst(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(f.topic, f.level) for f in findings if f.level in (Level.WARNING, Level.ERROR)]


def test_a_good_pair_raises_no_doubt() -> None:
    findings = examine.examine(head("FLAIR"), head("T1", name="T1"))
    assert worst(findings) == []
    assert warnings(findings) == []
    assert "2 x 2 x 2 mm, probably a 3D" in only(findings, "voxels").text
    check_suitable(findings)


def test_exchanged_scans_are_one_error() -> None:
    findings = examine.examine(head("T1"), head("FLAIR", name="T1"))
    assert worst(findings) == [("contrast", "error")]
    line = failing(errors.UnsuitableScanError, check_suitable, findings)
    assert "exchanged" in line
    assert len(warnings(findings)) == 1


@pytest.mark.parametrize(
    ("made", "level", "words"),
    [("T1", "error", "looks like T1"), ("T2", "warning", "could be T2")],
)
def test_another_contrast_is_told(made: str, level: str, words: str) -> None:
    """FLAIR with bright fluid looks like T2: only T1 is beyond doubt."""
    findings = examine.examine(head(made))
    assert worst(findings) == [("contrast", level)]
    assert words in only(findings, "contrast").text


def test_the_same_image_twice() -> None:
    scan = head("FLAIR")
    findings = examine.examine(scan, replace(scan, name="T1"))
    assert ("pair", "error") in worst(findings)


def test_a_mask_is_no_scan() -> None:
    scan = head("FLAIR")
    mask = replace(scan, array=(scan.array > 100).astype(np.float32))
    assert only(examine.examine(mask), "values").level is Level.ERROR
    few = replace(scan, array=np.round(scan.array / 20))
    assert only(examine.examine(few), "values").level is Level.WARNING


def test_skull_in_one_of_two() -> None:
    findings = examine.examine(head("FLAIR", skull=False), head("T1", name="T1"))
    assert worst(findings) == [("skull", "warning")]


def test_what_the_pipeline_reports_is_not_repeated() -> None:
    scan = head("T1", name="T1", factor=64)  # white matter around 32000
    wrapped = np.where(scan.array > 32767, scan.array - 65536, scan.array)
    pair = head("FLAIR"), replace(scan, array=np.rint(wrapped))
    assert pair[1].array.min() < -30000
    findings = examine.examine(*pair)
    assert worst(findings) == [("wrapped", "warning")]
    assert warnings(findings) == []
    scale = only(findings, "scale", "T1")
    assert scale.level is Level.NOTE
    assert f"{scale.values['factor']:.4g}" in scale.text


def test_part_of_a_head() -> None:
    scan = head("FLAIR")
    half = scan.array[: SHAPE[0] // 2]
    findings = examine.examine(replace(scan, array=half, grid=Grid(half.shape, SPACING_MM)))
    assert {t for t, _ in worst(findings)} >= {"coverage", "top"}
    for size_mm, level in ((0.5, "warning"), (0.2, "error")):
        tiny = replace(scan, grid=Grid(SHAPE, (size_mm, size_mm, size_mm)))
        assert ("size", level) in worst(examine.examine(tiny))


def test_noisy_scans() -> None:
    finding = only(examine.examine(head("FLAIR", noise=40)), "noise")
    assert finding.level is Level.WARNING
    assert finding.values["snr"] == pytest.approx(330 / 40, rel=0.1)


def test_thick_slices_and_what_cannot_be_known() -> None:
    scan = head("FLAIR")
    for spacing_mm, plane in (
        ((6, 1, 1), "axial"),
        ((1, 1, 6), "sagittal"),
        ((1, 6, 1), "coronal"),
    ):
        findings = examine.examine(replace(scan, grid=Grid(SHAPE, spacing_mm)))
        assert only(findings, "orientation").values["plane"] == plane
        voxels = only(findings, "voxels")
        assert voxels.values["acquisition"] == "2D"
        assert "gaps between slices cannot be known" in voxels.text


def test_oblique_by_angle() -> None:
    """Turned by 10 degrees about the axis from left to right."""
    c, s = np.cos(np.radians(10)), np.sin(np.radians(10))
    grid = Grid(SHAPE, SPACING_MM, direction=(1, 0, 0, 0, c, -s, 0, s, c))
    finding = only(examine.examine(replace(head("FLAIR"), grid=grid)), "orientation")
    assert finding.level is Level.NOTE
    assert finding.values["oblique_degrees"] == pytest.approx(10, abs=0.01)


def scan_of(folder: Path, **header: object) -> Scan:
    return images.read_scan(saved(folder, nifti1(**header)), name="FLAIR")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "level", "words"),
    [
        ({"codes": (0, 0)}, "warning", "left from right nor front from back"),
        ({"codes": (0, 1)}, "ok", "sform (scanner) alone"),
        ({"codes": (2, 0)}, "ok", "qform (aligned) alone"),
        ({"codes": (1, 1), "qoffset": (10, 20, 30)}, "ok", "agree"),
        ({"codes": (1, 1), "qoffset": (11, 20, 30)}, "note", "differ by 1.00 mm"),
        (
            {"codes": (1, 2), "qoffset": (10, 22, 30)},
            "warning",
            "2 mm apart; the sform is believed",
        ),
        ({"codes": (1, 1), "qoffset": (20, 20, 30)}, "warning", "10 mm apart"),
    ],
)
def test_forms(tmp_path: Path, made: dict[str, object], level: str, words: str) -> None:
    finding = only(examine.examine(scan_of(tmp_path, **made)), "forms")
    assert finding.level == level
    assert words in finding.text


def test_rounded_axes(tmp_path: Path) -> None:
    rounded = ((1, 0.007, 0, 10), (0, 1, 0, 20), (0, 0, 1, 30))
    assert "moves a corner by 0.0" not in str(examine.examine(scan_of(tmp_path)))
    far = scan_of(
        tmp_path, sform=rounded, sizes=(40, 40, 6), body=np.arange(9600, dtype="<f4").tobytes()
    )
    finding = only(examine.examine(far), "shear")
    assert finding.level is Level.NOTE
    # Half of 0.007 over the diagonal of 39 x 39 mm.
    assert finding.values["straightened_mm"] == pytest.approx(0.0035 * 39 * 2**0.5, rel=0.01)


def test_type_slope_and_unit(tmp_path: Path) -> None:
    findings = examine.examine(scan_of(tmp_path, scaling=(2, 5), units=1))
    assert "float32, times 2 plus 5" in only(findings, "type").text
    assert "metres" in only(findings, "unit").text
    byte = scan_of(tmp_path, body=bytes(range(120)), kind=(2, 8))
    assert only(examine.examine(byte), "type").level is Level.NOTE


def test_json_holds_the_worst_level_first() -> None:
    told = to_dict(examine.examine(head("T1")))
    assert told["worst"] == "error"
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert to_dict([])["worst"] == "ok"


def test_json_of_a_slope_that_is_nan(tmp_path: Path) -> None:
    """Found by the fuzzer: JSON knows no NaN."""
    told = to_dict(examine.examine(scan_of(tmp_path, scaling=(np.nan, np.nan))))
    assert "null" in json.dumps(told, allow_nan=False)


def test_worthless_scans_stop_a_segmentation(use_models: Path) -> None:
    """Those who insist get a mask, and a report that says what is wrong."""
    scan = head("T1")
    line = failing(errors.UnsuitableScanError, wmhseg.segment, scan, model="bright-flair")
    assert "looks like T1" in line
    assert "--on-unsuitable warn" in line
    insisting = wmhseg.Options(on_unsuitable="warn")
    result = wmhseg.segment(scan, model="bright-flair", options=insisting)
    assert any("looks like T1" in line for line in result.report.warnings)
    assert "check" in result.report.seconds
    with pytest.raises(errors.UsageError, match="on_unsuitable"):
        wmhseg.Options(on_unsuitable="ignore")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["published", "published-stack", "released"])
def test_published_methods_go_on_and_warn(name: str, use_models: Path) -> None:
    """Only its preparation makes a model a published one: thresholds are chosen by users."""
    model = store.find("bright")
    changed = with_changes(model.preset, preprocessing=METHODS[name].preprocessing)
    scan = head("FLAIR")
    segmenter = wmhseg.Segmenter(Model(model.folder, changed))
    loaded = segmenter.load(scan, replace(scan, name="T1"))
    assert any("one and the same image" in line for line in loaded.inputs.warnings)
    ours = wmhseg.Segmenter(model)
    failing(errors.UnsuitableScanError, ours.load, scan, replace(scan, name="T1"))


def test_what_is_not_beyond_doubt_is_a_warning() -> None:
    """Stopping somebody's work needs more than a hint, and from both references."""
    scan = checking_voxels.look(head("T1"))
    limit = judgement.SURELY_T1
    for shares, level in (
        ((limit - 0.01, limit - 0.01), Level.ERROR),
        ((limit - 0.01, limit + 0.01), Level.WARNING),
        ((limit + 0.01, limit - 0.01), Level.WARNING),
    ):
        finding = judgement.contrast(replace(scan, kind="T1", brighter=shares), "FLAIR")
        assert finding.level is level
        assert ("cannot be told" in finding.text) == (level is Level.WARNING)
    unknown = judgement.contrast(replace(scan, kind="unknown"), "FLAIR")
    assert unknown.level is Level.NOTE
    # T1 of spin echoes may look like anything.
    bright = replace(scan, kind="FLAIR", brighter=(0.9, 0.9))
    assert judgement.contrast(bright, "T1").level is Level.WARNING


def test_one_mask_for_both_is_no_difference() -> None:
    """What the shell says of either does not matter where both have one outline."""
    looks = [checking_voxels.look(head(name, name=name, skull=False)) for name in ("FLAIR", "T1")]
    doubtful = [looks[0], replace(looks[1], skull=True)]
    assert judgement.one_stripped(looks) is False
    assert judgement.one_stripped(doubtful) is False
    whole = checking_voxels.look(head("T1", name="T1"))
    assert judgement.one_stripped([looks[0], whole]) is True
    assert judgement.one_stripped([whole, looks[0]]) is True
    assert judgement.one_stripped([replace(looks[0], skull=True), whole]) is None
    # On two grids outlines cannot be compared.
    apart = replace(whole, support=whole.support[1:])
    assert judgement.one_stripped([looks[0], apart]) is True
    assert judgement.one_stripped([replace(looks[0], skull=None), apart]) is None
    assert judgement.one_stripped([whole, whole]) is False


def test_copies_and_label_maps_and_no_head() -> None:
    scan = head("FLAIR")
    copy = replace(scan, array=np.rint(3 * scan.array + 7), name="T1")
    assert ("pair", "error") in worst(examine.examine(scan, copy))
    blocks = np.kron(np.arange(27 * 27 * 24).reshape(27, 27, 24) % 60, np.ones((3, 4, 4)))
    labels = Scan(blocks[:, :96, :96].astype(np.float32), Grid((81, 96, 96), (2, 2, 2)), "FLAIR")
    assert ("values", "error") in worst(examine.examine(labels))
    speck = np.zeros(SHAPE, np.float32)
    speck[40:44, 40:44, 40:44] = scan.array[40:44, 40:44, 40:44]
    assert ("size", "error") in worst(examine.examine(replace(scan, array=speck)))


def test_real_pairs_in_both_orders(shared: Path) -> None:
    data = shared / "data"
    folders = sorted([*data.glob("cases/*/pre"), *data.glob("raw/*")])
    assert len(folders) >= 14
    for folder in folders:
        flair, t1 = (images.read_scan(folder / f"{n}.nii.gz", name=n) for n in ("FLAIR", "T1"))
        right = examine.examine(flair, t1)
        assert {f.topic for f in right if f.level is Level.WARNING} <= {"wrapped"}, folder
        assert not any(f.level is Level.ERROR for f in right)
        wrong = [f for f in examine.examine(t1, flair) if f.level is Level.ERROR]
        assert [f.topic for f in wrong] == ["contrast"], folder
        assert "exchanged" in wrong[0].text


def test_looks_are_cheap() -> None:
    """Far more voxels cost no more: about 200 a side are looked at."""
    array = np.ones((400, 400, 400), np.float32)
    array[0] = 0
    thin = checking_voxels._thinned(Scan(array, Grid(array.shape, (0.5, 0.5, 0.5)), "FLAIR"))
    assert max(thin.array.shape) <= 200
