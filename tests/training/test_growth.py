"""A network that starts from another one's weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wmhseg.networks import catalogue
from wmhseg.networks.signature import Signature
from wmhseg.training import growth

RNG = np.random.default_rng(7)


def random_weights(name: str, channels: int = 2, **options: int) -> dict[str, np.ndarray]:
    """Random weights of a network, small enough not to overflow."""
    described = catalogue.describe(name, Signature.of_scan((16, 16), channels), options)
    return {
        path: (RNG.standard_normal(shape) / max(1, np.prod(shape[:-1])) ** 0.5).astype(np.float32)
        for path, shape in described.variables().items()
    }


def computed(
    name: str, tensors: Mapping[str, np.ndarray], stack: np.ndarray, **options: int
) -> np.ndarray:
    """What a network makes of a stack."""
    from wmhseg.networks import variables
    from wmhseg.networks.keras_model import to_keras

    signature = Signature.of_scan((16, 16), stack.shape[-1])
    model = to_keras(catalogue.describe(name, signature, options))
    variables.assign(model, dict(tensors), name=name)
    return np.asarray(model.predict(stack, verbose=0))


def test_a_deeper_wider_stack_computes_the_same() -> None:
    """Stage 1 of the U-Net is 5x5; a pair of 3x3 in stage 2 gets a border of zeros."""
    unet = random_weights("unet")
    made, told = growth.grow(random_weights("stacknet", kernel=5), unet)
    # 36 arrays fit, 2 kernels of stage 2 are extended, 3 convolutions with bias a stage are new.
    assert told == "36 of 50 arrays taken, 2 cut or extended, 12 made to pass their input on"
    stack = RNG.standard_normal((3, 16, 16, 2)).astype(np.float32)
    before = computed("unet", unet, stack)
    assert before.std() > 1e-3
    np.testing.assert_allclose(computed("stacknet", made, stack, kernel=5), before, atol=2e-6)


def test_what_a_smaller_kernel_keeps() -> None:
    unet = random_weights("unet")
    made, told = growth.grow(random_weights("stacknet", kernel=3), unet)
    assert "2 cut or extended" in told
    kept = unet["enc1_conv2/kernel"][1:4, 1:4]
    np.testing.assert_array_equal(made["enc1_conv2/kernel"], kept)
    np.testing.assert_array_equal(made["enc2_conv1/kernel"], unet["enc2_conv1/kernel"])


def test_flair_alone_computes_what_an_empty_t1_gave() -> None:
    both = random_weights("unet")
    made, _ = growth.grow(random_weights("unet", channels=1), both)
    stack = RNG.standard_normal((2, 16, 16, 2)).astype(np.float32)
    stack[..., 1] = 0
    np.testing.assert_allclose(
        computed("unet", made, stack[..., :1]), computed("unet", both, stack), atol=1e-6
    )


def test_an_empty_t1_is_what_flair_alone_grows_into() -> None:
    alone = random_weights("unet", channels=1)
    made, _ = growth.grow(random_weights("unet"), alone)
    stack = RNG.standard_normal((2, 16, 16, 2)).astype(np.float32)
    np.testing.assert_allclose(
        computed("unet", made, stack), computed("unet", alone, stack[..., :1]), atol=1e-6
    )


def test_the_bias_of_the_output_alone_is_no_start() -> None:
    own = {"a/kernel": np.ones((3, 3, 2, 4), np.float32), "output/bias": np.ones(1, np.float32)}
    start = {"a/kernel": np.zeros((3, 3, 2, 8), np.float32), "output/bias": np.zeros(1, np.float32)}
    assert growth.grow(own, start)[1] == ""


@given(st.sampled_from([(3, 5), (5, 3), (3, 3), (1, 7)]), st.integers(1, 4), st.integers(1, 4))
def test_a_kernel_keeps_its_centre(sizes: tuple[int, int], received: int, filters: int) -> None:
    old, new = sizes
    given_kernel = RNG.standard_normal((old, old, received, filters)).astype(np.float32)
    own = {"a_conv1/kernel": np.full((new, new, received, filters), 9, np.float32)}
    made, told = growth.grow(own, {"a_conv1/kernel": given_kernel})
    kernel, both = made["a_conv1/kernel"], min(old, new)
    inner, outer = (old - both) // 2, (new - both) // 2
    np.testing.assert_array_equal(
        kernel[outer : outer + both, outer : outer + both],
        given_kernel[inner : inner + both, inner : inner + both],
    )
    rest = kernel.copy()
    rest[outer : outer + both, outer : outer + both] = 0
    assert not rest.any()
    assert told


@pytest.mark.parametrize(
    ("own", "start"),
    [
        ((4, 4, 2, 3), (3, 3, 2, 3)),  # an even kernel has no centre
        ((3, 3, 4, 3), (3, 3, 2, 3)),  # other maps
        ((3, 3, 2, 5), (3, 3, 2, 3)),
        ((3,), (5,)),
    ],
)
def test_what_does_not_fit_stays(own: tuple[int, ...], start: tuple[int, ...]) -> None:
    mine = {"a_conv1/kernel": np.ones(own, np.float32)}
    made, told = growth.grow(mine, {"a_conv1/kernel": np.zeros(start, np.float32)})
    assert told == ""
    np.testing.assert_array_equal(made["a_conv1/kernel"], mine["a_conv1/kernel"])


def test_a_network_without_that_stack_gives_none() -> None:
    """Layers that only look alike are not made to pass anything on."""
    kernel = np.ones((3, 3, 2, 2), np.float32)
    made, told = growth.grow({"b_conv2/kernel": kernel, "c/kernel": kernel}, {"c/kernel": kernel})
    assert told == "1 of 2 arrays taken"
    assert made["b_conv2/kernel"].all()
