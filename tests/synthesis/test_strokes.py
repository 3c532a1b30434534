"""Infarcts: where they are, how they look, and that nothing else of a scan changes with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from wmhseg import records
from wmhseg.synthesis import anatomy as anatomies
from wmhseg.synthesis import heads, scan, shapes, strokes
from wmhseg.synthesis.arrays import NUMPY, Arrays, on_torch
from wmhseg.synthesis.heads import INDEX, Head, Shapes
from wmhseg.synthesis.hyperintensities import Hyperintensities
from wmhseg.synthesis.noise import apart
from wmhseg.synthesis.recipe import Recipe

RECIPE = Recipe(
    field=(64, 60), slices=6, without_lesions=0, without_t1=0, cavities=0.3, off_centre_mm=2
)
STROKES = replace(RECIPE, stroke=1.0)
# Nothing that hides what was painted.
OFF = (
    "cavities", "skull_stripped", "narrow", "empty_ends", "bias", "tone_curve", "saturated",
    "quantised", "ghosts", "misregistered", "mottled", "regions", "rim", "dirty", "flow",
    "vessels", "perivascular", "gadolinium",
)  # fmt: skip
CLEAN = replace(STROKES, noise=(0, 0), **dict.fromkeys(OFF, 0.0))

FROZEN = (
    (213, 288, 20331.26, 14998.52),
    (1863, 2159, 13319.68, 6956.14),
    (133, 129, 4822.31, 3138.73),
    (446, 0, 6581.49, 10278.47),
)
NEXT = 0.0804002373664846


@pytest.fixture(scope="module")
def head(label_map: np.ndarray) -> Head:
    return heads.load_head(label_map)


@pytest.fixture(scope="module")
def known(head: Head) -> Head:
    """The phantom with the infarct of one person: a block in the upper right of the front."""
    mask = np.zeros(head.coarse_shape, bool)
    mask[11:16, 10:19, 9:15] = True
    signed = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
    inside = np.clip(np.round(16 * signed), -127, 127).astype(np.int8)  # 2 mm are 16 eighths
    near = np.flatnonzero(inside > -24)
    one = Shapes(
        voxels=near.astype(np.int32),
        inside=inside.ravel()[near],
        starts=np.array([0, near.size]),
        person=np.array([0], np.int32),
        lesion_ml=np.array([mask.sum() * 0.008], np.float32),
    )
    return replace(head, strokes=one)


def sampled(
    head: Head, seed: int, recipe: Recipe = STROKES, arrays: Arrays = NUMPY
) -> anatomies.Sampled:
    return anatomies.sample(np.random.default_rng(seed), head, recipe, 3.0, 2, arrays)


def drawn(head: Head, seed: int, recipe: Recipe = STROKES) -> scan.Drawing:
    return scan.draw_scan(np.random.default_rng(seed), [head], recipe)


# What does not change ---------------------------------------------------------------------------


def test_scans_without_infarcts_are_what_they_were(head: Head) -> None:
    """Numbers of the version before infarcts were drawn."""
    recipe = replace(RECIPE, off_centre_mm=10)
    rng = np.random.default_rng(3)
    found = []
    for _ in range(4):
        one = scan.draw_scan(rng, [head], recipe)
        assert not one.stroke.any()
        sums = [float(image.sum(dtype=float)) for image in (one.flair, one.t1)]
        found.append((int(one.target.sum()), int(one.other.sum()), *sums))
    np.testing.assert_allclose(found, FROZEN, rtol=1e-5)
    assert rng.random() == NEXT


def test_older_plans_are_read() -> None:
    written = dataclasses.asdict(Recipe())
    for name in ("stroke", "old_stroke", "stroke_shapes"):
        del written[name]
    text = records.json_text(written)
    assert records.parse(Recipe, records.loads(text)) == Recipe()
    assert Recipe().stroke == 0


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_infarcts_change_nothing_but_where_they_are(head: Head, seed: int) -> None:
    rngs = np.random.default_rng(seed), np.random.default_rng(seed)
    recipe = replace(CLEAN, ringing=0, sharpened=0, coarse=0, load_ml=(0.2, 6.0),
                     load_shares=(1.0,))  # fmt: skip
    with_them = scan.draw_scan(rngs[0], [head], recipe)
    without = scan.draw_scan(rngs[1], [head], replace(recipe, stroke=0))
    # Slices far from every infarct; borders reach a few millimetres.
    changed = with_them.flair != without.flair
    far = ~ndimage.binary_dilation(with_them.stroke.any((1, 2)), iterations=3)
    assert changed[far].mean() < 0.02 if far.any() else True
    assert not (with_them.target & ~without.target).any()
    assert not (with_them.target & with_them.stroke).any()
    assert not (with_them.other & with_them.stroke).any()
    assert rngs[0].random() == rngs[1].random()
    assert rngs[0].spawn(1)[0].random() == rngs[1].spawn(1)[0].random()


def test_a_generator_apart_takes_nothing() -> None:
    rng, same = np.random.default_rng(1), np.random.default_rng(1)
    first = apart(rng, 2**31).random()
    assert first == apart(same, 2**31).random()
    assert first != apart(rng, 2**31 + 1).random()
    children = rng.spawn(2)
    assert first not in [child.random() for child in children]
    assert apart(rng, 2**31).random() != first  # the next scan's
    np.testing.assert_array_equal(
        [child.random() for child in rng.spawn(2)],
        [child.random() for child in [*same.spawn(4)][2:]],
    )


def test_the_share_of_scans_with_infarcts(head: Head) -> None:
    anatomy = sampled(head, 0)
    some = replace(STROKES, stroke=0.3)
    made = [strokes.draw(np.random.default_rng(n), anatomy, some) for n in range(60)]
    assert 9 <= sum(one is not None for one in made) <= 27
    assert strokes.draw(np.random.default_rng(0), anatomy, RECIPE) is None


# Where ------------------------------------------------------------------------------------------


def test_infarcts_lie_in_the_brain_and_come_in_many_sizes(head: Head) -> None:
    anatomy = sampled(head, 1)
    fluid = np.isin(anatomy.tissue, [INDEX["ventricle"]])
    outside = (anatomy.tissue == 0) | (anatomy.tissue >= heads.N_BRAIN)
    volumes = []
    for seed in range(30):
        found = strokes.draw(np.random.default_rng(seed), anatomy, STROKES)
        assert found is not None
        assert not found.extent[fluid | outside].any()
        for name in ("extent", "core", "swollen"):
            assert 0 <= getattr(found, name).min() <= getattr(found, name).max() <= 1, name
        for name in ("flair", "t1"):
            assert not getattr(found, name)[(found.extent == 0) & (found.swollen == 0)].any()
        volumes.append(float((found.extent > 0.5).sum()) * anatomy.voxel_ml)
    assert np.mean(np.array(volumes) > 0) > 0.7  # the phantom has no deep nuclei
    assert np.percentile(volumes, 15) < 2
    assert np.percentile(volumes, 90) > 8


@pytest.mark.parametrize("number", range(len(strokes.GROWN)))
def test_every_grown_kind_is_somewhere(
    head: Head, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kind that draws nothing would go unnoticed among the others."""
    if strokes.GROWN[number][1].__name__ in ("_cerebellar", "_deep"):
        labels = head.tissue.copy()
        block = labels[14:30, 50:62, 30:50]
        block[block == INDEX["white_matter"]] = INDEX["cerebellar_cortex"]
        labels[20:26, 30:40, 24:30] = INDEX["striatum"]
        maps = head.maps.copy()
        maps[..., 0] = labels
        head = replace(head, maps=maps)
    monkeypatch.setattr(strokes, "GROWN", ((1.0, strokes.GROWN[number][1]),))
    anatomy = sampled(head, 2, replace(STROKES, atrophy=0, cortex=0, wide_ventricles=0))
    sizes = []
    for seed in range(6):
        found = strokes.draw(np.random.default_rng(seed), anatomy, STROKES)
        assert found is not None
        sizes.append(float((found.extent > 0.5).mean()))
    assert np.median(sizes) > 0
    assert max(sizes) < 0.4


