"""The study: one thing differs, the reference comes first, figures are paired."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from evaluation import study
from evaluation.study import Study, Variant
from wmhseg import scores
from wmhseg.scores import Score
from wmhseg.training import plan as plans

WHAT = Study(Path("heads"), Path("cases"), Path("out"), 300, 96, None)


def test_every_variant_is_a_valid_plan_and_differs_in_one_thing() -> None:
    reference = study.plan_of(WHAT, Variant("", study.REFERENCE, "everything"))
    plans.validate(reference)
    found = study.variants()
    assert len({one.name for one in found}) == len(found)
    assert {one.group for one in found} == set(study.GROUPS) - {"ensemble"}
    for variant in found:
        plan = study.plan_of(WHAT, variant)
        plans.validate(plan)
        assert plan.runs[0].steps == reference.runs[0].steps == 300
        assert plan.runs[0].seed == reference.runs[0].seed
        differ = {
            "recipe": plan.synthesis != reference.synthesis,
            "network": (plan.runs[0].network, plan.runs[0].options)
            != (reference.runs[0].network, reference.runs[0].options),
            "channels": plan.channels != reference.channels,
        }
        assert sum(differ.values()) == 1, variant.name


def test_what_is_switched_off_was_on() -> None:
    base = plans.PLANS["synthetic"].synthesis
    assert base is not None
    recipe = asdict(base.recipe)
    for variant in study.variants():
        for key, value in variant.recipe.items():
            assert recipe[key] != value, f"{variant.name}: {key}"


def test_stack_nets_cover_the_published_depths() -> None:
    found = {
        (v.network[1]["kernel"], v.network[1]["depth"])
        for v in study.variants()
        if v.group == "stack"
    }
    assert found == {(kernel, depth) for kernel in (3, 5) for depth in range(1, 7)}


def score(case: str, dsc: float, reference_ml: float) -> Score:
    values = dict.fromkeys(scores.VALUES, 1.0)
    return Score(case=case, values=values | {"dsc": dsc, "reference_ml": reference_ml})


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    for name, dsc in (("reference", (0.5, 0.7)), ("less", (0.4, 0.7))):
        (tmp_path / name).mkdir()
        found = [score("a", dsc[0], 3.0), score("b", dsc[1], 30.0)]
        scores.write_table(tmp_path / name / "metrics.csv", found)
    return tmp_path


def test_rows_by_hand(tables: Path) -> None:
    first, second = study.rows(tables, [("", "reference"), ("ingredients", "less")])
    assert (first["group"], first["n"], first["difference"]) == ("reference", 2, 0)
    assert first["dsc"] == pytest.approx(0.6)
    assert first["dsc_sd"] == pytest.approx(0.1 * 2**0.5)
    assert second["difference"] == pytest.approx(-0.05)
    assert second["difference_low"] <= -0.05 <= second["difference_high"]
    assert second["dsc_low_load"] == pytest.approx(0.4)  # case a alone has under 15 ml
    assert second["dsc b"] == pytest.approx(0.7)


def test_tables_and_figure(tables: Path) -> None:
    what = Study(Path("heads"), Path("cases"), tables, 300, 96, None)
    study.write(what, study.rows(tables, [("", "reference"), ("ingredients", "less")]))
    text = (tables / "study.md").read_text(encoding="utf-8")
    assert "Validation, not test: 2 scans" in text
    assert "-0.050" in text
    assert (tables / "study.csv").read_text(encoding="utf-8").count("\n") == 3
    assert (tables / "study.png").read_bytes().startswith(b"\x89PNG")
