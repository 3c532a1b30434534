"""Training: what the batches hold, the rate, and a micro training that learns."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from wmhseg import weights
from wmhseg.errors import WeightsError
from wmhseg.training import fit, synthesis
from wmhseg.training.fit import Plan
from wmhseg.training.synthesis import Recipe, SyntheticScan

# Bright lesions in plain tissue, so that three parameters can learn them.
RECIPE = Recipe(
    field=(56, 52), slices=4, without_lesions=0, without_t1=0.5, load_ml=(5, 12), load_shares=(1,),
    neck_mm=0, vertex_mm=0, off_centre_mm=2, skull_stripped=1, mottled=0, regions=0, rim=0,
    dirty=0, flow=0, vessels=0, cavities=0, halo=0, uneven_gain=0, coarse=0, bias=0,
    ringing=0, sharpened=0, ghosts=0, noise=(0.01, 0.02), tone_curve=0, uneven_noise=0, zoom=(1, 1),
)  # fmt: skip
PLAN = Plan(network="tiny", steps=40, batch=4, crop=48, rate=0.1, warmup=4, recipe=RECIPE)


@pytest.fixture(scope="module")
def labels_folder(label_map: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labels")
    image = SimpleITK.GetImageFromArray(label_map.astype(np.int16))
    SimpleITK.WriteImage(image, str(folder / "01.nii.gz"))
    return folder


# Batches ----------------------------------------------------------------------------------------


def test_slices_of_interest() -> None:
    target = np.zeros((2000, 2, 2), bool)
    target[::2, 1, 0] = True
    chosen = fit.slices_of_interest(np.random.default_rng(0), target)
    busy = np.arange(0, 2000, 2)
    assert set(busy) <= set(chosen)
    assert len(set(chosen)) == len(chosen)
    # Half of the 1000 others: 500, give or take 4 standard deviations of 16.
    assert 436 < len(chosen) - 1000 < 564


def numbered_scan(field: tuple[int, int], slices: int, first: int) -> SyntheticScan:
    """Every voxel tells its slice (times 10,000) and place; every second row is lesion."""
    rows, columns = np.indices(field)
    place = (100 * rows + columns).astype(np.float32)
    flair = np.stack([10_000 * (first + i) + place for i in range(slices)])
    return SyntheticScan(np.stack([flair, -flair], -1), flair // 100 % 2 == 1)


def test_batches_are_aligned_crops_of_mixed_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = 0

    def make_scan(rng: np.random.Generator, heads: Any, recipe: Recipe) -> SyntheticScan:
        nonlocal drawn
        drawn += 1
        return numbered_scan(recipe.field, recipe.slices, 10 * drawn)

    monkeypatch.setattr(synthesis, "make_scan", make_scan)
    plan = Plan(batch=3, crop=6, recipe=Recipe(field=(8, 10), slices=5))
    seen: set[int] = set()
    corners = set()
    mixed = 0
    for inputs, targets in islice(fit.batches(plan, [], seed=0), 200):
        assert inputs.shape == (3, 6, 6, 2)
        assert targets.shape == (3, 6, 6, 1)
        assert inputs.dtype == targets.dtype == np.float32
        np.testing.assert_array_equal(inputs[..., 0], -inputs[..., 1])
        np.testing.assert_array_equal(inputs[..., 0] // 100 % 2, targets[..., 0])
        ids = (inputs[..., 0] // 10_000).astype(int)
        assert (ids == ids[:, :1, :1]).all()
        here = set(ids[:, 0, 0].tolist())
        assert not here & seen  # every slice is used once
        seen |= here
        mixed += len({number // 10 for number in here}) > 1
        place = inputs[..., 0] % 10_000
        np.testing.assert_array_equal(np.diff(place, axis=1), 100)
        np.testing.assert_array_equal(np.diff(place, axis=2), 1)
        corners |= {divmod(int(p), 100) for p in place[:, 0, 0]}
    # All 3 x 5 places for a crop of 6 in a field of 8 x 10.
    assert corners == {(row, column) for row in range(3) for column in range(5)}
    assert mixed > 100


def test_batches_of_whole_slices(label_map: np.ndarray) -> None:
    head = synthesis.load_head(label_map)
    plan = replace(PLAN, crop=52, recipe=replace(RECIPE, field=(52, 52)))
    inputs, targets = next(fit.batches(plan, [head], seed=0))
    assert inputs.shape == (4, 52, 52, 2)
    assert set(np.unique(targets)) <= {0, 1}


def test_a_seed_says_all(label_map: np.ndarray) -> None:
    head = synthesis.load_head(label_map)
    one, same, other = (next(fit.batches(PLAN, [head], seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one[0], same[0])
    np.testing.assert_array_equal(one[1], same[1])
    assert not np.array_equal(one[0], other[0])


def test_another_process_draws_the_same(labels_folder: Path) -> None:
    before = os.environ.get("OMP_NUM_THREADS")
    stream = fit.produced(replace(PLAN, seed=7), labels_folder)
    drawn = next(stream)
    stream.close()
    heads = synthesis.load_heads(labels_folder)
    known = next(fit.batches(PLAN, heads, seed=8))
    np.testing.assert_allclose(drawn[0], known[0], atol=1e-4)
    np.testing.assert_array_equal(drawn[1], known[1])
    assert os.environ.get("OMP_NUM_THREADS") == before


def test_a_dead_producer_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="died"):
        next(fit.produced(PLAN, tmp_path))


# Rate -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0, 0.1),  # the first of 10 steps of warm-up
        (4, 0.5 * (0.2 + 0.8 * 0.5 * (1 + 0.9921147013144779))),  # cos(pi * 4 / 100)
        (50, 0.2 + 0.8 * 0.5),
        (75, 0.2 + 0.8 * 0.5 * (1 - 0.5**0.5)),  # cos(3 / 4 pi)
        (100, 0.2),
        (200, 0.2),
    ],
)
def test_learning_rate_by_hand(step: int, expected: float) -> None:
    plan = Plan(steps=100, warmup=10, rate=1.0, final_rate=0.2)
    assert fit.learning_rate(plan, step) == pytest.approx(expected)


def test_learning_rate_without_warmup() -> None:
    assert fit.learning_rate(Plan(steps=10, warmup=0, rate=0.5), 0) == pytest.approx(0.5)


# Fitting ----------------------------------------------------------------------------------------


def loss_of(path: Path, tiny: Callable[..., Any], batch: fit.Batch) -> float:
    from wmhseg.training.losses import dice_and_cross_entropy

    network = tiny((48, 48))
    weights.assign(network, weights.read_tensors(path), name=path.name)
    return float(dice_and_cross_entropy(batch[1], network(batch[0], training=False)))


def test_micro_training_learns(
    tmp_path: Path, labels_folder: Path, tiny_network: Callable[..., Any]
) -> None:
    """One weight a channel and a bias find out in 40 steps that bright in FLAIR is WMH."""
    import keras

    policy = keras.config.dtype_policy()
    lines: list[str] = []
    paths = [tmp_path / "made" / f"{name}.safetensors" for name in ("before", "after", "more")]
    plan = replace(PLAN, bfloat16=False)
    fit.fit(replace(plan, steps=0), labels_folder, paths[0])
    fit.fit(plan, labels_folder, paths[1], report=lines.append)
    assert keras.config.dtype_policy() == policy

    # The first weights expect next to no lesion.
    first = weights.read_tensors(paths[0])
    assert first["output/bias"] == -4
    assert np.abs(first["output/kernel"]).max() < 0.2
    known = next(fit.batches(plan, synthesis.load_heads(labels_folder), seed=99))
    before, after = (loss_of(path, tiny_network, known) for path in paths[:2])
    assert after < 0.9 * before
    learned = weights.read_tensors(paths[1])
    assert learned["output/kernel"][0, 0, 0, 0] > 0.5

    with paths[1].with_suffix(".csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [row["step"] for row in rows] == ["40"]
    assert rows[0]["slices"] == "160"
    assert 0 < float(rows[0]["loss"]) < 3
    assert len(lines) == 1
    assert lines[0].startswith("step 40/40  loss ")

    # Going on from weights, without a step: the same weights.
    fit.fit(replace(plan, steps=0, seed=5), labels_folder, paths[2], start_from=paths[1])
    for name, array in weights.read_tensors(paths[2]).items():
        np.testing.assert_array_equal(array, learned[name])


def test_mixed_precision_writes_single(
    tmp_path: Path, labels_folder: Path, tiny_network: Callable[..., Any]
) -> None:
    import keras

    policy = keras.config.dtype_policy()
    path = tmp_path / "0.safetensors"
    fit.fit(replace(PLAN, steps=2, bfloat16=True), labels_folder, path, report=lambda line: None)
    kernel = weights.read_tensors(path)["output/kernel"]
    # Not rounded to the 8 bits of bfloat16, whose lower 16 bits are 0.
    assert (kernel.view(np.uint32) & 0xFFFF).any()
    assert keras.config.dtype_policy() == policy


def test_failing_leaves_keras_as_it_was(
    tmp_path: Path, labels_folder: Path, tiny_network: Callable[..., Any]
) -> None:
    import keras

    policy = keras.config.dtype_policy()
    weights.write_tensors(tmp_path / "other.safetensors", {"output/bias": np.zeros(1, np.float32)})
    with pytest.raises(WeightsError, match=r"other\.safetensors: output/kernel"):
        fit.fit(
            PLAN,
            labels_folder,
            tmp_path / "0.safetensors",
            start_from=tmp_path / "other.safetensors",
        )
    assert keras.config.dtype_policy() == policy
    assert not (tmp_path / "0.safetensors").exists()
