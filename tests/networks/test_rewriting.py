"""Doubling and convolution merged into a transposed convolution: the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import of_scan, random_tensors
from hypothesis import given
from hypothesis import strategies as st

from wmhseg.networks import catalogue, graph, rewriting
from wmhseg.networks.graph import Graph, Layer


def doubled_convolution(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The plain way, by its definition: (row, column) twice as large, then 'same'."""
    half = len(kernel) // 2
    padded = np.pad(np.kron(x, np.ones((2, 2))), half)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape)
    return np.einsum("ijkl,kl->ij", windows, kernel)


def transposed_convolution(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """As GrowingConvolution says: x[i] goes to y[2 i + k - pad], what falls outside is lost."""
    pad = len(kernel) // 2 - 1
    whole = np.zeros((2 * x.shape[0] + len(kernel), 2 * x.shape[1] + len(kernel)))
    for i, j in np.ndindex(x.shape):
        whole[2 * i : 2 * i + len(kernel), 2 * j : 2 * j + len(kernel)] += x[i, j] * kernel
    return whole[pad : pad + 2 * x.shape[0], pad : pad + 2 * x.shape[1]]


@given(st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3, 5]), st.integers(0, 99))
def test_the_law_holds_up_to_the_borders(rows: int, columns: int, side: int, seed: int) -> None:
    """Whole numbers, so that equal means equal; pictures down to one pixel are all border."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-9, 10, (rows, columns)).astype(float)
    kernel = rng.integers(-9, 10, (side, side, 1, 1)).astype(np.float32)
    grown = rewriting.grown_kernel(kernel)
    assert grown.shape == (side + 1, side + 1, 1, 1)
    np.testing.assert_array_equal(
        transposed_convolution(x, grown[..., 0, 0]), doubled_convolution(x, kernel[..., 0, 0])
    )


def test_four_taps_by_hand() -> None:
    kernel = np.zeros((3, 3, 1, 1), np.float32)
    kernel[:, 1, 0, 0] = 1, 10, 100  # w[-1], w[0], w[1] along the rows; columns copy
    grown = rewriting.grown_kernel(kernel)[..., 0, 0]
    np.testing.assert_array_equal(grown[:, 1], [100, 110, 11, 1])
    np.testing.assert_array_equal(grown[:, 2], [100, 110, 11, 1])
    assert not grown[:, [0, 3]].any()


def test_the_unet_has_four_and_costs_less() -> None:
    described = catalogue.describe("unet", of_scan((200, 200), 2), {})
    merged, tensors = rewriting.merge_doublings(described, random_tensors(described))
    kinds = [type(layer.operation) for layer in merged.layers]
    assert kinds.count(graph.GrowingConvolution) == kinds.count(graph.Addition) == 4
    assert graph.Doubling not in kinds
    assert graph.Concatenation not in kinds
    assert set(tensors) == set(merged.variables())
    assert {n: a.shape for n, a in tensors.items()} == merged.variables()
    assert merged.output.size == (200, 200, 1)
    # By hand: 17.6 G, less 20 of 36 taps for the maps from below at 24, 48, 96 and 192 pixels
    # (9 taps at each of the large pixels; 16 at each small one are 4).
    saved = sum(
        (9 - 4) * side**2 * below * made
        for side, below, made in ((24, 512, 256), (48, 256, 128), (96, 128, 96), (192, 96, 64))
    )
    assert described.multiplications() - merged.multiplications() == saved
    assert described.multiplications() == pytest.approx(17.6e9, rel=0.005)


def test_what_does_not_fit_is_left_alone() -> None:
    """An even kernel, a doubling that nothing joins, and three joined maps."""
    scan = Layer(graph.InputLayer((8, 8, 2)), (), "scan")
    small = Layer(graph.MaxPool(), (scan,), "pool")
    up = Layer(graph.Doubling(), (small,), "up")
    for joined, kernel in (((up, scan), 2), ((up,), 3), ((up, scan, scan), 3), ((scan, up), 3)):
        both = Layer(graph.Concatenation(), joined, "both")
        described = Graph("odd", Layer(graph.Convolution(1, kernel), (both,), "c"))
        tensors = random_tensors(described)
        merged, kept = rewriting.merge_doublings(described, tensors)
        assert [x.name for x in merged.layers] == [x.name for x in described.layers]
        assert kept.keys() == tensors.keys()
        assert all(kept[name] is tensors[name] for name in kept)


@pytest.mark.parametrize(
    ("network", "channels", "options", "field"),
    [
        ("unet", 2, {}, (48, 57)),
        ("unet", 1, {"batch_norm": True}, (31, 16)),
        ("stacknet", 2, {"depth": 1}, (17, 33)),
    ],
)
def test_equal_to_the_plain_graph_in_keras(
    network: str, channels: int, options: dict[str, int], field: tuple[int, int]
) -> None:
    """The rewritten graph in the reference engine, so that OpenVINO takes no part."""
    from wmhseg.networks.keras_model import to_keras

    described = catalogue.describe(network, of_scan(field, channels), options)
    tensors = random_tensors(described)
    scan = np.random.default_rng(1).normal(size=(2, *field, channels)).astype(np.float32)
    found = []
    for one, values in ((described, tensors), rewriting.merge_doublings(described, tensors)):
        model = to_keras(one)
        for variable in model.weights:
            variable.assign(values[variable.path])
        found.append(np.asarray(model(scan, training=False)))
    assert found[0].std() > 0.01
    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=1e-5)
