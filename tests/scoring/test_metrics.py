"""Metrics: hand-derived numbers, laws, brute force, and the evaluation program's own output."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist

from wmhseg.errors import DimensionError, GridMismatchError, UsageError
from wmhseg.scoring import metrics
from wmhseg.scoring.masks import MaskWarning

Mask = npt.NDArray[np.bool_]
ONE_MM = (1.0, 1.0, 1.0)
SHARED = Path(os.environ.get("WMHSEG_SHARED", Path(__file__).resolve().parents[3] / "shared"))
VECTORS = SHARED / "evaluation_vectors"
CHALLENGE = {
    "dsc": "dsc",
    "h95": "h95_mm",
    "avd": "avd_percent",
    "recall": "recall",
    "f1": "f1",
}


def volume(*voxels: tuple[int, ...], shape: tuple[int, int, int] = (4, 12, 12)) -> Mask:
    """Mask with the given voxels (slice, row, column) set."""
    mask = np.zeros(shape, dtype=bool)
    for voxel in voxels:
        mask[voxel] = True
    return mask


# --- the challenge's own numbers ---------------------------------------------------------------


def vector_names() -> list[str]:
    """Names of the evaluation vectors; one placeholder where the folder is missing."""
    if not VECTORS.is_dir():
        return ["missing"]
    return sorted(json.loads((VECTORS / "expected.json").read_text()))


needs_vectors = pytest.mark.skipif(
    not VECTORS.is_dir(),
    reason=f"the evaluation vectors are missing: no folder {VECTORS} (set WMHSEG_SHARED)",
)


def read_vector(name: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any], tuple[float, ...]]:
    """Reference, result and spacing (slice, row, column) of one evaluation vector."""
    sitk = pytest.importorskip("SimpleITK")
    reference = sitk.ReadImage(str(VECTORS / name / "wmh.nii.gz"))
    result = sitk.ReadImage(str(VECTORS / name / "result.nii.gz"))
    spacing_mm = tuple(reversed(reference.GetSpacing()))
    return sitk.GetArrayFromImage(reference), sitk.GetArrayFromImage(result), spacing_mm


@needs_vectors
@pytest.mark.filterwarnings("ignore::wmhseg.scoring.masks.MaskWarning")
@pytest.mark.parametrize("name", vector_names())
@pytest.mark.parametrize("label_type", [np.float32, np.uint8, np.int16])
def test_equals_the_evaluation_program(name: str, label_type: type) -> None:
    """All five numbers to 1e-6; an integer reference must not change them (it does there)."""
    reference, result, spacing_mm = read_vector(name)
    found = metrics.evaluate(reference.astype(label_type), result, spacing_mm)
    expected = json.loads((VECTORS / "expected.json").read_text())[name]
    for key, field in CHALLENGE.items():
        value = getattr(found, field)
        if expected[key] is None or expected[key] == "raises":
            assert math.isnan(value), key
        else:
            assert value == pytest.approx(expected[key], abs=1e-6), key


# --- reading labels ----------------------------------------------------------------------------


def test_label_2_counts_nowhere() -> None:
    """A lesion of the result that lies on other pathology is no false positive."""
    reference = volume((1, 2, 2)).astype(np.uint8)
    reference[1, 6:9, 6:9] = 2
    result = volume((1, 2, 2), (1, 7, 7))
    found = metrics.evaluate(reference, result, ONE_MM)
    assert (found.dsc, found.precision, found.avd_percent, found.h95_mm) == (1, 1, 0, 0)


def test_0_255_mask_is_read_as_foreground_with_a_warning() -> None:
    """The evaluation program gives such masks a DSC of 0."""
    reference = volume((1, 2, 2), (1, 2, 3))
    with pytest.warns(MaskWarning, match="up to 255: read as foreground"):
        found = metrics.evaluate(reference, reference.astype(np.uint8) * 255, ONE_MM)
    assert found.dsc == 1
    assert any("255" in note for note in found.notes)


@pytest.mark.parametrize(
    ("reference", "result", "words"),
    [
        (np.float32(1), np.float32(0.7), "fractions"),
        (np.float32(1), np.float32(np.nan), "NaN"),
        (np.uint8(1), np.int16(2000), "above 1000 are read as background"),
        (np.uint8(255), np.uint8(1), "reference holds values up to 255"),
    ],
)
def test_unusual_values_are_named(reference: Any, result: Any, words: str) -> None:
    """Fractions, NaN, huge labels and 0/255 references are read by rule, and said."""
    with pytest.warns(MaskWarning, match=words):
        metrics.dsc(np.full((1, 2, 2), reference), np.full((1, 2, 2), result))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "float32"])
def test_plain_masks_give_no_warning(dtype: str) -> None:
    """Labels 0, 1, 2 against a 0/1 mask are the normal case."""
    reference = volume((1, 2, 2)).astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metrics.evaluate(reference, reference, ONE_MM).notes == ()


# --- voxels and volumes ------------------------------------------------------------------------


def test_dsc_and_avd_by_hand() -> None:
    """|G| = 4, |P| = 6, |G and P| = 3: DSC = 2 x 3 / 10; AVD = |4 - 6| / 4."""
    reference = volume(*[(1, 2, column) for column in range(4)])
    result = volume(*[(1, 2, column) for column in range(1, 7)])
    assert metrics.dsc(reference, result) == pytest.approx(0.6)
    assert metrics.avd_percent(reference, result) == pytest.approx(50)
    # the reference is the denominator: |6 - 4| / 6
    assert metrics.avd_percent(result, reference) == pytest.approx(100 / 3)


def test_volumes_by_hand() -> None:
    """Voxels of 5 x 10 x 20 mm are 1 ml each: 3 - 1 = +2 ml."""
    reference, result = volume((0, 0, 0)), volume((0, 0, 0), (1, 1, 1), (2, 2, 2))
    found = metrics.evaluate(reference, result, (5, 10, 20))
    assert (found.reference_ml, found.result_ml) == pytest.approx((1, 3))
    assert found.volume_bias_ml == pytest.approx(2)
    assert metrics.volume_bias_ml(result, reference, (5, 10, 20)) == pytest.approx(-2)


# --- distances ---------------------------------------------------------------------------------


def test_distance_of_two_voxels_uses_the_spacing_of_each_axis() -> None:
    """Steps of 2, 3 and 4 voxels of 3, 1 and 0.5 mm: sqrt(36 + 9 + 4) = 7."""
    first, second = volume((0, 0, 0)), volume((2, 3, 4))
    assert metrics.h95_mm(first, second, (3, 1, 0.5)) == pytest.approx(7)
    assert metrics.assd_mm(first, second, (3, 1, 0.5)) == pytest.approx(7)


def test_percentile_is_interpolated_and_the_larger_direction_counts() -> None:
    """Result to reference: 0 and 10 mm, 95th percentile 9.5; reference to result: 0."""
    reference, result = volume((0, 1, 0)), volume((0, 1, 0), (0, 1, 10))
    assert metrics.h95_mm(reference, result, ONE_MM) == pytest.approx(9.5)
    assert metrics.h95_mm(result, reference, ONE_MM) == pytest.approx(9.5)


def test_outline_leaves_out_the_inside_of_each_slice() -> None:
    """G: 5 x 5 voxels in each of 3 slices, P: the middle voxel of the first of them.

    The outline of G is 16 voxels a slice. P to G: 2 mm (it would be 0 if the ends of the stack
    were outline). G to P, first slice: 4 times 2, 8 times sqrt 5, 4 times sqrt 8; slices are 10 mm
    apart, so the other two add 100 and 400 to the squares.
    """
    reference = np.zeros((5, 9, 9), dtype=bool)
    reference[1:4, 2:7, 2:7] = True
    result = volume((1, 4, 4), shape=reference.shape)
    squares = np.array([4] * 4 + [5] * 8 + [8] * 4)
    total_mm = np.sqrt([squares, squares + 100, squares + 400]).sum()
    found = metrics.assd_mm(reference, result, (10, 1, 1))
    assert found == pytest.approx((total_mm + 2) / (48 + 1))


def test_outline_erodes_by_a_square_not_a_cross() -> None:
    """G: 3 x 3 voxels without one corner. Its middle has a background neighbour, so is outline.

    P is the middle voxel. G to P: 0, 4 times 1, 3 times sqrt 2; P to G: 0; 8 + 1 voxels.
    """
    reference = np.zeros((3, 7, 7), dtype=bool)
    reference[1, 2:5, 2:5] = True
    reference[1, 2, 2] = False
    result = volume((1, 3, 3), shape=reference.shape)
    expected = (4 + 3 * math.sqrt(2)) / 9
    assert metrics.assd_mm(reference, result, ONE_MM) == pytest.approx(expected)


@pytest.mark.parametrize("flip", [(), (1,), (2,), (1, 2)])
def test_nothing_erodes_from_outside_the_image(flip: tuple[int, ...]) -> None:
    """G: 3 x 3 voxels in a corner of the image: its outline is the inner row and column only.

    P: the corner voxel. P to G: 2. G to P: 2, 2, sqrt 5, sqrt 5, sqrt 8; the 95th percentile is
    at 0.95 x 4 = 3.8, between sqrt 5 and sqrt 8.
    """
    reference = np.zeros((1, 6, 6), dtype=bool)
    reference[0, :3, :3] = True
    result = volume((0, 0, 0), shape=reference.shape)
    expected = math.sqrt(5) + 0.8 * (math.sqrt(8) - math.sqrt(5))
    found = metrics.h95_mm(np.flip(reference, flip), np.flip(result, flip), ONE_MM)
    assert found == pytest.approx(expected)


def test_a_mask_that_fills_its_slices_has_no_outline() -> None:
    """Nothing outside the image erodes it, so there is nothing to measure from."""
    full = np.ones((2, 3, 3), dtype=bool)
    found = metrics.evaluate(full, full, ONE_MM)
    assert math.isnan(found.h95_mm)
    assert math.isnan(found.assd_mm)
    assert (found.dsc, found.recall) == (1, 1)
    assert "no outline" in found.notes[0]


def outline_points_mm(mask: Mask, spacing_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Outline by definition: foreground with background among its 8 neighbours in the slice."""
    points = []
    for z, y, x in np.argwhere(mask):
        window = mask[z, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
        if not window.all():
            points.append((z, y, x))
    return np.array(points).reshape(-1, 3) * spacing_mm


def distances_by_force_mm(
    first: Mask, second: Mask, spacing_mm: tuple[float, ...]
) -> tuple[float, float]:
    """H95 and ASSD from the table of all distances between two outlines."""
    spacing = np.array(spacing_mm)
    table = cdist(outline_points_mm(first, spacing), outline_points_mm(second, spacing))
    if table.size == 0:
        return math.nan, math.nan
    there, back = table.min(axis=1), table.min(axis=0)
    h95 = max(np.percentile(there, 95), np.percentile(back, 95))
    return float(h95), float(np.concatenate((there, back)).mean())


spacings = st.tuples(*[st.floats(0.3, 6)] * 3)
shapes = hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=7)
pairs = shapes.flatmap(
    lambda shape: st.tuples(hnp.arrays(np.bool_, shape), hnp.arrays(np.bool_, shape))
)
quick = settings(max_examples=60, deadline=None)


