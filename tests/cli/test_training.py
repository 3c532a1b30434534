"""wmhseg train: from data to a model folder that segments, and what stops it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, Phantom, write_case
from folders import touch

from evaluation import contender
from wmhseg import errors
from wmhseg.cli.main import main
from wmhseg.engines import backends
from wmhseg.io import images
from wmhseg.synthesis.recipe import Recipe
from wmhseg.training import fit, model_folder, plan_files
from wmhseg.training import plan as plans
from wmhseg.training.plan import Plan, Run, Synthesis
from wmhseg.training.recipes import PLANS
from wmhseg.weights import store

FIELD = (64, 56)
SYNTHETIC = replace(
    PLANS["synthetic"],
    name="tiny-synthetic",
    preprocessing=replace(PLANS["synthetic"].preprocessing, field=FIELD),
    synthesis=Synthesis(Recipe(field=FIELD, slices=4), scans=2, slices=3),
    runs=(
        Run("warm", "tiny", member=False, steps=2, batch=2, crop=32, rate=0.01),
        Run("0", "tiny", start_from="warm", seed=1, steps=2, batch=2, rate=0.01),
        Run("1", "tiny", start_from="warm", seed=2, steps=2, batch=2, rate=0.01),
    ),
)
PUBLISHED = replace(
    PLANS["published"],
    name="tiny-published",
    preprocessing=replace(PLANS["published"].preprocessing, field=FIELD),
    augmentation=plans.Augmentation(copies=2),
    fitting=plans.Fitting(),
    runs=(Run("0", "tiny", epochs=1, batch=10, rate=0.1, final_rate=0.1),),
)


@pytest.fixture(autouse=True)
def _tiny(tiny_network: Callable[..., Any]) -> None:
    pass


def train(plan: Plan, folder: Path, *words: object) -> int:
    config = folder / "config.json"
    config.write_text(plan_files.to_json(plan))
    how = ["--device", "cpu", "--threads", "1", "--producers", "1"]
    out = ["--output", str(folder / "out"), "--config", str(config)]
    return main(["train", *out, *how, *map(str, words)])


def case(folder: Path, phantom: Phantom) -> Path:
    return write_case(folder, phantom)


def test_synthetic_training_makes_a_model_that_segments(
    tmp_path: Path, labels_folder: Path, phantom: Phantom, capsys: pytest.CaptureFixture[str]
) -> None:
    validation = tmp_path / "validation"
    one = case(validation / "x", phantom)
    words = ["--labels", labels_folder, "--validation", validation]
    assert train(SYNTHETIC, tmp_path, *words) == 0
    told = capsys.readouterr()
    made = tmp_path / "out" / "tiny-synthetic"
    assert told.out == f"tiny-synthetic: 2 members in {made}\n"
    assert "from warm.safetensors, 2 of 2 arrays taken" in told.err
    found = store.read_model(made).preset
    assert [member.file for member in found.members] == ["0.safetensors", "1.safetensors"]
    assert found.preprocessing == SYNTHETIC.preprocessing
    assert plan_files.from_json((made / "plan.json").read_text()) == SYNTHETIC
    card = (made / "MODEL_CARD.md").read_text()
    assert "validation data, not test data" in card
    assert "1 whole-head label maps" in card
    assert "wmhseg train --output" in card
    rows = (tmp_path / "out" / "0-validation.csv").read_text().splitlines()
    assert rows[0] == "role,step,case,dsc,f1"
    assert rows[1].startswith("validation,2,x,")
    assert not list((tmp_path / "out").glob("*checkpoint*"))
    assert (tmp_path / "out" / "training.png").read_bytes()[:4] == b"\x89PNG"

    mask = tmp_path / "mask.nii.gz"
    scans = ["--flair", one / "pre" / "FLAIR.nii.gz", "--t1", one / "pre" / "T1.nii.gz"]
    assert main(["segment", "--model", str(made), *map(str, scans), "--output", str(mask)]) == 0
    assert mask.exists()

    # Again: nothing is done. Another plan: refused.
    before = (made / "preset.json").stat().st_mtime_ns
    assert train(SYNTHETIC, tmp_path, *words) == 0
    assert "complete already" in capsys.readouterr().err
    assert (made / "preset.json").stat().st_mtime_ns == before
    # So with the file of an earlier version, which had fewer keys.
    plan = tmp_path / "out" / "plan.json"
    old = json.loads(plan.read_text())
    del old["readers"], old["flips"]
    plan.write_text(json.dumps(old))
    assert train(SYNTHETIC, tmp_path, *words) == 0
    assert "complete already" in capsys.readouterr().err
    plan.write_text(json.dumps(old)[:-1])
    assert train(SYNTHETIC, tmp_path, *words) == 121
    assert "plan.json" in capsys.readouterr().err
    plan.write_text(json.dumps(old))
    assert train(SYNTHETIC, tmp_path, *words, "--set", "fitting.average=0.9") == 121
    assert "another plan" in capsys.readouterr().err


def test_an_ensemble_of_different_networks_grown_from_finished_members(
    tmp_path: Path, labels_folder: Path, phantom: Phantom, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """From plan to mask: members of two networks, then members grown from those of the model."""
    recipe = replace(SYNTHETIC.synthesis.recipe, small_lesions=1.0)
    both = (
        Run("plain", "tiny", steps=1, batch=2, rate=0.01),
        Run("wide", "tiny", {"wide": True}, steps=1, batch=2, rate=0.01,
            recipe=replace(recipe, reader="sparing", thickness_mm=(1.0, 3.0)), loss="blob"),
    )  # fmt: skip
    fitting = replace(SYNTHETIC.fitting, loss="lesion-weighted", average=0.9)
    plan = replace(
        SYNTHETIC,
        name="mixed",
        synthesis=Synthesis(recipe, scans=2, slices=3),
        fitting=fitting,
        runs=both,
    )
    first = tmp_path / "first"
    first.mkdir()
    assert train(plan, first, "--labels", labels_folder) == 0
    made = store.read_model(first / "out" / "mixed")
    networks = [(one.network, one.options, one.parameters) for one in made.preset.members]
    assert networks == [("tiny", {}, 3), ("tiny", {"wide": True}, 4 * 2 + 4 + 4 + 1)]
    card = (made.folder / "MODEL_CARD.md").read_text()
    assert "* wide: thickness_mm 1.0, 3.0; reader sparing; loss blob" in card
    assert "* plain" not in card
    assert plan_files.from_json((made.folder / "plan.json").read_text()) == plan

    # Grown from the finished files of that model: what is taken is all there is.
    grown = replace(
        plan,
        name="grown",
        runs=tuple(
            replace(run, start_from=str(made.folder / f"{run.name}.safetensors"))
            for run in plan.runs
        ),
    )
    capsys.readouterr()
    second = tmp_path / "second"
    second.mkdir()
    assert train(grown, second, "--labels", labels_folder) == 0
    told = capsys.readouterr().err
    assert "from plain.safetensors, 2 of 2 arrays taken" in told
    assert "from wide.safetensors, 4 of 4 arrays taken" in told

    # The program knows the ensemble: what it lists, both engines, and each member alone.
    monkeypatch.setenv("WMHSEG_MODELS", str(second / "out"))
    assert main(["models"]) == 0
    listed = capsys.readouterr().out
    assert "1 x tiny, 1 x tiny (wide True)" in listed
    one = case(tmp_path / "case", phantom)
    scans = ["--flair", one / "pre" / "FLAIR.nii.gz", "--t1", one / "pre" / "T1.nii.gz"]
    maps = []
    model = store.find("grown")
    names = [str(second / "out" / "grown")]
    for place, member in enumerate(contender.member_models(model)):
        assert [m.file for m in member.preset.members] == [
            f"{('plain', 'wide')[place]}.safetensors"
        ]
        alone = store.save_model(
            tmp_path / member.preset.name,
            member.preset,
            [store.load(model, member.preset.members[0])],
            "# One member",
            dtype="float32",
        )
        names.append(str(alone.folder))
    for name in names:
        for engine in ("keras", "openvino"):
            number = len(maps)
            path = tmp_path / f"{number}.nii.gz"
            words = ["segment", "--model", name, *map(str, scans), "--engine", engine]
            paths = ["--output", str(tmp_path / f"mask{number}.nii.gz")]
            assert main([*words, *paths, "--probability", str(path)]) == 0
            maps.append(images.read_scan(path, name="probability").array)
    for keras_map, openvino_map in zip(maps[::2], maps[1::2], strict=True):
        np.testing.assert_allclose(keras_map, openvino_map, atol=1e-4)
    np.testing.assert_allclose(maps[0], (maps[2] + maps[4]) / 2, atol=1e-4)
    assert np.abs(maps[2] - maps[4]).max() > 1e-3


def finished(folder: Path) -> Path:
    """The weights of a model that was made before, beside its preset."""
    run = Run("plain", "tiny")
    plan = replace(SYNTHETIC, name="first", runs=(run,))
    rng = np.random.default_rng(3)
    shapes = fit.describe(plan, run, FIELD).variables()
    tensors = {
        path: rng.normal(size=shape).astype("f2").astype("f4") for path, shape in shapes.items()
    }
    made = store.save_model(folder / "first", model_folder.preset_of(plan, (run,)), [tensors], "")
    return made.folder / "plain.safetensors"


def test_members_are_taken_as_they_are(
    tmp_path: Path, labels_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the bit, without a batch, a checkpoint or a log; beside members that are trained."""
    source = finished(tmp_path)
    before = source.read_bytes()
    plan = replace(
        SYNTHETIC,
        name="second",
        runs=(
            Run("taken", "tiny", start_from=str(source), steps=0, batch=2, loss="dice"),
            Run("0", "tiny", start_from=str(source), steps=1, batch=2, rate=0.1),
            Run("again", "tiny", start_from="0", steps=0, batch=2),
        ),
    )
    assert train(plan, tmp_path, "--labels", labels_folder) == 0
    told = capsys.readouterr().err
    assert f"taken: taken as it is from {source}" in told
    assert "again: taken as it is from 0" in told
    assert "0: 1 steps" in told
    assert "taken: 0 steps" not in told
    out = tmp_path / "out"
    model = out / "second"
    names = [one.file for one in store.read_model(model).preset.members]
    assert names == ["taken.safetensors", "0.safetensors", "again.safetensors"]
    assert (model / "taken.safetensors").read_bytes() == before
    assert (model / "again.safetensors").read_bytes() == (model / "0.safetensors").read_bytes()
    assert (model / "0.safetensors").read_bytes() != before
    assert [path.name for path in out.glob("*.csv")] == ["0.csv"]
    card = (model / "MODEL_CARD.md").read_text()
    # Not where it lay on this machine.
    assert f"* taken: taken as it is from `{source.parent.name}/{source.name}`" in card
    assert "Member again is what run 0 has learnt." in card
    assert "* 0: taken" not in card
    assert "* taken: loss" not in card  # which it was not trained by


