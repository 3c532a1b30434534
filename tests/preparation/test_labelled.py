"""Cases with their references: what is read, and the target that goes with a stack."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from conftest import Phantom, write_case

from wmhseg import geometry
from wmhseg.datasets.cases import Case, Problem, ProblemKind
from wmhseg.errors import DimensionError, MissingFileError
from wmhseg.geometry import Fit, Grid, Way
from wmhseg.preparation import labelled


@pytest.fixture
def case(phantom: Phantom, tmp_path: Path) -> Case:
    folder = write_case(tmp_path / "x", phantom, label_2=True)
    scans = {name: folder / "pre" / f"{name}.nii.gz" for name in ("FLAIR", "T1")}
    return Case("x", reference=folder / "wmh.nii.gz", flair=scans["FLAIR"], t1=scans["T1"])


def test_a_case_is_read_as_it_is_stored(case: Case, phantom: Phantom) -> None:
    scans = labelled.read_labelled(case, with_t1=True)
    assert scans.t1 is not None
    np.testing.assert_array_equal(scans.flair.array, phantom.flair)
    np.testing.assert_array_equal(scans.t1.array, phantom.t1)
    np.testing.assert_array_equal(scans.labels == 1, phantom.lesions)
    assert (scans.labels == 2).any()
    assert scans.grid == scans.flair.grid


def test_other_orders_of_axes_are_turned_to_those_of_flair(case: Case, phantom: Phantom) -> None:
    for path in (case.t1, case.reference):
        sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(str(path)), "ASR"), str(path))
    scans = labelled.read_labelled(case, with_t1=True)
    assert scans.t1 is not None
    np.testing.assert_array_equal(scans.t1.array, phantom.t1)
    np.testing.assert_array_equal(scans.labels == 1, phantom.lesions)
    assert scans.grid == scans.flair.grid == scans.t1.grid


def test_t1_is_read_where_there_is_one_and_it_is_asked_for(case: Case) -> None:
    assert labelled.read_labelled(case, with_t1=False).t1 is None
    assert labelled.read_labelled(replace(case, t1=None), with_t1=True).t1 is None


def test_what_is_missing_is_named(case: Case) -> None:
    with pytest.raises(MissingFileError, match=r"FLAIR scan .* beside .*wmh\.nii\.gz.*none at all"):
        labelled.read_labelled(replace(case, flair=None, scan_problem="none at all"), with_t1=True)
    with pytest.raises(MissingFileError, match="mask was expected beside"):
        labelled.read_labelled(replace(case, reference=None), with_t1=True)
    problem = Problem(ProblemKind.DUPLICATE, "one of 2 cases")
    with pytest.raises(MissingFileError, match=r"\(duplicate id\).*Received: one of 2 cases"):
        labelled.read_labelled(replace(case, problem=problem), with_t1=True)


def test_the_target_follows_its_scan_into_the_stack() -> None:
    """3 slices of 4 x 6 become 3 of 6 x 4: a row more at either end, a column less."""
    turn = geometry.turn_to(Grid((3, 4, 6), (1.0, 1.0, 1.0)), "LPS")
    way = Way((turn, Fit(turn.target, (6, 4))))
    labels = np.zeros((3, 4, 6), np.int16)
    labels[1, 0, 2] = 1
    labels[2, 3, 0] = 1  # cut off
    labels[0, 1, 1] = 2  # other pathology
    expected = np.zeros((3, 6, 4), np.uint8)
    expected[1, 1, 1] = 1
    made = way.forward((labels == 1).astype(np.uint8))
    np.testing.assert_array_equal(made, expected)
    assert made.dtype == np.uint8
    with pytest.raises(DimensionError):
        way.forward(labels[1:])
