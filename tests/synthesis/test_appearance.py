"""How bright synthetic tissue is, and the look-alikes that stay 0."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from wmhseg.synthesis import appearance, noise, regions
from wmhseg.synthesis.anatomy import Sampled
from wmhseg.synthesis.arrays import Arrays, on_torch
from wmhseg.synthesis.brightness import draw_contrast
from wmhseg.synthesis.heads import INDEX, N_BRAIN, TISSUES
from wmhseg.synthesis.hyperintensities import Hyperintensities
from wmhseg.synthesis.recipe import Recipe

PLAIN = Recipe(
    mottled=0, regions=0, rim=0, septum=0, dirty=0, flow=0, vessels=0, perivascular=0, gadolinium=0
)
ALIKE = ("mottled", "regions", "rim", "septum", "dirty", "flow", "vessels", "perivascular")
SHAPE = (4, 40, 50)


class Fields:
    """Smooth fields, the same numbers on NumPy and torch."""

    def __init__(self, arrays: Arrays, axes: tuple[np.ndarray, ...]) -> None:
        self.arrays, self.draw = arrays, noise.Noise(np.random.default_rng(9), axes)

    def __call__(self, wavelength_mm: float) -> object:
        return self.arrays.put(self.draw(wavelength_mm))


def block(arrays: Arrays | None = None) -> Sampled:
    """From left to right: ventricle, white matter, cortex, CSF, fat; near the brain's centre."""
    arrays = arrays or Arrays()
    names = ("ventricle", "white_matter", "cortex", "csf", "scalp_fat")
    tissue = np.zeros(SHAPE, np.uint8)
    for number, name in enumerate(names):
        tissue[:, :, 10 * number : 10 * number + 10] = INDEX[name]
    column = np.broadcast_to(np.arange(50, dtype=np.float32), SHAPE)
    axes = (
        np.linspace(-15, 15, SHAPE[0], dtype=np.float32),
        np.arange(40, dtype=np.float32) - 40,
        np.arange(50, dtype=np.float32) - 10,
    )
    depth = np.where(tissue == INDEX["white_matter"], 20 - column, 0)
    septum = np.zeros(SHAPE, bool)
    septum[:, 20:22, 10:12] = True
    return Sampled(
        tissue=arrays.put(tissue),
        ventricle_mm=arrays.put(np.maximum(column - 9, 0)),
        depth_mm=arrays.put(depth.astype(np.float32)),
        noise=Fields(arrays, axes),
        axes_mm=axes,
        septum=arrays.put(septum),
        prior=None,
        place=None,
        head=None,
        parts=2,
        spacing_mm=(10.0, 1.0, 1.0),
    )


def marks(mask: np.ndarray, arrays: Arrays) -> Hyperintensities:
    """Lesions with sharp borders, all alike."""
    none = np.zeros(SHAPE, np.float32)
    return Hyperintensities(
        *(arrays.put(f) for f in (mask.astype(np.float32), none, none, none + 1))
    )


def painted(
    seed: int, recipe: Recipe, lesions: np.ndarray | None = None, arrays: Arrays | None = None
) -> list[np.ndarray]:
    arrays = arrays or Arrays()
    rng = np.random.default_rng(seed)
    brightness = draw_contrast(rng, recipe)
    mask = np.zeros(SHAPE, bool) if lesions is None else lesions
    abnormal = marks(mask, arrays)
    return [
        arrays.get(image) for image in appearance.paint(rng, block(arrays), abnormal, brightness)
    ]


def test_contrast_is_plausible() -> None:
    grey, white, fluid = (INDEX[n] for n in ("cortex", "white_matter", "ventricle"))
    for seed in range(60):
        drawn = draw_contrast(np.random.default_rng(seed), Recipe())
        for channel in (drawn.flair, drawn.t1):
            assert channel.mean[white] == 1
            assert channel.mean[0] == 0
            assert channel.mean.min() >= 0
            assert channel.mean[fluid] == pytest.approx(channel.fluid)
            assert channel.fluid < channel.mean[grey]
        assert 0.92 <= drawn.flair.mean[grey] <= 1.42
        assert 0.52 <= drawn.t1.mean[grey] <= 1
        assert 1.18 <= drawn.flair.lesion <= 2.3
        assert 0.4 <= drawn.t1.lesion <= 1
    assert (
        sum(
            d.flair.lesion < d.flair.mean[grey]
            for d in (draw_contrast(np.random.default_rng(s), Recipe()) for s in range(60))
        )
        >= 5
    )  # lesions darker than cortex are seen as well


