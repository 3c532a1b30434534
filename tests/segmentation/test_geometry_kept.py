"""Whatever a scan's header says, the same mask lies on the scan in every program."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
from conftest import Phantom
from nifti_files import nifti1, saved

import wmhseg
from wmhseg import errors
from wmhseg.io import images

# Bytes of pixdim, xyzt_units, and both codes and forms in a NIfTI-1 header.
FORMS = (slice(76, 108), slice(123, 124), slice(252, 328))
FLIPPED = ((-0.9, 0, 0, 30), (0, 1, 0, -20), (0, 0, 3, 7))  # LAS
FACING_BACK = ((-0.9, 0, 0, 30), (0, -1, 0, 40), (0, 0, 3, 7))  # LPS


def header_of(path: Path) -> list[bytes]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [*(content[span] for span in FORMS), nibabel.load(path).affine.tobytes()]


def write(path: Path, array: np.ndarray, codes: tuple[int, int], lps: bool = False) -> Path:
    """Scans that SPM has moved: an old qform, of another place than the sform."""
    content = nifti1(
        np.ascontiguousarray(array, "<f4").tobytes(),
        sizes=array.shape[::-1],
        pixdim=(0.9, 1, 3),
        codes=codes,
        quatern=(0, 0, 1) if lps else (0, 1, 0),
        qoffset=(30, 80, 7),
        sform=FACING_BACK if lps else FLIPPED,
    )
    return saved(path.parent, content, path.name)


@pytest.mark.usefixtures("use_models", "no_doubts")
@pytest.mark.parametrize("codes", [(0, 0), (1, 0), (0, 1), (1, 2), (2, 4)])
def test_all_that_is_written_carries_the_forms_of_its_scan(
    phantom: Phantom, tmp_path: Path, codes: tuple[int, int]
) -> None:
    flair = write(tmp_path / "FLAIR.nii", phantom.flair[:, ::-1], codes)
    t1 = write(tmp_path / "T1.nii", phantom.t1[:, ::-1], codes)
    result = wmhseg.segment(flair, t1, model="bright")
    assert not result.report.steps.registration.applied
    out = tmp_path / "out"
    result.save(out / "m.nii.gz", probability=out / "p.nii.gz", t1_mask=out / "t1.nii.gz")
    for name in ("m", "p", "t1"):
        assert header_of(out / f"{name}.nii.gz") == header_of(flair) == header_of(t1)
    wanted = phantom.lesions.copy()
    wanted[:2] = wanted[-2:] = False
    np.testing.assert_array_equal(images.read_labels(out / "m.nii.gz")[0], wanted[:, ::-1])


@pytest.mark.usefixtures("use_models", "no_doubts")
def test_the_mask_on_t1_carries_the_forms_of_t1(phantom: Phantom, tmp_path: Path) -> None:
    """T1 is stored in another order of axes than FLAIR, in the same place."""
    flair = write(tmp_path / "FLAIR.nii", phantom.flair, (0, 1), lps=True)
    t1 = saved(
        tmp_path,
        nifti1(
            np.ascontiguousarray(phantom.t1[:, ::-1], "<f4").tobytes(),
            sizes=phantom.t1.shape[::-1],
            pixdim=(0.9, 1, 3),
            codes=(3, 2),
            qoffset=(1, 2, 3),
            sform=((-0.9, 0, 0, 30), (0, 1, 0, 40 - 59), (0, 0, 3, 7)),
        ),
        "T1.nii",
    )
    result = wmhseg.segment(flair, t1, model="bright")
    assert not result.report.steps.registration.applied
    result.save(tmp_path / "m.nii", t1_mask=tmp_path / "t1.nii")
    assert header_of(tmp_path / "m.nii") == header_of(flair)
    assert header_of(tmp_path / "t1.nii") == header_of(t1)
    (on_flair, _), (on_t1, _) = (images.read_labels(tmp_path / f"{n}.nii") for n in ("m", "t1"))
    assert on_flair.any()
    np.testing.assert_array_equal(on_flair, on_t1[:, ::-1])


# Faults that were reported ------------------------------------------------------------------------


def fault(shared: Path, number: str) -> tuple[Path, Path]:
    found = sorted((shared / "faults").glob(f"{number}-*"))
    if not found:
        pytest.skip(f"needs {shared}/faults/{number}-*")
    return found[0] / "FLAIR.nii.gz", found[0] / "T1.nii.gz"


def test_moved_scans_give_their_volume_and_carry_both_forms(shared: Path, tmp_path: Path) -> None:
    flair, t1 = fault(shared, "01")
    result = wmhseg.segment(flair, t1, model="unet-synthetic")
    assert result.report.lesions.volume_ml == pytest.approx(8.11, abs=0.005)
    assert sum("40 mm apart; the sform is believed" in w for w in result.report.warnings) == 2
    result.save(tmp_path / "m.nii.gz", tmp_path / "p.nii.gz", t1_mask=tmp_path / "t.nii.gz")
    assert header_of(tmp_path / "m.nii.gz") == header_of(flair) == header_of(tmp_path / "p.nii.gz")
    assert header_of(tmp_path / "t.nii.gz") == header_of(t1)


@pytest.mark.parametrize("number", ["02", "24"])
def test_the_networks_see_the_same_in_every_header(shared: Path, number: str) -> None:
    """Without forms (LAS), and with T1 0.06 mm off: what gives 8.11 ml."""
    segmenter = wmhseg.Segmenter()
    first, other = (segmenter.load(*fault(shared, n)).inputs.stacks for n in ("01", number))
    assert first.keys() == other.keys()
    for name, stack in first.items():
        np.testing.assert_array_equal(other[name], stack)


def test_a_wrong_unit_is_refused(shared: Path) -> None:
    with pytest.raises(errors.UnsuitableScanError, match="names micrometres"):
        wmhseg.segment(*fault(shared, "06"))
