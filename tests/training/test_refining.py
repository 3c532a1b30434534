"""Adapting a model: which models and scans, rules, the verdict, and the whole on a tiny network."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import Phantom, make_preset, write_case
from hypothesis import given
from hypothesis import strategies as st

import wmhseg
from wmhseg import errors
from wmhseg.cli.main import main
from wmhseg.datasets.cases import Case
from wmhseg.scoring.rules import Rules
from wmhseg.segmentation import postprocessing
from wmhseg.training import plan_checks, plan_files
from wmhseg.training.batches.own_scans import OwnScan
from wmhseg.training.plan import Refinement
from wmhseg.training.recipes import PLANS
from wmhseg.training.refining import adapting, measuring, rules, verdict
from wmhseg.training.refining.left_out import LeftOut
from wmhseg.training.refining.measuring import Row
from wmhseg.training.refining.refine import final_plan
from wmhseg.training.refining.rules import Choice, Kept, Score
from wmhseg.weights import store
from wmhseg.weights.inputs import Input, Labels, inputs_of_channels
from wmhseg.weights.methods import METHODS
from wmhseg.weights.preset import Member
from wmhseg.weights.processing import Postprocessing
from wmhseg.weights.store import Model

FIELD = (64, 56)

# Rules --------------------------------------------------------------------------------------------


def test_a_map_is_kept_but_for_what_no_rule_looks_at(tmp_path: Path) -> None:
    probability = np.array([[[0.0, 0.04, 0.06], [0.5, 0.051, 1.0]]], np.float32)
    Kept.of(probability).write(tmp_path / "kept.npz")
    read = Kept.read(tmp_path / "kept.npz").probability
    np.testing.assert_array_equal(read, np.where(probability > 0.05, probability, 0))


def test_rules_that_are_tried_begin_with_the_models_own() -> None:
    how = Refinement(thresholds=(0.3, 0.95), min_lesions_mm3=(0.0,), lesion_peaks=(0.0, 0.9))
    found = rules.tried(how, Postprocessing(threshold=0.7, min_lesion_mm3=10, lesion_peak=0.98))
    assert found[0] == Rules(0.7, 10, 0.98)
    assert len(found) == len(set(found))
    # Of 0.95 a peak of 0.9 asks for nothing: 0 and 0.98; of 0.3 and 0.7 each 0, 0.9 and 0.98.
    assert {(r.threshold, r.lesion_peak) for r in found} == {
        *((t, p) for t in (0.3, 0.7) for p in (0.0, 0.9, 0.98)),
        *((0.95, p) for p in (0.0, 0.98)),
    }
    assert {r.min_lesion_mm3 for r in found} == {0.0, 10.0}


def test_scores_of_a_map_counted_by_hand() -> None:
    labels = np.zeros((1, 6, 12), np.uint8)
    labels[0, 1:3, 1:3] = 1  # 4 voxels, found whole
    labels[0, 4, 8:10] = 1  # 2 voxels, missed
    labels[0, 1, 8] = 2  # counts for nothing
    probability = np.zeros(labels.shape, np.float32)
    probability[0, 1:3, 1:4] = 0.8  # 6 voxels, 4 of them right
    probability[0, 1, 2] = 0.99
    probability[0, 1, 8] = 0.9
    probability[0, 5, 0] = 0.6  # 1 voxel, false
    every = [Rules(0.5, 0, 0), Rules(0.5, 2, 0), Rules(0.5, 0, 0.95), Rules(0.995, 0, 0)]
    made = rules.scores(labels, Kept.of(probability), every, 0.001)
    # 7 voxels of the result, 6 of the reference, 4 common; one of two lesions, one of two right.
    assert made[0] == Score(8 / 13, 0.5, 0.5, pytest.approx(0.006), pytest.approx(0.007))
    for one in made[1:3]:  # without the false voxel
        assert (one.dsc, one.f1, one.recall) == (8 / 12, pytest.approx(2 / 3), 0.5)
    assert (made[3].dsc, made[3].f1) == (0, 0)
    assert made[0].mean == pytest.approx((8 / 13 + 0.5) / 2)
    nothing = rules.scores(np.zeros_like(labels), Kept.of(probability * 0), every[:1], 0.001)[0]
    assert math.isnan(nothing.dsc)
    assert nothing.mean == 1


@given(st.integers(0, 2**32), st.sampled_from([0.0, 3.0]), st.sampled_from([0.0, 0.9]))
def test_rules_count_what_post_processing_leaves(seed: int, least: float, peak: float) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.random((4, 9, 9)) > 0.8).astype(np.uint8)
    labels[rng.random(labels.shape) > 0.8] = 2
    probability = rng.random(labels.shape).astype(np.float32) ** 2
    rule = Rules(0.6, least, peak)
    kept = Kept.of(probability)
    post = rule.put_into(Postprocessing(end_slices=0.0))
    sure = postprocessing.without_doubtful(probability, post)
    mask = postprocessing.without_small(postprocessing.to_mask(sure, post), 0.001, post)
    np.testing.assert_array_equal(rules.cut(kept, rule, 0.001), mask)
    (counted,) = rules.scores(labels, kept, [rule], 0.001)
    expected = rules.scored(labels, mask, 0.001)
    assert counted.dsc == pytest.approx(expected.dsc)
    assert (counted.f1, counted.recall) == pytest.approx((expected.f1, expected.recall))
    assert counted.result_ml == pytest.approx(expected.result_ml)


def test_the_best_is_best_over_patients_and_the_first_of_equals() -> None:
    table = {"a": [[0.5, 0.9], [0.5, 0.5]], "b": [[0.5, 0.1], [0.5, 0.5]]}
    assert rules.best(table, ["a"]) == (0, 1)
    assert rules.best(table, ["a", "b"]) == (0, 0)


def test_other_rules_than_the_models_own_have_to_be_clearly_better() -> None:
    """Own rules: 0.60 at the second look; the best of all is 0.62, at the first."""
    table = {"a": [[0.5, 0.62], [0.60, 0.1]]}
    assert rules.best(table, ["a"]) == (0, 1)
    assert rules.best(table, ["a"], 0.02) == (0, 1)
    assert rules.best(table, ["a"], 0.021) == (1, 0)
    # Where the model's own are the best they are taken, whatever is asked for.
    assert rules.best({"a": [[0.5, 0.4]]}, ["a"], 0.1) == (0, 0)


# Groups and looks ---------------------------------------------------------------------------------


def scan(name: str, patient: str) -> OwnScan:
    return OwnScan(name, patient, Case(name), Path("nowhere"), 3)


def test_visits_are_left_out_together_and_everybody_once() -> None:
    scans = [scan("1a", "1"), scan("1b", "1"), *(scan(n, n) for n in "2345678")]
    parts = adapting.groups(scans, 5)
    assert len(parts) == 5
    assert sorted(patient for part in parts for patient in part) == list("12345678")
    assert [len(part) for part in adapting.groups(scans[:3], 5)] == [1, 1]


def test_the_whole_model_is_what_is_refined_and_what_stays(tmp_path: Path) -> None:
    """Refined networks and those that stay: each counts once; what no rule looks at is 0."""
    maps = {"0-6": (0.9, 0.0), "1-6": (0.6, 0.3), "staying": (0.3, 0.03)}
    for name, values in maps.items():
        one = np.array(values, np.float32).reshape(1, 1, 2)
        Kept.of(one, rules.LEAST_OF_A_PART).write(tmp_path / f"scan0-{name}.npz")
    nobody: Any = SimpleNamespace()
    left = LeftOut([nobody], PLANS["refine"], nobody, tmp_path, 1)
    found = left.kept(0, ["0", "1"], 6).probability
    np.testing.assert_allclose(found.ravel(), [(0.9 + 0.6 + 0.3) / 3, 0.33 / 3], rtol=1e-6)
    left.staying = 2  # two of them, whose mean was written
    found = left.kept(0, ["0"], 6).probability
    np.testing.assert_allclose(found.ravel(), [(0.9 + 2 * 0.3) / 3, 0], rtol=1e-6)


def test_looks_are_spread_over_the_steps() -> None:
    run = replace(PLANS["refine"].runs[0], steps=300)
    assert measuring.looks(run, Refinement(looks=3)) == [100, 200, 300]
    with pytest.raises(errors.PlanError, match="a multiple of refinement"):
        plan_files.with_settings(PLANS["refine"], ["runs.0.steps=301"])


# The verdict --------------------------------------------------------------------------------------


def row(patient: str, before: tuple[float, float], after: tuple[float, float]) -> Row:
    first, last = (Score(dsc, f1, f1, 2.0, 2.0) for dsc, f1 in (before, after))
    return Row(patient, patient, 1, first, first, last, Choice(100, Rules(0.5, 0, 0)))


@pytest.mark.parametrize(
    ("after", "better"),
    [
        ([(0.7, 0.7), (0.7, 0.7)], True),
        ([(0.62, 0.6), (0.6, 0.6)], True),  # a mean of 0.01 more is enough
        ([(0.61, 0.6), (0.6, 0.6)], False),
        ([(0.9, 0.59), (0.9, 0.6)], False),  # F1 fell
        ([(0.59, 0.9), (0.6, 0.9)], False),  # DSC fell
        ([(0.6, 0.6), (0.6, 0.6)], False),
    ],
)
def test_better_is_none_lower_and_one_higher(
    after: list[tuple[float, float]], better: bool
) -> None:
    rows = [row(str(n), (0.6, 0.6), one) for n, one in enumerate(after)]
    assert verdict.is_better(rows, 0.01) is better


def test_a_patient_counts_once_whatever_the_visits() -> None:
    rows = [
        row("a", (0.2, 0.5), (0.4, 0.5)),
        row("a", (0.4, 0.5), (0.6, 0.5)),
        row("b", (0.9, 0.5), (0.8, 0.5)),
        row("c", (math.nan, 1.0), (0.0, 0.0)),  # an empty mask
    ]
    one = verdict.paired(rows, "dsc")
    assert (one.before, one.after) == pytest.approx((0.6, (0.5 + 0.8 + 0.0) / 3))
    assert one.gain == pytest.approx((0.2 - 0.1) / 2)
    assert one.rose == 1
    assert verdict.paired(rows, "f1").gain == pytest.approx(-1 / 3)


# Models -------------------------------------------------------------------------------------------


def test_the_plan_of_a_model_goes_on_from_each_member(tmp_path: Path) -> None:
    members = tuple(Member(f"{n}.safetensors", "0" * 64, "unet", {}, 3) for n in "ab")
    preset = make_preset(
        name="mine",
        inputs=inputs_of_channels(2, "error"),
        preprocessing=replace(METHODS["synthetic"].preprocessing, field=FIELD),
        members=members,
    )
    plan = adapting.plan_of(PLANS["refine"], Model(tmp_path, preset))
    assert [run.start_from for run in plan.runs] == [
        str(tmp_path / f"{n}.safetensors") for n in "ab"
    ]
    assert plan.runs[0].seed != plan.runs[1].seed
    assert plan.name == "mine-refined"
    assert plan.network_inputs == preset.inputs
    assert plan.preprocessing == preset.preprocessing
    assert plan.postprocessing == preset.postprocessing
    assert plan.synthesis is not None
    assert plan.synthesis.recipe.field == FIELD
    # A model that needs T1 is never shown a scan without.
    assert plan.synthesis.recipe.without_t1 == 0
    assert plan.augmentation is not None
    assert plan.augmentation.without_t1 == 0
    assert plan_files.from_json(plan_files.to_json(plan)) == plan


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"inputs": (Input("FLAIR", "FLAIR", "8-bit", "error"),)}, "8-bit"),
        ({"inputs": (Input("next", "FLAIR", "z-score", "error", slice=1),)}, "z-score"),
        ({"labels": Labels(("background", "WMH"), "softmax")}, "softmax"),
    ],
)
def test_other_models_are_refused_in_a_line(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(errors.UsageError, match=why):
        adapting.check_model(make_preset(**changes))


# The whole ----------------------------------------------------------------------------------------


@pytest.fixture
def model(tiny_network: Callable[..., Any], tmp_path: Path) -> Path:
    """A model that says 0.88 of the phantom's lesions (scores of 12), and so marks none."""
    preset = make_preset(
        name="blind",
        inputs=inputs_of_channels(2, "zero"),
        preprocessing=replace(METHODS["synthetic"].preprocessing, field=FIELD),
        postprocessing=Postprocessing(threshold=0.999, end_slices=0.1),
        members=tuple(Member(f"{n}.safetensors", "0" * 64, "tiny", {}, 3) for n in "01"),
    )
    # Not numbers of float16, so that it shows if what stays is not as it was.
    kernel = np.array([0.5001, 0.0], np.float32).reshape(1, 1, 2, 1)
    weights = {"output/kernel": kernel, "output/bias": np.array([-4.0], np.float32)}
    store.save_model(tmp_path / "blind", preset, [weights] * 2, "# blind\n", dtype="float32")
    return tmp_path / "blind"


