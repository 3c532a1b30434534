"""The picture of a result: FLAIR slices, each beside itself with the marks, and what to know of it.

A page is made to be read at its own size on a screen and, as a PDF, on A4. Arrays are (slice, row,
column) in LPS order, so that the picture is the radiological view: the patient's right is on its
left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage

from wmhseg import geometry
from wmhseg.geometry import Grid, Triple
from wmhseg.reporting import lettering
from wmhseg.reporting import slices as slices_of
from wmhseg.reporting.caption import Caption, millilitres
from wmhseg.reporting.lettering import Style
from wmhseg.reporting.slices import Marks
from wmhseg.reporting.window import Look, look_at
from wmhseg.weights.inputs import WMH

Picture = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]
Boxes = Sequence[tuple[int, int, int, int]]

OUTLINE: Colour = (255, 130, 0)
"""Orange: of all colours the one that is farthest from every grey for whoever confuses red and
green, or blue and yellow, as well as for all others (tests/reporting/test_sheet.py)."""
OF_OTHERS: Colour = (195, 0, 255)
"""Violet, of labels besides WMH: far from every grey and from orange to all of them."""
_BACK: Colour = (0, 0, 0)
_FRAME: Colour = (70, 70, 70)
_TEXT: Colour = (235, 235, 235)
_FAINT: Colour = (190, 190, 190)
_TITLE, _SOURCE, _LINES = Style(30, _TEXT), Style(18, _TEXT), Style(18, _FAINT)
_NOTICE, _LEGEND = Style(18, OUTLINE), Style(17, _FAINT)
_SIDE, _BELOW = Style(18, _TEXT, rim=2), Style(17, _TEXT)

PANELS, WITHOUT = 12, 4
"""Slices of a picture of one page, and how many of them without marks."""
_ACROSS, _ROWS_OF_A4 = 3, 3
_WIDE, _HIGH, _STRIP = 292, 318, 26  # pixels of a panel, and of the words below it
_MARGIN, _GAP = 24, 14
_AROUND_MM = 5.0
_LINE = 2  # pixels
WIDTH = 2 * _MARGIN + _ACROSS * 2 * _WIDE + (_ACROSS - 1) * _GAP
_A4 = round(WIDTH / 297 * 210)
_BARS_MM = (100, 50, 20, 10, 5, 2, 1)
_LONGEST_BAR = 120


@dataclass(frozen=True)
class View:
    """What is drawn.

    Attributes:
        flair: (slice, row, column), LPS.
        mask: Same shape, 0 or 1.
        spacing_mm: Distances of slices, rows and columns.
        numbers: For each slice the index by which the file counts it, from 0.
        axis: Which axis of the file counts the slices: "first", "second" or "third".
        others: Label besides WMH -> its mask, as ``mask``.
    """

    flair: npt.NDArray[np.float32]
    mask: npt.NDArray[np.uint8]
    spacing_mm: Triple
    numbers: Sequence[int]
    axis: str = "third"
    others: Mapping[str, npt.NDArray[np.uint8]] = field(default_factory=dict)

    def marks(self) -> dict[str, Marks]:
        """What is marked in each slice, by label, WMH first."""
        return {
            label: slices_of.marks(mask) for label, mask in {WMH: self.mask, **self.others}.items()
        }


def view_of(
    grid: Grid,
    flair: npt.NDArray[np.float32],
    mask: npt.NDArray[np.uint8],
    others: Mapping[str, npt.NDArray[np.uint8]] | None = None,
) -> View:
    """A scan as radiologists look at it, and how its file counts the slices.

    Args:
        grid: Of the scan.
        flair: The scan, as it is stored.
        mask: As ``flair``, 0 or 1.
        others: Label besides WMH -> its mask.
    """
    turn = geometry.turn_to(grid, "LPS")
    along = turn.axes[0]
    sides = [1, 1, 1]
    sides[along] = grid.shape[along]
    counted = np.broadcast_to(np.arange(sides[along]).reshape(sides), grid.shape)
    return View(
        turn.forward(flair),
        turn.forward(mask),
        turn.target.spacing_mm,
        turn.forward(counted)[:, 0, 0].tolist(),
        ("third", "second", "first")[along],
        {label: turn.forward(marked) for label, marked in (others or {}).items()},
    )


class _Panels:
    """Draws single slices of a view, all of one size."""

    def __init__(self, view: View, look: Look, each: Mapping[str, Marks]) -> None:
        self._view, self._look, self._each = view, look, each
        found = slices_of.together([*each.values()])
        # What is marked is shown, wherever it is.
        rows, columns = (
            (min(head[0], marked[0]), max(head[1], marked[1])) if any(marked) else head
            for head, marked in ((look.rows, found.rows), (look.columns, found.columns))
        )
        _, row_mm, column_mm = view.spacing_mm
        self._crop = tuple(
            slice(max(0, ends[0] - round(_AROUND_MM / mm)), ends[1] + round(_AROUND_MM / mm))
            for ends, mm in ((rows, row_mm), (columns, column_mm))
        )
        held = view.flair[0][self._crop].shape
        high_mm, wide_mm = held[0] * row_mm, held[1] * column_mm
        self.pixels_per_mm = min(_HIGH / high_mm, _WIDE / wide_mm)
        self._size = (
            max(1, round(wide_mm * self.pixels_per_mm)),
            max(1, round(high_mm * self.pixels_per_mm)),
        )

    def pair(self, index: int) -> Image.Image:
        """One slice, without and with the marks."""
        window, view = self._look.window, self._view
        grey = Image.fromarray(window.grey(np.ascontiguousarray(view.flair[index][self._crop])))
        plain = np.asarray(grey.resize(self._size, Image.Resampling.BICUBIC))[..., None]
        plain = plain.repeat(3, -1)
        marked = plain.copy()
        # Of labels that touch each line is drawn whole, over the other's voxels.
        for mask in view.others.values():
            marked[around(self._enlarged(mask[index][self._crop] > 0))] = OF_OTHERS
        inside = view.mask[index][self._crop] > 0
        marked[around(self._enlarged(inside))] = OUTLINE
        both = Image.new("RGB", (2 * _WIDE, _HIGH + _STRIP), _BACK)
        left, top = (_WIDE - self._size[0]) // 2, (_HIGH - self._size[1]) // 2
        both.paste(Image.fromarray(plain), (left, top))
        both.paste(Image.fromarray(marked), (_WIDE + left, top))
        self._letter(both, index)
        return both

    def _enlarged(self, inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """The marked pixels of the picture: where pixels are left out, none that is marked."""
        wide = Image.fromarray(inside.astype(np.float32))
        return np.asarray(wide.resize(self._size, Image.Resampling.BOX)) > 0

    def _letter(self, both: Image.Image, index: int) -> None:
        draw = ImageDraw.Draw(both)
        draw.rectangle([(0, 0), (2 * _WIDE - 1, both.height - 1)], outline=_FRAME)
        draw.line([(_WIDE, 0), (_WIDE, both.height)], _FRAME)
        for start in (0, _WIDE):
            lettering.write(draw, (start + 8, 5), "R", _SIDE)
            lettering.write(draw, (start + _WIDE - 8, 5), "L", _SIDE, anchor="ra")
        bottom = both.height - 5
        number = self._view.numbers[index]
        lettering.write(draw, (8, bottom), f"slice {number}", _BELOW, anchor="ld")
        told = "; ".join(self._told(index)) or "none marked"
        lettering.write(draw, (_WIDE + 8, bottom), told, _BELOW, anchor="ld")

    def _told(self, index: int) -> Iterator[str]:
        """How much of each label a slice shows."""
        voxel_ml = float(np.prod(self._view.spacing_mm)) / 1000
        for label, found in self._each.items():
            count = len(found.lesions[index])
            many = f"{count} lesion{'s' * (count > 1)}"
            if self._view.others:  # in fewer words, for which there is room
                many = f"{label} {count}"
            if count:
                yield f"{many}, {millilitres(found.areas[index] * voxel_ml)}"


def around(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Pixels (row, column) just outside a mask: a line, whatever the size of what it surrounds."""
    wider: npt.NDArray[np.bool_] = ndimage.maximum_filter(mask, 2 * _LINE + 1)
    return wider & ~mask


