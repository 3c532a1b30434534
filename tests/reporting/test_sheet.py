"""The picture of a result: what is drawn where, and that it can be seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import lopsided_head
import numpy as np
import pytest

from wmhseg.reporting import lettering, sheet
from wmhseg.reporting.caption import Caption, millilitres
from wmhseg.reporting.sheet import OF_OTHERS, OUTLINE, View
from wmhseg.reporting.window import look_at

CAPTION = Caption("WMH 1.00 ml", "study/FLAIR.nii.gz", ("model",), "research only")
# As the page is laid out: margin, height of a heading with one line, a panel, a pair with its gap.
LEFT, TOP, WIDE, HIGH, PAIR, ROW = 24, 106, 292, 318, 2 * 292 + 14, 318 + 26 + 14


def view_of(mask: np.ndarray, flair: np.ndarray | None = None, mm: float = 3.0) -> View:
    array = lopsided_head.pair()[0].array if flair is None else flair
    return View(array, mask, (4.0, mm, mm), range(len(array)))


def no_mask() -> np.ndarray:
    return np.zeros(lopsided_head.SHAPE, np.uint8)


def marked_voxel(index: int) -> np.ndarray:
    mask = no_mask()
    mask[index, 30, 20] = 1
    return mask


def orange(picture: np.ndarray) -> np.ndarray:
    """Where the line is, below the heading."""
    found = (picture == OUTLINE).all(-1)
    found[:TOP] = False
    return found


def panels(page: np.ndarray, place: int) -> tuple[np.ndarray, np.ndarray]:
    """Unmarked and marked panel of a pair, without frames and letters' corners."""
    row, column = divmod(place, 3)
    top, left = TOP + row * ROW, LEFT + column * PAIR
    both = page[top + 30 : top + HIGH, left : left + 2 * WIDE]
    return both[:, 1 : WIDE - 1], both[:, WIDE + 1 : 2 * WIDE - 1]


