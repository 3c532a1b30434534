"""What headers say, made by hand from the byte offsets of nifti1.h and nifti2.h."""

from __future__ import annotations

import io

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