@pytest.mark.parametrize(
    ("options", "ceiling", "alone", "code", "told"),
    [
        ({"wide": True}, 1.8, False, 120, "plan's options, {'wide': True} (steps 0)"),
        ({}, 1.5, False, 120, "plan's preprocessing.ceiling, 1.5 (steps 0)"),
        ({"wide": True}, 1.8, True, 103, "exactly the network"),
    ],
)
def test_weights_for_another_use_are_not_taken_as_they_are(
    tmp_path: Path, labels_folder: Path, capsys: pytest.CaptureFixture[str],
    options: dict[str, Any], ceiling: float, alone: bool, code: int, told: str,
) -> None:  # fmt: skip
    """Told before anything is written: what lies beside the file says it, or its arrays do."""
    source = finished(tmp_path)
    if alone:
        source = source.rename(tmp_path / "plain.safetensors")
    taken = Run("taken", "tiny", options, start_from=str(source), steps=0, batch=2)
    prepared = replace(SYNTHETIC.preprocessing, ceiling=ceiling)
    plan = replace(SYNTHETIC, preprocessing=prepared, runs=(*SYNTHETIC.runs, taken))
    assert train(plan, tmp_path, "--labels", labels_folder) == code
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out" / "plan.json").exists()


def test_a_start_that_is_not_there_is_told_before_anything_is_trained(
    tmp_path: Path, labels_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = replace(SYNTHETIC.runs[0], member=True, start_from="nowhere/0.safetensors")
    plan = replace(SYNTHETIC, runs=(run,))
    assert train(plan, tmp_path, "--labels", labels_folder) == errors.MissingFileError.exit_code
    assert "nowhere/0.safetensors" in capsys.readouterr().err
    assert not (tmp_path / "out" / "plan.json").exists()


def test_other_labels_are_refused(
    tmp_path: Path, labels_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one_run = replace(SYNTHETIC, runs=(replace(SYNTHETIC.runs[0], member=True),))
    assert train(one_run, tmp_path, "--labels", labels_folder) == 0
    card = (tmp_path / "out" / "tiny-synthetic" / "MODEL_CARD.md").read_text()
    assert "Nothing has been measured" in card
    other = tmp_path / "labels"
    other.mkdir()
    (other / "02.nii.gz").write_bytes((labels_folder / "01.nii.gz").read_bytes())
    assert train(one_run, tmp_path, "--labels", other) == errors.ResumeError.exit_code
    assert "data.json" in capsys.readouterr().err
    # A model of that name that is of no training in this folder is not touched.
    (tmp_path / "out" / "plan.json").unlink()
    assert train(one_run, tmp_path, "--labels", labels_folder) == errors.ResumeError.exit_code


@pytest.fixture
def data(tmp_path: Path, phantom: Phantom) -> Path:
    """Two good cases of two scanners, and a third scan of the first patient."""
    folder = tmp_path / "data" / "training"
    case(folder / "Utrecht" / "0", phantom)
    case(folder / "Singapore" / "50", phantom)
    case(folder / "Singapore" / "51", phantom)
    return tmp_path / "data"


def test_published_training_with_a_split(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "patients.tsv"
    table.write_text("case\tpatient\n0\tanna\n50\tbert\n51\tanna\n")
    split = ["--data", data, "--patients", table, "--split", "loso", "--fold", "2"]
    assert train(PUBLISHED, tmp_path, *split, "--check") == 0
    told = capsys.readouterr()
    assert "2 scans of 1 patients, 40 slices" in told.out
    # All are one phantom, and whoever is left out was trained on.
    assert told.err.count("50, 51, 0 have the same FLAIR scan") == 1
    assert not (tmp_path / "out" / "plan.json").exists()
    assert train(PUBLISHED, tmp_path, *split) == 0
    made = tmp_path / "out" / "tiny-published"
    for folder in (made, tmp_path / "out"):
        found = json.loads((folder / "split.json").read_text())
        assert [row["case"] for row in found["test"]] == ["50"]
        assert [row["patient"] for row in found["train"]] == ["anna", "anna"]
    # 2 scans of 20 slices, 2 copies, 10 a batch.
    lines = (tmp_path / "out" / "0.csv").read_text().splitlines()
    assert lines[1].startswith("8,1.00,80,")
    assert not (tmp_path / "out" / "prepared").exists()
    assert train(PUBLISHED, tmp_path, *split[:-1], "1") == errors.ResumeError.exit_code
    assert "split" in capsys.readouterr().err


def test_broken_subjects_are_told_at_the_end(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "training" / "Utrecht" / "0" / "pre" / "T1.nii.gz").unlink()
    code = errors.SubjectsSkippedError.exit_code
    assert train(PUBLISHED, tmp_path, "--data", data, "--check") == code
    assert train(PUBLISHED, tmp_path, "--data", data) == code
    told = capsys.readouterr()
    assert "warning: skipped 0: A T1 scan was expected" in told.err
    assert "Received: 2; skipped: 0." in told.err
    assert store.read_model(tmp_path / "out" / "tiny-published").preset.members
    card = (tmp_path / "out" / "tiny-published" / "MODEL_CARD.md").read_text()
    assert "1 broken subjects were skipped" in card


def test_a_dry_run_tells_and_trains_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = touch(
        tmp_path / "data",
        *("a/FLAIR.nii", "a/T1.nii", "a/wmh.nii", "b_FLAIR.nii", "b_wmh.nii", "c/pre/FLAIR.nii"),
        *("sub-1_ses-2_FLAIR.nii", "sub-1_ses-2_T1w.nii", "sub-1_ses-2_label-WMH_mask.nii"),
        *("d/FLAIR.nii", "d/FLAIR.nii.gz", "d/T1.nii", "d/wmh.nii", "e_FLAIR.nii"),
    )
    (data / "a/T1.nii").write_text("version https://git-lfs.github.com/spec/v1\n")
    before = sorted(tmp_path.rglob("*"))
    words = ["train", "--data", str(data), "--dry-run"]
    assert main(words) == 0
    told = capsys.readouterr()
    names, *rows = (line.split("\t") for line in told.out.splitlines())
    assert names == ["subject", "patient", "flair", "t1", "mask", "why_not"]
    found = {row[0]: row[1:] for row in rows}
    assert set(found) == {"a", "b", "c", "d", "sub-1_ses-2"}
    scans = [str(data / f"sub-1_ses-2_{name}.nii") for name in ("FLAIR", "T1w", "label-WMH_mask")]
    assert found["sub-1_ses-2"] == ["sub-1", *scans, ""]
    assert "Git LFS pointer" in found["a"][4]
    assert found["b"][2] == "n/a"
    assert found["b"][4] == "no T1 scan, which this plan needs"
    assert found["c"][3:] == ["n/a", f"missing reference: no wmh.nii.gz or wmh.nii in {data / 'c'}"]
    assert found["d"][1] == "n/a"
    assert "several FLAIR scans" in found["d"][4]
    assert "e_FLAIR.nii" in told.err
    assert sorted(tmp_path.rglob("*")) == before
    table = tmp_path / "t.tsv"
    table.write_text("case\tpatient\na\tanna\n")
    assert main([*words, "--patients", str(table)]) == errors.TableError.exit_code


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--labels", "l", "--dry-run"], 2, "--data DIR was expected with --dry-run"),
        (["--dry-run"], 2, "--data DIR was expected"),
        (["--data", "nowhere", "--dry-run"], 80, "nowhere"),
        (["--print-plan", "--preset", "published"], 0, ""),
        (["--output", "o"], 2, "--data DIR was expected"),
        (["--labels", "l"], 2, "--output DIR"),
        (["--labels", "l", "--data", "d", "--output", "o"], 2, "--data and --labels"),
        (["--preset", "published", "--labels", "l", "--output", "o"], 2, "--data DIR"),
        (["--preset", "x", "--print-plan"], 2, "published-stack"),
        (["--preset", "synthetic", "--config", "c", "--print-plan"], 2, "both"),
        (["--config", "nowhere.json", "--print-plan"], 80, "nowhere.json"),
        (["--set", "runs.0.steps=x", "--print-plan"], 120, "runs[0].steps"),
        (["--labels", "nowhere", "--output", "o"], 80, "label maps"),
        (["--labels", "l", "--output", "o", "--log-every", "0"], 2, "--log-every"),
    ],
)
def test_usage(
    words: list[str],
    code: int,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *words]) == code
    captured = capsys.readouterr()
    assert told in captured.err
    if code == 0:
        assert plan_files.from_json(captured.out) == PLANS["published"]