def test_head_tissues_are_drawn_apart() -> None:
    """A tissue that is bright in one modality may be dark in the other."""
    tables = [
        draw_contrast(np.random.default_rng(seed), Recipe(gadolinium=0)) for seed in range(300)
    ]
    for name in ("scalp_fat", "soft_tissue", "marrow", "head_506"):
        pairs = np.array([(d.flair.mean[INDEX[name]], d.t1.mean[INDEX[name]]) for d in tables])
        assert abs(np.corrcoef(pairs.T)[0, 1]) < 0.2
        bright, dark = pairs.max(1) > 0.8, pairs.min(1) < 0.5
        assert (bright & dark & (pairs[:, 0] > pairs[:, 1])).any()
        assert (bright & dark & (pairs[:, 0] < pairs[:, 1])).any()
    assert {TISSUES[name] for name in TISSUES if INDEX[name] >= N_BRAIN}


def test_gadolinium_brightens_blood_in_t1_alone() -> None:
    for seed in range(10):
        without, enhanced = (
            draw_contrast(np.random.default_rng(seed), replace(PLAIN, gadolinium=share))
            for share in (0, 1)
        )
        np.testing.assert_array_equal(enhanced.flair.mean, without.flair.mean)
        changed = np.flatnonzero(enhanced.t1.mean != without.t1.mean)
        assert set(changed) == {INDEX[n] for n in ("vessel", "dura_sinus", "choroid_plexus")}
        assert (enhanced.t1.mean[changed] >= 1.3).all()
        assert enhanced.t1.vessels >= 0.5


def test_plain_tissue_has_one_value_but_for_the_fibres_below_the_cortex() -> None:
    for seed in range(5):
        drawn = draw_contrast(np.random.default_rng(seed), PLAIN)
        for image, channel in zip(painted(seed, PLAIN), (drawn.flair, drawn.t1), strict=True):
            for number, name in enumerate(("ventricle", "white_matter", "cortex", "csf")):
                inner = image[:, :, 10 * number + 1]  # 9 mm below the cortex in white matter
                np.testing.assert_allclose(inner, channel.mean[INDEX[name]], rtol=3e-3)


@pytest.mark.parametrize("name", ALIKE)
def test_every_look_alike_can_be_switched_off(name: str) -> None:
    """Where it belongs and nowhere else, and only in some of the scans at most."""
    where = {
        "rim": (10, 20),
        "septum": (10, 12),
        "dirty": (10, 20),
        "perivascular": (10, 20),
        "vessels": (30, 40),
    }
    changed = 0
    for seed in range(12):
        plain, drawn = painted(seed, PLAIN), painted(seed, replace(PLAIN, **{name: 1}))
        difference = np.abs(drawn[0] - plain[0])
        changed += difference.max() > 0.005
        if name in where:
            low, high = where[name]
            outside = np.concatenate([difference[..., :low], difference[..., high:]], -1)
            np.testing.assert_array_equal(outside, 0)
        if name == "flow":
            np.testing.assert_array_equal(difference[..., 10:30], 0)
    assert changed >= (2 if name in ("perivascular", "vessels", "flow") else 10)


def test_the_rim_is_thin() -> None:
    """Lining and caps stay within 1.8 x 2 + 2 mm and mostly within 2 mm."""
    for seed in range(12):
        rim = painted(seed, replace(PLAIN, rim=1))[0] - painted(seed, PLAIN)[0]
        assert rim.min() >= -1e-6
        np.testing.assert_allclose(rim[..., 16:20], 0, atol=1e-6)
        assert rim[..., 10].mean() >= rim[..., 13].mean()


