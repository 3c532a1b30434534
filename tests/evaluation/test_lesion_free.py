"""What is marked in scans without lesions: counted from masks, drawn from the worst."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from evaluation import lesion_free
from evaluation.lesion_free import MarkedScan
from wmhseg import errors
from wmhseg.synthesis.heads import Head, load_head
from wmhseg.synthesis.scan import make_scan
from wmhseg.weights import methods, preset, store
from wmhseg.weights.store import Model


class Everywhere:
    """An engine that is sure of one square in every slice."""

    batch = 4

    def load(self, model: Model, member: preset.Member) -> None:
        """Nothing to load."""

    def predict(self, batch: np.ndarray) -> np.ndarray:
        made = np.zeros(batch.shape[:3], np.float32)
        made[:, 100:110, 100:110] = 0.99
        return made


@pytest.fixture(scope="module")
def heads(label_map: np.ndarray) -> list[Head]:
    return [load_head(label_map)]


def test_the_volume_is_that_of_the_mask(heads: list[Head]) -> None:
    model = store.find(store.DEFAULT_MODEL)
    engine: Any = Everywhere()
    found = lesion_free.measure(3, heads, model, engine, lesion_free.RECIPE)
    marked = int((found.mask.sum((1, 2)) > 0).sum())
    assert 0 < marked < len(found.mask)  # the end slices are empty
    voxel_ml = np.prod(found.spacing_mm) / 1000
    assert found.volume_ml == pytest.approx(marked * 100 * voxel_ml)
    assert found.lesions == 1
    again = lesion_free.measure(3, heads, model, engine, lesion_free.RECIPE)
    np.testing.assert_array_equal(found.flair, again.flair)


def test_the_recipe_has_look_alikes_and_no_lesions(heads: list[Head]) -> None:
    recipe = lesion_free.RECIPE
    assert recipe.without_lesions == 1
    assert recipe.rim > 0.5
    for number in range(5):
        scan = make_scan(np.random.default_rng(number), heads, recipe)
        assert not scan.target.any()
        assert scan.other is None or not scan.other.any()


def test_the_worst_slices_come_first() -> None:
    def scan(marked: int) -> MarkedScan:
        mask = np.zeros((3, 20, 20), np.uint8)
        mask[1, 4 : 4 + marked, 4:12] = 1
        flair = np.full((3, 20, 20), float(marked), np.float32)
        return MarkedScan(1.0, 1, (3.0, 1.0, 1.0), flair, mask, True)

    picture = lesion_free.worst_slices([scan(2), scan(9), scan(5)], 2)
    assert picture.shape == (40, 40 * lesion_free.ACROSS, 3)
    red = (picture == (255, 60, 50)).all(-1)
    counts = [int(red[:, at : at + 40].sum()) for at in (0, 40, 80)]
    assert counts[0] > counts[1] > 0 == counts[2]


def test_the_table_has_a_row_for_each_scan() -> None:
    empty = np.zeros((2, 4, 4), np.uint8)
    one = MarkedScan(0.25, 3, (5.0, 1.0, 1.0), empty.astype(np.float32), empty, False)
    assert lesion_free.table([one, replace(one, has_t1=True)]) == (
        "scan,slice_mm,t1,volume_ml,lesions\n0,5.00,no,0.250,3\n1,5.00,yes,0.250,3\n"
    )


def test_scans_drawn_for_another_pre_processing_are_refused(heads: list[Head]) -> None:
    model = store.find(store.DEFAULT_MODEL)
    other = Model(
        model.folder,
        preset.with_changes(model.preset, preprocessing=methods.METHODS["released"].preprocessing),
    )
    engine: Any = Everywhere()
    with pytest.raises(errors.UsageError, match="pre-processing"):
        lesion_free.measure(0, heads, other, engine, lesion_free.RECIPE)


def test_scans_without_t1_are_told_apart(heads: list[Head]) -> None:
    model, engine = store.find(store.DEFAULT_MODEL), cast(Any, Everywhere())
    for share, expected in ((0.0, True), (1.0, False)):
        recipe = replace(lesion_free.RECIPE, without_t1=share)
        assert lesion_free.measure(0, heads, model, engine, recipe).has_t1 == expected


def test_a_missing_folder_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lesion_free.main(["--labels", str(tmp_path / "nothing")]) > 1
    assert "Received" in capsys.readouterr().err
