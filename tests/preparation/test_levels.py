"""Scans that do not begin at 0: brought to what they were, or told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from heads import SHAPE, SPACING_MM, head
from hypothesis import given, settings
from hypothesis import strategies as st

import wmhseg
from wmhseg.geometry import Grid
from wmhseg.io import images
from wmhseg.io.images import Scan
from wmhseg.preparation import intensity, levels
from wmhseg.weights import store
from wmhseg.weights.methods import METHODS
from wmhseg.weights.preset import with_changes
from wmhseg.weights.store import Model

METHOD = METHODS["synthetic"].preprocessing


def seen(volume: np.ndarray) -> np.ndarray:
    """What a network sees of a volume, but for its field."""
    factor = intensity.scale_factor(volume, METHOD.flair_threshold)
    limited = intensity.limit(intensity.rescale(volume, factor), METHOD.ceiling or 0)
    (scores,) = intensity.normalise([limited], ["FLAIR"], METHOD)
    return scores


def shifted(volume: np.ndarray) -> np.ndarray:
    level = levels.find(volume)
    return volume if level is None else level.applied(volume)


@settings(max_examples=25)
@given(
    st.floats(-3, 3),
    st.floats(-6, 6),
    st.sampled_from((-1, 1)),
    st.booleans(),
    st.booleans(),
)
def test_any_scale_and_any_offset_give_one_picture(
    scale: float, offset: float, sign: int, skull: bool, background_stays: bool
) -> None:
    """Times 0.001 to 1000, plus up to a million times tissue, or minus that."""
    array = head("FLAIR", skull=skull).array
    plain = seen(array)
    factor = np.float64(10.0**scale)
    # Beyond seven digits float32 does not hold the scan any more.
    moved = (array.astype(np.float64) + sign * 10.0 ** min(offset, 4) * 300) * factor
    if background_stays:
        if skull:
            return  # only a filled background can stay
        moved[array == 0] = 0
    brain = array > 100
    made = seen(shifted(moved.astype(np.float32)))
    # Half a tenth of a standard deviation, for what is lost in a shift that is not found.
    apart = np.abs(made - plain)[brain]
    assert float(np.percentile(apart, 95)) < (0.6 if background_stays else 0.3)


@settings(max_examples=30, derandomize=True)
@given(st.floats(-3, 3), st.floats(-3, 3), st.sampled_from((-1, 1)), st.booleans())
def test_the_same_picture_or_a_word_about_it(
    scale: float, lift: float, sign: int, stays: bool
) -> None:
    """Scaled over six decades, moved by 0.001 to 1000 times tissue, 0 moved along or left at 0."""
    array = head("FLAIR", skull=False).array
    tissue = intensity.tissue_median(array)
    moved = (array.astype(np.float64) + sign * 10.0**lift * tissue) * 10.0**scale
    if stays:
        moved[array == 0] = 0
    volume = moved.astype(np.float32)
    if levels.find(volume) is not None:
        return  # told, and put right: see above
    brain = array > 100
    apart = np.abs(seen(volume) - seen(array))[brain]
    # A brain a little above its background may have begun there: darkness of fluid differs.
    doubtful = stays and sign > 0 and 10.0**lift < 0.2
    assert float(np.median(apart)) < (0.4 if doubtful else 0.1)


@pytest.mark.parametrize("lift", [0.3, 0.5, 0.8])
def test_a_brain_lifted_from_its_background_is_told(lift: float) -> None:
    array = head("FLAIR", skull=False).array
    moved = np.where(array > 0, array + np.float32(lift) * intensity.tissue_median(array), 0)
    level = levels.find(moved)
    assert level is not None
    before, after = seen(array), seen(level.applied(moved))
    assert float(np.percentile(np.abs(before - after)[array > 100], 95)) < 0.6


@pytest.mark.parametrize("lift", [0.08, 0.1, 0.4, 0.8, 3.0])
@pytest.mark.parametrize("share", [0.01, 0.2, 0.9])
def test_a_head_with_its_air_lifted_from_what_is_exactly_0(share: float, lift: float) -> None:
    """Some of the air is exactly 0, and stays so; the rest is lifted by a part of tissue."""
    array = head("FLAIR", noise=5).array.copy()
    air = array < 30
    array[air & (np.random.default_rng(0).random(array.shape) < share)] = 0
    assert levels.find(array) is None
    moved = np.where(array > 0, array + np.float32(lift) * intensity.tissue_median(array), 0)
    level = levels.find(moved.astype(np.float32))
    assert level is not None
    assert level.background == 0
    apart = np.abs(seen(array) - seen(level.applied(moved)))[array > 100]
    assert float(np.percentile(apart, 95)) < 0.15


@pytest.mark.parametrize("skull", [True, False])
@pytest.mark.parametrize("made", ["FLAIR", "T1"])
def test_plain_scans_are_left_alone(made: str, skull: bool) -> None:
    scan = head(made, skull=skull)
    assert levels.find(scan.array) is None
    assert levels.levelled(scan, adapt=True) == (scan, [])


def test_ringing_around_a_filled_background_is_no_shift() -> None:
    """A tenth of what is not background lies a little below it, as interpolation leaves it."""
    array = head("T1", skull=False).array.copy()
    array[30:40, 5:12] = -2
    assert (array < 0).sum() > 0.01 * (array > 0).sum()
    assert levels.find(array) is None


def test_z_scores_within_the_brain() -> None:
    array = head("FLAIR", skull=False).array
    brain = array > 0
    scored = np.where(brain, (array - array[brain].mean()) / array[brain].std(), 0)
    level = levels.find(scored.astype(np.float32))
    assert level is not None
    assert level.background == 0
    assert level.negative > 0.1
    before, after = seen(array), seen(level.applied(scored.astype(np.float32)))
    assert float(np.corrcoef(before[brain], after[brain])[0, 1]) > 0.99
    # The background is as dark as it was.
    assert (after[~brain] == after.min()).all()


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (-1024.0, 3071.0), (-900.0, -100.0)])
def test_other_ranges_are_only_a_shift(low: float, high: float) -> None:
    array = head("FLAIR").array
    ranged = low + (high - low) * array / array.max()
    np.testing.assert_allclose(seen(shifted(ranged)), seen(array), atol=0.05)


def test_published_methods_and_kept_scales_only_warn(use_models: Path) -> None:
    scan = head("FLAIR", skull=False)
    array = np.where(scan.array > 0, scan.array - 320, 0)
    moved = Scan(array, Grid(SHAPE, SPACING_MM), "FLAIR")
    model = store.find("bright")
    published = with_changes(model.preset, preprocessing=METHODS["published"].preprocessing)
    keep = wmhseg.Options(intensity_scale="keep", on_unsuitable="warn")
    for segmenter in (
        wmhseg.Segmenter(Model(model.folder, published)),
        wmhseg.Segmenter(model, keep),
    ):
        (line,) = (w for w in segmenter.load(moved).inputs.warnings if "magnitude" in w)
        assert "not adapted" in line
    adapted = wmhseg.Segmenter(model).load(moved)
    assert any("was shifted" in w for w in adapted.inputs.warnings)
    assert any("negative" in f.text for f in wmhseg.check(moved) if f.level == "warning")


def test_no_real_scan_is_shifted(shared: Path) -> None:
    data = shared / "data"
    for folder in sorted([*data.glob("cases/*/pre"), *data.glob("raw/*")]):
        for name in ("FLAIR", "T1"):
            scan = images.read_scan(folder / f"{name}.nii.gz", name=name)
            assert levels.find(scan.array) is None, (folder, name)


def test_the_z_scored_scan_of_a_user(shared: Path) -> None:
    folder = shared / "faults" / "03-zscored-brain"
    result = wmhseg.segment(folder / "FLAIR.nii.gz", folder / "T1.nii.gz", model="unet-synthetic")
    assert result.report.lesions.volume_ml == pytest.approx(7.40, abs=0.04)
    assert sum("was shifted" in line for line in result.report.warnings) == 2
