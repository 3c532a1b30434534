"""Recall by size: counted by hand, by both rules, on scans that hold small lesions."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation.small_lesions import __main__ as small_lesions
from evaluation.small_lesions import scans, visible
from evaluation.small_lesions.__main__ import Judged, Lesion, Scan
from wmhseg import errors
from wmhseg.engines.interface import Batch
from wmhseg.synthesis.heads import Head, load_head
from wmhseg.weights import methods, preset, store
from wmhseg.weights.store import Model


class Square:
    """An engine that says a probability in one square of every slice."""

    batch = 4

    def __init__(self, said: float) -> None:
        self.said = said

    def load(self, model: Model, member: preset.Member) -> None:
        """Nothing to load."""

    def predict(self, batch: Batch) -> np.ndarray:
        made = np.zeros((*batch["scan"].shape[:3], 1), np.float32)
        made[:, 90:120, 90:110] = self.said
        return made


@pytest.fixture(scope="module")
def people(label_map: np.ndarray) -> list[Head]:
    return [load_head(label_map)]


def test_sizes_by_hand() -> None:
    """Lesions of 9, 10, 20 and 21 voxels and one of 1; the 9 and the 21 are hit; one is false."""
    reference = np.zeros((5, 30, 60), bool)
    for place, (size, row) in enumerate(zip((9, 10, 20, 21), (2, 8, 14, 20), strict=True)):
        reference[place, row, 2 : 2 + size] = True
    reference[4, 28, 50] = True
    marked = np.zeros_like(reference)
    marked[0, 2, 2:4] = True
    marked[3, 20, 22] = True
    marked[1, 25, 40:45] = True
    found = small_lesions.judge(reference, marked)
    assert found.lesions == (2, 2, 1)
    assert found.found == (1, 0, 1)
    assert found.false == 1
    assert found.dsc == pytest.approx(2 * 3 / (61 + 8))


def test_the_least_peak_is_of_one_rule_only(
    people: list[Head], monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.8 is above the threshold of 0.7 and below the peak of 0.98."""
    model = store.find(store.DEFAULT_MODEL)
    recipe = replace(small_lesions.RECIPE, off_centre_mm=0.0)
    doubtful: Any = Square(0.8)
    scan = small_lesions.measure(1, people, model, doubtful, recipe)
    ruled, plain = scan.rules
    assert len(scan.lesions) == sum(plain.lesions)
    assert sum(one.found[1] for one in scan.lesions) == sum(plain.found)
    assert not any(one.found[0] for one in scan.lesions)
    assert {round(one.peak, 3) for one in scan.lesions} == {0.0, 0.8}
    assert ruled.lesions == plain.lesions
    assert sum(ruled.lesions) > 2
    assert (ruled.found, ruled.false, ruled.dsc) == ((0, 0, 0), 0, 0.0)
    assert plain.false + sum(plain.found) > 0
    sure: Any = Square(0.99)
    both = small_lesions.measure(1, people, model, sure, recipe)
    assert both.rules[0] == both.rules[1] == plain


def test_scans_are_those_of_their_number_and_hold_lesions(people: list[Head]) -> None:
    recipe = small_lesions.RECIPE
    assert recipe.small_lesions == 1
    small = replace(recipe, field=(72, 68), slices=8, off_centre_mm=2)
    for number in range(6):
        one, same = (scans.seen(5, number, people, small) for _ in range(2))
        np.testing.assert_array_equal(one.scan.inputs, same.scan.inputs)
        assert one.scan.target.any()
        assert one.grid.shape == one.scan.target.shape
    assert not np.array_equal(scans.seen(6, 0, people, small).scan.inputs[0],
                              scans.seen(5, 0, people, small).scan.inputs[0])  # fmt: skip


def test_another_pre_processing_is_refused(people: list[Head]) -> None:
    model = store.find(store.DEFAULT_MODEL)
    method = methods.METHODS["released"].preprocessing
    other = Model(model.folder, preset.with_changes(model.preset, preprocessing=method))
    engine: Any = Square(0.9)
    with pytest.raises(errors.UsageError, match="pre-processing"):
        small_lesions.measure(0, people, other, engine, small_lesions.RECIPE)


