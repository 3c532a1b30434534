"""The study: one thing differs, the reference comes first, figures are paired."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from evaluation import study, study_tables, variants
from evaluation.contender import PROBABILITY
from evaluation.variants import StudySetup, Variant
from wmhseg import errors
from wmhseg.datasets.cases import Case, find_cases
from wmhseg.geometry import Grid
from wmhseg.io import images
from wmhseg.scoring import table
from wmhseg.scoring.table import Score
from wmhseg.training import plan_checks, recipes
from wmhseg.weights import preset, store
from wmhseg.weights.store import Model

WHAT = StudySetup(Path("heads"), Path("cases"), Path("out"), 300, 96, None)


def test_every_variant_is_a_valid_plan_and_differs_in_one_thing() -> None:
    reference = variants.plan_of(WHAT, Variant("", variants.REFERENCE, "everything"))
    plan_checks.validate(reference)
    found = variants.variants()
    assert len({one.name for one in found}) == len(found)
    assert {one.group for one in found} == set(variants.GROUPS) - {"ensemble"}
    for variant in found:
        plan = variants.plan_of(WHAT, variant)
        plan_checks.validate(plan)
        assert plan.runs[0].steps == reference.runs[0].steps == 300
        assert plan.runs[0].seed == reference.runs[0].seed
        differ = {
            "recipe": plan.synthesis != reference.synthesis,
            "network": (plan.runs[0].network, plan.runs[0].options)
            != (reference.runs[0].network, reference.runs[0].options),
            "channels": plan.channels != reference.channels,
        }
        assert sum(differ.values()) == 1, variant.name


def test_thin_slices_are_thinned_out(tmp_path: Path) -> None:
    for name, spacing in (("thin", 1.0), ("thick", 3.0)):
        image = sitk.GetImageFromArray(np.arange(7 * 4 * 5, dtype=np.float32).reshape(7, 4, 5))
        image.SetSpacing((1.0, 1.0, spacing))
        (tmp_path / "data" / name / "pre").mkdir(parents=True)
        for part in ("pre/FLAIR", "pre/T1", "wmh"):
            sitk.WriteImage(image, str(tmp_path / "data" / name / f"{part}.nii.gz"))
    cases = find_cases(tmp_path / "data")
    assert study.thinned(cases, tmp_path / "out", 1) == tuple(cases)
    made = {case.name: case for case in study.thinned(cases, tmp_path / "out", 3)}
    thin = sitk.ReadImage(str(made["thin"].flair))
    assert (thin.GetSize(), thin.GetSpacing()) == ((5, 4, 3), (1.0, 1.0, 3.0))
    assert sitk.GetArrayFromImage(thin)[:, 0, 0].tolist() == [0, 60, 120]
    assert sitk.ReadImage(str(made["thick"].reference)).GetSize() == (5, 4, 7)


def test_cases_that_would_be_prepared_otherwise_are_refused(tmp_path: Path) -> None:
    raw = Case("a", flair=tmp_path / "sub-a_FLAIR.nii.gz")
    with pytest.raises(errors.UsageError, match="Prepared cases"):
        study.thinned([raw], tmp_path / "out", 2)


def test_an_ensemble_averages_what_its_members_said(tmp_path: Path) -> None:
    model = store.find("unet-synthetic")
    grid = Grid((10, 4, 5), (3.0, 2.0, 2.0))
    alone = [one for one in study.other_seeds(model)]
    for one, level in zip(alone, (0.9, 0.3), strict=True):
        folder = tmp_path / one.preset.name / "a"
        folder.mkdir(parents=True)
        probability = np.zeros(grid.shape, np.float32)
        probability[4:6, 1:3, 1:3] = level
        images.write_probability(folder / PROBABILITY, probability, grid)
    for threshold, voxels in ((0.59, 8), (0.61, 0)):
        post = replace(model.preset.postprocessing, threshold=threshold, lesion_peak=0.0)
        pair = preset.with_changes(
            model.preset, members=model.preset.members[:2], postprocessing=post
        )
        target = tmp_path / "result.nii.gz"
        study.mean(Model(model.folder, pair), alone, tmp_path).segment(Case("a"), target)
        assert images.read_labels(target)[0].sum() == voxels


def test_what_is_switched_off_was_on() -> None:
    base = recipes.PLANS["synthetic"].synthesis
    assert base is not None
    recipe = asdict(base.recipe)
    for variant in variants.variants():
        for key, value in variant.recipe.items():
            assert recipe[key] != value, f"{variant.name}: {key}"


def test_stack_nets_cover_the_published_depths() -> None:
    found = {
        (v.network[1]["kernel"], v.network[1]["depth"])
        for v in variants.variants()
        if v.group == "stack"
    }
    assert found == {(kernel, depth) for kernel in (3, 5) for depth in range(1, 7)}


def score(case: str, dsc: float, reference_ml: float) -> Score:
    values = dict.fromkeys(table.VALUES, 1.0)
    return Score(case=case, values=values | {"dsc": dsc, "reference_ml": reference_ml})


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    for name, dsc in (("reference", (0.5, 0.7)), ("less", (0.4, 0.7))):
        (tmp_path / name).mkdir()
        found = [score("a", dsc[0], 3.0), score("b", dsc[1], 30.0)]
        table.write_table(tmp_path / name / "metrics.csv", found)
    return tmp_path


def test_rows_by_hand(tables: Path) -> None:
    first, second = study_tables.rows(tables, [("", "reference"), ("ingredients", "less")])
    assert (first["group"], first["n"], first["difference"]) == ("reference", 2, 0)
    assert first["dsc"] == pytest.approx(0.6)
    assert first["dsc_sd"] == pytest.approx(0.1 * 2**0.5)
    assert second["difference"] == pytest.approx(-0.05)
    assert second["difference_low"] <= -0.05 <= second["difference_high"]
    assert second["dsc_low_load"] == pytest.approx(0.4)  # case a alone has under 15 ml
    assert second["dsc b"] == pytest.approx(0.7)


def test_tables_and_figure(tables: Path) -> None:
    what = StudySetup(Path("heads"), Path("cases"), tables, 300, 96, None)
    study_tables.write(
        what, study_tables.rows(tables, [("", "reference"), ("ingredients", "less")])
    )
    text = (tables / "study.md").read_text(encoding="utf-8")
    assert "Validation, not test: 2 scans" in text
    assert "-0.050" in text
    assert (tables / "study.csv").read_text(encoding="utf-8").count("\n") == 3
    assert (tables / "study.png").read_bytes().startswith(b"\x89PNG")
