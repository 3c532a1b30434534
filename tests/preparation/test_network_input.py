"""Channels and ports: what was made of scans, where the preset's inputs say."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import Phantom, make_preset

from wmhseg.io import images
from wmhseg.preparation import network_input
from wmhseg.weights.inputs import Input, inputs_of_channels
from wmhseg.weights.preset import Preprocessing

FLAIR = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
T1 = -FLAIR
# Ports take turns; one scan is in both of them, in T1's port after T1.
INPUTS = (
    Input("a", "FLAIR", "z-score", "error", "near"),
    Input("b", "T1", "z-score", "zero", "far"),
    Input("c", "T1", "z-score", "zero", "near"),
    Input("d", "FLAIR", "z-score", "error", "far"),
)


def test_channels_come_in_the_order_of_the_list_port_by_port() -> None:
    stacks = network_input.stacked({"z-score": {"FLAIR": FLAIR, "T1": T1}}, INPUTS)
    assert list(stacks) == ["near", "far"]
    np.testing.assert_array_equal(stacks["near"], np.stack([FLAIR, T1], -1))
    np.testing.assert_array_equal(stacks["far"], np.stack([T1, FLAIR], -1))
    assert {stack.dtype for stack in stacks.values()} == {np.dtype(np.float32)}


def test_a_scan_that_is_not_there_leaves_zeros() -> None:
    stacks = network_input.stacked({"z-score": {"FLAIR": FLAIR}}, INPUTS)
    np.testing.assert_array_equal(stacks["near"], np.stack([FLAIR, 0 * FLAIR], -1))
    np.testing.assert_array_equal(stacks["far"], np.stack([0 * FLAIR, FLAIR], -1))


@pytest.mark.parametrize("order", ["crop-normalise", "normalise-crop"])
def test_every_port_is_made_of_the_same_scans(phantom: Phantom, order: str) -> None:
    flair, t1 = (
        images.scan_from_array(array, phantom.spacing_mm, name=name)
        for array, name in ((phantom.flair, "FLAIR"), (phantom.t1, "T1"))
    )
    method = Preprocessing(field=(64, 64), order=order)  # type: ignore[arg-type]
    plain = make_preset(inputs=inputs_of_channels(2, "zero"), preprocessing=method)
    ports = make_preset(inputs=INPUTS, preprocessing=method)
    known = network_input.prepare(flair, t1, plain).stacks["scan"]
    found = network_input.prepare(flair, t1, ports).stacks
    assert np.abs(known[..., 0] - known[..., 1]).max() > 1
    np.testing.assert_array_equal(found["near"], known)
    np.testing.assert_array_equal(found["far"], known[..., ::-1])
