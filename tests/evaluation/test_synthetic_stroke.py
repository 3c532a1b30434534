"""The measure of stroke on synthetic scans: with segmenters that mark what is known."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation import synthetic_stroke
from evaluation.synthetic_stroke import Found
from wmhseg import errors
from wmhseg.synthesis.heads import Head, load_head
from wmhseg.synthesis.scan import draw_scan


@dataclass
class Result:
    others: dict[str, np.ndarray]


@dataclass
class Fake:
    """Marks a square of every slice as an infarct, under a name."""

    label: str = "stroke"
    given: list[Any] = field(default_factory=list)

    def segment(self, flair: Any, t1: Any = None, *, spacing_mm: Any = None) -> Result:
        self.given.append((flair, t1, spacing_mm))
        mask = np.zeros(flair.shape, np.uint8)
        mask[:, 20:45, 20:40] = 1
        return Result({self.label: mask})


@pytest.fixture(scope="module")
def people(label_map: np.ndarray) -> list[Head]:
    return [load_head(label_map)]


def test_marks_are_compared_with_what_was_drawn(
    people: list[Head], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(synthetic_stroke.RECIPE, field=(64, 60), slices=6, off_centre_mm=2)
    monkeypatch.setattr(synthetic_stroke, "RECIPE", small)
    fake = Fake()
    ill = hit = 0
    for number in range(12):
        found = synthetic_stroke.measure(number, people, fake, with_t1=number < 3)
        flair, t1, spacing = fake.given[-1]
        assert (t1 is None) == (number >= 3)
        assert found.marked == 500 * len(flair)
        assert found.voxel_ml == pytest.approx(np.prod(spacing) / 1000)
        recipe = replace(small, stroke=float(number % 2 == 0))
        rng = np.random.default_rng([synthetic_stroke.SEED, number])
        drawing = draw_scan(rng, people, recipe)
        np.testing.assert_array_equal(flair, drawing.flair * np.float32(500))
        assert found.reference == drawing.stroke.sum()
        assert found.both == drawing.stroke[:, 20:45, 20:40].sum()
        assert number % 2 == 0 or found.reference == 0
        ill += found.reference > 0
        hit += 0 < found.both < found.reference
    assert ill >= 4
    assert hit >= 2


def test_models_without_the_label_are_refused(people: list[Head]) -> None:
    with pytest.raises(errors.UsageError, match=r'label "stroke".*other'):
        synthetic_stroke.measure(0, people, Fake("other"), with_t1=True)


def test_what_is_told_by_hand() -> None:
    scans = [Found(100, 100, 80, 0.01), Found(300, 100, 100, 0.01), Found(0, 0, 0, 0.01),
             Found(0, 99, 0, 0.01)]  # fmt: skip
    assert [scans[0].dsc, scans[1].dsc] == [0.8, 0.5]
    lines, holds = synthetic_stroke.judged(scans)
    assert not holds
    # 2 * 180 of 400 + 200 + 99 voxels: what is marked in scans without infarcts counts as well.
    assert (
        "all scans 0.515; of each scan 0.650 (sd 0.212), median 0.650, 0.500 to 0.800" in lines[0]
    )
    assert "MISSED" in lines[1]
    assert "2 scans without infarcts: more than 1 ml marked in 0, at most 0.99 ml" in lines[2]
    assert "holds" in lines[3]
    assert synthetic_stroke.table(scans) == (
        "scan,reference_ml,marked_ml,dsc\n0,1.000,1.000,0.800\n1,3.000,1.000,0.500\n"
        "2,0.000,0.000,\n3,0.000,0.990,0.000\n"
    )


def test_one_false_alarm_of_twenty_holds() -> None:
    good, quiet, loud = Found(10, 10, 9, 0.1), Found(0, 0, 0, 0.1), Found(0, 11, 0, 0.1)
    many = [Found(1000, 1000, 900, 0.1), good]
    assert synthetic_stroke.judged([*many, *[quiet] * 19, loud])[1]
    assert not synthetic_stroke.judged([*many, *[quiet] * 18, loud, loud])[1]


def test_command(
    labels_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real, fake = synthetic_stroke.wmhseg.Segmenter, Fake()
    monkeypatch.setattr(real, "segment", lambda _, *given, **named: fake.segment(*given, **named))
    asked = ["--heads", str(labels_folder), "--model", "unet-synthetic", "--scans", "3"]
    assert synthetic_stroke.main([*asked, "--output", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "unet-synthetic, 3 synthetic scans" in said
    assert "MISSED" in said
    assert len((tmp_path / "synthetic_stroke.csv").read_text().splitlines()) == 4
    fake.label = "none"
    assert synthetic_stroke.main(asked) == errors.UsageError.exit_code
    assert "stroke" in capsys.readouterr().err
