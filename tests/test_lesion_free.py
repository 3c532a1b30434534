"""What is marked in scans without lesions: counted from masks, drawn from the worst."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation import lesion_free
from evaluation.lesion_free import Found
from wmhseg import preset, weights
from wmhseg.training import synthesis
from wmhseg.weights import Model


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
def heads(label_map: np.ndarray) -> list[synthesis.Head]:
    return [synthesis.load_head(label_map)]


def test_the_volume_is_that_of_the_mask(heads: list[synthesis.Head]) -> None:
    model = weights.find(weights.DEFAULT_MODEL)
    engine: Any = Everywhere()
    found = lesion_free.measure(3, heads, model, engine, lesion_free.RECIPE)
    marked = int((found.mask.sum((1, 2)) > 0).sum())
    assert 0 < marked < len(found.mask)  # the end slices are empty
    voxel_ml = np.prod(found.spacing_mm) / 1000
    assert found.volume_ml == pytest.approx(marked * 100 * voxel_ml)
    assert found.lesions == 1
    again = lesion_free.measure(3, heads, model, engine, lesion_free.RECIPE)
    np.testing.assert_array_equal(found.flair, again.flair)


def test_the_recipe_has_look_alikes_and_no_lesions(heads: list[synthesis.Head]) -> None:
    recipe = lesion_free.RECIPE
    assert recipe.without_lesions == 1
    assert recipe.rim > 0.5
    for number in range(5):
        scan = synthesis.make_scan(np.random.default_rng(number), heads, recipe)
        assert not scan.target.any()
        assert scan.other is None or not scan.other.any()


def test_the_worst_slices_come_first() -> None:
    def scan(marked: int) -> Found:
        mask = np.zeros((3, 20, 20), np.uint8)
        mask[1, 4 : 4 + marked, 4:12] = 1
        return Found(1.0, 1, (3.0, 1.0, 1.0), np.full((3, 20, 20), float(marked), np.float32), mask)

    picture = lesion_free.worst_slices([scan(2), scan(9), scan(5)], 2)
    assert picture.shape == (40, 40 * lesion_free.ACROSS, 3)
    red = (picture == (255, 60, 50)).all(-1)
    counts = [int(red[:, at : at + 40].sum()) for at in (0, 40, 80)]
    assert counts[0] > counts[1] > 0 == counts[2]


def test_the_table_has_a_row_for_each_scan() -> None:
    empty = np.zeros((2, 4, 4), np.uint8)
    one = Found(0.25, 3, (5.0, 1.0, 1.0), empty.astype(np.float32), empty)
    assert lesion_free.table([one, one]) == (
        "scan,slice_mm,volume_ml,lesions\n0,5.00,0.250,3\n1,5.00,0.250,3\n"
    )


def test_a_missing_folder_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lesion_free.main(["--labels", str(tmp_path / "nothing")]) > 1
    assert "Received" in capsys.readouterr().err
