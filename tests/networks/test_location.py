"""The location-sensitive networks: sizes, and that the dense form says what patches say."""

from __future__ import annotations

import numpy as np
import pytest
from both_engines import in_keras, in_openvino
from conftest import random_tensors

from wmhseg.errors import PresetError
from wmhseg.networks import graph
from wmhseg.networks.catalogue import describe
from wmhseg.networks.location import LAST_SIDE, SQUARES, patch_graph, window_graph
from wmhseg.networks.signature import Signature

CONVOLVED = (49 * 2 * 20 + 20) + (25 * 20 * 40 + 40) + (9 * 40 * 80 + 80) + (9 * 80 * 110 + 110)
FIRST = 35_640 * 300 + 300


def signature(place: str = "none", field: tuple[int, int] = (9, 11)) -> Signature:
    ports = (("scan", 2),) if place == "none" else (("scan", 2), ("location", 8))
    return Signature(field, ports, 2, "softmax")


@pytest.mark.parametrize("architecture", ["SS", "MSEF", "MSIW", "MSWS"])
def test_18_x_18_x_110_features(architecture: str) -> None:
    described = patch_graph(signature(), {"architecture": architecture})
    taken = [
        layer.inputs[0].size
        for layer in described.layers
        if getattr(layer.operation, "kernel", 0) == LAST_SIDE
    ]
    assert taken == [(18, 18, 110)] * (3 if architecture in ("MSIW", "MSWS") else 1)
    assert 18 * 18 * 110 == 35_640
    assert described.output.size == (1, 1, 2)


@pytest.mark.parametrize(
    ("architecture", "place", "expected"),
    [
        ("SS", "none", CONVOLVED + FIRST + 300 * 200 + 200 + 402),
        ("SS", "LCL", CONVOLVED + FIRST + 8 * 300 + 300 * 200 + 200 + 402),
        ("SS", "FFCL", CONVOLVED + FIRST + 308 * 200 + 200 + 402),
        ("SS", "SFCL", CONVOLVED + FIRST + 300 * 200 + 200 + 208 * 2 + 2),
        ("MSEF", "none", CONVOLVED + 49 * 4 * 20 + FIRST + 300 * 200 + 200 + 402),
        ("MSIW", "none", 3 * CONVOLVED + 3 * FIRST + 900 * 200 + 200 + 402),
        ("MSWS", "none", CONVOLVED + 3 * FIRST + 900 * 200 + 200 + 402),
        ("MSWS", "FFCL", CONVOLVED + 3 * FIRST + 908 * 200 + 200 + 402),
        ("SS-means", "FFCL", CONVOLVED + 880 * 300 + 300 + 308 * 200 + 200 + 402),
    ],
)
def test_parameters(architecture: str, place: str, expected: int) -> None:
    architecture, _, first = architecture.partition("-")
    options = {"architecture": architecture, "place": place, "first": first or "pixels"}
    small = patch_graph(signature(place), options)
    assert small.parameter_count() == expected
    dense = describe("location", signature(place), options)
    assert dense.variables() == small.variables()
    assert [layer.name for layer in dense.inputs] == [layer.name for layer in small.inputs]


def patches(scan: np.ndarray, side: int) -> np.ndarray:
    """(row, column, channel) -> (row * column, side, side, channel), by the definition."""
    half = side // 2
    around = ((half, half), (half, half), (0, 0))
    padded = np.pad(scan, around)
    rows, columns, _ = scan.shape
    return np.stack(
        [padded[r : r + side, c : c + side] for r in range(rows) for c in range(columns)]
    )


def by_engine(described, tensors, *taken: np.ndarray) -> np.ndarray:
    """As the engine computes it: early fusion is no model of OpenVINO's as it stands."""
    from wmhseg.engines.openvino_engine import OpenVinoEngine
    from wmhseg.engines.runtime import Runtime

    compiled = OpenVinoEngine(Runtime("openvino", "cpu", 2)).compiled(described, tensors)
    return compiled({layer.name: one for layer, one in zip(described.inputs, taken, strict=True)})


