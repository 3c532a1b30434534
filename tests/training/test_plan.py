"""Training plans: strict JSON, single settings, and what the presets say."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from conftest import ROOT, of_scan

from wmhseg.errors import PlanError, UsageError
from wmhseg.synthesis.recipe import REALISTIC
from wmhseg.training import fit, growth, model_folder, plan_checks, session
from wmhseg.training import plan as plans
from wmhseg.training.plan import Plan, Run, Synthesis
from wmhseg.training.plan_files import from_json, to_json, with_settings
from wmhseg.training.recipes import PLANS
from wmhseg.weights import preset as presets
from wmhseg.weights import store, tensor_files
from wmhseg.weights.processing import Reader


@pytest.mark.parametrize("name", PLANS)
def test_presets_are_valid_and_survive_json(name: str) -> None:
    plan_checks.validate(PLANS[name])
    assert from_json(to_json(PLANS[name])) == PLANS[name]


@pytest.mark.parametrize(
    ("channels", "without_t1", "expected"),
    [
        (1, "zero", [("FLAIR", "error")]),
        (2, "zero", [("FLAIR", "error"), ("T1", "zero")]),
        (2, "error", [("FLAIR", "error"), ("T1", "error")]),
    ],
)
def test_channels_of_a_plan_say_what_the_model_takes(
    channels: int, without_t1: Any, expected: list[tuple[str, str]]
) -> None:
    plan = replace(PLANS["published"], channels=channels, without_t1=without_t1)
    assert [(one.scan, one.if_missing) for one in plan.network_inputs] == expected
    made = model_folder.preset_of(plan, plan.runs)
    presets.validate(made)
    assert made.inputs == plan.network_inputs
    assert made.signature == of_scan((200, 200), channels)
    # By hand: 1600 numbers fewer in the first kernel of 5 x 5 x 64 for FLAIR alone.
    assert {member.parameters for member in made.members} == {8_742_209 - 1600 * (2 - channels)}
    written = json.loads(to_json(plan))
    assert (written["format"], written["channels"]) == (1, channels)
    assert (written["inputs"], written["labels"]) == ([], None)


def test_the_published_recipe() -> None:
    """Numbers of the papers: H. Li et al., NeuroImage 183 (2018), sections 3 and 4, Table 2."""
    plan = PLANS["published"]
    varied, fitting = plan.augmentation, plan.fitting
    assert varied is not None
    assert (varied.rotation_deg, varied.shear_deg, varied.zoom) == (15, 18, (0.9, 1.1))
    assert varied.copies == 10
    assert (fitting.loss, fitting.optimizer, fitting.precision) == ("dice", "adam", "float32")
    assert fitting.average is None
    assert fitting.restart is not None
    for run in plan.runs:
        assert (run.rate, run.final_rate, run.batch, run.epochs) == (2e-4, 2e-4, 30, 50)
        assert (run.network, run.start_from, run.crop) == ("unet", None, None)
    assert len({run.seed for run in plan.runs}) == 3
    stack = PLANS["published-stack"]
    assert [run.options for run in stack.runs] == [{"kernel": 3}, {"kernel": 5}]
    assert stack.postprocessing.threshold == 0.4


def changed(path: str, value: Any, name: str = "synthetic") -> str:
    """JSON of a preset with one value changed, or removed when the value is ``...``."""
    content = json.loads(to_json(PLANS[name]))
    *keys, last = path.split(".")
    place = content
    for key in keys:
        place = place[int(key) if isinstance(place, list) else key]
    if value is ...:
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("stepz", 1, "no key besides"),
        ("runs.0.colour", "red", "no key besides"),
        ("synthesis.recipe.colour", "red", "no key besides"),
        ("name", ..., "the key(s) name"),
        ("runs.0.rate", ..., "the key(s) rate"),
        ("name", "Big Name", "name"),
        ("runs.0.steps", "many", "runs[0].steps"),
        ("runs.0.steps", True, "runs[0].steps"),
        ("runs.0.steps", 0, "1 to 10 million"),
        ("runs.0.steps", None, "either steps or epochs"),
        ("runs.0.epochs", 3, "either steps or epochs"),
        ("runs.0.crop", 201, "16 to 200"),
        ("runs.0.batch", 241, "scans x slices = 240"),
        ("runs.0.rate", 0, "above 0"),
        ("runs.0.final_rate", 1.0, "0 to rate"),
        ("runs.1.name", "warm", "a new name"),
        ("runs.0.name", "../x", "small letters"),
        ("runs", [], "1 to 64 runs with member true"),
        ("fitting.average", 1.0, "between 0 and 1"),
        ("fitting.optimizer", "adam", "fitting.weight_decay"),
        ("fitting.precision", "float16", "one of"),
        ("fitting.loss", "pseudo-dice", "lesion-weighted or blob (sigmoid)"),
        ("fitting.lesion_power", 1.5, "0 to 1"),
        ("synthesis.recipe.small_lesions", 1.5, "a share"),
        ("synthesis.recipe.reader", "strict", "one of"),
        ("runs.1.loss", "cross-entropy", "runs[1].loss"),
        ("runs.1.recipe", {}, "the key(s)"),
        ("synthesis", None, "one of the two"),
        ("synthesis.recipe.field", [160, 200], "the field of preprocessing"),
        ("preprocessing.flair_threshold", -1, "preprocessing.flair_threshold"),
        ("channels", 3, "1 or 2"),
        ("format", 2, "format"),
    ],
)
def test_what_is_wrong_is_named(path: str, value: Any, told: str) -> None:
    with pytest.raises(PlanError) as error:
        from_json(changed(path, value))
    assert told in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": 1, "format": 1}', "[" * 100_000])
def test_other_texts(text: str) -> None:
    with pytest.raises(PlanError):
        from_json(text)


def test_epochs_need_real_scans() -> None:
    assert from_json(changed("runs.0.epochs", 7, "published")).runs[0].epochs == 7
    run = replace(PLANS["synthetic"].runs[0], member=True, steps=None, epochs=5)
    with pytest.raises(PlanError, match="null with synthetic"):
        plan_checks.validate(replace(PLANS["synthetic"], runs=(run,)))


# Settings -----------------------------------------------------------------------------------------


def test_settings_change_what_they_name() -> None:
    plan = with_settings(
        PLANS["synthetic"],
        [
            "runs.*.batch=4",
            "runs.0.steps=7",
            "fitting.average=0.99",
            "name=mine",
            "weights=float32",
        ],
    )
    assert [run.batch for run in plan.runs] == [4] * 4
    assert [run.steps for run in plan.runs] == [7, 300, 300, 300]
    assert (plan.fitting.average, plan.name, plan.weights) == (0.99, "mine", "float32")
    assert with_settings(plan, ["runs.*.options.kernel=3"]).runs[2].options == {"kernel": 3}
    assert with_settings(PLANS["synthetic"], []) == PLANS["synthetic"]
    # The preset itself is as it was.
    assert PLANS["synthetic"].runs[0].options == {}


def test_settings_can_hold_whole_runs() -> None:
    one = Run("only", "stacknet", {"kernel": 5}, start_from="u.safetensors", steps=2)
    text = json.dumps([json.loads(to_json(replace(PLANS["synthetic"], runs=(one,))))["runs"][0]])
    assert with_settings(PLANS["synthetic"], [f"runs={text}"]).runs == (one,)


def test_steps_take_the_place_of_epochs() -> None:
    plan = with_settings(PLANS["published"], ["runs.0.steps=7"])
    assert [(run.steps, run.epochs) for run in plan.runs] == [(7, None), (None, 50), (None, 50)]
    plan = with_settings(plan, ["runs.*.epochs=3"])
    assert [(run.steps, run.epochs) for run in plan.runs] == [(None, 3)] * 3
    with pytest.raises(PlanError, match="either steps or epochs"):
        with_settings(PLANS["published"], ["runs.0.steps=7", "runs.*.epochs=3"])


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("fitting.averages=0.9", "In fitting there are: average, certain, class_weights,"),
        ("runs.9.steps=3", "In runs there are: 0, 1, 2, *."),
        ("runs.0.batches=3", "In runs.0 there are: batch, crop, drop_at, epochs,"),
        ("step=3", "At the top there are: augmentation, channels,"),
        ("name.first=x", "name is a single value."),
    ],
)
def test_settings_that_do_not_exist_are_told_which_do(setting: str, told: str) -> None:
    with pytest.raises(UsageError, match=re.escape(told)):
        with_settings(PLANS["published"], [setting])


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        ("batch", UsageError),
        ("runs.9.batch=4", UsageError),
        ("runs.x.batch=4", UsageError),
        ("nothing.here=4", UsageError),
        ("name.x=4", UsageError),
        ("nothing=4", UsageError),
        ("runs.0.colour=4", UsageError),
        ("fitting.averages=0.9", UsageError),
        ("runs.0.batch=four", PlanError),
        ("runs.0.batch=" + "[" * 100_000, PlanError),  # these two: found by the fuzzer
        ("runs." + "9" * 5000 + ".batch=4", UsageError),
    ],
)
def test_settings_that_name_nothing(setting: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        with_settings(PLANS["synthetic"], [setting])


@pytest.mark.parametrize(
    ("name", "mode", "expected"),
    [
        ("published", "auto", "keep"),
        ("published-stack", "auto", "keep"),
        ("synthetic", "auto", "adapt"),
        ("published", "adapt", "adapt"),
        ("synthetic", "keep", "keep"),
    ],
)
def test_intensity_scale_is_that_of_the_model(name: str, mode: Any, expected: str) -> None:
    plan: Plan = replace(PLANS[name], intensity_scale=mode)
    assert plans.intensity_scale(plan, model_folder.preset_of(plan, ())) == expected


# Inputs, labels and patches -----------------------------------------------------------------------


def test_inputs_and_labels_of_the_three_systems() -> None:
    vgg, uresnet, location = (PLANS[f"published-{n}"] for n in ("vgg", "uresnet", "location"))
    listed = [(one.scan, one.how) for one in vgg.network_inputs]
    assert listed == [("T1", "8-bit"), ("FLAIR", "8-bit"), ("FLAIR", "top-hat")]
    three = PLANS["published-vgg-3d-like"].network_inputs
    assert [(one.scan, one.slice) for one in three] == [("FLAIR", -1), ("FLAIR", 0), ("FLAIR", 1)]
    same = PLANS["published-vgg-no-top-hat"].network_inputs
    assert [one.scan for one in same] == ["T1", "FLAIR", "T1"]
    counts = [model_folder.preset_of(p, p.runs).members[0].parameters for p in (vgg, uresnet)]
    assert counts == [7_773_698, 1_044_547]
    made = model_folder.preset_of(uresnet, uresnet.runs)
    presets.validate(made)
    assert made.labels.names == ("background", "WMH", "stroke")
    assert made.others == uresnet.others
    assert made.preprocessing.pixel_mm == 1.0
    ports = [one.port for one in location.network_inputs]
    assert ports == ["scan"] * 2 + ["location"] * 8


def test_numbers_of_the_three_papers() -> None:
    vgg, uresnet, location = (PLANS[f"published-{n}"] for n in ("vgg", "uresnet", "location"))
    (run,), fitting = vgg.runs, vgg.fitting
    assert (run.steps, run.batch, run.rate, run.final_rate) == (150_000, 20, 1e-8, 1e-9)
    assert round((run.drop_at or 0) * 150_000) == 50_000
    assert (fitting.momentum, fitting.late_momentum, fitting.weight_decay) == (0.99, 0.999, 5e-4)
    assert (fitting.loss, fitting.optimizer) == ("summed-cross-entropy", "sgd")
    (run,), fitting = uresnet.runs, uresnet.fitting
    assert (run.epochs, run.batch, run.rate) == (30, 128, 5e-4)
    assert run.final_rate == pytest.approx(0.1 * run.rate)
    assert round((run.drop_at or 0) * 30) == 25
    assert (fitting.loss, fitting.optimizer) == ("cross-entropy", "adam")
    sampling = uresnet.sampling
    assert sampling is not None
    assert (sampling.side, sampling.wmh, sampling.stroke) == (64, 0.2, 0.8)
    assert (sampling.shift, sampling.elsewhere) == (0.5, 0.0)
    (run,), fitting = location.runs, location.fitting
    assert (run.batch, fitting.loss, fitting.optimizer) == (128, "cross-entropy", "rmsprop")
    assert fitting.stopping is not None
    sampling = location.sampling
    assert sampling is not None
    assert (sampling.kind, sampling.side, sampling.wmh, sampling.elsewhere) == (
        "voxels",
        128,
        0.5,
        0.5,
    )


@pytest.mark.parametrize(
    ("name", "path", "value", "told"),
    [
        ("published-vgg", "channels", 2, "null, as inputs are listed"),
        ("published-vgg", "inputs", [], "both, or inputs"),
        ("published-vgg", "labels.names", ["no", "WMH"], "background, WMH, stroke"),
        ("published-vgg", "labels.names", ["WMH", "stroke"], "background, WMH, stroke"),
        ("published-vgg", "labels", None, "dice"),
        ("published-vgg", "fitting.loss", "blob", "another than lesion-weighted and blob"),
        ("published-vgg", "runs.0.loss", "lesion-weighted", "runs[0].loss"),
        ("published-vgg", "runs.0.loss", "weighted-cross-entropy", "class_weights"),
        ("published", "fitting.loss", "cross-entropy", "(sigmoid)"),
        ("published-vgg", "fitting.loss", "weighted-cross-entropy", "2 weights"),
        ("published-vgg", "fitting.class_weights", [1.0, 1.0], "0 weights"),
        ("published-vgg", "fitting.momentum", 1.0, "0 to below 1"),
        ("published", "fitting.momentum", 0.9, "0 (adam)"),
        ("published-vgg", "runs.0.drop_at", 1.0, "between 0 and 1"),
        ("published-uresnet", "others.0.label", "gliosis", "others[0].label"),
        ("published-uresnet", "sampling.side", 60, "by eights"),
        ("published-uresnet", "sampling.shift", 0.6, "0 to 0.5"),
        ("published-uresnet", "sampling.elsewhere", 1.0, "0 to below 1"),
        ("published-uresnet", "sampling.kind", "voxels", "0 (voxels)"),
        ("published-uresnet", "runs.0.crop", 32, "null (sampling)"),
        ("published-uresnet", "runs.0.network", "location", '"SS" (patches)'),
        ("synthetic-location", "runs.0.options.architecture", "MSWS", '"SS" (patches)'),
        ("synthetic-location", "sampling.side", 24, "32 at least (location)"),
        ("synthetic-location", "sampling.shift", 0.3, "0 to 0.25 (location)"),
        ("synthetic-location", "sampling.side", 48, "0 to 0.166667 (location)"),
        ("published-location", "runs.0.network", "unet", "location"),
        ("published-location", "augmentation.flip", 0.5, "flip 0"),
        ("published-location", "preprocessing.orientation", "stored", "LPS"),
        ("published-uresnet", "fitting.stopping", {"patience": 1, "voxels": 9}, "null, without"),
    ],
)
def test_what_is_wrong_with_the_three_systems_is_named(
    name: str, path: str, value: Any, told: str
) -> None:
    with pytest.raises(PlanError) as error:
        from_json(changed(path, value, name))
    assert told in str(error.value)


def test_real_scans_can_be_shown_in_windows() -> None:
    """Not turned or flipped: where voxels lie would be another place."""
    settings = ["sampling.kind=patches", "sampling.side=64", "fitting.stopping=null"]
    settings.append("runs.0.options.architecture=SS")
    plan = with_settings(PLANS["published-location"], settings)
    described = fit.describe(plan, plan.runs[0], (64, 64))
    assert described.output.size == (33, 33, 2)
    with pytest.raises(PlanError, match="flip 0"):
        with_settings(plan, ["augmentation.flip=0.5"])


def test_inputs_take_the_place_of_channels_and_the_reverse() -> None:
    one = '[{"name":"F","scan":"FLAIR","how":"z-score","if_missing":"error","port":"scan"}]'
    plan = with_settings(PLANS["published"], [f"inputs={one}"])
    assert (plan.channels, plan.without_t1) == (None, None)
    assert [(i.name, i.port) for i in plan.network_inputs] == [("F", "scan")]
    back = with_settings(plan, ["channels=2"])
    assert [i.scan for i in back.network_inputs] == ["FLAIR", "T1"]
    assert back.inputs == ()


def test_readers_and_flips_go_into_the_model() -> None:
    plan = PLANS["synthetic"]
    balanced = plan.postprocessing.threshold
    readers = (Reader("sparing", (balanced + 1) / 2, 20.0, 0.0),)
    asked = replace(plan, readers=readers, flips=True)
    made = model_folder.preset_of(from_json(to_json(asked)), plan.runs)
    presets.validate(made)
    assert (made.readers, made.flips) == (readers, True)
    wrong = replace(asked, readers=(replace(readers[0], threshold=balanced / 2),))
    with pytest.raises(PlanError, match=r"readers\[0\]\.threshold"):
        plan_checks.validate(wrong)


def test_plans_of_before_are_read_as_before() -> None:
    """Without the keys that came later."""
    old = json.loads(to_json(PLANS["synthetic"]))
    for key in ("inputs", "labels", "others", "sampling"):
        del old[key]
    for key in (
        "momentum", "late_momentum", "class_weights", "certain", "stopping", "lesion_power",
    ):  # fmt: skip
        del old["fitting"][key]
    for run in old["runs"]:
        del run["drop_at"], run["recipe"], run["loss"]
    for key in ("stroke", "old_stroke", "stroke_shapes", "reader", "small_lesions"):
        del old["synthesis"]["recipe"][key]
    assert from_json(json.dumps(old)) == PLANS["synthetic"]


# Runs that differ ---------------------------------------------------------------------------------


def test_a_run_may_have_its_own_recipe_and_loss() -> None:
    """Null is the plan's; a part of a recipe that is not there yet starts as the plan's."""
    plan = with_settings(
        PLANS["synthetic"],
        [
            "synthesis.recipe.small_lesions=1.0",
            "runs.2.recipe.reader=sparing",
            "runs.2.recipe.thickness_mm=[1.0]",
            "runs.3.loss=blob",
            "fitting.loss=lesion-weighted",
        ],
    )
    assert plan.synthesis is not None
    common = plan.synthesis.recipe
    assert [run.recipe for run in plan.runs[:2]] == [None, None]
    expected = replace(common, reader="sparing", thickness_mm=(1.0,))
    assert plan.runs[2].recipe == expected
    assert plan.runs[2].recipe.small_lesions == 1.0
    drawn = [plans.synthesis_of(plan, run) for run in plan.runs]
    assert [one and one.recipe for one in drawn] == [common, common, expected, common]
    assert all(one is not None and one.scans == plan.synthesis.scans for one in drawn)
    losses = [plans.fitting_of(plan, run).loss for run in plan.runs]
    assert losses == ["lesion-weighted"] * 3 + ["blob"]
    assert from_json(to_json(plan)) == plan
    every = with_settings(plan, ["runs.*.recipe.reader=generous"])
    assert [run.recipe and run.recipe.reader for run in every.runs] == ["generous"] * 4
    assert every.runs[2].recipe == replace(expected, reader="generous")
    back = with_settings(every, ["runs.*.recipe=null"])
    assert {run.recipe for run in back.runs} == {None}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["runs.0.recipe.colour=red"], "In runs.0.recipe there are: atrophy,"),
        (["runs.9.recipe.reader=sparing"], "In runs there are: 0, 1, 2, 3, *."),
    ],
)
def test_parts_of_recipes_that_do_not_exist(settings: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=re.escape(told)):
        with_settings(PLANS["synthetic"], settings)


def test_recipes_of_runs_are_checked() -> None:
    with pytest.raises(PlanError, match=r"runs\[1\].recipe.field"):
        with_settings(PLANS["synthetic"], ["runs.1.recipe.field=[160,200]"])
    recipe = json.loads(to_json(PLANS["synthetic"]))["synthesis"]["recipe"]
    with pytest.raises(PlanError, match="null, without synthetic scans"):
        from_json(changed("runs.0.recipe", recipe, "published"))
    with pytest.raises(UsageError, match="single value"):
        with_settings(PLANS["published"], ["runs.0.recipe.reader=sparing"])


def test_the_mixed_plan_is_what_was_trained() -> None:
    """Two U-Nets on scans of two kinds, as they ran; three members of models/ as they are."""
    plan = PLANS["synthetic-mixed"]
    assert plan.name == "mixed-synthetic"
    assert [(run.name, run.network, run.steps, run.seed, run.start_from) for run in plan.runs] == [
        ("unet-sharp", "unet", 1200, 511, "models/unet-synthetic/0.safetensors"),
        ("unet-thick", "unet", 1200, 502, "models/unet-synthetic/1.safetensors"),
        ("unet", "unet", 0, 0, "models/unet-synthetic/2.safetensors"),
        ("stack3", "stacknet", 0, 0, "models/stacknet-synthetic/3x3.safetensors"),
        ("stack5", "stacknet", 0, 0, "models/stacknet-synthetic/5x5.safetensors"),
    ]
    shown = replace(REALISTIC, small_lesions=0.8, reader="drawn")
    thicknesses = (0.9, 1.0, 1.2), (3.0, 4.0, 5.0, 6.5, 8.0)
    for run, thickness in zip(plan.runs[:2], thicknesses, strict=True):
        drawn = plans.synthesis_of(plan, run)
        assert drawn == Synthesis(replace(shown, thickness_mm=thickness), scans=16, slices=48)
        assert (run.batch, run.crop, run.warmup) == (24, 160, 50)
        assert (run.rate, run.final_rate) == (4e-4, 8e-6)
        fitting = plans.fitting_of(plan, run)
        assert (fitting.loss, fitting.average) == ("lesion-weighted", 0.995)
    made = model_folder.preset_of(plan, plan.runs)
    presets.validate(made)
    # Of U-Nets, and of Stack-Nets with 3x3 and 5x5 kernels, as the cards of these models say.
    assert [one.parameters for one in made.members] == [8_742_209] * 3 + [9_034_529, 9_986_849]


def test_every_start_of_the_mixed_plan_is_of_its_network() -> None:
    """Members of models in models/ are what each run says, prepared for as the plan does."""
    plan = PLANS["synthetic-mixed"]
    for run in plan.runs:
        path = ROOT / str(run.start_from)
        model = store.read_model(path.parent)
        assert model.preset.preprocessing == plan.preprocessing
        assert session.inputs_beside(path) == plan.network_inputs
        (member,) = (one for one in model.preset.members if one.file == path.name)
        assert (member.network, member.options) == (run.network, run.options)
        start = growth.Start(path.name, tensor_files.read_tensors(path), model.preset.inputs)
        described = fit.describe(plan, run, (200, 200))
        assert growth.as_it_is(described, plan.network_inputs, start) is start.tensors


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["runs.0.steps=0"], "or 0 for a member with start_from, was expected at runs[0].steps"),
        (["runs.0.steps=0", "runs.0.start_from=some/0.safetensors"], "runs[0].steps"),
        (["runs.0.steps=0", "runs.0.member=true"], "runs[0].steps"),
        (["runs.1.steps=0", "runs.1.epochs=2"], "either steps or epochs"),
        (["runs.1.steps=-1"], "runs[1].steps"),
        (["runs.2.steps=0", "runs.2.network=stacknet"], "network and options of warm (steps 0)"),
    ],
)
def test_what_is_not_trained_is_a_member_with_a_start(settings: list[str], told: str) -> None:
    with pytest.raises(PlanError, match=re.escape(told)):
        with_settings(PLANS["synthetic"], settings)


def test_the_recipes_of_shipped_models_are_what_made_them() -> None:
    for name in ("synthetic-vgg", "synthetic-location", "synthetic-anatomy"):
        text = (ROOT / "models" / PLANS[name].name / "plan.json").read_text("utf-8")
        assert from_json(text).runs == PLANS[name].runs


def test_whole_slices_of_real_scans_have_one_port() -> None:
    """Where voxels lie in the brain is shown with patches, or with synthetic scans."""
    plan, real = PLANS["synthetic-location"], PLANS["published"].augmentation
    plan = replace(plan, synthesis=None, augmentation=real, sampling=None)
    with pytest.raises(PlanError, match="one port for whole slices of real scans"):
        plan_checks.validate(plan)


def test_a_member_may_be_taken_as_it_is() -> None:
    for settings in (
        ["runs.1.steps=0"],
        ["runs.1.steps=0", "runs.1.start_from=some/0.safetensors"],
    ):
        assert with_settings(PLANS["synthetic"], settings).runs[1].steps == 0
    with pytest.raises(PlanError, match=r"a multiple of refinement.looks.* at runs\[0\].steps"):
        with_settings(PLANS["refine"], ["runs.0.steps=0", "runs.0.start_from=a.safetensors"])
