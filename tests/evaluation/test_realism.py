"""The detector of the fake: what it measures on patches whose difference is known."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Phantom, write_case
from scipy import ndimage

pytest.importorskip("sklearn")

import wmhseg
from evaluation.realism import __main__ as command
from evaluation.realism import detector, fakes, features, fine_tune, patches, report, sources, views
from evaluation.realism.detector import Sample
from evaluation.realism.fakes import PlacedHead
from evaluation.realism.patches import Patches
from evaluation.realism.views import REGIONS, Atlas, View
from evaluation.variants import StudySetup, Variant
from wmhseg.channels.placement import Placement
from wmhseg.errors import MissingFileError
from wmhseg.scoring.table import VALUES, Score, write_table
from wmhseg.synthesis.heads import load_head
from wmhseg.synthesis.recipe import REALISTIC, Recipe
from wmhseg.synthesis.scan import draw_scan
from wmhseg.weights import preset, store
from wmhseg.weights.store import Model

UPRIGHT = Placement(np.eye(3), np.zeros(3))
COLUMN = {name: place for place, (_, name) in enumerate(features.columns())}


def noise(seed: int, count: int = 40) -> np.ndarray:
    rng = np.random.default_rng(seed)
    made = 1 + 0.1 * rng.standard_normal((count, features.SIDE, features.SIDE, 2))
    return made.astype(np.float32)


def coarse(table: np.ndarray) -> np.ndarray:
    """In quarters: the edges of bins are searched for at length among more than 63 values."""
    return np.round(table * 4) / 4


def value(table: np.ndarray, name: str) -> float:
    return float(np.median(table[:, COLUMN[name]]))


# Features ---------------------------------------------------------------------------------------


def test_every_feature_has_a_group_and_a_name_of_its_own() -> None:
    assert {group for group, _ in features.columns()} == set(features.GROUPS)
    assert len(COLUMN) == len(features.columns())
    table = features.compute(noise(0))
    assert table.shape == (40, len(COLUMN))
    assert np.isfinite(table).all()
    assert np.isfinite(features.compute(np.zeros_like(noise(0)))).all()


def test_noise_that_reaches_along_rows_is_told_from_columns() -> None:
    plain = noise(0)
    along = 1 + ndimage.gaussian_filter(plain - 1, (0, 0.8, 0, 0))  # neighbours in other rows
    before, after = features.compute(plain), features.compute(along)
    assert value(after, "FLAIR next row") > value(before, "FLAIR next row") + 0.2
    assert value(after, "FLAIR next column") < value(before, "FLAIR next column") + 0.05
    assert value(after, "FLAIR rows to columns 0.3") < value(before, "FLAIR rows to columns 0.3")
    assert value(after, "T1 strength") < value(before, "T1 strength")


def test_edges_and_shading() -> None:
    step = np.ones((1, features.SIDE, features.SIDE, 2), np.float32)
    step[:, :, features.SIDE // 2 :] = 1.5
    soft = ndimage.gaussian_filter(step, (0, 1.5, 1.5, 0))
    sharp, blurred = features.compute(step)[0], features.compute(soft)[0]
    for name in ("FLAIR fine to coarse", "T1 steepest of range"):
        assert sharp[COLUMN[name]] > 1.2 * blurred[COLUMN[name]]
    slope = np.ones_like(step) + 0.2 * np.linspace(-1, 1, features.SIDE)[:, None, None]
    flat, tilted = features.compute(np.ones_like(step))[0], features.compute(slope)[0]
    assert tilted[COLUMN["FLAIR slope"]] == pytest.approx(np.log(0.2), abs=0.01)
    assert flat[COLUMN["FLAIR slope"]] < np.log(0.001)


def test_pairs_see_which_way_both_go() -> None:
    ramp = np.broadcast_to(np.linspace(0, 1, features.SIDE), (1, features.SIDE, features.SIDE))
    with_it, against = (np.stack([f, ramp], -1).astype(np.float32) for f in (ramp, 1 - ramp))
    assert features.compute(with_it)[0][COLUMN["correlation"]] == pytest.approx(1, abs=1e-3)
    assert features.compute(against)[0][COLUMN["correlation"]] == pytest.approx(-1, abs=1e-3)
    assert features.compute(with_it)[0][COLUMN["slope"]] == pytest.approx(1, abs=0.02)


# Regions ----------------------------------------------------------------------------------------


def test_regions_lie_where_the_average_brain_has_them() -> None:
    z, y, x = (np.arange(-70, 80, 2), np.arange(-80, 100, 2), np.arange(-80, 80, 2))
    atlas = views.atlas_at(UPRIGHT, (z, y, x))

    def name(*place: int) -> str:
        at = tuple(
            int(np.abs(axis - mm).argmin()) for axis, mm in zip((z, y, x), place, strict=True)
        )
        number = int(atlas.region[at])
        return REGIONS[number - 1] if number else ""

    assert name(12, -6, 0) == "septum"
    assert name(8, 38, 24) == name(8, 38, -24) == "plexus"
    assert name(4, 16, 12) == "deep grey"  # thalamus
    assert name(30, 20, 30) == "white matter"  # centrum semiovale
    assert name(-34, 26, 0) == "brainstem"
    assert name(-34, 66, 20) == "cerebellum"
    assert name(79, 20, 0) in ("outside", "")
    assert not atlas.white[atlas.region == 1 + REGIONS.index("ventricle border")].any()


def test_a_view_is_relative_to_white_matter_and_without_lesions() -> None:
    shape = (2, 60, 60)
    white = np.zeros(shape, bool)
    white[:, 20:40, 20:40] = True
    lesions = np.zeros(shape, bool)
    lesions[:, 20:24, 20:40] = True
    flair = np.where(lesions, 900, np.where(white, 500, 300)).astype(np.float32)
    region = np.full(shape, 5, np.uint8)
    seen = views.view(flair, flair / 7, lesions, Atlas(region, white))
    np.testing.assert_allclose(seen.flair[white & ~lesions], 1)
    np.testing.assert_allclose(seen.t1[~white], 0.6, rtol=1e-5)
    assert (seen.region[lesions] == 0).all()
    assert (seen.region[~lesions] == 5).all()


def test_patches_hold_no_lesion_and_little_emptiness() -> None:
    rng = np.random.default_rng(0)
    flair = rng.uniform(0.5, 1, (3, 120, 120)).astype(np.float32)
    flair[:, :, 80:] = 0
    region = np.full(flair.shape, 2, np.uint8)
    lesions = np.zeros(flair.shape, bool)
    lesions[:, :30] = True
    flair[lesions] = 9
    taken = patches.take(View(flair, flair, region, lesions), 50, np.random.default_rng(1))
    assert len(taken.region) == 50
    assert (taken.region == 2).all()
    # A lesion's rows would lift a percentile; a patch may hold 2 % of them.
    assert taken.features[:, COLUMN["FLAIR median"]].max() < 1
    assert taken.features[:, COLUMN["FLAIR mean"]].min() > 0.3  # half of it at most is empty


# Scans ------------------------------------------------------------------------------------------


def test_what_looks_like_lesions_is_left_out_where_nobody_has_drawn_them() -> None:
    rng = np.random.default_rng(0)
    flair = rng.normal(100, 3, (2, 50, 50)).astype(np.float32)
    flair[0, 10:14, 10:14] = 200
    flair[1, 30:34, 40:44] = 200  # in the cortex
    region = np.full(flair.shape, 1 + REGIONS.index("white matter"), np.uint8)
    region[1, :, 35:] = 1 + REGIONS.index("cortex")
    found = sources.bright(flair, Atlas(region, np.ones(flair.shape, bool)))
    assert found[0, 10:14, 10:14].all()
    assert not found[1, 30:34, 40:44].any()
    assert found.mean() < 0.01


def test_synthetic_scans_have_the_geometry_of_their_source(label_map: np.ndarray) -> None:
    head = load_head(label_map)
    for source in sources.SOURCES:
        recipe = source.recipe(Recipe(field=(64, 64), slices=200, neck_mm=0, vertex_mm=0))
        drawing = draw_scan(np.random.default_rng(0), [head], recipe)
        pitch = source.thickness_mm * (1 + (source.gap if source.thickness_mm > 2 else 0))
        assert drawing.spacing_mm[0] == pytest.approx(pitch)
        assert drawing.spacing_mm[1] == pytest.approx(source.pixel_mm)
        assert not drawing.target.any()
        corners = drawing.flair[:, :2, :2]
        assert (corners == 0).all() == source.skull_stripped


def test_a_number_is_a_pose_whatever_the_recipe(label_map: np.ndarray) -> None:
    head = PlacedHead(load_head(label_map), UPRIGHT)
    recipe = Recipe(field=(64, 64), slices=6)
    source = sources.SOURCES[3]
    one = fakes.draw(head, source, recipe, 7)
    other = fakes.draw(head, source, replace(recipe, noise=(0.2, 0.3), regions=0), 7)
    np.testing.assert_array_equal(one.region, other.region)
    assert not np.allclose(one.flair, other.flair)
    again = fakes.draw(head, source, recipe, 7)
    np.testing.assert_array_equal(one.flair, again.flair)


def test_the_way_of_a_head_leads_from_its_centre(
    label_map: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A point of a scan is as far from the head's centre as its axes say."""
    monkeypatch.setattr(fakes, "load_file", lambda _: load_head(label_map))
    shifted = Placement(np.eye(3) * 2, np.array([1.0, 2.0, 3.0]))
    monkeypatch.setattr(fakes.placement, "place", lambda *_: shifted)
    made = fakes.placed_head(tmp_path / "01.npz", tmp_path)
    wanted = 2 * np.array(made.head.centre) + [1, 2, 3]
    np.testing.assert_allclose(made.placement.offset_mm, wanted)
    monkeypatch.setattr(fakes.placement, "place", None)  # kept: not asked again
    again = fakes.placed_head(tmp_path / "01.npz", tmp_path)
    np.testing.assert_array_equal(again.placement.offset_mm, made.placement.offset_mm)