@quick
@given(pairs, spacings)
def test_distances_equal_brute_force(
    masks: tuple[Mask, Mask], spacing_mm: tuple[float, ...]
) -> None:
    """Small random masks, up to every edge of the image."""
    h95_mm, assd_mm = distances_by_force_mm(*masks, spacing_mm)
    assert metrics.h95_mm(*masks, spacing_mm) == pytest.approx(h95_mm, abs=1e-9, nan_ok=True)
    assert metrics.assd_mm(*masks, spacing_mm) == pytest.approx(assd_mm, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("spacing_mm", [(3, 0.96, 0.96), (0.5, 2, 0.7), (6, 1, 1)])
@pytest.mark.parametrize("seed", range(12))
def test_pruned_search_is_exact(seed: int, spacing_mm: tuple[float, ...]) -> None:
    """Boxes that share most, some or no voxels, so that the search stops in every zone."""
    rng = np.random.default_rng(seed)
    reference, result = np.zeros((2, 10, 60, 60), dtype=bool)
    for _ in range(6):
        z, y, x = rng.integers((0, 0, 0), (8, 50, 50))
        depth, height, width = rng.integers(1, (3, 9, 9))
        box = (slice(z, z + depth), slice(y, y + height), slice(x, x + width))
        reference[box] = True
        shift = rng.integers(0, (2, 2 + 2 * (seed % 4), 2))
        result[tuple(slice(s.start + d, s.stop + d) for s, d in zip(box, shift, strict=True))] = (
            True
        )
    result[rng.integers(10), rng.integers(60), :: 12 - seed] = True
    expected, _ = distances_by_force_mm(reference, result, spacing_mm)
    assert metrics.h95_mm(reference, result, spacing_mm) == pytest.approx(expected, abs=1e-9)


# --- lesions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [(0, 0, 1), (0, 1, 1), (1, 0, 0), (1, 1, 1), (1, -1, 1)])
def test_lesions_touch_at_faces_edges_and_corners(step: tuple[int, int, int]) -> None:
    """26 neighbours make one lesion; one voxel of distance makes two."""
    start = np.array((1, 5, 5))
    touching = volume(tuple(start), tuple(start + step))
    apart = volume(tuple(start), tuple(start + 2 * np.array(step)))
    assert metrics.match_lesions(touching, touching).reference_vox.tolist() == [2]
    assert metrics.match_lesions(apart, apart).reference_vox.tolist() == [1, 1]


def test_recall_precision_and_f1_by_hand() -> None:
    """Reference lesions A, B, C; one lesion of the result covers A and B, another nothing.

    Recall 2/3, precision 1/2, F1 = 2 x 2/3 x 1/2 / (2/3 + 1/2) = 4/7.
    """
    reference = volume((1, 1, 1), (1, 1, 3), (1, 8, 8))
    result = volume((1, 1, 1), (1, 1, 2), (1, 1, 3), (3, 5, 11))
    found = metrics.match_lesions(reference, result)
    assert found.detected.tolist() == [True, True, False]
    assert found.confirmed.tolist() == [True, False]
    assert found.recall == pytest.approx(2 / 3)
    assert found.precision == pytest.approx(1 / 2)
    assert found.f1 == pytest.approx(4 / 7)


def test_panoptic_quality_by_hand() -> None:
    """A: 4 voxels, 3 of them found: IoU 3/4, a match. B: 2 voxels, 1 found: IoU 1/2, no match.

    One match, one unmatched lesion on each side: 3/4 / (1 + 1/2 + 1/2).
    """
    reference = volume((1, 1, 1), (1, 1, 2), (1, 1, 3), (1, 1, 4), (1, 8, 8), (1, 8, 9))
    result = volume((1, 1, 1), (1, 1, 2), (1, 1, 3), (1, 8, 8))
    assert metrics.match_lesions(reference, result).panoptic_quality == pytest.approx(0.375)
    nothing = volume()
    assert metrics.match_lesions(reference, nothing).panoptic_quality == 0
    assert metrics.match_lesions(nothing, result).panoptic_quality == 0
    assert math.isnan(metrics.match_lesions(nothing, nothing).panoptic_quality)


def test_size_classes_by_hand() -> None:
    """Lesions of 9, 10, 20 and 21 voxels, those of 10 and 21 hit: 0 of 1, 1 of 2, 1 of 1."""
    reference, result = np.zeros((2, 1, 9, 24), dtype=bool)
    for row, size in zip((0, 2, 4, 6), (9, 10, 20, 21), strict=True):
        reference[0, row, :size] = True
    result[0, [2, 6], 0] = True
    found = metrics.evaluate(reference, result, ONE_MM)
    assert (found.small_recall, found.small_lesions) == (0, 1)
    assert (found.medium_recall, found.medium_lesions) == (0.5, 2)
    assert (found.large_recall, found.large_lesions) == (1, 1)
    assert (found.reference_lesions, found.result_lesions) == (4, 2)


def test_a_size_class_without_lesions_is_nan() -> None:
    """No lesion above 20 voxels: nothing to detect, and nothing detected."""
    found = metrics.evaluate(volume((1, 1, 1)), volume((1, 1, 1)), ONE_MM)
    assert math.isnan(found.large_recall)
    assert found.large_lesions == 0


# --- empty masks, wrong input ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "result", "expected", "words"),
    [  # expected: DSC, H95, AVD, recall, F1, precision, ASSD, volume bias of 1 mm3 voxels
        ([], [(1, 1, 1)], (0, None, None, 1, 0, 0, None, 0.001), "The reference is empty"),
        ([(1, 1, 1)], [], (0, None, 100, 0, 0, 1, None, -0.001), "The result is empty"),
        ([], [], (None, None, None, 1, 1, 1, None, 0), "Both are empty"),
    ],
)
def test_empty_masks(
    reference: list[Any], result: list[Any], expected: tuple[float | None, ...], words: str
) -> None:
    """NaN where the evaluation program divides by zero or stops, and a note that says so."""
    found = metrics.evaluate(volume(*reference), volume(*result), ONE_MM)
    fields = (
        *("dsc", "h95_mm", "avd_percent", "recall"),
        *("f1", "precision", "assd_mm", "volume_bias_ml"),
    )
    for field, value in zip(fields, expected, strict=True):
        got = getattr(found, field)
        assert math.isnan(got) if value is None else got == pytest.approx(value), field
    assert found.notes[0].startswith(words)


