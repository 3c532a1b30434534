"""The sheet of synthetic scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from wmhseg.synthesis import contact_sheet


def test_a_row_shows_the_scan_and_outlines_what_is_marked() -> None:
    inputs = np.zeros((10, 20, 30, 2), np.float32)
    inputs[..., 1] = 5  # T1 beyond its brightest
    target = np.zeros((10, 20, 30), bool)
    target[:, 5:9, 10:14] = True
    picture = contact_sheet.row(inputs, target, enlarge=2)
    tiles = len(contact_sheet.FLAIR_PLACES) + len(contact_sheet.T1_PLACES)
    assert picture.shape == (40, 60 * tiles, 3)
    red = (picture == (255, 60, 50)).all(-1)
    # A square of 8 pixels has 28 on its outline; T1 has none.
    assert red.sum() == 28 * len(contact_sheet.FLAIR_PLACES)
    assert red[10:18, 20:28].sum() == 28
    assert not red[11:17, 21:27].any()
    # z = 0 lies 2.5 above the darkest of 6: 106 of 255.
    assert (picture[0, 0] == 106).all()
    assert (picture[:, -60:] == 255).all()


def test_the_slice_with_most_infarct_is_shown_in_blue() -> None:
    inputs = np.zeros((10, 20, 30, 2), np.float32)
    inputs[:, ..., 1] = np.arange(10)[:, None, None] / 2 - 2.5
    target = np.zeros((10, 20, 30), bool)
    target[3, 2:4, 2:4] = True
    stroke = np.zeros_like(target)
    stroke[3, 5:9, 10:14] = True  # 4 x 4 pixels, in a slice that is not shown otherwise
    stroke[5, 5, 10] = True
    picture = contact_sheet.row(inputs, target, stroke, enlarge=1)
    blue = (picture == contact_sheet.INFARCT).all(-1)
    shown = np.flatnonzero(blue.reshape(20, -1, 30).any((0, 2)))
    assert blue.reshape(20, -1, 30).sum((0, 2)).max() == 12
    assert shown.tolist() == [0, 2] or shown.tolist() == [1, 2]
    assert ((picture == (255, 60, 50)).all(-1)).sum() == 4
    assert shown.max() < len(contact_sheet.FLAIR_PLACES)  # none on T1
    # T1 of slice 3, a z-score of -1 of -2.5 to 2.5.
    assert (picture[:, 30 * len(contact_sheet.FLAIR_PLACES) :] == round(255 * 0.3)).all(-1).any()


def test_command(tmp_path: Path, label_map: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    SimpleITK.WriteImage(
        SimpleITK.GetImageFromArray(label_map.astype(np.int16)), str(tmp_path / "1.nii.gz")
    )
    output = tmp_path / "sheet.png"
    asked = ["--labels", str(tmp_path), "--output", str(output), "--scans", "1"]
    assert contact_sheet.main(asked) == 0
    first = output.read_bytes()
    assert first[:4] == b"\x89PNG"
    assert contact_sheet.main(asked) == 0
    assert output.read_bytes() == first
    assert contact_sheet.main([*asked, "--seed", "1"]) == 0
    assert output.read_bytes() != first
    assert contact_sheet.main([*asked, "--stroke", "1"]) == 0
    assert output.read_bytes() != first
    assert contact_sheet.main([*asked, "--beside", str(tmp_path)]) != 0
    assert "FLAIR.nii.gz were expected" in capsys.readouterr().err


def test_beside_real_scans(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    case = tmp_path / "case" / "pre"
    case.mkdir(parents=True)
    marked = np.zeros((6, 40, 40), np.uint8)
    marked[2:4, 18:22, 18:22] = 1
    marked[2:4, 25:28, 25:28] = 2
    values = 100 + 20 * rng.random(marked.shape).astype(np.float32)
    for name in ("FLAIR", "T1"):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values), str(case / f"{name}.nii.gz"))
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(marked), str(case.parent / "wmh.nii.gz"))
    (row,) = contact_sheet.real(tmp_path)
    red = (row == (255, 60, 50)).all(-1)
    rows, columns = np.flatnonzero(red.any(1)), np.flatnonzero(red[:, :1200].any(0))
    # 4 x 4 pixels, drawn twice as large, in the middle of 200 x 200; label 2 is not outlined.
    assert (rows[0], rows[-1]) == (196, 203)
    assert columns[0] % 400 == 196
    assert columns.max() % 400 == 203
