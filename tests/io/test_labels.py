"""Labels are what a scale factor meant; fractions stay fractions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import Phantom, write_case, write_scan

from wmhseg.datasets.cases import Case, find_cases
from wmhseg.io import images, labels
from wmhseg.preparation.labelled import read_labelled
from wmhseg.scoring.score import score_masks


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_what_is_near_a_label_is_that_label(kind: str) -> None:
    stored = np.array([0.99997, 2.00003, -0.00002, 1.009, 254.995, 1.0], kind)
    found = labels.nearest(stored)
    assert found.dtype == stored.dtype
    np.testing.assert_array_equal(found, [1, 2, 0, 1, 255, 1])


def test_fractions_and_whole_numbers_stay() -> None:
    stored = np.array([0.5, 0.004, 0.99997], "f4")
    assert labels.nearest(stored) is stored
    whole = np.ones(3, np.uint8)
    assert labels.nearest(whole) is whole


def test_train_and_evaluate_read_one_file_alike(phantom: Phantom, tmp_path: Path) -> None:
    case = write_case(tmp_path / "a", phantom)
    mask = phantom.lesions.astype(np.float32)
    plain = write_scan(tmp_path / "plain.nii.gz", mask, phantom.spacing_mm)
    write_scan(case / "wmh.nii.gz", 0.99997 * mask, phantom.spacing_mm)
    (found,) = find_cases(case)
    assert set(np.unique(read_labelled(found, with_t1=False).labels)) == {0, 1}
    for pair in ((case / "wmh.nii.gz", plain), (plain, case / "wmh.nii.gz")):
        values, notes = score_masks(*pair)
        assert (values["dsc"], notes) == (1.0, ())


def test_fault_19(shared: Path) -> None:
    fault = shared / "faults" / "19-train-refuses-0.99997"
    mask = fault / "data" / "a" / "wmh.nii.gz"
    assert set(np.unique(images.read_labels(mask)[0])) == {0, 1}
    found: list[Case] = find_cases(fault / "data")
    assert set(np.unique(read_labelled(found[0], with_t1=False).labels)) == {0, 1}
    values, notes = score_masks(mask, fault / "plain.nii.gz")
    assert (values["dsc"], notes) == (1.0, ())
