"""From a network's input to a mask, with networks that say what a test wants."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import make_preset
from hypothesis import given, settings
from hypothesis import strategies as st

from wmhseg.channels.network_input import NetworkInput
from wmhseg.geometry import Fit, Grid, Way, turn_to
from wmhseg.preparation.resampling import Resampling
from wmhseg.segmentation import ensemble, postprocessing, prediction
from wmhseg.weights.preset import Member
from wmhseg.weights.processing import Postprocessing
from wmhseg.weights.store import Model

SAGITTAL = Grid((12, 10, 14), (0.9, 1.0, 1.1), (3, 4, 5), (0, 0, -1, 1, 0, 0, 0, -1, 0))


def inputs_of(way: Way, within: np.ndarray | None = None) -> NetworkInput:
    stacks = {"scan": np.zeros((*way.target.shape, 2), np.float32)}
    return NetworkInput(stacks, way, {}, (), within=within)


def predicted(
    way: Way, probability: np.ndarray, post: Postprocessing, within: np.ndarray | None = None
) -> prediction.Prediction:
    """What is made of a probability on the network's voxels."""

    def said(stacks: dict[str, np.ndarray], *_: object, **__: object) -> np.ndarray:
        kept = postprocessing.kept_slices(len(probability), post)
        assert len(stacks["scan"]) == kept.stop - kept.start
        return probability[kept][..., None]  # one label

    engine: Any = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensemble, "mean_probability", said)
        model: Any = Model(engine, make_preset(postprocessing=post))
        return prediction.predict(inputs_of(way, within), model, engine)


@given(st.integers(0, 10**6), st.sampled_from([0.0, 2.5]), st.sampled_from([0.0, 0.9]))
@settings(max_examples=100)
def test_without_resampling_it_is_the_post_processing_turned_back(
    seed: int, smallest_mm3: float, peak: float
) -> None:
    turn = turn_to(SAGITTAL, "LPS")
    way = Way((turn, Fit(turn.target, (9, 16))))
    post = Postprocessing(0.6, 0.2, smallest_mm3, peak)
    # Nothing in the padding, which is no part of the scan and joins no lesions there.
    probability = way.forward(np.random.default_rng(seed).random(SAGITTAL.shape, np.float32))
    made = predicted(way, probability, post)
    sure = postprocessing.without_doubtful(probability, post)
    wanted = postprocessing.to_mask(sure, post)
    wanted = postprocessing.without_small(wanted, SAGITTAL.voxel_ml, post)
    np.testing.assert_array_equal(made.mask, way.restore(wanted))
    probability[:2] = probability[-2:] = 0  # a fifth of ten slices
    np.testing.assert_array_equal(made.probability, way.restore(probability))
    assert made.mask.shape == SAGITTAL.shape
    assert made.slices_computed == 6
    assert list(made.seconds) == ["predict", "restore"]


def test_the_mask_is_cut_on_the_scan_s_own_voxels() -> None:
    """Pixels of 2 mm on a scan of 1 mm: half of a pixel's probability reaches the next ones."""
    grid = Grid((4, 8, 8), (3.0, 1.0, 1.0))
    coarse = Grid((4, 4, 4), (3.0, 2.0, 2.0), (0.5, 0.5, 0.0))
    turn = turn_to(grid, "LPS")
    way = Way((turn, Resampling(grid, coarse), Fit(coarse, (4, 4))))
    probability = np.zeros((4, 4, 4), np.float32)
    probability[1, 1, 1] = 1
    made = predicted(way, probability, Postprocessing(0.5, 0.0))
    # Own pixels lie a quarter of a coarse one off its centre: 0.75 * 0.75 is above the threshold.
    assert made.probability[1].max() == pytest.approx(0.75**2)
    assert np.argwhere(made.mask).tolist() == [[1, 2, 2], [1, 2, 3], [1, 3, 2], [1, 3, 3]]
    # On the network's voxels it peaks at 1, which no own voxel reaches.
    sure = predicted(way, probability, Postprocessing(0.5, 0.0, 0.0, 0.99))
    np.testing.assert_array_equal(sure.mask, made.mask)


def test_what_members_say_goes_the_way_of_their_mean() -> None:
    """Resampled, cut to the brain and turned back, as it is linear."""
    grid = Grid((4, 8, 8), (3.0, 1.0, 1.0), direction=(-1, 0, 0, 0, 1, 0, 0, 0, 1))
    turn = turn_to(grid, "LPS")
    coarse = Grid((4, 4, 4), (3.0, 2.0, 2.0), (0.5 - 7, 0.5, 0.0))
    way = Way((turn, Resampling(turn.target, coarse), Fit(coarse, (4, 4))))
    rng = np.random.default_rng(2)
    each = rng.random((2, 4, 4, 4, 1), np.float32)
    within = rng.random((4, 4, 4)) > 0.3

    def said(*_: object, each_of: Any = each, **more: Any) -> np.ndarray:
        if more.get("each") is not None:
            more["each"].extend(each_of)
        return each_of.mean(0)

    members = tuple(Member(f"{n}.safetensors", "0" * 64, "unet", {}, 3) for n in "ab")
    preset = make_preset(postprocessing=Postprocessing(0.5, 0.0), members=members)
    engine: Any = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensemble, "mean_probability", said)
        model: Any = Model(engine, preset)
        made, plain = (
            prediction.predict(inputs_of(way, within), model, engine, members=wanted)
            for wanted in (True, False)
        )
    assert list(made.members) == ["a", "b"]
    assert plain.members == {}
    np.testing.assert_array_equal(made.probability, plain.probability)
    mean = (made.members["a"] + made.members["b"]) / 2
    np.testing.assert_allclose(mean, made.probability, atol=1e-6)
    assert (made.members["a"] != made.members["b"]).any()


def test_nothing_is_marked_outside_the_brain_that_a_network_was_told() -> None:
    grid = Grid((4, 8, 8), (3.0, 1.0, 1.0))
    turn = turn_to(grid, "LPS")
    way = Way((turn, Fit(turn.target, (8, 8))))
    brain = np.zeros(grid.shape, bool)
    brain[1:3, 2:6, 1:5] = True
    probability = np.full(grid.shape, 0.9, np.float32)
    made = predicted(way, probability, Postprocessing(0.5, 0.0), within=brain)
    np.testing.assert_array_equal(made.mask, brain)
    np.testing.assert_array_equal(made.probability, np.where(brain, np.float32(0.9), 0))
