"""One scan has one set of measures, whether its result is in memory or in files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from placed_brain import SHAPE, SPACING, known, scan_of

import wmhseg
from wmhseg import errors
from wmhseg.channels import location
from wmhseg.checking import examine
from wmhseg.checking.findings import Finding, Level
from wmhseg.geometry import Grid
from wmhseg.html_report import of_result as page
from wmhseg.html_report.facts import NO_T1
from wmhseg.io import images, volume_files
from wmhseg.measuring import measure, naming, of_result, other_scan, saving
from wmhseg.preparation import registration, wrapped
from wmhseg.preparation.registration import Registration, Rigid

pytestmark = pytest.mark.usefixtures("use_models", "no_doubts")
GRID = Grid(SHAPE, SPACING)
LESION = np.s_[18:21, 40:44, 46:50]


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Writes FLAIR with a lesion, and T1, which has a place in the average brain of its own."""

    def write(grid: Grid = GRID, *, by: float = 1) -> Path:
        flair = scan_of(known(0.05, (1.0, 1.0, 1.0), (2.0, -3.0, 1.0)), "FLAIR")
        flair[LESION] = 900  # so bright that the network says 1; pixels are resampled as well
        # Another place than FLAIR's, so that it shows which of the two was used.
        t1 = np.rint(scan_of(known(0.05, (1.0, 1.0, 1.0), (2.0, -3.0, 9.0))) * by)
        stored = np.where(t1 > 32767, t1 - 65536, t1).astype(np.int16 if by > 1 else np.float32)
        volume_files.write_volume(tmp_path / "flair.nii", flair, GRID)
        volume_files.write_volume(tmp_path / "t1.nii", stored, grid)
        return tmp_path

    return write


def places(found: wmhseg.Measurement) -> list[list[float]]:
    return [[row[f"mni_{axis}_mm"] for axis in "xyz"] for row in found.lesions]


def by_files(folder: Path, result: wmhseg.Segmentation, **more: Any) -> wmhseg.Measurement:
    names = {name: folder / f"m_{name}.nii" for name in result.members}
    result.save(folder / "wmh.nii", probability=folder / "p.nii", members=names)
    return wmhseg.measure(
        folder / "flair.nii", folder / "wmh.nii", probability=folder / "p.nii",
        members=list(names.values()), **more,
    )  # fmt: skip


@pytest.mark.parametrize("model", ["bright", "bright-flair"])
def test_t1_places_a_result_as_it_places_files(written: Callable[..., Path], model: str) -> None:
    """Also where the network that marked the lesions takes no T1."""
    folder = written()
    flair, t1 = folder / "flair.nii", folder / "t1.nii"
    result = wmhseg.segment(flair, t1, model=model, options=wmhseg.Options(members=True))
    one, other = wmhseg.measure(result), by_files(folder, result, t1=t1)
    assert places(one)
    assert places(one) == places(other)
    assert one.lesions == [{**row} for row in other.lesions]
    assert one.scan == other.scan
    assert places(one) != places(by_files(folder, result))
    assert list(one.to_dict()["inputs"]) == ["FLAIR", "T1"]
    assert list(other.to_dict()["inputs"])[-1] == "T1"
    told = page.gather(result, "wmh.nii")
    assert told.measures.centres_mni_mm is not None
    np.testing.assert_allclose(told.measures.centres_mni_mm, places(one), atol=0.01)


def test_t1_in_memory_is_used_as_well(written: Callable[..., Path]) -> None:
    folder = written()
    scans = [images.read_scan(folder / f"{name}.nii", name=name) for name in ("flair", "t1")]
    arrays = [images.to_image(scan.array, scan.grid) for scan in scans]
    kept = wmhseg.segment(*arrays, model="bright")
    of_file = wmhseg.segment(folder / "flair.nii", folder / "t1.nii", model="bright")
    assert (kept.t1 is None, of_file.t1 is None) == (False, True)
    assert places(wmhseg.measure(kept)) == places(wmhseg.measure(of_file))


def test_t1_on_other_voxels_is_used_where_it_lies(written: Callable[..., Path]) -> None:
    """Where the segmentation has put it: nobody searches again."""
    folder = written(Grid(SHAPE, SPACING, (3.0, -2.0, 4.0)))
    steps = wmhseg.Steps(registration="header", bias_correction="off")
    result = wmhseg.segment(
        folder / "flair.nii", folder / "t1.nii", model="bright", options=wmhseg.Options(steps=steps)
    )
    t1 = of_result.scene(result).t1
    assert t1 is not None
    assert (t1.move, t1.on_flair) == (Rigid(), None)
    found = np.array(places(wmhseg.measure(result)))
    # The same T1 on FLAIR's voxels tells the same; FLAIR alone another place.
    scans = [images.read_scan(folder / f"{name}.nii", name=name) for name in ("flair", "t1")]
    there = registration.resample(scans[1], scans[0].grid, Rigid()).array
    volume_files.write_volume(folder / "beside.nii", there, GRID)
    expected = np.array(places(by_files(folder, result, t1=folder / "beside.nii")))
    assert np.linalg.norm(found - expected, axis=1).max() < 1
    alone = np.array(places(by_files(folder, result)))
    assert np.linalg.norm(found - alone, axis=1).min() > 3


