"""Keras set up for a training, and left as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import of_scan

from wmhseg.engines import backends
from wmhseg.networks import variables
from wmhseg.networks.keras_model import to_keras
from wmhseg.training import keras_setup
from wmhseg.training.plan import Fitting, Run
from wmhseg.training.recipes import PLANS

RUN = Run("0", "tiny", steps=1, batch=1, rate=0.05)


def model(tiny: Callable[..., Any], fitting: Fitting) -> Any:
    made = to_keras(tiny(of_scan((4, 4), 2)))
    plan = replace(PLANS["published"], fitting=fitting)
    keras_setup.compile_model(made, plan, RUN, backends.start_keras("cpu", 1))
    return made


def test_the_optimizer_is_that_of_the_plan(tiny_network: Callable[..., Any]) -> None:
    fitting = Fitting(optimizer="adamw", weight_decay=0.02, clip_norm=1.5)
    optimizer = model(tiny_network, fitting).optimizer
    assert type(optimizer).__name__ == "AdamW"
    assert (optimizer.weight_decay, optimizer.global_clipnorm) == (0.02, 1.5)
    assert float(optimizer.learning_rate) == pytest.approx(0.05)
    assert not optimizer.use_ema
    plain = model(tiny_network, Fitting(average=0.9)).optimizer
    assert type(plain).__name__ == "Adam"
    assert (plain.use_ema, plain.ema_momentum) == (True, 0.9)
    # Built before the first step, so that a checkpoint can be put into it: iteration, rate, and two
    # moments and an average of the kernel and of the bias.
    assert len(plain.variables) == 2 + 3 * 2


def test_averaged_weights_are_lent_and_taken_back(tiny_network: Callable[..., Any]) -> None:
    fitting = Fitting(average=0.75)
    made = model(tiny_network, fitting)
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(2, 4, 4, 2)).astype(np.float32)
    for _ in range(3):
        made.train_on_batch(inputs, (inputs[..., :1] > 0).astype(np.float32))
    last = variables.collect(made)
    with keras_setup.averaged(made, fitting):
        lent = variables.collect(made)
    for name, array in variables.collect(made).items():
        np.testing.assert_array_equal(array, last[name])
        assert not np.array_equal(lent[name], array)
    with keras_setup.averaged(made, Fitting()):
        np.testing.assert_array_equal(
            variables.collect(made)["output/kernel"], last["output/kernel"]
        )
