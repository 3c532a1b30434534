"""Labels besides WMH: from probabilities to masks of their own, and what is told about them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Phantom, make_preset, with_stroke, write_scan
from hypothesis import given, settings
from hypothesis import strategies as st

import wmhseg
from wmhseg import errors
from wmhseg.channels.network_input import NetworkInput
from wmhseg.cli.main import main
from wmhseg.geometry import Fit, Grid, Way, turn_to
from wmhseg.preparation.resampling import Resampling
from wmhseg.segmentation import ensemble, postprocessing, prediction
from wmhseg.segmentation.result import Segmentation
from wmhseg.weights import store
from wmhseg.weights.inputs import Labels
from wmhseg.weights.processing import OtherLabel, Postprocessing
from wmhseg.weights.store import Model

SAGITTAL = Grid((12, 10, 14), (0.9, 1.0, 1.1), (3, 4, 5), (0, 0, -1, 1, 0, 0, 0, -1, 0))
LABELS = Labels(("background", "stroke", "WMH", "tumour"), "softmax")


def predicted(
    way: Way,
    maps: np.ndarray,
    rules: tuple[OtherLabel, ...],
    post: Postprocessing,
    unknown: np.ndarray | None = None,
) -> prediction.Prediction:
    """What is made of probabilities (slice, row, column, label) on the network's voxels."""

    def said(*_: object, **__: object) -> np.ndarray:
        return maps[postprocessing.kept_slices(len(maps), post)]

    nothing: Any = None
    stacks = {"scan": np.zeros((*way.target.shape, 2), np.float32)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensemble, "mean_probability", said)
        preset = make_preset(labels=LABELS, others=rules, postprocessing=post)
        inputs = NetworkInput(stacks, way, {}, (), unknown=unknown)
        return prediction.predict(inputs, Model(nothing, preset), nothing)


def drawn(seed: int, shape: tuple[int, ...], steps: int = 10) -> np.ndarray:
    """Probabilities of the labels, in few steps, so that many are equal."""
    parts = np.random.default_rng(seed).integers(0, steps, (*shape, 4)).astype(np.float32)
    return parts / np.maximum(parts.sum(-1, keepdims=True), 1)


@given(st.integers(0, 10**6), st.sampled_from([0.2, 0.4, 0.5]), st.sampled_from([0.1, 0.3]))
@settings(max_examples=50)
def test_each_voxel_has_the_most_probable_label_that_it_may_have(
    seed: int, threshold: float, of_tumour: float
) -> None:
    """By hand, voxel by voxel, on a scan that is stored in sagittal slices."""
    turn = turn_to(SAGITTAL, "LPS")
    way = Way((turn, Fit(turn.target, (9, 16))))
    scan = drawn(seed, SAGITTAL.shape)
    maps = np.stack(
        [way.forward(np.ascontiguousarray(one)) for one in np.moveaxis(scan, -1, 0)], -1
    )
    rules = (OtherLabel("tumour", of_tumour), OtherLabel("stroke", threshold))
    made = predicted(way, maps, rules, Postprocessing(0.25, 0.2))
    # What the field cuts off is not seen: nothing is probable there.
    seen = np.stack([way.restore(one) for one in np.moveaxis(maps, -1, 0)], -1)
    seen[turn.restore(np.isin(np.arange(10), (0, 1, 8, 9))[:, None, None].repeat(14, 1).repeat(
        12, 2))] = 0  # fmt: skip
    wanted = np.full(SAGITTAL.shape, "", object)
    for place in np.ndindex(SAGITTAL.shape):
        _, stroke, wmh, tumour = seen[place]
        fits = {
            name: probability
            for name, probability, least in (
                ("tumour", tumour, of_tumour),
                ("stroke", stroke, threshold),
            )
            if probability > np.float32(least) and probability >= wmh
        }
        wanted[place] = max(fits, key=fits.__getitem__) if fits else "WMH" * bool(wmh > 0.25)
    np.testing.assert_array_equal(made.mask, wanted == "WMH")
    assert list(made.others) == ["tumour", "stroke"]
    for label, mask in made.others.items():
        assert mask.dtype == np.uint8
        np.testing.assert_array_equal(mask, wanted == label)
        probability = seen[..., LABELS.names.index(label)]
        np.testing.assert_array_equal(made.other_probabilities[label], probability)
    np.testing.assert_array_equal(made.probability, seen[..., 2])


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.6]), st.sampled_from([0.0, 3.0]))
@settings(max_examples=50)
def test_without_other_labels_wmh_is_as_ever(seed: int, peak: float, smallest: float) -> None:
    """And where others are never probable enough."""
    grid = Grid((8, 7, 6), (1.0, 1.0, 1.0))
    way = Way((turn_to(grid, "LPS"), Fit(grid, (7, 6))))
    maps, post = drawn(seed, grid.shape), Postprocessing(0.4, 0.13, smallest, peak)
    alone = predicted(way, maps, (), post)
    assert alone.others == alone.other_probabilities == {}
    mask, probability = prediction.from_probability(
        np.where(np.isin(np.arange(8), (0, 7))[:, None, None], 0, maps[..., 2]), way, post
    )
    np.testing.assert_array_equal(alone.mask, mask)
    np.testing.assert_array_equal(alone.probability, probability)
    never = predicted(way, maps, (OtherLabel("stroke", 0.999),), post)
    certain = maps[1:-1, ..., 1] > 0.999
    assert never.others["stroke"].sum() == certain.sum()
    if not certain.any():
        np.testing.assert_array_equal(never.mask, mask)


