"""Slices that hold no picture of their own: empty, of one value, or copies of a neighbour.

A scanner's or a converter's slip leaves them inside the head. Nothing can be known of what lies
there, so they are found in the scan as it is stored, and taken for background.

Arrays are (slice, row, column) in the order of the file; "slices" here are the planes of any axis
that slices may have been acquired or computed along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg import geometry
from wmhseg.geometry import Grid
from wmhseg.io.images import Scan
from wmhseg.preparation import intensity

Float = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Places = tuple[int, ...]

# Slices at least so many times as thick as pixels were acquired as such.
_THICK = 1.25
# Of the foreground of the fullest slice: less of it is a speck, and no head.
_HEAD_SHARE = 0.02
_LEAST_VOX = 100
# One minus the correlation of neighbours over what is not air: 0.3 to 5 % in scans with slices
# of 1 to 6 mm, next to nothing in a copy that was scaled and rounded to whole numbers.
_COPY, _COPY_OF_USUAL, _EXACT = 1e-4, 0.05, 1e-7
# A larger share of copies was made by enlarging a scan: every slice has its own place in it.
_ENLARGED = 0.2
# The original of a run of copies fits to the slice beside it, clearly better than a copy does.
_FITS_BETTER, _SMOOTH_VOX = 1.2, 5
# Share of the head that a slice should show and that has one value there.
_PART, _MOST_PARTS = 0.25, 0.34
# As ``levels``: percentile that stands for the darkest voxels, and share of a filled background.
_DARKEST_PERCENT, _FILLED = 0.1, 0.6
_LEAST_SLICES, _ENOUGH_VOX, _GLANCE = 3, 128, 32
_ORDINAL = {0: "third", 1: "second", 2: "first"}  # axis of an array -> axis of a NIfTI file


@dataclass(frozen=True)
class BadSlices:
    """What is wrong with the slices along one axis; numbers count from 0 in the file's order.

    Attributes:
        axis: Of the array.
        background: The value of air.
        empty: Slices inside the head of one value, that of the background.
        constant: Slices of one other value, wherever they are.
        copies: Slice -> the neighbour whose picture it repeats, on whatever scale.
        partly: Slices inside the head of which a good part has one value.
        enlarged: Whether so many are copies that the scan was enlarged by repeating slices; then
            ``copies`` is empty.
    """

    axis: int
    background: float = 0.0
    empty: Places = ()
    constant: Places = ()
    copies: tuple[tuple[int, int], ...] = ()
    partly: Places = ()
    enlarged: bool = False

    @property
    def whole(self) -> Places:
        """Slices of which nothing is known."""
        return tuple(sorted({*self.empty, *self.constant, *(copy for copy, _ in self.copies)}))

    def told(self) -> str:
        """What was found, in words; "" if nothing is wrong with any slice."""
        parts = [
            _listed(self.empty, "is empty inside the head", "are empty inside the head"),
            _listed(self.constant, "holds one value", "hold one value each"),
            " and ".join(f"slice {copy} repeats slice {of}" for copy, of in self.copies),
            _listed(self.partly, "holds one value in a good part of the head", "hold one value in "
                    "a good part of the head each"),
        ]  # fmt: skip
        said = ", ".join(part for part in parts if part)
        return f"{said} (counted from 0 along the file's {_ORDINAL[self.axis]} axis)" * bool(said)


def _listed(places: Places, one: str, many: str) -> str:
    """Numbers in words, runs of them as "3 to 7"."""
    if not places:
        return ""
    runs: list[str] = []
    for _, run in groupby(enumerate(places), lambda pair: pair[1] - pair[0]):
        members = [place for _, place in run]
        joined = " to " if len(members) > 2 else " and "
        runs.append(joined.join(str(n) for n in (members[0], members[-1])[: len(members)]))
    plural = len(places) > 1
    return f"slice{'s' * plural} {', '.join(runs)} {many if plural else one}"


def find(scan: Scan) -> list[BadSlices]:
    """Finds bad slices.

    Args:
        scan: As it is stored.

    Returns:
        One finding for each axis along which there are some.
    """
    found = [_along(np.moveaxis(scan.array, axis, 0), axis) for axis in _axes(scan.grid)]
    return [bad for bad in found if bad.told() or bad.enlarged]


def unknown(scan: Scan, found: Sequence[BadSlices]) -> Mask | None:
    """Where nothing is known because of bad slices, in the scan's own order; None: nowhere.

    Args:
        scan: As it is stored.
        found: As ``find`` returns it.
    """
    if not any(bad.whole or bad.partly for bad in found):
        return None
    nothing = np.zeros(scan.array.shape, bool)
    for bad in found:
        planes, where = np.moveaxis(scan.array, bad.axis, 0), np.moveaxis(nothing, bad.axis, 0)
        where[list(bad.whole)] = True
        head = _head(planes, bad.background) if bad.partly else where
        for place in bad.partly:
            where[place] |= _unknown_part(planes, head, place)
    return nothing


def emptied(scan: Scan, found: Sequence[BadSlices], nothing: Mask | None) -> Scan:
    """The scan with background where nothing is known, so that no figure is taken from there.

    Args:
        scan: As it is stored.
        found: As ``find`` returns it.
        nothing: As ``unknown`` returns it.
    """
    if nothing is None:
        return scan
    array = scan.array.copy()
    array[nothing] = found[0].background
    return replace(scan, array=array)


def left_out(scan: Scan, *, adapt: bool) -> tuple[Scan, Mask | None, list[str]]:
    """Takes bad slices out of a scan, or only names them.

    Args:
        scan: As it is stored.
        adapt: Whether they may be taken out.

    Returns:
        The scan with background in their place; where that is, None for nowhere; sentences for
        the report.
    """
    found = find(scan)
    told = [f"{scan.name}: {bad.told()}" for bad in found if bad.told()]
    if not told:
        return scan, None, []
    if not adapt:
        return scan, None, [f"{line}: do not trust the mask there." for line in told]
    nothing = unknown(scan, found)
    if scan.name == "FLAIR":
        done = "nothing is known there, and no lesion is marked"
    else:
        done = "FLAIR alone was used there"
    return emptied(scan, found, nothing), nothing, [f"{line}: {done}." for line in told]


def _axes(grid: Grid) -> list[int]:
    """Axes along which slices were acquired: that of thick ones, else the file's and the body's."""
    spacing = grid.spacing_mm
    thick = int(np.argmax(spacing))
    if spacing[thick] > _THICK * sorted(spacing)[1]:
        return [thick]
    return sorted({0, geometry.turn_to(grid, "LPS").axes[0]})


def _background(planes: Float) -> float:
    """What air has: the value that fills the sides, else that of the darkest voxels."""
    sides = np.concatenate([planes[:, [0, -1]].ravel(), planes[:, :, [0, -1]].ravel()])
    values, counts = np.unique(sides, return_counts=True)
    if counts.max() > _FILLED * sides.size:
        return float(values[np.argmax(counts)])
    return float(np.percentile(planes[:: max(1, len(planes) // _GLANCE)], _DARKEST_PERCENT))


def _head(planes: Float, fill: float) -> Mask:
    if fill == 0:
        return intensity.foreground(planes)
    with np.errstate(over="ignore"):  # of numbers that no scan has
        return intensity.foreground(planes - np.float32(fill))


def _along(planes: Float, axis: int) -> BadSlices:
    low, high = planes.min((1, 2)), planes.max((1, 2))
    flat = low == high
    good = np.flatnonzero(~flat)
    if good.size < _LEAST_SLICES:
        return BadSlices(axis)
    fill = _background(planes[good])
    # Of large slices every second or third pixel will do.
    step = max(1, round(max(planes.shape[1:]) / _ENOUGH_VOX))
    planes = planes[:, ::step, ::step]
    head = np.zeros(planes.shape, bool)
    head[good] = _head(planes[good], fill)
    areas = head.sum((1, 2))
    held = np.flatnonzero(areas > max(_LEAST_VOX, _HEAD_SHARE * areas.max()))
    if held.size < _LEAST_SLICES:
        return BadSlices(axis)
    inside = np.zeros(len(planes), bool)
    inside[held[0] : held[-1] + 1] = True
    dark = low <= max(fill, float(np.median(low[good])))
    # What shows no head amid the head is as good as empty.
    flat[held[0] : held[-1]] |= ~np.isin(np.arange(held[0], held[-1]), held)
    copies, enlarged = _copies(planes, head, held)
    partly = _partly(planes, head, held, {copy for copy, _ in copies})
    empty, constant = _places(flat & inside & dark), _places(flat & ~dark)
    return BadSlices(axis, fill, empty, constant, copies, partly, enlarged)


def _places(which: Mask) -> Places:
    return tuple(int(place) for place in np.flatnonzero(which))


def _copies(
    planes: Float, head: Mask, held: npt.NDArray[np.intp]
) -> tuple[tuple[tuple[int, int], ...], bool]:
    """Slices that repeat a neighbour, and whether that is the rule in this scan."""
    pairs = [int(n) for n in held[:-1] if n + 1 in held]
    if not pairs:
        return (), False
    apart = {n: _apart(planes, head, n, n + 1) for n in pairs}
    usual = float(np.median(list(apart.values())))
    alike = [n for n in pairs if apart[n] < _EXACT
             or apart[n] < min(_COPY, _COPY_OF_USUAL * usual)]  # fmt: skip
    if len(alike) > max(1, _ENLARGED * len(pairs)):
        return (), True
    found: list[tuple[int, int]] = []
    # Neighbours differ in their noise most; what decides is what they show.
    smooth = ndimage.uniform_filter(planes, (1, _SMOOTH_VOX, _SMOOTH_VOX)) if alike else planes
    for _, run in groupby(enumerate(alike), lambda pair: pair[1] - pair[0]):
        members = [n for _, n in run]
        first, last = members[0], members[-1] + 1
        before, after = (_apart(smooth, head, n, n + 1) if n in apart else None
                         for n in (first - 1, last))  # fmt: skip
        if after is not None and (before is None or before > _FITS_BETTER * after):
            found += [(place, last) for place in range(first, last)]
        elif before is not None and (after is None or after > _FITS_BETTER * before):
            found += [(place, first) for place in range(first + 1, last + 1)]
        else:  # any of them may be the original
            found += [(first, first + 1), *((n, n - 1) for n in range(first + 1, last + 1))]
    return tuple(found), False


def _apart(planes: Float, head: Mask, one: int, other: int) -> float:
    """One minus the correlation of two slices over what is head in either."""
    where = head[one] | head[other]
    a, b = (planes[n][where].astype(np.float64) for n in (one, other))
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt((a @ a) * (b @ b))
    return float(1 - (a @ b) / size) if 0 < size < np.inf else 1.0


def _partly(planes: Float, head: Mask, held: npt.NDArray[np.intp], copies: set[int]) -> Places:
    """Slices of which a good part of what both neighbours show has one value."""
    found = []
    inner = [int(n) for n in held if n - 1 in held and n + 1 in held]
    for n in inner:
        if n not in copies and _unknown_part(planes, head, n).any():
            found.append(n)
    return tuple(found) if len(found) <= _MOST_PARTS * len(inner) else ()


def _unknown_part(planes: Float, head: Mask, place: int) -> Mask:
    """Where a slice has one value over a good part of the head that its neighbours show."""
    nothing = np.zeros(planes.shape[1:], bool)
    expected = head[place - 1] & head[place + 1]
    plane = planes[place]
    even = np.zeros(plane.shape, bool)
    even[:-1, :-1] = (plane[:-1, :-1] == plane[1:, :-1]) & (plane[:-1, :-1] == plane[:-1, 1:])
    share = _PART * int(expected.sum())
    if int((even & expected).sum()) < max(share, _LEAST_VOX):
        return nothing
    values, counts = np.unique(plane[even & expected], return_counts=True)
    if counts.max() < max(share, _LEAST_VOX):
        return nothing
    part: Mask = plane == values[np.argmax(counts)]
    return part
