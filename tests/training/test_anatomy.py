"""Training a network that names structures: plan, batches, refusals, two steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wmhseg import errors
from wmhseg.cli.main import main
from wmhseg.segmentation.pipeline import Segmenter
from wmhseg.synthesis.heads import Head, head_files, load_heads, write_head
from wmhseg.synthesis.recipe import Recipe
from wmhseg.synthesis.scan import draw_scan
from wmhseg.training import classes, model_folder, plan_files
from wmhseg.training.batches.synthetic_data import SyntheticData
from wmhseg.training.plan import Plan, Run, Sampling, Synthesis
from wmhseg.training.recipes import PLANS
from wmhseg.weights import preset, store
from wmhseg.weights.inputs import Labels
from wmhseg.weights.structures import STRUCTURES

FIELD = (64, 60)
RECIPE = Recipe(field=FIELD, slices=6, narrow=0, skull_stripped=0)
RUN = Run("0", "tiny", steps=2, batch=2, rate=0.05, final_rate=0.0, warmup=1)
PLAN = replace(
    PLANS["synthetic-anatomy"],
    preprocessing=replace(PLANS["synthetic-anatomy"].preprocessing, field=FIELD),
    synthesis=Synthesis(RECIPE, scans=2, slices=6),
    runs=(RUN,),
)


SAMPLING = json.dumps(asdict(Sampling("patches", 64)))


def plan_of(*settings: str) -> Plan:
    return plan_files.with_settings(PLANS["synthetic-anatomy"], list(settings))


def test_targets_are_the_structures_themselves() -> None:
    numbers = np.arange(len(STRUCTURES), dtype=np.uint8).reshape(1, -1)
    found = classes.targets(numbers, Labels(STRUCTURES, "softmax"))
    np.testing.assert_array_equal(found, numbers)


def test_the_plan_says_what_is_told() -> None:
    plan = plan_of()
    assert plan.network_labels == Labels(STRUCTURES, "softmax")
    assert plan_files.from_json(plan_files.to_json(plan)) == plan
    made = model_folder.preset_of(plan, plan.runs)
    assert preset.from_json(preset.to_json(made)) == made
    assert made.marked == ()
    assert made.signature.labels == len(STRUCTURES)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["flips=true"], "false (structures) was expected at flips"),
        (["preprocessing.orientation=stored"], '"LPS" (structures) was expected'),
        (['labels={"names": ["head", "brainstem"], "activation": "softmax"}'], "all structures"),
        (['labels.activation="sigmoid"'], '"softmax"'),
        ([f"sampling={SAMPLING}"], "null (structures) was expected at sampling"),
        (
            ['others=[{"label": "cortex", "threshold": 0.5, "min_lesion_mm3": 0}]'],
            "none (structures) was expected at others",
        ),
    ],
)
def test_plans_that_cannot_be(settings: list[str], expected: str) -> None:
    with pytest.raises(errors.PlanError) as raised:
        plan_of(*settings)
    assert expected in str(raised.value)


def test_batches_hold_what_scans_say(labels_folder: Path) -> None:
    """The slices of one scan, in the order of their targets, whichever they are."""
    plan = replace(PLAN, synthesis=Synthesis(RECIPE, scans=1, slices=6))
    run = replace(RUN, batch=6)
    ((inputs, targets),) = SyntheticData(labels_folder, plan).source(run, (3,)).open()(0)
    rng = np.random.default_rng(np.random.SeedSequence([3, 0]))
    told = draw_scan(rng, load_heads(labels_folder), RECIPE, structures=True).structures
    assert isinstance(inputs, np.ndarray)
    assert inputs.shape == (6, *FIELD, 2)
    assert targets.shape == (6, *FIELD, 1)
    as_drawn = {plane.tobytes() for plane in told.astype(np.float32)}
    assert {plane.tobytes() for plane in targets} == as_drawn
    assert len(np.unique(targets)) > 4


@pytest.fixture
def old_heads(labels_folder: Path, tmp_path: Path) -> Path:
    """Heads as an earlier version made them: the last map is empty."""
    (head,) = load_heads(labels_folder)
    maps = head.maps.copy()
    maps[..., -1] = 0
    write_head(tmp_path / "01.npz", replace(head, maps=maps))
    return tmp_path


def test_heads_of_an_earlier_version(old_heads: Path) -> None:
    (old,) = load_heads(old_heads)
    assert isinstance(old, Head)
    assert not old.knows_sides
    draw_scan(np.random.default_rng(0), [old], RECIPE)  # is fine
    assert head_files(old_heads)
    with pytest.raises(errors.LabelsError, match=r"01\.npz.*make_heads"):
        SyntheticData(old_heads, PLAN).source(RUN, (0,)).open()
    other = replace(PLANS["synthetic"], synthesis=Synthesis(RECIPE, 2, 6))
    other = replace(other, preprocessing=replace(other.preprocessing, field=FIELD))
    assert callable(SyntheticData(old_heads, other).source(RUN, (0,)).open())


@pytest.fixture
def trained(labels_folder: Path, tmp_path: Path, tiny_network: Callable[..., Any]) -> store.Model:
    """A model of two steps, by the command."""
    plan = tmp_path / "plan.json"
    plan.write_text(plan_files.to_json(PLAN))
    words = ["train", "--config", str(plan), "--labels", str(labels_folder)]
    words += ["--output", str(tmp_path / "out"), "--device", "cpu", "--producers", "1"]
    assert main(words) == 0
    return store.read_model(tmp_path / "out" / "anatomy-synthetic")


def test_two_steps_and_what_others_say(
    trained: store.Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained.preset.labels.names == STRUCTURES
    tensors = store.load(trained, trained.preset.members[0])
    assert tensors["output/bias"].shape == (len(STRUCTURES),)
    assert np.ptp(tensors["output/bias"]) > 0  # it has learned something
    with pytest.raises(errors.UsageError, match=r"marks white matter.*anatomy-synthetic"):
        Segmenter(trained)
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "a_FLAIR.nii.gz").write_bytes(b"not looked at")
    for words in (
        ["segment", "--flair", "none.nii.gz", "--output", str(tmp_path / "mask.nii.gz")],
        ["batch", str(tmp_path / "scans"), "--output", str(tmp_path / "masks")],
    ):
        capsys.readouterr()
        assert main([*words, "--model", str(trained.folder)]) == 2
        assert "names the structures of a head" in capsys.readouterr().err
        assert not Path(words[-1]).exists()


def test_nothing_to_validate_on(labels_folder: Path, tmp_path: Path) -> None:
    words = ["train", "--preset", "synthetic-anatomy", "--labels", str(labels_folder)]
    assert main([*words, "--output", str(tmp_path / "o"), "--validation", str(tmp_path)]) == 2
    assert not (tmp_path / "o").exists()
