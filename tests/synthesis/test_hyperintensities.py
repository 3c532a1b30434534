"""Age and lesions: where they may be, how much, and that NumPy and torch draw the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from conftest import ellipsoid

from wmhseg.synthesis import anatomy as anatomies
from wmhseg.synthesis import heads, hyperintensities, scan, shapes
from wmhseg.synthesis.arrays import NUMPY, Arrays, on_torch
from wmhseg.synthesis.heads import INDEX, Head, Shapes
from wmhseg.synthesis.hyperintensities import HOLDING
from wmhseg.synthesis.recipe import Recipe

SEEDS = range(10)
RECIPE = Recipe(field=(72, 68), slices=8, without_lesions=0, off_centre_mm=2, load_ml=(0.2, 6.0),
                load_shares=(1.0,))  # fmt: skip
YOUNG = replace(RECIPE, wide_ventricles=0, wide_third=0, atrophy=0, cortex=0)


@pytest.fixture(scope="module")
def two_ventricles(label_map: np.ndarray) -> Head:
    """The phantom with two lateral ventricles, 6 mm apart, and lesions of two people."""
    labels = np.where(label_map == 4, 2, label_map)
    ball = ellipsoid((9, 21, 9), (4.6, 10, 4.6))
    for number, column in ((4, 26), (43, 41)):
        labels[19:28, 32:53, column : column + 9][ball] = number
    labels[10:14, 40:44, 36:40] = 16  # a little brainstem
    labels[22:26, 20:24, 30:34] = 10  # and thalamus
    head = heads.load_head(labels)
    parts = []
    for corner, size in (((20, 40, 18), 4), ((24, 55, 36), 6), ((30, 30, 44), 2)):
        mask = np.zeros(labels.shape, bool)
        mask[tuple(slice(at, at + size) for at in corner)] = True
        inside = np.where(mask, 8, -12).astype(np.int8)
        near = np.flatnonzero(heads.ndimage.binary_dilation(mask))
        parts.append((near.astype(np.int32), inside.ravel()[near]))
    starts = np.cumsum([0] + [len(part[0]) for part in parts])
    found = Shapes(
        voxels=np.concatenate([part[0] for part in parts]),
        inside=np.concatenate([part[1] for part in parts]),
        starts=starts,
        person=np.array([0, 0, 1], np.int32),
        lesion_ml=np.array([0.064, 0.216, 0.008], np.float32),
    )
    return replace(head, shapes=found)


Drawn = tuple[anatomies.Sampled, hyperintensities.Hyperintensities]


@pytest.fixture
def drawn(two_ventricles: Head) -> Callable[..., Drawn]:
    def draw(seed: int, recipe: Recipe = RECIPE, arrays: Arrays = NUMPY) -> Drawn:
        rng = np.random.default_rng(seed)
        anatomy = anatomies.sample(rng, two_ventricles, recipe, 3.0, 3, arrays)
        return anatomy, hyperintensities.grow(rng, anatomy, recipe)

    return draw


# Age --------------------------------------------------------------------------------------------


def volume(anatomy: anatomies.Sampled, name: str) -> float:
    return float((anatomy.tissue == INDEX[name]).sum())


def test_ventricles_widen_and_the_septum_survives(drawn: Callable[..., Drawn]) -> None:
    wide = replace(YOUNG, wide_ventricles=1, wide_ventricles_mm=(4.0, 4.0))
    kept = 0
    for seed in SEEDS:
        young, old = drawn(seed, YOUNG)[0], drawn(seed, wide)[0]
        np.testing.assert_array_equal(young.place, old.place)
        assert not young.septum.any()
        fluid = old.tissue == INDEX["ventricle"]
        assert volume(old, "ventricle") > 1.3 * volume(young, "ventricle")
        assert not (fluid & np.isin(young.tissue, (0, INDEX["cortex"], INDEX["csf"]))).any()
        assert (old.tissue[old.septum] == INDEX["white_matter"]).all()
        # The rim is measured from where the ventricles are now.
        assert (old.ventricle_mm[fluid] == 0).all()
        assert (old.ventricle_mm <= young.ventricle_mm).all()
        # On a row through both there is tissue between fluid on the left and on the right.
        for plane, row in np.argwhere(old.septum.any(2)):
            line = fluid[plane, row]
            places = np.flatnonzero(old.septum[plane, row])
            kept += bool(line[: places[0]].any() and line[places[-1] :].any())
    assert kept > 100


def test_atrophy_turns_cortex_into_fluid_and_keeps_a_ribbon(drawn: Callable[..., Drawn]) -> None:
    changed = 0
    for seed in SEEDS:
        young, old = drawn(seed, YOUNG)[0], drawn(seed, replace(YOUNG, atrophy=1))[0]
        assert volume(old, "csf") >= volume(young, "csf")
        assert volume(old, "cortex") > 0.5 * volume(young, "cortex")
        assert volume(old, "white_matter") < 1.2 * volume(young, "white_matter")
        changed += volume(old, "csf") > 1.1 * volume(young, "csf")
        assert (old.depth_mm >= 0).all()
    assert changed >= 4


def test_what_is_switched_off_changes_nothing_else(drawn: Callable[..., Drawn]) -> None:
    """Ablations compare scans that differ in one thing."""
    for seed in SEEDS:
        young, old = drawn(seed, YOUNG)[0], drawn(seed, replace(YOUNG, wide_third=1))[0]
        np.testing.assert_array_equal(young.axes_mm[1], old.axes_mm[1])
        np.testing.assert_array_equal(young.place, old.place)
        without, with_holes = (
            drawn(seed, replace(YOUNG, cavities=share))[1] for share in (0.0, 1.0)
        )
        outside = (with_holes.cavity + with_holes.other) == 0
        assert not without.cavity.any()
        assert with_holes.cavity.any()
        np.testing.assert_array_equal(without.strength[outside], with_holes.strength[outside])
        np.testing.assert_array_equal(without.gain, with_holes.gain)


# Lesions ----------------------------------------------------------------------------------------


def test_lesions_are_only_in_tissue_that_can_hold_them(drawn: Callable[..., Drawn]) -> None:
    allowed = [INDEX[name] for name in HOLDING]
    cortical = 0
    for seed in range(30):
        anatomy, found = drawn(seed, replace(RECIPE, wide_ventricles=1, cavities=0.5))
        where = anatomy.tissue[found.strength > 0]
        cortical += bool((where == INDEX["cortex"]).any())
        assert np.isin(where, [*allowed, INDEX["cortex"]]).all()
        assert not (found.strength[anatomy.septum] > 0).any()
        assert found.strength.min() >= 0
        assert found.strength.max() <= 1
        assert (found.gain > 0).all()
    assert cortical < 12  # 12 % of scans


def test_no_load_no_lesion(drawn: Callable[..., Drawn]) -> None:
    for seed in SEEDS:
        _, found = drawn(seed, replace(RECIPE, without_lesions=1))
        assert not found.strength.any()


def test_loads_are_about_what_was_wanted(drawn: Callable[..., Drawn]) -> None:
    """Not exactly: the head is small, and what lies in fluid or cortex is lost."""
    for wanted in (0.5, 4.0):
        recipe = replace(RECIPE, load_ml=(wanted, wanted), cavities=0, zoom=(1, 1))
        got = []
        for seed in range(16):
            anatomy, found = drawn(seed, recipe)
            got.append(float((found.strength >= 0.5).sum()) * anatomy.voxel_ml)
        assert 0.5 * wanted < np.median(got) < 2 * wanted


def test_loads_keep_to_their_shares() -> None:
    recipe = Recipe()
    rng = np.random.default_rng(0)
    loads = np.array([hyperintensities.draw_load_ml(rng, recipe) for _ in range(4000)])
    shares = np.histogram(loads, (0, 1e-9, *recipe.load_ml[1:]))[0] / len(loads)
    # 0.1 none; of the others 0.28, 0.33, 0.28, 0.11; standard errors below 0.008.
    np.testing.assert_allclose(shares, [0.1, 0.252, 0.297, 0.252, 0.099], atol=0.03)
    assert loads[loads > 0].min() >= 0.05
    assert loads.max() <= 100


def test_cavities_are_never_marked(drawn: Callable[..., Drawn]) -> None:
    holes = 0
    for seed in SEEDS:
        _, found = drawn(seed, replace(RECIPE, cavities=1))
        target, other = scan.marked(found, 3, 0.4)
        assert not (target & other).any()
        assert not (found.strength[found.cavity == 1] > 0).any()
        around = found.cavity + found.other
        assert around.max() <= 1 + 1e-6
        # Every cavity has a bright border: it is not all there is of what is not marked.
        assert found.other.sum() > 0 or found.cavity.sum() == 0
        holes += bool(other.any())
    assert holes >= 7


def test_a_generous_reader_marks_more(drawn: Callable[..., Drawn]) -> None:
    more = 0
    for seed in SEEDS:
        _, found = drawn(seed, replace(RECIPE, halo=1))
        strict, generous = (scan.marked(found, 3, level)[0] for level in (0.5, 0.3))
        assert not (strict & ~generous).any()
        more += bool((generous & ~strict).any())
    assert more >= 6


def test_a_seed_says_all(drawn: Callable[..., Drawn]) -> None:
    one, same, other = drawn(3)[1], drawn(3)[1], drawn(4)[1]
    np.testing.assert_array_equal(one.strength, same.strength)
    np.testing.assert_array_equal(one.gain, same.gain)
    assert one.strength.shape != other.strength.shape or (one.strength != other.strength).any()


def test_numpy_and_torch_draw_the_same(drawn: Callable[..., Drawn]) -> None:
    pytest.importorskip("torch")
    there = on_torch("cpu")
    for seed in range(6):
        recipe = replace(RECIPE, cavities=0.5)
        (here, ours), (away, theirs) = drawn(seed, recipe), drawn(seed, recipe, there)
        assert (here.tissue != there.get(away.tissue)).mean() < 1e-3
        for name in ("strength", "cavity", "other", "gain"):
            one, two = getattr(ours, name), there.get(getattr(theirs, name))
            assert (np.abs(one - two) > 0.02).mean() < 1e-3, name


def test_whole_scans_on_torch(two_ventricles: Head) -> None:
    pytest.importorskip("torch")
    there = on_torch("cpu")
    heads_there = heads.move([two_ventricles], there)
    recipe = replace(RECIPE, without_t1=0)
    ours = scan.draw_scan(np.random.default_rng(5), [two_ventricles], recipe)
    theirs = scan.draw_scan(np.random.default_rng(5), heads_there, recipe, there)
    assert (ours.target != there.get(theirs.target)).mean() < 1e-3
    made = scan.make_scan(np.random.default_rng(5), heads_there, recipe, there)
    assert there.get(made.inputs).shape == (*ours.target.shape, 2)


# Shapes of real lesions -------------------------------------------------------------------------


def test_choose_takes_one_person_and_about_the_load(two_ventricles: Head) -> None:
    found = two_ventricles.shapes
    assert found is not None
    for seed in range(30):
        rng = np.random.default_rng(seed)
        chosen = shapes.choose(rng, found, 0.28)
        assert len(set(found.person[chosen])) == 1
        assert found.lesion_ml[chosen].sum() <= 1.3 * 0.28
    smallest = shapes.choose(np.random.default_rng(0), found, 1e-4)
    assert smallest.tolist() in ([2], [0])  # never nothing


def test_placed_lesions_move_as_a_whole(two_ventricles: Head) -> None:
    found = two_ventricles.shapes
    assert found is not None
    still = shapes.placed(found, np.array([0]), two_ventricles.shape, (0, 0, 0))
    moved = shapes.placed(found, np.array([0]), two_ventricles.shape, (1, -2, 3))
    one, two = (np.argwhere(v.reshape(two_ventricles.shape) > 0) for v in (still, moved))
    assert len(one) == 64
    np.testing.assert_array_equal(one + np.array([1, -2, 3]), two)


def test_real_shapes_are_where_the_head_has_them(
    two_ventricles: Head, drawn: Callable[..., Drawn]
) -> None:
    """Without anything else, what is drawn lies within reach of the stored lesions."""
    anatomy, _ = drawn(0, YOUNG)
    inside = shapes.real(np.random.default_rng(1), anatomy, 0.2)
    found = two_ventricles.shapes
    assert found is not None
    stored = np.zeros(two_ventricles.shape, bool).ravel()
    stored[found.voxels[found.inside > 0]] = True
    near = heads.ndimage.binary_dilation(
        stored.reshape(two_ventricles.shape), np.ones((3, 3, 3)), iterations=4
    )
    assert (inside > 0).any()
    assert near.ravel()[anatomy.place[inside > 0]].all()


# Ellipsoids -------------------------------------------------------------------------------------


def test_ellipsoids_have_the_volume_asked_for() -> None:
    """Signed distances: positive in as much volume, falling by 1 a millimetre outwards."""
    axes = tuple(np.arange(n, dtype=np.float32) for n in (60, 80, 80))
    places = np.argwhere(ellipsoid((60, 80, 80), (15, 25, 25)))
    total = 0.0
    for seed in SEEDS:
        canvas = shapes.Canvas(axes, 1.0)
        canvas.add(np.random.default_rng(seed), shapes.LesionKind((2, 5), (1, 1)), places, 3.0)
        total += float((canvas.inside > 0).sum()) / 1000
        assert not canvas.empty
    assert 0.8 * 3 < total / len(SEEDS) < 1.15 * 3  # overlaps lose some
    canvas = shapes.Canvas(axes, 0.0)
    canvas.add(
        np.random.default_rng(0), shapes.LesionKind((4, 4), (1, 1)), np.array([[30, 40, 40]]), 0.2
    )
    line = canvas.inside[30, 40, 40:48] / 8
    assert line[0] == pytest.approx(4, abs=0.6)
    np.testing.assert_allclose(np.diff(line[:6]), -1, atol=0.35)


def test_nothing_is_drawn_where_there_is_no_place() -> None:
    axes = tuple(np.arange(n, dtype=np.float32) for n in (10, 10, 10))
    canvas = shapes.Canvas(axes, 1.0)
    canvas.add(np.random.default_rng(0), shapes.LesionKind((2, 5)), np.zeros((0, 3), np.intp), 3.0)
    assert canvas.empty
    assert (canvas.inside < 0).all()


def test_fingers_lie_across_the_border() -> None:
    axes = tuple(np.arange(n, dtype=np.float32) for n in (40, 60, 60))
    kind = shapes.LesionKind((2, 2), across=3.0)
    for way, longer in (((1.0, 0.0), 1), ((0.0, 1.0), 2)):
        spread = np.zeros(3)
        for seed in SEEDS:
            canvas = shapes.Canvas(axes, 0.0)
            place, direction = np.array([[20, 30, 30]]), np.array([way])
            canvas.add(np.random.default_rng(seed), kind, place, 0.101, direction)
            spread += np.argwhere(canvas.inside > 0).std(0)
        assert spread[longer] > 1.7 * spread[3 - longer]
