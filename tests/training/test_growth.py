"""A network that starts from another one's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_preset, of_scan
from hypothesis import given
from hypothesis import strategies as st

from wmhseg.errors import PlanError, WeightsError
from wmhseg.networks import catalogue
from wmhseg.training import growth, plan_files, session
from wmhseg.training.recipes import PLANS
from wmhseg.weights import preset
from wmhseg.weights.inputs import Input, inputs_of_channels

RNG = np.random.default_rng(7)
PAIR = inputs_of_channels(2, "error")
ALONE = PAIR[:1]


def random_weights(name: str, channels: int = 2, **options: int) -> dict[str, np.ndarray]:
    """Random weights of a network, small enough not to overflow."""
    described = catalogue.describe(name, of_scan((16, 16), channels), options)
    return {
        path: (RNG.standard_normal(shape) / max(1, np.prod(shape[:-1])) ** 0.5).astype(np.float32)
        for path, shape in described.variables().items()
    }


def grown(
    name: str,
    start: dict[str, np.ndarray],
    *,
    inputs: Sequence[Input] = PAIR,
    given: Sequence[Input] | None = None,
    **options: int,
) -> tuple[dict[str, np.ndarray], str]:
    """A network of some inputs, grown from weights with some inputs, or from a bare file."""
    described = catalogue.describe(name, of_scan((16, 16), len(inputs)), options)
    known = None if given is None else tuple(given)
    channels = growth.channels_of(described, inputs, growth.Start("start", start, known))
    return growth.grow(random_weights(name, len(inputs), **options), start, channels)


def computed(
    name: str, tensors: Mapping[str, np.ndarray], stack: np.ndarray, **options: int
) -> np.ndarray:
    """What a network makes of a stack."""
    from wmhseg.networks import variables
    from wmhseg.networks.keras_model import to_keras

    signature = of_scan((16, 16), stack.shape[-1])
    model = to_keras(catalogue.describe(name, signature, options))
    variables.assign(model, dict(tensors), name=name)
    return np.asarray(model.predict(stack, verbose=0))


def test_a_deeper_wider_stack_computes_the_same() -> None:
    """Stage 1 of the U-Net is 5x5; a pair of 3x3 in stage 2 gets a border of zeros."""
    unet = random_weights("unet")
    made, told = grown("stacknet", unet, kernel=5)
    # 36 arrays fit, 2 kernels of stage 2 are extended, 3 convolutions with bias a stage are new.
    assert told == "36 of 50 arrays taken, 2 cut or extended, 12 made to pass their input on"
    stack = RNG.standard_normal((3, 16, 16, 2)).astype(np.float32)
    before = computed("unet", unet, stack)
    assert before.std() > 1e-3
    np.testing.assert_allclose(computed("stacknet", made, stack, kernel=5), before, atol=2e-6)


def test_what_a_smaller_kernel_keeps() -> None:
    unet = random_weights("unet")
    made, told = grown("stacknet", unet, kernel=3)
    assert "2 cut or extended" in told
    kept = unet["enc1_conv2/kernel"][1:4, 1:4]
    np.testing.assert_array_equal(made["enc1_conv2/kernel"], kept)
    np.testing.assert_array_equal(made["enc2_conv1/kernel"], unet["enc2_conv1/kernel"])


@pytest.mark.parametrize("given", [PAIR, None], ids=["told", "bare"])
def test_flair_alone_computes_what_an_empty_t1_gave(given: Sequence[Input] | None) -> None:
    both = random_weights("unet")
    made, _ = grown("unet", both, inputs=ALONE, given=given)
    stack = RNG.standard_normal((2, 16, 16, 2)).astype(np.float32)
    stack[..., 1] = 0
    np.testing.assert_allclose(
        computed("unet", made, stack[..., :1]), computed("unet", both, stack), atol=1e-6
    )


@pytest.mark.parametrize("given", [ALONE, None], ids=["told", "bare"])
def test_an_empty_t1_is_what_flair_alone_grows_into(given: Sequence[Input] | None) -> None:
    alone = random_weights("unet", channels=1)
    made, _ = grown("unet", alone, given=given)
    stack = RNG.standard_normal((2, 16, 16, 2)).astype(np.float32)
    np.testing.assert_allclose(
        computed("unet", made, stack), computed("unet", alone, stack[..., :1]), atol=1e-6
    )


def test_channels_are_those_of_the_same_scan_wherever_they_stand() -> None:
    """Three inputs in an order of their own, one of them new: the start sees its two."""
    new: Any = "T2"
    inputs = (Input("T2", new, "z-score", "error"), PAIR[1], PAIR[0])
    both = random_weights("unet")
    made, told = grown("unet", both, inputs=inputs, given=PAIR)
    assert told == f"{len(both) - 1} of {len(both)} arrays taken, 1 cut or extended"
    stack = RNG.standard_normal((2, 16, 16, 3)).astype(np.float32)
    known = computed("unet", both, stack[..., [2, 1]])
    assert known.std() > 1e-3
    np.testing.assert_allclose(computed("unet", made, stack), known, atol=1e-6)
    # And back: what the new one brought is lost, the others find their places.
    back, _ = grown("unet", made, given=inputs)
    np.testing.assert_array_equal(back["enc1_conv1/kernel"], both["enc1_conv1/kernel"])


def test_a_file_is_what_the_model_or_the_training_beside_it_says(tmp_path: Path) -> None:
    inputs = (PAIR[1], PAIR[0])
    made = make_preset(inputs=inputs, members=make_preset().members[:1])
    (tmp_path / "preset.json").write_text(preset.to_json(made))
    assert session.inputs_beside(tmp_path / made.members[0].file) == inputs
    assert session.inputs_beside(tmp_path / "other.safetensors") is None
    plan = replace(PLANS["synthetic"], channels=1)
    (tmp_path / "plan.json").write_text(plan_files.to_json(plan))
    assert session.inputs_beside(tmp_path / f"{plan.runs[0].name}.safetensors") == ALONE
    assert session.inputs_beside(tmp_path / "other.safetensors") is None
    (tmp_path / "plan.json").write_bytes(b"\xff\xfe{")  # found by the fuzzer
    with pytest.raises(PlanError, match="JSON was expected"):
        session.inputs_beside(tmp_path / "other.safetensors")


def test_two_channels_of_one_scan_do_not_count_it_twice() -> None:
    alone = random_weights("unet", channels=1)
    inputs = (PAIR[0], replace(PAIR[0], name="again"))
    made, _ = grown("unet", alone, inputs=inputs, given=ALONE)
    kernel = made["enc1_conv1/kernel"]
    np.testing.assert_array_equal(kernel[:, :, :1], alone["enc1_conv1/kernel"])
    assert not kernel[:, :, 1].any()


def test_the_bias_of_the_output_alone_is_no_start() -> None:
    own = {"a/kernel": np.ones((3, 3, 2, 4), np.float32), "output/bias": np.ones(1, np.float32)}
    start = {"a/kernel": np.zeros((3, 3, 2, 8), np.float32), "output/bias": np.zeros(1, np.float32)}
    assert growth.grow(own, start, {})[1] == ""


def test_an_output_of_other_labels_begins_at_0() -> None:
    """Eleven labels from a network that says one; all but the output is taken."""
    own, start = (
        {
            "a/kernel": np.full((3, 3, 2, 4), value, np.float32),
            "output/kernel": np.full((1, 1, 4, labels), value, np.float32),
            "output/bias": np.full(labels, value, np.float32),
        }
        for value, labels in ((1, 11), (2, 1))
    )
    made, told = growth.grow(own, start, {})
    assert told == "1 of 3 arrays taken, the output begun at 0 as it has other labels"
    assert (made["a/kernel"] == 2).all()
    assert made["output/kernel"].shape == (1, 1, 4, 11)
    assert not made["output/kernel"].any()
    assert not made["output/bias"].any()


@given(st.sampled_from([(3, 5), (5, 3), (3, 3), (1, 7)]), st.integers(1, 4), st.integers(1, 4))
def test_a_kernel_keeps_its_centre(sizes: tuple[int, int], received: int, filters: int) -> None:
    old, new = sizes
    given_kernel = RNG.standard_normal((old, old, received, filters)).astype(np.float32)
    own = {"a_conv1/kernel": np.full((new, new, received, filters), 9, np.float32)}
    made, told = growth.grow(own, {"a_conv1/kernel": given_kernel}, {})
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
    made, told = growth.grow(mine, {"a_conv1/kernel": np.zeros(start, np.float32)}, {})
    assert told == ""
    np.testing.assert_array_equal(made["a_conv1/kernel"], mine["a_conv1/kernel"])


def test_a_network_without_that_stack_gives_none() -> None:
    """Layers that only look alike are not made to pass anything on."""
    kernel = np.ones((3, 3, 2, 2), np.float32)
    own = {"b_conv2/kernel": kernel, "c/kernel": kernel}
    made, told = growth.grow(own, {"c/kernel": kernel}, {})
    assert told == "1 of 2 arrays taken"
    assert made["b_conv2/kernel"].all()


def test_what_is_taken_as_it_is_has_to_be_of_exactly_this_network() -> None:
    """No array is missing, too many or of another shape, and channels are the same, in order."""
    weights = random_weights("unet")
    described = catalogue.describe("unet", of_scan((16, 16), 2), {})
    for known in (None, PAIR):
        start = growth.Start("start", weights, known)
        assert growth.as_it_is(described, PAIR, start) is weights
    kernel = weights["enc1_conv1/kernel"]
    for other in (
        {name: array for name, array in weights.items() if name != "enc1_conv1/bias"},
        weights | {"more/kernel": kernel},
        weights | {"enc1_conv1/kernel": kernel[1:-1, 1:-1]},
    ):
        with pytest.raises(WeightsError, match=r"start, other at 1 of .*variables, such as"):
            growth.as_it_is(described, PAIR, growth.Start("start", other, PAIR))
    with pytest.raises(WeightsError, match=r"T1 \(z-score\), FLAIR \(z-score\), not FLAIR"):
        growth.as_it_is(described, PAIR, growth.Start("start", weights, PAIR[::-1]))