def test_an_ideal_t1_shows_white_matter_brightest(label_map: np.ndarray) -> None:
    ideal = fakes.ideal_t1(load_head(label_map))
    white, grey, fluid = (float(ideal[label_map == number].mean()) for number in (2, 3, 4))
    assert white > grey > fluid > 0
    assert (ideal[label_map >= 500] == 0).all()


# The detector -----------------------------------------------------------------------------------


def sample(seed: int, made: float) -> Sample:
    """Four scans of either kind; the second column of the group "noise" differs by ``made``."""
    rng = np.random.default_rng(seed)

    def scan(shift: float) -> Patches:
        table = coarse(rng.standard_normal((90, len(COLUMN))).astype(np.float32))
        table[:, COLUMN["FLAIR next row"]] += shift
        return Patches(table, (np.arange(90) % 9 + 1).astype(np.uint8))

    return Sample([scan(0) for _ in range(4)], [scan(made) for _ in range(4)])


def test_what_is_alike_is_not_told_apart() -> None:
    judged = detector.judge({name: sample(seed, 0.0) for seed, name in enumerate("abc")}, trees=15)
    assert judged.mean == pytest.approx(0.5, abs=0.06)
    assert all(abs(value) < 0.05 for value in judged.lost.values())


def test_the_group_that_gives_it_away_is_named() -> None:
    judged = detector.judge({name: sample(seed, 3.0) for seed, name in enumerate("abc")}, trees=15)
    assert judged.mean > 0.95
    assert set(judged.by_source) == set("abc")
    assert judged.alone["noise"] > 0.95
    assert judged.lost["noise"] > 0.3
    for group in set(features.GROUPS) - {"noise"}:
        assert judged.alone[group] == pytest.approx(0.5, abs=0.1)
        assert judged.lost[group] < 0.05
    assert min(judged.by_region.values()) > 0.9
    assert judged.lost_in["cortex"]["noise"] > 0.3