def test_small_parts_of_other_labels_go_by_their_own_rule() -> None:
    """What is too small for a stroke does not become WMH."""
    grid = Grid((3, 6, 6), (2.0, 1.0, 1.0))
    way = Way((turn_to(grid, "LPS"), Fit(grid, (6, 6))))
    maps = np.zeros((*grid.shape, 4), np.float32)
    maps[..., 0] = 1
    for place in ((1, 0, 0), (1, 3, 3), (1, 3, 4), (2, 4, 5)):
        maps[place] = 0.0, 0.45, 0.45, 0.1
    maps[1, 0, 5] = 0, 0.1, 0.9, 0
    made = predicted(
        way, maps, (OtherLabel("stroke", 0.4, 6.0),), Postprocessing(0.4, 0, min_lesion_mm3=1)
    )
    # 2 mm3 a voxel: one voxel is too small; three that touch over an edge are not.
    assert np.argwhere(made.others["stroke"]).tolist() == [[1, 3, 3], [1, 3, 4], [2, 4, 5]]
    assert np.argwhere(made.mask).tolist() == [[1, 0, 5]]


def test_parts_of_other_labels_that_nowhere_peak_go() -> None:
    """Judged on the network's voxels, as those of WMH; the probability stays, and is no WMH."""
    grid = Grid((3, 8, 8), (2.0, 1.0, 1.0))
    coarse = Grid((3, 4, 4), (2.0, 2.0, 2.0), (0.5, 0.5, 0.0))
    way = Way((turn_to(grid, "LPS"), Resampling(grid, coarse), Fit(coarse, (4, 4))))
    maps = np.zeros((3, 4, 4, 4), np.float32)
    maps[..., 0] = 1
    maps[1, 0, 0], maps[1, 3, 3] = (0, 0.95, 0.05, 0), (0, 0.85, 0.15, 0)
    free, held, both = (
        predicted(way, maps, (OtherLabel("stroke", 0.4, 0, peak),), Postprocessing(0.4, 0))
        for peak in (0.0, 0.9, 0.96)
    )
    assert free.others["stroke"][1, :4, :4].any()
    assert free.others["stroke"][1, 4:, 4:].any()
    np.testing.assert_array_equal(held.others["stroke"][1, :4], free.others["stroke"][1, :4])
    assert not held.others["stroke"][1, 4:].any()
    assert not both.others["stroke"].any()
    for one in (held, both):
        assert not one.mask.any()
        np.testing.assert_array_equal(
            one.other_probabilities["stroke"], free.other_probabilities["stroke"]
        )


def test_nothing_is_marked_where_nothing_is_known() -> None:
    grid = Grid((4, 5, 6), (1.0, 1.0, 1.0))
    way = Way((turn_to(grid, "LPS"), Fit(grid, (5, 6))))
    maps = np.zeros((*grid.shape, 4), np.float32)
    maps[..., 1] = 0.9
    unknown = np.zeros(grid.shape, bool)
    unknown[2, 1:] = True
    made = predicted(way, maps, (OtherLabel("stroke"),), Postprocessing(0.5, 0), unknown)
    np.testing.assert_array_equal(made.others["stroke"], ~unknown)
    assert not made.other_probabilities["stroke"][unknown].any()
    assert not made.mask.any()


# Through a network ------------------------------------------------------------------------------