@pytest.mark.parametrize(
    ("reference", "result", "error", "received"),
    [
        (np.zeros((2, 3, 4)), np.zeros((4, 3, 2)), GridMismatchError, "(2, 3, 4) and (4, 3, 2)"),
        (np.zeros((3, 4)), np.zeros((3, 4)), DimensionError, "shape (3, 4)"),
        (np.zeros((1, 2, 3)), np.zeros((1, 2, 3, 1)), DimensionError, "shape (1, 2, 3, 1)"),
        (np.zeros((2, 0, 4)), np.zeros((2, 0, 4)), DimensionError, "shape (2, 0, 4)"),
        (np.zeros((1, 2, 3)), np.full((1, 2, 3), "a"), UsageError, "<U1"),
        (np.zeros((1, 2, 3), complex), np.zeros((1, 2, 3)), UsageError, "complex128"),
    ],
)
def test_wrong_volumes(reference: Any, result: Any, error: type[Exception], received: str) -> None:
    """The error is of the documented kind and shows what came."""
    with pytest.raises(error) as caught:
        metrics.evaluate(reference, result, ONE_MM)
    assert f"Received: {received}" in str(caught.value)


@pytest.mark.parametrize(
    "spacing_mm",
    [(1, 1), (1, 1, 1, 1), (1, 0, 1), (1, -1, 1), (1, np.nan, 1), (1, np.inf, 1), "mm", 1],
)
@pytest.mark.parametrize(
    "function", [metrics.evaluate, metrics.h95_mm, metrics.assd_mm, metrics.volume_bias_ml]
)
def test_wrong_spacing(function: Any, spacing_mm: Any) -> None:
    """Three positive finite numbers or an error, also where the masks are empty."""
    with pytest.raises(UsageError, match="three positive numbers"):
        function(volume(), volume(), spacing_mm)