def test_a_source_is_judged_by_others_alone() -> None:
    """What only one source shows is no use where that source is left out."""
    one = sample(0, 5.0)
    judged = detector.judge({"odd": one, "a": sample(1, 0.0), "b": sample(2, 0.0)}, trees=15)
    assert judged.by_source["odd"] == pytest.approx(0.5, abs=0.2)


# The command ------------------------------------------------------------------------------------


def test_the_command_keeps_what_it_has_made(
    tmp_path: Path,
    labels_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = tmp_path / "data"
    for place in ("cases/openms-1", "cases/tabriz-1"):
        (data / place / "pre").mkdir(parents=True)
        (data / place / "pre" / "FLAIR.nii.gz").touch()
    calls = []
    compute = features.compute

    def view(*given: Any) -> View:
        calls.append(given)
        rng = np.random.default_rng(len(calls))
        images = rng.uniform(0.5, 1, (2, 4, 90, 90)).astype(np.float32)
        region = np.repeat(np.arange(90, dtype=np.uint8) // 10 + 1, 90).reshape(90, 90)
        region = np.broadcast_to(region, (4, 90, 90)).copy()
        return View(images[0], images[1], region, np.zeros(region.shape, bool))

    monkeypatch.setattr(command.fakes, "draw", view)
    monkeypatch.setattr(command.sources, "read", view)
    monkeypatch.setattr(command.fakes, "placed_head", lambda *_: None)
    monkeypatch.setattr(features, "compute", lambda cut: coarse(compute(cut)))
    monkeypatch.setattr(command.detector, "judge", partial(detector.judge, trees=3))
    words = ["--data", str(data), "--labels", str(labels_folder), "--output", str(tmp_path / "o")]
    words += ["--scans", "2"]
    assert command.main([*words, "--round", "0 as it is"]) == 0
    made = len(calls)
    assert made == 2 + 2 * len(sources.SOURCES)
    assert "mean AUC" in capsys.readouterr().out
    assert command.main([*words, "--round", "1 again"]) == 0
    assert len(calls) == made
    table = (tmp_path / "o" / "rounds.md").read_text("utf-8")
    first, second = (
        [line for line in table.splitlines() if line.startswith(f"| {name}")]
        for name in ("0 as it is", "1 again")
    )
    assert len(first) == 4
    assert [line.split("|")[2:] for line in first] == [line.split("|")[2:] for line in second]
    assert command.main([*words, "--set", "septum=0.1"]) == 0
    assert len(calls) == made + 2 * len(sources.SOURCES)


def test_tables_show_what_was_judged() -> None:
    judged = detector.judge({name: sample(seed, 3.0) for seed, name in enumerate("ab")}, trees=5)
    text = report.rounds({"0": judged, "1": judged})
    assert f"| 0 | {judged.by_source['a']:.3f} | {judged.by_source['b']:.3f} |" in text
    assert report.rounds({}) == ""


def test_networks_are_fine_tuned_by_recipes_that_differ_in_realism_alone() -> None:
    default, realistic = fine_tune.variants()
    assert replace(Recipe(), **default.recipe) == Recipe()
    assert replace(Recipe(), **realistic.recipe) == REALISTIC != Recipe()
    assert (default.network, default.channels) == (realistic.network, realistic.channels)


def test_each_round_adds_to_those_before_it() -> None:
    made = fine_tune.variants(each=True)
    assert [made[0], made[-1]] == fine_tune.variants()
    for before, after in pairwise(made):
        assert before.recipe.items() < after.recipe.items()
    assert len({one.name for one in made}) == len(made) == 6


def test_figures_of_rounds_are_means_over_scans_then_over_seeds(tmp_path: Path) -> None:
    def scored(case: str, dsc: float, small: int, found: float) -> Score:
        values = dict.fromkeys(VALUES, 0.25) | {"dsc": dsc}
        return Score(case, values=values | {"small_lesions": small, "small_recall": found})

    for seed, dsc in ((401, 0.5), (402, 0.7)):
        folder = tmp_path / f"seed-{seed}"
        (folder / "noise").mkdir(parents=True)
        scores = [scored("a", dsc, 3, 1 / 3), scored("b", dsc + 0.1, 0, float("nan"))]
        write_table(folder / "noise" / "metrics.csv", scores)
        (folder / fine_tune.HEALTHY).write_text(f"recipe,scan,ml\nnoise,anna,{dsc}\n")
    head, _, *rows = fine_tune.rounds_table(tmp_path).splitlines()
    columns = [cell.strip() for cell in head.strip("|").split("|")]
    (row,) = ([cell.strip() for cell in one.strip("|").split("|")] for one in rows)
    told = dict(zip(columns, row, strict=True))
    assert told["recipe"] == "noise"
    assert told["seeds"] == "2"
    assert told["dsc"] == "0.650 (0.141)"  # of 0.55 and 0.75
    assert told["f1"] == "0.250 (0.000)"
    assert told["recall, small"] == "0.333 (0.000)"  # 1 of 3, whatever the scans
    assert told["anna, ml"] == "0.600 (0.141)"
    (tmp_path / "seed-402" / fine_tune.HEALTHY).unlink()  # one seed without is no reason to fail
    assert fine_tune.main(["--output", str(tmp_path), "--table"]) == 0
    assert "| 0.650 (0.141) |" in (tmp_path / "rounds.md").read_text()
    assert "| 0.500 |" in (tmp_path / "rounds.md").read_text()
    (tmp_path / "seed-401" / fine_tune.HEALTHY).write_text("recipe,scan,ml\nnoise,anna,much\n")
    assert fine_tune.main(["--output", str(tmp_path), "--table"]) == 94
    with pytest.raises(MissingFileError, match="Scored trainings were expected"):
        fine_tune.rounds_table(tmp_path / "nothing")


def test_recipes_are_trained_scored_and_what_healthy_people_have_is_kept(
    use_models: Path,
    no_doubts: None,
    phantom: Phantom,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each training is a small model here, called as its recipe; two calls add to one table."""
    model, names = store.find("bright"), []

    def train(setup: StudySetup, variant: Variant, say: object) -> Model:
        names.append((setup.seed, variant.name))
        return Model(model.folder, preset.with_changes(model.preset, name=variant.name))

    monkeypatch.setattr(fine_tune, "train", train)
    data, out = tmp_path / "data", tmp_path / "out"
    write_case(data / "a-1", phantom)
    write_case(tmp_path / "anna", phantom)
    words = ["--labels", "x", "--start", "x", "--data", str(data), "--output", str(out)]
    assert fine_tune.main([*words, "--healthy", str(tmp_path / "nobody")]) == 80
    assert names == []  # found before anything is trained
    assert fine_tune.main([*words, "--healthy", str(tmp_path / "anna"), "--seeds", "2"]) == 0
    assert names == [(s, n) for s in (401, 402) for n in ("default-recipe", "realistic")]
    assert fine_tune.main(words) == 0
    table = (out / "rounds.md").read_text()
    told = fine_tune.healthy_ml(model, tmp_path / "anna")
    assert table.count(f"| {told:.3f} (0.000) |") == 2
    assert "anna, ml" in table


def test_of_healthy_people_the_volume_that_a_model_marks_is_told(
    use_models: Path, no_doubts: None, phantom: Phantom, tmp_path: Path
) -> None:
    write_case(tmp_path / "one", phantom)
    model = store.find("bright")
    told = fine_tune.healthy_ml(model, tmp_path / "one")
    result = wmhseg.segment(
        tmp_path / "one" / "pre" / "FLAIR.nii.gz",
        tmp_path / "one" / "pre" / "T1.nii.gz",
        model=model.folder,
    )
    assert told == pytest.approx(result.mask.sum() * np.prod(phantom.spacing_mm) / 1000, rel=1e-3)
    assert told > 0
