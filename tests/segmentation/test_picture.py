"""The picture of a result: sides, numbers of slices, names."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import lopsided_head
import numpy as np
import pytest
from conftest import Phantom, write_scan

import wmhseg
from wmhseg import errors, geometry
from wmhseg.reporting import report, sheet
from wmhseg.reporting.sheet import OUTLINE, View
from wmhseg.segmentation.result import Segmentation

ORDERS = ("LPS", "RAS", "LAS", "RPI", "PIR", "ASL", "SAR", "ILP")


@pytest.fixture
def result(phantom: Phantom, use_models: Path, no_doubts: None) -> Segmentation:
    return wmhseg.segment(phantom.flair, spacing_mm=phantom.spacing_mm, model="bright")


def stored(result: Segmentation, order: str, mark: tuple[int, int, int]) -> Segmentation:
    """The lopsided head, with one mark, in a file whose axes run in some order."""
    flair = lopsided_head.pair()[0]
    mask = np.zeros(flair.array.shape, np.uint8)
    mask[mark] = 1
    turn = geometry.turn_to(flair.grid, order)
    array, turned = (np.ascontiguousarray(turn.forward(a)) for a in (flair.array, mask))
    scan = replace(flair, array=array, grid=turn.target)
    return replace(result, mask=turned, grid=turn.target, flair=scan)


def test_the_mask_is_outlined(result: Segmentation) -> None:
    marked = (result.overlay() == OUTLINE).all(-1)
    none = replace(result, mask=np.zeros_like(result.mask))
    # The words of the notice have the line's colour.
    assert marked.sum() > (none.overlay() == OUTLINE).all(-1).sum() + 300
    assert marked.mean() < 0.05


def test_right_is_left_whatever_the_order_of_the_axes(
    result: Segmentation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One body, stored in different orders, is drawn the same; only slices are counted apart."""
    views: list[View] = []
    draw = sheet.one_page

    def kept(view: View, *rest: object) -> np.ndarray:
        views.append(view)
        return draw(replace(view, numbers=[7] * len(view.numbers), axis="third"), *rest)

    monkeypatch.setattr(sheet, "one_page", kept)
    # The head lies in LPS order: columns rise to the patient's left.
    on_the_right = stored(result, "LPS", (13, 30, 14)).overlay()
    line = (on_the_right == OUTLINE).all(-1)
    line[:110] = False
    columns = np.flatnonzero(line.any(0))
    pair = (columns[0] - 24) // (2 * 292 + 14)
    within = columns - 24 - pair * (2 * 292 + 14)
    assert within.min() >= 292  # the marked panel
    assert within.max() < 292 + 146  # its left half: the patient's right
    for order in ORDERS:
        drawn = stored(result, order, (13, 30, 14)).overlay()
        np.testing.assert_array_equal(drawn, on_the_right, err_msg=order)
    for order, view in zip(ORDERS, views[1:], strict=True):
        # Found in the file's own order: index of the axis that runs from foot to head.
        again = stored(result, order, (13, 30, 14))
        index = {"third": 0, "second": 1, "first": 2}[view.axis]
        assert view.numbers[13] == np.argwhere(again.mask)[0][index], order
        assert order[2 - index] in "SI"


def test_the_name_is_the_one_that_was_given(
    phantom: Phantom,
    use_models: Path,
    no_doubts: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_scan(tmp_path / "a" / "F.nii.gz", phantom.flair, phantom.spacing_mm)
    named = wmhseg.segment("a/F.nii.gz", model="bright")
    assert named.flair.source == "a/F.nii.gz"
    caption = report.caption(named.report, named.flair.source)
    assert caption.source == "a/F.nii.gz"
    everything = " ".join((caption.title, caption.source, *caption.lines, caption.notice))
    assert str(tmp_path) not in everything
    assert "0.15 ml, 2 lesions" in everything
    assert "bright" in everything
    assert "threshold 0.5" in everything
    assert "For research" in everything
    assert "FLAIR alone" in everything
    assert "warning" in everything
    assert "no file" in report.caption(named.report, "").source


def test_saved_as_png_and_as_pdf(result: Segmentation, tmp_path: Path) -> None:
    content = {}
    for name in ("one.png", "one.pdf", "again.png", "again.pdf"):
        result.save(tmp_path / "mask.nii.gz", overlay=tmp_path / name)
        content[name] = (tmp_path / name).read_bytes()
    assert content["one.png"] == content["again.png"]
    assert content["one.pdf"] == content["again.pdf"]
    assert len(re.findall(rb"/Type /Page\b", content["one.pdf"])) == len(result.overlay_pages())
    with pytest.raises(errors.UsageError, match=r"\.png or \.pdf"):
        result.save(tmp_path / "other" / "mask.nii.gz", overlay=tmp_path / "one.jpg")
    assert not (tmp_path / "other").exists()