# --- laws --------------------------------------------------------------------------------------


def same(first: metrics.Metrics, second: metrics.Metrics) -> bool:
    """Whether all numbers of two records agree (NaN equals NaN)."""
    one, two = (dataclasses.astuple(record)[:-1] for record in (first, second))
    return np.allclose(one, two, rtol=1e-9, atol=1e-9, equal_nan=True)


@quick
@given(hnp.arrays(np.bool_, (3, 5, 5)), spacings)
def test_identity(inner: Mask, spacing_mm: tuple[float, ...]) -> None:
    """A mask compared with itself has no error of any kind."""
    mask = np.pad(inner, 1)
    mask[2, 3, 3] = True
    found = metrics.evaluate(mask, mask.copy(), spacing_mm)
    assert (found.dsc, found.recall, found.precision, found.f1) == (1, 1, 1, 1)
    assert (found.h95_mm, found.assd_mm, found.avd_percent, found.volume_bias_ml) == (0, 0, 0, 0)
    assert found.panoptic_quality == pytest.approx(1)


@quick
@given(pairs, spacings)
def test_exchange_of_the_two_masks(masks: tuple[Mask, Mask], spacing_mm: tuple[float, ...]) -> None:
    """Symmetric metrics stay, recall and precision change places, the bias changes sign."""
    there = metrics.evaluate(*masks, spacing_mm)
    back = metrics.evaluate(masks[1], masks[0], spacing_mm)
    for field in ("dsc", "h95_mm", "assd_mm", "f1", "panoptic_quality"):
        value = getattr(there, field)
        assert getattr(back, field) == pytest.approx(value, nan_ok=True), field
    assert there.recall == back.precision
    assert there.volume_bias_ml == -back.volume_bias_ml


