"""Masks, intensity scale and z-score, alone and as the pipeline puts them together."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from conftest import ellipsoid, make_preset
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from wmhseg.channels import network_input
from wmhseg.errors import ConstantImageError, EmptyMaskError
from wmhseg.io import images
from wmhseg.preparation import intensity
from wmhseg.segmentation import postprocessing
from wmhseg.weights.methods import METHODS
from wmhseg.weights.processing import Preprocessing

MASKS = hnp.arrays(bool, st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 7)))
# Memory layouts: an oriented scan is a view whose slices may lie in any order.
LAYOUTS = st.sampled_from(list(permutations(range(3))))


def laid_out(array: np.ndarray, layout: tuple[int, ...]) -> np.ndarray:
    """The same array with its axes in another order in memory."""
    return np.ascontiguousarray(array.transpose(layout)).transpose(np.argsort(layout))


def bits(*planes: str) -> np.ndarray:
    """Slices drawn with # and ., rows separated by spaces."""
    return np.array([[[c == "#" for c in row] for row in p.split()] for p in planes])


# Holes and components ---------------------------------------------------------------------------


@given(MASKS, LAYOUTS)
def test_holes_are_those_of_scipy_in_each_slice(mask: np.ndarray, layout: tuple[int, ...]) -> None:
    expected = np.stack([ndimage.binary_fill_holes(plane) for plane in mask])
    np.testing.assert_array_equal(intensity.fill_holes(laid_out(mask, layout)), expected)


def test_holes_by_hand() -> None:
    mask = bits(
        # A hole; open to the side; open only over a corner, which is closed for 4-connectivity.
        ".#... #.#.. .#... ..... .....",
        "###.. #.... ###.. ..... .....",
        "##... #.#.. .##.. ..... .....",
        "..... ..... ..... ..... .....",
    )
    filled = bits(
        ".#... ###.. .#... ..... .....",
        "###.. #.... ###.. ..... .....",
        "##... ###.. .##.. ..... .....",
        "..... ..... ..... ..... .....",
    )
    np.testing.assert_array_equal(intensity.fill_holes(mask), filled)


def test_holes_are_not_closed_by_other_slices() -> None:
    mask = np.ones((3, 5, 5), bool)
    mask[1, 2, :] = False  # touches the border of its own slice
    np.testing.assert_array_equal(intensity.fill_holes(mask), mask)


def largest(plane: np.ndarray) -> np.ndarray:
    """Brute force: flood fill from each pixel in raster order, first of the largest wins."""
    best: set[tuple[int, int]] = set()
    seen: set[tuple[int, int]] = set()
    for start in map(tuple, np.argwhere(plane)):
        if start in seen:
            continue
        part, todo = {start}, [start]
        while todo:
            i, j = todo.pop()
            for near in [(i + a, j + b) for a in (-1, 0, 1) for b in (-1, 0, 1)]:
                inside = all(0 <= x < n for x, n in zip(near, plane.shape, strict=True))
                if inside and plane[near] and near not in part:
                    part.add(near)
                    todo.append(near)
        seen |= part
        if len(part) > len(best):
            best = part
    kept = np.zeros(plane.shape, bool)
    for pixel in best:
        kept[pixel] = True
    return kept


@given(MASKS, LAYOUTS)
def test_largest_component_is_that_of_brute_force(
    mask: np.ndarray, layout: tuple[int, ...]
) -> None:
    before = mask.copy()
    kept = intensity.largest_component_per_slice(laid_out(mask, layout))
    np.testing.assert_array_equal(kept, np.stack([largest(plane) for plane in mask]))
    np.testing.assert_array_equal(mask, before)


def test_largest_component_by_hand() -> None:
    mask = bits(
        "#...# .#..# ..#.. .....",  # corners connect
        "..... ...## ##... .....",  # of equal sizes the first in raster order
        "..... ..... ..... .....",
        "#.### ..... ..... ....#",
    )
    kept = bits(
        "#.... .#... ..#.. .....",
        "..... ...## ..... .....",
        "..... ..... ..... .....",
        "..### ..... ..... .....",
    )
    np.testing.assert_array_equal(intensity.largest_component_per_slice(mask), kept)