@pytest.mark.parametrize(
    ("architecture", "place"),
    [
        ("SS", "LCL"),
        ("SS", "SFCL"),
        ("SS-means", "FFCL"),
        ("SS-means", "LCL"),
        ("MSIW", "none"),
        ("MSWS", "FFCL"),
        ("MSWS", "LCL"),
        ("MSEF", "none"),
        ("MSEF", "FFCL"),
    ],
)
def test_every_voxel_gets_what_its_patch_gives(architecture: str, place: str) -> None:
    """All voxels of a field smaller than any patch: every border and corner is among them."""
    architecture, _, first = architecture.partition("-")
    options = {"architecture": architecture, "place": place, "alpha": 0.5}
    options["first"] = first or "pixels"
    field = (5, 6)
    dense = describe("location", signature(place, field), options)
    small = patch_graph(signature(place), options)
    tensors = random_tensors(small)
    rng = np.random.default_rng(4)
    scan = rng.uniform(0.1, 1, (1, *field, 2)).astype(np.float32)
    scan[0, 2, 3] = 0  # outside
    scan[0, 2, 4] = 0, 0.5
    where = rng.uniform(0.1, 1, (1, *field, 8)).astype(np.float32)
    where[0, 2, 3] = 0
    given = {
        "scan": patches(scan[0], small.inputs[0].size[0]),
        "location": where.reshape(-1, 1, 1, 8),
    }
    expected = in_keras(small, tensors, *(given[layer.name] for layer in small.inputs))
    expected = expected.reshape(*field, 2)
    assert expected[..., 1].std() > 0.01
    expected[2, 3] = 1, 0
    given = {"scan": scan, "location": where}
    for engine in (in_keras, by_engine):
        found = engine(dense, tensors, *(given[layer.name] for layer in dense.inputs))[0]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5, err_msg=engine.__name__)


def spread(kernel: np.ndarray) -> np.ndarray:
    """The (18, 18, 110, 300) weights that say what (1, 1, 880, 300) say of means of squares."""
    made = np.zeros((18, 18, 110, 300), np.float32)
    for (row, column, side), weights in zip(SQUARES, kernel.reshape(8, 110, 300), strict=True):
        made[row : row + side, column : column + side] += weights / side**2
    return made


@pytest.mark.parametrize("place", ["none", "LCL", "FFCL"])
def test_means_of_squares_are_pixels_with_equal_weights(place: str) -> None:
    """The published network with the weights spread out says the same of every voxel."""
    options = {"architecture": "SS", "place": place, "alpha": 0.5}
    field = (6, 8)
    published = describe("location", signature(place, field), options)
    dense = describe("location", signature(place, field), options | {"first": "means"})
    few = random_tensors(dense)
    assert few["scale32_fc1/kernel"].shape == (1, 1, 880, 300)
    many = few | {"scale32_fc1/kernel": spread(few["scale32_fc1/kernel"])}
    assert {path: array.shape for path, array in many.items()} == published.variables()
    rng = np.random.default_rng(7)
    scan = rng.uniform(0.1, 1, (1, *field, 2)).astype(np.float32)
    where = rng.uniform(0.1, 1, (1, *field, 8)).astype(np.float32)
    scan[0, 2, 4], where[0, 2, 4] = 0, 0
    given = {"scan": scan, "location": where}
    taken = [given[layer.name] for layer in dense.inputs]
    expected = in_keras(published, many, *taken)
    assert expected[..., 1].std() > 0.01
    np.testing.assert_array_equal(expected[0, 2, 4], (1, 0))
    for engine in (in_keras, in_openvino, by_engine):
        found = engine(dense, few, *taken)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5, err_msg=engine.__name__)