@quick
@given(pairs, spacings, st.tuples(*[st.integers(0, 3)] * 3))
def test_translation(
    masks: tuple[Mask, Mask], spacing_mm: tuple[float, ...], shift: tuple[int, int, int]
) -> None:
    """Where the masks lie in the image changes nothing (away from its edges)."""
    first, second = (np.pad(mask, ((1, 4), (1, 4), (1, 4))) for mask in masks)
    at_start = metrics.evaluate(first, second, spacing_mm)
    first, second = (np.roll(mask, shift, (0, 1, 2)) for mask in (first, second))
    assert same(at_start, metrics.evaluate(first, second, spacing_mm))


@quick
@given(pairs, spacings, st.floats(0.1, 10))
def test_spacing_scales_distances_and_volumes(
    masks: tuple[Mask, Mask], spacing_mm: tuple[float, ...], factor: float
) -> None:
    """All axes times k: distances times k, volumes times k cubed, the rest unchanged."""
    small = metrics.evaluate(*masks, spacing_mm)
    large = metrics.evaluate(*masks, [factor * size for size in spacing_mm])
    volumes = ("reference_ml", "result_ml", "volume_bias_ml")
    scaled = {field: getattr(small, field) * factor**3 for field in volumes}
    scaled |= {field: getattr(small, field) * factor for field in ("h95_mm", "assd_mm")}
    assert same(large, dataclasses.replace(small, **scaled))


