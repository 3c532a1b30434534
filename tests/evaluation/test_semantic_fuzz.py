"""Changes of files that mean nothing, on a small synthetic head and with a network of one line.

What the network says depends on where in its field a voxel lies, so that a field which moves with
the borders of a scan is noticed.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import make_preset, write_scan
from heads import head

from evaluation.semantic_fuzz import changes, scans
from evaluation.semantic_fuzz.__main__ import Trial, main, run, summary
from evaluation.semantic_fuzz.caching import CachingEngine
from wmhseg.engines.interface import Batch, Float
from wmhseg.engines.runtime import Runtime
from wmhseg.preparation import empty_planes
from wmhseg.segmentation.options import Options
from wmhseg.segmentation.pipeline import Segmenter
from wmhseg.weights.methods import METHODS
from wmhseg.weights.preset import Member, Preset
from wmhseg.weights.store import Model

WHO = [
    (name, who)
    for name, change in changes.CHANGES.items()
    for who in ((0, 1), (0,), (1,))
    if (change.alone or who == (0, 1)) and name != changes.AIR
]


class Pattern:
    """Says that bright is WMH, the more so in some rows and columns of the field."""

    runtime = Runtime("openvino", "cpu", 1)
    batch = 4

    def load(self, model: Model, member: Member) -> None:
        pass

    def predict(self, batch: Batch) -> Float:
        flair = batch["scan"][..., 0]
        row, column = np.indices(flair.shape[1:])
        z = flair - 1.5 + ((row + 3 * column) % 16) / 32
        return (1 / (1 + np.exp(-20 * z)))[..., None].astype(np.float32)


def preset(method: str) -> Preset:
    chosen = METHODS[method]
    post = replace(chosen.postprocessing, lesion_peak=0.0)
    pre = replace(chosen.preprocessing, field=(96, 96)) if method == "synthetic" else None
    return make_preset(preprocessing=pre or chosen.preprocessing, postprocessing=post)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head in thick slices whose sides are longer and shorter than the field."""
    folder = tmp_path_factory.mktemp("case")
    for name in ("FLAIR", "T1"):
        array = np.rint(head(name, name=name).array[2::7]).astype(np.int16)
        if name == "FLAIR":
            array[4:7, 50:56, 30:38] = 700
        write_scan(folder / "pre" / f"{name}.nii.gz", array[:, :, 3:91], (12.0, 1.0, 1.0))
    return folder


@pytest.fixture(scope="module")
def trial(case: Path, tmp_path_factory: pytest.TempPathFactory) -> Trial:
    engine = CachingEngine(Pattern())
    options = Options(device="cpu", on_unsuitable="warn")
    segmenter = Segmenter(Model(case, preset("synthetic")), options, engine)
    made = Trial(case, tmp_path_factory.mktemp("tried"), segmenter)
    made.engine = engine  # type: ignore[attr-defined]
    return made


@pytest.mark.parametrize(("name", "who"), WHO)
def test_each_change_leaves_the_mask(trial: Trial, name: str, who: tuple[int, ...]) -> None:
    assert trial.voxels > 100
    known = trial.engine.computed  # type: ignore[attr-defined]
    outcome = trial.attempt([(name, who)], random.Random(3))
    assert (outcome.fault, outcome.different, outcome.dsc) == ("", 0, 1)
    assert trial.engine.computed == known  # type: ignore[attr-defined]


def test_chains_leave_the_mask_and_are_counted(trial: Trial) -> None:
    outcomes = run(trial, 15, 4)
    assert [outcome.fault for outcome in outcomes] == [""] * 15
    assert len({outcome.chain for outcome in outcomes}) > 10
    text = summary(outcomes, trial)
    assert "15, identical 15" in text
    assert text.endswith("wrong         0")


def test_it_notices_a_field_that_moves(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        empty_planes,
        "around",
        lambda flair, t1: (empty_planes.none(flair), empty_planes.none(t1 or flair)),
    )
    outcome = trial.attempt([("padding", (0, 1))], random.Random(3))
    assert "the mask differs" in outcome.fault
    assert outcome.ml == pytest.approx(outcome.different * 0.012)


def test_it_notices_forms_that_are_not_flairs(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wmhseg.io import images

    written = images.write_mask
    monkeypatch.setattr(images, "write_mask", lambda path, mask, grid, _: written(path, mask, grid))
    outcome = trial.attempt([("forms", (0, 1))], random.Random(3))
    assert "sform_code is not FLAIR's" in outcome.fault


def test_cutting_air_is_measured_and_bounded(trial: Trial) -> None:
    (outcome,) = run(trial, 1, 1, air=True)
    assert outcome.exact is False
    assert "air cut off   1," in summary([outcome], trial)


def test_published_methods_see_the_whole_scan(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are not adapted: their field and end slices go by the matrix."""

    def never(*_: object) -> None:
        raise AssertionError("something was cut off")

    monkeypatch.setattr(empty_planes, "around", never)
    options = Options(device="cpu", on_unsuitable="warn")
    segmenter = Segmenter(Model(case, preset("published")), options, Pattern())
    assert Trial(case, tmp_path, segmenter).voxels > 100


# The files --------------------------------------------------------------------------------------


def test_values_that_a_file_cannot_hold_are_refused(trial: Trial) -> None:
    flair, _ = trial.pair
    how = replace(flair.how, dtype="uint8")
    assert scans.encoded(flair.values, how) is None
    with pytest.raises(ValueError, match="uint8"):
        scans.content(replace(flair, how=how))
    assert scans.encoded(flair.values, replace(how, dtype="int32", scaling=(0.5, 3.0))) is not None


def test_help_names_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "python -m evaluation.semantic_fuzz" in capsys.readouterr().out
