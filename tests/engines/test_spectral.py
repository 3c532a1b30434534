"""Large convolutions by frequencies, for the pixels inside alone: the same numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from both_engines import in_keras
from conftest import make_preset, random_tensors
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("openvino", reason="the optional extra openvino is not installed")

from wmhseg.engines import by_pixels, openvino_engine, spectral
from wmhseg.engines.openvino_core import openvino_core
from wmhseg.engines.openvino_spectral import Multiplications
from wmhseg.engines.runtime import Runtime
from wmhseg.networks import catalogue, graph
from wmhseg.networks.catalogue import NETWORKS
from wmhseg.networks.graph import Graph, Layer
from wmhseg.networks.signature import Signature
from wmhseg.weights import store
from wmhseg.weights.inputs import Input, Labels
from wmhseg.weights.preset import Member, Preprocessing

CPU = Runtime("openvino", "cpu", 2)


def compiled(model: Any) -> Any:
    how = openvino_engine.settings(CPU)
    return openvino_core().compile_model(model, "CPU", how).create_infer_request()


def by_definition(maps: np.ndarray, kernel: np.ndarray, dilation: int) -> np.ndarray:
    """y[p] = sum over taps k of x[p + dilation k] w[k], float64."""
    side = len(kernel)
    rows, columns = (n - dilation * (side - 1) for n in maps.shape[:2])
    made = np.zeros((rows, columns, kernel.shape[3]))
    for i, j in np.ndindex(side, side):
        seen = maps[i * dilation : i * dilation + rows, j * dilation : j * dilation + columns]
        made += seen @ kernel[i, j].astype(np.float64)
    return made


@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([12, 18, 24]),
    st.integers(0, 99),
)
def test_tiles_cover_what_is_wanted_once(
    rows: int, columns: int, dilation: int, kernel: int, seed: int
) -> None:
    wanted = np.random.default_rng(seed).random((rows, columns)) < 0.02
    times = np.zeros((rows, columns), int)
    for tile in spectral.tiles(wanted, dilation, kernel):
        assert wanted[tile.rows, tile.columns].any()  # none for nothing
        times[tile.rows, tile.columns] += 1
    assert (times[wanted] == 1).all()
    assert times.max(initial=0) <= 1


@pytest.mark.parametrize(("kernel", "dilation"), [(12, 1), (18, 1), (18, 2), (13, 4), (24, 1)])
def test_a_convolution_by_frequencies(kernel: int, dilation: int) -> None:
    """More tiles than fit one multiplication, up to the last row and column."""
    rng = np.random.default_rng(kernel)
    weights = rng.normal(size=(kernel, kernel, 3, 4)).astype(np.float32)
    size = (150, 131)
    maps = rng.normal(size=(*(n + dilation * (kernel - 1) for n in size), 3)).astype(np.float32)
    wanted = rng.random(size) < 0.5
    wanted[-1, -1] = wanted[0, 0] = True
    multiply = Multiplications(kernel, 3, 4, compiled)
    found = spectral.correlate(maps, spectral.frequencies(weights), wanted, dilation, multiply)
    expected = by_definition(maps, weights, dilation)[wanted]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=2e-6)


def wide(signature: Signature) -> Graph:
    """A valid 12 x 12 convolution, dilated, that joins another port pixel by pixel."""
    scan = signature.input_layer("scan")
    padded = Layer(graph.Pad(((12, 10), (12, 10))), (scan,), "pad")
    seen = Layer(graph.Convolution(5, 12, padding="valid", dilation=2), (padded,), "large")
    seen = Layer(graph.Relu(), (seen,), "large_relu")
    both = Layer(graph.Concatenation(), (seen, signature.input_layer("where")), "both")
    output = signature.output_layer(both)
    return Graph("wide", Layer(graph.Inside(), (output, scan), "inside"))


FIELD = (67, 80)
SIGNATURE = Signature(FIELD, (("scan", 2), ("where", 1)), 3, "softmax")


def stacks() -> dict[str, np.ndarray]:
    """Three slices: one with more pixels inside than one call of the last part takes, one empty."""
    rng = np.random.default_rng(1)
    scan = rng.uniform(0.1, 1, (3, *FIELD, 2)).astype(np.float32)
    scan[0, 10:20, 30:50] = 0
    scan[0, 15, 40] = 0, 0.5
    scan[1] = 0
    scan[2, :, 3:] = 0
    assert ((scan != 0).any(-1).sum((1, 2)) > by_pixels.PIXELS).tolist() == [True, False, False]
    return {"scan": scan, "where": rng.uniform(size=(3, *FIELD, 1)).astype(np.float32)}


def test_a_network_in_parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Through the engine, with the ports in the preset's order, against Keras by the whole."""
    monkeypatch.setitem(NETWORKS, "wide", wide)
    described = wide(SIGNATURE)
    tensors = random_tensors(described)
    inputs = tuple(
        Input(name, scan, "z-score", "error", port)
        for name, scan, port in (
            ("a", "FLAIR", "scan"),
            ("b", "T1", "scan"),
            ("c", "FLAIR", "where"),
        )
    )
    count = described.parameter_count()
    made = make_preset(
        name="toy",
        inputs=inputs,
        labels=Labels(("background", "WMH", "stroke"), "softmax"),
        preprocessing=Preprocessing(field=FIELD),
        members=(Member("0.safetensors", "0" * 64, "wide", {}, count),),
    )
    model = store.save_model(tmp_path / "toy", made, [tensors], "", dtype="float32")
    engine = openvino_engine.OpenVinoEngine(CPU)
    engine.load(model, model.preset.members[0])
    assert isinstance(engine._current, by_pixels.CompiledByPixels)
    found = engine.predict(stacks())
    taken = stacks()
    expected = in_keras(described, tensors, *(taken[x.name] for x in described.inputs))
    assert expected[0].std() > 0.05
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(found[1], np.broadcast_to([1, 0, 0], (*FIELD, 3)))


