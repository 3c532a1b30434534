"""A network of two ports, three inputs and two labels, through both engines, to a mask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Phantom, make_preset, random_tensors

import wmhseg
from wmhseg.engines.interface import Engine
from wmhseg.engines.keras_engine import KerasEngine
from wmhseg.engines.openvino_engine import OpenVinoEngine
from wmhseg.engines.runtime import Runtime
from wmhseg.errors import PresetError
from wmhseg.networks.catalogue import NETWORKS
from wmhseg.networks.graph import Concatenation, Convolution, Doubling, Graph, Layer, MaxPool, Relu
from wmhseg.networks.signature import Signature
from wmhseg.segmentation import ensemble
from wmhseg.weights import store
from wmhseg.weights.inputs import Input, Labels
from wmhseg.weights.preset import Member
from wmhseg.weights.processing import Postprocessing, Preprocessing
from wmhseg.weights.store import Model

pytest.importorskip("openvino", reason="the optional extra openvino is not installed")

FIELD = (16, 20)
# The ports take turns in the list, and "near" comes first in it; the graph meets "wide" first.
INPUTS = (
    Input("FLAIR", "FLAIR", "z-score", "error", "near"),
    Input("FLAIR in blocks", "FLAIR", "z-score", "error", "wide"),
    Input("T1", "T1", "z-score", "zero", "near"),
)
LABELS = Labels(("background", "WMH"), "softmax")


def two_ports(signature: Signature) -> Graph:
    """The largest of each 2 x 2 pixels of "wide" joins "near" in a 3 x 3 convolution, then ReLU."""
    small = Layer(MaxPool(), (signature.input_layer("wide"),), "blocks")
    large = Layer(Doubling(), (small,), "doubled")
    both = Layer(Concatenation(), (large, signature.input_layer("near")), "both")
    maps = Layer(Relu(), (Layer(Convolution(4, 3), (both,), "maps"),), "maps_relu")
    return Graph("two-ports", signature.output_layer(maps))


def by_hand(batch: dict[str, np.ndarray], weights: dict[str, np.ndarray]) -> np.ndarray:
    """The network in NumPy, float64: (slice, row, column, label)."""
    wide = batch["wide"].astype(np.float64)
    slices, rows, columns, channels = wide.shape
    blocks = wide.reshape(slices, rows // 2, 2, columns // 2, 2, channels).max((2, 4))
    both = np.concatenate([blocks.repeat(2, 1).repeat(2, 2), batch["near"]], -1)
    padded = np.pad(both, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    maps = np.einsum("srcikl,klio->srco", windows, weights["maps/kernel"].astype(np.float64))
    maps = np.maximum(maps + weights["maps/bias"], 0)
    scores = maps @ weights["output/kernel"][0, 0].astype(np.float64) + weights["output/bias"]
    exponentials = np.exp(scores - scores.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "two-ports", two_ports)


def saved(folder: Path, weights: list[dict[str, np.ndarray]], **changes: Any) -> Model:
    """Writes a model of some members and finds it by its folder."""
    count = sum(array.size for array in weights[0].values())
    members = tuple(
        Member(f"{number}.safetensors", "0" * 64, "two-ports", {}, count)
        for number in range(len(weights))
    )
    values = {"inputs": INPUTS, "labels": LABELS, "preprocessing": Preprocessing(field=FIELD)}
    made = make_preset(name=folder.name, members=members, **(values | changes))
    store.save_model(folder, made, weights, "", dtype="float32")
    return store.find(folder)


def described() -> Graph:
    return two_ports(Signature(FIELD, (("near", 2), ("wide", 1)), 2, "softmax"))


def batch(slices: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        port: rng.normal(size=(slices, *FIELD, channels)).astype(np.float32)
        for port, channels in (("near", 2), ("wide", 1))
    }


def engines() -> dict[str, Engine]:
    import keras

    return {
        "keras": KerasEngine(Runtime(keras.config.backend(), "cpu", 2)),
        "openvino": OpenVinoEngine(Runtime("openvino", "cpu", 2)),
    }


def test_both_engines_compute_what_is_computed_by_hand(tmp_path: Path) -> None:
    weights = random_tensors(described())
    model = saved(tmp_path / "toy", [weights])
    expected = by_hand(batch(3), weights)
    assert expected.shape == (3, *FIELD, 2)
    assert expected[..., 1].std() > 0.05
    for name, engine in engines().items():
        engine.load(model, model.preset.members[0])
        found = engine.predict(batch(3))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_the_mean_of_two_members(tmp_path: Path, size: int) -> None:
    """In batches that do not fit the number of slices; equal empty slices are computed once."""
    weights = [random_tensors(described(), seed) for seed in (0, 1)]
    model = saved(tmp_path / "toy", weights)
    stacks = batch(5)
    for stack in stacks.values():
        stack[[1, 4]] = -0.25
    expected = np.mean([by_hand(stacks, one) for one in weights], 0)
    for name, engine in engines().items():
        found = ensemble.mean_probability(stacks, model, engine, batch=size)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5, err_msg=name)
        np.testing.assert_array_equal(found[1], found[4])


def test_networks_of_other_labels_are_not_mixed_up(tmp_path: Path) -> None:
    """One engine, the same weight file, first by softmax and then by sigmoid."""
    weights = random_tensors(described())
    one = saved(tmp_path / "toy", [weights])
    other = saved(tmp_path / "other", [weights], labels=replace(LABELS, activation="sigmoid"))
    for name, engine in engines().items():
        sums = []
        for model in (one, other):
            engine.load(model, model.preset.members[0])
            sums.append(engine.predict(batch(1)).sum(-1))
        np.testing.assert_allclose(sums[0], 1, atol=1e-5, err_msg=name)
        assert np.abs(sums[1] - 1).max() > 0.1, name


@pytest.mark.parametrize("name", ["keras", "openvino"])
@pytest.mark.parametrize("labels", [("background", "WMH"), ("WMH", "background")])
@pytest.mark.parametrize("with_t1", [True, False])
def test_from_scans_to_a_mask(
    tmp_path: Path, phantom: Phantom, name: Any, labels: tuple[str, str], with_t1: bool
) -> None:
    """Bright pixels in bright blocks, but for those that are bright in T1 as well.

    In z-scores the phantom's FLAIR is about 23 in lesions and below 1 elsewhere: twice 23 where a
    lesion's pixel lies in a lesion's block, once 23 beside it. Without T1 its channel is 0.
    """
    t1 = phantom.t1.copy()
    t1[12][phantom.lesions[12]] = 900
    size = (64, 64)
    shapes = two_ports(Signature(size, (("near", 2), ("wide", 1)), 2, "softmax")).variables()
    weights = {path: np.zeros(shape, np.float32) for path, shape in shapes.items()}
    # Maps that are joined: FLAIR in blocks, then FLAIR and T1.
    for joined, made in ((0, 0), (1, 1), (2, 2)):
        weights["maps/kernel"][1, 1, joined, made] = 1
    wmh = labels.index("WMH")
    weights["output/kernel"][0, 0, :3, wmh] = 1, 1, -10
    weights["output/bias"][wmh] = -35
    model = saved(
        tmp_path / "toy",
        [weights],
        labels=Labels(labels, "softmax"),
        preprocessing=Preprocessing(field=size, orientation="LPS"),
        postprocessing=Postprocessing(threshold=0.5, end_slices=0.1),
    )
    told = wmhseg.segment(
        phantom.flair,
        t1 if with_t1 else None,
        spacing_mm=phantom.spacing_mm,
        model=model,
        options=wmhseg.Options(engine=name),
    )
    expected = phantom.lesions.copy()
    expected[:2] = expected[-2:] = False
    if with_t1:
        expected[12] = False
    assert expected.any()
    np.testing.assert_array_equal(told.mask, expected)
    assert any("No T1 was given" in line for line in told.report.warnings) == (not with_t1)


def test_the_published_networks_have_one_port(tmp_path: Path) -> None:
    model = saved(tmp_path / "toy", [random_tensors(described())])
    (member,) = model.preset.members
    for engine in engines().values():
        with pytest.raises(PresetError, match=r"One input layer was expected.*near, wide"):
            engine.load(model, replace(member, network="unet"))
