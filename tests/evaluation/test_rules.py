"""Rules: scored as segmentation and evaluation would, chosen on other sources than they judge."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Phantom, write_case
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import wmhseg
from evaluation.rules import __main__ as command
from evaluation.rules import candidates, choosing, maps, synthetic, tables, thresholds
from evaluation.rules.choosing import Judged
from evaluation.rules.maps import Kept
from wmhseg import errors
from wmhseg.datasets.cases import find_cases
from wmhseg.engines.interface import Batch
from wmhseg.scoring import masks, metrics
from wmhseg.scoring.rules import Found, Rules
from wmhseg.segmentation import postprocessing
from wmhseg.synthesis.heads import load_heads
from wmhseg.weights import preset
from wmhseg.weights.processing import Postprocessing
from wmhseg.weights.store import Model

# Scoring ----------------------------------------------------------------------------------------

VOXEL_ML = 0.0015
SHAPE = (3, 6, 7)
RULES = candidates.every((0.2, 0.5, 0.7), (0.0, 4.0, 10.0), (0.0, 0.6, 0.9))


def plainly(kept: Kept, labels: np.ndarray, rule: Rules) -> Found:
    """What the modules of the package say, one rule at a time."""
    post = Postprocessing(rule.threshold, 0.0, rule.min_lesion_mm3, rule.lesion_peak)
    sure = postprocessing.without_doubtful(kept.probability, post)
    mask = postprocessing.to_mask(sure, post)
    mask = postprocessing.without_small(mask, kept.voxel_ml, post)
    truth, result = masks.binarise(labels, mask)
    lesions = metrics.match_lesions(truth, result)
    sizes = {}
    for name, limits in metrics.SIZE_LIMITS_VOX.items():
        recall, count = lesions.recall_between(*limits)
        sizes[name] = (round(recall * count) if count else 0, count)
    volumes = [float(one.sum()) * kept.voxel_ml for one in (truth, result, mask)]
    return Found(metrics.dsc(truth, result), lesions.f1, lesions.recall, sizes, *volumes)


def same(one: Found, other: Found) -> bool:
    numbers = [
        (f.dsc, f.f1, f.recall, f.reference_ml, f.result_ml, f.marked_ml) for f in (one, other)
    ]  # NaN is NaN where nothing is
    close = np.allclose(*numbers, rtol=1e-9, atol=1e-12, equal_nan=True)
    return bool(close) and one.sizes == other.sizes


@given(
    hnp.arrays(np.float32, SHAPE, elements=st.sampled_from([0, 0.1, 0.3, 0.55, 0.65, 0.8, 0.95])),
    hnp.arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 0, 0, 1, 2])),
)
@settings(max_examples=60)
def test_rules_score_as_masks_made_by_them(probability: np.ndarray, labels: np.ndarray) -> None:
    """Label 2 is left out, and may part a lesion, or be all of it."""
    kept = Kept("one", probability, {maps.REFERENCE: labels}, VOXEL_ML)
    scores = candidates.found(kept, labels, RULES)
    assert set(scores) == set(RULES)
    for rule in RULES:
        assert same(scores[rule], plainly(kept, labels, rule)), rule
    # What is cut off counts for nothing.
    small = maps.cut(kept)
    again = candidates.found(small, small.references[maps.REFERENCE], RULES)
    assert all(same(again[rule], scores[rule]) for rule in RULES)


def test_rules_by_hand() -> None:
    labels = np.zeros((1, 9, 20), np.uint8)
    labels[0, 2:4, 2:6] = 1  # 8 voxels, found with certainty
    probability = np.where(labels == 1, np.float32(0.95), np.float32(0))
    probability[0, 6, 10:13] = 0.75  # 3 voxels where nothing is, never sure
    rules = [Rules(0.7), Rules(0.7, 0.0, 0.9), Rules(0.7, 4.0)]
    found = candidates.found(Kept("x", probability, {}, 0.001), labels, rules)
    plain, sure, large = (found[rule] for rule in rules)
    assert (plain.dsc, plain.f1) == pytest.approx((16 / 19, 2 / 3))  # 8 of 11 voxels, 1 of 2
    assert (sure.dsc, sure.f1) == (large.dsc, large.f1) == (1.0, 1.0)
    assert plain.sizes == {"small": (1, 1), "medium": (0, 0), "large": (0, 0)}
    assert (plain.reference_ml, plain.marked_ml) == pytest.approx((0.008, 0.011))
    nothing = candidates.found(Kept("x", probability, {}, 0.001), None, rules)
    assert [nothing[rule].marked_ml for rule in rules] == pytest.approx([0.011, 0.008, 0.008])


def test_peaks_are_tried_above_the_threshold_only_and_low_thresholds_not_at_all() -> None:
    tried = [rule for rule in candidates.every(smallest_mm3=(0.0,)) if rule.threshold == 0.9]
    assert {rule.lesion_peak for rule in tried} == {0.0, 0.95, 0.98, 0.99}
    kept = Kept("x", np.zeros((1, 1, 1), np.float32), {}, 1.0)
    with pytest.raises(errors.UsageError, match="at least"):
        candidates.found(kept, None, [Rules(0.01)])


# Kept maps --------------------------------------------------------------------------------------


def test_a_map_is_computed_once_and_again_for_other_weights(
    use_models: Path, no_doubts: None, phantom: Phantom, tmp_path: Path
) -> None:
    write_case(tmp_path / "data" / "a-1", phantom)
    (case,) = find_cases(tmp_path / "data")
    segmenter = wmhseg.Segmenter("bright")
    kept = maps.of_case(segmenter, case, tmp_path / "maps")
    path = tmp_path / "maps" / "bright" / "a-1.npz"
    before = path.stat().st_mtime_ns
    # Other rules need no other map.
    with_rules = wmhseg.Segmenter("bright", wmhseg.Options(threshold=0.9, min_lesion_mm3=5))
    again = maps.of_case(with_rules, case, tmp_path / "maps")
    assert path.stat().st_mtime_ns == before
    np.testing.assert_array_equal(again.probability, kept.probability)
    marked = phantom.lesions.copy()
    marked[:2] = marked[-2:] = False  # end slices
    assert (kept.probability > 0.5).sum() == marked.sum()
    assert kept.references[maps.REFERENCE].sum() == phantom.lesions.sum()
    assert kept.voxel_ml == pytest.approx(np.prod(phantom.spacing_mm) / 1000)
    one = preset.with_changes(segmenter.model.preset, members=segmenter.model.preset.members[:1])
    maps.of_case(wmhseg.Segmenter(Model(segmenter.model.folder, one)), case, tmp_path / "maps")
    assert path.stat().st_mtime_ns != before


def test_what_a_map_depends_on(use_models: Path) -> None:
    def identity(**options: Any) -> str:
        return maps.identity(wmhseg.Segmenter("bright", wmhseg.Options(**options)))

    same = [{}, {"threads": 3}, {"batch": 2}, {"threshold": 0.9, "lesion_peak": 0.95}]
    assert len({identity(**options) for options in same}) == 1
    others = [{"precision": "bf16"}, {"flips": "on"}, {"intensity_scale": "keep"}]
    assert len({identity(**options) for options in [*others, {}]}) == 4


class Everywhere:
    """An engine that is sure of one square in every slice."""

    batch = 4
    calls = 0

    def load(self, model: Model, member: preset.Member) -> None:
        """Nothing to load."""

    def predict(self, batch: Batch) -> np.ndarray:
        self.calls += 1
        made = np.zeros((*batch["scan"].shape[:3], 1), np.float32)
        made[:, 100:110, 100:110] = 0.99
        return made


def test_readers_of_one_scan_see_one_image_and_mark_more_or_less(
    labels_folder: Path, tmp_path: Path, use_models: Path
) -> None:
    heads = load_heads(labels_folder)
    whole = synthetic.with_lesions(labels_folder, heads)
    assert whole.recipe.without_lesions == 0
    few = replace(whole.recipe, slices=3, thickness_mm=(3.0,), load_ml=(2.0, 6.0))
    few = replace(few, load_shares=(1.0,), without_t1=0.0)
    source = replace(whole, recipe=few)
    scan, references, spacing_mm = synthetic.draw(source, 0)
    volumes = [int(references[name].sum()) for name in ("generous", "balanced", "sparing")]
    assert volumes[0] > volumes[1] > volumes[2] > 0
    assert (references["sparing"] <= references["balanced"]).all()
    assert (references["balanced"] <= references["generous"]).all()
    assert spacing_mm[0] >= 3
    # The engine is asked once: drawing and map are kept.
    engine: Any = Everywhere()
    segmenter = wmhseg.Segmenter("unet-synthetic", engine=engine)
    kept = synthetic.of_number(segmenter, source, 0, tmp_path)
    calls = engine.calls
    again = synthetic.of_number(segmenter, source, 0, tmp_path)
    assert engine.calls == calls > 0
    np.testing.assert_array_equal(again.probability, kept.probability)
    for name, labels in references.items():
        assert kept.references[name].sum() == labels.sum()
    # Three slices of 200 x 200, of which one in ten at either end is emptied: none.
    assert (kept.probability == np.float32(0.99)).sum() == 100 * len(scan.inputs)
    # Another recipe is another scan; another model's networks take other channels.
    synthetic.of_number(segmenter, replace(source, recipe=replace(few, halo=0.0)), 0, tmp_path)
    assert engine.calls > calls
    with pytest.raises(errors.UsageError, match="Received: bright"):
        synthetic.of_number(wmhseg.Segmenter("bright"), source, 0, tmp_path)


# Choosing ---------------------------------------------------------------------------------------

LOW, HIGH = Rules(0.3), Rules(0.7)


def judged(name: str, low: float, high: float, lesions: int = 0, ml: float = 1.0) -> Judged:
    """A scan that scores so much by either rule, in DSC and F1; by the higher one no lesion."""
    sizes = {"small": (lesions, lesions), "medium": (0, 0), "large": (0, 0)}
    none = sizes | {"small": (0, lesions)}
    scores = {
        LOW: Found(low, low, low, sizes, ml, 2.0, 2.0),
        HIGH: Found(high, high, high, none, ml, 1.0, 1.0),
    }
    return Judged(name, choosing.source_of(name), choosing.patient_of(name), scores)


SCANS = [
    judged("openms-07", 0.2, 0.6),
    judged("openms-26", 0.4, 0.6, ml=9.0),
    judged("mslesseg-14a", 0.0, 0.9),
    judged("mslesseg-14b", 0.6, 0.9),
    judged("mslesseg-39", 0.5, 0.9, lesions=3),
    judged("tabriz-1", 0.9, 0.0, lesions=1),
]


def test_sources_and_patients() -> None:
    assert {choosing.source_of(one.name) for one in SCANS} == {"openms", "mslesseg", "tabriz"}
    assert choosing.patient_of("mslesseg-14a") == choosing.patient_of("mslesseg-14b")
    assert choosing.patient_of("sub-a") == "sub-a"


def test_sources_patients_and_visits_weigh_alike() -> None:
    # openms 0.3; mslesseg: patient 14 0.3, patient 39 0.5; tabriz 0.9.
    assert choosing.worth(SCANS, LOW) == pytest.approx((0.3 + 0.4 + 0.9) / 3)
    nothing = replace(SCANS[5], scores={LOW: replace(SCANS[5].scores[LOW], dsc=float("nan"))})
    assert choosing.fixed([*SCANS[:2], nothing], LOW).mean("dsc") == pytest.approx(0.3)


def test_no_source_is_judged_by_a_rule_that_was_chosen_on_it() -> None:
    chosen = choosing.left_out(SCANS, [LOW, HIGH])
    # For tabriz the others choose the high one; the others with tabriz: 0.65 or 0.45, 0.6 or 0.3.
    assert chosen.by_source == {"openms": LOW, "mslesseg": LOW, "tabriz": HIGH}
    assert chosen.mean("dsc") == pytest.approx((0.3 + 0.4) / 3)
    assert chosen.mean("dsc", ["openms"]) == pytest.approx(0.3)
    assert chosen.plain_mean("f1") == pytest.approx((0.2 + 0.4 + 0.0 + 0.6 + 0.5) / 6)
    assert chosen.sizes()["small"] == (3, 4)
    # Of some scans alone, by the rules of their sources.
    assert chosen.of(["openms-26", "tabriz-1"]).mean("dsc") == pytest.approx(0.4 / 2)
    assert choosing.best(SCANS, [LOW, HIGH]) == choosing.best(SCANS, [HIGH, LOW]) == LOW
    with pytest.raises(errors.UsageError, match="two sources"):
        choosing.left_out(SCANS[:2], [LOW, HIGH])


def test_of_equal_rules_the_first_is_taken() -> None:
    scans = [judged("a-1", 0.5, 0.5), judged("b-1", 0.5, 0.5)]
    assert choosing.best(scans, [HIGH, LOW]) == HIGH
    assert choosing.best(scans, [LOW, HIGH]) == LOW


def test_whether_a_peak_helps() -> None:
    plain, peak = Rules(0.5), Rules(0.5, 0.0, 0.9)

    def scans(gain: float) -> list[Judged]:
        made = [judged(name, 0.5, 0.5 + gain, 2) for name in ("a-1", "b-1")]
        return [replace(m, scores=dict(zip((plain, peak), m.scores.values(), strict=True)))
                for m in made]  # fmt: skip

    def answers(**gains: float) -> list[str]:
        places = {name: scans(gain) for name, gain in gains.items()}
        lines = tables.of_lesion_rules(places, [plain, peak])
        return [line for line in lines if line.startswith("| with peak")]

    (row,) = answers(real=0.1, drawn=0.2)
    assert row == "| with peak | +0.100 | 1.00 to 0.00 (4) | +0.200 | 1.00 to 0.00 (4) | yes |"
    (row,) = answers(real=0.1, drawn=-0.2)
    assert row.endswith("| no |")


# Commands ---------------------------------------------------------------------------------------


@pytest.fixture
def data(phantom: Phantom, tmp_path: Path, use_models: Path, no_doubts: None) -> Path:
    for name in ("a-1", "b-1"):
        write_case(tmp_path / "data" / name, phantom)
    return tmp_path / "data"


def test_the_report(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(data / "a-1" / "pre", tmp_path / "healthy" / "nobody" / "pre")
    words = ["--data", str(data), "--healthy", str(tmp_path / "healthy"), "--models", "bright"]
    assert command.main([*words, "--output", str(tmp_path / "out"), "--quiet"]) == 0
    text = (tmp_path / "out" / "bright.md").read_text()
    assert capsys.readouterr().out.strip() == text.strip()
    assert "2 scans of 2 patients, 2 sources (a, b). Validation, not test." in text
    # Lesions of 48 and 6 voxels are found, one of 16 lies in an end slice.
    (row,) = [line for line in text.splitlines() if line.startswith("| the preset's: 0.5 ")]
    assert "| 1.000 (2) | 0.000 (2) | 1.000 (2) |" in row
    (row,) = [line for line in text.splitlines() if line.startswith("| the preset's | 0.5 ")]
    assert row.endswith("| 0.146 |")  # ml marked in the "healthy" phantom
    assert command.main(["--output", str(tmp_path / "out")]) == errors.UsageError.exit_code


def test_the_short_look(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--data", str(data), "--maps", str(tmp_path / "maps"), "--models", "bright"]
    thresholds.main([*words, "--lines", "2"])
    table = capsys.readouterr().out
    assert "bright, n = 2, thresholds alone:" in table
    rows = [line for line in table.splitlines() if line.startswith("| 0")]
    assert len(rows) == len(thresholds.THRESHOLDS) + 2