def one_page(view: View, caption: Caption) -> Picture:
    """Draws the picture of one page: the slices that show the most, and some without marks."""
    (page,) = _pages(view, caption, paged=False)
    return page


def pages(view: View, caption: Caption) -> list[Picture]:
    """Draws pages of one size, A4 on its side: all slices with marks, and some without."""
    return list(_pages(view, caption, paged=True))


def _pages(view: View, caption: Caption, *, paged: bool) -> Iterator[Picture]:
    look = look_at(view.flair, view.spacing_mm)
    marks = view.marks()
    found = slices_of.together([*marks.values()])
    each = _ACROSS * _ROWS_OF_A4 if paged else PANELS
    if paged and found.count:
        chosen = slices_of.all_marked(found, look.slices, WITHOUT)
    else:
        chosen = slices_of.choose(found, look.slices, each, WITHOUT)
    panels = _Panels(view, look, marks)
    parts = [chosen[first : first + each] for first in range(0, len(chosen), each)]
    legend = _legend(view, look, marks, chosen)
    for number, part in enumerate(parts, 1):
        head = _heading(caption, f"page {number} of {len(parts)}" if paged else "")
        yield np.asarray(_page(head, panels, part, legend, _A4 if paged else 0))


def _page(
    head: Image.Image, panels: _Panels, chosen: Sequence[int], legend: Sequence[str], least: int
) -> Image.Image:
    """One page: heading, slices, legend."""
    foot = _footing(legend, panels.pixels_per_mm)
    lines = -(-len(chosen) // _ACROSS)
    body = lines * (_HIGH + _STRIP + _GAP)
    page = Image.new("RGB", (WIDTH, max(least, head.height + body + foot.height)), _BACK)
    page.paste(head, (0, 0))
    for place, index in enumerate(chosen):
        row, column = divmod(place, _ACROSS)
        left = _MARGIN + column * (2 * _WIDE + _GAP)
        page.paste(panels.pair(index), (left, head.height + row * (_HIGH + _STRIP + _GAP)))
    page.paste(foot, (0, page.height - foot.height))
    return page


def _heading(caption: Caption, page: str) -> Image.Image:
    image = Image.new("RGB", (WIDTH, 82 + 24 * len(caption.lines)), _BACK)
    draw = ImageDraw.Draw(image)
    right = WIDTH - _MARGIN
    lettering.write(draw, (_MARGIN, 12), caption.title, _TITLE)
    lettering.write(draw, (right, 20), caption.notice, _NOTICE, anchor="ra")
    room = WIDTH - 2 * _MARGIN - 160
    source = lettering.shortened(caption.source, _SOURCE.size, room)
    lettering.write(draw, (_MARGIN, 52), source, _SOURCE)
    lettering.write(draw, (right, 52), page, _LINES, anchor="ra")
    for number, line in enumerate(caption.lines):
        line = lettering.shortened(line, _LINES.size, WIDTH - 2 * _MARGIN)
        lettering.write(draw, (_MARGIN, 76 + 24 * number), line, _LINES)
    return image


def _footing(legend: Sequence[str], pixels_per_mm: float) -> Image.Image:
    image = Image.new("RGB", (WIDTH, 24 * len(legend) + 14), _BACK)
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(legend):
        lettering.write(draw, (_MARGIN, 24 * number), line, _LEGEND)
    bar_mm = next((mm for mm in _BARS_MM if mm * pixels_per_mm <= _LONGEST_BAR), _BARS_MM[-1])
    right, length = WIDTH - _MARGIN, round(bar_mm * pixels_per_mm)
    draw.line([(right - length, 26), (right, 26)], _TEXT, 3)
    lettering.write(draw, (right - length - 8, 17), f"{bar_mm} mm", _BELOW, anchor="ra")
    return image


def _legend(view: View, look: Look, each: Mapping[str, Marks], chosen: Sequence[int]) -> list[str]:
    """What is seen, in sentences."""
    found = slices_of.together([*each.values()])
    marked = [index for index in chosen if found.areas[index]]
    bare = len(chosen) - len(marked)
    black, white = look.window.limits
    held = " and ".join(
        f"{one.shown_in(marked)} of {one.count} lesions" + f" of {label}" * bool(view.others)
        for label, one in each.items()
    )
    shown = (
        f"Shown: {len(marked)} of {len(found.marked)} slices with marks, which hold {held}, and "
        f"{bare} without."
        if found.count
        else f"Shown: {bare} slices, evenly spread; nothing is marked in any slice."
    )
    lines = "the orange line runs just outside what is marked"
    if view.others:
        lines += f" as WMH, the violet one outside {' and '.join(view.others)}"
    return [
        f"Left of each pair: FLAIR. Right: the same slice; {lines}. R: the patient's right "
        "(radiological view).",
        f"{shown} Brightness: {black:.4g} is black, {white:.4g} white, by the brain.",
        f"Slice numbers: the index along the {view.axis} axis of the file, from 0, as FSLeyes and "
        "ITK count; some viewers begin with 1.",
    ]
