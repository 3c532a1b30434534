"""Batches: what they hold, that their number says all, and what happens to who draws them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wmhseg.channels import network_input
from wmhseg.errors import MissingFileError, RegistrationError, TrainingFailedError
from wmhseg.geometry import Grid
from wmhseg.io.images import Scan
from wmhseg.synthesis import heads, scan
from wmhseg.synthesis.recipe import Recipe
from wmhseg.synthesis.scan import Drawing
from wmhseg.training import model_folder
from wmhseg.training.batches import drawn, stream, synthetic_data
from wmhseg.training.batches.stream import TrainingBatch, produced
from wmhseg.training.batches.synthetic_data import (
    SyntheticData,
    SyntheticSource,
    slices_of_interest,
)
from wmhseg.training.plan import Plan, Run, Synthesis
from wmhseg.training.recipes import PLANS
from wmhseg.weights.inputs import Input, inputs_of_channels

BOTH = inputs_of_channels(2, "zero")


def plan_of(how: Synthesis, inputs: tuple[Input, ...] = BOTH) -> Plan:
    """A plan that shows scans drawn so."""
    method = replace(PLANS["synthetic"].preprocessing, field=how.recipe.field)
    listed: dict[str, Any] = {"channels": None, "without_t1": None, "inputs": inputs}
    return replace(PLANS["synthetic"], synthesis=how, preprocessing=method, **listed)


SHOWN = model_folder.preset_of(PLANS["synthetic"], ())


@dataclass(frozen=True)
class Counting:
    """Block b holds the numbers from ``per_block`` * b on; it fails at ``bad``, ends at ``end``."""

    per_block: int = 3
    bad: int = -1
    end: int = -1

    def open(self) -> Callable[[int], Iterator[TrainingBatch]]:
        def draw(block: int) -> Iterator[TrainingBatch]:
            for number in range(block * self.per_block, (block + 1) * self.per_block):
                if number == self.bad:
                    raise MissingFileError("A file was expected", received=str(number))
                if number == self.end:
                    os._exit(3)
                yield np.full((1,), number, np.float32), np.zeros(1, np.float32)

        return draw


def numbers(source: stream.BatchSource, first: int, processes: int, count: int) -> list[int]:
    with closing(produced(source, first, processes)) as batches:
        return [int(inputs[0]) for inputs, _ in islice(batches, count)]


@pytest.mark.parametrize(("first", "processes"), [(0, 1), (0, 2), (7, 1), (7, 3)])
def test_order_is_that_of_the_numbers(first: int, processes: int) -> None:
    assert numbers(Counting(), first, processes, 14) == list(range(first, first + 14))


def test_errors_of_who_draws_arrive() -> None:
    before = os.environ.get("OMP_NUM_THREADS")
    with pytest.raises(MissingFileError, match="Received: 4"):
        numbers(Counting(bad=4), 0, 1, 10)
    with pytest.raises(TrainingFailedError, match="exit code 3"):
        numbers(Counting(end=4), 0, 1, 10)
    assert os.environ.get("OMP_NUM_THREADS") == before


@given(
    rows=st.integers(16, 30), columns=st.integers(16, 30), side=st.integers(1, 16),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_crops_of_image_and_target_are_the_same_place(
    rows: int, columns: int, side: int, seed: int
) -> None:
    place = np.arange(rows * columns).reshape(rows, columns)
    image = np.stack([place, -place], -1)
    part, target = stream.crop(np.random.default_rng(seed), image, place, side)
    assert part.shape == (side, side, 2)
    np.testing.assert_array_equal(part[..., 0], target)
    np.testing.assert_array_equal(part[..., 1], -target)
    assert (np.diff(target, axis=1) == 1).all()
    assert (np.diff(target, axis=0) == columns).all()


def test_crops_of_all_ports_are_the_same_place() -> None:
    place = np.arange(80.0).reshape(8, 10)
    image = {"scan": place[..., None], "location": np.repeat(place[..., None], 8, -1)}
    part, target = stream.crop(np.random.default_rng(3), image, place, 5)
    assert target.shape == (5, 5)
    for port, channels in (("scan", 1), ("location", 8)):
        np.testing.assert_array_equal(part[port], np.repeat(target[..., None], channels, -1))


def test_every_corner_is_cropped() -> None:
    rng = np.random.default_rng(0)
    place = np.arange(80).reshape(8, 10)
    corners = {int(stream.crop(rng, place[..., None], place, 6)[1][0, 0]) for _ in range(300)}
    assert corners == {10 * row + column for row in range(3) for column in range(5)}
    assert stream.crop(rng, place[..., None], place, None)[1] is place


# Synthetic scans ----------------------------------------------------------------------------------


def test_slices_with_lesions_are_twice_as_likely() -> None:
    """One of one busy and one empty slice: weights 2 and 1, so 2 of 3 times the busy one."""
    target = np.zeros((2, 1, 1), bool)
    target[1] = True
    rng = np.random.default_rng(0)
    picked = [int(slices_of_interest(rng, target, 1)[0]) for _ in range(9000)]
    assert 5820 < sum(picked) < 6180  # 6000, give or take 4 standard deviations of 45


def test_slices_come_once_before_any_comes_again() -> None:
    rng = np.random.default_rng(0)
    target = rng.random((8, 1, 1)) < 0.5
    assert sorted(slices_of_interest(rng, target, 8)) == list(range(8))
    assert len(set(slices_of_interest(rng, target, 5))) == 5
    assert sorted(slices_of_interest(rng, target, 16)) == sorted([*range(8)] * 2)


def numbered_scan(field: tuple[int, int], slices: int, first: int) -> Drawing:
    """Every voxel tells its slice (times 10,000) and place; every second row is lesion."""
    rows, columns = np.indices(field)
    place = (100 * rows + columns).astype(np.float32)
    flair = np.stack([10_000 * (first + i) + place for i in range(slices)])
    target = flair // 100 % 2 == 1
    nothing = np.zeros_like(target)
    return Drawing(flair, -flair, target, nothing, (1.0, 1.0, 1.0), nothing)


@pytest.fixture
def numbered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Scans are numbered in place of drawn, 10, 20 ...; the numbers so far."""
    made: list[int] = []

    def draw_scan(rng: np.random.Generator, heads: Any, recipe: Recipe, **_: bool) -> Drawing:
        made.append(10 * (len(made) + 1))
        return numbered_scan(recipe.field, recipe.slices, made[-1])

    monkeypatch.setattr(scan, "draw_scan", draw_scan)
    monkeypatch.setattr(heads, "load_heads", lambda folder: [])
    return made


