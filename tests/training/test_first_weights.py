"""Networks before their first step, and the steps of kernels that see wide channels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from wmhseg.engines import backends
from wmhseg.networks import variables
from wmhseg.networks.graph import Convolution, Graph, Layer, Relu
from wmhseg.networks.keras_model import to_keras
from wmhseg.networks.signature import Signature
from wmhseg.training import first_weights, keras_setup
from wmhseg.training.plan import Run
from wmhseg.training.recipes import PLANS
from wmhseg.weights.inputs import WMH_ALONE, Input, Labels

TWO = Labels(("background", "WMH"), "softmax")
WIDE = (
    Input("FLAIR", "FLAIR", "8-bit", "error"),
    Input("z", "FLAIR", "z-score", "error"),
    Input("top-hat", "FLAIR", "top-hat", "error"),
)


def described(labels: Labels) -> Graph:
    signature = Signature((8, 8), (("scan", 3),), len(labels.names), labels.activation)
    x = Layer(Convolution(4, 3), (signature.only_input(),), "first")
    x = Layer(Convolution(4, 3), (Layer(Relu(), (x,), "relu"),), "second")
    return Graph("two", signature.output_layer(x))


def begun(labels: Labels, *, rare: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    model = to_keras(described(labels))
    before = variables.collect(model)
    first_weights.begin(model, described(labels), WIDE, labels, rare=rare)
    return before, variables.collect(model)


@pytest.mark.parametrize("labels", [TWO, WMH_ALONE])
def test_kernels_of_8_bit_channels_begin_small(labels: Labels) -> None:
    before, after = begun(labels, rare=False)
    expected = {k: v.copy() for k, v in before.items()}
    expected["first/kernel"][:, :, [0, 2]] /= 64
    for name in before:
        np.testing.assert_array_equal(after[name], expected[name], err_msg=name)


def test_lesions_begin_rare() -> None:
    """A probability of 1 in 55 of all lesions where the maps are 0."""
    for labels in (TWO, WMH_ALONE):
        before, after = begun(labels, rare=True)
        np.testing.assert_allclose(after["output/kernel"], 0.1 * before["output/kernel"], rtol=1e-6)
        logits = after["output/bias"]
        said = (
            np.exp(logits) / np.exp(logits).sum() if len(logits) > 1 else 1 / (1 + np.exp(-logits))
        )
        assert said[labels.wmh] == pytest.approx(1 / (1 + np.exp(4)), rel=1e-5)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_a_wide_channel_trains_as_one_that_was_divided(optimizer: Any) -> None:
    """By 64: the same outputs after some steps, to rounding."""
    labels, rng = TWO, np.random.default_rng(0)
    images = rng.normal(size=(6, 8, 8, 3)).astype(np.float32)
    targets = (images[..., :1] > 0.5).astype(np.float32)
    wide = tuple(replace(one, how="8-bit") for one in WIDE)
    narrow = tuple(replace(one, how="z-score") for one in WIDE)
    plan = replace(
        PLANS["synthetic-vgg"],
        fitting=replace(
            PLANS["synthetic-vgg"].fitting, optimizer=optimizer, weight_decay=0.0, clip_norm=None
        ),
    )
    run, machine = Run("0", steps=1, rate=0.01), backends.start_keras("cpu", 1)
    first = variables.collect(to_keras(described(labels)))
    outputs = []
    for inputs, width in ((wide, np.float32(64)), (narrow, np.float32(1))):
        model = to_keras(described(labels))
        variables.assign(model, first, name="first")
        first_weights.begin(model, described(labels), inputs, labels, rare=False)
        slow = first_weights.wide_kernels(described(labels), inputs)
        keras_setup.compile_model(model, plan, run, machine, slow)
        for _ in range(8):
            model.train_on_batch(images * width, targets)
        outputs.append(np.asarray(model(images * width)))
    before = np.asarray(to_keras_with(first)(images))
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-3)
    assert np.abs(outputs[0] - before).max() > 0.05


def to_keras_with(tensors: dict[str, Any]) -> Any:
    model = to_keras(described(TWO))
    variables.assign(model, tensors, name="first")
    return model