def with_blind_member(model: Path, *, first: bool = False) -> Path:
    """The same, but one of the members says 0.02 of everything."""
    held = store.read_model(model)
    sees = store.load(held, held.preset.members[0])
    members = [sees, {**sees, "output/kernel": np.zeros((1, 1, 2, 1), np.float32)}]
    members = members[::-1] if first else members
    other = model.with_name("half-blind")
    preset = replace(held.preset, name="half-blind")
    store.save_model(other, preset, members, "# half\n", dtype="float32")
    return other


@pytest.fixture
def data(phantom: Phantom, tmp_path: Path) -> Path:
    for name in ("p1", "p2", "p3"):
        write_case(tmp_path / "data" / name, phantom)
    return tmp_path / "data"


def refine(folder: Path, *words: object) -> int:
    short = ["runs.*.steps=2", "runs.*.batch=2", "runs.*.crop=32", "refinement.looks=1"]
    small = ["synthesis.scans=2", "synthesis.slices=4", "synthesis.recipe.slices=4"]
    same = ["fitting.precision=float32", "runs.*.rate=1e-6", "runs.*.final_rate=1e-6"]
    chosen = [part for one in short + small + same for part in ("--set", one)]
    how = ["--device", "cpu", "--threads", "1", "--producers", "1", *chosen]
    return main(["train", "--preset", "refine", "--output", str(folder), *how, *map(str, words)])


