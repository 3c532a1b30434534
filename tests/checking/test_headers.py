"""What headers say, made by hand from the byte offsets of nifti1.h and nifti2.h."""

from __future__ import annotations

import io
import math
import struct

import pytest
from nifti_files import nifti1, nifti2

from wmhseg.checking import headers
from wmhseg.io import nifti


def header(content: bytes) -> nifti.Header:
    return nifti.inspect(io.BytesIO(content), "image")


def test_free_text_unit_and_slice_axis() -> None:
    content = bytearray(nifti1(units=10))  # millimetres, seconds
    content[148:158] = b"TE=12\x07;x\0y"
    content[39] = 1 | 2 << 2 | 3 << 4  # frequency, phase and slice along the first three axes
    found = header(bytes(content))
    assert headers.description(found) == "TE=12;x"
    assert headers.unit(found) == "millimetres"
    assert headers.slice_axis(found) == 0
    content = bytearray(nifti2())
    content[240:244] = b"text"
    content[524] = 1 << 4
    assert headers.description(header(bytes(content))) == "text"
    assert headers.slice_axis(header(bytes(content))) == 2
    assert headers.slice_axis(header(nifti1())) is None
    assert headers.unit(header(nifti1(units=0))) == "unnamed"


def test_forms_that_agree() -> None:
    forms = headers.forms(header(nifti1(codes=(1, 1), qoffset=(10, 20, 30))))
    assert (forms.qform_code, forms.sform_code) == (1, 1)
    assert forms.distance_mm == pytest.approx(0)
    assert not forms.mirrored


def test_forms_that_differ_by_a_shift_in_metres() -> None:
    found = header(nifti1(codes=(1, 2), qoffset=(13, 24, 30), units=1))
    assert headers.forms(found).distance_mm == pytest.approx(5000)  # 3, 4, 0 m


def test_a_quarter_turn_by_hand() -> None:
    """About z, the columns' end (3, 0, 0) goes to (0, 3, 0), the rows' (0, 4, 0) to (-4, 0, 0)."""
    half = math.sqrt(0.5)
    identity = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0))
    found = header(nifti1(codes=(1, 1), quatern=(0, 0, half), sform=identity))
    # The corner (3, 4, z) goes to (-4, 3, z): sqrt(7^2 + 1^2) away.
    assert headers.forms(found).distance_mm == pytest.approx(math.sqrt(50), rel=1e-6)


def test_a_mirror_image() -> None:
    content = bytearray(nifti1(codes=(1, 1), qoffset=(10, 20, 30)))
    struct.pack_into("<f", content, 76, -1)  # qfac
    assert headers.forms(header(bytes(content))).mirrored


def test_one_form_alone_has_nothing_to_differ_from() -> None:
    assert headers.forms(header(nifti1(codes=(0, 3)))) == headers.Forms(0, 3, 0.0, False)
    assert headers.code_name(3) == "Talairach"
    assert headers.code_name(99) == "code 99"
