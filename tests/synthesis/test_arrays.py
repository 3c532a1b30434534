"""NumPy and torch: the same choices, the same functions."""

from __future__ import annotations

import numpy as np
import pytest

from wmhseg.synthesis import arrays
from wmhseg.synthesis.arrays import NUMPY, Arrays


@pytest.fixture(params=["numpy", "torch"])
def here(request: pytest.FixtureRequest) -> Arrays:
    if request.param == "numpy":
        return NUMPY
    pytest.importorskip("torch")
    return arrays.on_torch("cpu")


def test_there_and_back(here: Arrays) -> None:
    values = np.arange(6).reshape(2, 3) / 4
    put = here.put(values)
    assert here.get(put).dtype == np.float32
    np.testing.assert_array_equal(here.get(put + 1), values.astype(np.float32) + 1)
    assert arrays.namespace(put) is here.xp


def test_noise_takes_one_number_from_the_host(here: Arrays) -> None:
    ours, other = np.random.default_rng(4), np.random.default_rng(4)
    noise = here.get(here.standard_normal(ours, (50, 40, 30)))
    other.integers(2**63)
    assert ours.random() == other.random()
    assert noise.shape == (50, 40, 30)
    assert noise.dtype == np.float32
    assert abs(noise.mean()) < 0.02  # standard error 1 / sqrt(60,000) = 0.004
    assert abs(noise.std() - 1) < 0.02
    again = here.get(here.standard_normal(np.random.default_rng(4), (50, 40, 30)))
    np.testing.assert_array_equal(noise, again)


def test_home_is_where_an_array_lives() -> None:
    assert arrays.home(np.zeros(2)) == arrays.NUMPY
    torch = pytest.importorskip("torch")
    there = arrays.home(torch.zeros(2))
    assert isinstance(there.put([1.0]), torch.Tensor)
    assert there.device == "cpu"