def test_brain_mask_by_hand() -> None:
    ring, dot = bits("###.. #.#.. ###.. ..... ...#."), bits("##### ##### ##### ##... #####")
    volume = np.where(ring, 70, 69).astype(np.float32)
    filled = bits("###.. ###.. ###.. ..... .....")
    mask = intensity.brain_mask(volume, 70, largest_component=True)
    np.testing.assert_array_equal(mask, filled)
    mask = intensity.brain_mask(volume, 70, largest_component=False)
    np.testing.assert_array_equal(mask, filled | (ring & dot))
    assert not intensity.brain_mask(volume, 70.001, largest_component=True).any()


def test_brain_mask_counts_before_it_fills() -> None:
    ring_of_8 = "###...... #.#...... ###...... ........."
    bar_of_9 = "......... ......... ......... #########"
    drawn = bits(ring_of_8) | bits(bar_of_9)
    # 8-connected, the two would touch without the empty row between them.
    drawn = np.insert(drawn, 3, False, axis=1)
    mask = intensity.brain_mask(drawn.astype(np.float32), 1, largest_component=True)
    assert mask.sum() == 9
    assert mask[0, -1].all()


# z-score ----------------------------------------------------------------------------------------


def test_zscore_by_hand() -> None:
    volume = np.array([[[1, 3], [5, 100]]], np.float32)
    mask = np.array([[[True, True], [True, False]]])
    # Mean 3; deviations -2, 0, 2, so the standard deviation of the population is sqrt(8 / 3).
    expected = (np.array([[[1, 3], [5, 100]]]) - 3) / np.sqrt(8 / 3)
    scores = intensity.zscore(volume, mask, name="FLAIR")
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


@given(
    hnp.arrays(np.float32, (3, 4, 5), elements=st.floats(-1000, 1000, width=32)),
    hnp.arrays(bool, (3, 4, 5)),
)
def test_zscore_has_mean_0_and_deviation_1_inside_the_mask(
    volume: np.ndarray, mask: np.ndarray
) -> None:
    volume[0, 0, :2] = -1500, 1500  # so that the mask is neither empty nor constant
    mask[0, 0, :2] = True
    inside = intensity.zscore(volume, mask, name="FLAIR")[mask].astype(np.float64)
    assert inside.mean() == pytest.approx(0, abs=1e-5)
    assert inside.std() == pytest.approx(1, abs=1e-5)


def test_zscore_keeps_its_digits_on_a_large_offset() -> None:
    """In float32 the mean of many large values would be off by whole units."""
    volume = np.full((40, 64, 64), 30000, np.float32)
    volume[::2] += 2
    scores = intensity.zscore(volume, np.ones(volume.shape, bool), name="T1")
    np.testing.assert_allclose(scores[::2], 1, atol=1e-5)
    np.testing.assert_allclose(scores[1::2], -1, atol=1e-5)


def test_zscore_of_an_empty_mask() -> None:
    volume = np.array([[[1.5, 12.25]]], np.float32)
    with pytest.raises(EmptyMaskError, match=r"T1 image.*12\.25.*--intensity-scale adapt"):
        intensity.zscore(volume, np.zeros(volume.shape, bool), name="T1")


@pytest.mark.parametrize("value", [0.1, 1e-3, 3.3e7])
def test_zscore_of_a_constant_image(value: float) -> None:
    volume = np.full((3, 50, 7), value, np.float32)
    volume[0, 0, 0] = -5
    mask = volume > 0
    with pytest.raises(ConstantImageError, match=r"FLAIR image.*1049 voxels"):
        intensity.zscore(volume, mask, name="FLAIR")


# Intensity scale --------------------------------------------------------------------------------


