"""Each kind of layer of the description, by its definition, in Keras and in OpenVINO."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from both_engines import in_keras, in_openvino
from conftest import random_tensors

from wmhseg.networks import graph
from wmhseg.networks.graph import Graph, Layer, Operation
from wmhseg.networks.keras_model import to_keras

pytest.importorskip("openvino", reason="the optional extra openvino is not installed")


@pytest.fixture(autouse=True)
def release_models():
    yield
    keras.utils.clear_session()


def single(operation: Operation, size: tuple[int, int, int]) -> Graph:
    scan = Layer(graph.InputLayer(size), (), "scan")
    return Graph("single", Layer(operation, (scan,), "one"))


def picture(size: tuple[int, int, int], slices: int = 2) -> np.ndarray:
    return np.random.default_rng(8).normal(size=(slices, *size)).astype(np.float32)


def check(described: Graph, tensors: dict[str, np.ndarray], expected: np.ndarray) -> None:
    """Both engines give what was computed by hand, in the size that the description says."""
    taken = picture(described.inputs[0].size)
    assert expected.shape == (len(taken), *described.output.size)
    for compute in (in_keras, in_openvino):
        found = compute(described, tensors, taken)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5, err_msg=str(compute))


def correlated(x: np.ndarray, kernel: np.ndarray, dilation: int) -> np.ndarray:
    """y[p] = sum over taps k of x[p + dilation k] w[k], where all taps are inside; float64."""
    side = len(kernel)
    rows, columns = (n - dilation * (side - 1) for n in x.shape[1:3])
    y = np.zeros((len(x), rows, columns, kernel.shape[3]))
    for i, j in np.ndindex(side, side):
        seen = x[:, i * dilation : i * dilation + rows, j * dilation : j * dilation + columns]
        y += seen @ kernel[i, j].astype(np.float64)
    return y


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (4, 1), (3, 2), (5, 3)])
def test_valid_convolutions(kernel: int, dilation: int, bias: bool) -> None:
    operation = graph.Convolution(3, kernel, padding="valid", dilation=dilation, bias=bias)
    described = single(operation, (14, 17, 2))
    tensors = random_tensors(described)
    assert tensors.keys() == {"one/kernel"} | ({"one/bias"} if bias else set())
    expected = correlated(picture((14, 17, 2)), tensors["one/kernel"], dilation)
    check(described, tensors, expected + tensors.get("one/bias", 0))


@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (4, 1), (3, 2), (4, 3)])
def test_same_convolutions_pad_the_larger_half_at_the_end(kernel: int, dilation: int) -> None:
    described = single(graph.Convolution(3, kernel, dilation=dilation), (11, 13, 2))
    tensors = random_tensors(described)
    total = dilation * (kernel - 1)
    around = (total // 2, total - total // 2)
    padded = np.pad(picture((11, 13, 2)), ((0, 0), around, around, (0, 0)))
    expected = correlated(padded, tensors["one/kernel"], dilation) + tensors["one/bias"]
    check(described, tensors, expected)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kernel", [2, 3, 4, 5])
def test_growing_convolutions(kernel: int, bias: bool) -> None:
    """As it says: x[i] goes to y[2 i + k - floor((kernel - 2) / 2)]; the end is longer if odd."""
    described = single(graph.GrowingConvolution(3, kernel, bias), (5, 6, 2))
    assert described.variables()["one/kernel"] == (kernel, kernel, 3, 2)  # as Keras keeps it
    tensors = random_tensors(described)
    x, before = picture((5, 6, 2)), (kernel - 2) // 2
    whole = np.zeros((2, 10 + kernel, 12 + kernel, 3))
    for i, j in np.ndindex(5, 6):
        made = np.einsum("sc,klmc->sklm", x[:, i, j], tensors["one/kernel"].astype(np.float64))
        whole[:, 2 * i : 2 * i + kernel, 2 * j : 2 * j + kernel] += made
    expected = whole[:, before : before + 10, before : before + 12] + tensors.get("one/bias", 0)
    check(described, tensors, expected)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_enlarging_is_bilinear_with_centres_at_halves(factor: int) -> None:
    x = picture((3, 5, 2))
    for axis in (1, 2):
        small = np.arange(x.shape[axis]) + 0.5
        large = (np.arange(factor * x.shape[axis]) + 0.5) / factor
        x = np.apply_along_axis(lambda v, a=large, b=small: np.interp(a, b, v), axis, x)
    check(single(graph.Enlarging(factor), (3, 5, 2)), {}, x)


@pytest.mark.parametrize(("side", "stride"), [(2, 2), (4, 4), (2, 1), (4, 1), (5, 1), (5, 2)])
def test_means(side: int, stride: int) -> None:
    windows = np.lib.stride_tricks.sliding_window_view(picture((9, 10, 2)), (side, side), (1, 2))
    expected = windows.mean((-1, -2), dtype=np.float64)[:, ::stride, ::stride]
    check(single(graph.MeanPool(side, stride), (9, 10, 2)), {}, expected)


def test_scaling_and_dropout() -> None:
    x = picture((4, 5, 2))
    check(single(graph.Scaling(-2.5), (4, 5, 2)), {}, -2.5 * x)
    described = single(graph.Dropout(0.3), (4, 5, 2))
    check(described, {}, x)
    many = np.ones((500, 4, 5, 2), np.float32)
    trained = np.asarray(to_keras(described)(many, training=True))
    assert (np.minimum(np.abs(trained), np.abs(trained - 1 / 0.7)) < 1e-5).all()
    assert (trained == 0).mean() == pytest.approx(0.3, abs=0.03)


def test_layers_that_share_their_variables() -> None:
    """Two convolutions of one kernel, dilated differently in nothing: the same numbers go in."""
    scan = Layer(graph.InputLayer((8, 9, 2)), (), "scan")
    first = Layer(graph.Convolution(2, 3), (scan,), "first")
    again = Layer(graph.Convolution(2, 3), (first,), "again", shares="first")
    described = Graph("twice", again)
    assert described.variables() == {"first/kernel": (3, 3, 2, 2), "first/bias": (2,)}
    assert described.parameter_count() == 38
    tensors = random_tensors(described)
    expected = picture((8, 9, 2))
    for _ in range(2):
        padded = np.pad(expected, ((0, 0), (1, 1), (1, 1), (0, 0)))
        expected = correlated(padded, tensors["first/kernel"], 1) + tensors["first/bias"]
    check(described, tensors, expected)


def test_random_weights_have_the_spread_that_was_asked_for() -> None:
    """He: 2 / received; Glorot: 2 / (received + made), both counted with the taps."""
    for start, variance in (("he", 2 / (9 * 40)), ("glorot", 2 / (9 * 60))):
        model = to_keras(single(graph.Convolution(20, 3, start=start), (4, 4, 40)))
        kernel = np.asarray(model.get_layer("one").kernel)
        assert kernel.var() == pytest.approx(variance, rel=0.1)


def test_means_of_many_pixels_in_half_precision() -> None:
    """Some backends would add 324 numbers up in bfloat16: those of ones came to 256."""
    scan = Layer(graph.InputLayer((18, 18, 1)), (), "scan")
    mean = Layer(graph.MeanPool(18, 1), (scan,), "mean")
    output = Layer(graph.Convolution(1, 1, "sigmoid"), (mean,), "output")
    model = to_keras(Graph("means", output), types="bfloat16")
    inner = keras.Model(model.inputs[0], model.get_layer("mean").output)
    assert float(np.asarray(inner(np.full((1, 18, 18, 1), 1.5, np.float32)))[0, 0, 0, 0]) == 1.5