PARALLEL = """
import sys
from pathlib import Path
sys.path[:0] = [{root!r}, *{tests!r}]
import keras
import test_fit
from wmhseg.networks.catalogue import NETWORKS
from wmhseg.networks.graph import Graph
def tiny(signature):
    return Graph("tiny", signature.output_layer(signature.only_input()))
NETWORKS["tiny"] = tiny
if __name__ == "__main__":
    made = test_fit.go(test_fit.task(Path({folder!r})), say=print)
    print(sorted(made), made["output/kernel"].ravel().tolist())
    assert keras.distribution.distribution() is None
"""


@pytest.mark.slow
def test_jax_spreads_batches_over_devices(tmp_path: Path) -> None:
    """Two pretended devices; the weights are those of one, but for rounding."""
    pytest.importorskip("jax")
    ends = []
    for count in (1, 2):
        script = tmp_path / f"{count}.py"
        folder = str(tmp_path / str(count))
        tests = [str(ROOT / "tests"), str(ROOT / "tests" / "training")]
        script.write_text(PARALLEL.format(root=str(ROOT), tests=tests, folder=folder))
        flags = f"--xla_force_host_platform_device_count={count}"
        environment = os.environ | {"KERAS_BACKEND": "jax", "XLA_FLAGS": flags}
        done = subprocess.run(
            [sys.executable, script],
            env=environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert ("computing on 2 of 2 devices" in done.stdout) == (count == 2)
        ends.append(json.loads(done.stdout.splitlines()[-1].partition("] ")[2]))
    assert ends[0] == pytest.approx(ends[1], rel=1e-4)


def test_keras_is_asked_for_before_any_data_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(backends, "has_keras", lambda: False)
    words = ["train", "--data", str(tmp_path / "nowhere"), "--output", str(tmp_path / "out")]
    assert main(words) == errors.DeviceError.exit_code
    assert "pip install '.[tensorflow]'" in capsys.readouterr().err
    assert main([*words, "--check"]) == errors.MissingFileError.exit_code


# Patches ------------------------------------------------------------------------------------------


def test_strokes_are_needed_where_patches_are_cut_around_them(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["train", "--preset", "published-uresnet", "--data", str(data), "--output", str(out)]
    for more in ([], ["--check"]):
        assert main([*words, *more]) == errors.LabelsError.exit_code
        told = capsys.readouterr().err
        assert "Voxels of stroke (label 2)" in told
        assert "none in 3 cases" in told
        assert not out.exists()


def test_the_best_epoch_needs_cases_to_choose_it_by(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["train", "--preset", "published-location", "--data", str(data), "--output", str(out)]
    assert main(words) == errors.UsageError.exit_code
    assert "--validation DIR, or a --split" in capsys.readouterr().err
    assert not out.exists()


def test_patches_with_stroke_train_a_model(
    tmp_path: Path, phantom: Phantom, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two steps of small batches, on pixels of 1 mm; its masks have two labels."""
    write_case(tmp_path / "data" / "x", phantom, label_2=True)
    out = tmp_path / "out"
    words = ["train", "--preset", "published-uresnet", "--data", tmp_path / "data", "--output", out]
    how = ["--device", "cpu", "--threads", "1", "--producers", "1", "--set", "sampling.side=16"]
    small = ["--set", "runs.0.steps=2", "--set", "runs.0.batch=2"]
    assert main([*map(str, words), *how, *small]) == 0
    made = store.read_model(out / "uresnet-published").preset
    assert made.labels.names == ("background", "WMH", "stroke")
    assert [one.label for one in made.others] == ["stroke"]
    assert made.members[0].parameters == 1_044_547
