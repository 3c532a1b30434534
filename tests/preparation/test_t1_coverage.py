"""Where T1 ends inside slices: FLAIR alone there, T1 and FLAIR elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import make_preset
from heads import SHAPE, SPACING_MM, head

from wmhseg.channels import network_input
from wmhseg.geometry import Grid, Triple
from wmhseg.io.images import Scan
from wmhseg.preparation import intensity, one_grid, t1_coverage
from wmhseg.preparation.steps import Steps
from wmhseg.segmentation import ensemble, prediction
from wmhseg.weights.methods import METHODS
from wmhseg.weights.store import Model

OURS = make_preset(preprocessing=replace(METHODS["synthetic"].preprocessing, field=SHAPE[1:]))
ROWS, COLUMNS = np.indices(SHAPE[1:])


def cut(angle_deg: float, off_mm: float, skull: bool = True) -> tuple[Scan, Scan, np.ndarray]:
    """A pair whose T1 ends along a line, and what lies beyond it."""
    angle = np.radians(angle_deg)
    along = np.cos(angle) * (ROWS - SHAPE[1] / 2) + np.sin(angle) * (COLUMNS - SHAPE[2] / 2)
    gone = along * SPACING_MM[1] > off_mm
    t1 = head("T1", name="T1", skull=skull)
    return head(skull=skull), replace(t1, array=np.where(gone, 0, t1.array)), gone


@pytest.mark.parametrize("skull", [True, False])
@pytest.mark.parametrize(("angle_deg", "off_mm"), [(0, 30), (90, -20), (187, 50), (223, 10)])
def test_a_straight_end_is_found(angle_deg: float, off_mm: float, skull: bool) -> None:
    flair, t1, gone = cut(angle_deg, off_mm, skull)
    shown = intensity.foreground(flair.array)
    unseen = t1_coverage.find(shown, t1.array)
    assert not unseen.slices[15:70].any()
    assert unseen.partly[20:65].all()
    assert unseen.parts is not None
    for place in range(20, 65):  # to a pixel or two at the line
        wrong = (unseen.parts[place] != gone) & shown[place]
        assert wrong.sum() < 0.04 * shown[place].sum()


def test_two_ends() -> None:
    flair, t1, _ = cut(90, 36)
    gone = np.abs(COLUMNS - SHAPE[2] / 2) * SPACING_MM[2] > 36
    unseen = t1_coverage.find(
        intensity.foreground(flair.array), np.where(gone, 0, t1.array).astype(np.float32)
    )
    assert unseen.parts is not None
    assert (unseen.parts[42] == gone).mean() > 0.97


@pytest.mark.parametrize("skull", [True, False])
def test_a_brain_ends_in_a_curve(skull: bool) -> None:
    """T1 without skull, beside FLAIR with or without it, misses nothing."""
    shown = intensity.foreground(head(skull=skull).array)
    unseen = t1_coverage.find(shown, head("T1", skull=False).array)
    assert unseen.parts is None
    assert not unseen.slices.any()


def test_one_network_input_with_and_without_t1() -> None:
    flair, t1, gone = cut(90, 20)
    made = network_input.prepare(flair, t1, OURS)
    alone = network_input.prepare(flair, None, OURS)
    assert made.alone is not None
    (line,) = (w for w in made.warnings if "no data" in w)
    inner = ((made.alone.slices >= 8) & (made.alone.slices < 76)).sum()  # a tenth is emptied
    assert f"in a part of {inner} slices" in line
    assert "FLAIR alone" in line
    for place, stack in zip(made.alone.slices, made.alone.stacks["scan"], strict=True):
        np.testing.assert_array_equal(stack, alone.stacks["scan"][place])
    # Beyond its end T1 is as it is where there is none, and elsewhere it is there.
    second = made.stacks["scan"][40, :, :, 1]
    assert (second[:, 64:] == 0).all()
    assert (second[:, :50] != 0).all()
    method = METHODS["published"].preprocessing
    published = network_input.prepare(flair, t1, make_preset(preprocessing=method))
    assert published.alone is None
    assert any("darkness" in w for w in published.warnings)
    assert gone.any()


def test_each_voxel_gets_its_own_probability() -> None:
    flair, t1, _ = cut(90, 20)
    made = network_input.prepare(flair, t1, OURS)

    def said(stacks: dict[str, np.ndarray], *_: object, **__: object) -> np.ndarray:
        both = stacks["scan"][..., 1].any((1, 2))
        wide = np.ones((*stacks["scan"].shape[:3], 1), np.float32)
        return wide * np.where(both, np.float32(0.9), np.float32(0.8))[:, None, None, None]

    nothing: Any = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensemble, "mean_probability", said)
        found = prediction.predict(made, Model(nothing, OURS), nothing).probability
    assert (found[40, :, :50] == np.float32(0.9)).all()
    assert (found[40, :, 64:] == np.float32(0.8)).all()


@pytest.mark.parametrize("kept", [slice(0, 60), slice(30, 96)])
def test_the_field_of_a_registered_t1_is_known(kept: slice) -> None:
    """T1 on a grid of its own, cut at the side, on which no voxel is 0."""
    flair, t1 = head(), head("T1", name="T1")
    origin: Triple = (kept.start * SPACING_MM[2], 0.0, 0.0)
    array = np.ascontiguousarray(t1.array[:, :, kept]) + np.float32(1)
    narrow = Scan(array, Grid(array.shape, SPACING_MM, origin), "T1")
    steps = Steps(registration="header", bias_correction="off")
    aligned = one_grid.align(flair, narrow, OURS, steps)
    assert aligned.t1_seen is not None
    shown = np.zeros(SHAPE, bool)
    shown[:, :, kept] = True
    # Pixels of 2 mm are brought to 1 mm.
    wanted = aligned.resampling.forward(shown.astype(np.float32)) > 0.5
    assert (aligned.t1_seen != wanted).mean() < 0.01
    made = network_input.prepare(
        aligned.flair, aligned.t1, OURS, t1_seen=aligned.t1_seen
    )  # fmt: skip
    assert made.alone is not None
    assert any("in a part of" in w for w in made.warnings)
    whole = one_grid.align(flair, t1, OURS, steps)
    assert whole.t1_seen is None


def test_slices_of_t1_of_which_nothing_is_known() -> None:
    flair, t1 = head(), head("T1", name="T1")
    unknown = np.zeros(SHAPE, bool)
    unknown[40] = True
    aligned = one_grid.align(
        flair, t1, OURS, Steps(pixel_size="off"), one_grid.Known(t1_unknown=unknown)
    )
    np.testing.assert_array_equal(aligned.t1_seen, ~unknown)
    made = network_input.prepare(aligned.flair, aligned.t1, OURS, t1_seen=aligned.t1_seen)
    assert not made.stacks["scan"][40, :, :, 1].any()
    assert any("in 1 slice of the head" in w for w in made.warnings)
