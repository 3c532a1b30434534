"""Sizes that no head has are refused, and what the writer may have meant is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nifti_files import failing, nifti1, saved

import wmhseg
from wmhseg import errors
from wmhseg.geometry import Grid
from wmhseg.io import images
from wmhseg.io.images import Scan
from wmhseg.preparation import resampling, sizes

BODY = np.random.default_rng(0).random(64 * 64 * 16).astype("<f4").tobytes()


def scan_file(folder: Path, scale: float, units: int) -> Path:
    zooms = tuple(side * scale for side in (3.5, 3.5, 9))
    return saved(
        folder,
        nifti1(BODY, sizes=(64, 64, 16), pixdim=zooms, units=units, codes=(1, 0)),
    )


@pytest.mark.parametrize(
    ("scale", "units", "advice"),
    [
        (1, 3, "names micrometres as its unit but its numbers are a head's in millimetres"),
        (1, 1, "names metres as its unit but its numbers are a head's in millimetres"),
        (0.001, 2, "a head's in metres"),
        (0.1, 0, "a head's in centimetres"),
        (10, 2, "a head's in tenths of a millimetre"),
        (1e5, 2, "Correct the voxel sizes"),
    ],
)
def test_slips_of_the_unit(tmp_path: Path, scale: float, units: int, advice: str) -> None:
    path = scan_file(tmp_path, scale, units)
    scan = images.read_scan(path, name="FLAIR")
    line = failing(errors.UnsuitableScanError, sizes.check_size, scan)
    assert advice in line
    assert "FLAIR" in line
    first, *others = wmhseg.check(path)
    assert (first.topic, first.level) == ("size", "error")
    assert advice in first.text
    assert {f.topic for f in others} <= {"type", "unit", "forms", "orientation", "voxels"}
    failing(errors.UnsuitableScanError, wmhseg.segment, path)


@pytest.mark.parametrize(("scale", "units"), [(1, 2), (1, 0), (0.001, 1), (1000, 3)])
def test_any_unit_that_makes_a_head_will_do(tmp_path: Path, scale: float, units: int) -> None:
    sizes.check_size(images.read_scan(scan_file(tmp_path, scale, units), name="FLAIR"))


@pytest.mark.parametrize(
    ("shape", "spacing_mm", "possible"),
    [
        ((5, 256, 256), (6.0, 0.9, 0.9), True),  # a slab
        ((4, 256, 256), (25.0, 0.9, 0.9), False),
        ((40, 256, 256), (3.0, 0.05, 0.9), False),
        ((20, 30, 256), (0.9, 0.9, 0.9), False),
        ((40, 40, 256), (0.9, 0.9, 0.9), True),
        ((40, 256, 800), (3.0, 0.9, 0.9), False),
    ],
)
def test_limits(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], possible: bool
) -> None:
    scan = Scan(np.zeros((2, 2, 2), np.float32), Grid(shape, spacing_mm), "T1")
    if possible:
        sizes.check_size(scan)
    else:
        failing(errors.UnsuitableScanError, sizes.check_size, scan)


@given(
    st.tuples(*[st.integers(2, 32767)] * 3),
    st.tuples(*[st.floats(1e-6, 1e6)] * 3),
)
def test_what_is_resampled_is_bounded(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]
) -> None:
    try:
        target = resampling.plan(Grid(shape, spacing_mm)).target
    except errors.TooLargeError:
        return
    assert target.shape == shape or np.prod(target.shape, dtype=float) <= 512**3


HEAD = np.zeros((24, 200, 200), np.float32)
HEAD[2:22, 10:190, 25:175] = 100


@pytest.mark.parametrize(
    ("array", "spacing_mm", "advice"),
    [
        (HEAD, (1, 1, 5), r"spacing_mm=\(5, 1, 1\)"),
        (HEAD, (1, 5, 1), r"spacing_mm=\(5, 1, 1\)"),
        (HEAD.T, (5, 1, 1), r"array\.T"),
        (HEAD, (5, 9, 9), "Give its voxel size in mm"),
    ],
)
def test_an_array_in_another_order_is_an_error(
    array: np.ndarray, spacing_mm: tuple[float, float, float], advice: str
) -> None:
    """No head is 750 mm wide; the message says which order would make one."""
    for run in (wmhseg.check, wmhseg.segment):
        with pytest.raises(errors.UsageError, match=rf"slice, row, column.*{advice}"):
            run(array, spacing_mm=spacing_mm)


@pytest.mark.parametrize("spacing_mm", [(5, 1, 1), (1.2, 0.9, 0.95), (6.5, 1.9, 2)])
def test_heads_of_possible_sizes(spacing_mm: tuple[float, float, float]) -> None:
    sizes.check_order(images.scan_from_array(HEAD, spacing_mm, name="FLAIR"))