@pytest.mark.parametrize(("first", "place"), [("pixels", "FFCL"), ("means", "LCL")])
def test_a_window_tells_the_voxels_whose_patches_lie_in_it(first: str, place: str) -> None:
    options = {"architecture": "SS", "place": place, "alpha": 0.5, "first": first}
    field = (34, 36)
    window = window_graph(signature(place, field), options)
    assert window.output.size == (3, 5, 2)
    dense = describe("location", signature(place, field), options)
    assert window.variables() == dense.variables()
    tensors = random_tensors(dense)
    rng = np.random.default_rng(8)
    scan = rng.uniform(0.1, 1, (1, *field, 2)).astype(np.float32)
    where = rng.uniform(0.1, 1, (1, *field, 8)).astype(np.float32)
    found = in_keras(window, tensors, scan, where)
    expected = in_keras(dense, tensors, scan, where)[:, 16:-15, 16:-15]
    assert expected[..., 1].std() > 0.001
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_weights_start_as_published_or_as_he_says() -> None:
    for first, start in (("pixels", "glorot"), ("means", "he")):
        described = describe(
            "location", signature("LCL"), {"architecture": "SS", "place": "LCL", "first": first}
        )
        drawn = [x for x in described.layers if isinstance(x.operation, graph.Convolution)]
        starts = {x.operation.start for x in drawn if x.name != "output"}
        assert starts == {start}


@pytest.mark.parametrize(
    ("options", "field", "message"),
    [
        ({"architecture": "MSWS"}, (64, 64), "architecture SS was expected"),
        ({"architecture": "SS"}, (64, 24), "At least 32 x 32 were expected"),
        ({"architecture": "SS", "last": 1}, (64, 64), "Options out of .* first were expected"),
    ],
)
def test_what_has_no_window_form_is_told(options: dict, field: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        window_graph(signature("none", field), options)


def test_alpha_and_the_location_count() -> None:
    options = {"architecture": "SS", "place": "FFCL"}
    scan = np.full((1, 32, 32, 2), 0.5, np.float32)
    where = np.linspace(0, 1, 8, dtype=np.float32).reshape(1, 1, 1, 8)
    found = []
    for alpha, times in ((1.0, 2.0), (2.0, 1.0), (1.0, 1.0)):
        described = patch_graph(signature("FFCL"), options | {"alpha": alpha})
        tensors = random_tensors(described)
        found.append(in_openvino(described, tensors, scan, np.float32(times) * where))
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    assert np.abs(found[0] - found[2]).max() > 1e-3


def test_dropout_is_behind_the_fully_connected_layers_alone() -> None:
    described = patch_graph(signature("FFCL"), {"place": "FFCL", "dropout": 0.25})
    dropped = [x for x in described.layers if isinstance(x.operation, graph.Dropout)]
    assert [x.name for x in dropped] == [
        *(f"scale{side}_fc1_dropout" for side in (32, 64, 128)),
        "fc2_dropout",
    ]
    assert {x.operation.share for x in dropped} == {0.25}


@pytest.mark.parametrize(
    ("place", "options", "message"),
    [
        ("none", {"architecture": "MS"}, "architecture out of SS, MSEF, MSIW, MSWS was expected"),
        ("none", {"place": "first"}, "place out of none, LCL, FFCL, SFCL was expected"),
        ("none", {"alpha": 0.0}, "alpha above 0"),
        ("none", {"first": "some"}, "first layer out of pixels, means was expected"),
        ("none", {"first": "means"}, "architecture SS was expected with means"),
        ("none", {"dropout": 1.0}, "dropout from 0 to below 1"),
        ("none", {"place": "FFCL"}, 'the port "location" of 8 channels was expected'),
        ("FFCL", {"place": "none"}, 'the port "scan" alone was expected'),
    ],
)
def test_what_it_does_not_take(place: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(PresetError, match=message) as caught:
        describe("location", signature(place), options)
    assert "\n" not in str(caught.value)