def test_real_infarcts_lie_where_they_were(known: Head) -> None:
    """The block, moved by at most one coarse voxel and uneven at its border."""
    recipe = replace(STROKES, stroke_shapes=1, tilt_deg=0, warp_mm=0)
    assert known.strokes is not None
    box = np.zeros(known.shape, bool)
    box[22:31, 20:37, 18:29] = True
    for seed in range(6):
        anatomy = sampled(known, seed, recipe)
        inside = shapes.real_infarct(np.random.default_rng(seed), anatomy) > 0
        wide = ndimage.binary_dilation(box, iterations=4).ravel()[anatomy.place]
        core = ndimage.binary_erosion(box, iterations=3).ravel()[anatomy.place]
        assert inside[core].all()
        assert not inside[~wide].any()


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), shape=st.tuples(*[st.integers(5, 12)] * 3))
def test_enlarged_is_linear_between_every_second_voxel(
    seed: int, shape: tuple[int, int, int]
) -> None:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(-24, 60, [-(-n // 2) for n in shape]).astype(np.int8)
    coarse[0, 0, 0] = -24
    fine = shapes.enlarged(coarse, shape)
    assert fine.shape == shape
    np.testing.assert_array_equal(fine[::2, ::2, ::2], coarse)
    expected = ndimage.map_coordinates(
        coarse.astype(float), np.indices(shape) / 2, order=1, mode="nearest"
    )
    assert np.abs(fine - expected).max() <= 3  # rounded once an axis
    assert (shapes.enlarged(np.full_like(coarse, -24), shape) == -24).all()


def test_territories_of_arteries(head: Head) -> None:
    """Places that belong to one artery in everyone; (up, back, side)."""
    where = tuple(
        np.array(axis, np.float32)
        for axis in zip((30, -25, 5), (0, 70, 8), (10, 0, 55), (-30, 30, 25), strict=True)
    )
    for seed in range(10):
        for number in range(4):
            target = np.array([axis[number] for axis in where], float)
            found = strokes.supplied(np.random.default_rng(seed), (*where,), target)  # type: ignore[arg-type]
            same = [n for n in range(4) if found[n] > 0]
            # The lower temporal lobe is the posterior artery's, as the occipital one.
            assert same == {0: [0], 1: [1, 3], 2: [2], 3: [1, 3]}[number]


# Looks ------------------------------------------------------------------------------------------


def look(
    head: Head, seed: int, old: float, monkeypatch: pytest.MonkeyPatch
) -> tuple[scan.Drawing, scan.Drawing]:
    """A clean scan with and without a wedge."""
    wedge = next(entry for entry in strokes.GROWN if entry[1].__name__ == "_wedge")
    monkeypatch.setattr(strokes, "GROWN", (wedge,))
    recipe = replace(CLEAN, old_stroke=old, without_lesions=1, tilt_deg=0)
    return drawn(head, seed, recipe), drawn(head, seed, replace(recipe, stroke=0))


def test_recent_ones_are_bright_in_flair_and_not_in_t1(
    head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    brighter, darker = [], []
    for seed in range(12):
        one, before = look(head, seed, 0.0, monkeypatch)
        core = ndimage.binary_erosion(one.stroke, np.ones((1, 3, 3)))
        if core.sum() > 20:
            brighter.append(float(one.flair[core].mean() / before.flair[core].mean()))
            darker.append(float(one.t1[core].mean() / before.t1[core].mean()))
    assert len(brighter) >= 6
    assert np.median(brighter) > 1.15
    assert max(brighter) > 1.4
    assert min(brighter) > 1.0
    assert 0.6 < np.median(darker) < 1.0
    assert max(darker) < 1.4  # but for swollen tissue where fluid was


def test_old_ones_have_a_dark_core_and_a_bright_rim(
    head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    wedge = next(entry for entry in strokes.GROWN if entry[1].__name__ == "_wedge")
    monkeypatch.setattr(strokes, "GROWN", (wedge,))
    anatomy = sampled(head, 5, replace(STROKES, atrophy=0))
    cored = rimmed = 0
    for seed in range(20):
        found = strokes.draw(np.random.default_rng(seed), anatomy, replace(STROKES, old_stroke=1))
        assert found is not None
        rim = (found.extent > 0.9) & (found.core < 0.05) & (found.flair != 0)
        core = found.core > 0.5
        assert (found.extent[core] > 0.5).all()  # both are marked
        assert not found.swollen.any()
        assert (found.flair[rim] > 0).all()
        assert (found.t1[rim] < 0).all()
        if core.sum() > 100:
            cored += 1
            rimmed += bool(rim.sum() > 20)
    assert cored >= 10
    assert rimmed >= 8


def test_painted_infarcts_replace_what_was_there(head: Head) -> None:
    """By hand: a change of half, fluid in the core, swollen tissue for fluid."""
    from wmhseg.synthesis import appearance, brightness

    rng = np.random.default_rng(0)
    contrast = brightness.draw_contrast(rng, CLEAN)
    image = np.full((1, 1, 4), 1.0, np.float32)
    extent = np.array([[[0, 1, 1, 0]]], np.float32)
    change = np.array([[[0, 0.5, 0.5, 0.5]]], np.float32)
    core = np.array([[[0, 0, 1, 0]]], np.float32)
    swollen = np.array([[[0, 0, 0, 1]]], np.float32)
    made = strokes.Strokes(extent, change, -change, core, swollen)
    cortex = contrast.flair.mean[INDEX["cortex"]]
    there = appearance.infarcted(image, contrast.flair, made, made.flair)
    np.testing.assert_allclose(there[0, 0], [1, 1.5, contrast.flair.fluid, 1.5 * cortex], rtol=1e-5)


def test_an_infarct_wins_over_a_hyperintensity() -> None:
    full = np.ones((1, 1, 2), np.float32)
    extent = np.array([[[1.0, 0.0]]], np.float32)
    nothing = np.zeros_like(full)
    left = strokes.beside(
        Hyperintensities(full, full, full, full),
        strokes.Strokes(extent, nothing, nothing, nothing, nothing),
    )
    for name in ("strength", "cavity", "other"):
        np.testing.assert_array_equal(getattr(left, name)[0, 0], [0, 1])
    assert (left.gain == 1).all()


def test_what_the_network_sees_carries_them(head: Head) -> None:
    drawing = drawn(head, 7)
    made = scan.make_scan(np.random.default_rng(7), [head], STROKES)
    assert made.stroke is not None
    np.testing.assert_array_equal(made.stroke, drawing.stroke)
    assert drawing.stroke.any()
    assert drawing.stroke.dtype == bool


def test_torch_draws_the_same(known: Head) -> None:
    pytest.importorskip("torch")
    there = on_torch("cpu")
    (away,) = heads.move([known], there)
    draw: Callable[..., strokes.Strokes | None] = strokes.draw
    for seed in range(8):
        ours = draw(np.random.default_rng(seed), sampled(known, seed), STROKES)
        theirs = draw(np.random.default_rng(seed), sampled(away, seed, STROKES, there), STROKES)
        assert ours is not None
        assert theirs is not None
        for field in dataclasses.fields(strokes.Strokes):
            one, two = getattr(ours, field.name), there.get(getattr(theirs, field.name))
            assert (np.abs(one - two) > 0.02).mean() < 2e-3, field.name
    recipe = replace(STROKES, stroke_shapes=1)
    there_too = scan.draw_scan(np.random.default_rng(5), [away], recipe, there)
    assert there.get(there_too.stroke).any()