def place_of(page: np.ndarray) -> int:
    """Which pair holds the first marks."""
    rows, columns = np.nonzero(orange(page))
    return int((rows[0] - TOP) // ROW * 3 + (columns[0] - LEFT) // PAIR)


def test_one_voxel_is_seen_and_stays_uncovered() -> None:
    page = sheet.one_page(view_of(marked_voxel(14)), CAPTION)
    plain, marked = panels(page, place_of(page))
    line = orange(page)
    assert line.sum() == (marked == OUTLINE).all(-1).sum() > 40  # in one panel alone
    rows, columns = (np.flatnonzero((marked == OUTLINE).all(-1).any(axis)) for axis in (1, 0))
    inside = np.s_[rows[0] + 2 : rows[-1] - 1, columns[0] + 2 : columns[-1] - 1]
    assert marked[inside].size > 0
    np.testing.assert_array_equal(marked[inside], plain[inside])


def test_one_voxel_of_a_fine_scan_is_seen_where_pixels_are_left_out() -> None:
    fine = np.repeat(np.repeat(lopsided_head.pair()[0].array, 12, 1), 12, 2)
    for row in (361, 362):
        mask = np.zeros(fine.shape, np.uint8)
        mask[14, row, 243] = 1
        page = sheet.one_page(view_of(mask, fine, mm=0.25), CAPTION)
        assert orange(page).sum() >= 5 * 5 - 1  # around one pixel, two wide


def test_the_two_panels_differ_in_the_line_alone() -> None:
    mask = no_mask()
    mask[10:18, 25:33, 18:24] = 1
    page = sheet.one_page(view_of(mask), CAPTION)
    compared = 0
    for place in range(12):
        plain, marked = panels(page, place)
        differ = (plain != marked).any(-1)
        np.testing.assert_array_equal(differ, (marked == OUTLINE).all(-1))
        assert (plain == plain[..., :1]).all()  # grey
        compared += bool(differ.any())
    assert compared == 8


def test_the_unmarked_panel_is_the_scan() -> None:
    """Each voxel becomes a block whose middle has the grey of the voxel."""
    size = 53
    smooth = np.add.outer(np.arange(size), np.arange(size)).astype(np.float32)
    volume = np.stack([300 + 2 * smooth, 500 - 2 * smooth, 300 + 2 * smooth])
    view = View(volume, np.zeros(volume.shape, np.uint8), (4.0, 3.0, 3.0), range(3))
    page = sheet.one_page(view, CAPTION)
    grey = look_at(volume, view.spacing_mm).window.grey(volume)
    side = WIDE  # a square head fills the width; it is as high as wide
    top = TOP + (HIGH - side) // 2
    for place in range(3):
        left = LEFT + place * PAIR
        panel = page[top : top + side, left : left + side, 0].astype(int)
        at = ((np.arange(2, size - 6) + 0.5) * side / size).astype(int)
        at = at[at > 30]  # below the letters
        voxels = (at * size / side).astype(int)
        drawn, wanted = panel[np.ix_(at, at)], grey[place][np.ix_(voxels, voxels)].astype(int)
        assert np.abs(drawn - wanted).max() <= 3


def test_pixels_are_square() -> None:
    """A square of the body is one in the picture, whatever the voxels."""
    mask = no_mask()
    mask[14, 24:40, 20:36] = 1
    for rows, columns in ((1, 1), (2, 1), (1, 3)):
        flair, marked = (
            np.repeat(np.repeat(array, rows, 1), columns, 2)
            for array in (lopsided_head.pair()[0].array, mask)
        )
        view = View(flair, marked, (4.0, 3.0 / rows, 3.0 / columns), range(len(flair)))
        line = orange(sheet.one_page(view, CAPTION))
        high, wide = (np.ptp(np.flatnonzero(line.any(axis))) for axis in (1, 0))
        assert abs(high - wide) <= 2


def violet(picture: np.ndarray) -> np.ndarray:
    """Where the line of other labels is."""
    return np.asarray((picture == OF_OTHERS).all(-1))


def test_other_labels_have_a_line_of_their_own() -> None:
    """As that of WMH, in another colour; without them nothing changes."""
    mask, stroke = marked_voxel(14), no_mask()
    stroke[14:16, 36:44, 24:34] = 1
    plain = view_of(mask)
    alone = sheet.one_page(view_of(stroke), CAPTION)
    both = sheet.one_page(replace(plain, others={"stroke": stroke}), CAPTION)
    page = sheet.one_page(replace(plain, mask=no_mask(), others={"stroke": stroke}), CAPTION)
    assert not violet(alone).any()
    # Slices are chosen by all marks, so those of the stroke alone are on the same places.
    np.testing.assert_array_equal(violet(page), orange(alone))
    assert not orange(page).any()
    place = place_of(both)
    line = violet(panels(both, place)[1])
    assert 0 < line.sum() < violet(both).sum()  # and in the next slice
    assert (panels(both, place)[1] == OUTLINE).all(-1).sum() > 40
    np.testing.assert_array_equal(
        sheet.one_page(replace(plain, others={}), CAPTION), sheet.one_page(plain, CAPTION)
    )


def test_labels_that_touch_are_both_seen() -> None:
    """A voxel of one in the middle of the other, whichever it is."""
    for inner in ("WMH", "stroke"):
        dot, around = marked_voxel(14), no_mask()
        around[14, 24:37, 14:27] = 1
        around -= dot
        mask, stroke = (dot, around) if inner == "WMH" else (around, dot)
        page = sheet.one_page(replace(view_of(mask), others={"stroke": stroke}), CAPTION)
        assert orange(page).sum() > 40
        assert violet(page).sum() > 40


def test_words_tell_both_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    write = lettering.write

    def kept(draw: Any, place: Any, text: str, *rest: Any, **more: Any) -> None:
        written.append(text)
        write(draw, place, text, *rest, **more)

    monkeypatch.setattr(lettering, "write", kept)
    stroke = no_mask()
    stroke[14:16, 40, 24:34] = 1
    sheet.one_page(replace(view_of(marked_voxel(14)), others={"stroke": stroke}), CAPTION)
    assert "WMH 1, 0.036 ml; stroke 1, 0.36 ml" in written
    assert "stroke 1, 0.36 ml" in written
    legend = " ".join(written)
    assert (
        "the orange line runs just outside what is marked as WMH, the violet one outside" in legend
    )
    assert "which hold 1 of 1 lesions of WMH and 1 of 1 lesions of stroke" in legend
    written.clear()
    sheet.one_page(view_of(marked_voxel(14)), CAPTION)
    assert "1 lesion, 0.036 ml" in written
    assert "violet" not in " ".join(written)


def test_marks_outside_the_head_are_shown() -> None:
    padded = np.pad(lopsided_head.pair()[0].array, ((0, 0), (30, 30), (30, 30)))
    mask = np.zeros(padded.shape, np.uint8)
    mask[14, 3, 3] = 1
    assert orange(sheet.one_page(view_of(mask, padded), CAPTION)).sum() > 20


def test_words_are_written() -> None:
    view = view_of(marked_voxel(14))
    page = sheet.one_page(view, CAPTION)
    for change in (
        {"title": "WMH 2.00 ml"},
        {"source": "study/FLAIR2.nii.gz"},
        {"lines": ("other",)},
        {"notice": ""},
    ):
        other = sheet.one_page(view, replace(CAPTION, **change))
        differ = (page != other).any((1, 2))
        assert differ[:TOP].any()
        assert not differ[TOP:].any()
    # The numbers of slices, the lesions of each and the legend stand below.
    renumbered = sheet.one_page(replace(view, numbers=range(100, 128)), CAPTION)
    differ = (page != renumbered).any(-1)
    strip = np.s_[TOP + HIGH : TOP + HIGH + 26]
    for column in range(3):
        left = LEFT + column * PAIR
        assert differ[strip, left : left + WIDE].any()
        assert not differ[strip, left + WIDE : left + 2 * WIDE].any()
    on_another = (page != sheet.one_page(replace(view, axis="first"), CAPTION)).any((1, 2))
    assert on_another[-60:].any()
    assert not on_another[:-60].any()


def test_nothing_is_cut_off() -> None:
    """Long names are shortened at their front, and words keep clear of the edges."""
    long = replace(CAPTION, source="/very/long/" * 60 + "end.nii.gz", lines=("long " * 200,))
    page = sheet.one_page(view_of(no_mask()), long)
    assert not page[:TOP, -20:].any()
    assert not page[:, :20].any()
    shown = lettering.shortened(long.source, 18, 1600)
    assert shown.startswith("...")
    assert shown.endswith("/end.nii.gz")
    assert lettering.shortened("short.nii", 18, 1600) == "short.nii"


@pytest.mark.parametrize(
    ("given", "drawn"), [("Müller-Łódź", "Muller-?odz"), ("脳.nii", "?.nii"), ("a\nb\x07", "a?b?")]
)
def test_letters_that_the_font_lacks(given: str, drawn: str) -> None:
    assert lettering.plain(given) == drawn


def test_volumes_have_the_digits_they_need() -> None:
    told = [millilitres(v) for v in (0, 0.0016, 0.0994, 0.1, 12.345)]
    assert told == ["0.00 ml", "0.002 ml", "0.099 ml", "0.10 ml", "12.35 ml"]


def test_pages_hold_all_marks_and_have_one_size() -> None:
    mask = no_mask()
    mask[3:25, 30, 20] = 1
    found = sheet.pages(view_of(mask), CAPTION)
    assert len(found) == 3  # 22 slices with marks, and what there is without; 9 a page
    assert {page.shape for page in found} == {found[0].shape}
    high, wide, _ = found[0].shape
    assert wide / high == pytest.approx(297 / 210, rel=0.001)
    warned = sheet.pages(view_of(mask), replace(CAPTION, lines=("model", "a warning")))
    assert {page.shape for page in warned} == {found[0].shape}
    assert len(sheet.pages(view_of(no_mask()), CAPTION)) == 1


def test_a_picture_is_always_the_same() -> None:
    view = view_of(marked_voxel(14))
    np.testing.assert_array_equal(sheet.one_page(view, CAPTION), sheet.one_page(view, CAPTION))


# How people see colours who lack one kind of cone: Machado et al., IEEE Trans. Vis. Comput. Graph.
# 15 (2009) 1291-1298, severity 1; from linear RGB to linear RGB.
EYES = {
    "all cones": np.eye(3),
    "no red ones": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green ones": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no blue ones": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(colours: np.ndarray, eye: str) -> np.ndarray:
    """CIELAB of sRGB colours as an eye sees them."""
    share = np.asarray(colours) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(EYES[eye]).T, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = (seen @ np.array(to_xyz).T / (0.9505, 1, 1.089)).T
    x, y, z = (np.where(v > 0.008856, np.cbrt(v), 7.787 * v + 16 / 116) for v in (x, y, z))
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def least_distance(colour: tuple[int, int, int], eye: str) -> float:
    """To the nearest grey: 2 can just be told apart, 100 is black from white."""
    greys = np.arange(256)[:, None].repeat(3, 1)
    return float(np.linalg.norm(lab(greys, eye) - lab(np.array([colour]), eye), axis=1).min())


@pytest.mark.parametrize("eye", EYES)
def test_the_line_of_other_labels_is_neither_grey_nor_orange_to_any_eye(eye: str) -> None:
    """No colour is much farther from both: of all, the best has 45."""
    violet, orange = (lab(np.array([colour]), eye) for colour in (OF_OTHERS, OUTLINE))
    assert least_distance(OF_OTHERS, eye) > 48
    assert np.linalg.norm(violet - orange) > 42


@pytest.mark.parametrize("eye", EYES)
def test_the_line_is_no_grey_to_any_eye(eye: str) -> None:
    assert least_distance(OUTLINE, eye) > 60


def test_other_colours_are_grey_to_some_eyes() -> None:
    """Why it is orange: the least distances that docs/picture.md names."""
    least = {
        name: round(min(least_distance(colour, eye) for eye in EYES))
        for name, colour in {
            "orange": OUTLINE,
            "magenta": (255, 0, 255),
            "green": (0, 255, 0),
            "red": (255, 60, 50),
            "yellow": (255, 255, 0),
            "cyan": (0, 255, 255),
        }.items()
    }
    assert least == {
        "orange": 65, "magenta": 54, "green": 55, "red": 36, "yellow": 12, "cyan": 7
    }  # fmt: skip
