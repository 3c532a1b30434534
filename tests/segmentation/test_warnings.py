"""One sentence for one cause: what several parts of a run notice is said by one of them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from conftest import make_preset
from heads import SHAPE, SPACING_MM, head
from lopsided_head import pair

import wmhseg
from wmhseg import errors
from wmhseg.geometry import Grid
from wmhseg.io.images import Scan
from wmhseg.preparation import one_grid, resampling
from wmhseg.preparation.steps import Steps
from wmhseg.synthesis.recipe import Recipe
from wmhseg.weights.inputs import inputs_of_channels
from wmhseg.weights.methods import METHODS

# Topic -> words of every sentence that there is about it.
TOPICS = {
    "obliqueness": r"degrees (off|oblique)",
    "skull": r"skull removed",
    "coverage": r"brain is missing|vertex is cut off|T1 shows only",
    "plane": r"not axial|axial slices",
    "pixels": r"are unusual",
    "size": r"no adult's",
    "field": r"outside the \d+ x \d+ pixels",
    "wrapped": r"stored as signed",
    "scale": r"intensity scale",
    "contrast": r"looks like|could be|exchanged",
    "T1 in part": r"T1 has no data",
    "T1 missing": r"No T1 was given",
    "T1 unused": r"T1 was given but not used|NOT USED",
}


def topics(result: wmhseg.Segmentation) -> list[str]:
    """Topics of a run's warnings, in alphabetical order; every warning has one."""
    found = []
    for sentence in result.report.warnings:
        about = [topic for topic, words in TOPICS.items() if re.search(words, sentence)]
        assert len(about) == 1, sentence
        found += about
    return sorted(found)


def oblique(shape: tuple[int, int, int], degrees: float) -> Grid:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return Grid(shape, SPACING_MM, direction=(1, 0, 0, 0, c, -s, 0, s, c))


def test_a_prepared_pair_with_everything_wrong(use_models: Path) -> None:
    """Oblique, cut at the vertex, one scan stripped: seen in FLAIR, in T1 and in the pair."""
    half = (SHAPE[0] // 2, *SHAPE[1:])
    grid = oblique(half, 40)
    flair, t1 = (
        Scan(scan.array[: half[0]], grid, scan.name)
        for scan in (head("FLAIR"), head("T1", name="T1", skull=False))
    )
    result = wmhseg.segment(flair, t1, model="bright")
    assert topics(result) == ["coverage", "field", "obliqueness", "skull"]


def test_what_registration_measures_is_not_guessed_as_well(use_models: Path) -> None:
    """T1 shows the lower half only: registration says how much of FLAIR's head that is."""
    flair, t1 = pair()
    x, y, z = t1.grid.origin_mm
    slices = slice(4, 20)
    grid = Grid(t1.array[slices].shape, t1.grid.spacing_mm, (x, y, z + 4 * 4.0))
    short = Scan(t1.array[slices], grid, "T1")
    options = wmhseg.Options(
        steps=Steps(pixel_size="off", bias_correction="off"), on_unsuitable="warn"
    )
    result = wmhseg.segment(flair, short, model="bright", options=options)
    assert result.report.steps.registration.covered < one_grid.LEAST_COVERED
    assert topics(result).count("coverage") == 1
    assert any("T1 shows only" in line for line in result.report.warnings)
    # What was done about it is another sentence.
    assert topics(result).count("T1 in part") == 1
    assert len(topics(result)) == len(set(topics(result)))


@pytest.mark.parametrize("reorient", ["auto", "off"])
def test_a_thick_sagittal_scan(reorient: Literal["auto", "off"], use_models: Path) -> None:
    """Turned, its axial pixels are coarse; not turned, it is not axial: that is one cause."""
    scan = head("FLAIR")
    sagittal = scan.array.transpose(2, 0, 1)[::3, ::-1]
    grid = Grid(sagittal.shape, (6.0, 1.2, 1.2), direction=(0, 0, 1, 1, 0, 0, 0, -1, 0))
    assert grid.orientation == "PIL"
    options = wmhseg.Options(steps=Steps(reorient=reorient, pixel_size="off"))
    result = wmhseg.segment(Scan(sagittal, grid, "FLAIR"), model="bright", options=options)
    assert topics(result) == ["T1 missing", "field", "plane", "size"]


def test_t1_is_not_used_by_a_model_of_flair_alone(use_models: Path) -> None:
    flair, t1 = head("FLAIR"), head("T1", name="T1")
    result = wmhseg.segment(flair, t1, model="bright-flair")
    assert topics(result).count("T1 unused") == 1
    assert result.report.to_dict()["t1_used"] is False
    with pytest.raises(errors.UsageError, match="T1"):
        result.mask_on_t1()
    elsewhere = replace(t1, grid=Grid(SHAPE, (1.0, 1.0, 1.0), (500.0, 0.0, 0.0)))
    alone = make_preset(inputs=inputs_of_channels(1, "error"))
    for scan in (t1, elsewhere):
        aligned = one_grid.align(flair, scan, alone, Steps())
        assert aligned.t1 is None
        assert aligned.t1_place is None


def test_sizes_of_pixels_agree() -> None:
    """What is left alone is what training sees, with some room, and is never warned of."""
    low, high = Recipe().pixel_mm
    assert low < resampling.KEPT_PIXEL_MM[0] < resampling.KEPT_PIXEL_MM[1] < high
    preset = make_preset(preprocessing=METHODS["synthetic"].preprocessing)
    scan = head("FLAIR")
    for size, unusual in ((0.79, True), (0.81, False), (1.24, False), (1.26, True)):
        given = replace(scan, grid=Grid(SHAPE, (3.0, size, size)))
        aligned = one_grid.align(given, None, preset, Steps(pixel_size="off"))
        assert any("are unusual" in line for line in aligned.warnings) == unusual
        # Brought to 1 mm, nothing is unusual any more.
        (told,) = one_grid.align(given, None, preset, Steps()).warnings
        assert "No T1" in told
