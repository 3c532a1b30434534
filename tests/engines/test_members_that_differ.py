"""An ensemble of different networks, and flipped scans, through both engines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_preset, of_scan, random_tensors

from wmhseg.engines.interface import Engine
from wmhseg.engines.keras_engine import KerasEngine
from wmhseg.engines.openvino_engine import OpenVinoEngine
from wmhseg.engines.runtime import Runtime
from wmhseg.networks import catalogue, keras_model
from wmhseg.networks.graph import Convolution, Graph, Layer, Relu
from wmhseg.networks.signature import Signature
from wmhseg.segmentation import ensemble
from wmhseg.weights import store
from wmhseg.weights.preset import Member
from wmhseg.weights.processing import Preprocessing
from wmhseg.weights.store import Model

pytest.importorskip("openvino", reason="the optional extra openvino is not installed")

FIELD = (16, 24)


def plain(signature: Signature) -> Graph:
    """One convolution of 3 x 3."""
    maps = Layer(Convolution(4, 3), (signature.only_input(),), "maps")
    return Graph("plain", signature.output_layer(Layer(Relu(), (maps,), "maps_relu")))


def deep(signature: Signature, *, kernel: int = 3) -> Graph:
    """Two convolutions of any size."""
    maps = Layer(Convolution(3, kernel), (signature.only_input(),), "first")
    maps = Layer(Convolution(5, kernel), (Layer(Relu(), (maps,), "first_relu"),), "second")
    return Graph("deep", signature.output_layer(Layer(Relu(), (maps,), "second_relu")))


# Two kinds, one of them with two kernels, and the first kind again behind the others.
KINDS: list[tuple[str, dict[str, Any]]] = [
    ("plain", {}),
    ("deep", {"kernel": 3}),
    ("deep", {"kernel": 5}),
    ("plain", {}),
]


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalogue.NETWORKS, "plain", plain)
    monkeypatch.setitem(catalogue.NETWORKS, "deep", deep)


@pytest.fixture
def mixed(tmp_path: Path) -> Model:
    described = [catalogue.describe(n, of_scan(FIELD, 2), options) for n, options in KINDS]
    members = tuple(
        Member(f"{number}.safetensors", "0" * 64, network, options, one.parameter_count())
        for number, ((network, options), one) in enumerate(zip(KINDS, described, strict=True))
    )
    made = make_preset(name="mixed", members=members, preprocessing=Preprocessing(field=FIELD))
    tensors = [random_tensors(one, seed) for seed, one in enumerate(described)]
    return store.save_model(tmp_path / "mixed", made, tensors, "", dtype="float32")


def engine(name: str) -> Engine:
    if name == "openvino":
        return OpenVinoEngine(Runtime("openvino", "cpu", 1))
    import keras

    return KerasEngine(Runtime(keras.config.backend(), "cpu", 1))


def scan() -> np.ndarray:
    return np.random.default_rng(5).normal(size=(3, *FIELD, 2)).astype(np.float32)


def mean(model: Model, scan: np.ndarray, engine: Engine) -> np.ndarray:
    return ensemble.mean_probability({"scan": scan}, model, engine)[..., 0]


def changed(model: Model, **changes: Any) -> Model:
    return Model(model.folder, replace(model.preset, **changes))


@pytest.mark.parametrize("name", ["keras", "openvino"])
def test_the_mean_of_different_networks_is_that_of_each_alone(mixed: Model, name: str) -> None:
    alone = [mean(changed(mixed, members=(m,)), scan(), engine(name)) for m in mixed.preset.members]
    # None equals another: a mistaken network would be seen.
    assert min(np.abs(a - b).mean() for i, a in enumerate(alone) for b in alone[:i]) > 0.01
    one = engine(name)
    for _ in range(2):  # what is kept of the first scan serves the second
        np.testing.assert_allclose(mean(mixed, scan(), one), np.mean(alone, 0), atol=1e-6)
    backwards = changed(mixed, members=mixed.preset.members[::-1])
    np.testing.assert_allclose(mean(backwards, scan(), one), np.mean(alone, 0), atol=1e-6)


def test_keras_keeps_one_network_a_kind(mixed: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    built, build = [], keras_model.to_keras

    def counted(described: Graph, **types: Any) -> Any:
        built.append(described.name)
        return build(described, **types)

    monkeypatch.setattr(keras_model, "to_keras", counted)
    one = engine("keras")
    for _ in range(2):
        mean(mixed, scan(), one)
    assert sorted(built) == ["deep", "deep", "plain"]


@pytest.mark.parametrize("name", ["keras", "openvino"])
def test_flipped_scans_by_hand(mixed: Model, name: str) -> None:
    one = engine(name)
    as_it_is = mean(mixed, scan(), one)
    turned = mean(mixed, np.ascontiguousarray(scan()[:, :, ::-1]), one)[:, :, ::-1]
    assert np.abs(as_it_is - turned).mean() > 0.01  # kernels know left from right
    found = mean(changed(mixed, flips=True), scan(), one)
    np.testing.assert_allclose(found, (as_it_is + turned) / 2, atol=1e-6)
    np.testing.assert_array_equal(mean(changed(mixed, flips=False), scan(), one), as_it_is)
