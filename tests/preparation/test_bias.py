"""N4 on a phantom with a known field."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from conftest import ellipsoid

from wmhseg.geometry import Grid
from wmhseg.io.images import Scan
from wmhseg.preparation import bias


def shaded() -> tuple[Scan, np.ndarray, np.ndarray]:
    """An ellipsoid with two tissues, brighter to the left by a factor of 1.65 over the field."""
    shape = (20, 60, 60)
    head = ellipsoid(shape, (9, 26, 26))
    tissue = np.where(ellipsoid(shape, (5, 14, 14)), 300.0, 400.0) * head
    field = np.exp(np.linspace(-0.25, 0.25, 60))[None, None, :]
    noise = np.random.default_rng(0).normal(0, 4, shape)
    array = np.maximum(tissue * field + noise * head, 0).astype(np.float32)
    return Scan(array, Grid(shape, (4.0, 3.0, 3.0)), "FLAIR"), head, tissue


def test_most_of_the_field_goes_and_the_scale_stays() -> None:
    scan, _, tissue = shaded()
    corrected, field = bias.correct(scan)
    outer = tissue == 400
    spread = [s.array[outer].std() / s.array[outer].mean() for s in (scan, corrected)]
    assert spread[1] < 0.4 * spread[0]
    assert field.low < 0.9 < 1.1 < field.high
    assert 380 < np.median(corrected.array[outer]) < 420


def test_equal_bits_whatever_the_number_of_threads() -> None:
    scan, _, _ = shaded()
    usual = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    results = []
    try:
        for threads in (1, 2, 3):
            sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
            results.append(bias.correct(scan)[0].array)
            assert sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() == threads
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(usual)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_air_alone_comes_back_as_it_is() -> None:
    empty = Scan(np.full((8, 16, 16), -1, np.float32), Grid((8, 16, 16), (3, 1, 1)), "FLAIR")
    same, field = bias.correct(empty)
    assert same is empty
    assert (field.low, field.high) == (1, 1)