def test_a_model_is_adapted_and_measured_on_patients_left_out(
    model: Path,
    data: Path,
    labels_folder: Path,
    phantom: Phantom,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    words = ["--model", model, "--data", data, "--labels", labels_folder, "--name", "mine"]
    assert refine(out, *words) == 0
    told = capsys.readouterr()
    assert told.out == f"mine: 2 members in {out / 'mine'}\n"
    assert "3 patients left out" in told.err
    # All three are one phantom: whoever is left out was trained on, and the card says so.
    assert told.err.count("p1, p2, p3 have the same FLAIR scan") == 1
    figures = json.loads((out / "refinement.json").read_text())
    assert figures["better"] is True
    assert figures["groups"] == [["p1"], ["p2"], ["p3"]] or len(figures["groups"]) == 3
    # The first member of each group; the other one stays as it is.
    assert figures["runs"] == [["0"]] * 3
    assert len(figures["rows"]) == 3
    for one in figures["rows"]:
        assert one["after"]["dsc"] > one["before"]["dsc"]
        # The rate is next to nothing here: rules alone do it, and the table says so.
        assert one["rules_alone"] == pytest.approx(one["after"])
    assert figures["figures"]["dsc"]["gain"] > 0.01
    made = store.read_model(out / "mine").preset
    assert made.postprocessing.threshold == figures["chosen"]["rules"]["threshold"] < 0.999
    plan = plan_files.from_json((out / "mine" / "plan.json").read_text())
    assert [run.steps for run in plan.runs] == [figures["chosen"]["step"], 0]
    before, after = (store.read_model(path) for path in (model, out / "mine"))
    kernels = [
        [store.load(held, member)["output/kernel"] for member in held.preset.members]
        for held in (before, after)
    ]
    assert (kernels[0][0] != kernels[1][0]).any()
    np.testing.assert_array_equal(kernels[0][1], kernels[1][1])
    assert plan.refinement is not None
    card = (out / "mine" / "MODEL_CARD.md").read_text()
    assert "3 scans of 3 patients" in card
    assert "FLAIR files under the names of several patients: 1." in card
    assert "saw **all** these patients" in card
    assert "**yes**" in card
    assert "1 of its 2 members" in card
    assert "no lesions are put into p1" in told.err
    split = json.loads((out / "mine" / "split.json").read_text())
    assert {one["case"] for one in split["train"]} == {"p1", "p2", "p3"}
    assert not list((out / "left-out").glob("*/*.npz"))
    assert not (out / "prepared").exists()
    scans = ["--flair", data / "p1" / "pre" / "FLAIR.nii.gz", "--on-unsuitable", "warn"]
    made_mask = tmp_path / "mask.nii.gz"
    line = ["segment", "--model", out / "mine", *scans, "--output", made_mask]
    assert main(list(map(str, line))) == 0
    # Again: nothing is done. Other data: refused.
    assert refine(out, *words) == 0
    assert "complete already" in capsys.readouterr().err
    assert refine(out, *words, "--set", "refinement.gain=0.02") == errors.ResumeError.exit_code


@pytest.mark.parametrize(("first", "threshold", "marks"), [(False, 0.5, False), (True, 0.4, True)])
def test_what_stays_counts_where_it_is_measured(
    first: bool, threshold: float, marks: bool, model: Path, data: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Members that say 0.88 and 0.02 say 0.45 together, whichever of them is refined."""
    tried = [f"refinement.thresholds=[{threshold}]", "refinement.real=1"]
    tried += ["refinement.min_lesions_mm3=[]", "refinement.lesion_peaks=[]"]
    chosen = [part for one in tried for part in ("--set", one)]
    words = ["--model", with_blind_member(model, first=first), "--data", data, *chosen]
    code = refine(tmp_path / "out", *words)
    assert code == (0 if marks else errors.NotBetterError.exit_code)
    figures = json.loads((tmp_path / "out" / "refinement.json").read_text())
    assert [one["after"]["dsc"] > 0 for one in figures["rows"]] == [marks] * 3
    # The model that is made marks what was measured; the rate is next to nothing.
    if marks:
        scan = data / "p1" / "pre"
        made = tmp_path / "out" / "half-blind-refined"
        options = wmhseg.Options(device="cpu", on_unsuitable="warn")
        found = wmhseg.segment(
            scan / "FLAIR.nii.gz", scan / "T1.nii.gz", model=made, options=options
        )
        ml = figures["rows"][0]["after"]["result_ml"]
        assert found.report.lesions.volume_ml == pytest.approx(ml, abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("runs.1.start_from=null", "runs[1]"),
        ("flips=true", "flips"),
        ("postprocessing.end_slices=0.2", "postprocessing.end_slices"),
        ("preprocessing.ceiling=2", "preprocessing"),
        ("refinement.thresholds=[0.01]", "0.05 to below 1"),
        ("refinement.refined=3", "1 to 2, or null"),
    ],
)
def test_a_plan_of_another_model_is_refused_before_anything_is_read(
    settings: str, told: str, model: Path, data: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """What is measured would not be what is made."""
    words = ["--model", model, "--data", data, "--set", "refinement.real=1", "--set", settings]
    assert refine(tmp_path / "out", *words) == errors.PlanError.exit_code
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_refined_members_take_the_same_steps(model: Path) -> None:
    plan = adapting.plan_of(PLANS["refine"], store.read_model(model))
    runs = (plan.runs[0], replace(plan.runs[1], steps=240))
    for refined, fits in ((1, True), (2, False), (None, False)):
        how = replace(Refinement(), refined=refined)
        with nullcontext() if fits else pytest.raises(errors.PlanError, match="same number"):
            plan_checks.validate(replace(plan, runs=runs, refinement=how))


def test_a_final_plan_can_be_read_again(model: Path) -> None:
    """Half of an odd number of steps, one member that stays, whose weights are kept whole."""
    held = store.read_model(model)
    plan = adapting.plan_of(PLANS["refine"], held)
    plan = replace(plan, runs=tuple(replace(run, steps=90) for run in plan.runs))
    final = final_plan(plan, Choice(45, Rules(0.5, 0.0, 0.0)), held)
    assert plan_files.from_json(plan_files.to_json(final)) == final
    assert [run.steps for run in final.runs] == [45, 0]
    assert (plan.weights, final.weights) == ("float16", "float32")


def test_what_is_not_better_is_not_written_unless_asked(
    model: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    no_rules = [
        f"refinement.{name}=[]" for name in ("thresholds", "min_lesions_mm3", "lesion_peaks")
    ]
    alone = [part for one in no_rules for part in ("--set", one)]
    words = ["--model", model, "--data", data, "--set", "refinement.real=1", *alone]
    assert refine(out, *words) == errors.NotBetterError.exit_code
    told = capsys.readouterr().err
    assert "A model better than blind on patients left out was expected" in told
    assert "--keep-anyway" in told
    assert not (out / "blind-refined").exists()
    report = (out / "refinement.md").read_text()
    assert "**no**" in report
    assert "| p1 | p1 |" in report
    # What was measured is not measured again.
    assert refine(out, *words, "--keep-anyway") == 0
    told = capsys.readouterr().err
    assert "left out 1/3" not in told
    made = store.read_model(out / "blind-refined")
    assert made.preset.postprocessing.threshold == 0.999
    assert "**no**" in (out / "blind-refined" / "MODEL_CARD.md").read_text()


def test_what_cannot_be_refined_is_one_clear_line(
    model: Path, data: Path, phantom: Phantom, labels_folder: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = tmp_path / "out"
    full = ["--model", model, "--data", data, "--labels", labels_folder]

    def told(code: int, *words: object) -> str:
        assert refine(out, *words) == code
        assert not out.exists()
        return capsys.readouterr().err

    assert "--model NAME was expected" in told(2, *full[2:])
    assert "refinement.real=1" in told(2, *full[:4])
    assert "--data DIR and --labels DIR were expected" in told(2, *full[:2])
    assert "No --split was expected" in told(2, *full, "--split", "loso")
    assert "8-bit" in told(2, "--model", "vgg-synthetic", *full[2:])
    one = write_case(tmp_path / "one" / "p1", phantom).parent
    assert "at least two patients" in told(93, *full[:2], "--data", one, *full[4:])
    table = tmp_path / "t.tsv"
    table.write_text("case\tpatient\np1\tanna\np2\tanna\np3\tanna\n")
    assert "3 of 1" in told(93, *full, "--patients", table)
    nothing = replace(phantom, lesions=np.zeros_like(phantom.lesions))
    empty, visits = tmp_path / "empty", tmp_path / "visits"
    for name in ("p1", "p2"):
        write_case(empty / name, nothing)
    assert "none in 2 masks" in told(95, *full[:2], "--data", empty, *full[4:])
    for name in ("p1a", "p1b"):
        write_case(visits / name, phantom)
    assert "--patients TABLE" in told(2, *full[:2], "--data", visits, *full[4:])
    words = ["train", "--data", str(data), "--output", str(out), "--model", "blind"]
    assert main(words) == 2
    assert "adapts a model" in capsys.readouterr().err


def test_check_reads_and_says_who_is_left_out_with_whom(
    model: Path, data: Path, labels_folder: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    words = ["--model", model, "--data", data, "--labels", labels_folder, "--check"]
    assert refine(tmp_path / "out", *words) == 0
    told = capsys.readouterr().out
    assert "3 labelled scans of 3 patients and 0 lesion-free scans" in told
    assert "Left out 3: " in told
    assert not (tmp_path / "out" / "left-out").exists()