@quick
@given(pairs, spacings)
def test_rows_and_columns_may_change_places(
    masks: tuple[Mask, Mask], spacing_mm: tuple[float, ...]
) -> None:
    """In-plane axes are alike, and every axis may be mirrored."""
    first, second = masks
    z, y, x = spacing_mm
    plain = metrics.evaluate(first, second, spacing_mm)
    turned = metrics.evaluate(first.swapaxes(1, 2), second.swapaxes(1, 2), (z, x, y))
    mirrored = metrics.evaluate(np.flip(first), np.flip(second), spacing_mm)
    assert same(plain, turned)
    assert same(plain, mirrored)


def test_slices_and_rows_may_not_change_places() -> None:
    """The outline is in-plane: turned on its side, a 3 x 3 plate loses no voxel to the erosion.

    P is the plate's middle voxel. Flat, the middle is inside: 8 outline voxels at 4 x 1 and
    4 x sqrt 2, and 1 back: (4 + 4 sqrt 2 + 1) / 9. On its side all 9 are outline: / 10, 0 back.
    """
    plate = np.zeros((5, 5, 5), dtype=bool)
    plate[2, 1:4, 1:4] = True
    middle = volume((2, 2, 2), shape=plate.shape)
    flat_mm = metrics.assd_mm(plate, middle, ONE_MM)
    assert flat_mm == pytest.approx((4 + 4 * math.sqrt(2) + 1) / 9)
    turned_mm = metrics.assd_mm(plate.swapaxes(0, 1), middle.swapaxes(0, 1), ONE_MM)
    assert turned_mm == pytest.approx((4 + 4 * math.sqrt(2)) / 10)


@quick
@given(pairs, spacings, st.sampled_from(["uint8", "int16", "float32", "float64"]))
def test_storage_changes_nothing(
    masks: tuple[Mask, Mask], spacing_mm: tuple[float, ...], dtype: str
) -> None:
    """The same masks as labels of any type, and in column-major memory."""
    first, second = (np.asfortranarray(mask.astype(dtype)) for mask in masks)
    assert same(metrics.evaluate(*masks, spacing_mm), metrics.evaluate(first, second, spacing_mm))


def test_single_functions_are_what_evaluate_reports() -> None:
    """One number, one place: the record holds what the functions return, and is frozen."""
    rng = np.random.default_rng(3)
    reference, result = rng.random((2, 5, 20, 20)) < 0.05
    found = metrics.evaluate(reference, result, (3, 1, 1))
    lesions = metrics.match_lesions(reference, result)
    assert found.dsc == metrics.dsc(reference, result)
    assert found.avd_percent == metrics.avd_percent(reference, result)
    assert found.h95_mm == metrics.h95_mm(reference, result, (3, 1, 1))
    assert found.assd_mm == metrics.assd_mm(reference, result, (3, 1, 1))
    assert found.volume_bias_ml == metrics.volume_bias_ml(reference, result, (3, 1, 1))
    assert (found.recall, found.precision, found.f1, found.panoptic_quality) == (
        *(lesions.recall, lesions.precision),
        *(lesions.f1, lesions.panoptic_quality),
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.__setattr__("dsc", 1.0)