def test_how_clearly_lesions_stand_out_by_hand() -> None:
    """Surroundings of 3 and 5 in turns have a median of 4 and 1 * 1.4826 as their spread."""
    flair = 3.0 + 2 * (np.indices((3, 40, 40)).sum(0) % 2)
    lesions, apart = (np.zeros(flair.shape, bool) for _ in range(2))
    lesions[1, 10:12, 10:12] = True  # 4 voxels
    flair[1, 10:12, 10:12] = 10
    lesions[1, 30, 10] = True  # darker, and beside something that is no surroundings
    flair[1, 30, 10] = 1
    flair[1, 26:28], apart[1, 26:28] = 1000, True
    lesions[2, 20, 30] = True  # nothing around it
    apart[2, 10:30, 20:40] = True
    one, two, three = visible.rose(flair, lesions, apart)
    assert one == pytest.approx((10 - 4) / 1.4826 * 2)
    assert two == pytest.approx((1 - 4) / 1.4826)
    assert np.isnan(three)
    assert visible.rose(flair, np.zeros_like(lesions), apart).size == 0


def test_the_clear_ones_are_told_apart() -> None:
    kinds = ((9, -1.0, (True, True)), (9, 2.9, (False, True)), (9, 3.0, (False, False)))
    more = ((9, 5.0, (True, True)), (10, 5.0, (False, False)), (2, math.nan, (False, False)))
    lesions = tuple(Lesion(size, clear, 0.5, found) for size, clear, found in (*kinds, *more))
    scan = Scan((Judged((0, 0, 0), (0, 0, 0), 0, 0.5),) * 2, lesions)
    rows = small_lesions.clearness([scan])
    assert rows[0] == "| <10 voxels, contrast to noise | below 3 | 3 to 5 | 5 and more |"
    assert rows[2] == "| all rules | 0.500 (1 of 2) | 0.000 (0 of 1) | 1.000 (1 of 1) |"
    assert rows[3] == "| threshold alone | 1.000 (2 of 2) | 0.000 (0 of 1) | 1.000 (1 of 1) |"


def test_what_is_told_by_hand() -> None:
    """Recall is of all lesions together, not the mean over scans."""
    one = Judged((1, 2, 0), (1, 1, 0), 3, 0.5), Judged((1, 2, 0), (1, 2, 0), 6, 0.4)
    two = Judged((3, 0, 1), (0, 0, 1), 1, 0.7), Judged((3, 0, 1), (1, 0, 1), 2, 0.8)
    first, second = Scan(one, ()), Scan(two, ())
    told = small_lesions.lines([first, second])
    assert told[2] == (
        "| all rules | 0.250 (1 of 4) | 0.500 (1 of 2) | 1.000 (1 of 1) | 2.0 | 0.600 (0.141) |"
    )
    assert told[3].startswith("| threshold alone | 0.500 (2 of 4) | 1.000 (2 of 2) |")
    assert told[4] == "bar: recall <10 >= 0.5: threshold alone"
    assert small_lesions.lines([Scan((two[0], two[0]), ())])[4].endswith("MISSED")
    assert small_lesions.table([first]) == (
        "scan,rules,lesions <10,found <10,lesions 10-20,found 10-20,lesions >20,found >20,"
        "false,dsc\n0,all rules,1,1,2,1,0,0,3,0.5000\n0,threshold alone,1,1,2,2,0,0,6,0.4000\n"
    )


def test_command(
    labels_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[Any] = []

    def measure(number: int, people: Any, model: Any, engine: Any, recipe: Any) -> Any:
        asked.append((number, len(people), recipe.reader))
        rules = Judged((2, 0, 0), (1, 0, 0), 0, 0.5), Judged((2, 0, 0), (0, 0, 0), 0, 0.5)
        return Scan(rules, (Lesion(4, 2.5, 0.9, (True, False)), Lesion(30, 9.0, 0.9, (True, True))))

    monkeypatch.setattr(small_lesions, "measure", measure)
    monkeypatch.setattr(small_lesions, "start_engine", object)
    words = ["--heads", str(labels_folder), "--scans", "3", "--reader", "generous"]
    assert small_lesions.main([*words, "--output", str(tmp_path)]) == 0
    assert asked == [(number, 1, "generous") for number in range(3)]
    said = capsys.readouterr().out
    assert f"{store.DEFAULT_MODEL}, 3 synthetic scans" in said
    assert "bar: recall <10 >= 0.5: all rules" in said
    assert len((tmp_path / "small_lesions.csv").read_text().splitlines()) == 7
    rows = (tmp_path / "lesions.csv").read_text().splitlines()
    assert rows[0] == "scan,voxels,clear,peak,found by all rules,found by threshold alone"
    assert rows[1:3] == ["0,4,2.50,0.9000,1,0", "0,30,9.00,0.9000,1,1"]
    assert len(rows) == 7
    monkeypatch.setattr(small_lesions, "BAR", 0.6)
    assert small_lesions.main(words) == 1
    assert small_lesions.main(["--heads", str(tmp_path / "nothing")]) > 1