def test_blocks_are_aligned_crops_of_mixed_scans(
    numbered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_drawn(rng: Any, drawing: Drawing, recipe: Any, shown: Any) -> drawn.Shown:
        return drawn.Shown({"scan": np.stack([drawing.flair, drawing.t1], -1)})

    monkeypatch.setattr(drawn, "as_shown", as_drawn)
    drawing = Synthesis(Recipe(field=(24, 20), slices=5), scans=4, slices=5)
    source = SyntheticSource(Path(), drawing, batch=3, crop=16, shown=SHOWN, seed=(0, 0))
    assert source.per_block == 6  # 20 slices, the last two dropped
    found = list(source.open()(0))
    assert len(found) == 6
    seen: set[int] = set()
    mixed = 0
    for inputs, targets in found:
        assert inputs.shape == (3, 16, 16, 2)
        assert targets.shape == (3, 16, 16, 1)
        assert inputs.dtype == targets.dtype == np.float32
        np.testing.assert_array_equal(inputs[..., 0], -inputs[..., 1])
        np.testing.assert_array_equal(inputs[..., 0] // 100 % 2, targets[..., 0])
        ids = set((inputs[:, 0, 0, 0] // 10_000).astype(int).tolist())
        assert not ids & seen  # every slice is used once
        seen |= ids
        mixed += len({number // 10 for number in ids}) > 1
    assert len(seen) == 18
    assert mixed >= 4


def test_slices_of_two_ports_lie_at_the_same_place(
    numbered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a scan that cannot be placed in the brain gives way to the next one."""

    def place(flair: Any) -> Any:
        """Whether slice and row are an odd number together."""
        return (flair // 10_000 + flair // 100) % 2

    def as_drawn(rng: Any, drawing: Drawing, recipe: Any, shown: Any) -> drawn.Shown:
        if numbered == [10, 20]:
            raise RegistrationError("A head was expected", received="none")
        scan = np.stack([drawing.flair, drawing.t1], -1)
        return drawn.Shown({"scan": scan, "location": np.repeat(scan[..., :1], 8, -1)})

    monkeypatch.setattr(drawn, "numbers_of", lambda one: place(one.flair).astype(np.uint8))
    monkeypatch.setattr(drawn, "as_shown", as_drawn)
    drawing = Synthesis(Recipe(field=(24, 20), slices=5), scans=2, slices=5)
    source = SyntheticSource(Path(), drawing, batch=5, crop=16, shown=SHOWN, seed=(0, 0))
    seen: set[int] = set()
    for inputs, targets in source.open()(0):
        assert isinstance(inputs, dict)
        assert inputs["location"].shape == (5, 16, 16, 8)
        flair = inputs["scan"][..., 0]
        np.testing.assert_array_equal(inputs["location"][..., 5], flair)
        np.testing.assert_array_equal(place(flair), targets[..., 0])
        seen |= set((flair[:, 0, 0] // 100_000).astype(int).tolist())
    assert numbered == [10, 20, 30]
    assert seen == {1, 3}


def test_lesions_are_told_apart_before_a_slice_is_cropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A crop shows parts of rows that are 20 pixels long in the slice, and draws as without."""
    monkeypatch.setattr(
        scan, "draw_scan", lambda rng, heads, recipe, **_: numbered_scan(recipe.field, 5, 10)
    )
    monkeypatch.setattr(
        drawn,
        "as_shown",
        lambda rng, drawing, recipe, shown: drawn.Shown(
            {"scan": np.stack([drawing.flair, drawing.t1], -1)}
        ),
    )
    monkeypatch.setattr(heads, "load_heads", lambda folder: [])
    drawing = Synthesis(Recipe(field=(24, 20), slices=5), scans=2, slices=4)
    plain = SyntheticSource(Path(), drawing, batch=4, crop=16, shown=SHOWN, seed=(0, 0))
    for one, other in zip(plain.open()(0), replace(plain, by_lesion=True).open()(0), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        targets = other[1]
        assert targets.shape == (4, 16, 16, 3)
        assert targets.dtype == np.float32
        np.testing.assert_array_equal(one[1], targets[..., :1])
        inside = targets[..., 0] > 0
        assert set(targets[inside][:, 2].tolist()) == {20.0}
        # Rows 1, 3, 5 ... of the slice are lesions 1, 2, 3 ...
        rows = other[0][..., 0] % 10_000 // 100
        np.testing.assert_array_equal(targets[..., 1][inside], (rows[inside] + 1) / 2)


def test_a_run_may_have_a_recipe_and_a_loss_of_its_own(tmp_path: Path) -> None:
    plan = plan_of(SMALL)
    own = replace(SMALL.recipe, thickness_mm=(1.0,))
    data = SyntheticData(tmp_path, plan)
    for run, recipe, by_lesion in (
        (RUN, SMALL.recipe, False),
        (replace(RUN, recipe=own), own, False),
        (replace(RUN, loss="blob"), SMALL.recipe, True),
    ):
        source = data.source(run, (1, 0))
        assert isinstance(source, SyntheticSource)
        assert source.synthesis == replace(SMALL, recipe=recipe)
        assert source.by_lesion is by_lesion
    counting = replace(plan, fitting=replace(plan.fitting, loss="lesion-weighted"))
    plainly: Any = replace(RUN, loss="dice")
    for run, by_lesion in ((RUN, True), (plainly, False)):
        source = SyntheticData(tmp_path, counting).source(run, (1, 0))
        assert isinstance(source, SyntheticSource)
        assert source.by_lesion is by_lesion


SMALL = Synthesis(Recipe(field=(56, 52), slices=4, without_t1=0.5), scans=2, slices=3)
RUN = Run("0", steps=1, batch=2, crop=48)


def test_a_batch_depends_on_its_number_alone(labels_folder: Path) -> None:
    """Drawn by another process, from the middle on, it is the same; of another seed it is not."""
    data = SyntheticData(labels_folder, plan_of(SMALL))
    source = data.source(RUN, (7, 0))
    draw = source.open()
    here = [batch for block in (0, 1) for batch in draw(block)]
    with closing(produced(source, 4, 1)) as there:
        for number in (4, 5):
            inputs, targets = next(there)
            np.testing.assert_allclose(inputs, here[number][0], atol=1e-4)
            np.testing.assert_array_equal(targets, here[number][1])
    np.testing.assert_array_equal(next(draw(1))[0], here[3][0])
    for other in ((8, 0), (7, 1)):
        assert not np.array_equal(next(data.source(RUN, other).open()(0))[0], here[0][0])


def test_flair_alone_is_the_first_channel(labels_folder: Path) -> None:
    both, alone = (
        next(SyntheticData(labels_folder, plan_of(SMALL, inputs)).source(RUN, (7, 0)).open()(0))
        for inputs in (BOTH, inputs_of_channels(1, "error"))
    )
    assert alone[0].shape[-1] == 1
    np.testing.assert_array_equal(alone[0][..., 0], both[0][..., 0])
    np.testing.assert_array_equal(alone[1], both[1])


def test_z_scores_are_those_of_a_drawn_scan(labels_folder: Path) -> None:
    """The same random numbers in the same order: old plans draw the scans that they drew."""
    anatomies = heads.load_heads(labels_folder)
    for seed in range(4):
        one, other = (np.random.default_rng(seed) for _ in range(2))
        made = scan.make_scan(one, anatomies, SMALL.recipe)
        drawing = scan.draw_scan(other, anatomies, SMALL.recipe)
        (stack,) = drawn.as_shown(other, drawing, SMALL.recipe, SHOWN).stacks.values()
        np.testing.assert_array_equal(stack, made.inputs)
        np.testing.assert_array_equal(drawn.numbers_of(drawing), made.target)
        assert one.random() == other.random()


@pytest.mark.parametrize("given", [True, False])
def test_pictures_of_8_bit_are_those_of_inference(labels_folder: Path, given: bool) -> None:
    """Made from the same volumes by ``network_input.prepare``, T1 there or not."""
    recipe = replace(SMALL.recipe, without_t1=0.0 if given else 1.0)
    shown = model_folder.preset_of(PLANS["synthetic-vgg"], ())
    rng = np.random.default_rng(3)
    drawing = scan.draw_scan(rng, heads.load_heads(labels_folder), recipe)
    (stack,) = drawn.as_shown(rng, drawing, recipe, shown).stacks.values()
    slices, rows, columns = drawing.flair.shape
    grid = Grid((slices, rows, columns), drawing.spacing_mm)
    flair, t1 = Scan(drawing.flair, grid, "FLAIR"), Scan(drawing.t1, grid, "T1")
    inputs = network_input.prepare(flair, t1 if given else None, shown, intensity_scale="keep")
    # 52 columns are padded to 56 by inference.
    np.testing.assert_array_equal(stack, inputs.stacks["scan"][:, :, 2 : 2 + columns])
    assert stack[..., 1].max() > 0
    assert stack[..., 1].min() < -100
    assert stack[..., 2].min() == -127
    assert bool(stack[..., 0].any()) is given


def test_whole_slices(labels_folder: Path) -> None:
    data = SyntheticData(labels_folder, plan_of(SMALL))
    inputs, targets = next(data.source(replace(RUN, crop=None), (0, 0)).open()(0))
    assert inputs.shape == (2, 56, 52, 2)
    assert set(np.unique(targets)) <= {0, 1}


def test_what_is_known_of_the_labels(labels_folder: Path, tmp_path: Path) -> None:
    data = SyntheticData(labels_folder, plan_of(SMALL))
    assert list(data.identity()) == ["01.nii.gz"]
    assert len(data.identity()["01.nii.gz"]) == 64
    assert "1 whole-head label maps" in data.describe()[0]
    assert data.per_epoch(RUN) is None
    with pytest.raises(MissingFileError, match="label maps"):
        replace(data, labels=tmp_path).identity()


def test_synthetic_data_is_a_module_of_its_own() -> None:
    """Processes that draw must not load Keras: they would take the memory of the fit."""
    import subprocess
    import sys

    code = f"import sys, {synthetic_data.__name__}; assert 'keras' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