def head(seed: int = 0) -> np.ndarray:
    """FLAIR on the challenge's scale: air near 5, CSF 110, brain 280, lesions 600, fat 1300."""
    rng = np.random.default_rng(seed)
    shape = (10, 60, 50)
    scan = np.full(shape, 5.0)
    for value, radii in ((420, (7, 27, 23)), (280, (6, 24, 20)), (110, (4, 6, 5))):
        scan[ellipsoid(shape, radii)] = value
    scan[5, 20:24, 15:19] = 600
    scan[3:7, 4:8, 24] = 1300
    scan += rng.normal(0, 1, shape) * np.where(scan > 5, 15, 2)
    return np.round(np.clip(scan, 0, None)).astype(np.float32)


def dsc(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def brain(volume: np.ndarray, threshold: float = 70) -> np.ndarray:
    return intensity.brain_mask(volume, threshold, largest_component=True)


def test_a_scan_of_the_challenge_is_on_scale() -> None:
    scan = head()
    found = intensity.check_scale(scan, 70)
    assert found.on_scale
    assert found.agreement > 0.99
    # The median of the head is near 280, so a quarter of it, where the threshold goes, is 70.
    assert found.factor == pytest.approx(1, abs=0.1)


def test_uint16_with_a_maximum_of_225_is_brought_to_scale() -> None:
    scan = head()
    small = np.round(scan * (225 / scan.max())).astype(np.uint16).astype(np.float32)
    assert small.max() == 225
    found = intensity.check_scale(small, 70)
    assert not found.on_scale
    assert found.agreement < 0.5
    # Rounding to whole numbers moves a few voxels at the threshold, no more.
    assert dsc(brain(small * np.float32(found.factor)), brain(scan)) > 0.99


def test_floats_around_a_third_are_brought_to_scale() -> None:
    scan = head()
    small = (scan / 840).astype(np.float32)
    assert np.median(small[small > 0.1]) == pytest.approx(1 / 3, abs=0.02)
    found = intensity.check_scale(small, 70)
    assert not found.on_scale
    assert found.agreement == 0
    same = brain(scan * np.float32(intensity.scale_factor(scan, 70)))
    np.testing.assert_array_equal(brain(small * np.float32(found.factor)), same)
    assert dsc(same, brain(scan)) > 0.99


def test_a_scan_too_bright_is_found_as_well() -> None:
    """Times 40, the air is above the threshold."""
    found = intensity.check_scale(40 * head(), 70)
    assert not found.on_scale
    assert found.factor == pytest.approx(1 / 40, rel=0.1)


@given(st.integers(-40, 40), st.sampled_from([30.0, 70.0]))
def test_scale_law_is_exact_for_powers_of_two(exponent: int, threshold: float) -> None:
    scan, a = head(), 2.0**exponent
    factor = intensity.scale_factor(scan * np.float32(a), threshold)
    assert factor * a == pytest.approx(intensity.scale_factor(scan, threshold), rel=1e-12)


@given(st.floats(1e-6, 1e6))
def test_scale_law(a: float) -> None:
    scan = head()
    factor = intensity.scale_factor(scan * np.float32(a), 70)
    assert factor * a == pytest.approx(intensity.scale_factor(scan, 70), rel=1e-5)


def test_scale_factor_by_hand() -> None:
    # 10 % of the 99.5th percentile is 40: the 39s are air. The median of the rest is 200.
    values = [0] * 30 + [39] * 20 + [100] * 10 + [200] * 11 + [400] * 10
    volume = np.array(values, np.float32).reshape(1, 9, 9)
    assert intensity.scale_factor(volume, 70) == pytest.approx(70 / (0.25 * 200))
    assert intensity.scale_factor(volume, 30) == pytest.approx(30 / (0.25 * 200))


def test_scale_factor_of_a_large_scan_is_that_of_a_sample() -> None:
    rng = np.random.default_rng(0)
    volume = rng.uniform(50, 150, (30, 150, 151)).astype(np.float32)
    assert intensity.scale_factor(volume, 70) == pytest.approx(70 / (0.25 * 100), rel=0.01)


def test_foreground_by_hand() -> None:
    # As above the median of tissue is 200; a quarter of it counts.
    values = [-9] * 10 + [0] * 20 + [49] * 10 + [50] * 10 + [100] * 10 + [200] * 11 + [400] * 20
    volume = np.array(values, np.float32).reshape(1, 7, 13)
    assert intensity.tissue_median(volume) == 200
    np.testing.assert_array_equal(intensity.foreground(volume), volume >= 50)
    np.testing.assert_array_equal(intensity.foreground(0.001 * volume), volume >= 50)


def test_limit_by_hand() -> None:
    values = [-9] * 10 + [0] * 20 + [100] * 10 + [200] * 11 + [400] * 10
    volume = np.array(values, np.float32).reshape(1, 1, -1)
    cut = intensity.limit(volume, 1.5)
    np.testing.assert_array_equal(cut, np.clip(volume, 0, 300))
    assert cut.dtype == np.float32
    assert volume.min() == -9


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dim", [1e-30, 1e-36, 1e-38, 1e-41])
def test_scans_of_tiny_numbers_are_brought_to_scale(dim: float) -> None:
    """From 1e-37 on the factor itself is beyond float32."""
    volume = np.full((2, 8, 8), dim, np.float32)
    volume[:, :, 4:] *= np.float32(0.01)
    found = intensity.check_scale(volume, 70)
    assert not found.on_scale
    # The median is brought to 70 / 0.25; numbers below 1e-38 have few digits.
    brought = intensity.rescale(volume, found.factor)
    assert brought.dtype == np.float32
    np.testing.assert_allclose(brought[:, :, :4], 280, rtol=1e-3)
    np.testing.assert_allclose(brought[:, :, 4:], 2.8, rtol=0.05)


@pytest.mark.filterwarnings("error")
def test_numbers_beyond_float32_stay_finite() -> None:
    volume = np.array([[[-1e38, 1e38]]], np.float32)
    for factor in (1e3, 1e39):
        np.testing.assert_array_equal(
            intensity.rescale(volume, factor), [[[-np.finfo("f4").max, np.finfo("f4").max]]]
        )


@given(st.integers(-30, 30))
def test_limit_does_not_depend_on_the_scale(exponent: int) -> None:
    a = np.float32(2.0**exponent)
    np.testing.assert_array_equal(
        intensity.limit(a * head(), 1.8), a * intensity.limit(head(), 1.8)
    )


def unsigned() -> np.ndarray:
    """A T1 scan that fills most of the unsigned 16-bit range."""
    return np.round(head() * (64_000 / head().max())).astype(np.float32)


def test_wrapped_numbers_are_found_and_repaired() -> None:
    true = unsigned()
    wrapped = true.astype(np.uint16).astype(np.int16).astype(np.float32)
    assert wrapped.min() < 0
    # A real scan has voxels on either side of 32768; the phantom has a gap there.
    true[0, 0, :2] = 32_000, 33_000
    wrapped[0, 0, :2] = 32_000, 33_000 - 65_536
    assert intensity.is_wrapped(wrapped)
    np.testing.assert_array_equal(intensity.unwrap(wrapped), true)
    assert intensity.unwrap(wrapped).dtype == np.float32
    assert not intensity.is_wrapped(true)


def test_ringing_in_air_is_not_repaired() -> None:
    wrapped = np.float32([-32_000, -20_000, -300, -1, 0, 1, 32_000])
    repaired = [33_536, 45_536, -300, -1, 0, 1, 32_000]
    np.testing.assert_array_equal(intensity.unwrap(wrapped), repaired)


@pytest.mark.parametrize(
    "values",
    [
        [-1024, 0, 3071],  # CT
        [-5, 0, 32_767],  # saturated, with ringing
        [-32_768, 0, 900],  # a mark for "outside"
        [-32_000.5, 0.25, 32_000],  # not whole numbers
        [-40_000, 0, 40_000],  # beyond 16 bits
        [0, 1, 2],
    ],
)
def test_other_numbers_are_not_wrapped(values: list[float]) -> None:
    assert not intensity.is_wrapped(np.float32(values))


@pytest.mark.parametrize("value", [0, -3])
def test_scale_of_nothing(value: float) -> None:
    volume = np.full((2, 3, 4), value, np.float32)
    assert intensity.tissue_median(volume) == 0
    assert not intensity.foreground(volume).any()
    assert intensity.scale_factor(volume, 70) == 1
    assert intensity.check_scale(volume, 70).on_scale


# The pipeline -----------------------------------------------------------------------------------


def scan(array: np.ndarray, name: str) -> images.Scan:
    return images.scan_from_array(np.asarray(array, np.float32), (3.0, 1.0, 1.0), name=name)


def prepared(
    flair: np.ndarray, t1: np.ndarray | None, method: Preprocessing
) -> network_input.NetworkInput:
    return network_input.prepare(
        scan(flair, "FLAIR"),
        None if t1 is None else scan(t1, "T1"),
        make_preset(preprocessing=method),
        intensity_scale="keep",
    )


# Rows are padded from 4 to 6 and columns cropped from 6 to 4: the outer columns are beyond the
# field. Inside it, FLAIR's mask is {70, 230} in either slice, mean 150, deviation 80: 69 is below
# the threshold of 70, and the single 310 is the smaller component.
FLAIR = np.array(
    [
        [
            [500, 10, 10, 10, 310, 500],
            [500, 10, 10, 10, 10, 500],
            [500, 70, 10, 69, 10, 500],
            [-99, 230, 10, 10, 10, 500],
        ],
        [
            [500, 10, 10, 10, 10, 500],
            [500, 10, 230, 70, 10, -99],
            [500, 6, 10, 10, 10, 500],
            [500, 10, 10, 10, 10, 500],
        ],
    ]
)
# T1's mask is a ring of four 50s and four 80s and the hole of 20 in it, in the first slice alone:
# mean 60, squared deviations 4 x 100 + 4 x 400 + 1600 = 9 x 20^2.
T1 = np.array(
    [
        [
            [900, 50, 80, 50, 4, 900],
            [900, 80, 20, 80, 4, 900],
            [900, 50, 80, 50, 4, 900],
            [900, 4, 4, 4, 0, 900],
        ],
        [[900, 4, 4, 4, 4, 900]] * 3 + [[900, 29, 4, 4, 4, 900]],
    ]
)
PUBLISHED = replace(METHODS["published"].preprocessing, field=(6, 4))


def test_published_by_hand() -> None:
    stack = prepared(FLAIR, T1, PUBLISHED).stacks["scan"]
    assert stack.shape == (2, 6, 4, 2)
    assert stack.dtype == np.float32
    np.testing.assert_allclose(stack[:, 1:5, :, 0], (FLAIR[:, :, 1:5] - 150) / 80, rtol=1e-6)
    np.testing.assert_allclose(stack[:, 1:5, :, 1], (T1[:, :, 1:5] - 60) / 20, rtol=1e-6)
    # Padded with each modality's own minimum inside the field: 6 and 0.
    np.testing.assert_allclose(stack[:, [0, 5], :, 0], (6 - 150) / 80, rtol=1e-6)
    np.testing.assert_allclose(stack[:, [0, 5], :, 1], (0 - 60) / 20, rtol=1e-6)


def test_mask_of_flair_for_both() -> None:
    stack = prepared(FLAIR, T1, replace(PUBLISHED, mask="flair")).stacks["scan"]
    # T1 where FLAIR's mask is: 50 and 4 in the first slice, 4 and 4 in the second.
    values = np.array([50, 4, 4, 4])
    np.testing.assert_allclose(
        stack[:, 1:5, :, 1], (T1[:, :, 1:5] - values.mean()) / values.std(), rtol=1e-6
    )


def test_order_decides_where_statistics_come_from() -> None:
    method = replace(PUBLISHED, order="normalise-crop", largest_component=False)
    whole = intensity.fill_holes(FLAIR >= 70)
    values = FLAIR[whole]
    assert 500 in values
    stack = prepared(FLAIR, T1, method).stacks["scan"]
    expected = (FLAIR[:, :, 1:5] - values.mean()) / values.std()
    np.testing.assert_allclose(stack[:, 1:5, :, 0], expected, rtol=1e-5)
    # The background is still that of the field: -99 lies beyond it.
    np.testing.assert_allclose(stack[:, 0, :, 0], expected.min(), rtol=1e-5)


def test_zero_padding_and_clipping() -> None:
    method = replace(PUBLISHED, padding="zero", clip=(-1.5, 0.5))
    stack = prepared(FLAIR, T1, method).stacks["scan"]
    assert (stack[:, [0, 5]] == 0).all()
    inner = np.clip((FLAIR[:, :, 1:5] - 150) / 80, -1.5, 0.5)
    np.testing.assert_allclose(stack[:, 1:5, :, 0], inner, rtol=1e-6)
    assert inner.min() == -1.5
    assert inner.max() == 0.5


def test_ceiling_is_cut_before_normalising() -> None:
    """The median of what is brighter than 10 % of the 99.5th percentile (500) is 500."""
    method = replace(PUBLISHED, ceiling=0.45)
    stack = prepared(FLAIR, None, method).stacks["scan"]
    cut = np.clip(FLAIR, 0, 0.45 * 500)  # 225: 230 and 310 become 225
    expected = (cut[:, :, 1:5] - 147.5) / 77.5
    np.testing.assert_allclose(stack[:, 1:5, :, 0], expected, rtol=1e-5)


def test_missing_t1_is_zero_everywhere() -> None:
    assert (prepared(FLAIR, None, PUBLISHED).stacks["scan"][..., 1] == 0).all()


def test_normalise_names_the_modality_that_fails() -> None:
    dark = np.minimum(T1, 29)
    with pytest.raises(EmptyMaskError, match="T1 image"):
        prepared(FLAIR, dark, PUBLISHED)


@pytest.mark.parametrize("number", range(6))
def test_released_as_the_authors_compute_it(number: int, shared: Path) -> None:
    """Network input and restored mask of the authors' released program on generated volumes."""
    with np.load(shared / "pipeline_vectors" / f"{number}.npz") as stored:
        vector = dict(stored)
    method = METHODS["released"]
    inputs = prepared(vector["flair"], vector["t1"], method.preprocessing)
    # The 512 x 512 vector loses part of its head, which is said.
    assert all("outside the 200 x 200" in line for line in inputs.warnings)
    values = inputs.stacks["scan"][tuple(vector["pre_index"].T.astype(int))]
    np.testing.assert_allclose(values, vector["pre_value"], rtol=0, atol=1e-4)
    assert vector["pre_value"].std() > 0.5

    def unpacked(name: str) -> np.ndarray:
        shape = vector["network_mask_shape" if name == "network" else "restored_shape"]
        return np.unpackbits(vector[f"{name}_mask"])[: np.prod(shape)].reshape(shape)

    network = unpacked("network")[..., 0]
    assert network.shape == inputs.stacks["scan"].shape[:3]
    mask = postprocessing.to_mask(network.astype(np.float32), method.postprocessing)
    restored = inputs.way.restore(mask)
    assert restored.dtype == np.uint8
    np.testing.assert_array_equal(restored, unpacked("restored"))
    assert restored.any()


def test_released_vectors_tell_variants_apart(shared: Path) -> None:
    """The comparison above would be worth nothing if other settings passed it too.

    The vectors do not tell mask "flair" from "each", nor a threshold of 30 from one of 70; the
    tests by hand above do.
    """
    with np.load(shared / "pipeline_vectors" / "1.npz") as stored:
        vector = dict(stored)
    method = METHODS["released"].preprocessing
    index = tuple(vector["pre_index"].T.astype(int))
    for other in (
        replace(method, order="crop-normalise"),
        replace(method, largest_component=True),
        replace(method, padding="background"),
    ):
        values = prepared(vector["flair"], vector["t1"], other).stacks["scan"][index]
        assert np.abs(values - vector["pre_value"]).max() > 0.1, other