def test_a_page_searches_for_no_t1_that_the_segmentation_did_not_find(
    written: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the measures of a result are the same with a page and without one."""
    folder = written(Grid(SHAPE, SPACING, (3.0, -2.0, 4.0)))
    failed = Registration(Rigid(shift_mm=(0.0, 0.0, 4.0)), 0.01, "header", 14)
    with monkeypatch.context() as patch:
        patch.setattr(registration, "register", lambda *_: failed)
        steps = wmhseg.Steps(on_registration_failure="flair-only", bias_correction="off")
        options = wmhseg.Options(steps=steps)
        flair, t1 = folder / "flair.nii", folder / "t1.nii"
        result = wmhseg.segment(flair, t1, model="bright", options=options)

    def search(*_: object) -> None:
        raise AssertionError("nobody searches again")

    monkeypatch.setattr(registration, "register", search)
    told, measured = page.gather(result, "wmh.nii"), wmhseg.measure(result)
    assert told.t1 is None
    assert saving.report(told.measures, told.provenance) == measured.to_dict()
    about = [sentence for sentence in told.left_out if "T1" in sentence]
    assert about == [sentence for sentence in measured.left_out if "T1" in sentence]
    assert len(about) == 1
    assert "match those of FLAIR too badly (0.010;" in about[0]


@pytest.mark.usefixtures("use_anatomy")
def test_what_speaks_against_the_naming_of_structures_is_told(
    written: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written(Grid(SHAPE, SPACING, (3.0, -2.0, 4.0)))
    failed = Registration(Rigid(shift_mm=(0.0, 0.0, 4.0)), 0.01, "header", 14)
    monkeypatch.setattr(registration, "register", lambda *_: failed)
    flair, t1 = folder / "flair.nii", folder / "t1.nii"
    assert naming.named(flair, None)[1] == ()
    assert naming.named(flair, t1)[1] == (naming.T1_NOT_SEEN,)
    wrong = Finding("type", Level.ERROR, "FLAIR", "It is a picture.")
    monkeypatch.setattr(examine, "examine", lambda *_: [wrong])
    assert naming.named(flair, None)[1] == (f"{naming.REFUSED} It is a picture.",)


def test_a_t1_that_is_another_file_by_now_is_not_used(written: Callable[..., Path]) -> None:
    folder = written()
    result = wmhseg.segment(folder / "flair.nii", folder / "t1.nii", model="bright")
    for change in ((folder / "flair.nii").read_bytes(), None):
        if change is None:
            (folder / "t1.nii").unlink()
        else:
            (folder / "t1.nii").write_bytes(change)
        found = wmhseg.measure(result)
        assert other_scan.T1_CHANGED in found.left_out
        assert list(found.to_dict()["inputs"]) == ["FLAIR"]
        assert places(found) == places(by_files(folder, result))
        told = page.gather(result, "wmh.nii")
        assert other_scan.T1_CHANGED in told.left_out
        assert NO_T1 not in told.left_out


@pytest.mark.parametrize("upright", [True, False])
def test_a_t1_without_a_place_leaves_that_to_flair(
    written: Callable[..., Path], upright: bool
) -> None:
    """And it is told why, also where T1 is refused for more than doubt: location networks stop."""
    folder = written()
    t1 = images.read_scan(folder / "t1.nii", name="T1").array[::-1]
    if upright:
        t1 = np.random.default_rng(0).random(SHAPE).astype(np.float32)
    volume_files.write_volume(folder / "t1.nii", np.ascontiguousarray(t1), GRID)
    result = wmhseg.segment(folder / "flair.nii", folder / "t1.nii", model="bright-flair")
    found, alone = wmhseg.measure(result), by_files(folder, result)
    assert places(found) == places(alone)
    with pytest.raises(errors.RegistrationError) as raised:
        location.find_place({"T1": t1, "FLAIR": result.flair.array}, SPACING)
    sentence = measure.T1_NO_PLACE.format(raised.value.received)
    assert sentence in found.left_out
    assert sentence in by_files(folder, result, t1=folder / "t1.nii").left_out
    assert not any("T1 has no place" in one for one in alone.left_out)


def test_a_t1_that_wrapped_around_is_repaired_by_every_way(written: Callable[..., Path]) -> None:
    folder = written(by=600)
    t1 = folder / "t1.nii"
    low, high = (float(f(images.read_scan(t1, name="T1").array)) for f in (np.min, np.max))
    assert (low < -30000, high > 30000) == (True, True)
    result = wmhseg.segment(folder / "flair.nii", t1, model="bright")
    assert wrapped.warning("T1") in result.report.warnings
    one = wmhseg.measure(result)
    other = by_files(folder, result, t1=t1, fill_t1=True)
    assert one.warnings == other.warnings == (wrapped.warning("T1"),)
    assert places(one) == places(other)
    other.save(folder / "out")
    filled = images.read_scan(folder / "out" / "t1_filled.nii.gz", name="T1").array
    assert filled.min() >= 0
    assert filled.max() > 40000
    told = page.gather(result, "wmh.nii")
    assert told.t1 is not None
    assert told.t1.min() >= 0
    said = (*told.warnings, *result.report.warnings, *(one.text for one in told.findings))
    assert len({text for text in said if "16-bit" in text}) == 1
    # What is written is what it would be of a scan that was stored well.
    repaired, _ = wrapped.repaired(images.read_scan(t1, name="T1"))
    volume_files.write_volume(t1, repaired.array, GRID)
    assert places(by_files(folder, result, t1=t1)) == places(one)
