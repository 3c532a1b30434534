"""How the forms of a header are read; ``test_nibabel`` has every combination of them."""

from __future__ import annotations

import io
import math
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nifti_files import VALUES, nifti1, nifti2, saved

from wmhseg.io import forms, images, nifti

MASK = VALUES % 3 == 0
UNIT = st.floats(-1, 1)


def header(content: bytes) -> nifti.Header:
    return nifti.inspect(io.BytesIO(content), "image")


EVERY = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("version", [1, 2])
def test_other_kinds_of_files_carry_theirs(tmp_path: Path, version: int, order: str) -> None:
    """NIfTI-2 holds more digits than NIfTI-1 could; byte order changes no number."""
    body = VALUES.astype(order + "f4").tobytes()
    content = bytearray((nifti1 if version == 1 else nifti2)(body, order=order))
    at, kind = (280, "f") if version == 1 else (400, "d")
    struct.pack_into(order + kind, content, at + 3 * struct.calcsize(kind), 10 + 1e-9)
    scan = images.read_scan(saved(tmp_path, bytes(content)), name="FLAIR")
    images.write_mask(tmp_path / "mask.nii.gz", MASK, scan.grid, scan.header)
    again = images.read_scan(tmp_path / "mask.nii.gz", name="mask")
    assert again.header is not None
    assert scan.header is not None
    assert again.header.version == version
    for field in ("pixdim", "xyzt_units", "qform_code", "sform_code", "quatern", "qoffset", "srow"):
        np.testing.assert_array_equal(again.header.record[field], scan.header.record[field])
    assert again.grid == scan.grid


def test_the_header_of_another_place_is_not_carried(tmp_path: Path) -> None:
    """A scan that a caller has moved lies where its grid says, not where its file did."""
    scan = images.read_scan(saved(tmp_path, nifti1()), name="FLAIR")
    grid = forms.grid(header(nifti1(qoffset=(5, 6, 7), codes=(1, 0))))
    images.write_mask(tmp_path / "mask.nii", MASK, grid, scan.header)
    assert images.read_labels(tmp_path / "mask.nii")[1] == grid


def test_a_rounded_sform_is_made_orthogonal_and_its_corner_error_told() -> None:
    """Axes of 1 and (0.004, 1): nearest at right angles, each turns by half of 0.004."""
    rounded = ((1, 0.004, 0, 10), (0, 1, 0, 20), (0, 0, 1, 30))
    found = header(nifti1(sform=rounded))
    axes = np.array(forms.grid(found).direction).reshape(3, 3)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    assert axes[0, 1] == pytest.approx(-0.002, rel=1e-3)
    # The corner (3, 4) moves by 0.002 * (4, 3).
    assert forms.forms(found).straightened_mm == pytest.approx(0.002 * 5, rel=1e-2)
    assert forms.forms(header(nifti1())).straightened_mm == 0


@EVERY
@given(
    st.tuples(UNIT, UNIT, UNIT, UNIT).filter(lambda q: math.hypot(*q) > 0.1),
    st.tuples(*[st.floats(0.7, 6)] * 3),
    st.integers(3, 6),
)
def test_headers_rounded_to_three_decimals_are_accepted(
    quaternion: tuple[float, ...], zooms: tuple[float, ...], decimals: int
) -> None:
    a, b, c, d = np.array(quaternion) / math.hypot(*quaternion)
    cross = np.array([[0, -d, c], [d, 0, -b], [-c, b, 0]])
    axes = (np.eye(3) + 2 * a * cross + 2 * cross @ cross) * zooms
    rounded = np.column_stack([axes.round(decimals), [10, 20, 30]])
    found = header(nifti1(pixdim=zooms, sform=rounded.tolist()))
    direction = np.array(forms.grid(found).direction).reshape(3, 3)
    np.testing.assert_allclose(direction.T @ direction, np.eye(3), atol=1.1e-6)
    # Each of nine numbers is at most half a last digit off, and the corner is 3, 4, 5 voxels away.
    assert forms.forms(found).straightened_mm <= 12 * math.sqrt(3) * 10**-decimals + 1e-5


def test_forms_that_agree() -> None:
    found = forms.forms(header(nifti1(codes=(1, 1), qoffset=(10, 20, 30))))
    assert (found.qform_code, found.sform_code) == (1, 1)
    assert found.distance_mm == pytest.approx(0)
    assert not found.mirrored


def test_forms_that_differ_by_a_shift_in_metres() -> None:
    found = header(nifti1(codes=(1, 2), qoffset=(13, 24, 30), units=1))
    assert forms.forms(found).distance_mm == pytest.approx(5000)  # 3, 4, 0 m


def test_a_quarter_turn_by_hand() -> None:
    """About z, the columns' end (3, 0, 0) goes to (0, 3, 0), the rows' (0, 4, 0) to (-4, 0, 0)."""
    half = math.sqrt(0.5)
    identity = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0))
    found = header(nifti1(codes=(1, 1), quatern=(0, 0, half), sform=identity))
    # The corner (3, 4, z) goes to (-4, 3, z): sqrt(7^2 + 1^2) away.
    assert forms.forms(found).distance_mm == pytest.approx(math.sqrt(50), rel=1e-6)


def test_a_mirror_image() -> None:
    content = bytearray(nifti1(codes=(1, 1), qoffset=(10, 20, 30)))
    struct.pack_into("<f", content, 76, -1)  # qfac
    assert forms.forms(header(bytes(content))).mirrored


def test_one_form_alone_has_nothing_to_differ_from() -> None:
    assert forms.forms(header(nifti1(codes=(0, 3)))) == forms.Forms(0, 3, 0.0, False)
    assert forms.code_name(3) == "Talairach"
    assert forms.code_name(99) == "code 99"
