"""Ensembles of networks: each computed once, tuned ones on the source that they have not seen."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from conftest import Phantom, write_case

import wmhseg
from evaluation.ensembles import __main__ as program
from evaluation.ensembles import exchange, members, tune
from wmhseg.datasets import cases
from wmhseg.errors import PlanError
from wmhseg.io import images
from wmhseg.scoring import metrics
from wmhseg.training import plan_checks, plan_files, session
from wmhseg.training.refining.rules import Kept
from wmhseg.weights import preset, store


def _cells(text: str, ensemble: str) -> list[str]:
    (line,) = [one for one in text.splitlines() if one.startswith(f"| {ensemble} |")]
    return [cell.strip() for cell in line.split("|")[2:-1]]


@pytest.fixture
def data(phantom: Phantom, tmp_path: Path) -> Path:
    for name in ("a-1", "a-2", "b-1"):
        write_case(tmp_path / "data" / name, phantom)
    return tmp_path / "data"


def test_the_mean_of_maps() -> None:
    one = np.zeros((2, 3, 4), np.float32)
    two = one.copy()
    one[0, 1, 2], two[0, 1, 2], two[1, 2, 3] = 0.5, 0.25, 1.0
    mean = members.mean([Kept.of(one), Kept.of(two)])
    assert mean[0, 1, 2] == 0.375
    assert mean[1, 2, 3] == 0.5
    assert np.count_nonzero(mean) == 2


def test_a_model_is_the_mean_of_its_members(
    data: Path, use_models: Path, no_doubts: None, tmp_path: Path, phantom: Phantom
) -> None:
    words = ["--data", str(data), "--models", "bright", "--output", str(tmp_path / "out")]
    assert program.main([*words, "--ensemble", "0", "--ensemble", "0+1", "--low", "b-1"]) == 0
    text = (tmp_path / "out" / "ensembles.md").read_text()
    (case,) = (one for one in cases.find_cases(data) if one.name == "b-1")
    assert case.flair is not None
    mask = wmhseg.segment(case.flair, case.t1, model="bright").mask
    dsc = metrics.dsc(phantom.lesions, mask > 0)
    assert 0 < dsc < 1  # lesions in the end slices are not marked
    dsc_cell, _, low, small, *of_sources = _cells(text, "0+1")
    assert dsc_cell == f"{dsc:.3f} (0.000)"
    assert low == f"{dsc:.3f}"
    assert small.endswith(")")
    assert of_sources[:2] == [f"{dsc:.3f}"] * 2
    assert "n = 3 scans" in text
    assert program.main([*words, "--reader", "sparing"]) == 2  # it has none
    assert program.main([*words, "--threshold", "0.2", "--lesion-peak", "0.4"]) == 0
    assert "own rules: 0.2, peak 0.4" in (tmp_path / "out/ensembles-0.2-peak-0.4.md").read_text()
    assert (tmp_path / "out" / "ensembles.md").read_text() == text
    assert program.main([*words, "--masks", "--flair-only"]) == 0
    assert (tmp_path / "out" / "ensembles-flair-only.md").exists()
    assert program.main([*words, "--masks"]) == 0
    (found,) = (tmp_path / "out").glob("masks/*/b-1/result.nii.gz")
    assert found.parent.parent.name == "0+1"
    assert np.array_equal(images.read_labels(found)[0], mask)


def test_a_sure_network_is_wrong_as_often_as_readers_differ(
    data: Path, use_models: Path, no_doubts: None, tmp_path: Path, phantom: Phantom
) -> None:
    """Of one case a reader marks every other slice only: half of what is said is wrong."""
    case = next(one for one in cases.find_cases(data) if one.name == "b-1")
    assert case.reference is not None
    image = sitk.ReadImage(str(case.reference))
    labels = sitk.GetArrayFromImage(image)
    labels[::2] = 0
    said = wmhseg.segment(str(case.flair), str(case.t1), model="bright").mask > 0
    other = np.flatnonzero(said)[::7]
    labels.ravel()[other] = 2  # another abnormality: neither right nor wrong
    fewer = sitk.GetImageFromArray(labels)
    fewer.CopyInformation(image)
    sitk.WriteImage(fewer, str(case.reference))
    wrong = 1 - labels[said & (labels != 2)].mean()
    assert 0.3 < wrong < 0.7
    words = ["--data", str(data), "--models", "bright", "--output", str(tmp_path / "out")]
    assert program.main([*words, "--ensemble", "0"]) == 0
    error = _cells((tmp_path / "out" / "ensembles.md").read_text(), "0")[-1]
    assert error == f"{wrong / 3:.4f} ({wrong / 3**0.5:.4f})"  # of 0, 0 and this


def test_a_tuned_network_is_shown_what_it_has_not_seen_and_may_be_deleted_then(
    data: Path, use_models: Path, no_doubts: None, tmp_path: Path
) -> None:
    """That of source a marks what is bright, that of b nothing at all."""
    folds, out = tmp_path / "folds", tmp_path / "out"
    model = store.read_model(use_models / "bright-flair")
    tensors = store.load(model, model.preset.members[0])
    silent = {**tensors, "output/bias": np.full_like(tensors["output/bias"], -1e4)}
    for source, weights in (("a", tensors), ("b", silent)):
        made = preset.with_changes(model.preset, name="tuned")
        store.save_model(folds / source / "tuned", made, [weights], "# tuned\n")
    words = ["--data", str(data), "--models", "bright", "--output", str(out)]
    words += ["--tuned", f"mine={folds}", "--ensemble", "mine", "--ensemble", "0"]
    assert program.main(words) == 0
    text = (out / "ensembles.md").read_text()
    assert _cells(text, "mine")[3] == _cells(text, "0")[3] != "0.000"  # source a
    assert _cells(text, "mine")[4] == "0.000"
    shutil.rmtree(folds)
    assert program.main(words) == 80  # not silently what a network of this name once said
    assert program.main([*words, "--kept-maps"]) == 0
    assert (out / "ensembles.md").read_text() == text


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--ensemble", "0+9"], "received: 9"),
        (["--low", "c-1"], "received: c-1"),
        (["--tuned", "0=somewhere"], "received: 0=somewhere"),
    ],
)
def test_what_is_not_there(
    data: Path,
    use_models: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    said: str,
) -> None:
    words = ["--data", str(data), "--models", "bright", "--output", str(tmp_path / "out"), *more]
    assert program.main(words) == 2
    assert said in capsys.readouterr().err.lower()


def test_each_source_is_left_out_once(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: dict[str, list[str]] = {}

    def train(one: Any, running: object, say: object) -> None:
        trained[one.output.name] = [scan.name for scan in one.data.own.scans]
        assert one.plan.refinement.real == 0.25
        assert one.plan.augmentation.without_t1 == one.plan.synthesis.recipe.without_t1 == 0.5

    monkeypatch.setattr(session, "train", train)
    words = ["--data", str(data), "--labels", str(tmp_path), "--start", "start.safetensors"]
    words += ["--output", str(tmp_path / "out"), "--real", "0.25", "--without-t1", "0.5"]
    assert tune.main(words) == 0
    assert trained == {"a": ["b-1"], "b": ["a-1", "a-2"], "all": ["a-1", "a-2", "b-1"]}
    trained.clear()
    assert tune.main([*words, "--left-out", "b"]) == 0
    assert list(trained) == ["b"]
    assert tune.main([*words, "--left-out", "c"]) == 2
    (data / "b-1").rename(data / "all-1")
    assert tune.main(words) == 2  # it would be taken for none left out
    (data / "all-1").rename(data / "a-3")
    assert tune.main(words) == 2  # one source
    assert list(trained) == ["b"]


def test_a_member_is_exchanged_and_all_else_stays(use_models: Path, tmp_path: Path) -> None:
    model = store.read_model(use_models / "bright")
    first, second = (store.load(model, one) for one in model.preset.members)
    other = {name: array + 0.25 for name, array in first.items()}
    alone = preset.with_changes(model.preset, name="tuned", members=model.preset.members[:1])
    store.save_model(tmp_path / "tuned", alone, [other], "# tuned\n", dtype="float32")
    words = ["--model", "bright", "--by", str(tmp_path / "tuned")]
    out = tmp_path / "mixed-without-a"
    assert exchange.main([*words, "--member", "1", "--output", str(out)]) == 0
    made = store.read_model(out)
    for tensors, wanted in zip(
        (store.load(made, one) for one in made.preset.members), (first, other), strict=True
    ):
        assert tensors.keys() == wanted.keys()
        assert all(np.array_equal(tensors[name], wanted[name]) for name in wanted)
    digests = [one.sha256 for one in made.preset.members]
    old = preset.with_changes(made.preset, name="bright", members=model.preset.members)
    assert old == model.preset
    assert len({*digests, model.preset.members[1].sha256}) == 3
    assert second.keys() == first.keys()


@pytest.mark.parametrize(
    ("member", "by", "said"),
    [
        ("9", "bright-flair", "A member of bright was expected (0, 1). Received: 9"),
        ("0", "bright", "A model of one network was expected. Received: 2"),
        ("0", "bright-flair", "A network with the inputs of 0 was expected"),
    ],
)
def test_what_cannot_be_exchanged(
    use_models: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    member: str,
    by: str,
    said: str,
) -> None:
    words = ["--model", "bright", "--member", member, "--by", by]
    assert exchange.main([*words, "--output", str(tmp_path / "made")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


def test_numbers_that_make_no_plan_are_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(data), "--labels", str(tmp_path), "--start", "start.safetensors"]
    assert tune.main([*words, "--output", str(tmp_path / "out"), "--real", "1.5"]) != 0
    assert "refinement.real" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_plan_that_is_shipped_is_that_of_the_command() -> None:
    folder = store.find("mixed-tuned").folder
    how = tune.Tuning(Path("models/unet-synthetic/2.safetensors"), implanted=0.5)
    assert plan_files.from_json((folder / "plan.json").read_text()) == tune.plan_of(how)


def test_the_rate_may_fall_where_nothing_is_chosen_afterwards() -> None:
    plan = tune.plan_of(tune.Tuning(Path("start.safetensors")))
    assert plan.runs[0].final_rate == 0
    assert plan.refinement is not None
    with pytest.raises(PlanError, match="more than one look"):
        plan_checks.validate(replace(plan, refinement=replace(plan.refinement, looks=2)))


@pytest.mark.parametrize("kernel", [3, 5])
def test_stack_nets_are_tuned_as_they_are_shipped(kernel: int) -> None:
    run = tune.plan_of(tune.Tuning(Path("start.safetensors"), stack=kernel)).runs[0]
    (shipped,) = (
        member
        for member in store.find("mixed-synthetic").preset.members
        if member.file == f"stack{kernel}.safetensors"
    )
    assert (run.network, run.options) == (shipped.network, shipped.options)
    assert tune.plan_of(tune.Tuning(Path("start.safetensors"))).runs[0].network == "unet"