@pytest.fixture
def found(phantom: Phantom, stroke_model: Path, no_doubts: None) -> Segmentation:
    flair, _ = with_stroke(phantom)
    return wmhseg.segment(flair, spacing_mm=phantom.spacing_mm, model=stroke_model)


def test_stroke_is_told_apart_from_wmh(phantom: Phantom, found: Segmentation) -> None:
    _, stroke = with_stroke(phantom)
    wmh = phantom.lesions & ~stroke
    wmh[:2] = wmh[-2:] = stroke[:2] = False
    np.testing.assert_array_equal(found.others["stroke"], stroke)
    np.testing.assert_array_equal(found.mask, wmh)
    probability = found.other_probabilities["stroke"]
    assert probability[stroke].min() > 0.9
    assert probability[~stroke].max() < 0.1
    report = json.loads(found.report.to_json())
    assert report["others"] == {
        "stroke": {
            "volume_ml": pytest.approx(0.0027 * 18, abs=1e-4),
            "lesion_count": 1,
            "largest_lesion_ml": pytest.approx(0.0027 * 18, abs=1e-4),
            "threshold": 0.5,
            "min_lesion_mm3": 0.0,
            "lesion_peak": 0.0,
        }
    }
    assert report["volume_ml"] == pytest.approx(0.0027 * 54, abs=1e-4)
    assert "stroke       0.05 ml, 1 lesion, largest 0.05 ml" in found.report.to_lines()


def test_masks_of_stroke_are_written_when_asked_for(found: Segmentation, tmp_path: Path) -> None:
    from wmhseg.io import images

    removed = found.save(tmp_path / "wmh.nii.gz", others={"stroke": tmp_path / "s.nii.gz"})
    assert removed == []
    mask, grid = images.read_labels(tmp_path / "s.nii.gz")
    np.testing.assert_array_equal(mask, found.others["stroke"])
    assert grid.difference(found.grid) == ""
    mask, _ = images.read_labels(tmp_path / "wmh.nii.gz")
    np.testing.assert_array_equal(mask, found.mask)
    files = json.loads((tmp_path / "wmh.json").read_text())["files"]
    assert files == {"mask": "wmh.nii.gz", "mask_of_stroke": "s.nii.gz"}
    # A later result without it leaves no mask of stroke that is not its own.
    assert found.save(tmp_path / "wmh.nii.gz") == [tmp_path / "s.nii.gz"]
    assert not (tmp_path / "s.nii.gz").exists()


def test_labels_that_are_not_marked_cannot_be_saved(found: Segmentation, tmp_path: Path) -> None:
    for label in ("tumour", "background", "WMH"):
        with pytest.raises(errors.UsageError, match=f"marks {label} besides WMH"):
            found.save(tmp_path / "out" / "wmh.nii.gz", others={label: tmp_path / "t.nii.gz"})
    assert not list(tmp_path.iterdir())


def test_a_label_without_a_rule_is_not_marked(
    phantom: Phantom, stroke_model: Path, tmp_path: Path, no_doubts: None
) -> None:
    model = store.find(stroke_model)
    plain = Model(model.folder, replace(model.preset, others=()))
    flair, _ = with_stroke(phantom)
    result = wmhseg.segment(flair, spacing_mm=phantom.spacing_mm, model=plain)
    assert result.others == {}
    assert json.loads(result.report.to_json())["others"] == {}
    write_scan(tmp_path / "f.nii.gz", flair, phantom.spacing_mm)


def test_what_a_user_of_a_label_has_to_know_stands_with_every_result(
    phantom: Phantom,
    stroke_model: Path,
    tmp_path: Path,
    no_doubts: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:

    model, said = store.find(stroke_model), "Large ones are missed."
    rules = (replace(model.preset.others[0], caution=said),)
    made = replace(model.preset, name="cautious", others=rules)
    weights = dict(store.load(model, model.preset.members[0]))
    store.save_model(tmp_path / "cautious", made, [weights], "")
    with pytest.warns(wmhseg.WmhsegWarning, match="stroke: Large ones are missed"):
        found = wmhseg.segment(
            phantom.flair, spacing_mm=phantom.spacing_mm, model=tmp_path / "cautious"
        )
    assert found.report.warnings[-1] == f"stroke: {said}"
    monkeypatch.setenv("WMHSEG_MODELS", str(tmp_path))
    assert main(["models"]) == 0
    assert said in capsys.readouterr().out