def test_hyperintensities_are_brighter_and_nothing_else_changes() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[1:3, 10:20, 12:18] = True
    for seed in range(12):
        plain, with_lesions = painted(seed, Recipe()), painted(seed, Recipe(), mask)
        for one, other in zip(plain, with_lesions, strict=True):
            np.testing.assert_array_equal(one[~mask], other[~mask])
        assert (with_lesions[0][mask] >= 1.0599 * plain[0][mask]).all()
        assert np.median(with_lesions[1][mask]) < 1.1


def test_halo_cavity_and_other_pathology() -> None:
    """A halo of half strength is half as bright; a cavity holds fluid; other is as bright."""
    rng = np.random.default_rng(3)
    drawn = draw_contrast(rng, PLAIN)
    none = np.zeros(SHAPE, np.float32)
    strength, cavity, other, gain = none.copy(), none.copy(), none.copy(), none + 1
    strength[:, :5], strength[:, 5:10], cavity[:, 10:15], other[:, 15:20] = 1, 0.5, 1, 1
    found = Hyperintensities(strength, cavity, other, gain)
    flair, t1 = appearance.paint(np.random.default_rng(0), block(), found, drawn)
    column = 11  # white matter, far from the cortex
    full, half = flair[:, :5, column].mean() - 1, flair[:, 5:10, column].mean() - 1
    assert full == pytest.approx(drawn.flair.lesion - 1, rel=0.2)
    assert half == pytest.approx(full / 2, rel=0.25)
    np.testing.assert_allclose(flair[:, 10:15, column], drawn.flair.fluid, rtol=1e-4)
    np.testing.assert_allclose(t1[:, 10:15, column], drawn.t1.fluid, rtol=1e-4)
    assert flair[:, 15:20, column].mean() - 1 == pytest.approx(full, rel=0.2)
    dimmer = replace(found, gain=none + 0.5)
    faint, _ = appearance.paint(np.random.default_rng(0), block(), dimmer, drawn)
    assert faint[:, :5, column].mean() - 1 == pytest.approx(full / 2, rel=0.25)


def test_numpy_and_torch_agree() -> None:
    pytest.importorskip("torch")
    mask = np.zeros(SHAPE, bool)
    mask[1:3, 10:20, 12:18] = True
    for seed in range(3):
        here, there = painted(seed, Recipe(), mask), painted(seed, Recipe(), mask, on_torch("cpu"))
        for one, other in zip(here, there, strict=True):
            assert one.dtype == other.dtype == np.float32
            np.testing.assert_allclose(one, other, atol=1e-4)


# Regions ----------------------------------------------------------------------------------------


def test_a_region_by_hand() -> None:
    """At its centre the change, one half width away exp(-1/2) of it along any axis."""
    one = regions.Drawn(np.array([[2.0, 0, -4]]), np.array([[4.0, 8, 2]]), np.array([0.3]))
    axes = tuple(np.arange(-10, 11, dtype=np.float32) for _ in range(3))
    found = regions.field(one, axes, np.zeros(1, np.float32))
    assert found.shape == (21, 21, 21)
    assert found[12, 10, 6] == pytest.approx(0.3, rel=1e-5)
    for place in ((16, 10, 6), (12, 18, 6), (12, 10, 8)):
        assert found[place] == pytest.approx(0.3 * np.exp(-0.5), rel=1e-5)


def test_regions_lie_on_both_sides() -> None:
    drawn = regions.draw(np.random.default_rng(0), regions.INNER, 1.0)
    pairs = [n for n, r in regions.INNER.items() if r.centre_mm[2]]
    assert len(drawn.change) == len(regions.INNER) + len(pairs)
    np.testing.assert_array_equal(drawn.centres_mm[0] * (1, 1, -1), drawn.centres_mm[1])
    none = regions.draw(np.random.default_rng(0), regions.INNER, 0.0)
    np.testing.assert_array_equal(none.change, 0)


def test_the_recipe_names_every_look_alike() -> None:
    assert set(ALIKE) <= {f.name for f in fields(Recipe)}


def test_painting_in_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = painted(1, Recipe())
    monkeypatch.setattr(appearance, "_PLANES", 3)
    for one, other in zip(whole, painted(1, Recipe()), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
