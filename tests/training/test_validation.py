"""An early look scores exactly what segment would write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from conftest import Phantom, threshold_network, write_case, write_scan

import wmhseg
from wmhseg.engines import backends
from wmhseg.errors import GridMismatchError, LabelsError, MissingFileError
from wmhseg.scoring import metrics
from wmhseg.training import model_folder
from wmhseg.training.plan import Run
from wmhseg.training.recipes import PLANS
from wmhseg.training.validation import ValidationCases
from wmhseg.weights import store

RUN = Run("0", "uresnet", steps=1)
PLAN = replace(
    PLANS["synthetic"],
    preprocessing=replace(PLANS["synthetic"].preprocessing, field=(64, 64)),
    runs=(RUN,),
)


@pytest.mark.parametrize("smallest_mm3", [0.0, 20.0])
def test_a_look_scores_what_segment_writes(
    phantom: Phantom, tmp_path: Path, smallest_mm3: float
) -> None:
    post = replace(PLAN.postprocessing, min_lesion_mm3=smallest_mm3)
    plan = replace(PLAN, postprocessing=post)
    one = write_case(tmp_path / "data" / "x", phantom)
    tensors = threshold_network(2, 2.0)
    validation = ValidationCases(plan, tmp_path / "data", backends.start_keras("cpu", 1))
    assert len(validation) == 1
    ((name, dsc, f1),) = validation.scores(RUN, tensors)
    model = store.save_model(
        tmp_path / plan.name, model_folder.preset_of(plan, (RUN,)), [tensors], "", dtype="float32"
    )
    mask = wmhseg.segment(one / "pre" / "FLAIR.nii.gz", one / "pre" / "T1.nii.gz", model=model).mask
    found = metrics.evaluate(phantom.lesions.astype(np.uint8), mask, phantom.spacing_mm)
    assert (name, dsc, f1) == ("x", found.dsc, found.f1)
    assert 0 < dsc < 1
    # The lesion of 6 voxels (16 mm3) is there without a smallest volume: 2 of 3 lesions found.
    assert f1 == pytest.approx(0.8 if smallest_mm3 == 0 else 0.5)


def test_a_look_at_sagittal_slices_empties_the_same_ends(phantom: Phantom, tmp_path: Path) -> None:
    # A lesion within a tenth of the columns: the last axis here, the first of the other files.
    aside = replace(
        phantom,
        flair=phantom.flair[..., 18:62],
        t1=phantom.t1[..., 18:62],
        lesions=phantom.lesions[..., 18:62],
    )
    axial = write_case(tmp_path / "axial" / "x", aside)
    for path in axial.rglob("*.nii.gz"):
        target = tmp_path / "sagittal" / path.relative_to(axial.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(str(path)), "PIR"), str(target))
    tensors = threshold_network(2, 2.0)
    one, other = (
        ValidationCases(PLAN, tmp_path / name, backends.start_keras("cpu", 1)).scores(RUN, tensors)
        for name in ("axial", "sagittal")
    )
    assert one == other
    assert 0 < one[0][1] < 1


def test_a_reference_elsewhere_or_with_other_labels_is_refused(
    phantom: Phantom, tmp_path: Path
) -> None:
    """As in training: scored as it is, it would tell nonsense after hours."""
    reference = write_case(tmp_path / "x", phantom) / "wmh.nii.gz"
    machine = backends.start_keras("cpu", 1)
    labels = phantom.lesions.astype(np.uint8)
    write_scan(reference, labels, tuple(2 * mm for mm in phantom.spacing_mm))
    with pytest.raises(GridMismatchError, match="Validation case x: FLAIR and mask on one grid"):
        ValidationCases(PLAN, tmp_path, machine)
    write_scan(reference, 3 * labels, phantom.spacing_mm)
    with pytest.raises(LabelsError, match=r"Validation case x: .*Received: \[3\]"):
        ValidationCases(PLAN, tmp_path, machine)


def test_a_case_that_cannot_be_used_is_named(phantom: Phantom, tmp_path: Path) -> None:
    (write_case(tmp_path / "x", phantom) / "wmh.nii.gz").unlink()
    with pytest.raises(MissingFileError, match=r"Validation case x: .*no wmh\.nii\.gz"):
        ValidationCases(PLAN, tmp_path, backends.start_keras("cpu", 1))
