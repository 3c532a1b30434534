"""Slices without a picture of their own: named, taken for background, and nothing marked there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from heads import SHAPE, SPACING_MM, head

import wmhseg
from wmhseg import geometry
from wmhseg.geometry import Grid
from wmhseg.io import images
from wmhseg.io.images import Scan
from wmhseg.preparation import bad_slices
from wmhseg.preparation.bad_slices import BadSlices
from wmhseg.weights import store
from wmhseg.weights.methods import METHODS
from wmhseg.weights.preset import with_changes
from wmhseg.weights.store import Model

RNG = np.random.default_rng(5)


def with_slice(place: int, plane: np.ndarray | float, scan: Scan | None = None) -> Scan:
    scan = scan or head()
    array = scan.array.copy()
    array[place] = plane
    return replace(scan, array=array)


@pytest.mark.parametrize("skull", [True, False])
@pytest.mark.parametrize("made", ["FLAIR", "T1"])
def test_good_scans_have_none(made: str, skull: bool) -> None:
    scan = head(made, skull=skull)
    assert bad_slices.find(scan) == []
    assert bad_slices.left_out(scan, adapt=True) == (scan, None, [])


@pytest.mark.parametrize("skull", [True, False])
def test_empty_and_constant_slices(skull: bool) -> None:
    scan = head(skull=skull)
    (empty,) = bad_slices.find(with_slice(30, 0, with_slice(31, 0, with_slice(50, 0, scan))))
    assert (empty.empty, empty.constant, empty.copies) == ((30, 31, 50), (), ())
    assert "slices 30 and 31, 50 are empty inside the head" in empty.told()
    (dark,) = bad_slices.find(with_slice(30, 2e-4 * scan.array[31], scan))
    assert dark.empty == (30,)  # nothing of the head is seen
    (constant,) = bad_slices.find(with_slice(30, 500, scan))
    assert (constant.empty, constant.constant) == ((), (30,))
    assert "slice 30 holds one value (counted from 0 along the file's third axis)" in (
        constant.told()
    )
    # At the ends they are padding, unless they are bright.
    assert bad_slices.find(with_slice(0, 0, with_slice(SHAPE[0] - 1, 0, scan))) == []
    (end,) = bad_slices.find(with_slice(SHAPE[0] - 1, 500, scan))
    assert end.constant == (SHAPE[0] - 1,)


@pytest.mark.parametrize("level", [-5000.0, 0.0, 1e5])
def test_wherever_intensities_begin(level: float) -> None:
    scan = head()
    moved = replace(scan, array=scan.array + np.float32(level))
    (empty,) = bad_slices.find(with_slice(30, level, moved))
    assert empty.empty == (30,)
    (copy,) = bad_slices.find(with_slice(30, moved.array[31], moved))
    assert copy.copies == ((30, 31),)


@pytest.mark.parametrize(
    "change", [lambda a: a, lambda a: 0.37 * a, lambda a: np.rint(1.7 * a + 20)]
)
@pytest.mark.parametrize(("place", "of"), [(18, 19), (19, 18), (60, 61), (61, 60)])
def test_copies_on_any_scale(place: int, of: int, change: object) -> None:
    """Of two alike the original is the one that fits to the slice beside it."""
    scan = head()
    (bad,) = bad_slices.find(with_slice(place, change(scan.array[of]), scan))  # type: ignore[operator]
    assert bad.copies == ((place, of),)
    assert bad.told().startswith(f"slice {place} repeats slice {of}")


def test_runs_of_copies() -> None:
    scan = head()
    array = scan.array.copy()
    array[61:64] = array[60]
    (bad,) = bad_slices.find(replace(scan, array=array))
    assert bad.copies == ((61, 60), (62, 60), (63, 60))


def test_a_scan_enlarged_by_repetition_is_believed() -> None:
    scan = head()
    array = np.repeat(scan.array[::3], 3, axis=0)
    enlarged = Scan(array, Grid(array.shape, SPACING_MM), "FLAIR")
    (bad,) = bad_slices.find(enlarged)
    assert (bad.enlarged, bad.copies, bad.told()) == (True, (), "")
    assert bad_slices.left_out(enlarged, adapt=True)[1:] == (None, [])
    assert any("repeat their neighbour" in f.text for f in wmhseg.check(enlarged))


def test_a_part_of_a_slice() -> None:
    scan = head()
    array = scan.array.copy()
    array[40, 60:] = 0
    broken = replace(scan, array=array)
    (bad,) = bad_slices.find(broken)
    assert (bad.partly, bad.empty) == ((40,), ())
    nothing = bad_slices.unknown(broken, [bad])
    assert nothing is not None
    assert nothing[40, 61:].all()
    assert not nothing[40, :60][scan.array[40, :60] > 0].any()
    assert not nothing[:40].any()


@pytest.mark.parametrize("code", ["RAS", "PIR", "ASL"])
def test_numbers_are_those_of_the_file(code: str) -> None:
    """Thick slices in whatever order of axes they are stored."""
    scan = head()
    thick = Scan(scan.array[::3], Grid((28, *SHAPE[1:]), (6.0, 2.0, 2.0)), "FLAIR")
    turn = geometry.turn_to(thick.grid, code)
    stored = Scan(np.ascontiguousarray(turn.forward(thick.array)), turn.target, "FLAIR")
    axis = turn.axes.index(0)
    planes = np.moveaxis(stored.array, axis, 0)
    planes[10] = 0
    (bad,) = bad_slices.find(stored)
    assert (bad.axis, bad.empty) == (axis, (10,))
    assert f"file's {('third', 'second', 'first')[axis]} axis" in bad.told()
    assert bad_slices.unknown(stored, [bad]).sum() == planes[10].size  # type: ignore[union-attr]


@pytest.mark.filterwarnings("error")
def test_what_is_no_head_has_no_slices() -> None:
    for shape in ((2, 9, 9), (1, 1, 1), (40, 2, 3)):
        for array in (np.zeros(shape, np.float32), RNG.random(shape).astype(np.float32)):
            assert bad_slices.find(Scan(array, Grid(shape, SPACING_MM), "FLAIR")) == []
    assert BadSlices(0).told() == ""


def lesions(scan: Scan) -> Scan:
    """A head with a bright bar through all its slices."""
    array = scan.array.copy()
    array[20:64, 50:60, 40:50] = 1500
    array[20:64, 50:60, 40:50] += RNG.random((44, 10, 10))
    return replace(scan, array=array)


@pytest.mark.parametrize("fault", ["empty", "constant", "copy", "part"])
def test_nothing_is_marked_there(use_models: Path, fault: str) -> None:
    """And all else is as if the slice had not been there."""
    model = store.find("bright-flair")
    ours = with_changes(model.preset, preprocessing=replace(
        METHODS["synthetic"].preprocessing, field=(64, 64)))  # fmt: skip
    scan = lesions(head(skull=False))
    bad = scan.array.copy()
    if fault == "part":
        bad[40, 30:80] = 0
    else:
        bad[40] = {"empty": 0.0, "constant": 900.0, "copy": 1.5 * bad[41]}[fault]
    broken = replace(scan, array=bad)
    good = wmhseg.segment(scan, model=Model(model.folder, ours))
    found = wmhseg.segment(broken, model=Model(model.folder, ours))
    assert good.mask[40].any()
    assert not found.mask[40].any()
    assert not found.probability[40, 50:60].any()
    others = np.arange(len(bad)) != 40
    np.testing.assert_array_equal(found.mask[others], good.mask[others])
    (line,) = (w for w in found.report.warnings if "slice 40" in w)
    assert "no lesion is marked" in line
    assert any(f.topic == "slices" and f.level == "warning" for f in wmhseg.check(broken))


@pytest.mark.parametrize("name", ["published", "released"])
def test_published_methods_only_warn(use_models: Path, name: str) -> None:
    model = store.find("bright")
    changed = with_changes(model.preset, preprocessing=METHODS[name].preprocessing)
    segmenter = wmhseg.Segmenter(Model(model.folder, changed))
    broken = with_slice(40, head().array[41])
    loaded = segmenter.load(broken)
    (line,) = (w for w in loaded.inputs.warnings if "slice 40" in w)
    assert "do not trust the mask there" in line
    assert loaded.inputs.unknown is None


def test_good_real_scans_have_none(shared: Path) -> None:
    data = shared / "data"
    for folder in sorted([*data.glob("cases/*/pre"), *data.glob("raw/*")]):
        for name in ("FLAIR", "T1"):
            scan = images.read_scan(folder / f"{name}.nii.gz", name=name)
            assert bad_slices.find(scan) == [], (folder, name)
