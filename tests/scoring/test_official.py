"""The organisers' script beside ours: run, compared, and stopped on a difference."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scored_cases import SHAPE, SHIFTED, bar, score_folder, study_folder, write

from wmhseg import errors
from wmhseg.scoring import official
from wmhseg.scoring.official import Official
from wmhseg.scoring.table import read_table

# A stand-in with the same interface. It computes two metrics and knows the others.
STAND_IN = """
import os
import numpy as np
import SimpleITK as sitk

testDir = ''
participantDir = ''

def do():
    image = sitk.ReadImage(os.path.join(testDir, 'wmh.nii.gz'))
    assert 'float' in image.GetPixelIDTypeAsString()
    truth = sitk.GetArrayFromImage(image) == 1
    name, = os.listdir(participantDir)
    found = sitk.GetArrayFromImage(sitk.ReadImage(os.path.join(participantDir, name))) > 0
    dice = 2.0 * (truth & found).sum() / (truth.sum() + found.sum())
    print('Dice', dice + DICE_OFF, '(higher is better, max=1)')
    print('HD', 1.85, 'mm', '(lower is better, min=0)')
    print('AVD', np.abs(truth.sum() - found.sum()) / CHECKED(truth.sum()) * 100, '%', '(min=0)')
    print('Lesion detection', 1.0, '(higher is better, max=1)')
    print('Lesion F1', 1.0, '(higher is better, max=1)')

def CHECKED(count):
    if not count:
        raise ZeroDivisionError('float division by zero')
    return count

if __name__ == '__main__':
    raise SystemExit('testDir is not set yet')
"""


def stand_in(folder: Path, off: float = 0) -> Path:
    path = folder / "evaluation.py"
    path.write_text(STAND_IN.replace("DICE_OFF", repr(off)))
    return path


def test_official_script_agrees(tmp_path: Path, counted: list[str]) -> None:
    data, results = study_folder(tmp_path, {"1": bar(6), "2": bar(2)})
    write(results / "2" / "result.nii", bar(2))  # the other ending
    (results / "2" / "result.nii.gz").unlink()
    table = tmp_path / "metrics.csv"
    score_folder(data, results, table)
    found = score_folder(data, results, table, script=stand_in(tmp_path))
    assert counted == ["1", "2"] * 2  # what was scored without the script is scored again
    for score in found:
        assert score.official is not None
        assert score.official.values == pytest.approx(SHIFTED)
    again = score_folder(data, results, table, script=stand_in(tmp_path))
    assert (repr(again), len(counted)) == (repr(found), 4)
    assert not list(tmp_path.glob("**/__pycache__"))
    head, row = table.read_text().splitlines()[:2]
    assert dict(zip(head.split(","), row.split(","), strict=True))["official_h95_mm"] == "1.85"


def test_official_script_stops_the_run_on_a_difference(tmp_path: Path) -> None:
    data, results = study_folder(tmp_path, {"1": bar(6)})
    table = tmp_path / "metrics.csv"
    with pytest.raises(errors.OfficialDifferenceError, match=r"Case 1: 0\.5 .* for Dice.*0\.50001"):
        score_folder(data, results, table, script=stand_in(tmp_path, 1e-5))
    assert read_table(table) == []  # a case in doubt is not kept


@pytest.mark.parametrize("metric", list(official.PRINTED))
@pytest.mark.parametrize(("off", "accepted"), [(9e-7, True), (2e-6, False)])
def test_all_five_are_compared(metric: str, off: float, accepted: bool) -> None:
    theirs = Official(SHIFTED | {metric: SHIFTED[metric] + off})
    if metric == "h95_mm":  # 1.85: the tolerance is relative above 1
        theirs = Official(SHIFTED | {metric: SHIFTED[metric] * (1 + off)})
    if accepted:
        official.check("1", SHIFTED, theirs)
    else:
        with pytest.raises(errors.OfficialDifferenceError, match=official.PRINTED[metric]):
            official.check("1", SHIFTED, theirs)


def test_nan_must_meet_nan() -> None:
    nan = SHIFTED | {"h95_mm": math.nan}
    official.check("1", nan, Official(nan))
    official.check("1", nan, Official({}, "ZeroDivisionError"))  # it stops where ours is undefined
    for ours, theirs in ((nan, SHIFTED), (SHIFTED, nan)):
        with pytest.raises(errors.OfficialDifferenceError, match="HD"):
            official.check("1", ours, Official(theirs))
    with pytest.raises(errors.OfficialScriptError, match="ZeroDivisionError"):
        official.check("1", SHIFTED, Official({}, "ZeroDivisionError"))
    old = "TypeError: in method 'Image_TransformIndexToPhysicalPoint', argument 2"
    with pytest.raises(errors.OfficialScriptError, match=r"argument 2.*newest evaluation\.py"):
        official.check("1", SHIFTED, Official({}, old))


def test_official_script_may_stop_on_an_empty_reference(tmp_path: Path) -> None:
    reference = write(tmp_path / "wmh.nii.gz", np.zeros(SHAPE, np.uint8))
    found = official.run(stand_in(tmp_path), reference, write(tmp_path / "r.nii.gz", bar(1)))
    assert found == Official({}, "ZeroDivisionError: float division by zero")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (
            "print 'Dice', 1",
            r"Missing parentheses.*for Python 2.*brackets around.*five print lines",
        ),
        ("x = 1", "no attribute 'do'"),
        ("def do():\n    print('Dice 0.5')\n", 'line "HD NUMBER"'),
        ("def do():\n    print('Dice none')\n", 'line "Dice NUMBER"'),
    ],
)
def test_a_script_that_is_something_else(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "evaluation.py").write_text(text)
    mask = write(tmp_path / "wmh.nii.gz", bar(1))
    with pytest.raises(errors.OfficialScriptError, match=match):
        official.run(tmp_path / "evaluation.py", mask, mask)