def test_the_location_networks_are_cut_at_their_fully_connected_layers() -> None:
    signature = Signature((40, 48), (("scan", 2), ("location", 8)), 2, "softmax")
    for place in ("LCL", "FFCL", "SFCL"):
        described = catalogue.describe("location", signature, {"place": place})
        parts = by_pixels.cut(described)
        assert parts is not None
        assert [x.name for x in parts.large] == [f"scale{side}_fc1" for side in (32, 64, 128)]
        assert {x.name for x in parts.last.inputs} == {x.name for x in parts.large} | {"location"}
        assert parts.within == "location"
        kept = parts.last.variables().keys()
        assert not any(name.startswith(("scale32_conv", "scale32_fc1/")) for name in kept)


def test_a_location_network_in_parts() -> None:
    """Borders, corners and holes of a field that needs more than one tile."""
    field = (37, 33)
    signature = Signature(field, (("scan", 2), ("location", 8)), 2, "softmax")
    options = {"architecture": "MSWS", "place": "FFCL"}
    described = catalogue.describe("location", signature, options)
    tensors = random_tensors(described)
    parts = by_pixels.cut(described)
    assert parts is not None
    rng = np.random.default_rng(2)
    scan = rng.uniform(0.1, 1, (1, *field, 2)).astype(np.float32)
    scan[0, 10:14, 5:25] = 0
    taken = {"scan": scan, "location": rng.uniform(size=(1, *field, 8)).astype(np.float32)}
    found = by_pixels.CompiledByPixels(parts, tensors, compiled, compiled)(taken)
    expected = in_keras(described, tensors, *(taken[x.name] for x in described.inputs))
    assert expected[..., 1].std() > 0.01
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def changed(how: str) -> Graph:
    """The network, in ways in which it cannot be cut."""
    output = wide(SIGNATURE).output
    probability, scan = output.inputs
    (joined,) = probability.inputs
    if how == "everywhere":
        return Graph("wide", probability)
    if how == "small":
        small = Layer(graph.Convolution(5, 1), (scan,), "small")
        end = replace(probability, inputs=(small,))
    else:
        neighbours = Layer(graph.Convolution(4, 3), (joined,), "neighbours")
        end = replace(probability, inputs=(neighbours,))
    return Graph("wide", replace(output, inputs=(end, scan)))


@pytest.mark.parametrize("how", ["everywhere", "small", "neighbours"])
def test_what_cannot_be_cut_is_left_whole(how: str) -> None:
    assert by_pixels.cut(wide(SIGNATURE)) is not None
    assert by_pixels.cut(changed(how)) is None
