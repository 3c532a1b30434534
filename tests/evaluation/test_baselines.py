"""Baselines without deep learning: features by hand, registration, thresholds, a whole run."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk

from evaluation import run
from evaluation.baselines import (
    contenders,
    features,
    forest,
    learning,
    placed_scan,
    sweep,
    threshold,
)
from evaluation.baselines.placed_scan import PlacedScan
from wmhseg import errors, geometry
from wmhseg.channels import brain_maps, location, placement
from wmhseg.channels.brain_maps import BrainMaps
from wmhseg.channels.placement import Placement
from wmhseg.cli.console import Console
from wmhseg.datasets.cases import Case
from wmhseg.synthesis import heads, scan
from wmhseg.synthesis.recipe import Recipe

SPACING = (5.0, 1.0, 0.8)


def grid_mm(shape: tuple[int, int], spacing: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Row and column positions from the middle, mm."""
    y, x = np.indices(shape)
    return (y - shape[0] // 2) * spacing[1], (x - shape[1] // 2) * spacing[2]


# Features -----------------------------------------------------------------------------------------


def test_the_22_features_of_the_paper() -> None:
    groups = {
        "intensity": ("flair", "t1"),
        "laplacian": ("laplacian_1mm", "laplacian_2mm", "laplacian_4mm"),
        "hessian": ("hessian_1mm", "hessian_2mm", "hessian_4mm"),
        "vesselness": ("vesselness_1mm",),
        "annular": ("annular_1mm", "annular_2mm", "annular_4mm"),
        "neighbourhood": ("mean_16x16", "deviation_16x16"),
        "location": (
            "mni_x", "mni_y", "mni_z", "left_ventricle", "right_ventricle", "cortex",
            "midsagittal", "prior",
        ),
    }  # fmt: skip
    assert tuple(name for group in groups.values() for name in group) == features.NAMES
    assert len(features.NAMES) == 22


@pytest.mark.parametrize("scale", features.SCALES_MM)
def test_hessian_of_a_quadratic(scale: float) -> None:
    """Of 1.5 y^2 + 0.5 x y - x^2 (mm): 3, 0.5 and -2, whatever is smoothed, times scale^2."""
    y, x = grid_mm((81, 101), SPACING)
    volume = (1.5 * y**2 + 0.5 * x * y - x**2).astype(np.float32)[None].repeat(2, 0)
    found = [d[1, 40, 50] for d in features.hessian(volume, scale, SPACING)]
    np.testing.assert_allclose(found, np.array([3, 0.5, -2]) * scale**2, rtol=0.02)


@pytest.mark.parametrize("scale", features.SCALES_MM)
def test_laplacian_of_a_blob(scale: float) -> None:
    """A blob of s = 4 mm smoothed by t: height s^2/(s^2+t^2), Laplacian -2/(s^2+t^2) of it."""
    y, x = grid_mm((81, 101), SPACING)
    volume = np.exp(-(y**2 + x**2) / (2 * 4.0**2)).astype(np.float32)[None]
    rows, _, columns = features.hessian(volume, scale, SPACING)
    expected = -2 * scale**2 * 4**2 / (4**2 + scale**2) ** 2
    assert (rows + columns)[0, 40, 50] == pytest.approx(expected, rel=0.02)


def test_neighbourhood_of_a_ramp() -> None:
    """Columns c-8 to c+7: their mean is c - 0.5, their variance (16^2 - 1) / 12."""
    ramp = np.arange(40, dtype=np.float32)[None, None, :].repeat(30, 1).repeat(2, 0)
    mean, deviation = features.neighbourhood(ramp)
    assert mean[0, 15, 20] == pytest.approx(19.5)
    assert deviation[0, 15, 20] == pytest.approx(math.sqrt(255 / 12), rel=1e-5)


def test_annular_filter() -> None:
    flat = np.full((1, 30, 30), 3, np.float32)
    np.testing.assert_allclose(features.annular(flat, 2, SPACING), 0, atol=1e-4)
    point = np.zeros((2, 31, 31), np.float32)
    point[0, 15, 15] = 1
    # At 1 mm pixels 5 lie within 1 mm and 8 more within 2 mm.
    found = features.annular(point, 1, (5, 1, 1))
    for shift, value in (((0, 0), 1 / 5), ((0, 1), 1 / 5), ((1, 1), -1 / 8), ((2, 0), -1 / 8)):
        assert found[0, 15 + shift[0], 15 + shift[1]] == pytest.approx(value, abs=1e-5)
    assert found[0, 15, 18] == pytest.approx(0, abs=1e-5)
    np.testing.assert_allclose(found[1], 0, atol=1e-6)


def test_vesselness_prefers_bright_lines() -> None:
    y, x = grid_mm((61, 61), (1, 1, 1))
    line, blob = np.exp(-(x**2) / 2), np.exp(-(x**2 + y**2) / 2)

    def middle(picture: np.ndarray) -> float:
        volume = picture.astype(np.float32)[None]
        return float(features.vesselness(features.hessian(volume, 1, (1, 1, 1)))[0, 30, 30])

    # Half of the largest norm: strength 4 half; along is 0 on a line and across on a blob.
    assert middle(line) == pytest.approx(1 - math.exp(-2), abs=0.01)
    assert middle(blob) == pytest.approx((1 - math.exp(-2)) * math.exp(-2), abs=0.01)
    assert middle(-line) == 0


def test_distance_in_the_slice() -> None:
    mask = np.zeros((2, 9, 9), bool)
    mask[0, 2, 3] = True
    found = location.distance_in_plane_mm(mask, (1.0, 2.0, 0.5))
    assert found[0, 4, 3] == 4
    assert found[0, 2, 7] == 2
    assert found[1, 2, 3] > 1000
    assert location.distance_in_plane_mm(mask & False, SPACING).min() > 1000


def test_standardised() -> None:
    """Values 1 to 5 and 100: median 3.5; distances 2.5 1.5 .5 .5 1.5 96.5, median 1.5."""
    volume = np.array([[[1, 2, 3, 4, 5, 100, 7]]], np.float32)
    brain = np.array([[[True] * 6 + [False]]])
    found = placed_scan.standardised(volume, brain)
    np.testing.assert_allclose(found[0, 0, [0, 5]], np.array([-2.5, 96.5]) / (1.4826 * 1.5))
    assert found[0, 0, 6] == 0


# The atlas ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def maps() -> BrainMaps:
    """A made-up brain at 2 mm: two hemispheres, two ventricles, a prior that rises to the left."""
    shape = (60, 80, 66)
    z, y, x = (axis * 2.0 for axis in np.indices(shape) - np.array(shape).reshape(3, 1, 1, 1) / 2)

    def ball(centre: tuple[float, ...], radii: tuple[float, ...]) -> np.ndarray:
        away = [(a - c) / r for a, c, r in zip((z, y, x), centre, radii, strict=True)]
        return sum(part**2 for part in away) <= 1

    inside = ball((0, 0, 0), (45, 65, 50)) & (np.abs(x) > 3) & ~ball((-40, -60, 0), (30, 40, 30))
    fluid = ball((5, 0, 12), (8, 20, 5)) | ball((5, 0, -12), (8, 20, 5))
    maps = {
        "wmh": (np.clip(x + 66, 0, 132) / 132).astype(np.float32),
        "ventricles": fluid.astype(np.float32),
        "white_matter": (inside & ~fluid).astype(np.float32),
    }
    return brain_maps.compose(maps, (-60.0, -80.0, -66.0), (2.0, 2.0, 2.0))


def scan_of(maps: BrainMaps, placed: Placement, shape: tuple[int, int, int]) -> np.ndarray:
    """T1 of the made-up brain on a grid, placed as told."""
    white, fluid, brain = (
        placement.mapped(volume.astype(np.float32), maps, placed, shape, SPACING)
        for volume in (maps.white_matter, maps.ventricles, maps.brain)
    )
    return (100 * (0.7 * brain + 0.3 * white - 0.5 * fluid)).astype(np.float32)


def test_brain_of_the_atlas(maps: BrainMaps) -> None:
    """The gap between the hemispheres is closed; the brain reaches about 3 mm beyond."""
    middle = tuple(n // 2 for n in maps.brain.shape)
    assert maps.brain[middle]
    row = np.flatnonzero(maps.brain[30, :, 20])
    white = np.flatnonzero(maps.white_matter[30, :, 20])
    assert white[0] - row[0] in (1, 2)
    assert row[-1] - white[-1] in (1, 2)
    assert not maps.brain[0].any()


@pytest.mark.parametrize("fat", [False, True])
def test_registration_finds_a_known_place(maps: BrainMaps, fat: bool) -> None:
    turn, size = 0.12, np.array([1.08, 0.94, 0.95])
    turned = np.array(
        [[1, 0, 0], [0, math.cos(turn), -math.sin(turn)], [0, math.sin(turn), math.cos(turn)]]
    )
    shape = (26, 150, 160)
    middle = (np.array(shape) - 1) / 2 * SPACING
    matrix = turned * size
    truth = Placement(matrix, matrix @ (-middle + (6.0, -5.0, 4.0)))
    volume = scan_of(maps, truth, shape)
    if fat:  # a bright ring 8 mm away from the brain, 4 mm thick
        away = location.distance_in_plane_mm(volume > 20, SPACING)
        volume[(away > 8) & (away < 12) & (volume.max((1, 2), keepdims=True) > 20)] = 120
    found = placement.place(volume, SPACING, maps)
    corners = np.array([[6, 40, 40], [6, 110, 120], [18, 40, 120], [18, 110, 40]])
    apart = found.atlas_mm(corners, SPACING) - truth.atlas_mm(corners, SPACING)
    assert np.linalg.norm(apart, axis=1).max() < 4
    if fat:
        again = placement.place(volume * 8, SPACING, maps)
        np.testing.assert_allclose(again.matrix, found.matrix, atol=1e-3)


def test_location_features(maps: BrainMaps) -> None:
    """The scan's grid is the atlas' own, so that every distance is known."""
    straight = Placement(np.eye(3), np.array(maps.origin_mm))
    flat = np.zeros(maps.brain.shape, np.float32)
    placed = PlacedScan(flat, flat, maps.brain, straight, maps.spacing_mm)
    table = features.compute(placed, maps)
    assert table.shape == (maps.brain.sum(), 22)
    where = {name: table[:, i] for i, name in enumerate(features.NAMES) if i >= 14}
    for column in where.values():
        assert (column.min(), column.max()) == (0, 1)
    place = {tuple(voxel): i for i, voxel in enumerate(np.argwhere(maps.brain).tolist())}
    left, right = place[32, 40, 33 + 12], place[32, 40, 33 - 12]  # 24 mm to either side
    assert where["mni_x"][left] > where["mni_x"][right]
    assert where["prior"][left] > where["prior"][right]
    assert where["left_ventricle"][left] < where["right_ventricle"][left]
    assert where["right_ventricle"][right] < where["left_ventricle"][right]
    assert where["midsagittal"][left] == where["midsagittal"][right]
    assert where["midsagittal"][place[32, 40, 33]] == 0
    assert where["mni_z"][place[40, 40, 45]] > where["mni_z"][left]
    assert where["mni_y"][place[32, 50, 45]] > where["mni_y"][left]
    # The left ventricle ends at columns 39 + 2 (5 mm radius around 12 mm); cortex: from the edge.
    farthest = max(
        float(np.minimum(location.distance_in_plane_mm(m, maps.spacing_mm), 100)[maps.brain].max())
        for m in [maps.ventricles > 0.5]
    )
    assert farthest == 100  # slices without ventricles
    assert where["left_ventricle"][left] == pytest.approx((45 - 41) * 2 / 100, abs=0.011)
    edge = np.flatnonzero(~maps.brain[32, 40, 45:])[0]
    assert where["cortex"][place[32, 40, 45 + edge - 1]] == 0


# Thresholds ---------------------------------------------------------------------------------------


def test_threshold_leaves_the_edge_out() -> None:
    brain = np.zeros((1, 30, 30), bool)
    brain[0, 5:25, 5:25] = True
    rng = np.random.default_rng(0)
    flair = rng.normal(0, 1, brain.shape).astype(np.float32)
    flair[0, 5, 5:25] = 50  # bright edge
    flair[0, 15, 15] = 50
    still = Placement(np.eye(3), np.zeros(3))
    found = threshold.scores(PlacedScan(flair, flair, brain, still, (5.0, 1.0, 1.0)))
    assert np.argwhere(found > 10).tolist() == [[0, 15, 15]]
    # 4 mm in the slice from the nearest voxel outside.
    assert np.argwhere(np.isfinite(found)).min(0).tolist() == [0, 8, 8]
    assert np.argwhere(np.isfinite(found)).max(0).tolist() == [0, 21, 21]


def test_best_threshold_by_hand() -> None:
    """Scores 0.2 0.4 0.6 0.8, the last two WMH: DSC 2*2/(3+2), 1, 2*1/(1+2)."""
    scored = np.array([0.2, 0.4, 0.6, 0.8], np.float32)
    target = np.array([False, False, True, True])
    thresholds = np.array([0.3, 0.5, 0.7])
    one = learning.overlaps(scored, target, thresholds)
    assert one.tolist() == [[4, 4, 2], [5, 4, 3]]
    assert learning.best([one], thresholds) == (0.5, 1.0)
    nothing = learning.overlaps(scored, target & False, thresholds)
    assert nothing.tolist() == [[0, 0, 0], [3, 2, 1]]
    # (4, 4, 2) of (5 + 3 * 3, 4 + 3 * 2, 3 + 3 * 1): what has no lesion counts by what is marked.
    chosen, dsc = learning.best([one, 3 * nothing], thresholds)
    assert (chosen, dsc) == (0.5, pytest.approx(0.4))
    missed = np.array([0.2, 0.4, 0.6, -np.inf], np.float32)  # a lesion outside the brain
    assert learning.overlaps(missed, target, thresholds).tolist() == [[2, 2, 0], [4, 3, 2]]


def test_scans_of_next_to_nothing_do_not_choose() -> None:
    """Three voxels found at a high threshold weigh less than the 300 that it misses."""
    thresholds = np.array([1.0, 5.0])
    small, large = np.array([[0, 4], [500, 6]]), np.array([[500, 0], [700, 300]])
    assert learning.best([small, small, large], thresholds)[0] == 1.0


# What is kept -------------------------------------------------------------------------------------


def learned() -> learning.Learned:
    rng = np.random.default_rng(3)
    voxels = rng.normal(size=(400, 22)).astype(np.float32)
    return learning.Learned(voxels, voxels[:, 0] > 0.5, 0.3, 2.4, 40, 12, (0.7, 0.5))


def test_kept_voxels_give_the_same_forest(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    made = learned()
    (tmp_path / "kept.npz").write_bytes(learning.to_bytes(made))
    back = learning.from_file(tmp_path / "kept.npz")
    assert back is not None
    assert (back.probability, back.deviations, back.scans, back.dsc) == (0.3, 2.4, 40, (0.7, 0.5))
    one, other = (forest.grow(m.voxels, m.wmh, 1) for m in (made, back))
    assert len(one.estimators_) == 50
    asked = np.eye(22, dtype=np.float32) * 2
    np.testing.assert_array_equal(one.predict_proba(asked), other.predict_proba(asked))
    assert one.predict_proba(asked)[0, 1] > 0.8 > 0.5 > one.predict_proba(asked)[1:, 1].max()


def test_pickled_and_foreign_files_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "kept.npz"
    assert learning.from_file(path) is None
    path.write_bytes(b"nothing of the kind")
    assert learning.from_file(path) is None
    made = learned()
    with path.open("wb") as file:
        np.savez(file, voxels=made.voxels.astype(object), wmh=made.wmh, numbers=np.zeros(6))
    assert learning.from_file(path) is None
    with path.open("wb") as file:
        np.savez(file, voxels=made.voxels[:, :21], wmh=made.wmh, numbers=np.zeros(6))
    assert learning.from_file(path) is None


# A whole run --------------------------------------------------------------------------------------


def save(path: Path, array: np.ndarray, origin_mm: tuple[float, float, float] = (0, 0, 0)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetOrigin(origin_mm)
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture(scope="module")
def sources(label_map: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> contenders.Sources:
    """Label maps of one head, twice as large as that of other tests, and maps made of it."""
    root = tmp_path_factory.mktemp("baselines")
    head = label_map.repeat(2, 0).repeat(2, 1).repeat(2, 2).astype(np.int16)
    for name in ("1", "2"):
        save(root / "labels" / f"{name}.nii.gz", head)
    few = learning.LearningSettings(
        scans=2, held_out=2, held_out_maps=1, wmh_voxels=50, other_voxels=100, slices=10
    )
    return contenders.Sources(root / "labels", root / "kept" / "learned.npz", few)


def store(path: Path, array: np.ndarray, spacing_mm: tuple[float, ...], *, turned: bool) -> None:
    """Writes an LPS array as it is, or with slices and columns the other way round."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array[::-1, :, ::-1] if turned else array)
    image.SetSpacing(spacing_mm[::-1])
    if turned:
        far = [(n - 1) * s for n, s in zip(array.shape, spacing_mm, strict=True)]
        image.SetOrigin((far[2], 0, far[0]))
        image.SetDirection((-1, 0, 0, 0, 1, 0, 0, 0, -1))
    sitk.WriteImage(image, str(path))


@pytest.mark.slow
def test_a_whole_run(
    sources: contenders.Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both end in masks on the file's grid, the same however it is stored, and learn once."""
    pytest.importorskip("sklearn")

    def place(volumes: dict[str, np.ndarray], spacing_mm: tuple[float, float, float]) -> Placement:
        """A head of ellipsoids looks the same upside down: its place is always in doubt."""
        return placement.place(volumes["T1"], spacing_mm, brain_maps.load())

    monkeypatch.setattr(location, "find_place", place)
    recipe = Recipe(slices=12, without_lesions=0, thickness_mm=(3.0,))
    people = heads.load_heads(sources.labels)
    drawn = scan.draw_scan(np.random.default_rng(11), people, recipe)
    for name, turned in (("plain", False), ("turned", True)):
        for file, array in (
            ("pre/FLAIR", drawn.flair),
            ("pre/T1", drawn.t1),
            ("wmh", drawn.target.astype(np.uint8)),
        ):
            path = tmp_path / "data" / name / f"{file}.nii.gz"
            store(path, array, drawn.spacing_mm, turned=turned)
    words = ["--data", str(tmp_path / "data"), "--no-plots", "-q", "--jobs", "1"]
    words += ["--output", str(tmp_path / "out")]
    console = Console(quiet=True)
    made = contenders.make_baselines(["threshold", "forest"], sources, console)
    assert run.main(words, made) == 0
    for name in ("threshold", "forest"):
        folder = tmp_path / "out" / name
        plain, turned = (
            sitk.ReadImage(str(folder / case / "result.nii.gz")) for case in ("plain", "turned")
        )
        assert turned.GetDirection()[0] == -1
        mask = sitk.GetArrayFromImage(plain)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(turned)[::-1, :, ::-1], mask)
        assert set(np.unique(mask)) == {0, 1}
        assert not mask[[0, -1]].any()  # a tenth of 12 slices
        assert mask[drawn.target].mean() > 5 * mask.mean()

    def load_heads(_: Path) -> list[heads.Head]:
        raise AssertionError("learnt again")

    monkeypatch.setattr(heads, "load_heads", load_heads)
    (again,) = contenders.make_baselines(["forest"], sources, console)
    assert (again.identity, again.about) == (made[1].identity, made[1].about)
    for words in ("50 trees, 22 hand-made features", " of 2 synthetic scans", "never on real ones"):
        assert words in again.about


def test_sources_that_are_not_there(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    made = contenders.Sources(tmp_path, tmp_path / "kept.npz")
    with pytest.raises(errors.MissingFileError, match="label maps"):
        contenders.make_baselines(["forest"], made, Console(quiet=True))


def test_options_belong_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--output", str(tmp_path), "--baselines", "threshold"]
    assert run.main([*words, "--no-plots", "-q"]) == errors.UsageError.exit_code
    assert "--labels" in capsys.readouterr().err


def test_a_place_in_doubt_is_refused_as_in_a_segmentation(
    maps: BrainMaps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where T1 leaves doubt FLAIR is asked; drawn scans in doubt are left out."""
    asked: list[list[str]] = []

    def find_place(volumes: dict[str, np.ndarray], spacing_mm: object) -> Placement:
        asked.append(list(volumes))
        raise errors.RegistrationError("A head was expected", received="doubt")

    monkeypatch.setattr(location, "find_place", find_place)
    volume = np.ones((4, 8, 8), np.float32)
    with pytest.raises(errors.RegistrationError):
        placed_scan.prepare(volume, volume, SPACING, maps)
    assert asked == [["T1", "FLAIR"]]
    drawing = SimpleNamespace(flair=volume, t1=volume, spacing_mm=SPACING, target=volume > 0)
    monkeypatch.setattr(learning, "draw_scan", lambda *_: drawing)
    with pytest.raises(errors.RegistrationError):
        next(learning.synthetic([], maps, 2, learning.LearningSettings(), 0))
    assert len(asked) == 4  # more often than not


def test_every_k_by_hand(
    maps: BrainMaps,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Four voxels of 6 deviations, two of them WMH, and one of 3 that is: DSC 6/8, then 4/7, 0."""
    flair = np.zeros((20, 30, 30), np.float32)
    flair[10, 12:16, 12] = 6
    flair[10, 20, 20] = 3
    labels = np.zeros(flair.shape, np.uint8)
    labels[10, 12:14, 12] = labels[10, 20, 20] = 1
    for name, array in (("pre/FLAIR", flair + np.indices(flair.shape)[2]), ("wmh", labels)):
        save(tmp_path / "one" / f"{name}.nii.gz", array)
    turn = geometry.turn_to(geometry.Grid(flair.shape, (1.0, 1.0, 1.0)), "LPS")
    monkeypatch.setattr(placed_scan, "read", lambda *_: (None, turn))
    monkeypatch.setattr(threshold, "scores", lambda _: turn.forward(flair))
    assert sweep.main(["--data", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = {line.split(" | ")[0][2:]: line.split(" | ")[1] for line in lines[2:]}
    assert (found["2.5"], found["3"], found["5.5"], found["6"]) == (
        "0.750", "0.571", "0.571", "0.000",
    )  # fmt: skip


def test_a_case_without_t1(maps: BrainMaps, tmp_path: Path) -> None:
    case = Case("one", flair=tmp_path / "FLAIR.nii.gz")
    with pytest.raises(errors.MissingT1Error):
        placed_scan.read(case, maps)
