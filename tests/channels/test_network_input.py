"""Channels and ports: what was made of scans, where the preset's inputs say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Phantom, make_preset
from heads import SPACING_MM, head

import wmhseg
from wmhseg.channels import making, network_input
from wmhseg.geometry import Grid
from wmhseg.io import images
from wmhseg.io.images import Scan
from wmhseg.preparation import intensity, t1_coverage
from wmhseg.weights.inputs import Input, inputs_of_channels
from wmhseg.weights.methods import METHODS
from wmhseg.weights.processing import Preprocessing

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
    stacks = making.stacked({"z-score": {"FLAIR": FLAIR, "T1": T1}}, INPUTS)
    assert list(stacks) == ["near", "far"]
    np.testing.assert_array_equal(stacks["near"], np.stack([FLAIR, T1], -1))
    np.testing.assert_array_equal(stacks["far"], np.stack([T1, FLAIR], -1))
    assert {stack.dtype for stack in stacks.values()} == {np.dtype(np.float32)}


def test_a_scan_that_is_not_there_leaves_zeros() -> None:
    stacks = making.stacked({"z-score": {"FLAIR": FLAIR}}, INPUTS)
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


OURS = METHODS["synthetic"].preprocessing


def prepared(flair: Scan, t1: Scan | None, method: Preprocessing) -> network_input.NetworkInput:
    return network_input.prepare(flair, t1, make_preset(preprocessing=method))


def part_of_t1(shown: slice, skull: bool = True) -> tuple[Scan, Scan]:
    t1 = head("T1", name="T1", skull=skull)
    array = np.zeros_like(t1.array)
    array[shown] = t1.array[shown]
    return head("FLAIR"), replace(t1, array=array)


@pytest.mark.parametrize("shown", [slice(0, 40), slice(30, 84)])
def test_where_t1_ends_flair_is_alone(shown: slice) -> None:
    flair, t1 = part_of_t1(shown)
    alone, both = prepared(flair, None, OURS), prepared(flair, t1, OURS)
    unseen = np.ones(len(flair.array), bool)
    unseen[shown] = False
    unseen[~t1_coverage.more_than_specks(intensity.foreground(flair.array).sum((1, 2)))] = False
    stack = both.stacks["scan"]
    np.testing.assert_array_equal(stack[unseen], alone.stacks["scan"][unseen])
    assert stack[shown][..., 1].any()
    (line,) = (w for w in both.warnings if "no data" in w)
    inner = unseen[8:-8].sum()  # a tenth is emptied at either end
    assert f"in {inner} slices" in line
    published = prepared(flair, t1, METHODS["published"].preprocessing)
    assert published.stacks["scan"][unseen][..., 1].all()
    assert any("darkness" in w for w in published.warnings)


def test_a_t1_without_skull_ends_by_itself() -> None:
    """Its last slices hold little; beyond them there is nothing to be missed."""
    flair, t1 = part_of_t1(slice(0, 84), skull=False)
    assert not any("no data" in w for w in prepared(flair, t1, OURS).warnings)


@pytest.mark.parametrize("side", [0, 1])
def test_the_field_is_centred_on_the_head(side: int) -> None:
    """116 x 96 pixels in a field of 120: the empty side is what is cut off."""
    method = replace(OURS, field=(120, 120), orientation="stored")
    flair = head("FLAIR")
    empty = [(0, 0), (0, 0), (0, 0)]
    empty[2] = (100, 0) if side else (0, 100)
    array = np.pad(flair.array, empty)
    wide = Scan(array, Grid(array.shape, SPACING_MM), "FLAIR")
    made = prepared(wide, None, method)
    assert made.warnings == ()
    np.testing.assert_array_equal(made.way.restore(made.way.forward(array))[array > 100],
                                  array[array > 100])  # fmt: skip
    plain = prepared(flair, None, method)
    shift = np.abs(made.stacks["scan"]).sum() / np.abs(plain.stacks["scan"]).sum()
    assert shift == pytest.approx(1, abs=0.05)
    published = prepared(wide, None, replace(method, centre="matrix"))
    assert any("crop the scan at its empty sides" in w for w in published.warnings)
    # A head in the middle is left where it is.
    assert plain.way.parts[-1].shift == (0, 0)  # type: ignore[attr-defined]


# The head takes 100 rows of 2 mm, the brain in it 88.
@pytest.mark.parametrize(
    ("rows", "what", "advice"),
    [
        (88, "skin and bone rather than brain", "--pixel-size 2.3 would"),
        (76, "with brain, perhaps", "--pixel-size 2.65 would"),
    ],
)
def test_what_is_cut_off_and_how_to_see_it(rows: int, what: str, advice: str) -> None:
    method = replace(OURS, field=(rows, 96), orientation="stored")
    told = " ".join(prepared(head("FLAIR"), None, method).warnings)
    assert f"outside the {rows} x 96 pixels" in told
    assert what in told
    assert advice in told


def test_a_head_that_does_not_fit_is_cut_alike_at_both_sides() -> None:
    """100 rows of head in a field of 80, and much air in front of it."""
    method = replace(OURS, field=(80, 120), orientation="stored")
    flair = head("FLAIR")
    array = np.pad(flair.array, [(0, 0), (90, 0), (0, 0)])
    made = prepared(Scan(array, Grid(array.shape, SPACING_MM), "FLAIR"), None, method)
    seen = made.way.restore(made.way.forward(array))
    rows = np.flatnonzero((array > 100).any((0, 2)))
    lost = np.flatnonzero((array > 100).any((0, 2)) & ~seen.any((0, 2)))
    assert lost.size == rows.size - 80
    assert abs((lost < rows.mean()).sum() - lost.size / 2) <= 1
    assert any("outside the 80 x 120 pixels" in w for w in made.warnings)


def test_faults_of_coverage_and_field(shared: Path) -> None:
    """What users saw: T1 over half the head, padding below, a head at the side."""
    segmenter = wmhseg.Segmenter("unet-synthetic")  # whose volumes are known
    found = {}
    for folder in ("08-T1-covers-part", "10-padding-empties-more-brain", "11-head-off-centre"):
        case = shared / "faults" / folder
        found[folder[:2]] = segmenter.segment(case / "FLAIR.nii.gz", case / "T1.nii.gz")
    assert int(found["08"].mask[6:].sum()) == pytest.approx(1954, abs=20)
    assert found["10"].report.lesions.volume_ml == pytest.approx(8.11, abs=0.02)
    assert found["11"].report.lesions.volume_ml == pytest.approx(8.11, abs=0.02)
