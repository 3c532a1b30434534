"""Grids, and the way from a scan to a stack and back."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from wmhseg import geometry
from wmhseg.errors import DimensionError, UsageError
from wmhseg.geometry import Fit, Grid, Turn, Way, turn_to

AXES = ("RL", "AP", "IS")
# All 48: one side of each axis, in any order.
CODES = ["".join(sides) for order in permutations(AXES) for sides in product(*order)]
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def direction_of(code: str) -> tuple[float, ...]:
    """Cosines of a grid whose column, row and slice index rise to the named sides."""
    matrix = np.zeros((3, 3))
    for column, letter in enumerate(code):
        axis = next(i for i, pair in enumerate(AXES) if letter in pair)
        matrix[axis, column] = 1 if letter in "LPS" else -1
    return tuple(matrix.ravel())


def grid(shape: tuple[int, int, int], direction: tuple[float, ...] = IDENTITY) -> Grid:
    return Grid(shape, (3.0, 1.0, 0.5), (10.0, -20.0, 30.0), direction)


def numbered(shape: tuple[int, ...], first: int = 1) -> np.ndarray:
    return np.arange(first, first + np.prod(shape), dtype=np.int32).reshape(shape)


def image(array: np.ndarray, where: Grid) -> SimpleITK.Image:
    made = SimpleITK.GetImageFromArray(array)
    made.SetDirection(where.direction)
    made.SetOrigin(where.origin_mm)
    made.SetSpacing(where.spacing_mm[::-1])
    return made


@st.composite
def directions(draw: st.DrawFn) -> tuple[float, ...]:
    """Any right- or left-handed cosines, mostly oblique."""
    matrix = Rotation.random(random_state=draw(st.integers(0, 10**6))).as_matrix()
    return tuple((matrix @ np.diag([1, 1, draw(st.sampled_from([1, -1]))])).ravel())


SHAPES = st.tuples(*[st.integers(1, 9)] * 3)
FIELDS = st.tuples(*[st.integers(1, 13)] * 2)


# Orientation ------------------------------------------------------------------------------------


def test_there_are_48_codes() -> None:
    assert len(set(CODES)) == 48
    assert CODES[0] == "RAI"
    assert "LPS" in CODES


@pytest.mark.parametrize("code", CODES)
def test_each_stored_orientation(code: str) -> None:
    """Named as by ITK, turned to LPS as by ITK, and brought back to where it was."""
    where = grid((2, 3, 4), direction_of(code))
    array = numbered(where.shape)
    reference = SimpleITK.DICOMOrientImageFilter
    assert where.orientation == code
    assert reference.GetOrientationFromDirectionCosines(where.direction) == code
    way = turn_to(where, "LPS")
    turned = way.forward(array)
    np.testing.assert_array_equal(
        turned, SimpleITK.GetArrayFromImage(SimpleITK.DICOMOrient(image(array, where), "LPS"))
    )
    assert turned.shape == way.target.shape
    assert_restores(way, Fit(way.target, (5, 3)), array)


@pytest.mark.parametrize("code", CODES)
def test_each_wanted_orientation(code: str) -> None:
    where = grid((2, 3, 4), direction_of("PIR"))
    array = numbered(where.shape)
    way = turn_to(where, code)
    reference = SimpleITK.DICOMOrient(image(array, where), code)
    np.testing.assert_array_equal(way.forward(array), SimpleITK.GetArrayFromImage(reference))
    assert turn_to(where, code.lower()) == way
    assert way.target.orientation == code
    assert_restores(way, Fit(way.target, (4, 4)), array)


@given(directions(), st.sampled_from(CODES))
def test_oblique_grids_turn_as_in_itk(direction: tuple[float, ...], code: str) -> None:
    where = grid((2, 3, 4), direction)
    array = numbered(where.shape)
    reference = SimpleITK.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(direction)
    assert where.orientation == reference
    turned = turn_to(where, code).forward(array)
    expected = SimpleITK.GetArrayFromImage(SimpleITK.DICOMOrient(image(array, where), code))
    np.testing.assert_array_equal(turned, expected)


def test_orientation_by_hand() -> None:
    """A sagittal scan: slices run to the right, rows down, columns to the back."""
    where = grid((2, 3, 4), direction_of("PIR"))
    array = numbered((2, 3, 4))
    stack = turn_to(where, "LPS").forward(array)
    assert stack.shape == (3, 4, 2)  # S is against the rows, P the columns, L against the slices
    # The first voxel of the stack is the rightmost, foremost, lowest one.
    assert stack[0, 0, 0] == array[1, 2, 0]
    assert stack[2, 0, 0] == array[1, 0, 0]
    assert stack[0, 3, 0] == array[1, 2, 3]
    assert stack[0, 0, 1] == array[0, 2, 0]


def test_spacing_turns_with_the_axes() -> None:
    """The sagittal scan above: 3 mm from slice to slice, 1 mm rows, 0.5 mm columns."""
    way = turn_to(grid((2, 3, 4), direction_of("PIR")), "LPS")
    assert way.target.spacing_mm == (1.0, 0.5, 3.0)


def test_stored_leaves_arrays_alone() -> None:
    where = grid((2, 3, 4), direction_of("PIR"))
    array = numbered(where.shape)
    way = turn_to(where, "stored")
    assert way.target == where
    fit = Fit(way.target, (3, 4))
    assert fit.target == where
    assert np.shares_memory(way.forward(array), array)
    steps = (way.forward, fit.crop, lambda x: fit.pad(x, 9), fit.restore, way.restore)
    for step in steps:
        np.testing.assert_array_equal(step(array), array)


@pytest.mark.parametrize(
    "code", ["", "LP", "LPSS", "LPL", "LRS", "XYZ", "LPX", "axial", "Stored", "L P", "LPS "]
)
def test_wrong_code(code: str) -> None:
    with pytest.raises(UsageError, match="LPS") as caught:
        turn_to(grid((2, 3, 4)), code)
    assert f'"{code}"' in str(caught.value)


# Cropping, padding, restoring -------------------------------------------------------------------


def assert_restores(turn: Turn, fit: Fit, array: np.ndarray) -> None:
    """What the field holds comes back to its place; the rest is 0."""
    cropped = fit.crop(turn.forward(array))
    stack = fit.pad(cropped, -7)
    assert stack.shape == fit.target.shape == (turn.target.shape[0], *fit.field)
    assert (stack != -7).sum() == cropped.size
    back = Way((turn, fit)).restore(stack)
    assert back.shape == array.shape
    assert back.dtype == array.dtype
    assert back.flags.c_contiguous
    slices, *sides = turn.target.shape
    rows, columns = (min(f, n) for f, n in zip(fit.field, sides, strict=True))
    assert (back != 0).sum() == slices * rows * columns
    np.testing.assert_array_equal(back[back != 0], array[back != 0])
    np.testing.assert_array_equal(fit.crop(turn.forward(back)), cropped)


@given(SHAPES, FIELDS, st.sampled_from([*CODES, "stored"]), directions())
@settings(max_examples=300)
def test_restore_undoes_every_way(
    shape: tuple[int, int, int], field: tuple[int, int], code: str, direction: tuple[float, ...]
) -> None:
    turn = turn_to(grid(shape, direction), code)
    assert_restores(turn, Fit(turn.target, field), numbered(shape))


@given(SHAPES, st.sampled_from(CODES), directions())
def test_restore_is_the_inverse_where_nothing_is_cropped(
    shape: tuple[int, int, int], code: str, direction: tuple[float, ...]
) -> None:
    turn = turn_to(grid(shape, direction), code)
    fit = Fit(turn.target, (9, 9))
    array = numbered(shape)
    stack = fit.pad(fit.crop(turn.forward(array)), 5)
    np.testing.assert_array_equal(turn.restore(fit.restore(stack)), array)


@pytest.mark.parametrize(
    ("size", "field", "first", "last"),
    [
        # Cropped: (size - field) // 2 go at the start, the larger half at the end.
        (203, 200, 1, 200),
        (201, 200, 0, 199),
        (232, 200, 16, 215),
        (256, 200, 28, 227),
        (512, 200, 156, 355),
        (240, 199, 20, 218),
        (200, 200, 0, 199),
    ],
)
def test_cropping_by_hand(size: int, field: int, first: int, last: int) -> None:
    for axis in (1, 2):
        shape = [1, 3, 3]
        shape[axis] = size
        way = Fit(grid((shape[0], shape[1], shape[2])), (field, field))
        index = np.indices(shape)[axis]
        kept = way.crop(index)
        assert (kept.min(), kept.max(), kept.shape[axis]) == (first, last, field)


@pytest.mark.parametrize(
    ("size", "field", "before", "after"),
    [(197, 200, 1, 2), (199, 200, 0, 1), (132, 200, 34, 34), (191, 200, 4, 5), (1, 200, 99, 100)],
)
def test_padding_by_hand(size: int, field: int, before: int, after: int) -> None:
    for axis in (1, 2):
        shape = [1, 3, 3]
        shape[axis] = size
        way = Fit(grid((shape[0], shape[1], shape[2])), (field, field))
        line = np.moveaxis(way.pad(np.ones(shape), -1.5), axis, 0)[:, 0].max(1)
        expected = [-1.5] * before + [1.0] * size + [-1.5] * after
        np.testing.assert_array_equal(line, expected)


@pytest.mark.parametrize(
    ("rows", "columns"), [(132, 256), (256, 132), (512, 512), (203, 197), (191, 232), (200, 199)]
)
def test_rows_and_columns_are_independent(rows: int, columns: int) -> None:
    """One axis is cropped while the other is padded."""
    fit = Fit(grid((2, rows, columns)), (200, 200))
    array = numbered((2, rows, columns))
    stack = fit.forward(array)
    assert stack.shape == (2, 200, 200)
    r, c = 150, 99
    in_rows = r + (rows - 200) // 2 if rows > 200 else r - (200 - rows) // 2
    in_columns = c + (columns - 200) // 2 if columns > 200 else c - (200 - columns) // 2
    assert stack[1, r, c] == array[1, in_rows, in_columns]
    assert_restores(turn_to(fit.source, "stored"), fit, array)


def test_only_views_until_padding() -> None:
    turn = turn_to(grid((2, 30, 40), direction_of("RAI")), "LPS")
    array = numbered((2, 30, 40))
    assert np.shares_memory(Fit(turn.target, (20, 20)).crop(turn.forward(array)), array)


def test_wrong_shapes_are_refused() -> None:
    turn = turn_to(grid((2, 3, 4)), "LPS")
    fit = Fit(turn.target, (5, 5))
    for forward in (turn.forward, fit.crop, fit.forward, Way((turn, fit)).forward):
        with pytest.raises(DimensionError, match=r"\(2, 3, 4\).*\(2, 4, 3\)"):
            forward(np.zeros((2, 4, 3)))
    with pytest.raises(DimensionError, match=r"\(2, 3, 4\).*\(1, 3, 4\)"):
        turn.restore(np.zeros((1, 3, 4)))
    # NumPy would spread the single slice over both.
    for wrong in ((1, 5, 5), (2, 5, 4), (2, 5, 5, 1), (2, 6, 6)):
        for restore in (fit.restore, Way((turn, fit)).restore):
            with pytest.raises(DimensionError, match=r"\(2, 5, 5\)"):
                restore(np.ones(wrong, np.uint8))


# Composed ---------------------------------------------------------------------------------------


def place_of(where: Grid, index: tuple[int, ...]) -> np.ndarray:
    """LPS position of a voxel, by ITK."""
    shown = image(np.zeros(where.shape, np.uint8), where)
    return np.array(shown.TransformContinuousIndexToPhysicalPoint([float(i) for i in index[::-1]]))


@pytest.mark.parametrize("code", CODES)
@given(SHAPES, FIELDS, directions(), st.sampled_from(CODES))
@settings(max_examples=10)
def test_a_way_of_turns_and_fits_that_pad(
    code: str,
    shape: tuple[int, int, int],
    more: tuple[int, int],
    direction: tuple[float, ...],
    again: str,
) -> None:
    """Nothing is lost on a way that cuts nothing off, and every voxel stays in its place."""
    first = turn_to(grid(shape, direction), code)
    _, rows, columns = first.target.shape
    fit = Fit(first.target, (rows + more[0], columns + more[1]))
    last = turn_to(fit.target, again)
    way = Way((first, fit, last))
    array = numbered(shape)
    stack = way.forward(array)
    assert stack.shape == way.target.shape
    np.testing.assert_array_equal(way.restore(stack), array)
    assert way == Way((first,)).then(Way((fit, last)))
    for value in (1, array.size):
        (before,), (after,) = np.argwhere(array == value), np.argwhere(stack == value)
        np.testing.assert_allclose(
            place_of(way.source, tuple(before)), place_of(way.target, tuple(after)), atol=1e-3
        )


@given(SHAPES, FIELDS, st.sampled_from(CODES), directions())
def test_the_way_back_can_be_gone_in_parts(
    shape: tuple[int, int, int], field: tuple[int, int], code: str, direction: tuple[float, ...]
) -> None:
    turn = turn_to(grid(shape, direction), code)
    fit = Fit(turn.target, field)
    way = Way((turn, fit))
    stack = numbered(fit.target.shape)
    part = way.restore(stack, to=turn.target)
    np.testing.assert_array_equal(part, fit.restore(stack))
    np.testing.assert_array_equal(turn.restore(part), way.restore(stack))
    np.testing.assert_array_equal(way.restore(stack, to=way.source), way.restore(stack))
    np.testing.assert_array_equal(way.forward(way.restore(stack)), fit.forward(part))


def test_ways_that_do_not_join_are_refused() -> None:
    turn = turn_to(grid((2, 3, 4), direction_of("PIR")), "LPS")
    fit = Fit(turn.target, (9, 9))
    with pytest.raises(UsageError, match="none"):
        Way(())
    with pytest.raises(UsageError, match=r"Part 3 .* part 2 .*9 x 9 x 3 and 4 x 3 x 2"):
        Way((turn, fit, turn))
    with pytest.raises(UsageError, match="Part 2"):
        Way((fit,)).then(Way((turn,)))
    with pytest.raises(UsageError, match="on the way"):
        Way((turn, fit)).restore(np.zeros(fit.target.shape), to=grid((5, 5, 5)))


# Grids ------------------------------------------------------------------------------------------


def test_voxel_volume() -> None:
    assert grid((2, 3, 4)).voxel_ml == pytest.approx(3.0 * 1.0 * 0.5 / 1000)


def test_difference() -> None:
    here = Grid((10, 20, 30), (3.0, 1.0, 0.5), (1.0, 2.0, 3.0))
    assert here.difference(here) == ""
    other = Grid((10, 20, 31), (3.0, 1.0, 0.5), (1.0, 2.0, 3.0))
    assert here.difference(other) == "sizes 30 x 20 x 10 and 31 x 20 x 10 (columns x rows x slices)"

    def moved(x: float, y: float, z: float) -> str:
        return here.difference(Grid(here.shape, here.spacing_mm, (1 + x, 2 + y, 3 + z)))

    # A tenth of a voxel, which is 0.05 mm along columns, 0.1 mm along rows, 0.3 mm along slices.
    assert moved(0.049, 0, 0) == moved(0, -0.099, 0) == moved(0, 0, 0.299) == ""
    assert moved(0.06, 0, 0) == "positions in space, up to 0.06 mm apart"
    assert moved(0, 0.11, 0) == "positions in space, up to 0.11 mm apart"
    assert moved(0, 0, 0.31) == "positions in space, up to 0.31 mm apart"
    assert moved(3, 0, 4) == "positions in space, up to 5.00 mm apart"
    assert here.difference(Grid(here.shape, here.spacing_mm, (4.0, 2.0, 3.0))) != ""
    assert "nan" in moved(0, float("nan"), 0)


def test_difference_adds_up_to_the_last_voxel() -> None:
    here = Grid((10, 20, 30), (3.0, 1.0, 0.5))
    # 0.001 mm a column is 0.029 mm at the last one; 0.003 mm is 0.087 mm.
    assert here.difference(Grid(here.shape, (3.0, 1.0, 0.501))) == ""
    assert "0.09 mm" in here.difference(Grid(here.shape, (3.0, 1.0, 0.503)))
    # A turn by 0.01 rad about z: the last row is 19 mm away from the origin, the last column 14.5.
    c, s = np.cos(0.01), np.sin(0.01)
    turned = Grid(here.shape, here.spacing_mm, direction=(c, -s, 0, s, c, 0, 0, 0, 1))
    assert f"{np.hypot(19, 14.5) * 0.01:.2f} mm" in here.difference(turned)
    # The same box, run through the other way: only the corners tell.
    flipped = Grid(here.shape, here.spacing_mm, (14.5, 0, 0), (-1, 0, 0, 0, 1, 0, 0, 0, 1))
    assert "14.50 mm" in here.difference(flipped)


@given(directions(), SHAPES)
def test_difference_is_symmetric(direction: tuple[float, ...], shape: tuple[int, int, int]) -> None:
    one, other = grid(shape, direction), grid(shape)
    assert one.difference(other) == other.difference(one)
    assert one.difference(one) == ""


@given(directions(), SHAPES, st.permutations([0, 1, 2]), st.tuples(*[st.booleans()] * 3))
def test_a_turn_between_two_orders_of_one_grid_is_found(
    direction: tuple[float, ...], shape: tuple[int, int, int], axes: Any, flips: Any
) -> None:
    """Whatever the axes: also at 45 degrees, where no side of the body is nearest."""
    here = grid(shape, direction)
    stored = Turn(here, (axes[0], axes[1], axes[2]), flips)
    x, y, z = stored.target.origin_mm
    rounded = replace(stored.target, origin_mm=(x + 0.02, y - 0.01, z))
    for there in (stored.target, rounded):
        back = geometry.turn_between(there, here)
        assert back is not None
        array = np.arange(np.prod(shape)).reshape(shape)
        np.testing.assert_array_equal(back.forward(stored.forward(array)), array)
        assert back.target.difference(here) == ""


def test_no_turn_between_two_grids() -> None:
    here = Grid((10, 20, 30), (3.0, 1.0, 0.5))
    for other in (
        Grid((10, 20, 31), (3.0, 1.0, 0.5)),
        Grid((10, 20, 30), (3.0, 1.0, 0.52)),
        Grid((10, 20, 30), (3.0, 1.0, 0.5), (0.1, 0, 0)),
        Grid((10, 20, 30), (3.0, 1.0, 0.5), (0, 0, 0), (-1, 0, 0, 0, 1, 0, 0, 0, 1)),  # mirrored
    ):
        assert geometry.turn_between(other, here) is None
